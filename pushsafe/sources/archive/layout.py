"""An OCI image layout: reads its documents, and checks each against the descriptor that names it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.oci.document import Unusable, document_of, field
from pushsafe.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    ImageConfig,
    Manifest,
    ManifestContent,
    all_named,
    config_in,
    digest_of,
    is_manifest,
    manifest_of,
    no_manifest,
)
from pushsafe.oci.platform import Platform
from pushsafe.runtime.redact import clean
from pushsafe.sources.archive.files import AGAIN, BY_DIGEST, NO_IMAGE, PULL_AGAIN, Store, Stretch

MARKER, INDEX = "oci-layout", "index.json"
"""OCI image specification, `image-layout.md`."""
_MARKER_LIMIT, _INDEX_LIMIT, _DOCUMENT_LIMIT = 1 << 16, 32 << 20, 4 << 20
"""In bytes; the last is registries' limit for a manifest (OCI distribution specification, `spec.md`)."""
CONFIG_LIMIT = 16 << 20
_FIRST_SCHEMA = "application/vnd.docker.distribution.manifest.v1+"
"""distribution `docs/content/spec/deprecated-schema-v1.md`; signed or not."""


class Layout:
    """An OCI image layout. Every method raises UsageError, which names the file.

    Documents are read once. `by` is the name, in messages, of the document that holds a descriptor.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        _check_marker(store)
        self._body = read(store, INDEX, _INDEX_LIMIT)
        try:
            self._index = document_of(self._body)
            self.entries = all_named(self._index, "manifests")
        except Unusable as error:
            raise UsageError(f"{store.shown(INDEX)}: it {error}", AGAIN) from None
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self._configs: dict[str, ImageConfig] = {}

    def manifest(self, named: Descriptor, by: str) -> Manifest:
        """A manifest or an index; of 4 MiB at most."""
        key = named.digest, named.media_type
        if key not in self._manifests:
            if named.media_type and not is_manifest(named.media_type):
                first_schema = named.media_type.startswith(_FIRST_SCHEMA)
                self._refuse(named, f"it {no_manifest(named.media_type)}", PULL_AGAIN if first_schema else NO_IMAGE)
            body = self._document(named, by, _DOCUMENT_LIMIT)
            try:
                self._manifests[key] = manifest_of(body, named)
            except Unusable as error:
                self._refuse(named, f"it {error}")
        return self._manifests[key]

    def made(self, document: Mapping[str, Any], media_type: str) -> Descriptor:
        """Add an index that is no file of the layout."""
        return self.taken(json.dumps(document, separators=(",", ":")).encode(), media_type)

    def taken(self, body: bytes, media_type: str) -> Descriptor:
        """Add an index by its bytes."""
        named = ManifestContent(digest_of(body), media_type, body).descriptor
        self._manifests[named.digest, media_type] = manifest_of(body, named)
        return named

    def whole(self) -> Descriptor | None:
        """`index.json` as an index, byte for byte; None where no registry would accept it."""
        said = field(self._index, "mediaType")
        media_type = said if said in INDEX_TYPES else INDEX_TYPES[0]
        if said not in (None, "", media_type) or len(self._body) > _DOCUMENT_LIMIT:
            return None
        try:
            return self.taken(self._body, media_type)
        except Unusable as error:
            raise UsageError(f"{self.store.shown(INDEX)}: it {error}", AGAIN) from None

    def holds(self, named: Descriptor) -> bool:
        """Whether the content of a descriptor is here, intact or not."""
        return self.store.find(path_of(named.digest)) is not None or _embedded(named) is not None

    def holds_manifest(self, named: Descriptor) -> bool:
        """Whether it is here, and its descriptor does not rule out a manifest or an index."""
        return (not named.media_type or is_manifest(named.media_type)) and self.holds(named)

    def config(self, manifest: Manifest) -> ImageConfig:
        """An image's config; an empty one for an artifact."""
        named = manifest.config
        if named is None or not manifest.is_image:
            return ImageConfig()
        if named.digest not in self._configs:
            body = self._document(named, name_of(manifest), CONFIG_LIMIT)
            try:
                self._configs[named.digest] = config_in(body)
            except Unusable as error:
                self._refuse(named, f"it {error}")
        return self._configs[named.digest]

    def stretch(self, named: Descriptor, by: str) -> Stretch:
        """The bytes that a descriptor names; their number is checked."""
        found = self.store.find(path_of(named.digest))
        if found is None:
            if (data := _embedded(named)) is not None:
                found = Stretch(data, 0, len(data), f"{by}, data of {named.digest}")
            else:
                self._refuse(named, f"it is not there, and {by} names it")
        if found.size != named.size:
            self._refuse(named, f"it has {found.size} bytes, and {by} says {named.size}")
        return found

    def _document(self, named: Descriptor, by: str, limit: int) -> bytes:
        stretch = self.stretch(named, by)
        if named.size > limit:
            self._refuse(named, f"it has {named.size} bytes, and {limit} are the limit")
        body = whole(stretch)
        found = digest_of(body, named.digest)
        if found != named.digest:
            self._refuse(named, f"its content has the digest {found}")
        return body

    def _refuse(self, named: Descriptor, why: str, repair: str = AGAIN) -> NoReturn:
        raise UsageError(f"{self.store.shown(path_of(named.digest))}: {why}", repair)


