"""How long a busy server or a dropped connection is put up with, and who is told of the pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushsafe.model.plan import Wait

LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait before the next try; one that asks for more is not waited for."""

BUSY = (429, 502, 503, 504)
"""Statuses of a server that may answer at the next try; every one of them was tried again where that was wanted."""


def _untold(_wait: Wait) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Patience:
    """How often a request is sent again where that can help; `tell` is called before each pause, from any thread."""

    retries: int = 0
    tell: Callable[[Wait], None] = _untold


NO_PATIENCE = Patience()
