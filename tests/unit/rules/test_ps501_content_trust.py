"""PS501 fires where the environment asks docker to sign its pushes."""

from __future__ import annotations

import pytest

from pushsafe.cli.main import main
from pushsafe.model.facts import Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps501_content_trust import RULE
from tests.unit.rules.facts import facts, fires, only, repository, silent

API = "registry.test/my-api"
ASKS = "DOCKER_CONTENT_TRUST asks for signed pushes"
SIGNED = TagPolicy(signed=True)


def test_fires_once_for_all_references() -> None:
    """Docker signs neither a build nor an index nor an image from files."""
    fires(
        RULE,
        (facts(f"{API}:1", policy=SIGNED), ASKS, f"docker push {API}:1   (signs it)"),
        (repository(API)._replace(policy=SIGNED), ASKS, f"docker push --all-tags {API}   (signs it)"),
        (facts(API, policy=SIGNED, image=Upcoming(())), ASKS, "unset DOCKER_CONTENT_TRUST", Severity.WARNING),
    )
    assert only(RULE, facts(f"{API}:1", policy=SIGNED), facts(f"{API}:2", policy=SIGNED)).reference.tag == "1"


def test_is_silent() -> None:
    silent(RULE, f"{API}:1", facts(f"{API}:1", image=Upcoming(())))


@pytest.mark.parametrize("words", ["", "lint", "lint --offline", "diagnose", "--no-preflight", "--dry-run", "-a"])
def test_every_command_says_it(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_CONTENT_TRUST", "1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/engine")
    assert main([*words.split(), API if words == "-a" else f"{API}:1"]) == 1
    assert "PS501 content-trust: DOCKER_CONTENT_TRUST asks for signed pushes" in capsys.readouterr().out
