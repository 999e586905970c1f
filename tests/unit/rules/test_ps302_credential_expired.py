"""PS302 fires where the stored token's own end has passed."""

from __future__ import annotations

import pytest

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import Preflight
from pushsafe.rules.ps302_credential_expired import RULE
from tests.unit.rules.facts import NOW, asked, facts, only, problems
from tests.values import logged_in, nobody

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (86400, "1 day ago"),
        (30 * 86400, "30 days ago"),
    ],
)
def test_fires(ago: float, words: str) -> None:
    problem = only(RULE, facts(f"{HOST}/my-api:1", credential=logged_in(HOST, expires=NOW - ago)))
    assert problem.message == f"the token for {HOST} in the config file /home/ada/.docker/config.json expired {words}"
    assert problem.fix == (
        f"aws ecr get-login-password --region eu-west-1 | docker login -u AWS --password-stdin {HOST}"
    )


def test_fires_once_for_a_registry() -> None:
    old = logged_in(HOST, expires=NOW - 1)
    assert len(problems(RULE, *(facts(f"{HOST}/my-api:{tag}", credential=old) for tag in "123"))) == 1


@pytest.mark.parametrize(
    "credential",
    [None, nobody(HOST), logged_in(HOST), logged_in(HOST, expires=NOW + 1)],
    ids=["not-asked", "nobody", "no-end-known", "still-good"],
)
def test_does_not_fire(credential: Credential | None) -> None:
    assert problems(RULE, facts(f"{HOST}/my-api:1", credential=credential)) == []


@pytest.mark.parametrize(
    ("preflight", "fires"),
    [
        (None, True),
        (Preflight(problem="no answer"), True),
        (asked((403, True)), True),
        (asked((202, False)), False),  # the engine sends none there either
        (asked((401, False), (202, True)), False),
    ],
    ids=["not-asked", "no-answer", "refused", "accepted-from-nobody", "accepted"],
)
def test_a_token_that_the_registry_takes_is_good(preflight: Preflight | None, fires: bool) -> None:
    old = logged_in(HOST, expires=NOW - 1)
    assert bool(problems(RULE, facts(f"{HOST}/my-api:1", credential=old, preflight=preflight))) is fires
