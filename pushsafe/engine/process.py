"""A program that works for us for long: what it writes goes to standard error, and it is told to stop when we are."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Protocol

from pushsafe.runtime import streams
from pushsafe.runtime.redact import clean_line

GRACE = 10.0
"""Seconds that a program has to end once it was told to."""
AGAIN = 1.0
"""Seconds that it has each time it is told again."""
KEPT = 10_000
"""Lines of its end that are kept."""

_LINE = 1 << 16
_LAST_WORDS = 2.0
"""Seconds for what it has written and we have not read; a grandchild that lives on may hold the pipe open."""


class Start(Protocol):
    """Starts the program, with these of Popen's options."""

    def __call__(self, *, stdout: int, stderr: int | None) -> subprocess.Popen[bytes]: ...


class Child:
    """One such program.

    At a terminal it has standard error to itself, for progress that is drawn; else each of its lines is made fit to
    show. Its standard output never is a terminal: docker then passes a signal on to its plugin.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._kept: deque[str] = deque(maxlen=KEPT)

    def run(self, *, quiet: bool = False) -> tuple[int, str]:
        """Its status, and the end of what it wrote in lines, empty where that went to a terminal.

        With `quiet` it is shown only where the status is not 0.
        """
        drawn = not quiet and sys.stderr.isatty()
        process = self._start(stdout=subprocess.PIPE, stderr=None if drawn else subprocess.PIPE)
        show: Callable[[str], None] = (lambda _line: None) if quiet else streams.tell
        pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        readers = [threading.Thread(target=self._relay, args=(pipe, show), daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        try:
            status = process.wait()
        except BaseException:
            stop(process)
            raise
        finally:
            for reader in readers:
                reader.join(_LAST_WORDS)
        lines = list(self._kept)
        if quiet and status:
            streams.tell("".join(f"{line}\n" for line in lines))
        return status, "" if drawn else "\n".join(lines)

    def _relay(self, pipe: IO[bytes], show: Callable[[str], None]) -> None:
        """Until its end, whatever becomes of our own standard error: a full pipe would stop the program."""
        with suppress(OSError, ValueError), pipe:
            begins = True
            while line := pipe.readline(_LINE):
                text = clean_line(line.decode("utf-8", "replace"), limit=_LINE)
                if begins:  # the rest of one that is too long would look like a line of its own
                    self._kept.append(text)
                begins = line.endswith(b"\n")
                show(f"{text}\n")


def stop(process: subprocess.Popen[bytes], grace: float | None = None) -> None:
    """Tell this one process to stop, give it `grace` seconds (GRACE), tell it again, and end it where it does not.

    docker passes the order on to its plugin, and kills that at the third (docker/cli `cmd/docker/docker.go`): killed
    before, it would leave the plugin at work.
    """
    try:
        for seconds in (GRACE if grace is None else grace, AGAIN, AGAIN):
            with suppress(OSError):
                process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return
    finally:
        process.kill()  # nothing where it has ended
