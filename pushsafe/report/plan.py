"""How a push would go, for a person: what goes to which registry, in which order, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pushsafe.model import How, PushPlan, Step
from pushsafe.report.ink import BOLD, DIM, Ink

_LAST = "last, and only when all of that is in place:"


def render(plan: PushPlan, ink: Ink) -> list[str]:
    """Lines, one for each tag, by registry; the moving tags after all others."""
    lines = [ink("the plan:", BOLD)]
    for last in (False, True):
        steps = [step for step in plan.steps if step.last is last]
        if last and steps:
            lines.append(f"  {_LAST}" if len(lines) > 1 else "  all of these are moving tags:")
        for registry in dict.fromkeys(step.reference.registry for step in steps):
            lines.append(f"  {ink(registry, BOLD)}")
            lines += _lines((step for step in steps if step.reference.registry == registry), ink)
    return lines


def _lines(steps: Iterable[Step], ink: Ink) -> Iterator[str]:
    named = [(step, f"{step.reference.repository}{step.reference.tag_suffix}") for step in steps]
    width = max((len(name) for _, name in named), default=0)
    for step, name in named:
        verb, why = _said(step)
        yield f"    {verb:<5} {name:<{width}}  {ink(why, DIM)}"


def _said(step: Step) -> tuple[str, str]:
    match step.how:
        case How.PUSHED:
            return "push", f"from {step.origin}" if step.origin else "through the engine"
        case How.TAGGED:
            return "tag", f"{f'the manifest of {step.source.tag}' if step.source else 'the index'}, put directly"
        case How.ALREADY_THERE:
            return "keep", "it names this image already"
