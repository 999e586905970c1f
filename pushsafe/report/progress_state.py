"""The state of a run in progress: finished tags, active pushes, their layers, bytes sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pushsafe.model.outcomes import LayerEvent, LayerState
from pushsafe.model.plan import Wait
from pushsafe.model.report import TagResult
from pushsafe.oci.reference import Reference
from pushsafe.report.style import many, plain, size

_ORDER = (LayerState.REUSED, LayerState.MOUNTED, LayerState.SENT, LayerState.PUSHING, LayerState.WAITING)
_IN_PLACE = frozenset((LayerState.REUSED, LayerState.MOUNTED, LayerState.SENT))
_TRAVELLED = frozenset((LayerState.PUSHING, LayerState.SENT))
_SPARED = frozenset((LayerState.REUSED, LayerState.MOUNTED))


class Push:
    """What the engine has reported of one push since it began."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layers: dict[str, LayerEvent] = {}

    @property
    def in_place(self) -> int:
        return sum(event.state in _IN_PLACE for event in self.layers.values())

    @property
    def sent(self) -> int:
        """The bytes sent."""
        return sum(map(_sent, self.layers.values()))

    @property
    def size(self) -> int:
        """The total bytes to send, as far as the engine has reported them."""
        travelling = (event for event in self.layers.values() if event.state not in _SPARED)
        return sum(max(event.total, event.current) for event in travelling)

    @property
    def counts(self) -> str:
        """Layers by state, e.g. `5 reused, 2 sent, 1 pushing`."""
        counted = Counter(event.state for event in self.layers.values())
        return ", ".join(f"{counted[state]} {state.value}" for state in _ORDER if counted[state])


class Underway:
    """The state of the run; not thread-safe.

    `total` is the number of tags, 0 if unknown; `travelled` are the bytes of all pushes, finished and restarted ones
    included.
    """

    def __init__(self) -> None:
        self.total = 0
        self.travelled = 0
        self.pushes: dict[str, Push] = {}
        self.read = ""
        self._done: set[str] = set()

    @property
    def done(self) -> int:
        return len(self._done)

    def planned(self, tags: Iterable[Reference]) -> None:
        self.total = len({str(tag) for tag in tags})

    def reading(self, place: str, done: int, whole: int) -> None:
        """An archive is read before anything is sent; the first push, or its last byte, ends that."""
        self.read = f"checking {plain(place)}: {size(done)} of {size(whole)}" if done < whole else ""

    def pushing(self, reference: Reference) -> None:
        """A push begins, or restarts: earlier states of its layers are void."""
        self.read = ""
        self.pushes[str(reference)] = Push(plain(str(reference)))

    def layer(self, event: LayerEvent) -> bool:
        """Record the state of a layer; returns whether its push is active, which a late event's is not."""
        push = self.pushes.get(str(event.reference))
        if push is None:
            return False
        before = push.layers.get(event.layer)
        push.layers[event.layer] = event
        self.travelled += max(0, _sent(event) - (_sent(before) if before else 0))
        return True

    def finished(self, result: TagResult) -> None:
        self._done.add(str(result.reference))
        self.pushes.pop(str(result.reference), None)


def _sent(event: LayerEvent) -> int:
    return event.current if event.state in _TRAVELLED else 0


def pause(wait: Wait, seconds: float) -> str:
    """A pause that lasts so many seconds more, e.g. `waiting 12 s: registry.test answers 429 (too many requests)`."""
    return plain(f"waiting {math.ceil(seconds)} s: {wait.who} {wait.why}")


def standing(run: Underway) -> str:
    """The run in one line, e.g. `3/10 tags; pushing REF and 1 more: 5 of 20 layers, 12.3 MB of 40 MB`.

    Layers and bytes are those of all active pushes.
    """
    tags = f"{run.done}/{run.total} {many(run.total, 'tag')}" if run.total else f"{run.done} {many(run.done, 'tag')}"
    pushes = list(run.pushes.values())
    if not pushes:
        return "; ".join(filter(None, (tags, run.read)))
    more = f" and {len(pushes) - 1} more" if len(pushes) > 1 else ""
    layers = sum(len(push.layers) for push in pushes)
    figures = [f"{sum(push.in_place for push in pushes)} of {layers} {many(layers, 'layer')}"] if layers else []
    if whole := sum(push.size for push in pushes):
        figures.append(f"{size(sum(push.sent for push in pushes))} of {size(whole)}")
    return f"{tags}; pushing {pushes[0].name}{more}{': ' if figures else ''}{', '.join(figures)}"
