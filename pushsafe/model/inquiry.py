"""The results of `diagnose` and `explain-error`."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.report import Report
from pushsafe.oci.reference import Reference


class StepStatus(Enum):
    """The status of a step. COMPARED is an answer to an anonymous request, asked only for comparison."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    COMPARED = "compared"


class Step(NamedTuple):
    """One requirement of a push, and its status."""

    name: str
    status: StepStatus
    detail: str


STEPS = (
    "reference",
    "engine",
    "image",
    "credential",
    "registry",
    "challenge",
    "token",
    "grant",
    "push probe",
    "tag now",
)
"""The steps of every diagnosis, in the order in which a push takes them."""


class Diagnosis(NamedTuple):
    """Steps in the order of a push; `report` is that of a push that stops before it begins."""

    reference: Reference
    steps: tuple[Step, ...]
    report: Report


UNCLEAR = "unclear"


class Explanation(NamedTuple):
    """The meaning of an error text.

    `cause` is that of a denial or failure (`no-authentication`, `policy`, ...) or `unclear`. `message` is the decisive
    line, safe to show. `repository` is the one in the text, without a tag, with its registry if given; else empty.
    `next` holds commands, or a sentence if no command helps.
    """

    cause: str
    message: str
    repository: str
    summary: str
    next: tuple[str, ...] = ()
