"""One run of this very program, shown as it comes: on a terminal it has one too."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pushsafe.child import stop
from pushsafe.tour.interruption import Interruption

# The same modules from the same places, whichever way this process was started, and none from a current directory.
_BOOT = """import sys
sys.path[:] = sys.argv.pop(1).split("\\n")
try:
    import runpy
    runpy.run_module("pushsafe", run_name="__main__", alter_sys=True)
except KeyboardInterrupt:  # it came while the program was still being imported
    sys.exit(130)"""


class Ran(NamedTuple):
    """Its exit code, and all that it showed, standard output and error in the order in which they came."""

    status: int
    shown: str


class Child:
    """Runs the program in a folder and with an environment; `show` is given each piece of its output."""

    def __init__(self, folder: Path, show: Callable[[str], object], interruption: Interruption) -> None:
        self._folder = folder
        self._show = show
        self._interruption = interruption

    def run(self, words: Sequence[str], environ: Mapping[str, str]) -> Ran:
        places = "\n".join(os.path.abspath(place) for place in sys.path)  # noqa: PTH100 - as texts
        python = (sys.executable, "-I" if sys.flags.isolated else "-E", "-c", _BOOT, places)
        with _outlet() as (ours, theirs):
            try:
                process = subprocess.Popen(
                    (*python, *words),
                    cwd=self._folder,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=theirs,
                    stderr=theirs,
                    start_new_session=True,  # a Ctrl-C is told to us alone, and we tell it
                )
            finally:
                os.close(theirs)
            try:
                with self._interruption.possible():
                    shown = self._read(ours)
                    return Ran(process.wait(), shown)
            finally:
                if process.poll() is None:
                    stop(process)
                    if sys.stdout.isatty():
                        self._show("\x1b[?25h\n")  # its progress may have hidden the cursor

    def _read(self, ours: int) -> str:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        shown: list[str] = []
        while part := _part(ours):
            shown.append(decoder.decode(part))
            self._show(shown[-1])
        return "".join(shown)


def _part(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the last one who had a terminal open has gone
        return b""


@contextmanager
def _outlet() -> Iterator[tuple[int, int]]:
    """Our end and the child's, which whoever is given it closes: of a terminal where we show on one, else of a pipe."""
    ours, theirs = (_terminal() if sys.stdout.isatty() else None) or os.pipe()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def _terminal() -> tuple[int, int] | None:
    """A terminal like ours that changes nothing on its way; none where no more can be had."""
    import pty
    import termios
    import tty

    try:
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        termios.tcsetwinsize(theirs, termios.tcgetwinsize(sys.stdout.fileno()))
    except (OSError, termios.error):
        return None
    return ours, theirs
