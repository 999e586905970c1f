"""Reads small files that may be anything: only regular ones, and of limited size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read(path: Path, most: int, *, pipe: bool = False) -> bytes:
    """The content of a file of at most `most` bytes; links are followed, and `/dev/null` is an empty file.

    With `pipe` it may also be a pipe that has a writer. Raises OSError at once, with the system's `strerror`, the kind
    of the file, or the limit.
    """
    _require_readable(path.stat(), pipe)  # first, as opening a device may have effects
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOCTTY", 0))
    try:
        found = os.fstat(descriptor)
        _require_readable(found, pipe)
        data = bytearray(_first_of_pipe(descriptor) if stat.S_ISFIFO(found.st_mode) else b"")
        while len(data) <= most and (part := os.read(descriptor, most + 1 - len(data))):
            data += part
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most // 1024} KiB")
    return bytes(data)


def require_regular(path: Path) -> None:
    """Raise OSError as `read` does, for a path that a library is going to open."""
    _require_readable(path.stat(), pipe=False)


def _require_readable(found: os.stat_result, pipe: bool) -> None:
    if stat.S_ISREG(found.st_mode) or (pipe and stat.S_ISFIFO(found.st_mode)) or _is_null(found):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kind = next((words for is_kind, words in _KINDS if is_kind(found.st_mode)), "something else")
    raise OSError(errno.EINVAL, f"it is {kind}, not a regular file")


def _is_null(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == Path(os.devnull).stat().st_rdev


def _first_of_pipe(descriptor: int) -> bytes:
    """The first bytes of a pipe, which blocks from then on. Raises OSError for a pipe without a writer."""
    try:
        first = os.read(descriptor, 65_536)
    except BlockingIOError:  # the writer has not written yet
        first = b""
    else:
        if not first:
            raise OSError(errno.EPIPE, "it is a pipe that nothing writes to")
    os.set_blocking(descriptor, True)
    return first
