"""PS301 fires, once for a registry, where there is no credential and one is wanted or may be."""

from __future__ import annotations

import pytest

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import Preflight, RegistryPing
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps301_not_logged_in import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, only, problems
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"


@pytest.mark.parametrize(
    ("ping", "severity", "said"),
    [
        (LOGIN_WANTED, None, "it wants a login (/v2/ answers 401 without one)"),
        (UNKNOWN, Severity.WARNING, "could not be asked from here (connection refused)"),
    ],
    ids=["wanted", "not-known"],
)
def test_fires(ping: RegistryPing, severity: Severity | None, said: str) -> None:
    problem = only(RULE, facts(GIVEN, credential=nobody(), ping=ping))
    assert said in problem.message
    assert (problem.severity, problem.fix) == (severity, "docker login registry.test")


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


@pytest.mark.parametrize(
    ("credential", "ping"),
    [
        (None, None),
        (nobody(), None),
        (None, LOGIN_WANTED),
        (nobody(), OPEN),
        (logged_in(), LOGIN_WANTED),
        (logged_in(), UNKNOWN),
        (nobody(), UNKNOWN._replace(detail="the certificate has expired", untrusted=True)),
        (broken(), LOGIN_WANTED),
    ],
    ids=[
        "nothing-asked",
        "ping-not-asked",
        "credential-not-asked",
        "open",
        "logged-in",
        "logged-in-unknown",
        "no-trust",
        "broken",
    ],
)
def test_does_not_fire(credential: Credential | None, ping: RegistryPing | None) -> None:
    assert problems(RULE, facts(GIVEN, credential=credential, ping=ping)) == []


@pytest.mark.parametrize("ping", [LOGIN_WANTED, UNKNOWN], ids=["wanted", "not-known"])
@pytest.mark.parametrize(
    ("preflight", "fires"),
    [
        (None, True),
        (Preflight(problem="no answer"), True),
        (asked((401, False)), True),
        (asked((202, False), (401, False)), True),
        (asked((202, False)), False),
        (asked((401, False), (202, False)), False),
    ],
    ids=["not-asked", "no-answer", "refused", "refused-at-last", "accepted", "accepted-at-last"],
)
def test_whom_the_registry_lets_in_needs_no_login(preflight: Preflight | None, ping: RegistryPing, fires: bool) -> None:
    assert bool(problems(RULE, facts(GIVEN, credential=nobody(), ping=ping, preflight=preflight))) is fires


def test_fires_for_the_repository_that_nobody_may_write() -> None:
    listed = [
        facts(f"registry.test/{name}:1", credential=nobody(), ping=LOGIN_WANTED, preflight=asked((status, False)))
        for name, status in (("open", 202), ("closed", 401))
    ]
    assert only(RULE, *listed).reference == listed[1].reference
