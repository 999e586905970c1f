"""An OCI image layout: its documents read, each checked against what names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from pushsafe.archives.descriptors import (
    NAMES,
    Manifest,
    Named,
    all_named,
    config_in,
    is_manifest,
    manifest_of,
    no_manifest,
)
from pushsafe.archives.files import Stretch
from pushsafe.archives.repairs import AGAIN, NO_IMAGE, PULL_AGAIN
from pushsafe.archives.stores import Store
from pushsafe.documents import Unusable, document_of, field, without
from pushsafe.errors import ContentBroken, UsageError
from pushsafe.image_index import digest_of, entries_of
from pushsafe.model import INDEX_TYPES, MANIFEST_TYPES, ImageConfig
from pushsafe.sanitize import clean

MARKER, INDEX = "oci-layout", "index.json"
"""OCI image specification, `image-layout.md`."""
_MARKER_LIMIT, _INDEX_LIMIT, _DOCUMENT_LIMIT = 1 << 16, 32 << 20, 4 << 20
"""In bytes; the last is what registries take for a manifest (OCI distribution specification, `spec.md`)."""
CONFIG_LIMIT = 16 << 20
_FIRST_SCHEMA = "application/vnd.docker.distribution.manifest.v1+"
"""distribution `docs/content/spec/deprecated-schema-v1.md`; signed or not."""


class Layout:
    """One layout. Every method raises UsageError, which names the file.

    What is asked for twice is read once; whoever asks for a document says in `by` what names it.
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

    def manifest(self, named: Named, by: str) -> Manifest:
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

    def made(self, document: Mapping[str, Any], media_type: str) -> Named:
        """Take in an index that is no file of the layout; it is read like any other from now on."""
        return self.taken(json.dumps(document, separators=(",", ":")).encode(), media_type)

    def taken(self, body: bytes, media_type: str) -> Named:
        """The same, byte for byte."""
        named = Named(digest_of(body), len(body), media_type)
        self._manifests[named.digest, media_type] = manifest_of(body, named)
        return named

    def whole(self) -> Named | None:
        """`index.json` as an index, byte for byte; None where no registry would take it as that. Raises UsageError."""
        said = field(self._index, "mediaType")
        media_type = said if said in INDEX_TYPES else INDEX_TYPES[0]
        if said not in (None, "", media_type) or len(self._body) > _DOCUMENT_LIMIT:
            return None
        try:
            return self.taken(self._body, media_type)
        except Unusable as error:
            raise UsageError(f"{self.store.shown(INDEX)}: it {error}", AGAIN) from None

    def written(self, entry: Named) -> str:
        """An entry of `index.json` in JSON, without its names, which mean nothing elsewhere."""
        found = entries_of(self._index, "manifests")[self.entries.index(entry)]
        said = field(found, "annotations")
        kept = {key: value for key, value in said.items() if key not in NAMES} if isinstance(said, dict) else {}
        plain = without(found, "annotations")
        return json.dumps({**plain, **({"annotations": kept} if kept else {})}, separators=(",", ":"))

    def holds(self, named: Named) -> bool:
        """Whether what a descriptor names is here, right or not."""
        return self.store.find(path_of(named.digest)) is not None or _came_along(named)

    def holds_manifest(self, named: Named) -> bool:
        """Whether it is here, and a manifest or an index as far as its descriptor tells."""
        return named.media_type in ("", *INDEX_TYPES, *MANIFEST_TYPES) and self.holds(named)

    def config(self, manifest: Manifest) -> ImageConfig:
        """What the config of an image says; of an artifact's nothing is known."""
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

    @property
    def read_already(self) -> frozenset[str]:
        """The digests of the configs that were read, and so checked."""
        return frozenset(self._configs)

    def stretch(self, named: Named, by: str) -> Stretch:
        """Where the bytes are that a descriptor names, as many as it says."""
        found = self.store.find(path_of(named.digest))
        if found is None:
            if named.data is not None and _came_along(named):
                found = Stretch(named.data, 0, len(named.data), f"{by}, data of {named.digest}")
            else:
                self._refuse(named, f"it is not there, and {by} names it")
        if found.size != named.size:
            self._refuse(named, f"it has {found.size} bytes, and {by} says {named.size}")
        return found

    def _document(self, named: Named, by: str, limit: int) -> bytes:
        stretch = self.stretch(named, by)
        if named.size > limit:
            self._refuse(named, f"it has {named.size} bytes, and {limit} are the limit")
        body = whole(stretch)
        found = digest_of(body, named.digest)
        if found != named.digest:
            self._refuse(named, f"its content has the digest {found}")
        return body

    def _refuse(self, named: Named, why: str, repair: str = AGAIN) -> NoReturn:
        raise UsageError(f"{self.store.shown(path_of(named.digest))}: {why}", repair)


def path_of(digest: str) -> str:
    """Where a layout keeps what has this digest, which was found to be one: nothing of it leads elsewhere."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def name_of(manifest: Manifest) -> str:
    """How a message names what names something."""
    return f"the {'index' if manifest.is_index else 'manifest'} {manifest.content.digest}"


def read(store: Store, name: str, limit: int) -> bytes:
    """A document that nothing names the size of; `limit` in bytes. Raises UsageError."""
    found = store.find(name)
    if found is None:
        raise UsageError(f"{store.shown(name)}: it is not there", AGAIN)
    if found.size > limit:
        raise UsageError(f"{found.file}: it has {found.size} bytes, and {limit} are the limit", AGAIN)
    return whole(found)


def whole(stretch: Stretch) -> bytes:
    """All of its bytes; that they cannot be read is for the user to mend."""
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


def _came_along(named: Named) -> bool:
    return named.data is not None and digest_of(named.data, named.digest) == named.digest
