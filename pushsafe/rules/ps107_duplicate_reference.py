"""PS107: the same tag listed twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for fact in facts:
        reference = fact.reference
        given = first.get(str(reference))
        if given is None:
            first[str(reference)] = reference.given
            continue
        how = "again" if given == reference.given else f"as {given!r} before"
        yield Problem(reference, f"{reference.given!r} is listed {how}; it is pushed once")


RULE = Rule(
    code="PS107",
    slug="duplicate-reference",
    severity=Severity.WARNING,
    needs=Needs.TEXT,
    step="reference",
    summary="the same tag is listed twice",
    explanation=(
        "Two spellings can mean one tag (`docker.io/library/x` and `x`, `x` and `x:latest`). It is pushed once and "
        "has one result for each listing; usually a variable in a script has the wrong value."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:latest ghcr.io/myorg/my-api",
    fix="List every tag once.",
    check=check,
)
