"""What a whole run came to: how many tags, how they got there, and what travelled."""

from __future__ import annotations

from typing import NamedTuple

from pushsafe.model import (
    Denied,
    Failed,
    FailureKind,
    How,
    Layers,
    NotPushed,
    Outcome,
    PreflightVerdict,
    Pushed,
    Ready,
    Report,
    Severity,
)
from pushsafe.report.ink import GREEN, RED, YELLOW, Ink, layers_line


class Summary(NamedTuple):
    """Tags of a run, each counted once: those in place and verified, and of these by how they got there.

    `layers` are those of every push of the engine, `pushes` how many pushes that were.
    """

    tags: int
    confirmed: int
    how: tuple[tuple[How, int], ...]
    layers: Layers
    pushes: int


def summarize(report: Report) -> Summary:
    """Count what a report says."""
    results = {str(result.reference): result for result in report.results}.values()
    confirmed = [result.outcome for result in results if result.confirmed and isinstance(result.outcome, Pushed)]
    pushed = [result.outcome for result in results if isinstance(result.outcome, Pushed)]
    engines = [outcome.layers for outcome in pushed if outcome.layers is not None]
    return Summary(
        tags=len(results),
        confirmed=len(confirmed),
        how=tuple((how, sum(outcome.how is how for outcome in confirmed)) for how in How),
        layers=Layers(
            reused=sum(layers.reused for layers in engines),
            mounted=sum(layers.mounted for layers in engines),
            sent=sum(layers.sent for layers in engines),
            bytes_sent=sum(layers.bytes_sent for layers in engines),
            unsized=tuple(layer for layers in engines for layer in layers.unsized),
            reported=not engines or any(layers.reported for layers in engines),
        ),
        pushes=len(engines),
    )


def render(report: Report, ink: Ink, *, timings: bool = False) -> list[str]:
    """The last lines of the report for a person; with `timings` what each phase took."""
    found = summarize(report)
    lines = [_verdict(report, found, ink), *_details(found)] if report.results else []
    if timings and report.timings:
        took = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in report.timings)
        lines.append(f"time: {took}   (phases overlap)")
    return lines


def _verdict(report: Report, found: Summary, ink: Ink) -> str:
    if ready := sum(isinstance(result.outcome, Ready) for result in report.results):
        return _checked(report, ready, ink)
    if found.confirmed == found.tags:
        seconds = dict(report.timings).get("total", 0.0)
        return f"{ink(_in_place(found), GREEN)} in {seconds:.1f} s"
    if any(isinstance(result.outcome, Pushed) for result in report.results):
        said = "; ".join(filter(None, (_in_place(found), _lost(report))))
    elif any(_begun(result.outcome) for result in report.results):
        said = "no push is known to have come to its end"
    else:
        said = "nothing was pushed"
    codes = dict.fromkeys(
        finding.code for finding in report.findings if finding.severity is Severity.ERROR and not finding.allowed
    )
    if report.interrupted:
        said += "; interrupted"
    elif codes:
        said += f"; docker pushsafe explain {next(iter(codes))} tells more"
    return ink(said, RED)


def _begun(outcome: Outcome) -> bool:
    """Whether something may have got there all the same."""
    match outcome:
        case NotPushed():
            return outcome.begun
        case Denied():
            return outcome.begun
        case Failed(failure):
            return outcome.begun or failure.kind in (FailureKind.REDUCED, FailureKind.NETWORK)
        case _:
            return False


def _lost(report: Report) -> str:
    """What became of the tags that are not in place."""
    results = {str(result.reference): result.outcome for result in report.results}.values()
    kinds = ((Denied, "denied"), (Failed, "failed"), (NotPushed, "not pushed"))
    counted = [(sum(isinstance(outcome, kind) for outcome in results), said) for kind, said in kinds]
    return ", ".join(f"{number} {said}" for number, said in counted if number)


def _checked(report: Report, ready: int, ink: Ink) -> str:
    unknown = sum(check.verdict is PreflightVerdict.UNKNOWN for check in report.preflight)
    said = f"{ready} of {len(report.results)} checked; nothing was pushed"
    return ink(f"{said}; whether {unknown} may be pushed is unknown", YELLOW) if unknown else ink(said, GREEN)


def _in_place(found: Summary) -> str:
    only_pushed = dict(found.how)[How.PUSHED] == found.confirmed
    return f"{found.confirmed} of {found.tags} {'pushed' if only_pushed else 'in place'} and verified"


def _details(found: Summary) -> list[str]:
    """How the tags got there, and what travelled; nothing where the one tag's own lines say it all."""
    if found.tags < 2 or not found.confirmed:
        return []
    said = ", ".join(f"{number} {how.value.replace('-', ' ')}" for how, number in found.how if number)
    if found.pushes:
        said += f"; {layers_line(found.layers)}"
    return [said]
