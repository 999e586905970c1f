"""Side processes that outlive the command: started once, known by pid and start time, ended by pid."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .model import LabError
from .paths import SYSTEM_PATH, run_directory, write_private

START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """A process the lab wants: how to start it, what it was made from, and how to see that it serves.

    `stale` are files that a killed one leaves behind, and that would stop the next.
    """

    name: str
    argv: tuple[str, ...]
    is_ready: Callable[[int], bool]
    made_from: tuple[str, ...] = ()
    stale: tuple[Path, ...] = ()

    @property
    def fingerprint(self) -> str:
        # Another interpreter is no reason to restart what another colleague's venv has started.
        argv = tuple("python" if word == sys.executable else word for word in self.argv)
        return hashlib.sha256(repr((argv, self.made_from)).encode()).hexdigest()


@dataclass(frozen=True)
class Process:
    """A process we started. Pids are reused: only boot, pid and start time together name one."""

    pid: int
    started: str
    boot: str
    fingerprint: str


def record_path(name: str) -> Path:
    return run_directory() / "processes" / f"{name}.json"


def log_path(name: str) -> Path:
    return run_directory() / "logs" / f"{name}.log"


def recorded() -> tuple[str, ...]:
    """Names of all processes ever started and not yet stopped, dead or alive."""
    return tuple(sorted(path.stem for path in record_path("x").parent.glob("*.json")))


def living(name: str) -> Process | None:
    """The process recorded under that name, if that very process still runs."""
    try:
        process = Process(**json.loads(record_path(name).read_text()))
    except FileNotFoundError:
        return None
    return process if process.boot == _boot() and _start_time(process.pid) == process.started else None


def start(service: Service) -> bool:
    """Start the service unless it runs already as wanted; whether a process was started."""
    process = living(service.name)
    if process and process.fingerprint == service.fingerprint:
        return False
    stop([service.name])
    for path in service.stale:
        path.unlink(missing_ok=True)
    log = log_path(service.name)
    log.parent.mkdir(exist_ok=True)
    record_path(service.name).parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            service.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=run_directory(),
            # Nothing of the caller's environment: REGISTRY_* and *_PROXY would change what is tested.
            env={"PATH": SYSTEM_PATH, "HOME": str(run_directory()), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    process = Process(child.pid, _start_time(child.pid) or "", _boot(), service.fingerprint)
    write_private(record_path(service.name), json.dumps(asdict(process)))
    child.returncode = 0  # It is meant to outlive us: no ResourceWarning.
    return True


def wait(services: Iterable[Service]) -> None:
    """Wait until all of them serve. Raises LabError with the log's end when one dies or takes over a minute."""
    deadline = time.monotonic() + START_SECONDS
    for service in services:
        while True:
            process = living(service.name)
            if process and service.is_ready(process.pid):
                break
            if not process or time.monotonic() > deadline:
                state = "is not ready" if process else "has ended"
                tail = "\n".join(log_path(service.name).read_text(errors="replace").splitlines()[-15:])
                raise LabError(f"{service.name} {state}; the end of its log:\n{tail}")
            time.sleep(0.02)


def stop(names: Iterable[str]) -> None:
    """End these processes and what they have started, by pid: politely, then by force; forget them."""
    names = tuple(names)
    leaders = [process for process in map(living, names) if process]
    family = {pid: _start_time(pid) for leader in leaders for pid in _with_descendants(leader.pid)}
    for leader in leaders:
        _signal(leader.pid, leader.started, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_start_time(pid) == started for pid, started in family.items()) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid, started in family.items():
        _signal(pid, started, signal.SIGKILL)
    for name in names:
        record_path(name).unlink(missing_ok=True)


def listens(port: int) -> Callable[[int], bool]:
    """A readiness check: somebody listens on the port in the network namespace of the process.

    /proc/PID/net/tcp shows another namespace without entering it.
    """
    wanted = f":{port:04X}"

    def check(pid: int) -> bool:
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)

    return check


def _signal(pid: int, started: str | None, number: signal.Signals) -> None:
    if started is not None and _start_time(pid) == started:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """proc(5): the fields of /proc/PID/stat from the third, state, on; the second may hold any character."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _start_time(pid: int) -> str | None:
    """Clock ticks since boot; None for no process, and for one that is dead but not yet waited for."""
    fields = _stat(pid)
    if fields and fields[0] == "Z":
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return fields[19] if fields else None


def _with_descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields:
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found.extend(child for child, of in parents.items() if of == parent)
    return found
