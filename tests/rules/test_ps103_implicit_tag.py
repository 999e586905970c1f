"""PS103 fires where `latest` was not written."""

from __future__ import annotations

import pytest

from pushsafe.model import Facts
from pushsafe.rules.ps103_implicit_tag import RULE
from tests.rules.facts import facts, only, problems, repository


@pytest.mark.parametrize("given", ["registry.test/my-api", "localhost:5000/my-api", "docker.io/myorg/my-api"])
def test_fires(given: str) -> None:
    problem = only(RULE, facts(given))
    assert problem.message == f"{given!r} has no tag, so 'latest' is pushed"
    assert problem.fix == f"docker pushsafe {given}:latest"


@pytest.mark.parametrize(
    "listed",
    [facts("registry.test/my-api:1"), facts("registry.test/my-api:latest"), repository("registry.test/my-api")],
    ids=["tag", "latest", "all-tags"],
)
def test_does_not_fire(listed: Facts) -> None:
    assert problems(RULE, listed) == []
