"""PS105: the registry is retired, or is about to be."""

from __future__ import annotations

from pushsafe.known_registries import retired
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    row = retired(reference.registry)
    if row is None:
        return None
    return Problem(
        reference,
        f"{row.since} ({row.source})",
        renamed(facts, f"{row.successor}/{reference.repository}{reference.tag_suffix}"),
    )


RULE = Rule(
    code="PS105",
    slug="retired-registry",
    severity=Severity.WARNING,
    needs=Needs.TEXT,
    step="reference",
    summary="the registry is retired, or is about to be",
    explanation=(
        "Registries are renamed and shut down; a pipeline written years ago keeps pushing to the old name until it is "
        "switched off. The finding has the successor and the owner's page."
    ),
    example="docker pushsafe docker.pkg.github.com/myorg/my-api/api:1.4.2",
    fix="Move to the successor in the finding.",
    check=each(check),
)
