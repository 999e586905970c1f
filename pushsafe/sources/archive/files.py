"""The bytes of an archive: named and open files, folders, and unnamed temporary files."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pushsafe.model.errors import ContentBroken, UsageError, reason
from pushsafe.oci.manifest import Blob
from pushsafe.runtime.redact import clean

PART = 1 << 20
"""Bytes per read: more is no faster, and each thread keeps a buffer."""


def shown(path: str | Path) -> str:
    """A path for a message."""
    return clean(str(path), limit=1000)


class NamedFile:
    """A whole file, opened anew for every read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def descriptor(self, size: int) -> int:
        """A new descriptor. Raises OSError, or ContentBroken where the file has another size."""
        descriptor = open_regular(self._path)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ContentBroken(f"{shown(self._path)}: it is no regular file any more")
            if found.st_size != size:
                raise ContentBroken(f"{shown(self._path)}: it has {found.st_size} bytes now, and had {size}")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


class OpenFile:
    """A file that stays open until `close`, whatever becomes of its name."""

    def __init__(self, descriptor: int, file: str) -> None:
        self._descriptor = descriptor
        self._file = file
        self._lock = threading.Lock()

    def descriptor(self, _size: int) -> int:
        """A duplicate, so that `close` disturbs no reader. Raises as NamedFile's."""
        with self._lock:
            if self._descriptor < 0:
                raise ContentBroken(f"{self._file}: it was closed before it was read")
            return os.dup(self._descriptor)

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


@dataclass(frozen=True)
class Stretch:
    """`size` bytes of a file at `offset`, or bytes in memory; `file` is its name in messages."""

    source: NamedFile | OpenFile | bytes
    offset: int
    size: int
    file: str

    def parts(self) -> Iterator[memoryview]:
        """The bytes in parts of at most 1 MiB, each valid until the next one is read. Raises ContentBroken."""
        if isinstance(self.source, bytes):
            yield from (memoryview(self.source)[at : at + PART] for at in range(0, self.size, PART))
            return
        try:
            descriptor = self.source.descriptor(self.size)
            try:
                yield from self._read(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ContentBroken(f"{self.file}: it cannot be read: {reason(error)}") from None

    def _read(self, descriptor: int) -> Iterator[memoryview]:
        # Page-aligned, as a large bytearray is not: some processors (AMD family 25) copy five times slower to an
        # address whose offset in its page is a few bytes behind the source's.
        buffer = memoryview(mmap.mmap(-1, min(PART, self.size) or 1))
        for begin in range(0, self.size, PART):
            part = buffer[: self.size - begin]
            read = 0
            # Every part but the last is full, even after short reads: compression depends on it.
            while read < len(part):
                # `preadv` needs no file position, which threads would share, and fills our buffer.
                count = os.preadv(descriptor, [part[read:]], self.offset + begin + read)
                if not count:
                    raise ContentBroken(f"{self.file}: it ends after {begin + read} bytes, and had {self.size}")
                read += count
            yield part

    def whole(self) -> bytes:
        """All bytes of a small stretch. Raises ContentBroken."""
        return b"".join(map(bytes, self.parts()))

    def beginning(self, count: int) -> bytes:
        """The first `count` bytes, or fewer. Raises ContentBroken."""
        return bytes(next(self.parts(), b"")[:count])


@dataclass(frozen=True)
class StoredBlob:
    """A blob and its bytes (an `oci.content.Content`)."""

    blob: Blob
    stretch: Stretch

    @property
    def file(self) -> str:
        return self.stretch.file

    def parts(self) -> Iterator[memoryview]:
        return self.stretch.parts()


def open_regular(path: Path) -> int:
    """A descriptor for reading; opening a pipe does not wait for a writer. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOCTTY", 0))


def open_archive(path: Path) -> tuple[int, int]:
    """The descriptor of a regular file and its size in bytes. Raises UsageError."""
    try:
        descriptor = open_regular(path)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "no file can have this name"
        raise UsageError(f"{shown(path)}: it cannot be read: {why}") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return descriptor, found.st_size
    os.close(descriptor)
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{shown(path)}: it is a folder, and a tar file is expected", "name a folder as oci:FOLDER")
    raise UsageError(
        f"{shown(path)}: it is no regular file, and it has to be read more than once", "write it to a file first"
    )


class Store(Protocol):
    """Files by their names in a layout, such as `blobs/sha256/HEX`."""

    def find(self, name: str) -> Stretch | None:
        """The file of that name, or None. Raises UsageError for an unusable one."""

    def shown(self, name: str) -> str:
        """The name of a file, or of a missing one, in messages."""

    def close(self) -> None: ...


class Folder:
    """A folder as a store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> Stretch | None:
        """As in `Store`. Links are followed: content-addressed builds make folders of links."""
        path = self._path / name
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else "no file can have this name"
            raise UsageError(f"{shown(path)}: it cannot be read: {why}") from None
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{shown(path)}: it is no regular file", AGAIN)
        return Stretch(NamedFile(path), 0, found.st_size, shown(path))

    def shown(self, name: str) -> str:
        return shown(self._path / name)

    def close(self) -> None:
        """Nothing is open."""


def temporary() -> int:
    """A descriptor of a new unnamed file in TMPDIR's folder. Raises UsageError."""
    try:
        with tempfile.TemporaryFile(buffering=0, prefix="pushsafe-") as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise UsageError(f"no temporary file can be made: {reason(error)}", _ELSEWHERE) from None


def write(descriptor: int, content: memoryview | bytes, what: str, needed: int = 0) -> int:
    """Append `content`; `needed` is the most bytes of the whole file, 0 for unknown. Raises UsageError."""
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        folder = shown(tempfile.gettempdir())
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UsageError(f"{folder}: {what} cannot be written: {reason(error)}", _ELSEWHERE) from None
        most = f", which takes up to {needed / 1e9:.1f} GB" if needed else ""
        raise UsageError(f"{folder}: there is no room for {what}{most}", _ELSEWHERE) from None
    return len(content)


# How to fix what is wrong with ...
_ELSEWHERE = "make room there, or let TMPDIR name a folder on another disk"
# ... an image layout and its content:
AGAIN = "write it again with the tool that made it, or copy it again if it was copied"
# ... a file of `docker save`:
SAVE_AGAIN = "save the image again, or copy the file again if it was copied"
# ... a tar file of any content:
COPY_AGAIN = "write it again, or copy it again if it was copied"
# ... a manifest of the first schema:
PULL_AGAIN = "pull the image with a newer tool, which converts it, and write it again"
# ... something in a layout that is no image:
NO_IMAGE = "name an image or an index of images; layers, build caches and the like are not images"
# ... an index that is too large for one image:
BY_DIGEST = "name the image that is meant within it, by --platform or by its digest"