def path_of(digest: str) -> str:
    """The path of a blob in a layout; the digest is a valid one, so the path stays within."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def name_of(manifest: Manifest) -> str:
    """The name of a manifest in messages."""
    return f"the {'index' if manifest.is_index else 'manifest'} {manifest.content.digest}"


def read(store: Store, name: str, limit: int) -> bytes:
    """A document of unknown size; `limit` in bytes. Raises UsageError."""
    found = store.find(name)
    if found is None:
        raise UsageError(f"{store.shown(name)}: it is not there", AGAIN)
    if found.size > limit:
        raise UsageError(f"{found.file}: it has {found.size} bytes, and {limit} are the limit", AGAIN)
    return whole(found)


def whole(stretch: Stretch) -> bytes:
    """All bytes of a stretch. Raises UsageError."""
    try:
        return stretch.whole()
    except ContentBroken as error:
        raise UsageError(error.message, AGAIN) from None


def _check_marker(store: Store) -> None:
    if store.find(MARKER) is None:
        raise UsageError(
            f"{store.shown(MARKER)}: it is not there, so this is no OCI image layout",
            "what docker save wrote is named as docker-archive:FILE, a layout in a tar file as oci-archive:FILE",
        )
    try:
        version = field(document_of(read(store, MARKER, _MARKER_LIMIT)), "imageLayoutVersion")
    except Unusable as error:
        raise UsageError(f"{store.shown(MARKER)}: it {error}", AGAIN) from None
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        said = clean(str(version), limit=50) if version is not None else "no version"
        raise UsageError(f"{store.shown(MARKER)}: it says {said}, and only versions 1.x are known", _OLDER)


_OLDER = "write it with a tool or an option that makes version 1.0.0"


def _embedded(named: Descriptor) -> bytes | None:
    data = named.data
    return data if data is not None and digest_of(data, named.digest) == named.digest else None


_DEPTH = 8
"""Indexes within indexes; no known image has more than two."""


def images_of(layout: Layout, manifest: Manifest) -> Iterator[tuple[Descriptor, Platform | None]]:
    """The images of an index, or the image itself, each with its platform. Raises UsageError.

    Images are read only if their index lacks something. One that is named for two platforms comes twice.
    """
    if not manifest.is_index:
        yield manifest.content.descriptor, layout.config(manifest).platform
        return
    seen: set[tuple[str, Platform | None]] = set()
    for index in indexes_of(layout, manifest):
        for child in index.children:
            key = child.digest, child.platform if child.says_all else None
            if child.attestation or key in seen:
                continue
            seen.add(key)
            if child.says_all:
                yield child, child.platform
                continue
            found = layout.manifest(child, name_of(index))
            if not found.is_index:
                yield found.content.descriptor, layout.config(found).platform


def indexes_of(layout: Layout, root: Manifest) -> Iterator[Manifest]:
    """An index and those within it, each once, the outer ones first. Raises UsageError."""
    seen = {root.content.digest}
    waiting = deque([(root, 0)])
    while waiting:
        index, depth = waiting.popleft()
        check_depth(layout, depth)
        yield index
        for child in index.children:
            if child.attestation or child.media_type in MANIFEST_TYPES or child.digest in seen:
                continue
            seen.add(child.digest)
            found = layout.manifest(child, name_of(index))
            if found.is_index:
                waiting.append((found, depth + 1))


def parts_of(layout: Layout) -> set[str]:
    """The digests of everything in the entries' indexes, as far as those are present. Raises UsageError."""
    found: set[str] = set()
    waiting = [(entry, INDEX) for entry in layout.entries]
    while waiting:
        named, by = waiting.pop()
        if named.media_type in MANIFEST_TYPES or not layout.holds_manifest(named):
            continue
        manifest = layout.manifest(named, by)
        new = [child for child in manifest.children if child.digest not in found]
        found.update(child.digest for child in new)
        waiting.extend((child, name_of(manifest)) for child in new)
    return found


def only_image(layout: Layout, entry: Descriptor) -> Manifest | None:
    """The entry's manifest, or the only one in its index; None where that has more. Raises UsageError."""
    manifest, depth = layout.manifest(entry, INDEX), 0
    while manifest.is_index:
        check_depth(layout, depth)
        if len(manifest.children) != 1:
            return None
        manifest, depth = layout.manifest(manifest.children[0], name_of(manifest)), depth + 1
    return manifest


def check_depth(layout: Layout, depth: int) -> None:
    """Raises UsageError for an index within too many others."""
    if depth >= _DEPTH:
        raise UsageError(
            f"{layout.store.shown(INDEX)}: it leads to more than {_DEPTH} indexes within each other", BY_DIGEST
        )
