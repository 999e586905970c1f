"""The content of a blob hashed while it is sent, its last part held back until all of it was right."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from pushsafe.model.errors import ContentBroken
from pushsafe.oci.content import Checksum, Content


class Reading:
    """One reading of a content from its beginning, of which the first `skipped` bytes are not given out.

    `on_sent` is called after each part with how many bytes of the blob are sent by then; `given` counts them when their
    sending begins. It raises ContentBroken, when it is made if that shows in the first part already.
    """

    def __init__(self, content: Content, on_sent: Callable[[int], None], skipped: int = 0) -> None:
        self._on_sent = on_sent
        self._parts = _checked(content, skipped)
        self._rest = memoryview(b"")
        self.given = skipped
        if not skipped:
            self._rest = next(self._parts, self._rest)

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes. Raises ContentBroken, before the last part of the blob is given out."""
        end = self.given + size
        while self.given < end:
            rest = self._rest or next(self._parts)
            part, self._rest = rest[: end - self.given], rest[end - self.given :]
            self.given += len(part)
            yield part
            self._on_sent(self.given)

    def close(self) -> None:
        """The file is not kept open by whoever holds an exception."""
        self._parts.close()


def _checked(content: Content, skipped: int) -> Generator[memoryview, None, None]:
    """What comes after the first `skipped` bytes, its last part only when the digest of all was right."""
    seen = Checksum(content.blob)
    for part in content.parts():
        seen.add(part)
        if seen.size >= content.blob.size:
            _require(seen, content)
        if seen.size > skipped:
            yield part[max(0, skipped + len(part) - seen.size) :]
    _require(seen, content)


def _require(seen: Checksum, content: Content) -> None:
    if seen.matches:
        return
    blob = content.blob
    if seen.size == blob.size:
        raise ContentBroken(f"{content.file}: its content has the digest {seen.digest}, and not {blob.digest}")
    raise ContentBroken(f"{content.file}: it has {'more' if seen.size > blob.size else 'fewer'} than {blob.size} bytes")
