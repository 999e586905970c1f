"""PS303: the credential cannot be read: a helper is missing or fails, a config file is unreadable or malformed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.known_registries import repair
from pushsafe.model.credentials import SourceKind
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(facts):
        credential = fact.credential
        if credential is None or credential.source.kind is not SourceKind.BROKEN:
            continue
        yield Problem(
            fact.reference,
            f"the credential for {fact.reference.registry} cannot be read: {credential.source}",
            repair(credential),
        )


RULE = Rule(
    code="PS303",
    slug="credential-unusable",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="credential",
    summary="the credential cannot be read",
    explanation=(
        "docker has no credential if a configured credential helper is missing or fails, or if the config file is not "
        "valid JSON. Older docker clients then push anonymously and report a denial, although the cause is on this "
        "machine."
    ),
    example='{"credsStore": "desktop"} in config.json, and no docker-credential-desktop in PATH',
    fix=(
        "Fix what the finding names before you log in: until then a login fails, or loses the other logins in "
        "config.json."
    ),
    check=check,
)
