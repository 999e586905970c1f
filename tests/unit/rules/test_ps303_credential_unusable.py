"""PS303 fires where looking for the credential failed, and says what broke."""

from __future__ import annotations

from pushsafe.rules.ps303_credential_unusable import RULE
from tests.unit.rules.facts import facts, only, problems, silent
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"


def test_fires_once_for_a_registry() -> None:
    problem = only(RULE, facts(GIVEN, credential=broken()))
    why = "docker-credential-desktop: not found in PATH"
    assert problem.message == f"the credential for registry.test cannot be read: {why}"
    assert problems(RULE, *(facts(given, credential=broken()) for given in (GIVEN, "registry.test/x:2"))) == [problem]


def test_is_silent() -> None:
    silent(RULE, GIVEN, facts(GIVEN, credential=nobody()), facts(GIVEN, credential=logged_in()))
