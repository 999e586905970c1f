"""How many blobs are read at a time for one registry, and in which pieces they go there at first."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pushsafe.registry.hosts import is_loopback

_NEAR = max(2, os.cpu_count() or 1)
_PIECE = 48 * 1024 * 1024
_SMALL = 1024 * 1024


class Turns:
    """Those of one registry; for any number of threads.

    Where the registry shares this machine's processors, no more are read at a time than there are processors, and in
    equal pieces of at least `piece` bytes and less than twice as many: blobs that are read side by side come to their
    ends side by side, and only then does a registry write them to its disk, while the processors wait. Elsewhere each
    blob goes as a whole (`piece` is 0) as soon as there is a thread for it: a link with a long way takes several at a
    time.
    """

    def __init__(self, registry: str) -> None:
        self.near = is_loopback(registry)
        self.piece = _PIECE if self.near else 0
        self._free = threading.Semaphore(_NEAR) if self.near else None

    @contextmanager
    def one(self, size: int) -> Iterator[Callable[[], None]]:
        """The turn of a request whose body has `size` bytes, for which a small one does not wait; what is given ends it
        sooner, when all of the body was sent."""
        if self._free is None or size <= _SMALL:
            yield lambda: None
            return
        self._free.acquire()
        taken = threading.Lock()

        def end() -> None:
            if taken.acquire(blocking=False) and self._free is not None:
                self._free.release()

        try:
            yield end
        finally:
            end()
