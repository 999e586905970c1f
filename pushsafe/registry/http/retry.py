"""Retries: whether to send a request again after a busy answer or a dropped connection, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import sleep

import urllib3  # before any part of it: see auth.py
from urllib3.util import Retry

from pushsafe.model.plan import Wait
from pushsafe.model.retry_policy import BUSY, LONGEST_WAIT, RetryPolicy
from pushsafe.registry.http.unreachable import Dropped

_NAMED: Mapping[int, str] = {HTTPStatus.TOO_MANY_REQUESTS: " (too many requests)"}
# Pauses for a busy server, in seconds: 0.25 to 0.5, 0.5 to 0.75, 1 to 1.25, and so on.
_FACTOR, _JITTER, _LONGEST_BACKOFF = 0.125, 0.25, 30.0


def spread() -> float:
    """A random part of a second, so that clients refused together do not return together."""
    return random.random() * _JITTER  # noqa: S311 - it need not be hard to guess


class Retries:
    """The retries of one request to `who`; `left` returns the seconds left for the run, None for no limit.

    Each method counts one retry, pauses, and returns whether to send the request again.
    """

    def __init__(self, who: str, retry_policy: RetryPolicy, left: Callable[[], float | None]) -> None:
        self._who = who
        self._notify = retry_policy.notify
        self._left = left
        self._policy = Retry(
            retry_policy.retries, backoff_factor=_FACTOR, backoff_jitter=_JITTER, backoff_max=_LONGEST_BACKOFF
        )

    def after_answer(self, status: int, retry_after: str) -> bool:
        """After an answer with this Retry-After header (seconds or a date, RFC 9110 section 10.2.3) or an empty one."""
        if status not in BUSY or not self._count():
            return False
        return self._pause(self._asked_for(retry_after) or self._backoff(), f"answers {status}{_NAMED.get(status, '')}")

    def after_drop(self, dropped: Dropped) -> bool:
        """After a dropped connection. The first retry has no pause: most are idle connections that were closed."""
        if not self._count():
            return False
        if dropped.refused:  # a restarting server
            return self._pause(self._backoff(), "refuses connections")
        return self._pause(self._policy.get_backoff_time(), "dropped the connection")

    def after_silence(self) -> bool:
        """After no answer came in time."""
        return self._count() and self._pause(self._backoff(), "has not answered in time")

    def _count(self) -> bool:
        try:
            self._policy = self._policy.increment()
        except urllib3.exceptions.MaxRetryError:
            return False
        return True

    def _asked_for(self, retry_after: str) -> float:
        """The seconds of Retry-After, and jitter; 0 for an empty or unreadable one."""
        try:
            seconds = self._policy.parse_retry_after(retry_after)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return 0.0
        return seconds + spread() if seconds else 0.0

    def _backoff(self) -> float:
        """urllib3's pause after one retry more, as its first pause is none."""
        history = self._policy.history
        return self._policy.new(history=(*history, *history[-1:])).get_backoff_time()

    def _pause(self, seconds: float, why: str) -> bool:
        """Wait, or return false if that would take too long."""
        left = self._left()
        if seconds > LONGEST_WAIT + _JITTER or (left is not None and seconds >= left):
            return False
        if seconds > 0:
            self._notify(Wait(self._who, why, seconds))
            sleep(seconds)
        return True
