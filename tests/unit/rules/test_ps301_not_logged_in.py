"""PS301 fires, once for a registry, where there is no credential and one is wanted or may be."""

from __future__ import annotations

from pushsafe.model.evidence import Preflight
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps301_not_logged_in import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, only, problems
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"


def test_fires() -> None:
    for ping, severity, said in (
        (LOGIN_WANTED, None, "which requires a login (/v2/ answers 401 without one)"),
        (UNKNOWN, Severity.WARNING, "could not check whether it requires a login (connection refused)"),
    ):
        problem = only(RULE, facts(GIVEN, credential=nobody(), ping=ping))
        assert said in problem.message, said
        assert (problem.severity, problem.fix) == (severity, "docker login registry.test"), said


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


def test_does_not_fire() -> None:
    for credential, ping in (
        (None, None),
        (nobody(), None),
        (None, LOGIN_WANTED),
        (nobody(), OPEN),
        (logged_in(), LOGIN_WANTED),
        (logged_in(), UNKNOWN),
        (nobody(), UNKNOWN._replace(detail="the certificate has expired", untrusted=True)),
        (broken(), LOGIN_WANTED),
    ):
        assert problems(RULE, facts(GIVEN, credential=credential, ping=ping)) == [], credential


def test_whom_the_registry_lets_in_needs_no_login() -> None:
    for preflight, fires in (
        (None, True),
        (Preflight(problem="no answer"), True),
        (asked((401, False)), True),
        (asked((202, False), (401, False)), True),
        (asked((202, False)), False),
        (asked((401, False), (202, False)), False),
    ):
        for ping in (LOGIN_WANTED, UNKNOWN):
            assert bool(problems(RULE, facts(GIVEN, credential=nobody(), ping=ping, preflight=preflight))) is fires, (
                ping
            )


def test_fires_for_the_repository_that_nobody_may_write() -> None:
    listed = [
        facts(f"registry.test/{name}:1", credential=nobody(), ping=LOGIN_WANTED, preflight=asked((status, False)))
        for name, status in (("open", 202), ("closed", 401))
    ]
    assert only(RULE, *listed).reference == listed[1].reference
