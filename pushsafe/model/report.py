"""What a run found and did."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.evidence import Evidence, TagState
from pushsafe.model.outcomes import Outcome, Pushed, Verification, Verified
from pushsafe.model.plan import PushPlan
from pushsafe.model.verdicts import Finding
from pushsafe.oci.reference import Reference


class Along(NamedTuple):
    """A tag that nobody listed, in the repository of one that was: signatures and the like, which are found by the
    digest of their image. It was read back, and names `digest`."""

    tag: str
    digest: str


class TagResult(NamedTuple):
    """Exactly one per listed reference, in the listed order. `before` is what the tag named before the push.

    `staging` marks a tag that no one asked for: an image of the engine gets to its registry under it, for an index.
    `along` are the tags that its image's signatures and the like have in its repository.
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
        """Whether the registry holds what was pushed, shown by reading it back."""
        return isinstance(self.outcome, Pushed) and isinstance(self.verification, Verified)


class ErrorKind(Enum):
    """What ends a run before, or without, a result of a push."""

    USAGE = "usage"
    UNREACHABLE = "unreachable"
    ENGINE = "engine"


class RunError(NamedTuple):
    """Something that concerns the whole run, e.g. a reference that cannot be read or an engine that is down."""

    kind: ErrorKind
    message: str
    hint: str = ""


class PreflightVerdict(Enum):
    """What the preflight of one repository came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class RepositoryCheck(NamedTuple):
    """The preflight of one repository (`name` with its registry); `detail` says why it is refused or unknown."""

    name: str
    verdict: PreflightVerdict
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()


class Report(NamedTuple):
    """What a run found and did; renderers turn it into text, `exitcodes.exit_code` into a number.

    `timings` are seconds by phase, for as long as anything of it was under way: phases overlap. `plan` is there where
    it was asked for. `preflight_off` is the option, variable or file that switched the preflight off, empty where it
    was on, or where the command has none.
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
