"""Standard output and error, which may be closed, full, or without a reader: writing never raises."""

from __future__ import annotations

import os
import sys
from errno import EPIPE


def prepare() -> None:
    """Replace closed output streams, and let a terminal without ✓ show ? in place of a traceback.

    A closed standard input stays `None`: its readers must report that.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file or socket gets this number, and a child writes its errors into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            _mute(name)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def show(text: str) -> str:
    """Write to standard output: the error, empty for success and for a reader that has gone (`| head`)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        return lost(error)
    return ""


def lost(error: OSError) -> str:
    """Close standard output for good: the error, empty for a reader that has gone."""
    _mute("stdout")
    return "" if error.errno == EPIPE else error.strerror or str(error)


def tell(text: str) -> None:
    """Write to standard error, if possible."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _mute("stderr")


def finish() -> None:
    """Flush what libraries left in the buffers."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # reported already, or there is no reader


def _mute(name: str) -> None:
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lives until the process ends
