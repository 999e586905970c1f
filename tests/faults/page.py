"""docs/faults.md: the stages, the faults, and what a run of the matrix came to."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pushsafe import __version__
from tests.faults.judge import Figure
from tests.faults.matrix import cases
from tests.faults.running import Verdict
from tests.faults.stages import STAGES, WAYS
from tests.faults.table import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
_MEASURED = re.compile(r"<!-- begin measured -->\n.*<!-- end measured -->\n", re.DOTALL)

_HEAD = """\
# Faults

What a push does when a registry misbehaves at any moment. `python -m tests.faults` runs the real program: it pushes
three tags (`1.4.2`, `1.4` and the moving `latest`) to a registry with token authentication that answers every request
of one stage (or, marked `'`, only the first) with a fault. What the report claims is then compared with what the
registry holds: each tag, each manifest, each blob, with all digests computed anew. `tests/lab/test_faults.py` runs a
sample of the cases. This page is written by `python -m tests.faults --write`.

A case is called `WAY/STAGE/FAULT`, and is run alone by `python -m tests.faults --case WAY/STAGE/FAULT --verbose`.

"""

_FIGURES = {
    Figure.FALSE_SUCCESS: "a tag reported as verified that the registry does not hold so; exit code 0 without all tags",
    Figure.BROKEN: "a traceback, exit code 70, no report, or one that its schema does not allow",
    Figure.ENDLESS: "a run that `--timeout` does not end",
    Figure.CREDENTIAL: "a credential that this program sent to another host, port or scheme",
    Figure.EARLY: "`latest` in place before every other tag was, or while another is not confirmed",
    Figure.INCOMPLETE: "a tag that leads to content the registry does not have",
    Figure.UPLOAD: "an upload that this program opened, knew the place of, and did not ask to cancel",
    Figure.UNDERSOLD: "a tag reported as not pushed that the registry holds, without saying that it may",
}


def page(verdicts: Sequence[Verdict], when: str) -> str:
    """The whole page, with what came of a run."""
    return _HEAD + _measured(verdicts, when) + _tables()


def is_fresh(text: str) -> bool:
    """Whether a page is in step with the tables; what was measured is as old as it says."""
    found = _MEASURED.search(text)
    return found is not None and text == _HEAD + found[0] + _tables()


def _tables() -> str:
    lines = ["", f"## Cases: {len(cases())}", "", "| way | cases | an image comes from |", "|---|---|---|"]
    for name, what in WAYS.items():
        lines.append(f"| {name} | {sum(case.way == name for case in cases())} | {what} |")
    lines += ["", f"## Stages: {len(STAGES)}", "", "| stage | is | ways |", "|---|---|---|"]
    lines += [f"| {stage.name} | {stage.what} | {', '.join(stage.ways)} |" for stage in STAGES.values()]
    lines += ["", f"## Faults: {len(FAULTS)}", ""]
    lines += [
        "`'` marks a fault that is also tried as one that happens only once.",
        "",
        "| fault | what the registry does | at |",
    ]
    lines += ["|---|---|---|"]
    for fault in FAULTS.values():
        places = {case.stage.name for case in cases() if case.fault is fault}
        where = "every stage" if len(places) == len(STAGES) else ", ".join(name for name in STAGES if name in places)
        lines.append(f"| {fault.name}{chr(39) if fault.passing else ''} | {fault.what} | {where} |")
    return "\n".join(lines) + "\n"


def _measured(verdicts: Sequence[Verdict], when: str) -> str:
    counted = Counter(offence.figure for verdict in verdicts for offence in verdict.offences)
    met = sum(verdict.seen.met > 0 for verdict in verdicts)
    slowest = max(verdict.seen.seconds for verdict in verdicts)
    lines = [
        "<!-- begin measured -->",
        f"## Results: {len(verdicts)} cases",
        "",
        f"Version {__version__}, {when}. {met} cases met their fault; the slowest run took {slowest:.0f} s.",
        "",
        "| has to be 0 | is |",
        "|---|---|",
        *(f"| {what} | {counted[figure]} |" for figure, what in _FIGURES.items()),
        "",
        f"In {sum(verdict.leaks > 0 for verdict in verdicts)} cases the *engine* sent its token to another port: Go's",
        "HTTP client keeps `Authorization` in a redirect within the same host name.",
        "",
        "Exit codes, as code x cases ([what they mean](exit-codes.md)). Where an engine pauses for 5, 10, 15 seconds",
        "before it tries again, the run's time is up first: 3.",
        "",
        "| stage | " + " | ".join(WAYS) + " |",
        "|---|" + "---|" * len(WAYS),
    ]
    codes: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for verdict in verdicts:
        status = verdict.seen.status
        codes[verdict.case.stage.name, verdict.case.way][-1 if status is None else status] += 1
    for stage in STAGES:
        cells = [" ".join(f"{code}x{n}" for code, n in sorted(codes[stage, way].items())) or "-" for way in WAYS]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "<!-- end measured -->"]) + "\n"
