"""The layers of `docker save`, checked, and compressed on all processors where they are not."""

from __future__ import annotations

import hashlib
import os
import queue
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple

from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.oci.manifest import Blob
from pushsafe.sources.archive.decompress import GZIP, Compression, broken_gzip
from pushsafe.sources.archive.files import PART, SAVE_AGAIN, OpenFile, StoredBlob, Stretch, temporary, write

_PAUSE = 0.1
"""Seconds between two reports of progress."""
_LANES = 4
"""Layers at a time; one alone keeps several processors busy."""


class Layer(NamedTuple):
    """A stored layer; `diff_id` is the digest of its tar (OCI image specification, `config.md`). A compressed layer is
    sent unchanged."""

    stretch: Stretch
    diff_id: str
    compression: Compression | None


class Packed(NamedTuple):
    """A layer as it is sent."""

    content: StoredBlob
    compression: Compression


class Packing:
    """Compresses layers in daemon threads, which start at once and end soon after `close`.

    Of several layers with one `diff_id` only the first is used.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        largest_first = sorted(layers, key=lambda layer: -layer.stretch.size)
        once = {layer.diff_id: layer for layer in reversed(layers)}
        self._order = [layer.diff_id for layer in layers]
        self._packed: dict[str, Future[Packed]] = {diff_id: Future() for diff_id in once}
        self._waiting = list({layer.diff_id: once[layer.diff_id] for layer in largest_first}.values())
        self._needed = sum(layer.stretch.size for layer in self._waiting if layer.compression is None)
        self._read, self._whole = 0, sum(layer.stretch.size for layer in self._waiting)
        self._lock = threading.Lock()
        self._open: list[OpenFile] = []
        self._ended = False
        self._error: Exception | None = None
        self._lanes = min(os.cpu_count() or 1, _LANES, len(self._waiting))
        self._workers = Workers(self._lanes)
        if not self._lanes:
            self._workers.close()
        for _ in range(self._lanes):
            threading.Thread(target=self._run, name="pushsafe-pack", daemon=True).start()

    def layers(self, tell: Callable[[int, int], None]) -> list[Packed]:
        """The compressed layers in order. Until all are ready, `tell` gets the bytes read and their total. Raises
        UsageError, which names archive and member."""
        try:
            for packed in self._packed.values():
                while not wait((packed,), _PAUSE).done:
                    tell(self._read, self._whole)
                packed.result()
            tell(self._whole, self._whole)
            return [self._packed[diff_id].result() for diff_id in self._order]
        except _Ended:
            # Another layer's error, if there is one, is the cause.
            raise self._error or UsageError("the image was closed before its layers were packed") from None

    def close(self) -> None:
        """Free the files, at the latest after the current part."""
        with self._lock:
            self._ended = True
            left, self._open = self._open, []
        for file in left:
            file.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._lanes -= 1
                    break
                layer = self._waiting.pop(0)
            packed = self._packed[layer.diff_id]
            try:
                kept = layer.compression and self._kept(layer, layer.compression)
                packed.set_result(kept or self._compressed(layer))
            except ContentBroken as error:
                self._fail(packed, UsageError(error.message, SAVE_AGAIN))
            except Exception as error:  # noqa: BLE001  # `layers` raises it, even a bug
                self._fail(packed, error)
        # No lane waits for a block any more.
        if not self._lanes:
            self._workers.close()

    def _fail(self, packed: Future[Packed], error: Exception) -> None:
        """Stop all work: with one bad layer nothing can be pushed."""
        with self._lock:
            self._ended = True
            if self._error is None and not isinstance(error, _Ended):
                self._error = error
        packed.set_exception(error)

    def _compressed(self, layer: Layer) -> Packed:
        tar = hashlib.new(layer.diff_id.partition(":")[0])
        digest, size = hashlib.sha256(), 0
        target = temporary()
        try:
            for block in self._workers.gzip(self._parts(layer), tar.update):
                size += write(target, block, "the compressed layers", self._needed)
                digest.update(block)
            _compare(layer, tar.hexdigest())
        except BaseException:
            os.close(target)
            raise
        file = OpenFile(target, layer.stretch.file)
        with self._lock:
            self._open.append(file)
            ended = self._ended
        if ended:
            file.close()
        blob = Blob(f"sha256:{digest.hexdigest()}", size)
        return Packed(StoredBlob(blob, Stretch(file, 0, size, layer.stretch.file)), GZIP)

    def _kept(self, layer: Layer, compression: Compression) -> Packed:
        from pushsafe.sources.archive.zstd import ZstdError

        tar = hashlib.new(layer.diff_id.partition(":")[0])
        digest = hashlib.sha256()

        def read() -> Iterator[memoryview]:
            for part in self._parts(layer):
                digest.update(part)
                yield part

        unpacked, damage = (_gunzipped, broken_gzip()) if compression is GZIP else (_unzstd, ZstdError)
        try:
            for part in unpacked(read()):
                tar.update(part)
        except (damage, ValueError, EOFError) as error:
            raise UsageError(
                f"{layer.stretch.file}: it is compressed by {compression.name}, and damaged: {error}", SAVE_AGAIN
            ) from None
        _compare(layer, tar.hexdigest())
        blob = Blob(f"sha256:{digest.hexdigest()}", layer.stretch.size)
        return Packed(StoredBlob(blob, layer.stretch), compression)

    def _parts(self, layer: Layer) -> Iterator[memoryview]:
        for part in layer.stretch.parts():
            if self._ended:
                raise _Ended
            with self._lock:
                self._read += len(part)
            yield part


class _Ended(Exception):
    """The packing was closed, or another layer has failed."""


def _compare(layer: Layer, found: str) -> None:
    algorithm, _, expected = layer.diff_id.partition(":")
    if found != expected:
        said = f"its content has the digest {algorithm}:{found}, and not {layer.diff_id} as its config says"
        raise UsageError(f"{layer.stretch.file}: {said}", SAVE_AGAIN)


def _gunzipped(parts: Iterator[memoryview]) -> Iterator[bytes]:
    """The content of gzip members, in pieces of at most 1 MiB. Raises isal's error, or EOFError."""
    from isal import isal_zlib

    reading = None
    for part in parts:
        rest = bytes(part)
        while rest:
            if reading is None or reading.eof:
                reading = isal_zlib.decompressobj(isal_zlib.MAX_WBITS + 16)
            yield reading.decompress(rest, PART)
            rest = reading.unused_data if reading.eof else reading.unconsumed_tail
    while reading is not None and not reading.eof:
        more = reading.decompress(b"", PART)
        if not more:
            raise EOFError("it ends too early")
        yield more


