"""What `diagnose` and `explain-error` find."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.report import Report
from pushsafe.oci.reference import Reference


class StepStatus(Enum):
    """How a step stands. COMPARED is an answer to nobody, asked for only to be compared with the credential's."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    COMPARED = "compared"


class Step(NamedTuple):
    """One thing that a push needs, and how it stands."""

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
    """The steps in the order in which a push takes them; `report` is that of a push that ends before it begins."""

    reference: Reference
    steps: tuple[Step, ...]
    report: Report


UNCLEAR = "unclear"


class Explanation(NamedTuple):
    """What a text means.

    `cause` is that of a denial or failure (`no-authentication`, `policy`, ...) or `unclear`. `message` is the line that
    decided, fit to show, without secrets. `repository` is the one that the text names, with its registry where that is
    told, without a tag; empty if none. `next` holds commands, or a sentence where no command mends it.
    """

    cause: str
    message: str
    repository: str
    summary: str
    next: tuple[str, ...] = ()
