"""PS302 fires where the stored token's own end has passed."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.rules.ps302_credential_expired import RULE
from tests.unit.rules.facts import NOW, asked, facts, fires, only, problems, silent
from tests.values import logged_in, nobody

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GIVEN = f"{HOST}/my-api:1"
OLD = facts(GIVEN, credential=logged_in(HOST, expires=NOW - 1))


def test_fires() -> None:
    login = f"aws ecr get-login-password --region eu-west-1 | docker login -u AWS --password-stdin {HOST}"
    expired = f"the token for {HOST} in the config file /home/ada/.docker/config.json expired"
    for ago, words in ((0, "just now"), (59, "just now"), (60, "1 minute ago"), (119, "1 minute ago")):
        fires(RULE, (facts(GIVEN, credential=logged_in(HOST, expires=NOW - ago)), f"{expired} {words}", login))
    for ago, words in ((7200, "2 hours ago"), (86400, "1 day ago"), (30 * 86400, "30 days ago")):
        fires(RULE, (facts(GIVEN, credential=logged_in(HOST, expires=NOW - ago)), f"{expired} {words}", login))


def test_fires_once_for_a_registry() -> None:
    assert len(problems(RULE, *(OLD._replace(reference=OLD.reference._replace(tag=tag)) for tag in "123"))) == 1


def test_is_silent() -> None:
    credentials = (None, nobody(HOST), logged_in(HOST), logged_in(HOST, expires=NOW + 1))
    silent(RULE, *(facts(GIVEN, credential=credential) for credential in credentials))


def test_a_token_that_the_registry_takes_is_good() -> None:
    for preflight in (None, Preflight(problem="no answer"), asked((403, True))):
        assert only(RULE, OLD._replace(preflight=preflight)), preflight
    for preflight in (asked((202, False)), asked((401, False), (202, True))):  # the engine sends none to the first
        silent(RULE, OLD._replace(preflight=preflight))
