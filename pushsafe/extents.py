"""Bytes of an open file that go out without being read here: the kernel sends them from where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pushsafe.errors import ContentBroken, reason

_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """`size` bytes of a file from `offset` on, which holds while the descriptor is open; a slice of it is one as well.

    `name` names the file for people. The descriptor's own position is nobody's: others may share it.
    """

    descriptor: int
    offset: int
    size: int
    name: str

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> Extent:
        start, stop, _ = wanted.indices(self.size)
        return replace(self, offset=self.offset + start, size=max(0, stop - start))

    def parts(self) -> Iterator[bytes]:
        """All of it, read after all, in parts of at most 1 MiB. Raises ContentBroken."""
        done = 0
        while done < self.size:
            part = self.read(self.offset + done, min(_PART, self.size - done))
            if not part:
                raise self.shorter()
            done += len(part)
            yield part

    def read(self, offset: int, size: int) -> bytes:
        """What the file has there, at most `size` bytes. Raises ContentBroken where it cannot be read."""
        try:
            return os.pread(self.descriptor, size, offset)
        except OSError as error:
            raise ContentBroken(f"{self.name}: it cannot be read: {reason(error)}") from None

    def shorter(self) -> ContentBroken:
        """What to raise where the file ends before it does."""
        return ContentBroken(f"{self.name}: it has become shorter")


Part = bytes | memoryview | Extent
"""What a body goes out in."""
