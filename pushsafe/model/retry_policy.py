"""Retry policy: how often a request is sent again, and who is notified before each wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushsafe.model.plan import Wait

LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait before the next try; one that asks for more is not waited for."""

BUSY = (429, 502, 503, 504)
"""Statuses of a server that may answer at the next try; every one of them was tried again where that was wanted."""


def _unnotified(_wait: Wait) -> None:
    """No one is notified."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent again where that can help; `notify` is called before each pause, from any thread."""

    retries: int = 0
    notify: Callable[[Wait], None] = _unnotified


NO_RETRIES = RetryPolicy()
