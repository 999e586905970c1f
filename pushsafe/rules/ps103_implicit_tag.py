"""PS103: no tag, so `latest` is implied."""

from __future__ import annotations

from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import Implied
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    if Implied.TAG not in reference.implied or Implied.REGISTRY in reference.implied:
        return None  # without a registry, PS101 and PS102 fire, and their fix has a tag
    return Problem(
        reference,
        f"{reference.given!r} has no tag, so {reference.tag!r} is pushed",
        # a build stays a build, and an index an index
        f"{facts.command or '-t'} {reference.given}:{reference.tag}",
    )


RULE = Rule(
    code="PS103",
    slug="implicit-tag",
    severity=Severity.WARNING,
    needs=Needs.TEXT,
    step="reference",
    summary="no tag is named, so `latest` is implied",
    explanation=(
        "`latest` is a tag like any other: it moves only when someone moves it, and it is what you get when you pull "
        "without a tag. A push that left the tag out by mistake replaces what everyone pulls."
    ),
    example="docker pushsafe registry.example.com/myorg/my-api",
    fix="Write the tag, even if it is `:latest`.",
    check=each(check),
)
