"""The way to an engine behind ssh: the command is docker's own, and a real ssh carries the bytes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsafe.engine.ssh import SshBridge, command, parse
from tests.docker_client import needs_docker
from tests.lab import Lab
from tests.sshd import program, serve


def connect(bridge: SshBridge) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(bridge.address.removeprefix("unix://"))
    return client


@needs_docker
def test_the_command_is_dockers(tmp_path: Path) -> None:
    program(tmp_path / "bin", "ssh", f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/argv\nexit 255\n")
    environ = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    for url in ("ssh://host", "ssh://me@host", "ssh://me@Host:2222", "ssh://host/run/x.sock"):
        words = ["docker", "-H", url, "version"]
        subprocess.run(words, env=environ, capture_output=True, timeout=20, check=False)
        theirs = (tmp_path / "argv").read_text().splitlines()
        _, *ours = command(parse(url))
        # Releases differ in the order of ssh's options and in how they spell --host; ssh sees no difference.
        assert _normal(ours) == _normal(theirs), url


def _normal(words: list[str]) -> tuple[set[str], list[str]]:
    end = words.index("--")
    options = " ".join(words[:end]).replace("-l ", "-l").replace("-p ", "-p").replace("-o ", "-o").split()
    return set(options), " ".join(words[end + 1 :]).replace("=", " ").split()


@pytest.fixture
def sshd(the_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The lab has seen to it that there is a server to start."""
    with serve(tmp_path) as (url, path):
        monkeypatch.setenv("PATH", path)
        yield url


def _remote_docker(folder: Path, body: str) -> None:
    program(folder / "remote", "docker", body)


def test_through_a_real_ssh(sshd: str, tmp_path: Path) -> None:
    """The far docker is a filter that answers at the end of its input: both halves must close through ssh."""
    _remote_docker(tmp_path, f'#!/bin/sh\necho "$@" >{tmp_path}/called\nwc -c\n')
    with SshBridge(sshd) as bridge, connect(bridge) as client:
        client.sendall(b"x" * 1_000_000)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := client.recv(100):
            received += chunk
        assert received.strip() == b"1000000"
    assert (tmp_path / "called").read_text() == "system dial-stdio\n"


def test_real_ssh_with_an_unknown_host(sshd: str, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("")
    with SshBridge(sshd) as bridge:
        with connect(bridge) as client:
            assert client.recv(1) == b""
        assert "Host key verification failed" in bridge.explain()


def test_real_ssh_to_a_host_without_docker(sshd: str, tmp_path: Path) -> None:
    _remote_docker(tmp_path, "#!/bin/sh\necho 'docker: command not found' >&2\nexit 127\n")
    with SshBridge(sshd) as bridge:
        with connect(bridge) as client:
            assert client.recv(1) == b""
        assert "docker: command not found" in bridge.explain()
