"""Manifests, indexes and image configs: parsed into values, and indexes assembled from descriptors."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pushsafe.oci.document import Unusable, document_of, field, without
from pushsafe.oci.platform import Platform, build_of, normal, of_document
from pushsafe.runtime.redact import clean

if TYPE_CHECKING:
    import hashlib


class ManifestInfo(NamedTuple):
    """A manifest or index in a registry; `platforms` and `children` (digests) are an index's.

    `layers` (digests and sizes in bytes) and `config` (the config's digest) are known if the manifest's body was read.
    """

    digest: str
    media_type: str
    platforms: tuple[Platform, ...] = ()
    children: tuple[str, ...] = ()
    layers: tuple[tuple[str, int], ...] = ()
    config: str = ""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


class ManifestContent(NamedTuple):
    """The exact bytes of a manifest or index; put under another tag of its repository, it keeps its digest."""

    digest: str
    media_type: str
    body: bytes

    @property
    def descriptor(self) -> Descriptor:
        size = len(self.body)
        said = {"mediaType": self.media_type, "digest": self.digest, "size": size}
        return Descriptor(self.digest, size, self.media_type, said)


DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEX_TYPES = (OCI_INDEX, _DOCKER_LIST)
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER, OCI_ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"
_UNCOMPRESSED = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


class ImageConfig(NamedTuple):
    """An image config: its platform, and the label `org.opencontainers.image.version`. `features` are `os.features`."""

    platform: Platform | None = None
    version: str = ""
    features: tuple[str, ...] = ()


class Blob(NamedTuple):
    """A layer or config to upload; `size` is in bytes."""

    digest: str
    size: int
    is_layer: bool = True


class Descriptor(NamedTuple):
    """A descriptor: of a manifest, a config or a layer (OCI image specification, `descriptor.md`).

    `size` is in bytes. `attestation`: it is listed in an index beside the images, for no platform. `said` is the whole
    object, with annotations, OS features and unknown fields.
    """

    digest: str
    size: int
    media_type: str
    said: dict[str, Any]
    platform: Platform | None = None
    attestation: bool = False

    def annotation(self, key: str) -> str:
        """Empty if there is none, or if it is not a string."""
        found = _annotations(self.said).get(key)
        return found if isinstance(found, str) else ""

    @property
    def attests(self) -> str:
        """The digest of the manifest it attests, if given."""
        return self.annotation(_ATTESTS)

    @property
    def name(self) -> str:
        """Its name in an image layout."""
        return self.annotation(_NAME)

    @property
    def whole_name(self) -> str:
        return self.annotation(_WHOLE_NAME)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that select it, the longest first."""
        return tuple(dict.fromkeys(one for one in (self.whole_name, self.name) if one))

    @property
    def kind(self) -> str:
        """Its kind as `cosign save` labels it."""
        return self.annotation(_KIND)

    @property
    def unnamed(self) -> Descriptor:
        """The same without names, which mean nothing outside the layout."""
        kept = {key: value for key, value in _annotations(self.said).items() if key not in (_NAME, _WHOLE_NAME)}
        plain = without(self.said, "annotations")
        return self._replace(said={**plain, **({"annotations": kept} if kept else {})})

    @property
    def data(self) -> bytes | None:
        """The embedded content, if any; unreadable content is ignored, as the specification allows."""
        found = field(self.said, "data")
        try:
            return base64.b64decode(found, validate=True) if isinstance(found, str) else None
        except ValueError:
            return None

    @property
    def says_all(self) -> bool:
        """Whether it says that it is an image, and for which platform, so that the image need not be read for that."""
        return self.platform is not None and self.media_type in MANIFEST_TYPES


class Manifest(NamedTuple):
    """A parsed manifest or index; parts that it lacks are empty.

    `layers` are those that a registry must hold. `subject` is the digest of the manifest it refers to.
    """

    content: ManifestContent
    children: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    subject: str = ""

    @property
    def is_index(self) -> bool:
        return self.content.media_type in INDEX_TYPES

    @property
    def is_image(self) -> bool:
        """Whether it is an image's manifest rather than an artifact's."""
        return self.config is not None and self.config.media_type in (OCI_CONFIG, DOCKER_CONFIG)

    @property
    def is_compressed(self) -> bool:
        """Whether none of its layers is an uncompressed tar."""
        return not any(layer.media_type in _UNCOMPRESSED for layer in self.layers)


_ATTESTATION, _ATTESTS = "vnd.docker.reference.type", "vnd.docker.reference.digest"
"""buildx's mark of an attestation, and its reference to the manifest (`docs/attestations/attestation-storage.md`)."""
_NAME = "org.opencontainers.image.ref.name"
"""OCI image specification, `annotations.md`."""
_WHOLE_NAME = "io.containerd.image.name"
"""Written in addition by containerd, docker and buildx, because the one above is only a tag for them (containerd
`export.go`)."""
_KIND = "kind"
"""cosign `pkg/oci/layout/index.go`."""
VERSION = "org.opencontainers.image.version"
"""OCI image specification, `annotations.md`; builders write it as a label of the config."""
_MOST = 200
"""The most manifests in one index: each costs requests, and no image has as many platforms."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DIGITS = {"sha256": 64, "sha512": 128}
_ALGORITHM = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*")
_ENCODED = re.compile(r"[a-zA-Z0-9=_-]+")
"""The other algorithms of digests (OCI image specification, `descriptor.md`)."""
# Non-distributable layers, which registries need not hold; no client pushes them.
_NOT_PASSED_ON = ("foreign", "nondistributable")


def single(content: ManifestContent, config: ImageConfig) -> Descriptor:
    """The descriptor of an image's manifest, with the platform of its config."""
    platform = config.platform
    if platform is None:
        raise Unusable("names no platform")
    named = content.descriptor
    said = {**named.said, "platform": platform_said(platform, config)}
    return named._replace(said=said, platform=platform)


def platform_said(platform: Platform, config: ImageConfig) -> dict[str, Any]:
    """A descriptor's `platform` object (OCI image specification, `image-index.md`)."""
    named = {"architecture": platform.architecture, "os": platform.os}
    optional = {"os.version": platform.os_version, "os.features": list(config.features), "variant": platform.variant}
    return named | {key: value for key, value in optional.items() if value}


def descriptors(content: ManifestContent) -> tuple[Descriptor, ...]:
    """The images of an index, each followed by its attestations. Raises Unusable."""
    entries = entries_of(document_of(content.body), "manifests")
    if len(entries) > _MOST:
        raise Unusable(f"names more than {_MOST} manifests")
    found = tuple(map(_part, entries))
    images = [one for one in found if one.platform or not one.attests]
    for one in images:
        if one.platform is None:
            raise Unusable(f"names {one.digest}, and for no platform")
    if not images:
        raise Unusable("names no image")
    return tuple(_ordered(images, [one for one in found if not one.platform]))


def config_of(content: ManifestContent) -> str:
    """The digest of an image manifest's config. Raises Unusable."""
    return descriptor_of(field(document_of(content.body), "config")).digest


def blobs(content: ManifestContent) -> tuple[Blob, ...]:
    """The config and layers that a registry must hold before it accepts a manifest. Raises Unusable."""
    document = document_of(content.body)
    config = descriptor_of(field(document, "config"))
    layers = [descriptor_of(one) for one in entries_of(document, "layers") if not _is_elsewhere(one)]
    return tuple(dict.fromkeys((Blob(config.digest, config.size, is_layer=False), *(Blob(*one[:2]) for one in layers))))


def _ordered(images: Iterable[Descriptor], attestations: Sequence[Descriptor]) -> Iterator[Descriptor]:
    for image in images:
        yield image
        yield from (one for one in attestations if one.attests == image.digest)


def _part(entry: dict[str, Any]) -> Descriptor:
    """An image or attestation of an index, its size corrected to that of the stored manifest."""
    found = _descriptor(entry, _digest_of(field(entry, "digest"), "manifest"), _size_of(entry))
    if found.media_type not in MANIFEST_TYPES:
        what = "another index" if found.media_type in INDEX_TYPES else "what is no image"
        raise Unusable(f"names {what} ({found.digest})")
    return found


def index_of(parts: Sequence[Descriptor]) -> ManifestContent:
    """The index of these descriptors, in order; the same descriptors give the same bytes.

    It is a Docker manifest list if all parts have Docker's types, else an OCI index.
    """
    docker = all(part.media_type == DOCKER_MANIFEST for part in parts)
    media_type = _DOCKER_LIST if docker else OCI_INDEX
    listed = [part.said for part in parts]
    body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": listed}, indent=2).encode()
    return ManifestContent(digest_of(body), media_type, body)


def digest_of(body: bytes, like: str = "") -> str:
    """The digest: sha512 if `like` is one, else sha256 (OCI image specification, `descriptor.md`)."""
    found = new_hash(like)
    found.update(body)
    return f"{found.name}:{found.hexdigest()}"


def new_hash(like: str = "") -> hashlib._Hash:
    """A new hash with the algorithm of `digest_of`."""
    import hashlib  # imported here: it costs a start 5 ms

    return hashlib.sha512() if like.startswith("sha512:") else hashlib.sha256()


def subject_of(content: ManifestContent) -> str:
    """The digest of a manifest's subject; empty if it has none. Raises Unusable."""
    found = field(document_of(content.body), "subject")
    digest = field(found, "digest") if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else ""


def in_levels(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Sort manifests, given what each needs, into levels: each needs only manifests of earlier levels.

    Needs outside the given manifests are ignored. A cycle, which digests rule out, would become one level.
    """
    levels: list[list[str]] = []
    waiting = dict.fromkeys(needs)
    while waiting:
        ready = [one for one in waiting if waiting.keys().isdisjoint(needs[one])] or list(waiting)
        levels.append(ready)
        for one in ready:
            del waiting[one]
    return levels


def clash(named: Iterable[tuple[str, Platform]]) -> tuple[str, str, Platform] | None:
    """Two of these that are for the same platform, and the platform."""
    seen: dict[tuple[str, str, str], dict[tuple[str, ...], str]] = {}
    for name, platform in named:
        held, build = seen.setdefault(normal(platform), {}), build_of(platform)
        # a platform without a Windows build matches every build: see `platform.same`
        other = held.get(build, held.get(())) if build else next(iter(held.values()), None)
        if other is not None:
            return other, name, platform
        held[build] = name
    return None


def manifest_of(body: bytes, named: Descriptor) -> Manifest:
    """Parse a manifest or an index, given its descriptor. Raises Unusable."""
    document = document_of(body)
    own = field(document, "mediaType")
    media_type = named.media_type or (own if isinstance(own, str) else "")
    if not is_manifest(media_type):
        raise Unusable(no_manifest(media_type))
    if own not in (None, "", media_type):
        raise Unusable(f"says that it is of the type {clean(str(own), limit=200)}, and is named as {media_type}")
    content = ManifestContent(named.digest, media_type, body)
    found = field(document, "subject")
    subject = "" if found is None else descriptor_of(found).digest
    if media_type in INDEX_TYPES:
        return Manifest(content, all_named(document, "manifests"), subject=subject)
    layers = all_named(document, "layers")
    return Manifest(content, (), descriptor_of(field(document, "config")), layers, subject)


def info_of(document: dict[str, Any], digest: str, media_type: str) -> ManifestInfo:
    """Read a manifest or index from a registry, as far as possible: the registry has accepted it."""
    if media_type in INDEX_TYPES:
        children = _as_far_as_read(document, "manifests")
        platforms = tuple(one.platform for one in children if one.platform)
        return ManifestInfo(digest, media_type, platforms, tuple(one.digest for one in children))
    layers = tuple((one.digest, one.size) for one in _as_far_as_read(document, "layers"))
    config = field(document, "config")
    config = _shown_digest(config) if isinstance(config, dict) else ""
    return ManifestInfo(digest, media_type, layers=layers, config=config)


def is_manifest(media_type: str) -> bool:
    """Whether the media type is that of a manifest or an index."""
    return media_type in (*INDEX_TYPES, *MANIFEST_TYPES)


def no_manifest(media_type: str) -> str:
    """The text for a media type that is neither, as the predicate of a sentence."""
    kind = f"of the type {clean(media_type, limit=200)}" if media_type else "of no type"
    return f"is {kind}, not an image or index"


def config_in(body: bytes) -> ImageConfig:
    """Parse an image's config. Raises Unusable."""
    return said_by(document_of(body))


def said_by(document: dict[str, Any]) -> ImageConfig:
    """Parse a config's document (OCI image specification, `config.md`); anything else has no platform and version."""
    config = field(document, "config")
    labels = field(config, "Labels") if isinstance(config, dict) else None
    version = labels.get(VERSION) if isinstance(labels, dict) else None
    features = field(document, "os.features")
    return ImageConfig(
        of_document(document),
        clean(version, limit=128) if isinstance(version, str) else "",
        tuple(one for one in features if isinstance(one, str)) if isinstance(features, list) else (),
    )


def all_named(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    """The blobs of a list of descriptors, without non-distributable layers. Raises Unusable."""
    found: list[Descriptor] = []
    for number, entry in enumerate(entries_of(document, name)):
        try:
            found += [] if name == "layers" and _is_elsewhere(entry) else [descriptor_of(entry)]
        except Unusable as error:
            raise Unusable(f"{error} ({name}[{number}])") from None
    return tuple(found)


def entries_of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of descriptors; `null`, as Go writes an empty one, is empty. Raises Unusable."""
    found = [] if field(document, name, "") is None else field(document, name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Unusable(f"has no list of {name}")
    return found


def _as_far_as_read(document: dict[str, Any], name: str) -> list[Descriptor]:
    found = field(document, name)
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return [_descriptor(entry, _shown_digest(entry), _size_of(entry)) for entry in entries]


def descriptor_of(entry: Any) -> Descriptor:
    """A descriptor whose digest and size are valid and supported. Raises Unusable."""
    if not isinstance(entry, dict):
        raise Unusable("names a blob without a descriptor")
    digest, size = _digest_of(field(entry, "digest"), "blob"), field(entry, "size")
    if type(size) is not int or size < 0:
        said = f"the size {_shown(size)}, which is not a number of bytes" if size is not None else "no size"
        raise Unusable(f"names the blob {digest} with {said}")
    return _descriptor(entry, digest, size)


def _descriptor(entry: dict[str, Any], digest: str, size: int) -> Descriptor:
    media_type, platform = field(entry, "mediaType"), field(entry, "platform")
    # attestations have the platform unknown/unknown, so that they are never run; any other odd one may be an image's
    unknown = isinstance(platform, dict) and "unknown" in (field(platform, "os"), field(platform, "architecture"))
    attestation = unknown or isinstance(_annotations(entry).get(_ATTESTATION), str)
    return Descriptor(
        digest,
        size,
        media_type if isinstance(media_type, str) else "",
        entry,
        None if attestation else of_document(platform),
        attestation,
    )


def _annotations(entry: dict[str, Any]) -> dict[str, Any]:
    found = field(entry, "annotations")
    return found if isinstance(found, dict) else {}


def _shown_digest(entry: dict[str, Any]) -> str:
    return clean(str(field(entry, "digest") or ""), limit=200)


def _size_of(entry: dict[str, Any]) -> int:
    size = field(entry, "size")
    return size if type(size) is int and size >= 0 else 0


def _is_elsewhere(layer: dict[str, Any]) -> bool:
    """Whether a registry need not hold a layer: it is non-distributable, and has URLs."""
    return bool(field(layer, "urls")) and any(word in str(field(layer, "mediaType")) for word in _NOT_PASSED_ON)


def _digest_of(found: Any, what: str) -> str:
    """A valid digest of a supported algorithm. Raises Unusable, which says what is wrong."""
    if found is None or found == "":
        raise Unusable(f"names a {what} without a digest")
    text = found if isinstance(found, str) else ""
    if DIGEST.fullmatch(text):
        return text
    algorithm, colon, encoded = text.partition(":")
    if colon and _ALGORITHM.fullmatch(algorithm) and algorithm not in _DIGITS and _ENCODED.fullmatch(encoded):
        why = "whose algorithm is not known here: sha256 and sha512 are"
    elif DIGEST.fullmatch(text.lower()):
        why = "whose letters have to be lowercase"
    elif colon and algorithm in _DIGITS:
        why = f"which is not a digest: {algorithm} has {_DIGITS[algorithm]} hexadecimal digits"
    else:
        why = "which is not a digest"
    raise Unusable(f"names a {what} by {_shown(found)}, {why}")


def _shown(found: Any) -> str:
    """A JSON value, quoted for a message."""
    return clean(json.dumps(found, ensure_ascii=False), limit=200)
