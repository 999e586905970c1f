"""The report of a run: exactly one result for each listed reference; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pushsafe import __version__
from pushsafe.model.errors import EngineFailed, OutOfTime, PushsafeError, UsageError
from pushsafe.model.evidence import Stage
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Denied, Failed, NotChecked, NotPushed
from pushsafe.model.report import ErrorKind, Report, RunError, TagResult
from pushsafe.model.verdicts import Denial, Failure, Finding

OUT_OF_TIME = "the time for the whole run was over"
UNPUSHED = NotChecked("nothing was pushed")
_MORE_TIME = "a longer --timeout, or none"
OVER_TIME = RunError(ErrorKind.UNREACHABLE, OUT_OF_TIME, _MORE_TIME)
"""The error of a run that was over time."""


def never_begun(waited_for: str) -> OutOfTime:
    """The error of a run that was over time before it began."""
    return OutOfTime(f"{OUT_OF_TIME} while {waited_for}", _MORE_TIME)


def error_of(error: PushsafeError) -> RunError:
    """An exception as the error of a run."""
    kind = ErrorKind.ENGINE if isinstance(error, EngineFailed) else ErrorKind.UNREACHABLE
    return RunError(ErrorKind.USAGE if isinstance(error, UsageError) else kind, error.message, error.hint)


def outcome_of(verdict: Denial | Failure, stage: Stage = Stage.PUSH) -> Denied | Failed:
    """The outcome of a tag that was refused at this stage."""
    return Denied(verdict, stage) if isinstance(verdict, Denial) else Failed(verdict)


def report_of(
    facts: Sequence[Facts],
    findings: tuple[Finding, ...],
    results: Mapping[str, TagResult],
    why_not: str,
    timings: Sequence[tuple[str, float]],
) -> Report:
    """The report: exactly one result for each listed reference, `why_not` for those without one in `results`."""
    return Report(
        version=__version__,
        findings=findings,
        results=tuple(
            results.get(str(fact.reference), TagResult(fact.reference, NotPushed(why_not), UNPUSHED))._replace(
                reference=fact.reference, before=fact.tag_now, staging=bool(fact.staged)
            )
            for fact in facts
        ),
        timings=tuple((phase, round(seconds, 4)) for phase, seconds in timings),
    )
