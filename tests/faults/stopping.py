"""Runs that are killed, or told to stop, in the middle: what the registry holds then, and how the next run ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.front import Exchange, Front, Known, Reply
from tests.faults.judge import Figure, judge, of_storage
from tests.faults.running import ACCOUNT, GRACE, Bench, hold_an_older_image, observe, observed, start
from tests.faults.stages import NONE
from tests.faults.ways import Way

INTERRUPTED = 130
PROMPT = 3.0
"""Seconds that a run may take to end when it is told to, on a busy machine."""
_DELAY = 0.05  # seconds at most between a request and the signal: before, amid or after the answer


@dataclass(frozen=True)
class Stop:
    """A run of a way that gets a signal somewhere in the middle; `seed` says where."""

    way: str
    number: signal.Signals
    seed: int

    def __str__(self) -> str:
        return f"{self.way}/{self.number.name}/{self.seed}"


@dataclass(frozen=True)
class Stopped:
    """What came of it; `live`: the signal met a running run, `seconds` after which it was over."""

    stop: Stop
    live: bool
    seconds: float
    tags: Mapping[str, str]
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        state = f"{len(self.tags)} tags, over after {self.seconds:.2f} s" if self.live else "it was over before"
        return f"{self.stop}: {state}: {'; '.join(self.wrong) or 'ok'}"


@dataclass
class Stopping:
    """Runs on a bench; how many requests a whole one takes is found out once for each way."""

    bench: Bench
    _whole: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, stop: Stop) -> Stopped:
        way = self.bench.ways[stop.way]
        chance = random.Random(str(stop))
        at, delay = chance.randint(1, self._requests(way)), chance.random() * _DELAY
        with self._front(way) as (front, folder):
            running = start(way, front.host, folder / "first")
            sent: list[float] = []

            def send() -> None:
                if running.poll() is None:
                    sent.append(time.monotonic())
                    running.send_signal(stop.number)

            front.on_request = lambda number: threading.Timer(delay, send).start() if number == at else None
            try:
                stdout, stderr = running.communicate(timeout=self.bench.seconds + GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                stdout, stderr = running.communicate()
            seconds = time.monotonic() - sent[0] if sent else 0.0
            live = bool(sent) and running.returncode in (-stop.number, INTERRUPTED)
            seen = observed(front, way, running.returncode, stdout, stderr)
            wrong = []
            if stop.number is signal.SIGKILL:
                wrong += [str(one) for one in of_storage(seen) if one.figure is not Figure.UPLOAD]
            else:
                wrong += map(str, judge(seen))
                wrong += [f"it took {seconds:.1f} s to end"] if seconds > PROMPT else []
            wrong += [f"{len(left)} processes are left"] if (left := _left(running.pid)) else []
            wrong += self._next(front, way, folder)
            return Stopped(stop, live, seconds, seen.held.tags, tuple(wrong))

    def _next(self, front: Front, way: Way, folder: Path) -> Iterator[str]:
        """What is wrong with the next run, which has to bring everything there."""
        front.on_request = lambda _number: None
        front.known = Known()
        seen = observe(front, way, folder / "next", self.bench.seconds)
        if seen.status != 0:
            yield f"the next run ends with {seen.status}: {seen.stdout[-300:]}"
        yield from (f"the next run: {offence}" for offence in judge(seen))

    def _requests(self, way: Way) -> int:
        with self._lock:
            if way.name not in self._whole:
                with self._front(way) as (front, folder):
                    observe(front, way, folder / "whole", self.bench.seconds)
                    self._whole[way.name] = front.known.requests
            return self._whole[way.name]

    @contextmanager
    def _front(self, way: Way) -> Iterator[tuple[Front, Path]]:
        """A registry without a fault, and a folder."""
        with tempfile.TemporaryDirectory(dir=self.bench.folder) as name:
            front = Front(Path(name) / "registry", ACCOUNT, NONE, _never, always=True)
            with front, way.ready(front.host):
                hold_an_older_image(front)
                yield front, Path(name)


def stops(count: int, names: tuple[str, ...], numbers: tuple[signal.Signals, ...], seed: int) -> tuple[Stop, ...]:
    """So many for each way, the signals taking turns."""
    return tuple(Stop(name, numbers[one % len(numbers)], seed + one) for name in names for one in range(count))


def _never(exchange: Exchange) -> Reply:
    raise AssertionError(f"{exchange.path} is of no stage")


def _left(group: int) -> list[str]:
    """The processes of a group, those apart that have ended and wait to be asked for."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, of, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == group and state != "Z":
            found.append(entry.name)
    return found