def _unzstd(parts: Iterator[memoryview]) -> Iterator[bytes]:
    """The content of zstd frames, in pieces as by `_gunzipped`. Raises ZstdError or EOFError."""
    from pushsafe.sources.archive.zstd import ZstdDecompressor

    reading = ZstdDecompressor()
    begun = False
    for part in parts:
        rest = bytes(part)
        while rest or not (reading.eof or reading.needs_input):
            if reading.eof:
                reading = ZstdDecompressor()
            begun = True
            yield reading.decompress(rest, PART)
            rest = reading.unused_data if reading.eof else b""
    if begun and not reading.eof:
        raise EOFError("it ends too early")


_LEVEL = 1
"""ISA-L's levels 0 to 2 make the same bytes on every x86-64 processor from Nehalem on; level 3 picks other matches with
AVX-512. Level 1 does 420 MB/s on one processor, zlib's level 1 does 60."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Without name, time, flags and system (RFC 1952, 2.3)."""
_LAST = b"\x03\x00"
"""An empty last block (RFC 1951, 3.2.6)."""
_WORKERS = 8
"""More than one layer keeps busy: it is hashed by one thread, four times as fast as a worker compresses."""
_UNDERWAY = 24
"""Blocks of 1 MiB in memory at a time, each with its result: some 50 MiB at most."""


class Workers:
    """Daemon threads that compress the blocks of up to `streams` streams at a time, until `close`."""

    def __init__(self, streams: int) -> None:
        self._blocks: queue.SimpleQueue[tuple[bytes, Future[bytes]] | None] = queue.SimpleQueue()
        self._count = min(os.cpu_count() or 1, _WORKERS)
        self._ahead = max(2, min(_UNDERWAY // max(streams, 1), 2 * self._count))
        for _ in range(self._count):
            threading.Thread(target=self._run, name="pushsafe-gzip", daemon=True).start()

    def gzip(self, parts: Iterable[memoryview], seen: Callable[[memoryview], None]) -> Iterator[bytes]:
        """One gzip member, with a block for each part; `seen` gets each part before the next one is read."""
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
            except Exception as error:  # noqa: BLE001  # `gzip` raises it; this thread serves other streams
                packed.set_exception(error)


def _deflated(block: bytes) -> bytes:
    """Raw deflate of a block, independent of others, that ends at a byte (RFC 1951, 3.2.4)."""
    from isal import isal_zlib

    compressing = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    return compressing.compress(block) + compressing.flush(isal_zlib.Z_SYNC_FLUSH)
