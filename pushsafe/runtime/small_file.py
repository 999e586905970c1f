"""A small file that somebody may have put there, read whole: a regular one, and no more of it than makes sense."""

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
_NO_WRITER = "it is a pipe that nobody writes to"


def read(path: Path, most: int, *, pipe: bool = False) -> bytes:
    """The content of a file of at most `most` bytes; links are followed, and `/dev/null` is an empty file.

    With `pipe` it may be a pipe too, if somebody writes to it. Raises OSError, whose `strerror` says why: what the
    system says, or what else than a regular file it is, or how large it may be. Nothing is waited for before that.
    """
    _require_readable(path.stat(), pipe)  # before it is opened: opening a device may do something to it
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
    """For whoever hands a path to a library that opens it: raises OSError as `read` does for what is no file."""
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
    """What a pipe holds that somebody writes to; from then on it is waited for. Raises OSError where nobody does."""
    try:
        first = os.read(descriptor, 65_536)
    except BlockingIOError:  # there is a writer, who has not written yet
        first = b""
    else:
        if not first:
            raise OSError(errno.EPIPE, _NO_WRITER)
    os.set_blocking(descriptor, True)
    return first
