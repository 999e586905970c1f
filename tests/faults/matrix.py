"""The cases: every way, stage and fault that go together."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tests.faults.stages import STAGES, WAYS, Stage
from tests.faults.table import FAULTS, Fault

ONCE = "'"
"""Behind a fault's name: it is met once, and all is well from then on."""


@dataclass(frozen=True)
class Case:
    """Written `WAY/STAGE/FAULT`, with `'` where the fault is met once."""

    way: str
    stage: Stage
    fault: Fault
    once: bool = False

    def __str__(self) -> str:
        return f"{self.way}/{self.stage.name}/{self.fault.name}{ONCE if self.once else ''}"


@cache
def cases() -> tuple[Case, ...]:
    return tuple(_cases())


def _cases() -> Iterator[Case]:
    for way in WAYS:
        for stage in STAGES.values():
            for fault in FAULTS.values():
                if way in stage.ways and fault.fits(stage, way):
                    yield Case(way, stage, fault)
                    if fault.passing and stage.repeats:
                        yield Case(way, stage, fault, once=True)


def named(name: str) -> Case:
    """The case of this name; LookupError where there is none."""
    for case in cases():
        if str(case) == name:
            return case
    raise LookupError(f"no case is called {name}")


def sample(size: int, seed: int, *, slow: float = 1.0, among: Sequence[Case] | None = None) -> tuple[Case, ...]:
    """As many cases, every way and stage having its share; the same seed, the same cases.

    `slow` is the share of those that wait for the end of their time, of what chance would give them.
    """
    chance = random.Random(seed)
    left: dict[tuple[str, str], list[Case]] = {}
    for case in cases() if among is None else among:
        if not case.fault.slow or chance.random() < slow:
            left.setdefault((case.way, case.stage.name), []).append(case)
    for some in left.values():
        chance.shuffle(some)
    chosen: list[Case] = []
    while len(chosen) < size and any(left.values()):
        places = [some for some in left.values() if some]
        chance.shuffle(places)
        chosen += [some.pop() for some in places[: size - len(chosen)]]
    return in_order(chosen)


def in_order(chosen: Iterable[Case]) -> tuple[Case, ...]:
    places = {case: number for number, case in enumerate(cases())}
    return tuple(sorted(chosen, key=lambda case: places[case]))
