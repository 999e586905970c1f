"""PS304 fires, once for a registry, where a credential would travel in clear."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps304_cleartext_credential import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, facts, only, problems
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test:5000/my-api:1"
CLEAR = LOGIN_WANTED._replace(cleartext=True)
CURL, DIAGNOSE = "curl -sSi https://registry.test:5000/v2/ ", f"docker pushsafe diagnose {GIVEN} "
UNSAFE = Preflight(problem="no credential goes there", unsafe_realm="auth.other.test")


def test_fires() -> None:
    for ping, preflight, severity, said, fix in (
        (CLEAR, None, None, "the credential for registry.test:5000 travels over plain HTTP", CURL),
        (OPEN._replace(cleartext=True), Preflight(), None, "travels over plain HTTP", CURL),
        (LOGIN_WANTED, UNSAFE, Severity.ERROR, "wants the credential sent to auth.other.test over plain", DIAGNOSE),
        (CLEAR, UNSAFE, Severity.ERROR, "wants the credential sent to auth.other.test over plain HTTP", DIAGNOSE),
        (None, UNSAFE, Severity.ERROR, "wants the credential sent to auth.other.test over plain HTTP", DIAGNOSE),
    ):
        problem = only(RULE, facts(GIVEN, credential=logged_in(), ping=ping, preflight=preflight))
        assert said in problem.message, said
        assert problem.severity is severity, said
        assert problem.fix.startswith(fix), said


def test_fires_once_for_a_registry_and_for_the_worst() -> None:
    listed = [
        facts(f"{name}:1", credential=logged_in(), ping=CLEAR, preflight=preflight)
        for name, preflight in (("a.test/x", None), ("b.test/x", None), ("a.test/y", UNSAFE), ("a.test/z", UNSAFE))
    ]
    found = problems(RULE, *listed)
    assert [(str(problem.reference), problem.severity) for problem in found] == [
        ("a.test/y:1", Severity.ERROR),
        ("b.test/x:1", None),
    ]


def test_does_not_fire() -> None:
    for credential, ping, preflight in (
        (logged_in(), LOGIN_WANTED, Preflight()),
        (logged_in(), None, None),
        (nobody(), CLEAR, UNSAFE),
        (broken(), CLEAR, UNSAFE),
        (None, CLEAR, UNSAFE),
    ):
        assert problems(RULE, facts(GIVEN, credential=credential, ping=ping, preflight=preflight)) == [], credential
