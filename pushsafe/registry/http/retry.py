"""When a request is sent again, and after which pause: a busy server or a dropped connection may be over by then."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import sleep

import urllib3  # never a part of it first: see auth.py
from urllib3.util import Retry

from pushsafe.model.plan import Wait
from pushsafe.model.retry_policy import BUSY, LONGEST_WAIT, RetryPolicy
from pushsafe.registry.http.unreachable import Dropped

_SAID: Mapping[int, str] = {HTTPStatus.TOO_MANY_REQUESTS: " (too many requests)"}
# The pauses of a busy server, in seconds: 0.25 to 0.5, 0.5 to 0.75, 1 to 1.25, and so on.
_FACTOR, _JITTER, _LONGEST_BACKOFF = 0.125, 0.25, 30.0


def spread() -> float:
    """A bit of a second by chance, so that those who were sent away together do not come back together."""
    return random.random() * _JITTER  # noqa: S311 - nothing depends on its being hard to guess


class Retries:
    """The retries of one request to `who`; `left` tells the seconds left for the whole run, None for any.

    Each method counts one, waits for as long as it takes, and tells whether the request is worth sending again.
    """

    def __init__(self, who: str, retry_policy: RetryPolicy, left: Callable[[], float | None]) -> None:
        self._who = who
        self._notify = retry_policy.notify
        self._left = left
        self._policy = Retry(
            retry_policy.retries, backoff_factor=_FACTOR, backoff_jitter=_JITTER, backoff_max=_LONGEST_BACKOFF
        )

    def after_answer(self, status: int, retry_after: str) -> bool:
        """After an answer and its Retry-After header, empty for none (RFC 9110 section 10.2.3: seconds or a date)."""
        if status not in BUSY or not self._count():
            return False
        return self._pause(self._asked_for(retry_after) or self._backoff(), f"answers {status}{_SAID.get(status, '')}")

    def after_drop(self, dropped: Dropped) -> bool:
        """After a connection broke off. The first time there is no pause: most were kept, and closed while idle."""
        if not self._count():
            return False
        if dropped.refused:  # a server that is starting anew
            return self._pause(self._backoff(), "refuses connections")
        return self._pause(self._policy.get_backoff_time(), "dropped the connection")

    def after_silence(self) -> bool:
        """After an answer that stayed away."""
        return self._count() and self._pause(self._backoff(), "has not answered in time")

    def _count(self) -> bool:
        try:
            self._policy = self._policy.increment()
        except urllib3.exceptions.MaxRetryError:
            return False
        return True

    def _asked_for(self, retry_after: str) -> float:
        """Seconds that the server asks us to wait, and a bit, for it may have asked many at once; 0 where it does not
        ask, or in a way that cannot be read."""
        try:
            seconds = self._policy.parse_retry_after(retry_after)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return 0.0
        return seconds + spread() if seconds else 0.0

    def _backoff(self) -> float:
        """urllib3's pause, which is none the first time, as if there had been one retry more."""
        history = self._policy.history
        return self._policy.new(history=(*history, *history[-1:])).get_backoff_time()

    def _pause(self, seconds: float, why: str) -> bool:
        """Wait, unless it would take too long."""
        left = self._left()
        if seconds > LONGEST_WAIT + _JITTER or (left is not None and seconds >= left):
            return False
        if seconds > 0:
            self._notify(Wait(self._who, why, seconds))
            sleep(seconds)
        return True
