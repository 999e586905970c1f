"""What stays the same for one run directory: ports, passwords, keys."""

import json
import random
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .accounts import ACTIONS, write_htpasswd, write_token_key
from .model import LabError
from .paths import run_directory, write_private
from .processes import living

# Below the range from which the kernel gives ports to clients, so that no connection takes one of ours.
PORTS = range(20000, 32000)


@dataclass(frozen=True)
class State:
    """Ports by service, passwords by user, the secret that distribution signs its upload states with."""

    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    secret: str


def state_path() -> Path:
    return run_directory() / "state.json"


def auth_path(name: str) -> Path:
    return run_directory() / "auth" / name


def read() -> State | None:
    """The state of this run directory; None if the lab never ran here."""
    try:
        return State(**json.loads(state_path().read_text()))
    except FileNotFoundError:
        return None


def prepare(services: Iterable[str]) -> State:
    """Make what is missing. A port keeps its service, unless a stranger has taken it while that was down."""
    old = read()
    if old is None:
        passwords = {user: f"fake-{user}-{secrets.token_hex(16)}" for user in ACTIONS}
        auth_path("x").parent.mkdir(exist_ok=True)
        write_htpasswd(auth_path("htpasswd"), "writer", passwords["writer"])
        write_token_key(auth_path("token.key"), auth_path("token.crt"))
        old = State({}, passwords, secrets.token_hex(16))
    ports: dict[str, int] = {}
    for name in services:
        port = old.ports.get(name)
        if port is None or not (living(name) or _is_free(port)):
            port = _free_port({*ports.values(), *old.ports.values()})
        ports[name] = port
    state = State(ports, old.passwords, old.secret)
    write_private(state_path(), json.dumps(asdict(state), indent=1))
    return state


def _free_port(taken: set[int]) -> int:
    for port in random.sample(PORTS, len(PORTS)):
        if port not in taken and _is_free(port):
            return port
    raise LabError(f"no free port between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
