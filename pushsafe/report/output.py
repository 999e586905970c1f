"""The output of a command: the report in its format, errors, progress, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TextIO

from pushsafe.model.report import ErrorKind, Report, RunError
from pushsafe.model.verdicts import Severity
from pushsafe.report import FORMATS, human
from pushsafe.report.exit_codes import ExitCode, exit_code
from pushsafe.runtime import streams
from pushsafe.runtime.signals import install_stop

if TYPE_CHECKING:
    from pushsafe.report.digest_file import DigestFile
    from pushsafe.report.progress import Display


_PUSHING = frozenset(("build", "push", "tag", "verify"))
"""The phases that begin only after the warnings were shown."""


class Output(NamedTuple):
    """How the report is shown, and where else it is written.

    `live` is false if something else draws on the terminal: then progress is not drawn.
    """

    format: str
    quiet: bool = False
    digest_file: DigestFile | None = None
    timings: bool = False
    live: bool = True


def show(report: Report, output: Output) -> int:
    """Render the report, write the digest file, and return the exit code, whether or not output can be written.

    The run is over: a first signal to stop still gets the report, the second one ends it.
    """
    with install_stop({}, lambda: None):
        return _show(report, output)


def _show(report: Report, output: Output) -> int:
    status = exit_code(report)
    show_errors(report.errors)
    form = FORMATS[output.format]
    if not form.for_people:
        problem = streams.show(form.renderer.render(report))
    elif output.quiet:
        problem = streams.show(human.render_quiet(report))
        streams.tell(human.render(_without_verified(report), color=colored(sys.stderr), timings=output.timings))
    else:
        shown = form.renderer.render(_untold(report), color=colored(sys.stdout), timings=output.timings)
        problem = streams.show(shown)
    if output.digest_file is not None:
        from pushsafe.report.digest_file import render

        unwritten = output.digest_file.write(render(report))
        if unwritten:
            show_errors((RunError(ErrorKind.ENGINE, unwritten),))
            status = status or ExitCode.FAILED
    return end(status, problem)


def end(status: ExitCode, problem: str) -> int:
    """The exit code of a run or command after its output was written; `problem` is why it could not be."""
    if not problem:
        return status
    show_errors((RunError(ErrorKind.ENGINE, f"the report cannot be written: {problem}"),))
    return status or ExitCode.FAILED


def _without_verified(report: Report) -> Report:
    """The messages that `--quiet` keeps on stderr: errors only."""
    if exit_code(report) is ExitCode.OK:
        return report._replace(results=(), findings=())
    return report


def _untold(report: Report) -> Report:
    """What a terminal has not shown yet: warnings were shown before the push."""
    told = sys.stderr.isatty() and sys.stdout.isatty() and not _PUSHING.isdisjoint(dict(report.timings))
    mentioned = tuple(finding for finding in report.findings if finding.severity is Severity.INFO)
    return report._replace(findings=mentioned) if told else report


def show_errors(errors: Sequence[RunError]) -> None:
    streams.tell(human.render_errors(errors, color=colored(sys.stderr)))


def colored(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def display(output: Output) -> Iterator[Display]:
    from pushsafe.report.lines import Lines
    from pushsafe.report.live import Lazy, Live
    from pushsafe.report.progress import Display

    if output.quiet:
        shown: Display = Display()
    elif sys.stderr.isatty():
        shown = Lazy(Live if output.live else Lines, color=colored(sys.stderr))
    else:
        shown = Lines()
    try:
        yield shown
    finally:
        shown.close()
