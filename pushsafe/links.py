"""Where a path leads, unless a stranger's link in a folder of everybody's leads it there.

What Linux does with `fs.protected_symlinks` (kernel documentation, admin-guide/sysctl/fs.rst), where that is switched
off, and where a path is resolved before it is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_MOST = 40
"""Links on one way (Linux: MAXSYMLINKS)."""


def resolve(given: str) -> Path:
    """The absolute path without links; parts that are not there are taken as they are.

    Raises OSError for a link that somebody else has planted in a sticky folder that everybody may write to, for a
    ring of links, and for a folder that is closed to us.
    """
    here = Path("/") if given.startswith("/") else Path.cwd()
    left = [part for part in reversed(given.split("/")) if part not in ("", ".")]
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        place = here / part
        try:
            found = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            here = place
            continue
        if not stat.S_ISLNK(found.st_mode):
            here = place
            continue
        links += 1
        if links > _MOST:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        _require_own(place, found, here.stat())
        target = str(place.readlink())
        here = Path("/") if target.startswith("/") else here
        left += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return here


def _require_own(link: Path, found: os.stat_result, folder: os.stat_result) -> None:
    everybodys = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if everybodys and found.st_uid not in (os.geteuid(), folder.st_uid):
        raise PermissionError(
            errno.EACCES, f"{link} is a link of another user (uid {found.st_uid}) in a folder that anyone can write to"
        )
