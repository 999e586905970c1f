"""The tour: shows its runs one after the other, and checks that each has the expected result."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from pushsafe.demo.environment import Surroundings, surroundings
from pushsafe.demo.runner import Child, Interruption, Ran
from pushsafe.demo.scenarios import RUNS, Run
from pushsafe.model.report import ErrorKind, RunError
from pushsafe.model.request import DockerFlags
from pushsafe.report.exit_codes import ExitCode
from pushsafe.report.output import colored, end, show_errors
from pushsafe.report.style import BOLD, GREEN, Ink
from pushsafe.runtime import streams

_AGAIN = "docker pushsafe try   (once more; if that ends so again, report all that it shows)"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Page:
    """The output so far, and why it ended, if it did."""

    def __init__(self) -> None:
        self.problem = ""
        self.ink = Ink(colored(sys.stdout))
        self._width = min(shutil.get_terminal_size().columns, 100)

    def add(self, text: str) -> None:
        self.problem = self.problem or streams.show(text)

    def line(self, text: str = "", *codes: str) -> None:
        self.add(f"{self.ink(text, *codes)}\n")

    def paragraph(self, text: str, first: str, indent: str) -> None:
        """A wrapped text whose first line has its own prefix."""
        wrapper = textwrap.TextWrapper(
            self._width, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for line in wrapper.wrap(text):
            self.line(line)

    def remark(self, text: str) -> None:
        """A line of the tour itself, as opposed to the run's."""
        self.paragraph(text, "# ", "# ")

    def command(self, options: Sequence[str], references: Sequence[str]) -> None:
        """The command as a user would type it."""
        first, *others = references
        start = " ".join(("$ docker pushsafe", *options, first))
        line = " ".join((start, *others))
        self.line(line if len(line) <= self._width else " \\\n    ".join((start, *others)), BOLD)


def tour(flags: DockerFlags, environ: Mapping[str, str]) -> int:
    """The exit code: 0 if every run had the expected result."""
    page, interruption = Page(), Interruption()
    with interruption.listening(environ), surroundings(flags, environ, interruption) as around:
        _introduce(around, flags, page)
        child = Child(around.folder, page.add, interruption)
        runs = (_carry_out(number, run, around, child, page) for number, run in enumerate(RUNS, 1))
        unexpected = next(filter(None, runs), "")
    if unexpected:
        show_errors((RunError(ErrorKind.ENGINE, unexpected, _AGAIN),))
        return ExitCode.BUG
    _end(page)
    return end(ExitCode.OK, page.problem)


def _introduce(around: Surroundings, flags: DockerFlags, page: Page) -> None:
    told = {"registry": f"{around.host}, made for this tour; accounts: reader, writer", "image": around.image.told}
    for name, text in told.items():
        page.paragraph(text, f"{name:<9} ", " " * 10)
    if around.image.flags and (flags.host or flags.context):
        page.paragraph(
            "your flags before `pushsafe` hold for every command below, and are left out there", "flags     ", " " * 10
        )


def _carry_out(number: int, run: Run, around: Surroundings, child: Child, page: Page) -> str:
    """Show one run; how it differs from the expected result, empty if it does not."""
    references = [text.format(host=around.host) for text in run.references]
    page.line()
    page.line(f"{number}/{len(RUNS)}  {run.title}", BOLD)
    if run.before:
        page.remark(run.before.format(host=around.host))
    page.line()
    page.command(around.image.arguments, references)
    ran = child.run([*around.image.flags, *around.image.arguments, *references], around.environment(run.login))
    page.line(f"exit code {ran.status}", BOLD)
    if not (unexpected := _difference(number, run, ran)):
        page.line()
        page.remark(run.why)
    return unexpected


def _difference(number: int, run: Run, ran: Ran) -> str:
    shown = _CONTROL.sub("", ran.shown)
    problems = [f"it ended with exit code {ran.status}, not {run.status:d}"] if ran.status != run.status else []
    problems += [f"it does not say {text!r}" for text in run.says if text not in shown]
    return f"run {number} did not come out as it should: {'; '.join(problems)}" if problems else ""


def _end(page: Page) -> None:
    page.line()
    page.line("All six runs had the expected result.", GREEN)
    page.line("  docker pushsafe REF [REF...]   pushes an image of yours; docker pushsafe lint REF only checks")
    page.line("  docker pushsafe --help         shows what else there is")
