"""Runs a long child process: its output goes to standard error, and it stops when we do."""

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
"""Seconds for the process to end after SIGINT."""
AGAIN = 1.0
"""Seconds after each further SIGINT."""
KEPT = 10_000
"""Last lines of output that are kept."""

_LINE = 1 << 16
_LAST_WORDS = 2.0
"""Seconds to read the rest of its output; a surviving grandchild may hold the pipe open."""


class Start(Protocol):
    """Starts the process with these options of Popen."""

    def __call__(self, *, stdout: int, stderr: int | None) -> subprocess.Popen[bytes]: ...


class Child:
    """A child process.

    At a terminal it writes to standard error itself, to draw progress; else each of its lines is cleaned. Its standard
    output is never a terminal, so that docker passes signals on to its plugin.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._kept: deque[str] = deque(maxlen=KEPT)

    def run(self, *, quiet: bool = False) -> tuple[int, str]:
        """Exit status and last lines of output, which are empty if that went to a terminal.

        With `quiet` the output is shown only for a status other than 0.
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
        """Read to the end, even if our own standard error fails: a full pipe would block the process."""
        with suppress(OSError, ValueError), pipe:
            begins = True
            while line := pipe.readline(_LINE):
                text = clean_line(line.decode("utf-8", "replace"), limit=_LINE)
                if begins:  # the rest of an overlong line would look like a new one
                    self._kept.append(text)
                begins = line.endswith(b"\n")
                show(f"{text}\n")


def stop(process: subprocess.Popen[bytes], grace: float | None = None) -> None:
    """Send SIGINT, wait `grace` seconds (default: GRACE), send it twice more, then kill the process.

    docker passes the signal on to its plugin, and kills that at the third one (docker/cli `cmd/docker/docker.go`). The
    plugin would survive if we killed docker earlier.
    """
    try:
        for seconds in (GRACE if grace is None else grace, AGAIN, AGAIN):
            with suppress(OSError):
                process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return
    finally:
        process.kill()  # no effect once it has ended
