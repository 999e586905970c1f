"""Text for people: a report with findings, plan, results and summary; a diagnosis; an explanation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.inquiry import UNCLEAR, Diagnosis, Explanation, StepStatus
from pushsafe.model.outcomes import (
    Denied,
    Failed,
    Layers,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Outcome,
    Pushed,
    Ready,
    Verified,
)
from pushsafe.model.plan import How, PushPlan, Step
from pushsafe.model.report import PreflightVerdict, Report, RepositoryCheck, RunError, TagResult
from pushsafe.model.verdicts import DenialReason, FailureKind, Finding, Severity
from pushsafe.oci.reference import Reference
from pushsafe.report.style import BOLD, DIM, GREEN, RED, YELLOW, Ink, layers_line

_STAGES = {
    Stage.CREDENTIAL: "credential",
    Stage.PING: "registry",
    Stage.TOKEN: "token",
    Stage.LOGIN: "login",
    Stage.PROBE: "push probe",
    Stage.ENGINE_AUTH: "login (engine)",
    Stage.PUSH: "push",
    Stage.VERIFY: "read back",
}
_SAME = {DenialReason.NOT_LOGGED_IN: "PS301", DenialReason.CREDENTIAL_EXPIRED: "PS302"}
"""The rules whose findings a denial for this reason makes redundant."""


def render(report: Report, *, color: bool = False, evidence: bool = True, timings: bool = False) -> str:
    """Findings, one block for each listed reference, the plan if requested, and a summary line.

    Denials come without their `evidence` if that is shown elsewhere; with `timings` the seconds of each phase.
    """
    ink = Ink(color)
    blocks: list[Iterable[str]] = [
        _finding(finding, ink) for finding in report.findings if not _said_by_denial(finding, report)
    ]
    listed = {result.reference.name for result in report.results}
    unknown = (check for check in report.preflight if check.verdict is PreflightVerdict.UNKNOWN)
    blocks += [_untold(check, ink) for check in unknown if check.name in listed]
    if report.interrupted or any(_tells(result.outcome) for result in report.results):
        blocks += _results(report, ink, evidence)
    if report.plan is not None:
        blocks.append(plan_lines(report.plan, ink))
    lines = [line for block in blocks for line in block]
    if last := summary_lines(report, ink, timings=timings):
        lines += ["", *last] if lines else last
    return "".join(f"{line}\n" for line in lines)


def _tells(outcome: Outcome) -> bool:
    """Whether it says more than that nothing was pushed, which the last line says for all."""
    return not isinstance(outcome, NotPushed) or outcome.begun


def render_errors(errors: Iterable[RunError], *, color: bool = False) -> str:
    """The error that ended the run, for stderr."""
    ink = Ink(color)
    lines = []
    for error in errors:
        lines.append(f"{ink('error', RED, BOLD)}: {error.message}")
        if error.hint:
            lines.append(f"  try: {ink(error.hint, BOLD)}")
    return "".join(f"{line}\n" for line in lines)


def render_findings(findings: Iterable[Finding], *, color: bool = False) -> str:
    """The findings alone, for stderr."""
    return "".join(f"{line}\n" for finding in findings for line in _finding(finding, Ink(color)))


def render_quiet(report: Report) -> str:
    """Each requested tag that is in place and verified, one per line, as `docker push --quiet` does."""
    wanted = (result for result in report.results if result.confirmed and not result.staging)
    return "".join(dict.fromkeys(f"{result.reference}\n" for result in wanted))


def _said_by_denial(finding: Finding, report: Report) -> bool:
    """Whether a denial is the same for the same registry, evidence included."""
    return any(
        finding.code == _SAME.get(result.outcome.denial.reason)
        and finding.reference.registry == result.reference.registry
        for result in report.results
        if isinstance(result.outcome, Denied)
    )


def _finding(finding: Finding, ink: Ink) -> Iterator[str]:
    color = {Severity.ERROR: RED, Severity.WARNING: YELLOW, Severity.INFO: DIM}[finding.severity]
    level = f"{finding.severity.value} (allowed)" if finding.allowed else finding.severity.value
    yield f"{ink(f'{level} {finding.code}', color, BOLD)} {finding.slug}: {finding.message}"
    if finding.fix:
        label = "see" if finding.severity is Severity.INFO else "fix"
        yield f"  {label}: {ink(finding.fix, BOLD)}"


def _untold(check: RepositoryCheck, ink: Ink) -> Iterator[str]:
    said = "could not check whether a push is allowed"
    yield f"{ink('?', YELLOW, BOLD)} {check.name}: {said}: {check.detail}"


def _results(report: Report, ink: Ink, evidence: bool) -> Iterator[Iterable[str]]:
    """One block for each result; a denial's reason and an image's digest appear once."""
    shown: set[str] = set()
    verdicts = {check.name: check.verdict for check in report.preflight}
    told: dict[tuple[str, tuple[str, ...]], Reference] = {}
    for result in report.results:
        name = ink(str(result.reference), BOLD)
        match result.outcome:
            case Pushed():
                again = result.outcome.layers is None and result.outcome.digest in shown
                shown.add(result.outcome.digest)
                yield _pushed(result, result.outcome, name, ink, brief=again)
            case Denied(denial):
                reason = f" ({denial.reason.value})" if denial.reason.value != denial.kind.value else ""
                what = f"denied: {denial.kind.value}{reason}"
                why = (denial.summary, denial.evidence if evidence else (), denial.next)
                yield _refused(result.reference, what, *why, result.outcome.seen, told, ink)
            case Failed(failure):
                others = tuple(item for item in failure.evidence if evidence and item.message != failure.message)
                why = (failure.message, others, failure.next)
                yield _refused(result.reference, f"failed: {failure.kind.value}", *why, result.outcome.seen, told, ink)
            case NotPushed(why_not):
                yield (f"{ink('-', YELLOW, BOLD)} {name} not pushed: {why_not}",)
            case Ready() if report.plan is None:  # which shows every tag
                yield (_ready(name, verdicts.get(result.reference.name), result.before, ink),)


def _refused(
    reference: Reference,
    what: str,
    why: str,
    evidence: Iterable[Evidence],
    commands: tuple[str, ...],
    seen: str,
    told: dict[tuple[str, tuple[str, ...]], Reference],
    ink: Ink,
) -> Iterator[str]:
    first = told.setdefault((why, commands), reference)
    yield f"{ink('✗', RED, BOLD)} {ink(str(reference), BOLD)} {ink(what, RED)}"
    yield f"  {why}" if first is reference else f"  for the same reason as {first}"
    if seen:
        yield ink(f"  {seen}", YELLOW)
    if first is not reference:
        return
    yield from _evidence(evidence, ink)
    yield from _next(commands, ink)


def _ready(name: str, verdict: PreflightVerdict | None, before: TagState | None, ink: Ink) -> str:
    mark, color, said = "✓", GREEN, "may be pushed"
    if verdict is None:
        said = "no problems found on this machine"
    elif verdict is not PreflightVerdict.ACCEPTED:
        mark, color, said = "?", YELLOW, "no problems found, but not everything could be checked"
    return f"{ink(mark, color, BOLD)} {name} {ink(said, color)}{_now(before)}"


def _now(state: TagState | None) -> str:
    match state:
        case TagHeld(manifest):
            return f" (it names {manifest.digest} now)"
        case TagAbsent():
            return " (a new tag)"
        case TagUnknown(why):
            return f" (what it names now is not known: {why})"
        case None:
            return ""


def _replaced(pushed: Pushed, before: TagState | None) -> str:
    """How a push changed the tag, if it was inspected before."""
    match before:
        case TagHeld(manifest) if manifest.digest != pushed.digest:
            return f"replaced {manifest.digest}"
        case TagAbsent():
            return "a new tag"
        case _:
            return ""


def _pushed(result: TagResult, pushed: Pushed, name: str, ink: Ink, *, brief: bool) -> Iterator[str]:
    """A tag in place; `brief`: its digest was shown before."""
    did = {How.PUSHED: "pushed", How.TAGGED: "tagged", How.ALREADY_THERE: "already there"}[pushed.how]
    parts = (layers_line(pushed.layers) if pushed.layers else "", _replaced(pushed, result.before))
    details = "; ".join(filter(None, parts))
    short = pushed.layers is None and isinstance(result.verification, Verified)
    match result.verification:
        case Verified(manifest, via):
            through = " (through the engine)" if via == "engine" else ""
            aside = ink(f"; {details}", DIM) if short and details else ""
            yield f"{ink('✓', GREEN, BOLD)} {name} {ink(f'{did} and verified', GREEN)}{through}{aside}"
            if not brief:
                platforms = ", ".join(map(str, manifest.platforms))
                yield ink(f"  {pushed.digest}{f'  {platforms}' if platforms else ''}", DIM)
        case Mismatch(wanted, found):
            yield f"{ink('✗', RED, BOLD)} {name} {ink(f'{did}, but the registry holds something else', RED)}"
            yield f"  {'pushed' if pushed.how is How.PUSHED else 'wanted'} {wanted}"
            yield f"  found  {found}"
        case Missing(what):
            yield f"{ink('✗', RED, BOLD)} {name} {ink(f'{did}, but the registry does not show it', RED)}"
            yield f"  missing: {what}"
            yield f"  {did} {pushed.digest}"
        case NotChecked(why):
            yield f"{ink('?', YELLOW, BOLD)} {name} {ink(f'{did}, but it could not be read back', YELLOW)}"
            yield f"  {why}"
            yield f"  {did} {pushed.digest}"
    if details and not short:
        yield ink(f"  {details}", DIM)
    if result.along:
        yield ink(f"  with it: {', '.join(one.tag for one in result.along)}", DIM)
    if pushed.because:
        yield ink(f"  pushed by the engine, because it could not be tagged directly: {pushed.because}", DIM)
    if pushed.despite:
        yield ink(f"  the push itself ended with an error: {pushed.despite}", DIM)


def _evidence(evidence: Iterable[Evidence], ink: Ink) -> Iterator[str]:
    lines = [f"    {_STAGES[item.stage]:<14}  {item}" for item in evidence]
    if lines:
        yield ink("  evidence:", DIM)
        yield from (ink(line, DIM) for line in lines)


def _next(commands: Iterable[str], ink: Ink) -> Iterator[str]:
    for command in commands:
        yield f"  next: {ink(command, BOLD)}"


_LAST = "last, and only when all of that is in place:"


def plan_lines(plan: PushPlan, ink: Ink) -> list[str]:
    """A line for each tag, by registry; the moving tags last."""
    lines = [ink("the plan:", BOLD)]
    for last in (False, True):
        steps = [step for step in plan.steps if step.last is last]
        if last and steps:
            lines.append(f"  {_LAST}" if len(lines) > 1 else "  all of these are moving tags:")
        for registry in dict.fromkeys(step.reference.registry for step in steps):
            lines.append(f"  {ink(registry, BOLD)}")
            lines += _step_lines((step for step in steps if step.reference.registry == registry), ink)
    return lines


def _step_lines(steps: Iterable[Step], ink: Ink) -> Iterator[str]:
    named = [(step, f"{step.reference.repository}{step.reference.tag_suffix}") for step in steps]
    width = max((len(name) for _, name in named), default=0)
    for step, name in named:
        verb, why = _step_words(step)
        yield f"    {verb:<5} {name:<{width}}  {ink(why, DIM)}"


def _step_words(step: Step) -> tuple[str, str]:
    match step.how:
        case How.PUSHED:
            return "push", f"from {step.origin}" if step.origin else "through the engine"
        case How.TAGGED:
            return "tag", f"{f'the manifest of {step.source.tag}' if step.source else 'the index'}, put directly"
        case How.ALREADY_THERE:
            return "keep", "it names this image already"


class Summary(NamedTuple):
    """Tags of a run, each counted once: those in place and verified, and how they got there.

    `layers` are those of all engine pushes, `pushes` the number of these.
    """

    tags: int
    confirmed: int
    how: tuple[tuple[How, int], ...]
    layers: Layers
    pushes: int


def summarize(report: Report) -> Summary:
    """Count the results of a report."""
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


def summary_lines(report: Report, ink: Ink, *, timings: bool = False) -> list[str]:
    """The last lines of the report; with `timings` the seconds of each phase."""
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
        said = "no push completed"
    else:
        said = "nothing was pushed"
    codes = dict.fromkeys(
        finding.code for finding in report.findings if finding.severity is Severity.ERROR and not finding.allowed
    )
    if report.interrupted:
        said += "; interrupted"
    elif codes:
        said += f"; see docker pushsafe explain {next(iter(codes))}"
    return ink(said, RED)


def _begun(outcome: Outcome) -> bool:
    """Whether something may have been pushed all the same."""
    if isinstance(outcome, Failed) and outcome.failure.kind in (FailureKind.REDUCED, FailureKind.NETWORK):
        return True
    return isinstance(outcome, NotPushed | Denied | Failed) and outcome.begun


def _lost(report: Report) -> str:
    """The outcomes of the tags that are not in place."""
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
    """How the tags got there, and the bytes sent; empty if a single tag's own lines say it all."""
    if found.tags < 2 or not found.confirmed:
        return []
    said = ", ".join(f"{number} {how.value.replace('-', ' ')}" for how, number in found.how if number)
    if found.pushes:
        said += f"; {layers_line(found.layers)}"
    return [said]


