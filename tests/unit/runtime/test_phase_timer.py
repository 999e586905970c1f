"""Seconds by phase: phases overlap, and one that several threads are in counts once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pushsafe.runtime.phase_timer import PhaseTimer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# Each step is what begins (+) or ends (-), a second after the one before.
def test_a_phase_lasts_as_long_as_anybody_is_in_it() -> None:
    for steps, read in (
        ("", {}),
        ("+a -a", {"a": 1.0}),
        ("+a -a +b -b", {"a": 1.0, "b": 1.0}),
        ("+a +b -a -b", {"a": 2.0, "b": 2.0}),
        ("+a +a -a -a", {"a": 3.0}),
        ("+a -a +b -b +a -a", {"a": 2.0, "b": 1.0}),
        ("+b +a -b", {"b": 2.0, "a": 1.0}),
    ):
        clock = Clock()
        timer = PhaseTimer(clock)
        entered: dict[str, list[ExitStack]] = {}
        for number, step in enumerate(steps.split()):
            clock.now = 100.0 + number
            stacks = entered.setdefault(step[1:], [])
            if step[0] == "+":
                stack = ExitStack()
                stack.enter_context(timer.phase(step[1:]))
                stacks.append(stack)
            else:
                stacks.pop().close()
        assert dict(timer.read()) == read, steps
        assert list(dict(timer.read())) == list(read), steps


def test_what_fails_has_taken_its_time() -> None:
    clock = Clock()
    timer = PhaseTimer(clock)

    def fail() -> None:
        with timer.phase("a"):
            clock.now += 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    clock.now += 5
    assert timer.read() == (("a", 2.0),)
