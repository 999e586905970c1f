"""`docker pushsafe try` as a process: what it shows, what it never touches, and that nothing stays."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from pushsafe.demo.scenarios import RUNS
from tests.contract.demo.machine import STATUSES, Machine, statuses
from tests.program import CLOSED, ROOT
from tests.terminal import read_all


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# ---------------------------------------------------------------------- the whole of it


def test_the_tour_where_there_is_nothing_but_python(machine: Machine) -> None:
    done = machine.run("try")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert statuses(done.stdout) == STATUSES
    assert f"no engine answers at unix://{machine.root}/nobody.sock" in " ".join(done.stdout.split())
    commands = re.findall(r"^\$ (.*?[^\\])$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(commands) == len(RUNS)
    assert all(command.startswith("docker pushsafe --from oci:image ") for command in commands)
    for run in RUNS:
        assert [text for text in run.says if text not in done.stdout] == []
        assert run.why in " ".join(done.stdout.replace("\n# ", " ").split())
    assert "docker login -u reader 127.0.0.1:" in done.stdout
    assert "docker login -u writer 127.0.0.1:" in done.stdout
    assert done.stdout.splitlines()[-2].startswith("  docker pushsafe REF")
    assert done.stdout.splitlines()[-1].startswith("  docker pushsafe --help")
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if line.startswith(("#", "$"))) <= 80
    assert machine.left() == []
    assert list(machine.home.iterdir()) == []
    assert list(machine.project.iterdir()) == []


def test_nothing_of_the_user_has_a_say(machine: Machine, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pass", "docker-credential-pass", "docker-credential-secretservice", "docker-credential-mine"):
        program = programs / name
        program.write_text(f"#!/bin/sh\necho {name} >>{asked}\nexit 1\n")
        program.chmod(0o755)
    docker = machine.home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"credsStore": "mine", "credHelpers": {"docker.io": "mine"}}))
    (machine.home / ".config/docker-pushsafe").mkdir(parents=True)
    (machine.home / ".config/docker-pushsafe/config.toml").write_text("nonsense")
    (machine.project / ".pushsafe.toml").write_text("nonsense")
    (machine.project / "pushsafe").mkdir()
    (machine.project / "pushsafe/__init__.py").write_text("raise SystemExit(99)")
    machine.environ = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DOCKER_AUTH_CONFIG": "nonsense",
        "DOCKER_CUSTOM_HEADERS": "nonsense",
        "DOCKER_CONFIG": str(docker),
        "PUSHSAFE_CONFIG": "/no/such/file",
        "PUSHSAFE_RETRIES": "nonsense",
        "PUSHSAFE_WHATEVER": "nonsense",
        "HTTP_PROXY": f"http://{CLOSED}",
        "HTTPS_PROXY": f"http://{CLOSED}",
        "http_proxy": f"http://{CLOSED}",
        "SUDO_USER": "root",
    }
    done = subprocess.run(
        [str(ROOT / "docker-pushsafe"), "try"],
        cwd=machine.project,
        env=machine.environment | {"PUSHSAFE_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert statuses(done.stdout) == STATUSES
    assert not asked.exists(), asked.read_text()
    assert machine.left() == []


# ---------------------------------------------------------------------- on a terminal


def test_a_terminal_shows_what_a_terminal_would_show(machine: Machine) -> None:
    def shown(**environ: str) -> str:
        machine.environ = environ
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, 90))
        with machine.start("try", stdout=terminal) as process:
            os.close(terminal)
            text = read_all(controller).decode()
            os.close(controller)
            assert process.wait(60) == 0, text
        return text

    colored = shown()
    assert "\x1b[1m1/6  A bare name\x1b[0m" in colored
    assert "\x1b[31;1merror PS101\x1b[0m" in colored
    assert "\r\r" not in colored
    assert colored.count("\x1b[?25l") == colored.count("\x1b[?25h"), "a cursor stays hidden"
    assert max(len(line) for line in colored.splitlines() if line.startswith("#")) in range(81, 91)
    assert not re.search(r"\x1b\[[0-9;]*m", shown(NO_COLOR="1"))
    assert machine.left() == []


# ---------------------------------------------------------------------- when it ends early


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (signal.SIGINT, "Six runs"),
        (signal.SIGTERM, "Six runs"),
        (signal.SIGHUP, "registry "),
        (signal.SIGINT, "1/6"),
        (signal.SIGTERM, "3/6"),
        (signal.SIGHUP, "$ docker pushsafe --from oci:image 127"),
        (signal.SIGINT, "$ docker pushsafe --from oci:image 127"),
        (signal.SIGTERM, "5/6"),
    ],
)
def test_told_to_stop_it_leaves_nothing(machine: Machine, number: int, after: str) -> None:
    with machine.start("try") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if after in line:
                break
        # Twice, as by the impatient; and the second one must not cut the tidying short.
        for _ in range(2):
            if process.poll() is None:
                process.send_signal(number)
            time.sleep(0.005)
        _, said = process.communicate(timeout=30)
    if process.returncode != -number:  # Python, of which a signal is the end, had not begun with it or was done
        assert (process.returncode, said) == (130, "interrupted\n")
    assert machine.left() == []


@pytest.mark.parametrize("after", ["1/6", "6/6"])
def test_ctrl_c_at_a_terminal(machine: Machine, after: str) -> None:
    controller, terminal = pty.openpty()
    # The terminal of a session of its own, as a shell has it: the key reaches everybody in the foreground.
    script = "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); from pushsafe.cli.main import main"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script}; os._exit(main(['try']))"],
        env=machine.environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while after.encode() not in shown:
        shown += os.read(controller, 65536)
    os.write(controller, b"\x03\x03")
    shown += read_all(controller)
    os.close(controller)
    assert process.wait(30) == 130, shown.decode()
    assert shown.endswith(b"interrupted\r\n")
    assert b"Traceback" not in shown
    assert shown.rfind(b"\x1b[?25h") >= shown.rfind(b"\x1b[?25l")
    assert machine.left() == []


def test_no_place_for_temporary_files(machine: Machine) -> None:
    machine.environ["TMPDIR"] = "/proc"
    # Python would look for another folder, and take the current one.
    script = (
        "import tempfile, sys; tempfile.tempdir = '/proc/none'; "
        "from pushsafe.cli.main import main; sys.exit(main(['try']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=machine.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the tour has no place here: ")
    assert "Traceback" not in done.stderr


def test_nobody_reads_it(machine: Machine) -> None:
    with machine.start("try") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    assert machine.left() == []
