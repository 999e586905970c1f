"""What a lint rule is: data that explains itself, and a pure check over the facts of every listed reference."""

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
    """The references as typed, and this user's settings files."""
    FACTS = "facts"
    """What the engine, the credential and the registry said."""


class Problem(NamedTuple):
    """One thing a check found. `severity` is given only where it differs from the rule's own."""

    reference: Reference
    message: str
    fix: str = ""
    severity: Severity | None = None


Check = Callable[[Sequence[Facts]], Iterable[Problem]]


class Rule(NamedTuple):
    """`summary` is one line, `explanation` says why it matters, `example` what fires, `fix` what mends it.

    `step` is the one of `diagnose` that its findings are about, by its name in `model.inquiry.STEPS`.
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
    """Lift a check of one reference to a check of all, a reference listed twice being reported once."""

    def check(facts: Sequence[Facts]) -> Iterator[Problem]:
        seen: set[Reference] = set()
        for fact in facts:
            if fact.reference not in seen and (problem := check_one(fact)):
                seen.add(fact.reference)
                yield problem

    return check


def renamed(fact: Facts, name: str) -> str:
    """What gives the image a better name: another tag for it, or, where it is not made yet, that tag from the start."""
    if fact.place:
        return f"{fact.command} {name}   (in place of {fact.reference.given})"
    if isinstance(fact.image, Upcoming):
        return f"-t {name}   (in place of -t {fact.reference.given})"
    return f"docker tag {fact.reference.given} {name}"


def first_per_registry(facts: Iterable[Facts]) -> Iterator[Facts]:
    """One of the facts for each registry: what is said of a credential is said once, not for every tag."""
    seen: set[str] = set()
    for fact in facts:
        if fact.reference.registry not in seen:
            seen.add(fact.reference.registry)
            yield fact


def accepted_upload(fact: Facts) -> Evidence | None:
    """The registry's answer, asked beforehand, that let an upload to this repository start; else nothing."""
    answers = fact.preflight.evidence if fact.preflight else ()
    last = next((item for item in reversed(answers) if item.stage is Stage.PROBE), None)
    return last if last and last.status and 200 <= last.status < 300 else None
