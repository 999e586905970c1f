"""The command line as a process: docker's plugin, terminals, and the time that a registry may take."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker_client import needs_docker
from tests.fakes.capture import FakeEngine
from tests.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, f"unix://{tmp_path}/none")


@needs_docker
def test_bare_names_are_refused_and_the_engine_hears_nothing(tmp_path: Path) -> None:
    with FakeEngine() as engine:
        done = Program(tmp_path, engine.host).by_docker("my-api:1.4.2", "myorg/my-api:1.4.2")
        assert engine.requests == []
    assert done.returncode == 1
    assert "PS101" in done.stdout
    assert "PS102" in done.stdout


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_a_terminal_gets_colour_unless_it_wants_none(environ: dict[str, str], coloured: bool, program: Program) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "pushsafe", "my-api"]
    subprocess.run(command, env={**program.environ, "TERM": "xterm", **environ}, stdout=terminal, check=False)
    os.close(terminal)
    shown = os.read(controller, 65536)
    os.close(controller)
    assert (b"\x1b[" in shown) is coloured


def test_a_terminal_is_not_waited_for(program: Program) -> None:
    controller, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "pushsafe", "explain-error"],
        env=program.environ,
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(terminal)
    os.close(controller)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no message is given" in done.stderr
    assert "docker pushsafe explain-error 'TEXT'" in done.stderr


# ---------------------------------------------------------------------- time


@pytest.fixture
def silent() -> Iterator[str]:
    """A registry that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("command", "by"), [([], "option"), (["--no-preflight"], "option"), ([], "variable"), (["lint"], "file")]
)
def test_a_registry_that_never_answers(command: list[str], by: str, silent: str, tmp_path: Path) -> None:
    names = [f"{silent}/team/app:{tag}" for tag in (1, 2)]
    options = ["--timeout", "1"] if by == "option" else []
    environ = {"PUSHSAFE_TIMEOUT": "1"} if by == "variable" else {}
    if by == "file":
        (tmp_path / ".pushsafe.toml").write_text("timeout = 1")
    with FakeEngine(names) as engine:
        program = Program(tmp_path, engine.host)
        done = program.process(*command, "--format", "json", *options, *names, environ=environ)
        assert engine.pushed() == []
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert [(one["reference"], one["outcome"]) for one in document["results"]] == [(n, "not-pushed") for n in names]
    assert [error["message"] for error in document["errors"]] == ["the time for the whole run was over"]
    assert "a longer --timeout" in done.stderr


def test_a_diagnosis_that_runs_out_of_time(silent: str, tmp_path: Path) -> None:
    name = f"{silent}/team/app:1"
    with FakeEngine([name]) as engine:
        done = Program(tmp_path, engine.host).process("diagnose", "--timeout", "1", "--format", "json", name)
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert "the time for the whole run was over" in done.stderr
    assert (document["reference"], document["outcome"]) == (name, "not-pushed")
    assert [error["kind"] for error in document["errors"]] == ["unreachable"]
