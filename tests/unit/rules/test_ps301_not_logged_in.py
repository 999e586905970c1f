"""PS301 fires, once for a registry, where there is no credential and one is wanted or may be."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps301_not_logged_in import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, fires, only, problems, silent
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"
WANTED = facts(GIVEN, credential=nobody(), ping=LOGIN_WANTED)
SILENT = facts(GIVEN, credential=nobody(), ping=UNKNOWN)


def test_fires() -> None:
    unknown = "could not check whether it requires a login (connection refused)"
    fires(
        RULE,
        (WANTED, "which requires a login (/v2/ answers 401 without one)", "docker login registry.test"),
        (SILENT, unknown, "docker login registry.test", Severity.WARNING),
    )


def test_fires_once_for_each_registry() -> None:
    listed = [
        facts(given, credential=nobody(given.partition("/")[0]), ping=LOGIN_WANTED)
        for given in (GIVEN, "registry.test/my-api:2", "ghcr.io/o/x:1", "registry.test:5000/my-api:1")
    ]
    assert [problem.fix for problem in problems(RULE, *listed)] == [
        "docker login registry.test",
        "docker login ghcr.io -u YOUR-GITHUB-USER",
        "docker login registry.test:5000",
    ]


def test_is_silent() -> None:
    untrusted = UNKNOWN._replace(detail="the certificate has expired", untrusted=True)
    silent(RULE, GIVEN, WANTED._replace(ping=None), WANTED._replace(credential=None), WANTED._replace(ping=OPEN))
    silent(RULE, WANTED._replace(credential=logged_in()), SILENT._replace(credential=logged_in()))
    silent(RULE, WANTED._replace(ping=untrusted), WANTED._replace(credential=broken()))


def test_whom_the_registry_lets_in_needs_no_login() -> None:
    for fact in (WANTED, SILENT):
        for preflight in (None, Preflight(problem="no answer"), asked((401, False)), asked((202, False), (401, False))):
            assert only(RULE, fact._replace(preflight=preflight)), preflight
        silent(RULE, fact._replace(preflight=asked((202, False))))
        silent(RULE, fact._replace(preflight=asked((401, False), (202, False))))


def test_fires_for_the_repository_that_nobody_may_write() -> None:
    listed = [
        facts(f"registry.test/{name}:1", credential=nobody(), ping=LOGIN_WANTED, preflight=asked((status, False)))
        for name, status in (("open", 202), ("closed", 401))
    ]
    assert only(RULE, *listed).reference == listed[1].reference
