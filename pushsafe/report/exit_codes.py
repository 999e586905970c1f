"""The exit codes, and the one function that chooses among them: the only numbers in the program."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from pushsafe.model.outcomes import Denied, Failed, NotPushed, Pushed, Ready
from pushsafe.model.report import ErrorKind, Report, TagResult
from pushsafe.model.verdicts import DenialKind, FailureKind


class ExitCode(IntEnum):
    """Every status that docker pushsafe ends with; the value's docstring is what the documentation shows."""

    description: str

    def __new__(cls, value: int, description: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    OK = 0, "every tag was pushed and verified; for lint and diagnose: no problems found"
    LINT = 1, 'lint errors (including "not logged in"); nothing was pushed'
    USAGE = 2, "invalid usage, settings or reference; nothing was pushed"
    UNREACHABLE = 3, "the engine or a registry was not reachable, or --timeout expired"
    NO_AUTHENTICATION = 4, "denied: no authentication"
    INSUFFICIENT_PERMISSION = 5, "denied: insufficient permission"
    UNCLEAR = 6, "denied: unclear which of the two"
    FAILED = 7, "a push failed for another reason, on the engine's side included"
    NOT_CONFIRMED = 8, "pushed, but not confirmed: the registry does not have it, or could not be checked"
    BUG = 70, "a bug in docker pushsafe; a log was written"
    INTERRUPTED = 130, "interrupted"


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.UNREACHABLE,
    ExitCode.NO_AUTHENTICATION,
    ExitCode.INSUFFICIENT_PERMISSION,
    ExitCode.UNCLEAR,
    ExitCode.FAILED,
    ExitCode.NOT_CONFIRMED,
    ExitCode.LINT,
    ExitCode.OK,
)
"""The first of these that applies is the exit code of a run."""

_DENIALS = {
    DenialKind.NO_AUTHENTICATION: ExitCode.NO_AUTHENTICATION,
    DenialKind.INSUFFICIENT_PERMISSION: ExitCode.INSUFFICIENT_PERMISSION,
    DenialKind.UNCLEAR: ExitCode.UNCLEAR,
}
_ERRORS = {
    ErrorKind.USAGE: ExitCode.USAGE,
    ErrorKind.UNREACHABLE: ExitCode.UNREACHABLE,
    ErrorKind.ENGINE: ExitCode.FAILED,
}
_UNREACHABLE = (FailureKind.NETWORK, FailureKind.TLS)


def exit_code(report: Report) -> ExitCode:
    """The exit code of a run, by the order of PRECEDENCE."""
    return min(_applying(report), key=PRECEDENCE.index)


def _applying(report: Report) -> Iterator[ExitCode]:
    yield ExitCode.OK
    if report.interrupted:
        yield ExitCode.INTERRUPTED
    for error in report.errors:
        yield _ERRORS[error.kind]
    for result in report.results:
        yield _of_result(result)


def _of_result(result: TagResult) -> ExitCode:
    match result.outcome:
        case Denied(denial):
            return _DENIALS[denial.kind]
        case Failed(failure):
            return ExitCode.UNREACHABLE if failure.kind in _UNREACHABLE else ExitCode.FAILED
        case Pushed():
            return ExitCode.OK if result.confirmed else ExitCode.NOT_CONFIRMED
        case NotPushed():
            return ExitCode.LINT
        case Ready():
            return ExitCode.OK
