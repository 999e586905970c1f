"""Runs a command: settings, gateways, the deadline, and a report however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pushsafe import __version__
from pushsafe.cli import plugin
from pushsafe.cli.options import Common, Settings
from pushsafe.cli.params import errors_of
from pushsafe.cli.settings import load, time_limit
from pushsafe.model.errors import PushsafeError
from pushsafe.model.facts import Facts
from pushsafe.model.report import Report
from pushsafe.model.request import Archive, DockerFlags, PushRequest
from pushsafe.oci.reference import Reference
from pushsafe.push.results import OUT_OF_TIME, OVER_TIME, never_begun, report_of
from pushsafe.report.output import Output, display, show
from pushsafe.runtime import signals, streams
from pushsafe.runtime.signals import TimedOut, deadline, silence

if TYPE_CHECKING:
    from pushsafe.push.ports import Gateways

    Request = PushRequest | Callable[[Gateways], PushRequest]
    """What to push, or a function that finds out with the gateways."""


class Session(NamedTuple):
    """The input of every command: docker's global flags and the environment."""

    flags: DockerFlags
    environ: Mapping[str, str]

    def settings(self, given: Mapping[str, object]) -> Settings:
        """The settings of a run; `given` are the values of options, None for those not given.

        Standard error gets the warnings, and a note if the preflight is off. Raises UsageError, and OutOfTime if
        reading takes longer than the run may.
        """
        with in_time(time_limit(self.environ, given), "the settings were read"):
            settings = load(self.environ, Path(), given)
        for warning in settings.warnings:
            streams.tell(f"warning: {warning}\n")
        off = settings.preflight_off if "preflight" in given else ""
        if off:
            streams.tell(f"note: the preflight is off: {off}\n")
        return settings._replace(preflight_off=off, signed=plugin.wants_signatures(self.environ))


@contextmanager
def in_time(timeout: float | None, waited_for: str) -> Iterator[None]:
    """Raise OutOfTime if a block before the run takes longer than the run may."""
    try:
        with deadline(timeout):
            yield
    except TimedOut:
        raise never_begun(waited_for) from None


@contextmanager
def surroundings(session: Session, timeout: float | None, with_engine: bool = True) -> Iterator[Gateways]:
    """The gateways for a run of at most `timeout` seconds, which docker, signals and the deadline may stop."""
    # Before the imports: a stop may be requested during them.
    with signals.install_stop(session.environ) as watch, deadline(timeout) as left:
        from pushsafe.cli.bootstrap import gateways

        with gateways(session.flags, session.environ, left, with_engine) as outside:
            for warning in outside.credentials.warnings:
                streams.tell(f"warning: {warning}\n")
            try:
                yield outside
            finally:
                # Closing is short, and an exception in a library's finalizers would print a traceback.
                watch.ease()
                silence()


def run_and_show(
    session: Session, common: Common, request_of: Callable[[Settings], Request], *, live: bool = True
) -> int:
    """Run a command's request, show the report, and return the exit code.

    `request_of` may raise UsageError. Progress is drawn if `live`.
    """
    output = Output(common.format_, common.quiet, timings=common.timings, live=live)
    try:
        common.require_sense()
        settings = session.settings(common.settings)
        request = request_of(settings)
        if common.digest_file is not None:
            from pushsafe.report.digest_file import DigestFile

            output = output._replace(digest_file=DigestFile(common.digest_file))
    except PushsafeError as error:
        return show(Report(__version__, errors=errors_of(error)), output)
    report = _run(session, request, output, settings.timeout)
    return show(report._replace(preflight_off=settings.preflight_off), output)


def _run(session: Session, request: Request, output: Output, timeout: float | None) -> Report:
    """The report of the run, however it ends."""
    done: list[Report] = []
    listed = request.references if isinstance(request, PushRequest) else ()
    from_files = isinstance(request, PushRequest) and isinstance(request.origin, Archive)
    try:
        with surroundings(session, timeout, not from_files) as outside:
            if not isinstance(request, PushRequest):
                request = request(outside)
                listed = request.references
            # Not needed for `--help`, `rules` or a bad reference.
            from pushsafe.push.pipeline import run as run_pipeline
            from pushsafe.sources import source_of

            with display(output) as shown:
                done.append(run_pipeline(request, outside, shown, source_of))
    except PushsafeError as error:
        done.append(_nothing_done(listed, "the run ended before it")._replace(errors=errors_of(error)))
    except TimedOut:
        done.append(_nothing_done(listed, OUT_OF_TIME)._replace(errors=(OVER_TIME,)))
    except KeyboardInterrupt:
        done.append(_nothing_done(listed, "interrupted")._replace(interrupted=True))
    return done[0]  # a report that was complete before an interruption counts


def _nothing_done(listed: Iterable[Reference], why: str) -> Report:
    return report_of([Facts(reference, ()) for reference in listed], (), {}, why, ())
