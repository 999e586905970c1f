"""Bytes of an open file that go out without being read here: the kernel sends them from where they lie."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Extent:
    """`size` bytes of a file from `offset` on, which holds while the file is open; a slice of it is one as well.

    `name` names the file for people. Whoever sends it moves the file's position.
    """

    file: io.FileIO
    offset: int
    size: int
    name: str

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> Extent:
        start, stop, _ = wanted.indices(self.size)
        return replace(self, offset=self.offset + start, size=max(0, stop - start))


Part = bytes | memoryview | Extent
"""What a body goes out in."""
