"""Manifests, indexes and image configs: read into values, and an index put together from descriptors."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pushsafe.oci.document import Unusable, document_of, field
from pushsafe.oci.platform import Platform, build_of, normal, of_document
from pushsafe.runtime.redact import clean


class ManifestInfo(NamedTuple):
    """A manifest or index as the registry names it; `platforms` and `children` (digests) are an index's.

    `layers` are digests and sizes in bytes, where the manifest was read whole, and `config` is then the digest of the
    image's config.
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
    """A manifest or index byte for byte: put under another tag of its repository, it has the same digest there."""

    digest: str
    media_type: str
    body: bytes


DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class ImageConfig(NamedTuple):
    """What an image's config says: its platform, and the label `org.opencontainers.image.version`.

    `features` are those of its OS that the platform needs.
    """

    platform: Platform | None = None
    version: str = ""
    features: tuple[str, ...] = ()


class Blob(NamedTuple):
    """A layer, or a config, as a manifest names it; `size` is in bytes."""

    digest: str
    size: int
    is_layer: bool = True


class Descriptor(NamedTuple):
    """A manifest as an index names it (OCI image specification, `descriptor.md`).

    `platform` is `None` where it names none, as for an attestation of the manifest `attests`. `written` is the whole of
    it in JSON: annotations, features of an OS and whatever else there is are kept.
    """

    digest: str
    media_type: str
    written: str
    platform: Platform | None = None
    attests: str = ""


_OCI_INDEX, _DOCKER_LIST = INDEX_TYPES
ATTESTS = "vnd.docker.reference.digest"
"""How an attestation names its manifest (buildx, `docs/attestations/attestation-storage.md`)."""
_MOST = 200
"""Manifests of one index: each costs requests, and nobody has as many platforms."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DIGITS = {"sha256": 64, "sha512": 128}
_ALGORITHM = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*")
_ENCODED = re.compile(r"[a-zA-Z0-9=_-]+")
"""What else a digest may be (OCI image specification, `descriptor.md`)."""
# Layers that a registry need not hold, as their owners forbid to pass them on: nobody pushes them.
_NOT_PASSED_ON = ("foreign", "nondistributable")


def single(content: ManifestContent, config: ImageConfig) -> Descriptor:
    """The descriptor of an image's manifest, whose platform its config names."""
    platform = config.platform
    if platform is None:
        raise Unusable("names no platform")
    written = {
        "mediaType": content.media_type,
        "digest": content.digest,
        "size": len(content.body),
        "platform": platform_said(platform, config),
    }
    return Descriptor(content.digest, content.media_type, _compact(written), platform)


def platform_said(platform: Platform, config: ImageConfig) -> dict[str, Any]:
    """How an index says for which platform an image is (OCI image specification, `image-index.md`)."""
    named = {"architecture": platform.architecture, "os": platform.os}
    optional = {"os.version": platform.os_version, "os.features": list(config.features), "variant": platform.variant}
    return named | {key: value for key, value in optional.items() if value}


def descriptors(content: ManifestContent) -> tuple[Descriptor, ...]:
    """The images that an index names, each followed by its attestations. Raises Unusable."""
    entries = entries_of(document_of(content.body), "manifests")
    if len(entries) > _MOST:
        raise Unusable(f"names more than {_MOST} manifests")
    found = tuple(map(_descriptor, entries))
    images = [one for one in found if not one.attests]
    for one in images:
        if one.platform is None:
            raise Unusable(f"names {one.digest}, and for no platform")
    if not images:
        raise Unusable("names no image")
    return tuple(_ordered(images, [one for one in found if one.attests]))


def config_of(content: ManifestContent) -> str:
    """The digest of the config that an image's manifest names. Raises Unusable."""
    return blob_of(field(document_of(content.body), "config")).digest


def blobs(content: ManifestContent) -> tuple[Blob, ...]:
    """What a registry must hold before it takes a manifest: config and layers. Raises Unusable."""
    document = document_of(content.body)
    held = (one for one in entries_of(document, "layers") if not is_elsewhere(one))
    return tuple(dict.fromkeys((blob_of(field(document, "config"))._replace(is_layer=False), *map(blob_of, held))))


def is_elsewhere(layer: dict[str, Any]) -> bool:
    """Whether a registry need not hold a layer: its owner forbids to pass it on, and it says where else it is."""
    return bool(field(layer, "urls")) and any(word in str(field(layer, "mediaType")) for word in _NOT_PASSED_ON)


