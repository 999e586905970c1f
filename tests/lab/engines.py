"""The engines: what each is, and the process it is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import engine_api
from .model import LabEngine, Store
from .paths import run_directory, write_private
from .processes import Service, log_path


@dataclass(frozen=True)
class Kind:
    """An engine by its store, where its program comes from, and which network it lives in."""

    name: str
    store: Store
    newer: bool
    isolated: bool = False


KINDS = (
    Kind("classic-20", "classic", newer=False),
    Kind("classic-new", "classic", newer=True),
    Kind("containerd-new", "containerd", newer=True),
    Kind("isolated-classic", "classic", newer=True, isolated=True),
    Kind("isolated-containerd", "containerd", newer=True, isolated=True),
)


def directory(name: str) -> Path:
    return run_directory() / "engines" / name


def socket_path(name: str) -> Path:
    return directory(name) / "docker.sock"


def service(kind: Kind, tree: Path, enter: tuple[str, ...]) -> Service:
    """The dockerd process, in a mount namespace of its own: whatever it mounts goes away with it.

    `tree` is the newer release's root, `enter` the command that enters the engine's network.
    """
    home = directory(kind.name)
    home.mkdir(parents=True, exist_ok=True)
    socket = socket_path(kind.name)
    config: dict[str, object] = {
        "data-root": str(home / "data"),
        "exec-root": str(home / "exec"),
        "hosts": [f"unix://{socket}"],
        "pidfile": str(home / "dockerd.pid"),
        # Leave the machine's network alone.
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "userland-proxy": False,
    }
    if kind.store == "classic":
        config["storage-driver"] = "overlay2"
    if kind.newer:
        config["features"] = {"containerd-snapshotter": kind.store == "containerd"}
    text = json.dumps(config, indent=1)
    path = home / "daemon.json"
    write_private(path, text)
    # A copy: the clone that started the lab may go away while the lab lives on.
    script = Path(__file__).with_name("inside_root.sh").read_text()
    inside = run_directory() / "engines" / "inside_root.sh"
    write_private(inside, script)
    into_tree = ("sh", str(inside), str(tree), str(run_directory())) if kind.newer else ()
    argv = (*enter, "unshare", "--mount", *into_tree, "dockerd", "--config-file", str(path))
    made_from = (text, script) if kind.newer else (text,)
    # Pid files: the kernel may have given that pid to another process, or keep it for a zombie.
    stale = (home / "dockerd.pid", home / "exec" / "containerd" / "containerd.pid")
    return Service(kind.name, argv, lambda _: engine_api.answers(socket), made_from, stale)


def described() -> Mapping[str, LabEngine]:
    """All engines, asked for their versions."""
    return {
        kind.name: LabEngine(
            name=kind.name,
            host=f"unix://{socket_path(kind.name)}",
            version=engine_api.version(socket_path(kind.name)),
            store=kind.store,
            isolated=kind.isolated,
            log=log_path(kind.name),
        )
        for kind in KINDS
    }
