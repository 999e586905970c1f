"""Standard output and error where they may be closed, full, or without a reader: writing to them never raises."""

from __future__ import annotations

import os
import sys
from errno import EPIPE


def prepare() -> None:
    """Give a stream that is closed a place to go to; a terminal without ✓ shows ?, and no traceback.

    A closed standard input stays `None`: whoever wants to read it has to say that nothing is there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file or socket that is opened gets this number, and a child writes its errors into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            _mute(name)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def show(text: str) -> str:
    """Write to standard output; why it could not be written, empty also where merely its reader has gone (`| head`)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        return lost(error)
    return ""


def lost(error: OSError) -> str:
    """Nothing more goes to standard output, not even at the end; the reason, empty where its reader has gone."""
    _mute("stdout")
    return "" if error.errno == EPIPE else error.strerror or str(error)


def tell(text: str) -> None:
    """Write to standard error, if anything can be written there."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _mute("stderr")


def finish() -> None:
    """Write what a library may have left in the buffers."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # whoever wrote it has been told, or nobody listens


def _mute(name: str) -> None:
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lives until the process ends
