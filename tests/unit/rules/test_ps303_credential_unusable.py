"""PS303 fires where looking for the credential failed, and says what broke."""

from __future__ import annotations

from pushsafe.rules.ps303_credential_unusable import RULE
from tests.unit.rules.facts import facts, only, problems
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"


def test_fires() -> None:
    problem = only(RULE, facts(GIVEN, credential=broken()))
    assert problem.message == (
        "the credential for registry.test cannot be read: docker-credential-desktop: not found in PATH"
    )


def test_fires_once_for_a_registry() -> None:
    assert len(problems(RULE, *(facts(f"registry.test/my-api:{tag}", credential=broken()) for tag in "123"))) == 1


def test_does_not_fire() -> None:
    for credential in (None, nobody(), logged_in()):
        assert problems(RULE, facts(GIVEN, credential=credential)) == [], credential
