"""A home that is closed or missing, and a credential helper that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.capture import FakeEngine
from tests.program import ROOT, Done, Program

REF = "127.0.0.1:9/team/app:1"


# root without what lets it read everything, so that closed folders are closed to it too.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def _powerless(*words: str, home: str) -> Done:
    command = [*POWERLESS, sys.executable, "-m", "pushsafe", *words]
    return Program(Path("/"), "").start(command, environ={"HOME": home, "PYTHONDONTWRITEBYTECODE": "1"})


@pytest.fixture
def closed(tmp_path: Path) -> str:
    """A home that nobody may look into."""
    home = tmp_path / "home"
    home.mkdir(mode=0)
    return str(home)


def test_the_home_of_another_user(closed: str) -> None:
    text = _powerless("my-api:1", home=closed)
    assert text.returncode == 1, text.stderr
    assert "PS101" in text.stdout
    done = _powerless(REF, home=closed)
    assert done.returncode == 3, done.stderr
    assert f"because {closed}/.docker/config.json cannot be read" in done.stderr
    assert "bug" not in done.stderr


def test_a_digest_file_in_the_folder_of_another_user(closed: str) -> None:
    done = _powerless("--digest-file", f"{closed}/x/y", REF, home="/")
    assert done.returncode == 2
    assert f"cannot write {closed}/x/y: Permission denied" in done.stderr


def test_a_run_of_somebody_without_a_home_and_a_name() -> None:
    script = (
        "import pwd, sys\ndef unknown(_): raise KeyError\npwd.getpwuid = unknown\n"
        "from pushsafe.cli.main import main\nsys.exit(main(['my-api:1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "PS101" in done.stdout


# ---------------------------------------------------------------------- a credential helper that hangs


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ([], "interrupted"),
        (["--no-preflight"], "time"),
        (["--no-preflight"], "interrupted"),
        (["lint"], "interrupted"),
        (["diagnose"], "interrupted"),
    ],
)
def test_no_helper_outlives_the_run(command: list[str], end: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "number")
    helper = tmp_path / "docker-credential-hangs"
    helper.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/number\nexec sleep 600\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "hangs"}')
    with (
        FakeEngine(images=[REF]) as engine,
        subprocess.Popen(
            [sys.executable, "-m", "pushsafe", *command, *(["--timeout", "3"] if end == "time" else []), REF],
            env={
                **Program(tmp_path, engine.host).environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "DOCKER_CONFIG": str(tmp_path),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program,
    ):
        number = int((tmp_path / "number").read_text())
        assert not is_gone(number)
        if end == "interrupted":
            program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=60)
    assert program.returncode == {"time": 3, "interrupted": 130}[end], said
    assert is_gone(number)


def is_gone(process: int) -> bool:
    """Or about to go: it may still be waited for, whoever has inherited it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True
