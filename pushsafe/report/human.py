"""The report for a person: what is wrong, with which reference, why, and the one command that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pushsafe.model import (
    Denial,
    Denied,
    Evidence,
    Failed,
    Finding,
    Layers,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Pushed,
    Report,
    RunError,
    Severity,
    Stage,
    TagResult,
    Verified,
)

_RED, _GREEN, _YELLOW, _BOLD, _DIM = "31", "32", "33", "1", "2"
_STAGES = {
    Stage.CREDENTIAL: "credential",
    Stage.PING: "registry",
    Stage.TOKEN: "login",
    Stage.PROBE: "push probe",
    Stage.ENGINE_AUTH: "login (engine)",
    Stage.PUSH: "push",
    Stage.VERIFY: "read back",
}


class _Ink:
    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._color and codes else text


def render(report: Report, *, color: bool = False) -> str:
    """Findings, one block for each listed reference, and a line that sums up."""
    ink = _Ink(color)
    blocks = [_finding(finding, ink) for finding in report.findings]
    if report.interrupted or any(not isinstance(result.outcome, NotPushed) for result in report.results):
        blocks += _results(report.results, ink)
    lines = [line for block in blocks for line in block]
    if report.results:
        lines += ["", _summary(report, ink)] if lines else [_summary(report, ink)]
    return "".join(f"{line}\n" for line in lines)


def render_errors(errors: Iterable[RunError], *, color: bool = False) -> str:
    """What ended the run, for stderr."""
    ink = _Ink(color)
    lines = []
    for error in errors:
        lines.append(f"{ink('error', _RED, _BOLD)}: {error.message}")
        if error.hint:
            lines.append(f"  try: {ink(error.hint, _BOLD)}")
    return "".join(f"{line}\n" for line in lines)


def render_quiet(report: Report) -> str:
    """Each tag that is in place and verified, one a line, as `docker push --quiet` does."""
    return "".join(dict.fromkeys(f"{result.reference}\n" for result in report.results if result.confirmed))


# ---------------------------------------------------------------------- findings


def _finding(finding: Finding, ink: _Ink) -> Iterator[str]:
    color = _RED if finding.severity is Severity.ERROR else _YELLOW
    level = f"{finding.severity.value} (allowed)" if finding.allowed else finding.severity.value
    yield f"{ink(f'{level} {finding.code}', color, _BOLD)} {finding.slug}: {finding.message}"
    if finding.fix:
        yield f"  fix: {ink(finding.fix, _BOLD)}"


# ---------------------------------------------------------------------- results


def _results(results: Iterable[TagResult], ink: _Ink) -> Iterator[Iterator[str]]:
    """One block a result; a denial for the very reason of an earlier one is not told twice."""
    told: dict[tuple[str, str], str] = {}
    for result in results:
        if isinstance(result.outcome, Denied):
            denial = result.outcome.denial
            key = (result.reference.name, denial.summary)
            if key in told:
                yield iter((_headline(result, denial, ink), f"  for the same reason as {told[key]}"))
                continue
            told[key] = result.reference.tag
        yield _result(result, ink)


def _headline(result: TagResult, denial: Denial, ink: _Ink) -> str:
    reason = f" ({denial.reason.value})" if denial.reason.value != denial.kind.value else ""
    name = ink(str(result.reference), _BOLD)
    return f"{ink('✗', _RED, _BOLD)} {name} {ink(f'denied: {denial.kind.value}{reason}', _RED)}"


def _result(result: TagResult, ink: _Ink) -> Iterator[str]:
    name = ink(str(result.reference), _BOLD)
    match result.outcome:
        case Pushed(digest, layers):
            yield from _pushed(result, name, digest, layers, ink)
        case Denied(denial):
            yield _headline(result, denial, ink)
            yield f"  {denial.summary}"
            yield from _evidence(denial.evidence, ink)
            yield from _next(denial.next, ink)
        case Failed(failure):
            yield f"{ink('✗', _RED, _BOLD)} {name} {ink(f'failed: {failure.kind.value}', _RED)}"
            yield f"  {failure.message}"
            yield from _evidence([item for item in failure.evidence if item.message != failure.message], ink)
            yield from _next(failure.next, ink)
        case NotPushed(why):
            yield f"{ink('-', _YELLOW, _BOLD)} {name} not pushed: {why}"


def _pushed(result: TagResult, name: str, digest: str, layers: Layers, ink: _Ink) -> Iterator[str]:
    match result.verification:
        case Verified(manifest, via):
            through = " (through the engine)" if via == "engine" else ""
            yield f"{ink('✓', _GREEN, _BOLD)} {name} {ink('pushed and verified', _GREEN)}{through}"
            platforms = ", ".join(map(str, manifest.platforms))
            yield ink(f"  {digest}{f'  {platforms}' if platforms else ''}", _DIM)
        case Mismatch(pushed, found):
            yield f"{ink('✗', _RED, _BOLD)} {name} {ink('pushed, but the registry holds something else', _RED)}"
            yield f"  pushed {pushed}"
            yield f"  found  {found}"
        case Missing(what):
            yield f"{ink('✗', _RED, _BOLD)} {name} {ink('pushed, but the registry does not show it', _RED)}"
            yield f"  missing: {what}"
            yield f"  pushed {digest}"
        case NotChecked(why):
            yield f"{ink('?', _YELLOW, _BOLD)} {name} {ink('pushed, but it could not be read back', _YELLOW)}"
            yield f"  {why}"
            yield f"  pushed {digest}"
    yield ink(f"  {_layers(layers)}", _DIM)


def _layers(layers: Layers) -> str:
    counted = ((layers.reused, "reused"), (layers.mounted, "mounted"), (layers.sent, "sent"))
    total = layers.reused + layers.mounted + layers.sent
    parts = [f"{number} {what}" for number, what in counted if number]
    least = "at least " if layers.unsized else ""
    sent = f" ({least}{size(layers.bytes_sent)})" if layers.bytes_sent else ""
    return f"{total} layer{'' if total == 1 else 's'}: {', '.join(parts) or 'none'}{sent}"


def _evidence(evidence: Iterable[Evidence], ink: _Ink) -> Iterator[str]:
    lines = [f"    {_STAGES[item.stage]:<14}  {describe(item)}" for item in evidence]
    if lines:
        yield ink("  evidence:", _DIM)
        yield from (ink(line, _DIM) for line in lines)


def _next(commands: Iterable[str], ink: _Ink) -> Iterator[str]:
    for command in commands:
        yield f"  next: {ink(command, _BOLD)}"


def describe(item: Evidence) -> str:
    """One piece of evidence on one line."""
    parts = []
    if item.status is not None:
        parts.append(str(item.status))
    if item.code:
        parts.append(item.code)
    if item.message:
        parts.append(item.message)
    if item.challenge:
        parts.append(f"asks for {item.challenge}")
    if item.granted is not None:
        parts.append(f"grants {', '.join(item.granted) or 'nothing'}")
    return "; ".join(parts)


# ---------------------------------------------------------------------- the last line


def _summary(report: Report, ink: _Ink) -> str:
    listed = len(report.results)
    good = sum(result.confirmed for result in report.results)
    seconds = dict(report.timings).get("total", 0.0)
    if good == listed:
        return f"{ink(f'{good} of {listed} pushed and verified', _GREEN)} in {seconds:.1f} s"
    if any(isinstance(result.outcome, Pushed) for result in report.results):
        said = f"{good} of {listed} pushed and verified"
    elif report.interrupted:
        return ink("interrupted; no push came to its end", _RED)
    else:
        said = "nothing was pushed"
    codes = dict.fromkeys(
        finding.code for finding in report.findings if finding.severity is Severity.ERROR and not finding.allowed
    )
    if report.interrupted:
        said += "; interrupted"
    elif codes:
        said += f"; docker pushsafe explain {next(iter(codes))} tells more"
    return ink(said, _RED)


def size(count: int) -> str:
    """Bytes as docker writes them: decimal units, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.4g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1000
    raise AssertionError("unreachable")
