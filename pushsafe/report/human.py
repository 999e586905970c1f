"""The report for a person: what is wrong, with which reference, why, and the one command that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pushsafe.model import (
    DenialReason,
    Denied,
    Evidence,
    Failed,
    Finding,
    Layers,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    PreflightVerdict,
    Pushed,
    Ready,
    Reference,
    Report,
    RepositoryCheck,
    RunError,
    Severity,
    Stage,
    TagAbsent,
    TagHeld,
    TagResult,
    TagState,
    TagUnknown,
    Verified,
)

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"
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
"""The rules whose findings say no more than a denial for this reason does."""


class Ink:
    """Colours a text, or leaves it as it is."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._color and codes else text


def render(report: Report, *, color: bool = False, evidence: bool = True) -> str:
    """Findings, one block for each listed reference, and a line that sums up; denials without their `evidence`, where
    that is shown in another way."""
    ink = Ink(color)
    blocks: list[Iterable[str]] = [
        _finding(finding, ink) for finding in report.findings if not _said_by_denial(finding, report)
    ]
    listed = {result.reference.name for result in report.results}
    unknown = (check for check in report.preflight if check.verdict is PreflightVerdict.UNKNOWN)
    blocks += [_untold(check, ink) for check in unknown if check.name in listed]
    if report.interrupted or any(not isinstance(result.outcome, NotPushed) for result in report.results):
        blocks += _results(report, ink, evidence)
    lines = [line for block in blocks for line in block]
    if report.results:
        lines += ["", _summary(report, ink)] if lines else [_summary(report, ink)]
    return "".join(f"{line}\n" for line in lines)


def render_errors(errors: Iterable[RunError], *, color: bool = False) -> str:
    """What ended the run, for stderr."""
    ink = Ink(color)
    lines = []
    for error in errors:
        lines.append(f"{ink('error', RED, BOLD)}: {error.message}")
        if error.hint:
            lines.append(f"  try: {ink(error.hint, BOLD)}")
    return "".join(f"{line}\n" for line in lines)


def render_findings(findings: Iterable[Finding], *, color: bool = False) -> str:
    """Findings alone, for stderr."""
    return "".join(f"{line}\n" for finding in findings for line in _finding(finding, Ink(color)))


def render_quiet(report: Report) -> str:
    """Each tag that is in place and verified, one a line, as `docker push --quiet` does."""
    return "".join(dict.fromkeys(f"{result.reference}\n" for result in report.results if result.confirmed))


# ---------------------------------------------------------------------- findings


def _said_by_denial(finding: Finding, report: Report) -> bool:
    """Whether a denial says the same of the same registry, and with its evidence."""
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
    said = "it could not be told before whether a push is allowed"
    yield f"{ink('?', YELLOW, BOLD)} {check.name}: {said}: {check.detail}"


# ---------------------------------------------------------------------- results


def _results(report: Report, ink: Ink, evidence: bool) -> Iterator[Iterable[str]]:
    """One block a result; a refusal for the very reason of an earlier one is not told twice."""
    verdicts = {check.name: check.verdict for check in report.preflight}
    told: dict[tuple[str, tuple[str, ...]], Reference] = {}
    for result in report.results:
        name = ink(str(result.reference), BOLD)
        match result.outcome:
            case Pushed(digest, layers):
                yield _pushed(result, name, digest, layers, ink)
            case Denied(denial):
                first = told.setdefault((denial.summary, denial.next), result.reference)
                reason = f" ({denial.reason.value})" if denial.reason.value != denial.kind.value else ""
                what = f"denied: {denial.kind.value}{reason}"
                why = (denial.summary, denial.evidence if evidence else (), denial.next)
                yield _refused(name, what, *why, "" if first is result.reference else str(first), ink)
            case Failed(failure):
                first = told.setdefault((failure.message, failure.next), result.reference)
                others = tuple(item for item in failure.evidence if evidence and item.message != failure.message)
                why = (failure.message, others, failure.next)
                same = "" if first is result.reference else str(first)
                yield _refused(name, f"failed: {failure.kind.value}", *why, same, ink)
            case NotPushed(why_not):
                yield (f"{ink('-', YELLOW, BOLD)} {name} not pushed: {why_not}",)
            case Ready():
                yield (_ready(name, verdicts.get(result.reference.name), result.before, ink),)


