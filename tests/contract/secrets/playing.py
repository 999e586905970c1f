"""Scenarios played by the program, in this process or in one of its own, and what they let out."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pushsafe.model.request import CLI_VARIABLE
from pushsafe.runtime import redact
from tests.contract.secrets.cases import FORBIDDEN, SAYS, SCENARIOS, Scenario
from tests.fakes.registry import FakeRegistry
from tests.program import NO_DOCKER, ROOT, Program

FORMS: dict[str, tuple[str, ...]] = {"human": (), "json": ("--format", "json"), "quiet": ("--quiet",), "docker -D": ()}
WRITES = {"verified": {"cwd/digests"}, "a bug": {".local/state/docker-pushsafe/bug-"}}
"""The beginnings of the names of files that a run writes; all others write none."""

PROCESSES = ("a bug", "Bearer, opaque", "verified", *(name for name in SCENARIOS if name.startswith("out of time")))
"""What the system level plays: a program of its own is part of it, or shows that nothing else than here comes of it."""


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str
    files: Mapping[str, str]

    @property
    def everything(self) -> str:
        return "\n".join((self.stdout, self.stderr, *self.files.values()))


class Stage:
    """A home, an engine and a registry for one run of the program."""

    def __init__(self, scenario: Scenario, folder: Path, form: str) -> None:
        self.scenario, self.form = scenario, form
        self.home, self.config = folder / "home", folder / "docker"
        for part in (self.home, self.config, folder / "bin", self.home / "cwd", self.home / "tmp"):
            part.mkdir(parents=True)
        self.environ = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "DOCKER_CONFIG": str(self.config),
            "PYTHONPATH": f"{folder}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            **NO_DOCKER,
            **scenario.environ,
        }
        for file, text in scenario.files.items():
            (self.home / file).parent.mkdir(parents=True, exist_ok=True)
            (self.home / file).write_text(text)
        self.prelude = folder / "prelude.py"
        self.prelude.write_text(
            f"{scenario.prelude}\nimport runpy\nrunpy.run_module('pushsafe', run_name='__main__')\n"
        )

    @property
    def program(self) -> list[str]:
        return [sys.executable, *([str(self.prelude)] if self.scenario.prelude else ["-m", "pushsafe"])]

    @contextlib.contextmanager
    def set_up(self) -> Iterator[list[str]]:
        """Yields the program's arguments."""
        # Rules count their uses, so each run has its own.
        rules = [replace(rule) for rule in self.scenario.registry]
        with FakeRegistry(rules) as registry:
            name = f"{self.scenario.host or registry.host}/acme/app:{self.scenario.tag}"
            with self.scenario.engine(name) as engine:
                self._write_config(self.scenario.host or registry.host)
                self.environ["DOCKER_HOST"] = engine.host
                args = [*self.scenario.words[:1], *FORMS[self.form], *self.scenario.words[1:], *self.scenario.args]
                args += [] if self.scenario.paste else ["--", self._reference(name)]
                if self.form == "docker -D":
                    self.environ[CLI_VARIABLE] = "docker"
                    args = ["-D", "--log-level", "debug", "pushsafe", *args]
                yield args

    def _reference(self, name: str) -> str:
        return name.rpartition(":")[0] if "--all-tags" in self.scenario.args else name

    def _write_config(self, host: str) -> None:
        entry = dict(self.scenario.auth)
        if "password" in entry:
            entry = {"auth": base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()}
        config: dict[str, Any] = {"auths": {host: entry}}
        if self.scenario.helper:
            config = {"credHelpers": {host: "evil"}}
            program = self.home.parent / "bin" / "docker-credential-evil"
            program.write_text(self.scenario.helper)
            program.chmod(0o755)
        (self.config / "config.json").write_text(json.dumps(config))

    def files(self) -> dict[str, str]:
        """Every file below the home, by name, with its content."""
        found = {str(path.relative_to(self.home)): path for path in self.home.rglob("*") if path.is_file()}
        ours = {name: path for name, path in found.items() if name not in self.scenario.files}
        return {name: path.read_text(errors="surrogateescape") for name, path in ours.items()}


def play(scenario: Scenario, folder: Path, form: str, *, process: bool) -> Run:
    stage = Stage(scenario, folder, form)
    cwd = stage.home / "cwd"
    with stage.set_up() as args:
        if process:
            done = subprocess.run(
                [*stage.program, *args],
                env=stage.environ,
                cwd=cwd,
                input=scenario.paste,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        else:
            # What an earlier run has seen must not hide what this one shows.
            redact.forget()
            done = Program(stage.home, "")(*args, stdin=scenario.paste, environ=stage.environ, cwd=cwd)
    config = sorted(path.name for path in stage.config.iterdir())
    assert config == ["config.json"], config
    return Run(done.returncode, done.stdout, done.stderr, stage.files())


def leaked(text: str) -> list[str]:
    closed = "".join(text.split())
    return [part for part in FORBIDDEN if part in text or part in closed]


def assert_nothing_leaks(name: str, form: str, folder: Path, *, process: bool = False) -> Run:
    run = play(SCENARIOS[name], folder, form, process=process)
    assert run.code == SCENARIOS[name].code, (form, run.everything)
    assert leaked(run.everything) == [], form
    assert _visible_controls(run.everything) == [], form
    if form == "json" and run.stdout:
        _assert_clean_json(json.loads(run.stdout))
    if form == "human":
        assert SAYS.get(name, "") in run.everything, "what was to be cleaned was not there"
    if form != "docker -D":
        written = {next((one for one in WRITES.get(name, ()) if file.startswith(one)), file) for file in run.files}
        assert written == WRITES.get(name, set()), form
    return run


def _visible_controls(text: str) -> list[str]:
    return [f"{char!r}" for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")]


def _assert_clean_json(value: Any) -> None:
    """Escapes of JSON are undone by whoever reads it: what they stand for has to be clean too."""
    if isinstance(value, str):
        assert _visible_controls(value) == []
        assert leaked(value) == []
    for part in value.items() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _assert_clean_json(list(part) if isinstance(part, tuple) else part)
