"""PS501 fires where the environment asks docker to sign its pushes."""

from __future__ import annotations

import pytest

from pushsafe.cli.main import main
from pushsafe.model.facts import Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps501_content_trust import RULE
from tests.unit.rules.facts import facts, only, problems, repository

API = "registry.test/my-api"
SIGNED = TagPolicy(signed=True)


def test_fires_once_for_all_references() -> None:
    found = only(RULE, facts(f"{API}:1", policy=SIGNED), facts(f"{API}:2", policy=SIGNED))
    assert "DOCKER_CONTENT_TRUST asks for signed pushes" in found.message
    assert (found.fix, found.severity) == (f"docker push {API}:1   (signs it)", None)


def test_fires_for_all_tags() -> None:
    found = only(RULE, repository(API)._replace(policy=SIGNED))
    assert found.fix == f"docker push --all-tags {API}   (signs it)"


def test_what_docker_does_not_sign_is_warned_of() -> None:
    """A build, an index, an image from files."""
    found = only(RULE, facts(f"{API}:1", policy=SIGNED, image=Upcoming(())))
    assert (found.severity, found.fix) == (Severity.WARNING, "unset DOCKER_CONTENT_TRUST")


def test_does_not_fire() -> None:
    for image in (None, Upcoming(())):
        assert problems(RULE, facts(f"{API}:1", image=image)) == [], image
        assert problems(RULE) == [], image


@pytest.mark.parametrize("words", ["", "lint", "lint --offline", "diagnose", "--no-preflight", "--dry-run", "-a"])
def test_every_command_says_it(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_CONTENT_TRUST", "1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/engine")
    assert main([*words.split(), API if words == "-a" else f"{API}:1"]) == 1
    assert "PS501 content-trust: DOCKER_CONTENT_TRUST asks for signed pushes" in capsys.readouterr().out