_STEPS = {
    StepStatus.OK: ("✓", GREEN),
    StepStatus.FAILED: ("✗", RED),
    StepStatus.UNKNOWN: ("?", YELLOW),
    StepStatus.SKIPPED: ("-", DIM),
    StepStatus.COMPARED: ("·", DIM),
}


def render_diagnosis(found: Diagnosis, *, color: bool = False) -> str:
    """A line for each step, then the outcome of a push and the next command."""
    ink = Ink(color)
    width = max(len(step.name) for step in found.steps)
    steps = "".join(f"{ink(*_STEPS[step.status])} {step.name:<{width}}  {step.detail}\n" for step in found.steps)
    # the engine's step has the error; only the fix is left to say
    hints = "".join(f"  try: {ink(error.hint, BOLD)}\n" for error in found.report.errors if error.hint)
    return f"{steps}\n{hints}{render(found.report, color=color, evidence=False)}"


def render_explanation(explanation: Explanation, *, color: bool = False) -> str:
    """The cause, its meaning, the decisive line, and what to do next."""
    ink = Ink(color)
    cause = ink(explanation.cause, YELLOW if explanation.cause == UNCLEAR else RED, BOLD)
    repository = f" ({explanation.repository})" if explanation.repository else ""
    lines = [f"{cause}{repository}", f"  {explanation.summary}"]
    if explanation.message:
        lines.append(f"  {ink('line:', DIM)} {explanation.message}")
    lines += [f"  {ink('next:', DIM)} {ink(command, BOLD)}" for command in explanation.next]
    return "".join(f"{line}\n" for line in lines)
