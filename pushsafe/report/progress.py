"""Displays of a run: a base that shows nothing, and one that keeps state."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pushsafe.model.outcomes import LayerEvent
from pushsafe.model.plan import Wait
from pushsafe.model.report import TagResult
from pushsafe.model.verdicts import Finding
from pushsafe.oci.reference import Reference
from pushsafe.report.progress_state import Underway


class Display:
    """An observer that is closed at the end of the run, and shows nothing; subclasses override what they show."""

    def warned(self, findings: Sequence[Finding]) -> None: ...
    def planned(self, tags: Sequence[Reference]) -> None: ...
    def reading(self, place: str, done: int, whole: int) -> None: ...
    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def waiting(self, wait: Wait) -> None: ...
    def finished(self, result: TagResult) -> None: ...
    def close(self) -> None: ...


class Tracker(Display):
    """A display that keeps the state of the run, guarded by `_lock`: notices come from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._run = Underway()

    def planned(self, tags: Sequence[Reference]) -> None:
        with self._lock:
            self._run.planned(tags)

    def reading(self, place: str, done: int, whole: int) -> None:
        with self._lock:
            self._run.reading(place, done, whole)

    def pushing(self, reference: Reference) -> None:
        with self._lock:
            self._run.pushing(reference)

    def layer(self, event: LayerEvent) -> None:
        with self._lock:
            self._run.layer(event)

    def finished(self, result: TagResult) -> None:
        with self._lock:
            self._run.finished(result)
