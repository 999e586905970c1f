"""The report of a run."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.evidence import Evidence, TagState
from pushsafe.model.outcomes import Outcome, Pushed, Verification, Verified
from pushsafe.model.plan import PushPlan
from pushsafe.model.verdicts import Finding
from pushsafe.oci.reference import Reference


class Along(NamedTuple):
    """A tag no one listed, next to a listed one: signatures and the like, found by their image's digest. It was
    verified to name `digest`."""

    tag: str
    digest: str


class TagResult(NamedTuple):
    """The result of one listed reference, in the listed order. `before` is what the tag named before the push.

    `staging` marks a temporary tag through which an engine's image reaches the registry for an index. `along` are the
    tags of the image's signatures and the like.
    """

    reference: Reference
    outcome: Outcome
    verification: Verification
    seconds: float = 0.0
    before: TagState | None = None
    staging: bool = False
    along: tuple[Along, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether the tag was verified: the registry holds what was pushed."""
        return isinstance(self.outcome, Pushed) and isinstance(self.verification, Verified)


class ErrorKind(Enum):
    """The kind of an error that ends a run without a result for each tag."""

    USAGE = "usage"
    UNREACHABLE = "unreachable"
    ENGINE = "engine"


class RunError(NamedTuple):
    """An error of the whole run, e.g. an invalid reference or a dead engine."""

    kind: ErrorKind
    message: str
    hint: str = ""


class PreflightVerdict(Enum):
    """The verdict of one repository's preflight."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class RepositoryCheck(NamedTuple):
    """The preflight of one repository (`name` with its registry); `detail` is why it is refused or unknown."""

    name: str
    verdict: PreflightVerdict
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()


class Report(NamedTuple):
    """What a run found and did; renderers turn it into text, `exit_codes.exit_code` into a number.

    `timings` are seconds by phase; phases overlap. `plan` is there if requested. `preflight_off` is the option,
    variable or file that disabled the preflight; empty if it ran, or if the command has none.
    """

    version: str
    errors: tuple[RunError, ...] = ()
    findings: tuple[Finding, ...] = ()
    results: tuple[TagResult, ...] = ()
    preflight: tuple[RepositoryCheck, ...] = ()
    timings: tuple[tuple[str, float], ...] = ()
    interrupted: bool = False
    plan: PushPlan | None = None
    preflight_off: str = ""
