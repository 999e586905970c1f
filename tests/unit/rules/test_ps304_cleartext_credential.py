"""PS304 fires, once for a registry, where a credential would travel in clear."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps304_cleartext_credential import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, facts, only, problems, silent
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test:5000/my-api:1"
CLEAR = LOGIN_WANTED._replace(cleartext=True)
CURL, DIAGNOSE = "curl -sSi https://registry.test:5000/v2/ ", f"docker pushsafe diagnose {GIVEN} "
UNSAFE = Preflight(problem="no credential goes there", unsafe_realm="auth.other.test")


def test_fires() -> None:
    registry = "the credential for registry.test:5000 travels over plain HTTP"
    realm = "wants the credential sent to auth.other.test over plain HTTP"
    for ping, preflight, severity, said, fix in (
        (CLEAR, None, None, registry, CURL),
        (OPEN._replace(cleartext=True), Preflight(), None, registry, CURL),
        (LOGIN_WANTED, UNSAFE, Severity.ERROR, realm, DIAGNOSE),
        (CLEAR, UNSAFE, Severity.ERROR, realm, DIAGNOSE),
        (None, UNSAFE, Severity.ERROR, realm, DIAGNOSE),
    ):
        problem = only(RULE, facts(GIVEN, credential=logged_in(), ping=ping, preflight=preflight))
        assert said in problem.message, problem
        assert problem.severity is severity, problem
        assert problem.fix.startswith(fix), problem


def test_fires_once_for_a_registry_and_for_the_worst() -> None:
    rows = (("a.test/x", None), ("b.test/x", None), ("a.test/y", UNSAFE), ("a.test/z", UNSAFE))
    listed = [facts(f"{name}:1", credential=logged_in(), ping=CLEAR, preflight=preflight) for name, preflight in rows]
    found = [(str(problem.reference), problem.severity) for problem in problems(RULE, *listed)]
    assert found == [("a.test/y:1", Severity.ERROR), ("b.test/x:1", None)]


def test_is_silent() -> None:
    silent(RULE, *(facts(GIVEN, credential=one, ping=CLEAR, preflight=UNSAFE) for one in (None, nobody(), broken())))
    silent(RULE, facts(GIVEN, credential=logged_in(), ping=LOGIN_WANTED, preflight=Preflight()))
    silent(RULE, facts(GIVEN, credential=logged_in()))