def _refused(
    name: str, what: str, why: str, evidence: Iterable[Evidence], commands: Iterable[str], same: str, ink: Ink
) -> Iterator[str]:
    yield f"{ink('✗', RED, BOLD)} {name} {ink(what, RED)}"
    if same:
        yield f"  for the same reason as {same}"
        return
    yield f"  {why}"
    yield from _evidence(evidence, ink)
    yield from _next(commands, ink)


def _ready(name: str, verdict: PreflightVerdict | None, before: TagState | None, ink: Ink) -> str:
    match verdict:
        case PreflightVerdict.ACCEPTED:
            return f"{ink('✓', GREEN, BOLD)} {name} {ink('may be pushed', GREEN)}{_now(before)}"
        case None:
            said = "nothing on this machine speaks against a push"
            return f"{ink('✓', GREEN, BOLD)} {name} {ink(said, GREEN)}{_now(before)}"
        case _:
            said = "nothing that could be asked speaks against a push"
            return f"{ink('?', YELLOW, BOLD)} {name} {ink(said, YELLOW)}{_now(before)}"


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


def _replaced(digest: str, before: TagState | None) -> str:
    """What a push did to the tag, where that was looked at."""
    match before:
        case TagHeld(manifest):
            return "; the tag named that already" if manifest.digest == digest else f"; replaced {manifest.digest}"
        case TagAbsent():
            return "; a new tag"
        case _:
            return ""


def _pushed(result: TagResult, name: str, digest: str, layers: Layers, ink: Ink) -> Iterator[str]:
    match result.verification:
        case Verified(manifest, via):
            through = " (through the engine)" if via == "engine" else ""
            yield f"{ink('✓', GREEN, BOLD)} {name} {ink('pushed and verified', GREEN)}{through}"
            platforms = ", ".join(map(str, manifest.platforms))
            yield ink(f"  {digest}{f'  {platforms}' if platforms else ''}", DIM)
        case Mismatch(pushed, found):
            yield f"{ink('✗', RED, BOLD)} {name} {ink('pushed, but the registry holds something else', RED)}"
            yield f"  pushed {pushed}"
            yield f"  found  {found}"
        case Missing(what):
            yield f"{ink('✗', RED, BOLD)} {name} {ink('pushed, but the registry does not show it', RED)}"
            yield f"  missing: {what}"
            yield f"  pushed {digest}"
        case NotChecked(why):
            yield f"{ink('?', YELLOW, BOLD)} {name} {ink('pushed, but it could not be read back', YELLOW)}"
            yield f"  {why}"
            yield f"  pushed {digest}"
    yield ink(f"  {_layers(layers)}{_replaced(digest, result.before)}", DIM)


def _layers(layers: Layers) -> str:
    counted = ((layers.reused, "reused"), (layers.mounted, "mounted"), (layers.sent, "sent"))
    total = layers.reused + layers.mounted + layers.sent
    parts = [f"{number} {what}" for number, what in counted if number]
    least = "at least " if layers.unsized else ""
    sent = f" ({least}{size(layers.bytes_sent)})" if layers.bytes_sent else ""
    return f"{total} layer{'' if total == 1 else 's'}: {', '.join(parts) or 'none'}{sent}"


def _evidence(evidence: Iterable[Evidence], ink: Ink) -> Iterator[str]:
    lines = [f"    {_STAGES[item.stage]:<14}  {item}" for item in evidence]
    if lines:
        yield ink("  evidence:", DIM)
        yield from (ink(line, DIM) for line in lines)


def _next(commands: Iterable[str], ink: Ink) -> Iterator[str]:
    for command in commands:
        yield f"  next: {ink(command, BOLD)}"


# ---------------------------------------------------------------------- the last line


def _summary(report: Report, ink: Ink) -> str:
    listed = len(report.results)
    good = sum(result.confirmed for result in report.results)
    seconds = dict(report.timings).get("total", 0.0)
    if ready := sum(isinstance(result.outcome, Ready) for result in report.results):
        unknown = sum(check.verdict is PreflightVerdict.UNKNOWN for check in report.preflight)
        said = f"{ready} of {listed} checked; nothing was pushed"
        return ink(f"{said}; {unknown} could not be told beforehand", YELLOW) if unknown else ink(said, GREEN)
    if good == listed:
        return f"{ink(f'{good} of {listed} pushed and verified', GREEN)} in {seconds:.1f} s"
    if any(isinstance(result.outcome, Pushed) for result in report.results):
        said = f"{good} of {listed} pushed and verified"
    elif report.interrupted:
        return ink("interrupted; no push came to its end", RED)
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


def size(count: int) -> str:
    """Bytes as docker writes them: decimal units, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.4g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1000
    raise AssertionError("unreachable")
