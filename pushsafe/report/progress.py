"""Progress on stderr while a run goes on: live on a terminal, a line for each finished tag elsewhere."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from pushsafe.model import Denied, Failed, Finding, LayerEvent, LayerState, Pushed, Reference, TagResult
from pushsafe.report.human import render_findings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID


class _Patient:
    """A stream that loses what it cannot write: nobody who pushes cares whether progress is read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        self.flush()
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Display(Protocol):
    """An observer of the run that is closed at its end."""

    def warned(self, findings: Sequence[Finding]) -> None: ...
    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...
    def close(self) -> None: ...


class Silent:
    """For `--quiet` and machine formats on a terminal nobody looks at."""

    def warned(self, findings: Sequence[Finding]) -> None: ...
    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...
    def close(self) -> None: ...


class Lines(Silent):
    """One line for each finished tag: what a CI log can hold."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        """`total` is the number of tags, 0 where it is not known."""
        self._total = total
        self._done = 0
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def finished(self, result: TagResult) -> None:
        with self._lock:
            self._done += 1
            count = f"{self._done}/{self._total}" if self._total else f"{self._done}"
            _Patient(self._stream).write(f"[{count}] {result.reference} {said(result)}\n")


class Lazy:
    """A display that is made when the first push starts: a refusal needs none.

    Warnings are told before that, while a person at the terminal can still think better of it.
    """

    def __init__(self, make: Callable[[], Display], *, color: bool = False) -> None:
        self._make = make
        self._color = color
        self._made: Display | None = None

    def warned(self, findings: Sequence[Finding]) -> None:
        _Patient(sys.stderr).write(render_findings(findings, color=self._color))

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
    """The tag that is being pushed and each of its layers that travels, with bytes and rate; wiped at the end."""

    def __init__(self) -> None:
        # rich is imported for terminals only: it costs more than the rest of a start together.
        from rich.console import Console
        from rich.live import Live as Region
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._bars: Progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
        )
        self._headline = ""
        self._done = 0
        self._states: dict[str, LayerState] = {}
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        console = Console(stderr=True, file=cast(TextIO, _Patient(sys.stderr)))
        self._region = Region(get_renderable=self._render, console=console, transient=True)
        self._region.start()

    def warned(self, findings: Sequence[Finding]) -> None:
        """They are told before this is made."""

    def pushing(self, reference: Reference) -> None:
        with self._lock:
            self._headline = f"pushing {reference}"
            self._states.clear()
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks.clear()

    def layer(self, event: LayerEvent) -> None:
        with self._lock:
            self._states[event.layer] = event.state
            if event.state not in (LayerState.PUSHING, LayerState.SENT) or not event.total:
                return
            task = self._tasks.get(event.layer)
            if task is None:
                task = self._tasks[event.layer] = self._bars.add_task("", total=None)
            total = max(event.total, event.current)
            current = total if event.state is LayerState.SENT else event.current
            description = f"{event.layer:<12} {event.state.value:<8}"
            self._bars.update(task, description=description, total=total, completed=current)

    def finished(self, _result: TagResult) -> None:
        with self._lock:
            self._done += 1

    def close(self) -> None:
        self._region.stop()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            counts = Counter(self._states.values())
            layers = ", ".join(f"{number} {state.value}" for state, number in counts.items())
            done = f"{self._done} done, " if self._done else ""
            return Group(Text(f"{done}{self._headline}  {layers}".rstrip()), self._bars)


def said(result: TagResult) -> str:
    """A result in a few words."""
    match result.outcome:
        case Pushed():
            return "pushed and verified" if result.confirmed else "pushed, not confirmed"
        case Denied(denial):
            return f"denied: {denial.reason.value}"
        case Failed(failure):
            return f"failed: {failure.kind.value}"
        case _:
            return "not pushed"
