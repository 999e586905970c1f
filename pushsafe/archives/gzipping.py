"""gzip on several processors, whose bytes depend on nothing but what is compressed."""

from __future__ import annotations

import os
import queue
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

_LEVEL = 1
"""Level 1 of ISA-L makes the same bytes on every x86-64 processor from Nehalem on, as levels 0 and 2 do; level 3 does
not: it picks other matches where AVX-512 is there. 420 MB/s of a processor, against 60 of zlib's level 1."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, no flags, and no system said (RFC 1952, 2.3)."""
_LAST = b"\x03\x00"
"""An empty block that says it is the last one (RFC 1951, 3.2.6)."""
_WORKERS = 8
"""More than one layer keeps busy: its bytes are hashed one after the other, which is four times as fast."""
_UNDERWAY = 24
"""Blocks of 1 MiB in memory at a time, each with what becomes of it: some 50 MiB at most."""


class Workers:
    """Threads that compress blocks for any number of streams; they end with the process, or after `close`."""

    def __init__(self, streams: int) -> None:
        """`streams` are as many as will be packed at the same time."""
        self._blocks: queue.SimpleQueue[tuple[bytes, Future[bytes]] | None] = queue.SimpleQueue()
        self._count = min(os.cpu_count() or 1, _WORKERS)
        self._ahead = max(2, min(_UNDERWAY // max(streams, 1), 2 * self._count))
        for _ in range(self._count):
            threading.Thread(target=self._run, name="pushsafe-gzip", daemon=True).start()

    def gzip(self, parts: Iterable[memoryview], seen: Callable[[memoryview], None]) -> Iterator[bytes]:
        """One gzip member of all parts, which are blocks of their own in it; `seen` is told each before the next."""
        from isal.isal_zlib import crc32

        underway: deque[Future[bytes]] = deque()
        check = size = 0
        yield _HEADER
        for part in parts:
            packed: Future[bytes] = Future()
            self._blocks.put((bytes(part), packed))
            underway.append(packed)
            seen(part)
            check = crc32(part, check)
            size += len(part)
            if len(underway) >= self._ahead:
                yield underway.popleft().result()
        while underway:
            yield underway.popleft().result()
        yield _LAST + struct.pack("<II", check, size & 0xFFFFFFFF)

    def close(self) -> None:
        for _ in range(self._count):
            self._blocks.put(None)

    def _run(self) -> None:
        while (taken := self._blocks.get()) is not None:
            block, packed = taken
            try:
                packed.set_result(_deflated(block))
            except Exception as error:  # noqa: BLE001  # For whoever waits for it: this thread serves others as well.
                packed.set_exception(error)


def _deflated(block: bytes) -> bytes:
    """Raw deflate of a block that depends on none before it, its end on a byte's (RFC 1951, 3.2.4)."""
    from isal import isal_zlib

    compressing = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    return compressing.compress(block) + compressing.flush(isal_zlib.Z_SYNC_FLUSH)
