"""A lint rule: data that explains itself, and a pure check of all listed references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import Facts, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import Reference


class Needs(Enum):
    """The earliest point at which a rule can decide."""

    TEXT = "text"
    """The references as typed, and the user's settings files."""
    FACTS = "facts"
    """The answers of engine, credential store and registry."""


class Problem(NamedTuple):
    """A result of a check. `severity` is set only if it differs from the rule's."""

    reference: Reference
    message: str
    fix: str = ""
    severity: Severity | None = None


Check = Callable[[Sequence[Facts]], Iterable[Problem]]


class Rule(NamedTuple):
    """`summary` is one line, `explanation` why it matters, `example` what triggers it, `fix` what fixes it.

    `step` is the step of `diagnose` that its findings belong to, by its name in `model.inquiry.STEPS`.
    """

    code: str
    slug: str
    severity: Severity
    needs: Needs
    step: str
    summary: str
    explanation: str
    example: str
    fix: str
    check: Check


def each(check_one: Callable[[Facts], Problem | None]) -> Check:
    """Lift a check of one reference to a check of all, reporting a repeated reference once."""

    def check(facts: Sequence[Facts]) -> Iterator[Problem]:
        seen: set[Reference] = set()
        for fact in facts:
            if fact.reference not in seen and (problem := check_one(fact)):
                seen.add(fact.reference)
                yield problem

    return check


def renamed(fact: Facts, name: str) -> str:
    """The command that gives the image another name: a tag, or if it is not made yet, that name from the start."""
    if fact.place:
        return f"{fact.command} {name}   (in place of {fact.reference.given})"
    if isinstance(fact.image, Upcoming):
        return f"-t {name}   (in place of -t {fact.reference.given})"
    return f"docker tag {fact.reference.given} {name}"


def first_per_registry(facts: Iterable[Facts]) -> Iterator[Facts]:
    """The facts of one reference for each registry: problems of a credential are reported once."""
    seen: set[str] = set()
    for fact in facts:
        if fact.reference.registry not in seen:
            seen.add(fact.reference.registry)
            yield fact


def accepted_upload(fact: Facts) -> Evidence | None:
    """The preflight's answer that let an upload to this repository start, if any."""
    answers = fact.preflight.evidence if fact.preflight else ()
    last = next((item for item in reversed(answers) if item.stage is Stage.PROBE), None)
    return last if last and last.status and 200 <= last.status < 300 else None
