"""The record of a run: the result of each tag so far, and the notices to the observer."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager

from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import NotChecked, NotPushed, Outcome, Pushed, Verification
from pushsafe.model.plan import Wait
from pushsafe.model.report import Along, TagResult
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.push.ports import Observer
from pushsafe.push.results import UNPUSHED
from pushsafe.runtime.phase_timer import PhaseTimer

_CUT = NotPushed("cut off while it was being pushed; the registry may hold it", begun=True)
_UNREAD = NotChecked("the run ended before it was read back")
_ENDED = NotChecked("the run ended before")


class Stopped(Exception):
    """The run is over; work for it ends."""


class Recorder:
    """The results of one run's tags, and the notices to its observer; thread-safe.

    `results` has what is known of each tag at any moment, for a run that is interrupted. `retry_policy` is that of the
    push, its pauses being notices too.
    """

    def __init__(self, observer: Observer, timer: PhaseTimer, retries: int = 0) -> None:
        self.observer = observer
        self.retry_policy = RetryPolicy(retries, self.waits)
        self.results: dict[str, TagResult] = {}
        self._timer = timer
        self._began: dict[str, float] = {}
        self._along: dict[str, tuple[Along, ...]] = {}
        self._stopped = threading.Event()

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Count the time within for this phase of the run."""
        return self._timer.phase(name)

    def begin(self, fact: Facts, cut: NotPushed = _CUT) -> None:
        """The push of a tag starts; `cut` is its outcome if the run ends before anything else is known."""
        self.keep(fact, cut, _ENDED)

    def keep(self, fact: Facts, outcome: Outcome, verification: Verification = _UNREAD) -> TagResult:
        """Record what is known of a tag, without notifying the observer."""
        name, now = str(fact.reference), time.monotonic()
        seconds = round(now - self._began.setdefault(name, now), 4)
        along = self._along.get(name, ()) if isinstance(outcome, Pushed) else ()
        result = TagResult(fact.reference, outcome, verification, seconds, along=along)
        self.results[name] = result
        return result

    def finish(self, fact: Facts, outcome: Outcome, verification: Verification = UNPUSHED) -> None:
        """Record the final result of a tag, and notify the observer."""
        result = self.keep(fact, outcome, verification)
        if not self._stopped.is_set():
            self.observer.finished(result)

    def went_along(self, fact: Facts, along: tuple[Along, ...]) -> None:
        """Record referrers that were put into the repository for the image of a tag, under their own tags."""
        self._along[str(fact.reference)] = along

    def waits(self, wait: Wait) -> None:
        """Notify the observer of a pause."""
        if not self._stopped.is_set():
            self.observer.waiting(wait)

    def stop(self) -> None:
        """End all notices; pushes end at their next progress event."""
        self._stopped.set()

    def require_running(self) -> None:
        """Raise Stopped if the run is over."""
        if self._stopped.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run ends meanwhile."""
        self._stopped.wait(seconds)

    def rest(self, seconds: float) -> None:
        """Wait, unless the run ends meanwhile. Raises Stopped."""
        self._stopped.wait(seconds)
        self.require_running()
