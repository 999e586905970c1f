"""What goes to a repository: the content of blobs, and manifests in the order in which they are put."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from pushsafe.model.errors import ContentBroken, reason
from pushsafe.oci.manifest import Blob, ManifestContent

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


class Content(Protocol):
    """The bytes of one blob that lie in a file; for any number of threads.

    `file` names it for people. `parts` reads it from its beginning, as often as is wanted; each part holds until the
    next one is asked for. Raises ContentBroken where the file cannot be read, or holds more or fewer bytes. `settled`
    tells whether the file is known to be as it was when its content was found to have its digest; `extents` are then
    the same as the parts, not read yet.
    """

    @property
    def blob(self) -> Blob: ...
    @property
    def file(self) -> str: ...
    def parts(self) -> Iterator[memoryview]: ...
    def settled(self) -> bool: ...
    def extents(self) -> Iterator[Extent]: ...


class Referrer(NamedTuple):
    """A manifest about another one, its `subject` (OCI image specification, `manifest.md`): a signature, an SBOM.

    The subject is empty for what goes along with such a one, and refers to nothing itself.
    """

    content: ManifestContent
    subject: str


class Companion(NamedTuple):
    """A manifest about another one, its `subject`, that is found by a tag made of the subject's digest: so cosign
    (`specs/SIGNATURE_SPEC.md`) and regclient keep signatures, attestations and SBOMs."""

    content: ManifestContent
    subject: str
    tag: str


class Package(NamedTuple):
    """An image as a registry takes it.

    None of the manifests of a level names or refers to one of its own or a later level; the last level is the one that
    tags are to name. `referrers` refer to another manifest, each after the one it refers to where that goes along, and
    after all that it names; what of the levels does so is among them. `companions` have tags of their own, and come
    last. `contents` are the blobs that they all need, each once.
    """

    levels: tuple[tuple[ManifestContent, ...], ...]
    contents: tuple[Content, ...]
    referrers: tuple[Referrer, ...] = ()
    companions: tuple[Companion, ...] = ()

    @property
    def manifest(self) -> ManifestContent:
        return self.levels[-1][0]
