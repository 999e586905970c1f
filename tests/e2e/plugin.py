"""The installed plugin as a user runs it: `docker pushsafe ...`, in a HOME of its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What came of one run."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def results(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["results"]
        return found

    @property
    def codes(self) -> list[str]:
        return [finding["code"] for finding in self.report["findings"]]


@dataclass(frozen=True)
class User:
    """A user with a HOME, a docker configuration in it, and the plugin that install.sh put there."""

    home: Path
    plugin: Path

    @property
    def config(self) -> Path:
        return self.home / ".docker"

    def environ(self, engine: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return kept | {"HOME": str(self.home), "DOCKER_HOST": engine}

    def log_in(self, credentials: Mapping[str, tuple[str, str]]) -> None:
        """Write what `docker login` writes where no helper is installed."""
        auths = {
            host: {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}
            for host, (name, password) in credentials.items()
        }
        self.config.mkdir(exist_ok=True)
        (self.config / "config.json").write_text(json.dumps({"auths": auths}))

    def pushsafe(self, engine: str, *words: str, stdin: str = "") -> Run:
        """Run `docker pushsafe WORDS` against an engine."""
        plugins = self.config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        link = plugins / "docker-pushsafe"
        if not link.is_symlink():
            link.symlink_to(self.plugin)
        done = subprocess.run(
            ["docker", "pushsafe", *words],
            env=self.environ(engine),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def push_json(self, engine: str, *words: str) -> Run:
        return self.pushsafe(engine, "--format", "json", *words)
