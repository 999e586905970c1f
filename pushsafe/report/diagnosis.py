"""A diagnosis for a person, a step a line, and for programs."""

from __future__ import annotations

import json

from pushsafe.model.inquiry import Diagnosis, StepStatus
from pushsafe.report import human
from pushsafe.report.exit_codes import exit_code
from pushsafe.report.json import SCHEMA, errors_of, finding_of, outcome_of, tag_state_of
from pushsafe.report.style import BOLD, DIM, GREEN, RED, YELLOW, Ink

_MARKS = {
    StepStatus.OK: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.UNKNOWN: "?",
    StepStatus.SKIPPED: "-",
    StepStatus.COMPARED: "·",
}
_COLORS = {
    StepStatus.OK: GREEN,
    StepStatus.FAILED: RED,
    StepStatus.UNKNOWN: YELLOW,
    StepStatus.SKIPPED: DIM,
    StepStatus.COMPARED: DIM,
}


def render(found: Diagnosis, *, color: bool = False) -> str:
    """A line for each step, then what a push would come to and the next command."""
    ink = Ink(color)
    width = max(len(step.name) for step in found.steps)
    steps = "".join(
        f"{ink(_MARKS[step.status], _COLORS[step.status])} {step.name:<{width}}  {step.detail}\n"
        for step in found.steps
    )
    # The step of the engine says what is wrong with it; what mends it is left to say.
    hints = "".join(f"  try: {ink(error.hint, BOLD)}\n" for error in found.report.errors if error.hint)
    return f"{steps}\n{hints}{human.render(found.report, color=color, evidence=False)}"


def render_json(found: Diagnosis) -> str:
    """One JSON document; docs/diagnosis.schema.json describes it."""
    (result,) = found.report.results
    outcome = outcome_of(result.outcome)
    document = {
        "schema": SCHEMA,
        "version": found.report.version,
        "reference": str(found.reference),
        "given": found.reference.given,
        "exit_code": int(exit_code(found.report)),
        "steps": [{"name": step.name, "status": step.status.value, "detail": step.detail} for step in found.steps],
        "tag_now": tag_state_of(result.before),
        "outcome": outcome["outcome"],
        "why": outcome["why"],
        "denial": outcome["denial"],
        "failure": outcome["failure"],
        "findings": [finding_of(finding) for finding in found.report.findings],
        "errors": errors_of(found.report),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
