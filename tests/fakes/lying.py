"""A blob's content that lies in memory in place of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pushsafe.model.errors import ContentBroken
from pushsafe.oci.manifest import Blob


def blob_of(content: bytes, algorithm: str = "sha256") -> Blob:
    return Blob(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}", len(content))


@dataclass
class Lying:
    """`content` in parts of `part` bytes, each overwritten when the next one is asked for; of this `blob`, or another.

    `broken` is after how many bytes it cannot be read any more. `readings` counts how often it was begun.
    """

    content: bytes
    blob: Blob = None  # type: ignore[assignment]
    file: str = "layer.tar"
    part: int = 10_000
    broken: int | None = None
    readings: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.blob = self.blob or blob_of(self.content)

    def parts(self) -> Iterator[memoryview]:
        self.readings += 1
        buffer = bytearray(self.part)
        for start in range(0, len(self.content), self.part):
            if self.broken is not None and start >= self.broken:
                raise ContentBroken(f"{self.file} cannot be read")
            part = self.content[start : start + self.part]
            buffer[: len(part)] = part
            yield memoryview(buffer)[: len(part)]
            buffer[:] = bytes(self.part)
