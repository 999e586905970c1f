"""PS101: a name with neither registry nor namespace."""

from __future__ import annotations

from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import Implied
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    if not {Implied.REGISTRY, Implied.NAMESPACE} <= reference.implied:
        return None
    place = facts.configured[0].host if len(facts.configured) == 1 else "REGISTRY"
    name = reference.repository.partition("/")[2]
    return Problem(
        reference,
        f"{reference.given!r} has neither registry nor namespace, so docker would push to "
        f"{reference}: the official images, where only Docker may write",
        renamed(facts, f"{place}/NAMESPACE/{name}{reference.tag_suffix}"),
    )


RULE = Rule(
    code="PS101",
    slug="unqualified-name",
    severity=Severity.ERROR,
    needs=Needs.TEXT,
    step="reference",
    summary="the name has neither registry nor namespace",
    explanation=(
        "Docker completes a short name: a bare word means Docker Hub and its namespace `library`, which holds the "
        "official images. A push there is always denied, after a login round trip, and the message does not mention "
        "the name."
    ),
    example="docker pushsafe my-api:1.4.2",
    fix="Tag the image with the full name and push that: `docker tag my-api:1.4.2 REGISTRY/NAMESPACE/my-api:1.4.2`.",
    check=each(check),
)
