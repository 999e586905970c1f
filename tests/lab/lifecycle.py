"""The lab as a whole: install, up, down, and one registry taken away for a while."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from . import engines, newer, packages, processes, registries, state
from .locks import locked
from .model import Lab, LabError, LabRegistry
from .paths import LONGEST_SOCKET, make_private, run_directory
from .processes import Service

NETWORK = "isolated-network"
ISOLATED = "isolated-"
CAP_SYS_ADMIN = 1 << 21


def unavailable() -> str | None:
    """Why the lab cannot run here; None if it can. Changes nothing."""
    if sys.platform != "linux":
        return "the lab needs Linux"
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    if status["Uid"].split()[1] != "0":
        return "the lab needs root: it starts engines and keeps them in namespaces of their own"
    if not int(status["CapEff"], 16) & CAP_SYS_ADMIN:
        return "the lab needs the right to mount (CAP_SYS_ADMIN), which this container withholds"
    if packages.missing() and not shutil.which("apt-get"):
        return f"the lab needs {', '.join(packages.missing())}, and there is no apt-get to install them"
    if len(str(run_directory() / LONGEST_SOCKET)) > 107:
        return f"PUSHSAFE_LAB_RUN is too long for unix sockets: {run_directory()}"
    return None


def install() -> Path:
    """Install packages and fill the cache, where needed; the newer release's root. Raises LabError."""
    if reason := unavailable():
        raise LabError(reason)
    make_private(run_directory())
    with _lock():
        return _install()


def up() -> Lab:
    """Start what does not run, and wait until everything serves (seconds; minutes the first time). Raises LabError."""
    if reason := unavailable():
        raise LabError(reason)
    make_private(run_directory())
    with _lock():
        tree = _install()
        lab_state = state.prepare((*registries.port_names(""), *registries.port_names(ISOLATED)))
        network = _network()
        processes.start(network)
        processes.wait([network])
        services = _services(lab_state, tree)
        for service in services:
            processes.start(service)
        processes.wait(services)
        return Lab(
            engines.described(), {**registries.described(lab_state, ""), **registries.described(lab_state, ISOLATED)}
        )


def down(*, remove: bool = False) -> None:
    """End what the lab has started; with `remove`, empty its run directory too. The cache stays."""
    if not run_directory().exists():
        return
    with _lock():
        processes.stop(processes.recorded())
        if remove:
            for entry in run_directory().iterdir():
                if entry.name != "lock":  # somebody may be waiting for it
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def stopped(registry: LabRegistry) -> Iterator[None]:
    """Take a registry away, and give it back with its content on the same port."""
    names = registries.service_names(registry.name)
    with _lock():
        processes.stop(names)
    try:
        yield
    finally:
        with _lock():
            kept = state.read()
            if kept is None:
                raise LabError("the lab was removed while a registry was stopped")
            services = [service for service in _services(kept, newer.tree()) if service.name in names]
            for service in services:
                processes.start(service)
            processes.wait(services)


def _lock() -> AbstractContextManager[None]:
    return locked(run_directory() / "lock")


def _install() -> Path:
    packages.install()
    return newer.build()


def _network() -> Service:
    """A process that only keeps a network namespace open, with a loopback and nothing else."""
    argv = ("unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity")
    return Service(NETWORK, argv, lambda pid: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")


def _services(lab_state: state.State, tree: Path) -> tuple[Service, ...]:
    """All other processes. Those inside name the network by its pid: with a new network they are made anew."""
    network = processes.living(NETWORK)
    if network is None:
        raise LabError("the isolated network has ended: python -m tests.lab up")
    enter = ("nsenter", f"--net=/proc/{network.pid}/ns/net", "--")
    return (
        *(engines.service(kind, tree, enter if kind.isolated else ()) for kind in engines.KINDS),
        *registries.services(lab_state, registries.Place("")),
        *registries.services(lab_state, registries.Place(ISOLATED, enter)),
    )
