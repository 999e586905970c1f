"""Files without a name for what is unpacked or packed: nobody else sees them, and nothing of them is left behind."""

from __future__ import annotations

import errno
import os
import tempfile

from pushsafe.archives.files import shown
from pushsafe.errors import UsageError, reason


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
