"""What a pasted error means, for a person and for programs; docs/explanation.schema.json describes the latter."""

from __future__ import annotations

import json

from pushsafe import __version__
from pushsafe.model.inquiry import UNCLEAR, Explanation

SCHEMA = 1
"""Raised when a field goes or changes its meaning; new fields do not raise it."""

_YELLOW, _RED, _BOLD, _DIM = "33", "31", "1", "2"


def render(explanation: Explanation, color: bool = False) -> str:
    """The cause, what it means, the line that decided, and what to do next."""

    def ink(text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if color else text

    cause = ink(explanation.cause, _YELLOW if explanation.cause == UNCLEAR else _RED, _BOLD)
    repository = f" ({explanation.repository})" if explanation.repository else ""
    lines = [f"{cause}{repository}", f"  {explanation.summary}"]
    if explanation.message:
        lines.append(f"  {ink('line:', _DIM)} {explanation.message}")
    lines += [f"  {ink('next:', _DIM)} {ink(command, _BOLD)}" for command in explanation.next]
    return "".join(f"{line}\n" for line in lines)


def render_json(explanation: Explanation) -> str:
    """One JSON document, versioned by `schema`."""
    document = {"schema": SCHEMA, "version": __version__, **explanation._asdict()}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
