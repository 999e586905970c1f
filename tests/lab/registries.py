"""The registries: what each is, and the processes it is made of."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .accounts import ACTIONS
from .authserver import Settings
from .model import LabRegistry, Scheme
from .paths import run_directory, write_private
from .processes import Service, listens, log_path
from .state import State, auth_path

ISSUER = "pushsafe-lab"


@dataclass(frozen=True)
class Kind:
    """A registry by its way of asking who is there; a fronted one has nginx between itself and the world."""

    name: str
    scheme: Scheme
    users: tuple[str, ...]
    fronted: bool = False


KINDS = (
    Kind("open", "", ()),
    Kind("htpasswd", "Basic", ("writer",)),
    Kind("token", "Bearer", ("writer", "reader")),
    Kind("basic-roles", "Basic", ("writer", "reader"), fronted=True),
)


@dataclass(frozen=True)
class Place:
    """A network in which the whole set runs: the host's, or the isolated one, entered by `enter`."""

    prefix: str
    enter: tuple[str, ...] = ()

    @property
    def isolated(self) -> bool:
        return bool(self.prefix)


def port_names(prefix: str) -> tuple[str, ...]:
    """The services that need a port there."""
    fronted = tuple(f"{prefix}{kind.name}-storage" for kind in KINDS if kind.fronted)
    return (f"{prefix}auth", *(f"{prefix}{kind.name}" for kind in KINDS), *fronted)


def service_names(registry: str) -> tuple[str, ...]:
    """The processes of one registry; the authorization server, shared by several, is not among them."""
    fronted = any(kind.fronted and registry.endswith(kind.name) for kind in KINDS)
    return (registry, f"{registry}-storage") if fronted else (registry,)


def services(state: State, place: Place) -> tuple[Service, ...]:
    """All processes of one place, their configuration written."""
    found = [_authserver(state, place)]
    for kind in KINDS:
        name = place.prefix + kind.name
        if kind.fronted:
            found += [_distribution(state, place, kind, f"{name}-storage"), _nginx(state, place, name)]
        else:
            found.append(_distribution(state, place, kind, name))
    return tuple(found)


def described(state: State, prefix: str) -> Mapping[str, LabRegistry]:
    return {
        prefix + kind.name: LabRegistry(
            name=prefix + kind.name,
            host=f"127.0.0.1:{state.ports[prefix + kind.name]}",
            scheme=kind.scheme,
            users={user: state.passwords[user] for user in kind.users},
            isolated=bool(prefix),
            log=log_path(service_names(prefix + kind.name)[-1]),
            repositories=_storage(service_names(prefix + kind.name)[-1])
            / "docker"
            / "registry"
            / "v2"
            / "repositories",
        )
        for kind in KINDS
    }


def _authserver(state: State, place: Place) -> Service:
    name = f"{place.prefix}auth"
    settings = Settings(
        port=state.ports[name],
        issuer=ISSUER,
        key=auth_path("token.key").read_text(),
        certificate=auth_path("token.crt").read_text(),
        passwords=dict(state.passwords),
        actions={user: list(actions) for user, actions in ACTIONS.items()},
    )
    text = json.dumps(asdict(settings))
    source = Path(__file__).with_name("authserver.py").read_text()
    # A copy: the clone that started the lab may go away while the lab lives on.
    program, config = auth_path("authserver.py"), auth_path(f"{name}.json")
    write_private(program, source)
    write_private(config, text)
    argv = (*place.enter, sys.executable, str(program), str(config))
    return Service(name, argv, listens(settings.port), (source, text))


def _distribution(state: State, place: Place, kind: Kind, name: str) -> Service:
    directory = run_directory() / "registries" / name
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "http": {"addr": f"127.0.0.1:{state.ports[name]}", "secret": state.secret},
        "storage": {"filesystem": {"rootdirectory": str(_storage(name))}, "delete": {"enabled": True}},
    }
    if kind.scheme and not kind.fronted:
        config["auth"] = _auth(state, place, kind)
    # JSON is YAML, and needs no library.
    text = json.dumps(config, indent=1)
    path = directory / "config.yml"
    write_private(path, text)
    argv = (*place.enter, "docker-registry", "serve", str(path))
    return Service(name, argv, listens(state.ports[name]), (text,))


def _storage(name: str) -> Path:
    return run_directory() / "registries" / name / "data"


def _auth(state: State, place: Place, kind: Kind) -> dict[str, object]:
    if kind.scheme == "Basic":
        return {"htpasswd": {"realm": "pushsafe lab", "path": str(auth_path("htpasswd"))}}
    return {
        "token": {
            "realm": f"http://127.0.0.1:{state.ports[place.prefix + 'auth']}/token",
            "service": "pushsafe-lab-registry",
            "issuer": ISSUER,
            "rootcertbundle": str(auth_path("token.crt")),
        }
    }


def _nginx(state: State, place: Place, name: str) -> Service:
    directory = run_directory() / "registries" / name
    directory.mkdir(parents=True, exist_ok=True)
    text = Path(__file__).with_name("basic_roles.nginx").read_text()
    values = {
        "DIRECTORY": str(directory),
        "PORT": str(state.ports[name]),
        "STORAGE": str(state.ports[f"{name}-storage"]),
        "AUTH": str(state.ports[f"{place.prefix}auth"]),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path = directory / "nginx.conf"
    write_private(path, text)
    argv = (*place.enter, "nginx", "-p", str(directory), "-e", "stderr", "-c", str(path))
    return Service(name, argv, listens(state.ports[name]), (text,))
