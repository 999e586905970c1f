"""The real docker runs the real plugin: what it lists, passes on, and does when it is told to stop."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushsafe import __version__
from tests.docker_client import needs_docker

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "docker-pushsafe"

pytestmark = needs_docker


@dataclass(frozen=True)
class Docker:
    """docker with a configuration folder of its own, in which our launcher is the only plugin."""

    environ: dict[str, str]

    def __call__(self, *words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *words], env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, words: Sequence[str], stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """In a process group of its own, as a shell starts it."""
        return subprocess.Popen(
            ["docker", *words], env=self.environ, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True
        )


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    plugins = tmp_path / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-pushsafe").symlink_to(LAUNCHER)
    return Docker(
        {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "DOCKER_HOST": f"unix://{tmp_path}/no-engine",
            "PUSHSAFE_PYTHON": sys.executable,
        }
    )


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An engine that takes connections and never says a word."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "engine"))
    server.listen()
    server.settimeout(20)
    with server:
        yield f"unix://{tmp_path}/engine", server


# --------------------------------------------------------------------------- what docker knows of us


def test_docker_accepts_the_metadata(docker: Docker) -> None:
    answer = docker("info", "--format", "{{json .ClientInfo.Plugins}}")
    plugins = {plugin["Name"]: plugin for plugin in json.loads(answer.stdout)}
    ours = plugins["pushsafe"]
    assert ours["Version"] == __version__
    assert ours["ShortDescription"]
    assert not ours.get("Err")


def test_docker_lists_us(docker: Docker) -> None:
    (line,) = [line for line in docker("--help").stdout.splitlines() if "pushsafe" in line]
    assert line.split()[0] == "pushsafe*"


# --------------------------------------------------------------------------- argv


def test_version(docker: Docker) -> None:
    answer = docker("pushsafe", "--version")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.split()[-1] == __version__


def test_help(docker: Docker) -> None:
    for line in ("pushsafe --help", "help pushsafe", "pushsafe help", "--help pushsafe", "pushsafe -h"):
        answer = docker(*line.split())
        assert (answer.returncode, answer.stdout[:23]) == (0, "Usage: docker pushsafe "), line
    for line in ("help pushsafe rules", "pushsafe rules --help", "pushsafe help rules"):
        answer = docker(*line.split())
        assert (answer.returncode, answer.stdout[:28]) == (0, "Usage: docker pushsafe rules"), line


STATUSES = {
    "pushsafe rules": 0,
    "-D pushsafe rules": 0,
    "-Dl error -c default pushsafe rules": 0,
    "--tlsverify=false pushsafe rules": 0,
    "-- pushsafe rules": 0,
    "pushsafe my-api": 1,
    "-H unix:///nowhere pushsafe my-api": 1,
    "pushsafe BAD": 2,
    "pushsafe --no-such-option": 2,
    "pushsafe explain PS999": 2,
    "--no-such-flag pushsafe my-api": 125,
    "-c default -H unix:///x pushsafe registry.example:5000/a/b:1": 1,
}


def test_exit_status_passes(docker: Docker) -> None:
    for line, status in STATUSES.items():
        assert docker(*line.split()).returncode == status, line


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["-H", "{engine}"], {}),
        (["--host={engine}"], {"DOCKER_CONTEXT": "default"}),
        ([], {"DOCKER_HOST": "{engine}"}),
        (["-c", "far"], {"DOCKER_HOST": "unix:///not/this"}),
        ([], {"DOCKER_CONTEXT": "far", "DOCKER_HOST": ""}),
    ],
)
def test_dockers_flags_lead_to_the_engine(
    words: list[str], environ: dict[str, str], docker: Docker, silent_engine: tuple[str, socket.socket]
) -> None:
    address, server = silent_engine
    docker("context", "create", "far", "--docker", f"host={address}")
    there = Docker(docker.environ | {name: text.format(engine=address) for name, text in environ.items()})
    flags = [word.format(engine=address) for word in words]
    child = there.start([*flags, "pushsafe", "registry.example:5000/team/app:1"])
    # docker itself pings the engine for some commands; a plugin's run is not one of them.
    connection, _ = server.accept()
    asked = connection.recv(4096)
    connection.close()
    server.close()
    child.communicate(timeout=20)
    assert b"HTTP/1.1" in asked
    assert b"docker-sdk-python" in asked or b"pushsafe" in asked


# --------------------------------------------------------------------------- completion


def test_completion(docker: Docker) -> None:
    answer = docker("__complete", "pushsafe", "ru")
    lines = answer.stdout.splitlines()
    assert lines[0].split("\t")[0] == "rules"
    assert lines[-1] == ":4"
    assert docker("__completeNoDesc", "pushsafe", "ru").stdout.splitlines()[-1] == ":4"


# --------------------------------------------------------------------------- stop


def _wait_for(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.recv(4096)
    # The request came from the midst of the program, not from its start.
    return connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [False, True])
def test_stop_without_a_terminal(
    number: signal.Signals, whole_group: bool, docker: Docker, silent_engine: tuple[str, socket.socket]
) -> None:
    """docker closes its socket; a Ctrl-C in a pipeline comes as a signal too, which must not count twice."""
    address, server = silent_engine
    child = docker.start(["-H", address, "pushsafe", "registry.example:5000/team/app:1"])
    with _wait_for(server):
        started = time.monotonic()
        (os.killpg if whole_group else os.kill)(child.pid, number)
        _, stderr = child.communicate(timeout=20)
    assert child.returncode == 130
    assert time.monotonic() - started < 5
    assert b"Traceback" not in stderr


def test_stop_at_a_terminal(docker: Docker, silent_engine: tuple[str, socket.socket]) -> None:
    address, server = silent_engine
    leader, follower = pty.openpty()
    child = docker.start(["-H", address, "pushsafe", "registry.example:5000/team/app:1"], stdout=follower)
    os.close(follower)
    with _wait_for(server):
        os.killpg(child.pid, signal.SIGINT)
        _, stderr = child.communicate(timeout=20)
    while select.select([leader], [], [], 0)[0]:
        try:
            if not os.read(leader, 4096):
                break
        except OSError:
            break
    os.close(leader)
    assert child.returncode == 130
    assert b"Traceback" not in stderr


def test_stop_when_docker_is_killed(docker: Docker, silent_engine: tuple[str, socket.socket]) -> None:
    address, server = silent_engine
    child = docker.start(["-H", address, "pushsafe", "registry.example:5000/team/app:1"])
    with _wait_for(server) as connection:
        child.kill()
        child.wait()
        connection.settimeout(10)
        assert connection.recv(1) == b"", "the plugin outlives docker"
    child.communicate()
