"""The bytes of an archive: open files, folders, and unnamed temporary files."""

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
"""Bytes read at a time: more makes nothing faster, and memory is kept for each thread."""


def shown(path: str | Path) -> str:
    """A file's name as the user wrote it, fit for a message."""
    return clean(str(path), limit=1000)


class NamedFile:
    """A file that is opened anew for every reading, and is what it names all in all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def descriptor(self, size: int) -> int:
        """A descriptor of the caller's own. Raises OSError, or ContentBroken where the file has another size."""
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
    """A file that stays open until `close`: what is read is what was opened, whatever its name comes to mean."""

    def __init__(self, descriptor: int, file: str) -> None:
        self._descriptor = descriptor
        self._file = file
        self._lock = threading.Lock()

    def descriptor(self, _size: int) -> int:
        """As NamedFile does it; a second one of the same file, so that `close` disturbs no reader."""
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
    """`size` bytes of a file from `offset` on, or bytes that are no file's; `file` names it for people."""

    source: NamedFile | OpenFile | bytes
    offset: int
    size: int
    file: str

    def parts(self) -> Iterator[memoryview]:
        """All of it in parts of at most 1 MiB; each holds until the next one is asked for. Raises ContentBroken."""
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
        # From a page's begin: some processors (AMD's of family 25) copy five times slower to what lies a few bytes
        # behind its source, both seen within their pages, as the bytes of a large bytearray do.
        buffer = memoryview(mmap.mmap(-1, min(PART, self.size) or 1))
        for begin in range(0, self.size, PART):
            part = buffer[: self.size - begin]
            read = 0
            # Every part but the last is full, whatever a file system gives at a time: packing depends on it.
            while read < len(part):
                # `preadv` has no position of its own that threads could disturb, and fills the buffer that is there.
                count = os.preadv(descriptor, [part[read:]], self.offset + begin + read)
                if not count:
                    raise ContentBroken(f"{self.file}: it ends after {begin + read} bytes, and had {self.size}")
                read += count
            yield part

    def whole(self) -> bytes:
        """All of it; for what is known to be small. Raises ContentBroken."""
        return b"".join(map(bytes, self.parts()))

    def beginning(self, count: int) -> bytes:
        """Its first bytes, or all of it where there are fewer. Raises ContentBroken."""
        return bytes(next(self.parts(), b"")[:count])


@dataclass(frozen=True)
class StoredBlob:
    """A blob and the stretch where its bytes are (an `oci.content.Content`)."""

    blob: Blob
    stretch: Stretch

    @property
    def file(self) -> str:
        return self.stretch.file

    def parts(self) -> Iterator[memoryview]:
        return self.stretch.parts()


def open_regular(path: Path) -> int:
    """A descriptor to read with; a pipe does not keep us waiting for a writer. Raises OSError."""
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
    """Files by the names that a layout gives them, such as `blobs/sha256/HEX`."""

    def find(self, name: str) -> Stretch | None:
        """The file of that name, or None where there is none. Raises UsageError where it cannot be used."""

    def shown(self, name: str) -> str:
        """How a message names a file, also one that is not there."""

    def close(self) -> None: ...


class Folder:
    """A folder; nothing of it stays open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> Stretch | None:
        """A link to a file is as good as the file: builds that keep their results by content make folders of links."""
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
    """The descriptor of a new one in the folder that TMPDIR names. Raises UsageError."""
    try:
        with tempfile.TemporaryFile(buffering=0, prefix="pushsafe-") as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise UsageError(f"no temporary file can be made: {reason(error)}", _ELSEWHERE) from None


def write(descriptor: int, content: memoryview | bytes, what: str, needed: int = 0) -> int:
    """Append all of it; `needed` is how many bytes it can be in all, 0 where nobody knows. Raises UsageError."""
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


_ELSEWHERE = "make room there, or let TMPDIR name a folder on another disk"


AGAIN = "write it again with the tool that made it, or copy it again if it was copied"
"""Of an image layout, and whatever is in it."""
SAVE_AGAIN = "save the image again, or copy the file again if it was copied"
"""Of what `docker save` wrote."""
COPY_AGAIN = "write it again, or copy it again if it was copied"
"""Of a tar file, whatever is in it."""
PULL_AGAIN = "pull the image with a newer tool, which converts it, and write it again"
"""Of a manifest of the first schema."""
NO_IMAGE = "name an image or an index of images; layers, build caches and the like are not images"
"""Of what a layout holds besides."""
BY_DIGEST = "name the image that is meant within it, by --platform or by its digest"
"""Of what leads to more than an image can have."""
