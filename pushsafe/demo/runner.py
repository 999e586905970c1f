"""Runs this program as a child, shows its output as it comes, and ends it only when nothing is left behind."""

from __future__ import annotations

import codecs
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pushsafe.engine.process import stop
from pushsafe.runtime.signals import install_stop

# the same modules from the same places, however this process was started, and none from the current directory
_BOOT = """import sys
sys.path[:] = sys.argv.pop(1).split("\\n")
try:
    import runpy
    runpy.run_module("pushsafe", run_name="__main__", alter_sys=True)
except KeyboardInterrupt:  # it came while the program was still being imported
    sys.exit(130)"""


class Ran(NamedTuple):
    """The exit code, and all output, standard output and error in their order."""

    status: int
    shown: str


class Child:
    """Runs the program in a folder and with an environment; `show` gets each piece of its output."""

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
                    start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
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
    except OSError:  # Linux answers EIO when the last process has closed the terminal
        return b""


@contextmanager
def _outlet() -> Iterator[tuple[int, int]]:
    """This end and the child's, which the caller closes: a terminal if the output is one, else a pipe."""
    ours, theirs = (_terminal() if sys.stdout.isatty() else None) or os.pipe()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def _terminal() -> tuple[int, int] | None:
    """A terminal like ours that passes bytes unchanged; `None` if no more are available."""
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


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Whether a stop was requested: Ctrl-C, SIGTERM, docker, or a closed terminal.

    Further requests change nothing: cleaning up has begun, and ending at once would leave some of it behind.
    """

    def __init__(self) -> None:
        self._told = False
        self._here = False

    @contextmanager
    def listening(self, environ: Mapping[str, str]) -> Iterator[None]:
        try:
            with install_stop(environ, self._stop):
                for number in _SIGNALS:
                    if signal.getsignal(number) is not signal.SIG_IGN:
                        # replaces the handlers just installed, which end the process at a second signal
                        signal.signal(number, lambda *_: self._stop())
                yield
        finally:
            if self._told:
                for number in _SIGNALS:
                    signal.signal(number, signal.SIG_IGN)  # until the end, which is near

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Only within this, a stop request raises KeyboardInterrupt; at once if it came before."""
        self._here = True
        try:
            if self._told:
                raise KeyboardInterrupt
            yield
        finally:
            self._here = False

    def _stop(self) -> None:
        if not self._told:
            self._told = True
            if self._here:
                raise KeyboardInterrupt
