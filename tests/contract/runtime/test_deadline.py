"""The end of a run's time: it rings in the main thread, once, and leaves the process as it found it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

import pytest

from pushsafe.runtime.signals import TimedOut, deadline, silence

LONG = 3600.0
SHORT = 0.02


def mine(_number: int, _frame: FrameType | None) -> None:
    raise AssertionError("the handler of those who came before was called")


@pytest.fixture(autouse=True)
def an_earlier_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, mine)
    yield
    signal.signal(signal.SIGALRM, before)


def is_as_before() -> bool:
    return signal.getsignal(signal.SIGALRM) is mine and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_ends_whatever_the_main_thread_waits_for() -> None:
    with pytest.raises(TimedOut), deadline(SHORT):
        assert threading.Event().wait(10), "it did not ring"
    assert is_as_before()


def test_who_stops_for_ctrl_c_stops_for_it() -> None:
    assert issubclass(TimedOut, KeyboardInterrupt)


def test_a_run_that_ends_in_time_hears_nothing_of_it() -> None:
    with deadline(LONG) as left:
        assert signal.getsignal(signal.SIGALRM) is not mine
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG
        assert 0 < (left() or 0) <= LONG
    assert is_as_before()


def test_whatever_ends_a_run_disarms_it() -> None:
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error), deadline(LONG):
            raise error
        assert is_as_before(), error


def test_what_is_short_and_at_the_end_is_not_interrupted() -> None:
    with deadline(SHORT) as left:
        silence()
        assert not threading.Event().wait(2 * SHORT)
        assert (left() or 0) < 0
    assert is_as_before()


def test_none_is_no_end() -> None:
    with deadline(None) as left:
        assert left() is None
        assert is_as_before()


def test_another_thread_is_only_told_how_much_is_left() -> None:
    def ask(seconds: float) -> tuple[bool, float | None]:
        with deadline(seconds) as left:
            return is_as_before(), left()

    with ThreadPoolExecutor(1) as pool:
        untouched, left = pool.submit(ask, LONG).result()
        assert untouched
        assert 0 < (left or 0) <= LONG
        assert (pool.submit(ask, -1.0).result()[1] or 0) < 0


def test_all_that_is_left_is_told_to_whom_it_is_passed_on() -> None:
    with suppress(TimedOut), deadline(SHORT) as left:
        threading.Event().wait(10)
    assert (left() or 0) <= 0
