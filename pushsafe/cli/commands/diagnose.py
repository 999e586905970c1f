"""`docker pushsafe diagnose REF`: what a push would meet, step by step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pushsafe.cli import options, params
from pushsafe.cli.session import Session, surroundings
from pushsafe.model.errors import PushsafeError
from pushsafe.model.facts import Facts
from pushsafe.model.report import RunError
from pushsafe.model.request import Asks
from pushsafe.oci.reference import BadReference, Reference, parse
from pushsafe.push.results import OVER_TIME, error_of, report_of
from pushsafe.report import FORMATS
from pushsafe.report.exit_codes import exit_code
from pushsafe.report.output import colored, end, show_errors
from pushsafe.runtime import streams
from pushsafe.runtime.signals import TimedOut

if TYPE_CHECKING:
    from pushsafe.model.inquiry import Diagnosis


@options.command(
    click.argument("reference", metavar="REF"),
    options.format_("Output format (default: human)."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH",
        help="The platform of a multi-platform image that would be pushed.",
    ),
    *options.settings("timeout"),
)
def diagnose(session: Session, common: options.Common, /, reference: str, platforms: tuple[str, ...]) -> int:
    """Show step by step what a push of REF would encounter. Run this after a denied push.

    The steps are the engine, the image, the credential and its source, the registry's challenge, the token and its
    scope, an upload that is started and cancelled, and what the tag names now. Nothing is pushed. The exit code is the
    one a push would have, as far as that is known.
    """
    read, format_ = parse(reference), common.format_
    try:
        settings = session.settings(common.settings)
        wanted = params.platforms(platforms)
        if isinstance(read, BadReference):
            return _ended(read, params.bad_reference(read), format_)
        asked = settings.request
        request = asked._replace(references=(read,), platforms=wanted, asks=Asks.PREFLIGHT, pushes=False)
        with surroundings(session, settings.timeout) as outside:
            from pushsafe.push.diagnostics import run

            found = run(request, outside)
    except PushsafeError as error:
        return _ended(read, error_of(error), format_)
    except TimedOut:
        return _ended(read, OVER_TIME, format_)
    return end(exit_code(found.report), _show(found, format_))


class _Unread(Reference):
    """An invalid reference, which names nothing."""

    __slots__ = ()

    def __str__(self) -> str:
        return ""


def _ended(read: Reference | BadReference, error: RunError, format_: str) -> int:
    """End a diagnosis without steps: the error goes to stderr, and for programs to stdout as well."""
    from pushsafe.model.inquiry import STEPS, Diagnosis, Step, StepStatus

    show_errors((error,))
    bad = isinstance(read, BadReference)
    reference = _Unread(read.given, "", "", "") if isinstance(read, BadReference) else read
    why = "the reference cannot be read" if bad else error.message
    report = report_of([Facts(reference, ())], (), {}, why, ())._replace(errors=(error,))
    steps = [Step(name, StepStatus.SKIPPED, f"not asked: {why}") for name in STEPS]
    if bad:
        steps[0] = Step(STEPS[0], StepStatus.FAILED, error.message)
    diagnosis = Diagnosis(reference, tuple(steps), report)
    return end(exit_code(report), "" if FORMATS[format_].for_people else _show(diagnosis, format_))


def _show(found: Diagnosis, format_: str) -> str:
    """Write a diagnosis to stdout; the result is the error, if any."""
    return streams.show(FORMATS[format_].renderer.render_diagnosis(found, color=colored(sys.stdout)))
