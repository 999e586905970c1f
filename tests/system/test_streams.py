"""A run whose output is closed, full or unread ends with its own code; no run waits or stays silent after its end."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushsafe.report.exit_codes import ExitCode
from tests.fakes.capture import FakeEngine, Refusal
from tests.program import ROOT, Done, Program

REF = "127.0.0.1:9/team/app:1"  # nothing listens on the discard port, so the engine is asked to read back
OTHER = "127.0.0.1:9/team/app:2"


@dataclass(frozen=True)
class Shell:
    """Runs a line of bash in which `$P` is the program, against a scripted engine."""

    home: Path
    engine: FakeEngine

    def __call__(self, line: str, **environ: str) -> Done:
        launcher = {"P": str(ROOT / "docker-pushsafe"), **environ}
        return Program(self.home, self.engine.host).start(["bash", "-c", line], environ=launcher)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with FakeEngine(images=[REF, OTHER]) as engine:
        yield Shell(tmp_path, engine)


@pytest.fixture
def unconfirmed(tmp_path: Path) -> Iterator[Shell]:
    """A shell whose pushes end with a code other than 0."""
    with FakeEngine(images=[REF], distribution={REF: Refusal(403, "no")}) as engine:
        yield Shell(tmp_path, engine)


UNREAD = [
    f"$P {REF} | true; echo ${{PIPESTATUS[0]}}",
    f"$P --format json {REF} | true; echo ${{PIPESTATUS[0]}}",
    f"$P -q {REF} | true; echo ${{PIPESTATUS[0]}}",
    f"$P {REF} 2>&1 | true; echo ${{PIPESTATUS[0]}}",
    f"$P {REF} {OTHER} 2>&1 >out | true; echo ${{PIPESTATUS[0]}}; grep -c 'pushed and verified in\\|✓' out >&2",
    f"$P {REF} >&-; echo $?",
    f"$P {REF} 2>&-; echo $?",
    f"$P {REF} >&- 2>&-; echo $?",
    f"$P {REF} <&-; echo $?",
    f"$P {REF} 2>/dev/full; echo $?",
    "$P rules | true; echo ${PIPESTATUS[0]}",
    "$P --help | true; echo ${PIPESTATUS[0]}",
    "$P --help >&-; echo $?",
    "$P explain PS101 >&-; echo $?",
]


@pytest.mark.parametrize("line", UNREAD)
def test_nobody_reads(line: str, shell: Shell) -> None:
    done = shell(line)
    assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr
    assert "rror" not in done.stderr
    assert "Traceback" not in done.stderr
    assert shell.engine.pushed() == [name for name in (REF, OTHER) if name in line]


def test_the_report_is_whole_where_nobody_reads_the_errors(shell: Shell) -> None:
    shell(f"$P {REF} {OTHER} 2>&1 >out | true")
    assert "2 of 2 pushed and verified" in (shell.home / "out").read_text()


@pytest.mark.parametrize("line", [f"$P {REF} | true; exit ${{PIPESTATUS[0]}}", f"$P {REF} >&-", f"$P {REF} 2>&-"])
def test_the_runs_own_code_stays(line: str, unconfirmed: Shell) -> None:
    assert unconfirmed(line).returncode == ExitCode.NOT_CONFIRMED


@pytest.mark.parametrize("words", [REF, f"-q {REF}", f"--format json {REF}", "rules"])
def test_a_full_disk(words: str, shell: Shell) -> None:
    done = shell(f"$P {words} >/dev/full")
    assert done.returncode == ExitCode.FAILED
    assert "error: the report cannot be written: No space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_full_disk_hides_no_worse_code(unconfirmed: Shell) -> None:
    done = unconfirmed(f"$P {REF} >/dev/full")
    assert done.returncode == ExitCode.NOT_CONFIRMED
    assert "the report cannot be written" in done.stderr


def test_both_full(shell: Shell) -> None:
    assert shell(f"$P {REF} >/dev/full 2>/dev/full").returncode == ExitCode.FAILED


def test_standard_input_that_is_closed(shell: Shell) -> None:
    done = shell(f"$P {REF} -f - <&-")
    assert done.returncode == ExitCode.USAGE
    assert "cannot read standard input: it is closed" in done.stderr
    assert shell.engine.pushed() == []


def test_a_terminal_that_is_hung_up(shell: Shell) -> None:
    """Live progress on a terminal whose other side has gone: every write is an error."""
    controller, terminal = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "pushsafe", REF],
        env={**Program(shell.home, shell.engine.host).environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    )
    os.close(terminal)
    os.close(controller)
    stdout, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "1 of 1 pushed and verified" in stdout


def test_a_terminal_that_is_closed_in_a_push(tmp_path: Path) -> None:
    """SIGHUP, and every write is an error from then on."""
    running = (
        "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from pushsafe.cli import main; "
        f"os._exit(main.main(['{REF}']))"
    )
    with FakeEngine(images=[REF], push={REF: [20]}) as engine:
        controller, terminal = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-c", running],
            env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "DOCKER_HOST": engine.host, "TERM": "xterm"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        until = time.monotonic() + 60
        while not engine.pushed() and time.monotonic() < until:
            time.sleep(0.05)
        os.close(controller)
        assert child.wait(10) == 130


# ---------------------------------------------------------------------- the end


@pytest.fixture
def silent_registry() -> Iterator[str]:
    """A registry that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}/team/app:1"


