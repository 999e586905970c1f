"""Progress for logs: a line for each finished tag, and a status line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from pushsafe.model.outcomes import Denied, Failed, Pushed
from pushsafe.model.plan import How, Wait
from pushsafe.model.report import TagResult
from pushsafe.oci.reference import Reference
from pushsafe.report.progress import Tracker
from pushsafe.report.progress_state import pause, standing
from pushsafe.report.style import plain, size

INTERVAL = 10.0
"""The fewest seconds between two status lines of a kind."""

_DONE = {
    How.PUSHED: ("pushed and verified", "pushed, not confirmed"),
    How.TAGGED: ("tagged and verified", "tagged, not confirmed"),
    How.ALREADY_THERE: ("already there and verified", "already there, not confirmed"),
}
"""The words for a tag in place, verified and not."""


class Patient:
    """A stream that drops what it cannot write: progress must not fail a push."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: it is closed, or lacks the characters
            self._stream.write(text)
        self.flush()
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def every(seconds: float, do: Callable[[], None]) -> Callable[[], None]:
    """Call a function repeatedly in its own thread; the result ends that when called."""
    over = threading.Event()

    def again() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=again, name="progress", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join(1.0)  # no longer: it may be writing to a pipe that no one reads

    return end


class Lines(Tracker):
    """A line for each finished tag and each pause, and a status line if nothing finishes for long.

    A thread checks whether such a line is due: an engine may be silent for long.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        repeat: Callable[[float, Callable[[], None]], Callable[[], None]] = every,
    ) -> None:
        """`repeat` calls a function every so many seconds until its result is called."""
        super().__init__()
        self._stream = Patient(stream or sys.stderr)
        self._clock = clock
        self._repeat = repeat
        self._end: Callable[[], None] | None = None
        # the last message, its time, and the bytes sent by then
        self._told, self._since, self._travelled = "", clock(), 0
        self._waited: float | None = None

    def planned(self, tags: Sequence[Reference]) -> None:
        with self._lock:
            super().planned(tags)
            self._note()
            self._end = self._end or self._repeat(1.0, self._look)

    def waiting(self, wait: Wait) -> None:
        with self._lock:
            now = self._clock()
            if self._waited is None or now - self._waited >= INTERVAL:
                self._waited = now
                self._stream.write(f"{pause(wait, wait.seconds)}\n")

    def finished(self, result: TagResult) -> None:
        with self._lock:
            super().finished(result)
            count = f"{self._run.done}/{self._run.total}" if self._run.total else f"{self._run.done}"
            self._stream.write(f"[{count}] {plain(str(result.reference))} {said(result)}\n")
            self._note()

    def close(self) -> None:
        if self._end:
            self._end()

    def _look(self) -> None:
        """Write a status line, if one is due and differs from the last."""
        with self._lock:
            seconds = self._clock() - self._since
            line = standing(self._run)
            if seconds < INTERVAL or line == self._told:
                return
            rate = int((self._run.travelled - self._travelled) / seconds)
            self._stream.write(f"... {line}{f', {size(rate)}/s' if rate else ''}\n")
            self._note()

    def _note(self) -> None:
        self._told, self._since, self._travelled = standing(self._run), self._clock(), self._run.travelled


def said(result: TagResult) -> str:
    """A result in a few words."""
    match result.outcome:
        case Pushed(how=how):
            confirmed, unconfirmed = _DONE[how]
            return confirmed if result.confirmed else unconfirmed
        case Denied(denial):
            return f"denied: {denial.reason.value}"
        case Failed(failure):
            return f"failed: {failure.kind.value}"
        case _:
            return "not pushed"
