"""A compressed tar file unpacked once, into a file without a name that goes when it is closed."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

from pushsafe.model.errors import UsageError, reason
from pushsafe.sources.archive.files import COPY_AGAIN, PART, temporary, write

if TYPE_CHECKING:
    from bz2 import BZ2File
    from collections.abc import Callable
    from gzip import GzipFile
    from lzma import LZMAFile
    from typing import BinaryIO

    from pushsafe.sources.archive.zstd import ZstdFile


class Compression(NamedTuple):
    """A way to compress, and what a file may begin with that was compressed so."""

    name: str
    magics: tuple[bytes, ...]
    opens: Callable[[BinaryIO], GzipFile | BZ2File | LZMAFile | ZstdFile]


def _gzip(raw: BinaryIO) -> GzipFile:
    # Three times as fast as the standard library's.
    from isal.igzip import IGzipFile

    found: GzipFile = IGzipFile(fileobj=raw, mode="rb")  # type: ignore[no-untyped-call]
    return found


def _bz2(raw: BinaryIO) -> BZ2File:
    from bz2 import BZ2File

    return BZ2File(raw)


def _xz(raw: BinaryIO) -> LZMAFile:
    from lzma import LZMAFile

    return LZMAFile(raw)


def _zstd(raw: BinaryIO) -> ZstdFile:
    from pushsafe.sources.archive.zstd import ZstdFile

    return ZstdFile(raw)


GZIP = Compression("gzip", (b"\x1f\x8b",), _gzip)
ZSTD = Compression("zstd", (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + low, 0x2A, 0x4D, 0x18)) for low in range(16))), _zstd)
"""A frame, or one to be skipped, with which pzstd begins (RFC 8878, 3.1)."""
ALL = (GZIP, Compression("bzip2", (b"BZh",), _bz2), Compression("xz", (b"\xfd7zXZ\x00",), _xz), ZSTD)


BEGINNING = 262
"""Bytes from which it can be told how something is compressed."""
_TAR = slice(257, BEGINNING), b"ustar"
"""What every tar has there (POSIX `pax`, ustar Interchange Format); its first member may be called `BZh`."""


def broken_gzip() -> type[Exception]:
    """What isal raises for what is no deflate: an error of its own, and no zlib.error."""
    from isal import igzip_lib

    found: type[Exception] = vars(igzip_lib)["IsalError"]  # Its stub calls the class an exception.
    return found


def compression_of(beginning: bytes) -> Compression | None:
    """How something is compressed that begins so; None where it is not, or a tar. BEGINNING bytes do."""
    where, magic = _TAR
    if beginning[where] == magic:
        return None
    return next((one for one in ALL if beginning.startswith(one.magics)), None)


def unpacked(descriptor: int, size: int, file: str) -> tuple[int, int]:
    """A descriptor and the size in bytes of what is in a file: its own where it is not compressed, else a new one.

    Raises UsageError, and closes nothing then.
    """
    found = compression_of(os.pread(descriptor, BEGINNING, 0))
    if found is None:
        return descriptor, size
    target = temporary()
    try:
        count = _copy(descriptor, target, found, file)
        os.lseek(target, 0, os.SEEK_SET)
        os.close(descriptor)
    except BaseException:
        os.close(target)
        raise
    return target, count


def _copy(descriptor: int, target: int, compression: Compression, file: str) -> int:
    from lzma import LZMAError

    from pushsafe.sources.archive.zstd import ZstdError

    damage = (OSError, EOFError, ValueError, zlib.error, LZMAError, ZstdError, broken_gzip())
    buffer, count = memoryview(bytearray(PART)), 0
    with open(descriptor, "rb", closefd=False) as raw:
        try:
            with compression.opens(raw) as source:
                while read := source.readinto(buffer):
                    count += write(target, buffer[:read], f"what {file} is unpacked to")
        except damage as error:
            why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(
                f"{file}: it is compressed by {compression.name}, and damaged: {why}",
                COPY_AGAIN,
            ) from None
    return count
