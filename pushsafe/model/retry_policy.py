"""Retry policy: how often a request is sent again, and who is notified before each wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushsafe.model.plan import Wait

LONGEST_WAIT = 60.0
"""The longest `Retry-After` honored, in seconds; a server that asks for more is not retried."""

BUSY = (429, 502, 503, 504)
"""Statuses of a busy server, which are retried."""


def _unnotified(_wait: Wait) -> None:
    """No one is notified."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is repeated if that can help; `notify` is called before each pause, from any thread."""

    retries: int = 0
    notify: Callable[[Wait], None] = _unnotified


NO_RETRIES = RetryPolicy()
