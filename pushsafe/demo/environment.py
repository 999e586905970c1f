"""Everything that the tour's runs meet: a registry, logins, an image; made for them, and taken away after them."""

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
"""After which a run is ended: none of them takes a second."""
_ENGINE_SECONDS = 10
_ACTIONS = {Login.READER: ("pull",), Login.WRITER: ("pull", "push")}
_USERS_OWN = ("DOCKER_", "PUSHSAFE_", "SUDO_")
"""What begins so names an engine, credentials, settings, or whose configuration to look at."""
_NOBODYS: Mapping[str, Mapping[str, str]] = {"registry.invalid": {}}
"""Where config.json names no registry at all, docker asks the credential helper of the platform."""
_LAYOUT = "image"


class Image(NamedTuple):
    """Where the image is: docker's flags that name its engine, or the arguments that name its folder; and in words."""

    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    told: str


class Surroundings(NamedTuple):
    """What the runs have around them. They are started in `folder`."""

    folder: Path
    host: str
    image: Image
    environ: Mapping[str, str]

    def environment(self, login: Login) -> dict[str, str]:
        """The environment of a run: of logins its docker configuration holds this one alone, and no settings count."""
        return {**self.environ, "DOCKER_CONFIG": str(_config(self.folder, login))}


@contextmanager
def surroundings(flags: DockerFlags, environ: Mapping[str, str], interruption: Interruption) -> Iterator[Surroundings]:
    """Raises UsageError where this machine has no place for them."""
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
    """What `docker login` writes where there is no credential helper."""
    auth = base64.b64encode(f"{name}:{password}".encode()).decode()
    config.mkdir()
    auths = {host: {"auth": auth}} if name else _NOBODYS
    (config / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")


# --------------------------------------------------------------------------- the image


def _engines(
    flags: DockerFlags,
    environ: Mapping[str, str],
    folder: Path,
    host: str,
    stack: ExitStack,
    interruption: Interruption,
) -> Image:
    """The image in the user's engine if that will do, else in a folder."""
    # What talks to engines is imported no earlier than it is needed: the tour has begun to tell by then.
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
