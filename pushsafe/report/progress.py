"""Progress on stderr while a run goes on: live on a terminal, a line for each finished tag elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from pushsafe.model import Denied, Failed, LayerEvent, LayerState, Pushed, Reference, TagResult, Verified

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """An observer of the run that is closed at its end."""

    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...
    def close(self) -> None: ...


class Silent:
    """For `--quiet` and machine formats on a terminal nobody looks at."""

    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...
    def close(self) -> None: ...


class Lines(Silent):
    """One line for each finished tag: what a CI log can hold."""

    def __init__(self, references: Sequence[Reference], stream: TextIO | None = None) -> None:
        self._total = len({str(reference) for reference in references})
        self._done = 0
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def finished(self, result: TagResult) -> None:
        with self._lock:
            self._done += 1
            total = max(self._total, self._done)
            print(f"[{self._done}/{total}] {result.reference} {said(result)}", file=self._stream, flush=True)


class Lazy:
    """A display that is made when the first push starts: a refusal needs none."""

    def __init__(self, make: Callable[[], Display]) -> None:
        self._make = make
        self._made: Display | None = None

    def pushing(self, reference: Reference) -> None:
        self._made = self._made or self._make()
        self._made.pushing(reference)

    def layer(self, event: LayerEvent) -> None:
        if self._made:
            self._made.layer(event)

    def finished(self, result: TagResult) -> None:
        if self._made:
            self._made.finished(result)

    def close(self) -> None:
        if self._made:
            self._made.close()


class Live:
    """Every layer of the tag that is being pushed, with bytes and rate, and a line for each finished tag."""

    def __init__(self, references: Sequence[Reference]) -> None:
        # rich is imported for terminals only: it costs more than the rest of a start together.
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._several = len({str(reference) for reference in references}) > 1
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._progress.start()

    def pushing(self, reference: Reference) -> None:
        with self._lock:
            self._clear()
            self._tasks[""] = self._progress.add_task(f"pushing {reference}", total=None)

    def layer(self, event: LayerEvent) -> None:
        with self._lock:
            task = self._tasks.get(event.layer)
            if task is None:
                task = self._tasks[event.layer] = self._progress.add_task("", total=None)
            description = f"  {event.layer:<12} {event.state.value:<8}"
            done = event.state in (LayerState.REUSED, LayerState.MOUNTED, LayerState.SENT)
            total = max(event.total, event.current) or (1 if done else None)
            current = total if done else event.current
            self._progress.update(task, description=description, total=total, completed=current)

    def finished(self, result: TagResult) -> None:
        if self._several:  # one tag's result is the report itself
            self._progress.console.print(f"{result.reference} {said(result)}", markup=False, highlight=False)

    def close(self) -> None:
        with self._lock:
            self._clear()
        self._progress.stop()

    def _clear(self) -> None:
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()


def said(result: TagResult) -> str:
    """A result in a few words."""
    match result.outcome:
        case Pushed():
            return "pushed and verified" if isinstance(result.verification, Verified) else "pushed, not confirmed"
        case Denied(denial):
            return f"denied: {denial.reason.value}"
        case Failed(failure):
            return f"failed: {failure.kind.value}"
        case _:
            return "not pushed"
