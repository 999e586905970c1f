"""Live progress on a terminal: every push and layer, wiped at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO, cast

from pushsafe.model.outcomes import LayerEvent, LayerState
from pushsafe.model.plan import Wait
from pushsafe.model.report import TagResult
from pushsafe.model.verdicts import Finding
from pushsafe.oci.reference import Reference
from pushsafe.report.human import render_findings
from pushsafe.report.lines import Patient
from pushsafe.report.progress import Display, Tracker
from pushsafe.report.progress_state import Push, pause
from pushsafe.report.style import many, plain, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID
    from rich.text import Text


class Lazy(Display):
    """A display that is created when a push is planned: a refusal needs none.

    Warnings are shown before, while the user can still interrupt.
    """

    def __init__(self, make: Callable[[], Display], *, color: bool = False) -> None:
        self._make: Callable[[], Display] | None = make
        self._color = color
        self._shown = Display()

    def warned(self, findings: Sequence[Finding]) -> None:
        Patient(sys.stderr).write(render_findings(findings, color=self._color))

    def planned(self, tags: Sequence[Reference]) -> None:
        if self._make:
            self._shown, self._make = self._make(), None
        self._shown.planned(tags)

    def reading(self, place: str, done: int, whole: int) -> None:
        self._shown.reading(place, done, whole)

    def pushing(self, reference: Reference) -> None:
        self._shown.pushing(reference)

    def layer(self, event: LayerEvent) -> None:
        self._shown.layer(event)

    def waiting(self, wait: Wait) -> None:
        self._shown.waiting(wait)

    def finished(self, result: TagResult) -> None:
        self._shown.finished(result)

    def close(self) -> None:
        self._shown.close()


class Live(Tracker):
    """Every active push and each of its layers in transit, with bytes and rate; wiped at the end.

    A layer is identified by its push and name: two pushes may send the same one.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        # rich is imported for terminals only: it costs more than the rest of a start together
        from rich.console import Console
        from rich.live import Live as Region
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
        from rich.table import Column

        self._console = console or Console(file=cast(TextIO, Patient(sys.stderr)))
        self._clock = clock
        # each bar is its own table, so columns of varying width need a minimum
        self._bars: Progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="cyan"),
            DownloadColumn(table_column=Column(no_wrap=True, min_width=14)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            console=self._console,
            get_time=clock,
        )
        self._rate: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            console=self._console,
            get_time=clock,
        )
        self._all: TaskID = self._rate.add_task("", total=None)
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._waits: dict[str, tuple[float, Wait]] = {}
        self._region = Region(get_renderable=self.render, console=self._console, transient=True)
        self._region.start()

    def pushing(self, reference: Reference) -> None:
        with self._lock:
            super().pushing(reference)
            self._drop(str(reference))

    def layer(self, event: LayerEvent) -> None:
        with self._lock:
            if not self._run.layer(event):
                return
            self._rate.update(self._all, completed=self._run.travelled)
            key = (str(event.reference), event.layer)
            if event.state is not LayerState.PUSHING:
                if key in self._tasks:
                    self._bars.remove_task(self._tasks.pop(key))
            elif event.total:
                if key not in self._tasks:
                    self._tasks[key] = self._bars.add_task(f"{plain(event.layer):<12} pushing", total=None)
                self._bars.update(self._tasks[key], total=max(event.total, event.current), completed=event.current)

    def waiting(self, wait: Wait) -> None:
        with self._lock:
            self._waits[wait.who] = (self._clock() + wait.seconds, wait)

    def finished(self, result: TagResult) -> None:
        with self._lock:
            super().finished(result)
            self._drop(str(result.reference))

    def close(self) -> None:
        self._region.stop()

    def render(self) -> RenderableType:
        """What the terminal shows now: fewer lines than it has, none of which wraps."""
        from rich.console import Group

        with self._lock:
            run = self._run
            # one line stays free: the cursor ends below the last line, and lines that scroll away cannot be wiped
            room = max(self._console.height - 1, 1)
            tags = f"{run.done} of {run.total} {many(run.total, 'tag')}" if run.total else f"{run.done} done"
            last = [*map(_line, filter(None, (run.read,))), *self._pause(), *self._sent()]
            rows = [_line(tags), *self._pushes(room - 1 - len(last)), *last]
            return Group(*rows[:room])

    def _pushes(self, room: int) -> list[RenderableType]:
        """The pushes and their bars, in at most so many lines; pushes take precedence."""
        tasks = {task.id: task for task in self._bars.tasks}
        bars: dict[str, list[RenderableType]] = {name: [] for name in self._run.pushes}
        for (name, _layer), task in self._tasks.items():
            bars[name].append(self._bars.make_tasks_table([tasks[task]]))
        wanted = len(bars) + len(self._tasks)
        spare = room if wanted <= room else max(room - 1, 0)  # the last line counts those that do not fit
        shown = list(self._run.pushes.items())[:spare]
        left = spare - len(shown)
        rows: list[RenderableType] = []
        for name, push in shown:
            rows += [self._headed(push), *bars[name][:left]]
            left -= min(left, len(bars[name]))
        return rows if wanted <= room else [*rows, _line(f"  and {wanted - len(rows)} more")]

    def _headed(self, push: Push) -> Text:
        """A push in one line; a long reference loses its beginning, because the tag says most."""
        counts = f"   layers: {push.counts}" if push.counts else ""
        room = max(self._console.width - len("pushing ") - len(counts), len("…:1.2.3"))
        name = push.name if len(push.name) <= room else f"…{push.name[1 - room :]}"
        return _line(f"pushing {name}{counts}")

    def _pause(self) -> list[RenderableType]:
        """The pause that ends last."""
        now = self._clock()
        self._waits = {who: (until, wait) for who, (until, wait) in self._waits.items() if until > now}
        if not self._waits:
            return []
        until, wait = max(self._waits.values(), key=lambda one: one[0])
        return [_line(pause(wait, until - now))]

    def _sent(self) -> list[RenderableType]:
        if not self._run.travelled:
            return []
        # without a total: waiting layers have no size yet
        self._rate.update(self._all, description=f"sent {size(self._run.travelled)}")
        return [self._rate.make_tasks_table(self._rate.tasks)]

    def _drop(self, reference: str) -> None:
        """Remove the bars of a push."""
        for key in [key for key in self._tasks if key[0] == reference]:
            self._bars.remove_task(self._tasks.pop(key))


def _line(text: str) -> Text:
    """A text, unstyled, in one line."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")