def test_the_last_word_is_the_end_whatever_the_registry_does(shell: Shell, silent_registry: str) -> None:
    began = time.monotonic()
    done = shell(f"$P {silent_registry}", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == ExitCode.UNREACHABLE
    assert time.monotonic() - began < 5


def test_the_last_word_is_the_end_whatever_a_helper_does(shell: Shell) -> None:
    (shell.home / ".docker").mkdir()
    (shell.home / ".docker" / "config.json").write_text('{"credsStore": "slow"}')
    helper = shell.home / "docker-credential-slow"
    helper.write_text("#!/bin/sh\nexec sleep 12\n")
    helper.chmod(0o755)
    began = time.monotonic()
    path = f"{shell.home}:{os.environ['PATH']}"
    # The helper lives on, and has our stderr, as it has docker's: a pipe would wait for it.
    done = shell("$P ghcr.io/team/app:1 2>/dev/null", DOCKER_HOST="unix:///nowhere/docker.sock", PATH=path)
    assert done.returncode == ExitCode.UNREACHABLE
    assert time.monotonic() - began < 8


# ---------------------------------------------------------------------- what ends a run is in its report


def played(script: str, home: Path) -> Done:
    """What a push comes to that a script of Python starts, with something of the program replaced."""
    with FakeEngine(images=[REF]) as engine:
        return Program(home, engine.host).start([sys.executable, "-c", script])


def test_an_interruption_after_the_last_word_loses_no_report(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pushsafe.cli import main\nfrom pushsafe.report import lines\n"
        "def close(_): raise KeyboardInterrupt\n"
        "lines.Lines.close = close\n"
        f"sys.exit(main.main(['{REF}']))"
    )
    done = played(script, tmp_path)
    assert done.returncode == 0
    assert "1 of 1 pushed and verified" in done.stdout


def test_a_signal_amid_a_finalizer_leaves_no_traceback(tmp_path: Path) -> None:
    """As urllib3 closes its connections when their pool goes."""
    script = (
        "import os, sys, weakref\nfrom pushsafe.cli import main\n"
        "from pushsafe.registry.http.transport import Transport\n"
        "class Pool: pass\n"
        f"Transport.close = lambda _: weakref.finalize(Pool(), os.kill, os.getpid(), {int(signal.SIGINT)}) and None\n"
        f"sys.exit(main.main(['{REF}']))"
    )
    done = played(script, tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pushed and verified" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_report_is_written_loses_no_report(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pushsafe.cli import main\nfrom pushsafe.runtime import streams\n"
        "show = streams.show\n"
        f"def told(text): os.kill(os.getpid(), {int(number)}); return show(text)\n"
        "streams.show = told\n"
        f"sys.exit(main.main(['{REF}']))"
    )
    done = played(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pushed and verified" in done.stdout
