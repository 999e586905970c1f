"""PS302 fires where the stored token's own end has passed."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.rules.ps302_credential_expired import RULE
from tests.unit.rules.facts import NOW, asked, facts, only, problems
from tests.values import logged_in, nobody

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def test_fires() -> None:
    for ago, words in (
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (86400, "1 day ago"),
        (30 * 86400, "30 days ago"),
    ):
        problem = only(RULE, facts(f"{HOST}/my-api:1", credential=logged_in(HOST, expires=NOW - ago)))
        assert (
            problem.message == f"the token for {HOST} in the config file /home/ada/.docker/config.json expired {words}"
        ), words
        assert problem.fix == (
            f"aws ecr get-login-password --region eu-west-1 | docker login -u AWS --password-stdin {HOST}"
        ), words


def test_fires_once_for_a_registry() -> None:
    old = logged_in(HOST, expires=NOW - 1)
    assert len(problems(RULE, *(facts(f"{HOST}/my-api:{tag}", credential=old) for tag in "123"))) == 1


def test_does_not_fire() -> None:
    for credential in (None, nobody(HOST), logged_in(HOST), logged_in(HOST, expires=NOW + 1)):
        assert problems(RULE, facts(f"{HOST}/my-api:1", credential=credential)) == [], credential


def test_a_token_that_the_registry_takes_is_good() -> None:
    for preflight, fires in (
        (None, True),
        (Preflight(problem="no answer"), True),
        (asked((403, True)), True),
        (asked((202, False)), False),  # the engine sends none there either
        (asked((401, False), (202, True)), False),
    ):
        old = logged_in(HOST, expires=NOW - 1)
        assert bool(problems(RULE, facts(f"{HOST}/my-api:1", credential=old, preflight=preflight))) is fires, preflight
