"""Logs a bug of ours: versions and the traceback, without secrets."""

from __future__ import annotations

import os
import platform
import time
import traceback
from pathlib import Path

from pushsafe import __version__
from pushsafe.runtime.redact import clean


def write() -> str:
    """Log the current exception: the log's path, or why there is none. Never raises."""
    said = "it left no traceback"
    try:
        lines = [clean(line, limit=1000) for line in traceback.format_exc().splitlines()]
        said = lines[-1]
        return f"the log is {_log(lines)}"
    except Exception as error:  # noqa: BLE001 - a second bug must not hide the first
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        return f"no log could be written ({why}); {said}"


def _log(lines: list[str]) -> Path:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - it never raises
    log = Path(home) / "docker-pushsafe" / time.strftime(f"bug-%Y%m%d-%H%M%S-{os.getpid()}.log")
    if not log.is_absolute():
        raise FileNotFoundError(0, "there is no home folder")
    log.parent.mkdir(parents=True, exist_ok=True)
    head = f"docker pushsafe {__version__}, Python {platform.python_version()}, {platform.platform()}"
    with log.open("x", encoding="utf-8") as file:  # a new file, and no link
        file.write("\n".join([head, *lines]) + "\n")
    return log
