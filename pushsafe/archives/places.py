"""Where in `PATH[:REF]` the path ends, which only the file system can tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pushsafe.archives.files import shown
from pushsafe.errors import UsageError, reason
from pushsafe.model import Archive, ArchiveKind

_WHAT = {
    ArchiveKind.OCI: "the folder of an OCI image layout",
    ArchiveKind.OCI_ARCHIVE: "the tar file of an OCI image layout",
    ArchiveKind.DOCKER_ARCHIVE: "the file that docker save wrote",
}


def split(archive: Archive) -> tuple[Path, str]:
    """The longest path that is there, and the REF after it, which may be empty. Raises UsageError."""
    kind, place = archive
    if not place.strip():
        raise UsageError(f"{kind.value}: names no file", f"name {_WHAT[kind]}: {kind.value}:PATH[:REF]")
    denied = ""
    for path, ref in _ways(place):
        try:
            if path and os.stat(path):  # noqa: PTH116
                return Path(path), ref
        except PermissionError as error:
            denied = denied or reason(error)
        except (OSError, ValueError):
            continue  # A name that no file can have is one that is not there.
    if denied:
        raise UsageError(f"{shown(place)}: it cannot be read: {denied}", "let this user read it, and its folders")
    raise UsageError(f"{shown(place)}: there is no such file or folder", f"name {_WHAT[kind]}: {kind.value}:PATH[:REF]")


def _ways(place: str) -> Iterator[tuple[str, str]]:
    """Every way to split it, the longest path first; a REF holds colons and slashes of its own."""
    yield place, ""
    end = len(place)
    while (end := place.rfind(":", 0, end)) >= 0:
        yield place[:end], place[end + 1 :]
