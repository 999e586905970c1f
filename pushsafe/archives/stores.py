"""Where the files of an image layout lie: a folder, or a tar."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Protocol

from pushsafe.archives.files import NamedFile, Stretch, shown
from pushsafe.archives.repairs import AGAIN
from pushsafe.errors import UsageError, reason


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
