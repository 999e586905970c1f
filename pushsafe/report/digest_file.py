"""The file of `--digest-file`: a regular file is replaced atomically, anything else is written to."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from pushsafe.model.errors import UsageError
from pushsafe.model.outcomes import Pushed
from pushsafe.model.report import Report


class DigestFile:
    """A path checked for writability; nothing changes there before `write`.

    Raises UsageError for a path that cannot be written.
    """

    def __init__(self, given: str) -> None:
        self._given = given
        try:
            self._status = _status(given)
            self._target = self._replaceable()
            if self._target is not None and not self._try(self._target.parent):
                self._target = None
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from error
        if self._target is None and (self._status is None or not os.access(given, os.W_OK)):
            raise self._refused("permission denied")

    def write(self, text: str) -> str:
        """Write the text; the error, empty if there is none."""
        try:
            self._write(text.encode())
        except OSError as error:
            return f"cannot write {self._given}: {error.strerror or error}"
        return ""

    def _refused(self, why: str) -> UsageError:
        hint = "--digest-file FILE in a folder that exists and is writable"
        return UsageError(f"cannot write {self._given}: {why}", hint)

    def _replaceable(self) -> Path | None:
        """The file to replace, links resolved; None for devices, pipes and this program's own output."""
        target = resolve_links(self._given)
        if self._status is None and not os.path.basename(self._given):  # noqa: PTH119 - empty, or ends with a slash
            raise FileNotFoundError(errno.ENOENT, "it names no file")
        if self._status is None:
            return target
        if stat.S_ISDIR(self._status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if stat.S_ISSOCK(self._status.st_mode):
            raise OSError(errno.ENXIO, "it is a socket")
        # /proc/self/fd/N, where /dev/stdout and >(...) lead, may resolve to a name that is no longer the file's
        found = _status(str(target))
        same = found is not None and os.path.samestat(found, self._status)
        regular = stat.S_ISREG(self._status.st_mode) and same and self._own_stream() is None
        return target if regular else None

    def _try(self, folder: Path) -> bool:
        """Whether a new file can be created there; an existing one in a read-only folder may still be writable."""
        inside = _opened(folder)
        try:
            half, descriptor = _new(inside)
            os.close(descriptor)
            os.unlink(half, dir_fd=inside)
        except PermissionError:
            if self._status is None:
                raise
            return False
        finally:
            os.close(inside)
        return True

    def _own_stream(self) -> int | None:
        """The descriptor of this program's own output, if the path leads there: the report is already in it."""
        for descriptor in (1, 2):
            with suppress(OSError):
                if self._status is not None and os.path.samestat(os.fstat(descriptor), self._status):
                    return descriptor
        return None

    def _write(self, data: bytes) -> None:
        if self._target is not None and self._replace(self._target, data):
            return
        own = self._own_stream()
        if own is None:
            resolve_links(self._given)  # refuses links planted since then
            Path(self._given).write_bytes(data)
            return
        sys.stdout.flush()
        while data:
            data = data[os.write(own, data) :]

    def _replace(self, target: Path, data: bytes) -> bool:
        """Replace the file; False if it cannot be replaced, e.g. a mount of a single file."""
        folder = _opened(target.parent)
        try:
            half, descriptor = _new(folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if self._status is not None:
                        os.fchmod(descriptor, stat.S_IMODE(self._status.st_mode))
                    file.write(data)
                os.replace(half, target.name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError as error:
                with suppress(FileNotFoundError):
                    os.unlink(half, dir_fd=folder)
                if error.errno == errno.EBUSY:
                    return False
                raise
        finally:
            os.close(folder)
        return True


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None


def _opened(folder: Path) -> int:
    """A descriptor of a folder that is no link: replacing the folder meanwhile has no effect."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _new(folder: int) -> tuple[str, int]:
    """A new file with a random name in an open folder; unlike tempfile's, with the permissions of the user's umask."""
    half = f".pushsafe-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return half, os.open(half, flags, 0o666, dir_fd=folder)


def render(report: Report) -> str:
    lines = (
        f"{result.reference}@{result.outcome.digest}\n"
        for result in report.results
        if result.confirmed and not result.staging and isinstance(result.outcome, Pushed)
    )
    return "".join(dict.fromkeys(lines))  # a tag listed twice is one tag


_MOST_LINKS = 40
"""The most links on one path (Linux: MAXSYMLINKS)."""


def resolve_links(given: str) -> Path:
    """The absolute path without links; missing parts are kept as they are.

    Raises OSError for a link that another user placed in a world-writable sticky folder, for a cycle of links, and for
    a folder that may not be entered.
    """
    here, left, links = Path("/"), _parts(Path.cwd() / given), 0
    while left:
        part = left.pop()
        here = here.parent if part == ".." else here / part
        if here.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            _require_own(here)
            here, left = Path("/"), [*left, *_parts(here.parent / here.readlink())]
    return here


def _parts(path: Path) -> list[str]:
    """The parts below the root, the last one first."""
    return [*reversed(path.parts[1:])]


def _require_own(link: Path) -> None:
    owner, folder = link.lstat().st_uid, link.parent.stat()
    everybodys = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if everybodys and owner not in (os.geteuid(), folder.st_uid):
        raise PermissionError(
            errno.EACCES, f"{link} is a link of another user (uid {owner}) in a folder that anyone can write to"
        )
