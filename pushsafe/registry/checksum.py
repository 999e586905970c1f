"""The parts of a blob checked as they go by, so that the last one goes only when all of it is what its digest says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator

from pushsafe.model.content import Content, Extent
from pushsafe.model.errors import ContentBroken
from pushsafe.oci.manifest import Blob

_Part = memoryview | Extent
_NOTHING = memoryview(b"")


class Sum:
    """The digest of what was added, by the algorithm of the blob's own, and its `size` in bytes."""

    def __init__(self, blob: Blob) -> None:
        self._algorithm = "sha512" if blob.digest.startswith("sha512:") else "sha256"
        self._summed = hashlib.new(self._algorithm)
        self._blob = blob
        self.size = 0

    def add(self, part: bytes | memoryview) -> None:
        self._summed.update(part)
        self.size += len(part)

    def pass_by(self, size: int) -> None:
        """Count a part without looking at it."""
        self.size += size

    def wrong(self) -> str:
        """What there is in place of the blob; empty if it is the blob."""
        found = f"{self._algorithm}:{self._summed.hexdigest()}"
        if (self.size, found) == (self._blob.size, self._blob.digest):
            return ""
        return f"{self.size} bytes of {found}" if self.size <= self._blob.size else f"more than {self._blob.size} bytes"


class Reading:
    """One reading of a content from its beginning, of which the first `skipped` bytes are not given out.

    Its digest is computed again, unless it is settled when it begins and before its last part: to compute it costs a
    processor as much as to send it. With `unread` what is settled is not even read here, so that what happens to the
    file while its last part is on its way goes along; `unread` then tells whether that is so. `on_sent` is called after
    each part with how many bytes of the blob are sent by then; `given` counts them when their sending begins. Raises
    ContentBroken.
    """

    def __init__(
        self, content: Content, on_sent: Callable[[int], None], skipped: int = 0, *, unread: bool = False
    ) -> None:
        self._content = content
        self._on_sent = on_sent
        self._sum = Sum(content.blob)
        self._settled = content.settled()
        self.unread = unread and self._settled
        self._parts = self._begin()
        self._rest: _Part = _NOTHING
        self._skipped = skipped
        self.given = skipped
        if not content.blob.size:  # no part would ever be asked for
            self._look_at(self._next())
            self._check()

    def take(self, size: int) -> Iterator[_Part]:
        """The next `size` bytes. Raises ContentBroken, before the last part of the blob is given out."""
        end = self.given + size
        while self.given < end:
            if not self._rest:
                self._rest = self._read()
            part, self._rest = self._rest[: end - self.given], self._rest[end - self.given :]
            self.given += len(part)
            yield part
            self._on_sent(self.given)

    def close(self) -> None:
        """The file is not kept open by whoever holds an exception."""
        if isinstance(self._parts, Generator):
            self._parts.close()

    def _begin(self) -> Iterator[_Part]:
        return self._content.extents() if self.unread else self._content.parts()

    def _read(self) -> _Part:
        """The next part that is not skipped whole, itself cut where what is skipped ends; never empty."""
        while True:
            part, before = self._next(), self._sum.size
            self._look_at(part)
            if not part or self._sum.size >= self._content.blob.size:
                self._check()
            if self._sum.size > self._skipped:
                return part[max(0, self._skipped - before) :]

    def _next(self) -> _Part:
        return next(self._parts, _NOTHING)

    def _look_at(self, part: _Part) -> None:
        if self._settled or isinstance(part, Extent):
            self._sum.pass_by(len(part))
        else:
            self._sum.add(part)

    def _check(self) -> None:
        seen = self._sum
        if self._settled:
            if seen.size == self._content.blob.size and self._content.settled():
                return
            seen = Sum(self._content.blob)  # something has happened to the file meanwhile
            for part in self._content.parts():
                seen.add(part)
        wrong = seen.wrong()
        if wrong:
            blob = self._content.blob
            raise ContentBroken(f"{self._content.file}: expected {blob.digest} of {blob.size} bytes, found {wrong}")
