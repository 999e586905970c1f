"""The end of the time that a whole run may take (`--timeout`)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TimedOut(KeyboardInterrupt):
    """The time is over: it ends a run wherever that is, as an interruption does."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[Callable[[], float | None]]:
    """Raise TimedOut in the main thread after so many seconds; yields how many are left (`None`: no end).

    Elsewhere than in the main thread nothing is raised, and only those who ask how much is left come to an end.
    """
    if seconds is None:
        yield lambda: None
        return
    end = time.monotonic() + seconds
    if threading.current_thread() is not threading.main_thread():
        yield lambda: end - time.monotonic()
        return
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield lambda: end - time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def silence() -> None:
    """Raise nothing any more, though the time goes on; for what is short and comes at the end."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: object) -> None:
    raise TimedOut
