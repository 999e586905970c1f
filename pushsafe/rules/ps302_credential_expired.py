"""PS302: the stored token itself says that it has expired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.known_registries import login
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, accepted_upload, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(fact for fact in facts if not accepted_upload(fact)):
        credential = fact.credential
        if credential is None or credential.expires is None or credential.expires > fact.now:
            continue
        yield Problem(
            fact.reference,
            f"the token for {fact.reference.registry} in {credential.source} expired "
            f"{_ago(fact.now - credential.expires)}",
            login(credential),
        )


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


RULE = Rule(
    code="PS302",
    slug="credential-expired",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="credential",
    summary="the stored token has expired",
    explanation=(
        "Cloud registries issue tokens that live for hours (ECR 12, ACR 3), which docker stores like passwords. Some "
        "contain their expiry in clear. An expired one is refused, by ECR with the status and words of a missing "
        "permission. There is no finding if the registry accepted the token in the preflight."
    ),
    example="docker pushsafe 123456789012.dkr.ecr.eu-west-1.amazonaws.com/my-api:1.4.2   (login of yesterday)",
    fix="Log in again with the command of the finding.",
    check=check,
)
