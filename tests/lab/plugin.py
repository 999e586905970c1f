"""The installed plugin as a user runs it, `docker pushsafe ...` in a HOME of its own; and the same run in-process."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pushsafe.cli.bootstrap import gateways
from pushsafe.model.report import Report
from pushsafe.model.request import Asks, DockerFlags, PushRequest
from pushsafe.push.pipeline import run
from pushsafe.report.progress import Display
from pushsafe.sources import source_of
from tests.lab import Lab, LabRegistry
from tests.values import ref

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


def auth(name: str, password: str) -> dict[str, str]:
    """An entry of `auths` as `docker login` writes it."""
    return {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}


def token(the_lab: Lab, repository: str, account: str, kind: str) -> str:
    """What the lab's token server gives, asked without our code: a `refresh` token, or an `access` token to push with.

    The isolated registries trust the same key.
    """
    registry = the_lab.registries["token"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{registry.host}/v2/", timeout=10)
    challenge = dict(re.findall(r'(\w+)="([^"]*)"', refused.value.headers["WWW-Authenticate"]))
    scope = f"repository:{repository}:pull,push"
    query = urllib.parse.urlencode({"service": challenge["service"], "scope": scope, "offline_token": "true"})
    headers = {"Authorization": f"Basic {auth(account, registry.users[account])['auth']}"}
    request = urllib.request.Request(f"{challenge['realm']}?{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.loads(answer.read())["refresh_token" if kind == "refresh" else "token"])


@dataclass(frozen=True)
class User:
    """A user with a HOME, a docker configuration in it, variables, and the plugin that install.sh put there."""

    home: Path
    plugin: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / ".docker"

    def environ(self, engine: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return {**kept, "HOME": str(self.home), "DOCKER_HOST": engine, **self.variables}

    def configure(self, content: Mapping[str, object]) -> None:
        """Write docker's config.json."""
        self.config.mkdir(parents=True, exist_ok=True)
        (self.config / "config.json").write_text(json.dumps(content))

    def log_in(self, credentials: Mapping[str, tuple[str, str]]) -> None:
        """Write what `docker login` writes where no helper is installed."""
        self.configure({"auths": {host: auth(*login) for host, login in credentials.items()}})

    def log_in_to(self, *registries: LabRegistry, account: str = "writer") -> None:
        """To those of them that know the account."""
        self.log_in({one.host: (account, one.users[account]) for one in registries if account in one.users})

    def run(self, engine: str, *words: str, stdin: str = "") -> Run:
        """Run `docker WORDS` against an engine."""
        done = subprocess.run(
            ["docker", *words],
            env=self.environ(engine),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def pushsafe(self, engine: str, *words: str, stdin: str = "") -> Run:
        """Run `docker pushsafe WORDS` against an engine."""
        plugins = self.config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        link = plugins / "docker-pushsafe"
        if not link.is_symlink():
            link.symlink_to(self.plugin)
        return self.run(engine, "pushsafe", *words, stdin=stdin)

    def push_json(self, engine: str, *words: str) -> Run:
        return self.pushsafe(engine, "--format", "json", *words)

    def run_here(self, engine: str, *references: str, asks: Asks, pushes: bool, allowed: Iterable[str] = ()) -> Report:
        """The run of a push or a lint in this very process, where dozens of them shall not take minutes."""
        request = PushRequest(tuple(map(ref, references)), frozenset(allowed), asks=asks, pushes=pushes)
        flags = DockerFlags(config=str(self.config), host=(engine,))
        with gateways(flags, self.environ(engine)) as outside:
            return run(request, outside, Display(), source_of)
