"""The record of a run: what became of each tag so far, and who is told of it."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager

from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import NotChecked, NotPushed, Outcome, Pushed, Verification
from pushsafe.model.plan import Wait
from pushsafe.model.report import Along, TagResult
from pushsafe.push.ports import Observer
from pushsafe.push.results import UNPUSHED
from pushsafe.runtime.phase_timer import PhaseTimer

_CUT = NotPushed("cut off while it was being pushed; the registry may hold it", begun=True)
_UNREAD = NotChecked("the run ended before it was read back")
_ENDED = NotChecked("the run ended before")


class Stopped(Exception):
    """The run is over, and whoever still works for it may stop."""


class Recorder:
    """The results of one run's tags, and the notices to its observer; for any number of threads.

    `results` has for each tag what is known of it at any moment: what an interrupted run has to say.
    """

    def __init__(self, observer: Observer, timer: PhaseTimer) -> None:
        self.observer = observer
        self.results: dict[str, TagResult] = {}
        self._timer = timer
        self._began: dict[str, float] = {}
        self._along: dict[str, tuple[Along, ...]] = {}
        self._stopped = threading.Event()

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Everything within counts for this phase of the run."""
        return self._timer.phase(name)

    # ------------------------------------------------------------------ results

    def begin(self, fact: Facts, cut: NotPushed = _CUT) -> None:
        """The push of a tag starts; `cut` is what became of it should the run end before anything else."""
        self.keep(fact, cut, _ENDED)

    def keep(self, fact: Facts, outcome: Outcome, verification: Verification = _UNREAD) -> TagResult:
        """What is known of a tag by now; the observer hears of it when it is finished."""
        name = str(fact.reference)
        seconds = round(time.monotonic() - self._began.setdefault(name, time.monotonic()), 4)
        along = self._along.get(name, ()) if isinstance(outcome, Pushed) else ()
        result = TagResult(fact.reference, outcome, verification, seconds, along=along)
        self.results[name] = result
        return result

    def finish(self, fact: Facts, outcome: Outcome, verification: Verification = UNPUSHED) -> None:
        """The last word on a tag, told at once."""
        result = self.keep(fact, outcome, verification)
        if not self._stopped.is_set():
            self.observer.finished(result)

    def went_along(self, fact: Facts, along: tuple[Along, ...]) -> None:
        """What was put into the repository for the image of a tag, under tags of its own."""
        self._along[str(fact.reference)] = along

    # ------------------------------------------------------------------ waits, and the end

    def waits(self, wait: Wait) -> None:
        """Tell the observer of a pause."""
        if not self._stopped.is_set():
            self.observer.waiting(wait)

    def stop(self) -> None:
        """Nobody is told of anything any more, and pushes end at their next word."""
        self._stopped.set()

    def require_running(self) -> None:
        """Raise Stopped where the run is over."""
        if self._stopped.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run ends meanwhile."""
        self._stopped.wait(seconds)

    def rest(self, seconds: float) -> None:
        """Wait, unless the run ends meanwhile. Raises Stopped."""
        self._stopped.wait(seconds)
        self.require_running()
