"""The environment of the tour's runs: a registry, logins and an image, made for them and removed afterwards."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pushsafe.credentials.store import CredentialStore
from pushsafe.demo.registry import Account, EmbeddedRegistry
from pushsafe.demo.runner import Interruption
from pushsafe.demo.sample_image import docker_archive, image, oci_layout
from pushsafe.demo.scenarios import EVERY_TAG, Login
from pushsafe.model.errors import PushsafeError, UsageError
from pushsafe.model.request import DockerFlags
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference, parse
from pushsafe.runtime.signals import TimedOut, deadline

RUN_SECONDS = 60
"""The time limit of a run, in seconds; none takes one second."""
_ENGINE_SECONDS = 10
_ACTIONS = {Login.READER: ("pull",), Login.WRITER: ("pull", "push")}
_USERS_OWN = ("DOCKER_", "PUSHSAFE_", "SUDO_")
"""Prefixes of variables that select an engine, credentials, settings or a configuration."""
_NOBODYS: Mapping[str, Mapping[str, str]] = {"registry.invalid": {}}
"""without any registry in config.json, docker asks the platform's credential helper"""
_LAYOUT = "image"


class Image(NamedTuple):
    """Where the image is: docker's flags for its engine or the arguments for its folder, and a description."""

    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    told: str


class Surroundings(NamedTuple):
    """The environment of the runs, which start in `folder`."""

    folder: Path
    host: str
    image: Image
    environ: Mapping[str, str]

    def environment(self, login: Login) -> dict[str, str]:
        """The environment variables of a run: only this login, and no settings."""
        return {**self.environ, "DOCKER_CONFIG": str(_config(self.folder, login))}


@contextmanager
def surroundings(flags: DockerFlags, environ: Mapping[str, str], interruption: Interruption) -> Iterator[Surroundings]:
    """Raises UsageError if this machine has no room for them."""
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="docker-pushsafe-try-")))
            passwords = {login: secrets.token_urlsafe() for login in _ACTIONS}
            accounts = [Account(login.value, passwords[login], actions) for login, actions in _ACTIONS.items()]
            host = stack.enter_context(EmbeddedRegistry(folder / "registry", accounts)).host
            for login in Login:
                _log_in(_config(folder, login), host, login.value, passwords.get(login, ""))
            placed = _engines(flags, environ, folder, host, stack, interruption)
        except OSError as error:
            raise UsageError(
                f"the tour has no place here: {error.strerror or error}", "TMPDIR=FOLDER docker pushsafe try"
            ) from error
        yield Surroundings(folder, host, placed, _environ(environ))


def _environ(users: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in users.items() if not name.startswith(_USERS_OWN)}
    return {**kept, "PUSHSAFE_CONFIG": "", "PUSHSAFE_TIMEOUT": str(RUN_SECONDS)}


def _config(folder: Path, login: Login) -> Path:
    return folder / (login.value or "nobody")


def _log_in(config: Path, host: str, name: str, password: str) -> None:
    """The file that `docker login` writes without a credential helper."""
    auth = base64.b64encode(f"{name}:{password}".encode()).decode()
    config.mkdir()
    auths = {host: {"auth": auth}} if name else _NOBODYS
    (config / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")


def _engines(
    flags: DockerFlags,
    environ: Mapping[str, str],
    folder: Path,
    host: str,
    stack: ExitStack,
    interruption: Interruption,
) -> Image:
    """The image in the user's engine if that is usable, else in a folder."""
    # engine adapters are imported late: the tour has begun to print by then
    from pushsafe.demo import user_engine as engines

    parsed = (parse(text.format(host=host)) for text in EVERY_TAG)
    names = [name for name in parsed if isinstance(name, Reference)]
    login = CredentialStore(_config(folder, Login.WRITER), {}).lookup(host)
    try:
        address = engines.address_of(flags, environ)
        with interruption.possible(), deadline(_ENGINE_SECONDS):
            engine, platform = engines.reached(address, login, names)
        stack.callback(engines.take_back, engine, names)
        engine.load(docker_archive(image(host, platform), list(map(str, names))))
    except TimedOut:
        return _folders(folder, host, "the engine does not answer")
    except PushsafeError as error:
        return _folders(folder, host, error.message)
    return Image(engines.flags(address), (), f"in your engine ({address.host}), under names of this registry")


def _folders(folder: Path, host: str, why: str) -> Image:
    for name, content in oci_layout(image(host, Platform("linux", "amd64"))).items():
        file = folder / _LAYOUT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return Image((), ("--from", f"oci:{_LAYOUT}"), f"in a folder (an OCI image layout), because {why}")
