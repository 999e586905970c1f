"""Images in files: what they will be, what goes to a registry, and whether they are intact."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.model.facts import Upcoming
from pushsafe.oci.content import Checksum, Content, Package
from pushsafe.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    OCI_ZSTD_LAYER,
    Blob,
    Descriptor,
    ManifestContent,
    digest_of,
)
from pushsafe.oci.platform import Platform
from pushsafe.sources.archive.compress import Packed, Packing
from pushsafe.sources.archive.decompress import ZSTD
from pushsafe.sources.archive.docker_save import Contents
from pushsafe.sources.archive.files import AGAIN, Store, StoredBlob, Stretch
from pushsafe.sources.archive.graph import about, companions_of, package_of
from pushsafe.sources.archive.layout import INDEX, Layout, images_of, indexes_of
from pushsafe.sources.archive.select import selected


class LayoutImage:
    """An image of an OCI image layout, pushed byte for byte (a `push.ports.StoredImage`).

    It is the entry's, or its part for the `wanted` platforms. Raises UsageError, which names the file.
    """

    def __init__(self, layout: Layout, entry: Descriptor, wanted: Sequence[Platform]) -> None:
        root = selected(layout, entry, wanted)
        self._store = layout.store
        self._package = package_of(layout, root)
        part_of = entry.digest if layout.manifest(root, INDEX).is_index and root.digest != entry.digest else ""
        self._upcoming = _upcoming(layout, root)._replace(
            attestations=_left(layout, entry, self._package), part_of=part_of, untagged=_untagged(layout, self._package)
        )

    @property
    def upcoming(self) -> Upcoming:
        return self._upcoming

    def package(self, _tell: Callable[[int, int], None]) -> Package:
        return self._package

    def check(self) -> None:
        for content in self._package.contents:
            _check(content)

    def close(self) -> None:
        self._store.close()


class PackedImage:
    """An image of `docker save`: its layers are packed, and its manifest is made here (a `push.ports.StoredImage`).

    The manifest depends on the archive and the version of isal only (see `compress`).
    """

    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents
        self._packing = Packing(contents.layers)

    @property
    def upcoming(self) -> Upcoming:
        said = self._contents.said
        platforms = () if said.platform is None else (said.platform,)
        return Upcoming(platforms, config=self._contents.config_digest, version=said.version)

    def package(self, tell: Callable[[int, int], None]) -> Package:
        layers = self._packing.layers(tell)
        found = self._contents
        size = len(found.config)
        config = StoredBlob(
            Blob(found.config_digest, size, is_layer=False), Stretch(found.config, 0, size, found.config_file)
        )
        contents = {one.blob.digest: one for one in (config, *(layer.content for layer in layers))}
        return Package(((_manifest(config, layers),),), tuple(contents.values()))

    def check(self) -> None:
        """Packing compares the layers with their digests in the config."""

    def close(self) -> None:
        self._packing.close()
        self._store.close()


def _check(content: Content) -> None:
    """Compare a blob with its digest. Raises UsageError, which names the file."""
    seen = Checksum(content.blob)
    try:
        for part in content.parts():
            seen.add(part)
    except ContentBroken as error:
        raise UsageError(error.message, AGAIN) from None
    if not seen.matches:
        raise UsageError(f"{content.file}: {seen.mismatch}", AGAIN)


def _manifest(config: StoredBlob, layers: Sequence[Packed]) -> ManifestContent:
    """Image manifest version 2, schema 2 (distribution `docs/content/spec/manifest-v2-2.md`), as engines push it. A
    zstd layer, for which it has no media type, makes it OCI's manifest (image specification, `layer.md`)."""
    is_oci = any(layer.compression is ZSTD for layer in layers)
    media_type, of_config, of_layer = (
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER) if is_oci else (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
    )

    def named(content: StoredBlob, media_type: str) -> dict[str, str | int]:
        return {"mediaType": media_type, "size": content.blob.size, "digest": content.blob.digest}

    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": named(config, of_config),
        "layers": [named(layer.content, OCI_ZSTD_LAYER if layer.compression is ZSTD else of_layer) for layer in layers],
    }
    body = json.dumps(document, indent=2).encode()
    return ManifestContent(digest_of(body), media_type, body)


def _left(layout: Layout, entry: Descriptor, package: Package) -> int:
    """How many referrers of the pushed image are left behind: attestations of the whole index, and what refers to an
    index that is not pushed itself."""
    taken = {content.digest for level in package.levels for content in level}
    sent = taken.union(one.content.digest for one in package.referrers)
    sent.update(one.content.digest for one in package.companions)
    whole = layout.manifest(entry, INDEX)
    if entry.digest in taken or not whole.is_index:
        return 0
    indexes = list(indexes_of(layout, whole))
    children = (child for index in indexes for child in index.children)
    left = {child.digest for child in children if child.attestation and child.attests in ("", *taken)}
    left |= about(layout, {index.content.digest for index in indexes})
    return len(left - sent)


def _untagged(layout: Layout, package: Package) -> tuple[str, ...]:
    """The digests of signatures and the like that are left behind because no tag can be made for them."""
    taken = {content.digest for level in package.levels for content in level}
    return tuple(one.named.digest for one in companions_of(layout) if not one.tag and one.subject in ("", *taken))


def _upcoming(layout: Layout, root: Descriptor) -> Upcoming:
    manifest = layout.manifest(root, INDEX)
    images = list(images_of(layout, manifest))
    platforms = tuple(dict.fromkeys(platform for _, platform in images if platform))
    versions = {layout.config(layout.manifest(named, INDEX)).version for named, _ in images}
    # An index has the version that all of its images have.
    version = versions.pop() if len(versions) == 1 else ""
    config = manifest.config.digest if manifest.config and manifest.is_image else ""
    return Upcoming(platforms, root.digest, config=config, version=version)
