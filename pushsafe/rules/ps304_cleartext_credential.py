"""PS304: a credential would be sent over plain HTTP beyond this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    endangered = [fact for fact in facts if fact.credential and fact.credential.present]
    # token servers are named per repository, and a plain HTTP one is worse than a plain HTTP registry
    foreign = [fact for fact in endangered if fact.preflight and fact.preflight.unsafe_realm]
    clear = [fact for fact in endangered if fact.ping and fact.ping.cleartext]
    for fact in first_per_registry([*foreign, *clear]):
        registry = fact.reference.registry
        if fact.preflight and fact.preflight.unsafe_realm:
            yield Problem(
                fact.reference,
                f"{registry} wants the credential sent to {fact.preflight.unsafe_realm} over plain HTTP, where "
                "anyone on the way can read it",
                f"docker pushsafe diagnose {fact.reference}   (the realm in its challenge has to be https)",
                Severity.ERROR,
            )
        else:
            yield Problem(
                fact.reference,
                f"the credential for {registry} travels over plain HTTP, and anyone on the way can read it",
                f"curl -sSi https://{registry}/v2/   (if that answers, take it out of insecure-registries)",
            )


RULE = Rule(
    code="PS304",
    slug="cleartext-credential",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="challenge",
    summary="a credential would be sent over plain HTTP beyond this machine",
    explanation=(
        "The engine uses plain HTTP for a registry that its settings call insecure and that has no TLS, and sends the "
        "credential with every request. A registry that has the credential sent to another host's token server over "
        "plain HTTP is an error: no one who configured this machine agreed to that."
    ),
    example='docker pushsafe registry.example.com:5000/myorg/my-api:1.4.2   ("insecure-registries" in daemon.json)',
    fix="Give the registry (its token server) a certificate, and take its name out of `insecure-registries`.",
    check=check,
)
