"""A user's machine on which the tour runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.program import ROOT

STATUSES = [1, 1, 4, 5, 0, 0]


@dataclass
class Machine:
    """A user's machine: a home, a current folder, a folder for temporary files, and no engine."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (self.home, self.project, self.temporary):
            folder.mkdir()

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def temporary(self) -> Path:
        return self.root / "temporary"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "DOCKER_HOST": f"unix://{self.root}/nobody.sock",
            **self.environ,
        }

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pushsafe", *words],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def left(self) -> list[str]:
        """What there still is of a tour: files, and processes, all of which have our folder for temporary files."""
        return [str(path) for path in self.temporary.iterdir()] + list(self._processes())

    def _processes(self) -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environ = (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"TMPDIR={self.temporary}".encode() in environ.split(b"\0"):
                yield command.decode(errors="replace")


def statuses(shown: str) -> list[int]:
    return [int(found) for found in re.findall(r"^exit code (\d+)$", shown, re.MULTILINE)]
