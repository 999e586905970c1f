"""Decompresses a tar file, once, into an unnamed temporary file."""

from __future__ import annotations

import os
import zlib
from importlib import import_module
from typing import NamedTuple

from pushsafe.model.errors import UsageError, reason
from pushsafe.sources.archive.files import COPY_AGAIN, PART, temporary, write


class Compression(NamedTuple):
    """A compression: the bytes that its files begin with, and the module whose `open` reads them."""

    name: str
    magics: tuple[bytes, ...]
    module: str


GZIP = Compression("gzip", (b"\x1f\x8b",), "isal.igzip")  # three times as fast as the standard library
_SKIPPABLE = tuple(bytes((0x50 + low, 0x2A, 0x4D, 0x18)) for low in range(16))
"""Frames with which pzstd begins (RFC 8878, 3.1)."""
ZSTD = Compression("zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), "pushsafe.sources.archive.zstd")
ALL = (GZIP, Compression("bzip2", (b"BZh",), "bz2"), Compression("xz", (b"\xfd7zXZ\x00",), "lzma"), ZSTD)

BEGINNING = 262
"""Bytes that identify a compression."""
_TAR = slice(257, BEGINNING), b"ustar"
"""Every tar has this (POSIX `pax`, ustar Interchange Format), even if its first member is called `BZh`."""


def broken_gzip() -> type[Exception]:
    """The error of isal for damaged deflate, which is no zlib.error."""
    from isal import igzip_lib

    found: type[Exception] = vars(igzip_lib)["IsalError"]  # Its stub calls the class an exception.
    return found


def compression_of(beginning: bytes) -> Compression | None:
    """The compression of a file by its first BEGINNING bytes; None for none, and for a tar."""
    where, magic = _TAR
    if beginning[where] == magic:
        return None
    return next((one for one in ALL if beginning.startswith(one.magics)), None)


def unpacked(descriptor: int, size: int, file: str) -> tuple[int, int]:
    """Descriptor and size of the decompressed file; those given where it is not compressed.

    Raises UsageError, and then leaves the descriptor open.
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
            with import_module(compression.module).open(raw, "rb") as source:
                while read := source.readinto(buffer):
                    count += write(target, buffer[:read], f"what {file} is unpacked to")
        except damage as error:
            why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
            said = f"{file}: it is compressed by {compression.name}, and damaged: {why}"
            raise UsageError(said, COPY_AGAIN) from None
    return count
