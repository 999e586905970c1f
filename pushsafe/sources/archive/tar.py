"""A tar file as a store: headers are read once, members in place, and nothing is extracted."""

from __future__ import annotations

import os
import posixpath
import tarfile
from pathlib import Path
from typing import NoReturn

from pushsafe.model.errors import UsageError, reason
from pushsafe.runtime.redact import clean
from pushsafe.sources.archive.decompress import unpacked
from pushsafe.sources.archive.files import COPY_AGAIN, SAVE_AGAIN, OpenFile, Stretch, open_archive, shown

_BLOCK = 512
_MOST = 200_000
"""Members: an image has some hundreds, a whole file system more than this."""
_LONGEST = 1 << 20
"""Bytes of an extending header, which is read into memory."""
_EXTENDING = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
_HOPS = 40
"""Links in a row, as in Linux (`path_resolution(7)`)."""
_LONGEST_NAME = 4096
"""Bytes of a path in Linux (`limits.h`); each of its folders is looked up."""
# What `tarfile` raises for damaged headers, besides its own errors.
_DAMAGE = (tarfile.TarError, ValueError, ArithmeticError, EOFError, LookupError, RecursionError, TypeError)


class Tar:
    """The members of a tar file, by their names without `./`; of equal names the last counts, as in tar."""

    def __init__(self, path: Path) -> None:
        """Decompress and index the file. Raises UsageError."""
        self._file = shown(path)
        descriptor, size = open_archive(path)
        try:
            descriptor, size = unpacked(descriptor, size, self._file)
            self._members = _indexed(descriptor, size, self._file)
        except BaseException:
            os.close(descriptor)
            raise
        self._open = OpenFile(descriptor, self._file)

    def find(self, name: str) -> Stretch | None:
        """The member of that name, links followed. Raises UsageError where it is no file."""
        found = self._resolved(_plain(name))
        if found is None:
            return None
        if found.issparse():
            raise UsageError(
                f"{self.shown(name)}: it is stored with its holes left out", "write the tar without --sparse"
            )
        if not found.isreg():
            raise UsageError(f"{self.shown(name)}: it is no regular file", "write the tar again with that file in it")
        return Stretch(self._open, found.offset_data, found.size, self.shown(found.name))

    def shown(self, name: str) -> str:
        return f"{self._file} ({clean(_plain(name), limit=300)})"

    def close(self) -> None:
        self._open.close()

    def _resolved(self, name: str) -> tarfile.TarInfo | None:
        for _ in range(_HOPS):
            if len(name) > _LONGEST_NAME:
                raise UsageError(f"{self.shown(name)}: a name of more than {_LONGEST_NAME} letters", COPY_AGAIN)
            found = self._members.get(name)
            if found is not None and found.islnk():
                name = _plain(found.linkname)
            elif found is not None and found.issym():
                name = _plain(posixpath.join(posixpath.dirname(name), found.linkname))
            elif found is not None:
                return found
            elif (through := self._through_folder(name)) is not None:
                name = through
            else:
                return None
        raise UsageError(f"{self.shown(name)}: it is a link that leads to itself", COPY_AGAIN)

    def _through_folder(self, name: str) -> str | None:
        """The name with its first linked folder resolved; None if no folder is a link."""
        parts = name.split("/")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            found = self._members.get(folder)
            if found is not None and found.issym():
                return _plain(posixpath.join(posixpath.dirname(folder), found.linkname, *parts[count:]))
        return None


class _Header(tarfile.TarInfo):
    """A header with a plausible size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in (*_EXTENDING, tarfile.GNUTYPE_LONGLINK) and header.size > _LONGEST):
            raise tarfile.ReadError(f"a header names {header.size} bytes")
        return header


def _indexed(descriptor: int, size: int, file: str) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    end = -1
    try:
        with open(descriptor, "rb", closefd=False) as raw, tarfile.open(fileobj=raw, mode="r:", tarinfo=_Header) as tar:
            # The last member's padding may be missing, which `tarfile` takes for damage.
            while end <= size and (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # a second copy of all
                stored = member.size if member.isreg() and not member.issparse() else 0
                if member.size < 0:
                    _refuse(file, f"it is damaged: {clean(member.name, limit=300)} has {member.size} bytes")
                if tar.offset <= end or member.offset_data + stored > size:
                    _refuse(file, f"it ends within {clean(member.name, limit=300)}")
                end = tar.offset
                members[_plain(member.name)] = member
                if len(members) > _MOST:
                    raise UsageError(f"{file}: it has more than {_MOST} members, and cannot be an image", SAVE_AGAIN)
            end = tar.offset
    except OSError as error:
        raise UsageError(f"{file}: it cannot be read: {reason(error)}") from None
    except _DAMAGE as error:
        if not members:
            raise UsageError(f"{file}: it is no tar file", COPY_AGAIN) from None
        _refuse(file, f"it is damaged: {clean(str(error), limit=200)}")
    # `tarfile` takes anything but a header for the end. A tar ends with blocks of zeros, or within the padding of its
    # last member: its writer was then not closed, but all members are whole, and Go's `archive/tar` reads them, too.
    if end < size and os.pread(descriptor, _BLOCK, end) != bytes(_BLOCK):
        _refuse(file, f"it is cut off or damaged after {end} bytes")
    return members


def _plain(name: str) -> str:
    """A member's name without `./`, a leading slash, or a way out of the tar."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def _refuse(file: str, why: str) -> NoReturn:
    raise UsageError(f"{file}: {why}", COPY_AGAIN)
