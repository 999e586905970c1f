"""PS305: no credential for this registry, but one under a similar name, or of the user who called sudo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.known_registries import login_command, near_miss
from pushsafe.model.credentials import Credential, SourceKind
from pushsafe.model.evidence import Access
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, accepted_upload, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(fact for fact in facts if not accepted_upload(fact)):
        credential = fact.credential
        if credential is None or credential.source.kind is not SourceKind.NONE:
            continue
        if fact.ping is not None and fact.ping.access is Access.OPEN:
            continue
        if said := near_miss(credential):
            yield Problem(fact.reference, said, _fix(fact, credential))


def _fix(fact: Facts, credential: Credential) -> str:
    if not credential.callers_config:
        return login_command(fact.reference.registry)
    from shlex import quote  # imported here: it would cost every start

    folder = quote(credential.callers_config.rpartition("/")[0])
    return f"docker --config {folder} pushsafe {fact.reference}   (or the same without sudo)"


RULE = Rule(
    code="PS305",
    slug="credential-elsewhere",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="credential",
    summary="a credential exists, but under a similar name",
    explanation=(
        "docker finds a credential by the registry's exact host and port. It does not find a login to another region, "
        "to another port of the same host, to `localhost` instead of 127.0.0.1, under another of Docker Hub's names, "
        "or one letter off, and pushes anonymously. Under `sudo` docker reads root's config, not that of the user who "
        "logged in."
    ),
    example="docker login registry.example.com && docker pushsafe registry.example.com:5000/myorg/my-api:1.4.2",
    fix="Log in to the exact host and port of the reference; under sudo, name the folder with `docker --config`.",
    check=check,
)
