"""The way to an engine behind a scripted ssh: the bytes arrive, and nothing stays behind."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsafe.engine.ssh import SshBridge, SshHost, command, parse
from pushsafe.model.errors import EngineUnreachable, UsageError
from tests.sshd import program

PARSED = {
    "ssh://host": SshHost("host"),
    "ssh://Me@Host:2222": SshHost("Host", "Me", "2222"),
    "ssh://host/": SshHost("host", path="/"),
    "ssh://host/run/d.sock": SshHost("host", path="/run/d.sock"),
    "ssh://[::1]:22": SshHost("::1", port="22"),
    "ssh://a%40b@host/x%20y": SshHost("host", "a@b", path="/x y"),
    "ssh://DOMAIN\\me@host": SshHost("host", "DOMAIN\\me"),
}
REFUSED = (
    "ssh://",
    "ssh://me@",
    "ssh://me:secret@host",
    "ssh://user:secret@host:22:x",
    "ssh://u:secret@[::1",
    "ssh://host?x",
    "ssh://host#x",
    "ssh://host:port",
    "ssh://-oProxyCommand=x",
    "ssh://-x@host",
    "ssh://a%20b@host",
    "ssh://$(x)@host",
    "ssh://h`x`",
    "tcp://host",
)


def test_an_address_is_read_as_docker_reads_it() -> None:
    for url, target in PARSED.items():
        assert parse(url) == target, url
    for url in REFUSED:
        with pytest.raises(UsageError) as caught:
            parse(url)
        assert "secret" not in caught.value.message + caught.value.hint, url


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH, whose `ssh` writes down its arguments and connects to the socket `engine`."""
    folder = tmp_path / "bin"
    script = f"""#!{sys.executable}
import os, socket, sys, threading
with open({str(tmp_path / "argv")!r}, "w") as file:
    file.write("\\n".join(sys.argv[1:]))
engine = socket.socket(socket.AF_UNIX)
engine.connect({str(tmp_path / "engine")!r})
def upward():
    while chunk := os.read(0, 65536):
        engine.sendall(chunk)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=upward, daemon=True).start()
while chunk := engine.recv(65536):
    while chunk:
        chunk = chunk[os.write(1, chunk):]
"""
    program(folder, "ssh", script)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def engine(fake_ssh: Path) -> Iterator[socket.socket]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(fake_ssh / "engine"))
    server.listen()
    with server:
        yield server


def _connect(bridge: SshBridge) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(bridge.address.removeprefix("unix://"))
    return client


def _echo_after_end(server: socket.socket) -> None:
    """Answer only when the client has closed its half: what a lost half-close would turn into a hang."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            connection.sendall(received[::-1])


def test_bytes_and_half_close(engine: socket.socket) -> None:
    threading.Thread(target=_echo_after_end, args=(engine,), daemon=True).start()
    payload = os.urandom(3_000_000)
    with SshBridge("ssh://host") as bridge:
        for _ in range(3):
            with _connect(bridge) as client:
                client.sendall(payload)
                client.shutdown(socket.SHUT_WR)
                received = b""
                while chunk := client.recv(65536):
                    received += chunk
            assert received == payload[::-1]
        assert bridge.explain() == ""


def test_other_half_close(engine: socket.socket) -> None:
    with SshBridge("ssh://host") as bridge, _connect(bridge) as client:
        connection, _ = engine.accept()
        with connection:
            connection.sendall(b"bye")
        assert client.recv(10) == b"bye"
        assert client.recv(10) == b""


def test_two_at_once(engine: socket.socket) -> None:
    with SshBridge("ssh://host") as bridge, _connect(bridge) as one, _connect(bridge) as two:
        ends = [engine.accept()[0] for _ in range(2)]
        one.sendall(b"1")
        two.sendall(b"2")
        assert {end.recv(1) for end in ends} == {b"1", b"2"}


def test_folder_is_private_and_goes(engine: socket.socket) -> None:
    with SshBridge("ssh://host") as bridge:
        folder = Path(bridge.address.removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_leaving_ends_what_still_runs(fake_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.engine.ssh._GRACE", 0.1)
    # A shell that ignores both the end of its input and the first request to go.
    program(fake_ssh / "bin", "ssh", f"#!/bin/sh\ntrap '' TERM\necho $$ >{fake_ssh}/pid\nsleep 60 & wait\nsleep 60\n")
    with SshBridge("ssh://host") as bridge:
        _connect(bridge)
        deadline = time.monotonic() + 10
        while not (fake_ssh / "pid").exists() or not (fake_ssh / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake_ssh / "pid").read_text()), 0)


def test_what_ssh_says_is_kept_and_harmless(fake_ssh: Path) -> None:
    program(
        fake_ssh / "bin",
        "ssh",
        '#!/bin/sh\nprintf "%09000d\\nme@host: \\033[31mPermission denied\\007 (publickey).\\r\\n" 0 >&2\nexit 255\n',
    )
    with SshBridge("ssh://host") as bridge:
        with _connect(bridge) as client:
            assert client.recv(1) == b""
        text = bridge.explain()
    assert text.isprintable()
    assert len(text) <= 500
    assert "Permission denied" in text
    assert text.endswith("(publickey).")


def test_no_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnreachable, match="ssh"), SshBridge("ssh://host"):
        pass


def test_remote_words_meet_a_shell() -> None:
    assert command(SshHost("host", path="/x; reboot"))[-1] == "docker '--host=unix:///x; reboot' system dial-stdio"
