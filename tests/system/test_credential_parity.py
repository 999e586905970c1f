"""docker hands the engine the credentials that our table says, and so does our program for several registries.

tests/contract/credentials holds our own reading of a configuration against the same table.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.credentials.cases import AUTH, CASES, REGISTRY, UNUSABLE, Case, b64
from tests.contract.credentials.forms import FORMS
from tests.fakes.capture import FakeEngine
from tests.lab import LabError, newer_docker_cli
from tests.program import ROOT

PUSHES_ANYWAY = re.compile("WARNING: Error (parsing|loading) config file|Failed to create credential store")


@dataclass(frozen=True)
class Docker:
    """A docker CLI; `older` than 28.5 it ignores DOCKER_AUTH_CONFIG and failing helpers."""

    path: str
    older: bool


@pytest.fixture(params=["newer", "installed"])
def docker(request: pytest.FixtureRequest) -> Docker:
    """The docker CLI of the lab, and the one of this machine."""
    if request.param == "newer":
        try:
            return Docker(str(newer_docker_cli()), older=False)
        except LabError as error:
            pytest.skip(str(error))
    path = shutil.which("docker")
    if path is None:
        pytest.skip("no docker CLI is installed")
    words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"(\d+)\.(\d+)", words)
    assert numbers, words
    return Docker(path, older=(int(numbers[1]), int(numbers[2])) < (28, 5))


@dataclass(frozen=True)
class Sent:
    """What reached the engine: name with tag, and the decoded X-Registry-Auth, of every push."""

    pushes: tuple[tuple[str, dict[str, str] | None], ...]
    stdout: str
    stderr: str


def run(command: list[str], references: list[str], config_dir: Path, environ: Mapping[str, str]) -> Sent:
    with FakeEngine(references) as engine:
        done = subprocess.run(
            command,
            env={**environ, "DOCKER_CONFIG": str(config_dir), "DOCKER_HOST": engine.host},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    pushes = zip(engine.pushed(), (one.auth for one in engine.pushes), strict=True)
    return Sent(tuple(sorted(pushes, key=lambda push: push[0])), done.stdout, done.stderr)


def docker_push(docker: Docker, reference: str, config_dir: Path, environ: Mapping[str, str]) -> Sent:
    return run([docker.path, "push", reference], [reference], config_dir, environ)


def our_push(references: list[str], config_dir: Path, environ: Mapping[str, str]) -> Sent:
    # Without a proxy the asking of registries would leave this machine.
    closed = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "pushsafe", *references, "--allow", "PS301", "--format", "json"]
    return run(command, references, config_dir, {**environ, **closed, "PYTHONPATH": str(ROOT)})


def test_docker_sends_what_the_table_says(docker: Docker, tmp_path: Path) -> None:
    """The older one of this machine shows with every fourth case that it does the same, where it does."""
    for number, case in enumerate([*CASES[::4], *UNUSABLE] if docker.older else [*CASES, *FORMS]):
        folder = tmp_path / str(number)
        folder.mkdir()
        sent = docker_push(docker, f"{case.registry}/acme/app:1", *case.prepare(folder))
        if docker.older and (case.older_differs or "DOCKER_AUTH_CONFIG" in case.environ):
            assert len(sent.pushes) == 1, case.name  # It always pushes, with whatever it has; we follow the newer one.
        elif case.docker_pushes:
            assert len(sent.pushes) == 1, case.name
            assert PUSHES_ANYWAY.search(sent.stderr), case.name
        else:
            expected = [] if case.sent is None else [{name: value for name, value in case.sent.items() if value}]
            assert [auth for _, auth in sent.pushes] == expected, case.name


def test_several_registries_in_one_run(docker: Docker, tmp_path: Path) -> None:
    second = "127.0.0.2:9"
    config = {"auths": {REGISTRY: AUTH, f"https://{second}/v1/": {"auth": b64("second:secret")}}}
    where = Case("several", config, None, CASES[0].source).prepare(tmp_path)
    references = [f"{registry}/acme/app:1" for registry in (REGISTRY, second, "127.0.0.3:9")]
    by_docker = [push for reference in references for push in docker_push(docker, reference, *where).pushes]
    assert list(our_push(references, *where).pushes) == by_docker
    assert [(auth or {}).get("username") for _, auth in by_docker] == ["user", "second", None]


@pytest.mark.parametrize("case", [CASES[-1], UNUSABLE[0]], ids=lambda case: case.name)
def test_what_cannot_be_read_is_a_finding_and_no_push(case: Case, tmp_path: Path) -> None:
    sent = our_push([f"{case.registry}/acme/app:1"], *case.prepare(tmp_path))
    assert (case.sent, sent.pushes) == (None, ())
    assert "PS303" in {one["code"] for one in json.loads(sent.stdout)["findings"]}
