"""What goes to a repository: the content of blobs, and manifests in the order in which they are put."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pushsafe.oci.manifest import Blob, ManifestContent, new_hash


class Content(Protocol):
    """The bytes of one blob that lie in a file; for any number of threads.

    `file` names it for people. `parts` reads it from its beginning, as often as is wanted; each part holds until the
    next one is asked for. It raises ContentBroken where the file cannot be read, or holds more or fewer bytes.
    """

    @property
    def blob(self) -> Blob: ...
    @property
    def file(self) -> str: ...
    def parts(self) -> Iterator[memoryview]: ...


class Checksum:
    """Size and digest of what was added, by the algorithm of a blob's digest."""

    def __init__(self, blob: Blob) -> None:
        self._added = new_hash(blob.digest)
        self._blob = blob
        self.size = 0

    def add(self, part: bytes | memoryview) -> None:
        self._added.update(part)
        self.size += len(part)

    @property
    def digest(self) -> str:
        return f"{self._added.name}:{self._added.hexdigest()}"

    @property
    def matches(self) -> bool:
        """Whether all of the blob was added, and nothing else."""
        return (self.size, self.digest) == (self._blob.size, self._blob.digest)

    @property
    def mismatch(self) -> str:
        """How that differs from the blob, where it does not match: in its size, or else in its digest."""
        if self.size == self._blob.size:
            return f"its content has the digest {self.digest}, and not {self._blob.digest}"
        return f"it has {'more' if self.size > self._blob.size else 'fewer'} than {self._blob.size} bytes"


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
