"""The user's engine for the tour: used only if it reaches the registry, and left as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from pushsafe.engine.api import Engine
from pushsafe.engine.context import masked, resolve
from pushsafe.model.credentials import Credential
from pushsafe.model.errors import PushsafeError
from pushsafe.model.facts import ImageMissing
from pushsafe.model.request import DockerFlags, EngineAddress
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.runtime import streams
from pushsafe.runtime.signals import TimedOut, deadline

TAKING_SECONDS = 10


class Unusable(PushsafeError):
    """The engine exists but cannot be used for the tour; the message says why."""


def address_of(flags: DockerFlags, environ: Mapping[str, str]) -> EngineAddress:
    """The address where docker would look for the engine. Raises PushsafeError unless that is this machine."""
    address = resolve(flags, environ)
    if not address.is_local:
        raise Unusable(f"the engine at {masked(address.host)} is not on this machine")
    return address


def reached(address: EngineAddress, login: Credential, names: Sequence[Reference]) -> tuple[Engine, Platform]:
    """An engine that reaches the login's registry and has none of these names; and its platform.

    Raises PushsafeError if there is none.
    """
    engine = Engine(address)
    try:
        platform = engine.info().platform
        if platform.os != "linux":
            raise Unusable(f"the engine at {address.host} runs no images for Linux")
        if engine.check_login(login).status != 200:
            raise Unusable(f"the engine at {address.host} does not reach a registry on 127.0.0.1")
        if _of(engine, names):
            raise Unusable(f"the engine at {address.host} has images of these names already")
    except BaseException:
        engine.close()
        raise
    return engine, platform


def flags(address: EngineAddress) -> tuple[str, ...]:
    """docker's flags for this engine, whatever the configuration."""
    if not address.tls:
        return (f"--host={address.host}",)
    files = (("tlscacert", address.ca_file), ("tlscert", address.cert_file), ("tlskey", address.key_file))
    named = (f"--{name}={file}" for name, file in files if file)
    return (f"--host={address.host}", f"--tlsverify={str(address.tls_verify).lower()}", *named)


def take_back(engine: Engine, names: Sequence[Reference]) -> None:
    """Remove these names from the engine, and with the last one the image; warns of those still there."""
    left: Sequence[Reference] = names
    with suppress(PushsafeError, TimedOut), deadline(TAKING_SECONDS):
        for name in names:
            with suppress(PushsafeError):  # one that does not exist
                engine.untag(name)
        left = _of(engine, names)
    engine.close()
    if left:
        streams.tell(f"warning: the engine may still have what the tour made: docker rmi {' '.join(map(str, left))}\n")


def _of(engine: Engine, names: Sequence[Reference]) -> list[Reference]:
    return [name for name in names if not isinstance(engine.image(name, near=False), ImageMissing)]
