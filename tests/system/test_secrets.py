"""The program as a process and on a terminal shows no secret and no control character, as it does not in process."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.contract.secrets.cases import SCENARIOS
from tests.contract.secrets.playing import PROCESSES, Stage, assert_nothing_leaks, leaked
from tests.terminal import read_all

MORE_FORMS = {"Bearer, opaque": ("quiet", "docker -D"), "verified": ("quiet",), "a bug": ("docker -D",)}


@pytest.mark.parametrize("name", PROCESSES)
def test_nothing_leaks(name: str, tmp_path: Path) -> None:
    for form in ("human", "json", *MORE_FORMS.get(name, ())):
        run = assert_nothing_leaks(name, form, tmp_path / form, process=True)
        if (name, form) == ("a bug", "human"):
            (log,) = run.files.values()
            assert "ValueError: bug ***" in log
            assert "KeyError" in log
        if (name, form) == ("Bearer, opaque", "human"):
            # Were nothing shown at all, nothing could leak.
            assert run.stdout.count("<***>") >= 6
            assert "denied: E [66;66H" in run.stdout


RAW = ("\x1b]", "\x07", "\x9b", "\x08", "\u202e", "\u200b", "\u2066", "\ufeff", "\x7f", "66;66H\x9b", "\x1b[66")


@pytest.mark.parametrize("name", ["Bearer, opaque", "an engine's near misses", "pushed, and not to be read", "a bug"])
def test_a_terminal_gets_our_sequences_only(name: str, tmp_path: Path) -> None:
    stage = Stage(SCENARIOS[name], tmp_path, "human")
    ours, theirs = pty.openpty()
    with stage.set_up() as args:
        process = subprocess.Popen(
            [*stage.program, *args],
            env=stage.environ,
            cwd=stage.home / "cwd",
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown = read_all(ours).decode(errors="replace")
        process.wait(10)
    os.close(ours)
    assert process.returncode == SCENARIOS[name].code, shown
    assert leaked(shown) == []
    assert [raw for raw in RAW if raw in shown] == []
    assert "\x1b[" in shown  # it was a terminal, with colours of our own