def index_of(parts: Sequence[Descriptor]) -> ManifestContent:
    """The index of them in their order; the same descriptors, the same bytes.

    It is Docker's manifest list where every part is of Docker's types, else an OCI index.
    """
    docker = all(part.media_type == DOCKER_MANIFEST for part in parts)
    media_type = _DOCKER_LIST if docker else _OCI_INDEX
    listed = [json.loads(part.written) for part in parts]
    body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": listed}, indent=2).encode()
    return ManifestContent(digest_of(body), media_type, body)


def digest_of(body: bytes, like: str = "") -> str:
    """The digest by sha512 if that is what `like` is of, else by sha256 (OCI image specification, `descriptor.md`)."""
    import hashlib  # only where it is asked: it costs a start 5 ms

    algorithm = "sha512" if like.startswith("sha512:") else "sha256"
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def subject_of(content: ManifestContent) -> str:
    """The digest of the manifest that one refers to; empty for none. Raises Unusable."""
    found = field(document_of(content.body), "subject")
    digest = field(found, "digest") if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else ""


def in_levels(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Manifests, and what each needs a registry to hold before it: levels, in none of which one needs another of the
    same or a later level.

    What is needed and is none of them is not waited for. Digests make no ring; should there be one, it is one level.
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
    """Two of those who were named that are for one platform, and which."""
    seen: dict[tuple[str, str, str], dict[tuple[str, ...], str]] = {}
    for name, platform in named:
        held, build = seen.setdefault(normal(platform), {}), build_of(platform)
        # One that names no build is for each of them: see `platforms.same`.
        other = held.get(build, held.get(())) if build else next(iter(held.values()), None)
        if other is not None:
            return other, name, platform
        held[build] = name
    return None


# ---------------------------------------------------------------------- documents


def _ordered(images: Iterable[Descriptor], attestations: Sequence[Descriptor]) -> Iterator[Descriptor]:
    for image in images:
        yield image
        yield from (one for one in attestations if one.attests == image.digest)


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    digest, media_type = field(entry, "digest"), field(entry, "mediaType")
    digest = _digest_of(digest, "manifest")
    if media_type not in MANIFEST_TYPES:
        what = "another index" if media_type in INDEX_TYPES else "what is no image"
        raise Unusable(f"names {what} ({digest})")
    annotations = field(entry, "annotations")
    attests = annotations.get(ATTESTS) if isinstance(annotations, dict) else None
    platform = of_document(field(entry, "platform"))
    attests = attests if platform is None and isinstance(attests, str) else ""
    return Descriptor(digest, str(media_type), _compact(entry), platform, attests)


def blob_of(entry: Any) -> Blob:
    """What a descriptor names, taken for a layer. Raises Unusable."""
    if not isinstance(entry, dict):
        raise Unusable("names a blob without a descriptor")
    digest, size = _digest_of(field(entry, "digest"), "blob"), field(entry, "size")
    if type(size) is not int or size < 0:
        said = f"the size {_shown(size)}, which is not a number of bytes" if size is not None else "no size"
        raise Unusable(f"names the blob {digest} with {said}")
    return Blob(digest, size)


def _digest_of(found: Any, what: str) -> str:
    """A digest that can be checked here. Raises Unusable, which says what is wrong with it."""
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
    """A value of JSON for a sentence."""
    return clean(json.dumps(found, ensure_ascii=False), limit=200)


def entries_of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of descriptors; `null`, as Go writes one of none, is empty. Raises Unusable."""
    found = [] if field(document, name, "") is None else field(document, name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Unusable(f"has no list of {name}")
    return found


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


VERSION = "org.opencontainers.image.version"
"""OCI image specification, `annotations.md`; builders write it as a label of the config."""


def said_by(document: dict[str, Any]) -> ImageConfig:
    """A config's document read (OCI image specification, `config.md`); one of something else tells neither platform nor
    version."""
    config = field(document, "config")
    labels = field(config, "Labels") if isinstance(config, dict) else None
    version = labels.get(VERSION) if isinstance(labels, dict) else None
    features = field(document, "os.features")
    return ImageConfig(
        of_document(document),
        clean(version, limit=128) if isinstance(version, str) else "",
        tuple(one for one in features if isinstance(one, str)) if isinstance(features, list) else (),
    )
