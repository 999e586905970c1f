"""Measures the phases of a run, which may overlap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class PhaseTimer:
    """The seconds in which at least one thread was in a phase. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: dict[str, float] = {}
        self._inside: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a block as part of a phase."""
        with self._lock:
            if not self._inside.get(name):
                self._since[name] = self._clock()
            self._inside[name] = self._inside.get(name, 0) + 1
            self._spent.setdefault(name, 0.0)
        try:
            yield
        finally:
            with self._lock:
                self._inside[name] -= 1
                if not self._inside[name]:
                    self._spent[name] += self._clock() - self._since[name]

    def read(self) -> tuple[tuple[str, float], ...]:
        """Seconds by phase, in order of their start; running phases count up to now."""
        with self._lock:
            now = self._clock()
            return tuple(
                (name, spent + (now - self._since[name] if self._inside[name] else 0.0))
                for name, spent in self._spent.items()
            )
