"""docker buildx as a program that runs: its streams, the orders to stop it, and the command that asks bake first."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pushsafe.engine.process import Child
from pushsafe.model.request import CLI_VARIABLE
from tests.fakes.buildx import VERSION, Docker, fake_docker, gone, listing, node, until
from tests.terminal import read_all


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return fake_docker(tmp_path)


# ---------------------------------------------------------------------- as a program: streams and signals

RUN = """\
import os, sys
from pushsafe.engine import process
from pushsafe.engine.buildx_cli import BuildxCommand
from pushsafe.model.request import Build, DockerFlags
from pushsafe.runtime.signals import TimedOut, deadline, install_stop

process.GRACE = process.AGAIN = 0.3
limit = float(sys.argv[1]) or None
try:
    with install_stop(os.environ), deadline(limit):
        buildx = BuildxCommand(DockerFlags(), os.environ)
        print(eval("buildx." + sys.argv[2]))
except TimedOut:
    print("out of time")
except KeyboardInterrupt:
    print("interrupted")
"""


def program(
    docker: Docker, does: str = "run(Build('build', (), ()))", limit: float = 0, **streams: Any
) -> subprocess.Popen[bytes]:
    environ = {"PATH": os.defpath, CLI_VARIABLE: str(docker.program), "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen([sys.executable, "-c", RUN, str(limit), does], env=environ, **streams)


def test_standard_input_is_passed_on(docker: Docker) -> None:
    docker.answer(build={"reads": True})
    child = program(docker, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    output, _ = child.communicate(b"FROM scratch\n", timeout=30)
    assert docker.note("read") == "FROM scratch\n"
    assert b"Built" in output


def test_a_descriptor_that_a_word_names_is_passed_on(docker: Docker) -> None:
    """`--secret id=x,src=<(...)`."""
    reading, writing = os.pipe()
    os.write(writing, b"secret")
    os.close(writing)
    docker.answer(build={"descriptor": f"/dev/fd/{reading}"})
    child = program(docker, pass_fds=(reading,))
    os.close(reading)
    assert child.wait(30) == 0
    assert docker.note("read") == "secret"


@pytest.mark.parametrize("stream", ["terminal", "pipe"])
def test_a_terminal_is_drawn_on_by_buildx_itself(stream: str, docker: Docker) -> None:
    docker.answer(build={"terminal": True, "status": 1, "err": "\x1b[1mdrawn\x1b[0m\n"})
    controller, follower = pty.openpty()
    child = program(docker, stdout=subprocess.PIPE, stderr=follower if stream == "terminal" else subprocess.PIPE)
    os.close(follower)
    if stream == "terminal":
        shown: list[bytes] = []
        reader = threading.Thread(target=lambda: shown.append(read_all(controller)))
        reader.start()
        output, _ = child.communicate(timeout=30)
        reader.join(10)
        assert b"\x1b[1mdrawn" in shown[0]
        assert b"said=''" in output
    else:
        output, errors = child.communicate(timeout=30)
        assert errors == b" [1mdrawn [0m\n"
        assert b"said=' [1mdrawn [0m'" in output
    os.close(controller)
    # docker passes a signal on to its plugin only where its own output is no terminal.
    assert json.loads(docker.note("terminal"))[1:] == [False, stream == "terminal"]


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "timeout"])
def test_whoever_stops_us_stops_buildx(how: str, docker: Docker) -> None:
    docker.answer(build={"waits": True})
    child = program(docker, limit=1.0 if how == "timeout" else 0, stdout=subprocess.PIPE)
    pid = int(until(docker.folder / "pid"))
    started = time.monotonic()
    if how != "timeout":
        child.send_signal(getattr(signal, how))
    output, _ = child.communicate(timeout=30)
    assert output.decode().strip() == ("out of time" if how == "timeout" else "interrupted")
    assert docker.note("stopped") == str(int(signal.SIGINT))
    assert time.monotonic() - started < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_buildx_that_does_not_stop_is_ended(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.engine.process.GRACE", 0.2)
    monkeypatch.setattr("pushsafe.engine.process.AGAIN", 0.2)
    docker.answer(build={"waits": True, "stubborn": True})
    started: list[subprocess.Popen[bytes]] = []

    def start(**pipes: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([docker.program, "buildx", "build"], **pipes)
        until(docker.folder / "pid")
        started.append(process)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()
        return process

    with pytest.raises(KeyboardInterrupt):
        Child(start).run()
    assert started[0].wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("does", ["run(Build('build', (), ()))", "targets([])", "look()"])
def test_no_plugin_lives_on(does: str, docker: Docker) -> None:
    """docker ends a plugin that does not stop by itself at the third order to stop."""
    docker.answer(**{command: {"plugin": True} for command in ("build", "print", "version")})
    child = program(docker, does, stdout=subprocess.PIPE)
    plugin = int(until(docker.folder / "pid"))
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=30)
    assert output == b"interrupted\n"
    assert docker.note("stopped") == "3"
    assert gone(plugin)


# ---------------------------------------------------------------------- the command: bake is asked within its run


def command(docker: Docker, *words: str, **variables: str) -> subprocess.Popen[bytes]:
    environ = {
        **variables,
        "PATH": os.defpath,
        "HOME": str(docker.folder),
        CLI_VARIABLE: str(docker.program),
        "DOCKER_HOST": f"unix://{docker.folder}/none",
    }
    folder = Path(__file__).parents[3]
    words = (sys.executable, "-m", "pushsafe", "buildx", "--format", "json", *words)
    return subprocess.Popen(words, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", ["timeout", "SIGINT"])
def test_an_end_while_bake_is_asked(how: str, docker: Docker) -> None:
    docker.answer(print={"waits": True})
    child = command(docker, *(("--timeout", "2") if how == "timeout" else ()), "--", "bake")
    pid = int(until(docker.folder / "pid-print"))
    if how == "SIGINT":
        child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=30)
    report = json.loads(output)
    assert gone(pid)
    assert report["results"] == []
    assert (child.returncode, report["interrupted"]) == ((130, True) if how == "SIGINT" else (3, False)), errors
    if how == "timeout":
        assert report["errors"][0]["message"] == "the time for the whole run was over"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"a": {"tags": ["x/BAD:1", "a:b:c"], "output": [{"type": "registry"}]}}, "'a:b:c' cannot be pushed to"),
        ({"a": {"tags": ["r.test/a:1"], "output": [{"type": "local"}]}}, "'a' has the output 'local'"),
        (
            {"a": {"tags": ["r.test/a:1"], "output": [{"type": "registry"}], "cache-to": ["r.test/a:1"]}},
            "--cache-to r.test/a:1: the cache would take the place",
        ),
    ],
)
def test_what_bake_shows_and_is_no_push(shown: dict[str, Any], said: str, docker: Docker) -> None:
    docker.answer(print={"out": json.dumps({"target": shown})})
    child = command(docker, "--", "bake")
    output, errors = child.communicate(timeout=30)
    assert child.returncode == 2, errors
    assert said in json.loads(output)["errors"][-1]["message"]
    assert said in errors.decode()
    assert docker.calls == [["buildx", "bake", "--print", "--push"]]


def test_the_tags_that_bake_shows_are_those_that_it_pushes(docker: Docker) -> None:
    tags = ["127.0.0.1:9/team/a:1", "127.0.0.1:9/team/a:2"]
    shown = {"target": {"a": {"tags": tags, "output": [{"type": "registry"}]}}}
    listed = listing({"Name": "default", "Driver": "docker", "Current": True, "Nodes": [node("linux/amd64")]})
    docker.answer(print={"out": json.dumps(shown)}, version=VERSION, ls=listed, bake={"status": 1, "err": "ERROR: no"})
    child = command(docker, "--no-preflight", "--", "bake", "--", "a")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 7, errors
    assert docker.calls[0] == ["buildx", "bake", "--print", "--push", "--", "a"]
    assert docker.calls[-1][-6:] == ["--set", f"a.tags={tags[0]}", "--set", f"a.tags={tags[1]}", "--", "a"]


def test_what_is_wrong_with_a_credential_is_told_once(docker: Docker) -> None:
    shown = {"target": {"a": {"tags": ["r.test/team/a:1"], "output": [{"type": "registry"}]}}}
    docker.answer(print={"out": json.dumps(shown)}, version={"status": 1, "err": "broken\n"})
    child = command(docker, "--", "bake", DOCKER_AUTH_CONFIG="{")
    _, errors = child.communicate(timeout=30)
    assert b"buildx does not run: broken" in errors, "it came further than to bake's definition"
    assert errors.count(b"DOCKER_AUTH_CONFIG is ignored") == 1


def test_a_word_that_a_terminal_would_obey(docker: Docker) -> None:
    for words in (["--", "--\x1b[31mred", "x", "-t", "a", "."], ["--\x1b[31mred", "--", "."]):
        child = command(docker, *words)
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 2
        assert b"red" in errors
        assert b"\x1b" not in errors


def test_an_interruption_ends_both_questions(docker: Docker) -> None:
    """Each of them writes its own number, and waits."""
    docker.answer(version={"waits": True, "status": 0}, ls={"waits": True})
    child = program(docker, "look()")
    numbers = {int(until(docker.folder / f"pid-{command}")) for command in ("version", "ls")}
    child.send_signal(signal.SIGINT)
    child.wait(30)
    assert all(map(gone, numbers))
