"""PS305: no credential for this registry, but one under a neighbouring name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model import Access, Facts, Severity, SourceKind
from pushsafe.registry.known import KNOWN, hostname, known, login_command
from pushsafe.rules.rule import Needs, Problem, Rule, first_per_registry

_HUB_NAMES = {
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "hub.docker.com",
    "registry.hub.docker.com",
}


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(facts):
        credential = fact.credential
        if credential is None or credential.source.kind is not SourceKind.NONE:
            continue
        if fact.ping is not None and fact.ping.access is Access.OPEN:
            continue
        registry = fact.reference.registry
        for key in credential.elsewhere:
            if why := _neighbours(registry, _server(key)):
                yield Problem(
                    fact.reference,
                    f"there is a credential for {key}, and docker does not use it for {registry}: {why}",
                    login_command(registry),
                )
                break


def _neighbours(registry: str, other: str) -> str:
    """Why a person may take two registries for one, or an empty string."""
    if registry == other:
        return ""
    mine, theirs = hostname(registry).lower(), hostname(other).lower()
    if mine in _HUB_NAMES and theirs in _HUB_NAMES:
        return "docker keeps Docker Hub's login under https://index.docker.io/v1/"
    if mine == theirs:
        return "another port is another registry"
    if {mine, theirs} <= {"localhost", "127.0.0.1", "[::1]"}:
        return "docker compares names, not addresses"
    row = known(registry)
    if row in KNOWN and row is known(other):
        return f"each {row.name} host (region, account) has a login of its own"
    if mine.endswith(f".{theirs}") or theirs.endswith(f".{mine}"):
        return "another host is another registry"
    return ""


def _server(key: str) -> str:
    """The host and port of a key of config.json, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


RULE = Rule(
    code="PS305",
    slug="credential-elsewhere",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    summary="a credential exists, but under a neighbouring name",
    explanation=(
        "docker finds a credential by the registry's exact host and port. A login to another "
        "region, to the same host on "
        "another port, to `localhost` instead of 127.0.0.1 or under another of Docker Hub's names "
        "is not found, and the "
        "push goes out anonymously."
    ),
    example="docker login registry.example.com && docker pushsafe registry.example.com:5000/myorg/my-api:1.4.2",
    fix="Log in to the very host and port of the reference.",
    check=check,
)
