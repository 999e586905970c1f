"""What tells a run to stop: signals, and docker, which closes its socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from pushsafe.runtime.signals import TimedOut, deadline, install_stop
from tests.program import ROOT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_unwinds(number: int) -> None:
    before = signal.getsignal(number)
    with install_stop({}) as watch:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert watch.requested
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As `nohup` starts a command."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with install_stop({}) as watch:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not watch.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_watch_that_is_eased_calls_nobody() -> None:
    calls: list[int] = []
    with install_stop({}, lambda: calls.append(1)) as watch:
        watch.ease()
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.requested
    assert calls == []


@pytest.mark.parametrize("limit", [None, 0.05])
def test_a_stop_that_python_drops_comes_again(limit: float | None) -> None:
    """Python drops what is raised in a weak reference's callback; each import runs one, importlib's for its locks."""

    def callback(_reference: object) -> None:
        if limit is None:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)  # the deadline passes

    def collect() -> None:
        thing = threading.Event()
        reference = weakref.ref(thing, callback)
        del thing
        assert reference() is None
        time.sleep(5)

    before = sys.unraisablehook
    with install_stop({}), pytest.raises(KeyboardInterrupt) as ended, deadline(limit):
        collect()
    assert type(ended.value) is (KeyboardInterrupt if limit is None else TimedOut)
    assert sys.unraisablehook is before


def test_nobody_asks() -> None:
    with install_stop({}) as watch:
        assert not watch.requested


def _listener(address: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    return server


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_closed_socket_unwinds_a_blocked_main_thread(kind: str, tmp_path: Path) -> None:
    if kind == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets exist on Linux only")
    name = str(tmp_path / "s") if kind == "path" else f"@pushsafe-{os.getpid()}"
    server = _listener(name.replace("@", "\0"))
    silent, _other_end = socket.socketpair()
    with server, install_stop({"DOCKER_CLI_PLUGIN_SOCKET": name}) as watch:
        connection, _ = server.accept()
        threading.Timer(0.1, connection.close).start()
        started = time.monotonic()
        silent.settimeout(10)
        with pytest.raises(KeyboardInterrupt):
            silent.recv(1)
        assert watch.requested
        assert time.monotonic() - started < 5


def test_one_ctrl_c_that_comes_twice_is_one(tmp_path: Path) -> None:
    calls: list[int] = []
    server = _listener(str(tmp_path / "s"))
    with server, install_stop({"DOCKER_CLI_PLUGIN_SOCKET": str(tmp_path / "s")}, lambda: calls.append(1)) as watch:
        connection, _ = server.accept()
        connection.close()
        deadline = time.monotonic() + 5
        while not watch.requested and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        assert calls == [1]


def test_leaving_is_no_stop(tmp_path: Path) -> None:
    calls: list[int] = []
    with (
        _listener(str(tmp_path / "s")) as server,
        install_stop({"DOCKER_CLI_PLUGIN_SOCKET": str(tmp_path / "s")}, lambda: calls.append(1)),
    ):
        connection, _ = server.accept()
        connection.send(b"x")
    connection.close()
    time.sleep(0.1)
    assert calls == []


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@nobody-listens"])
def test_a_socket_that_is_not_there_is_ignored(name: str) -> None:
    with install_stop({"DOCKER_CLI_PLUGIN_SOCKET": name}) as watch:
        assert not watch.requested


def test_second_signal_ends_at_once_with_130() -> None:
    program = (
        "import os, time; from pushsafe.runtime.signals import TimedOut, deadline, install_stop\n"
        "with install_stop(os.environ, lambda: os.write(1, b'stopping\\n')):\n"
        "    print('ready', flush=True); time.sleep(20)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as lines:
        assert lines.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert lines.readline() == "stopping\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 130


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGHUP, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGINT, signal.SIGHUP),
    ],
)
def test_a_terminal_that_is_closed_is_no_second_signal(numbers: tuple[int, ...]) -> None:
    """The kernel and the shell tell us both, and a session that ends sends SIGTERM as well."""
    stops: list[bool] = []
    with install_stop({}, lambda: stops.append(True)):
        for number in numbers:
            os.kill(os.getpid(), number)
    assert stops == [True]
