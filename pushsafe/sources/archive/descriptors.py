"""Descriptors as the documents of an image layout write them, and those documents taken apart."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

from pushsafe.oci.document import Unusable, document_of, field
from pushsafe.oci.manifest import (
    ATTESTS,
    INDEX_TYPES,
    MANIFEST_TYPES,
    ImageConfig,
    ManifestContent,
    blob_of,
    entries_of,
    is_elsewhere,
    said_by,
)
from pushsafe.oci.platform import Platform, of_document
from pushsafe.runtime.redact import clean

_NAME = "org.opencontainers.image.ref.name"
"""OCI image specification, `annotations.md`."""
_WHOLE_NAME = "io.containerd.image.name"
"""What containerd, docker and buildx write besides, as the former is a tag only with them (containerd `export.go`)."""
NAMES = (_NAME, _WHOLE_NAME)
_KIND = "kind"
"""What `cosign save` says that an entry is (cosign `pkg/oci/layout/index.go`)."""
_ATTESTATION = "vnd.docker.reference.type"
"""What buildx says of attestations besides (`docs/attestations/attestation-storage.md`)."""
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER, OCI_ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"
_CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
_UNCOMPRESSED = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


class Named(NamedTuple):
    """What a descriptor names (OCI image specification, `descriptor.md`); `size` is in bytes.

    `name`, `whole_name` and `kind` are its annotations. `attestation` tells that an index names it for no image's
    platform, but beside the images, and `attests` of which one it is, where that is said. `data` is the content itself,
    where that came along.
    """

    digest: str
    size: int
    media_type: str = ""
    platform: Platform | None = None
    attestation: bool = False
    attests: str = ""
    name: str = ""
    whole_name: str = ""
    kind: str = ""
    data: bytes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be asked for by, the longest first."""
        return tuple(dict.fromkeys(one for one in (self.whole_name, self.name) if one))

    @property
    def says_all(self) -> bool:
        """Whether it tells that this is an image and for which platform, so that nobody has to read it for that."""
        return self.platform is not None and self.media_type in MANIFEST_TYPES


class Manifest(NamedTuple):
    """A manifest or an index: what it names, each part empty where it has none.

    `layers` are those that a registry has to hold. `subject` is the digest of what it is about.
    """

    content: ManifestContent
    children: tuple[Named, ...] = ()
    config: Named | None = None
    layers: tuple[Named, ...] = ()
    subject: str = ""

    @property
    def is_index(self) -> bool:
        return self.content.media_type in INDEX_TYPES

    @property
    def is_image(self) -> bool:
        """Whether it is an image's manifest rather than an artifact's."""
        return self.config is not None and self.config.media_type in _CONFIG_TYPES

    @property
    def is_compressed(self) -> bool:
        """Whether no layer of it is a tar as it is."""
        return not any(layer.media_type in _UNCOMPRESSED for layer in self.layers)


def manifest_of(body: bytes, named: Named) -> Manifest:
    """Take a manifest or an index apart that a descriptor names. Raises Unusable."""
    document = document_of(body)
    own = field(document, "mediaType")
    media_type = named.media_type or (own if isinstance(own, str) else "")
    if not is_manifest(media_type):
        raise Unusable(no_manifest(media_type))
    if own not in (None, "", media_type):
        raise Unusable(f"says that it is of the type {clean(str(own), limit=200)}, and is named as {media_type}")
    content = ManifestContent(named.digest, media_type, body)
    found = field(document, "subject")
    subject = "" if found is None else blob_of(found).digest
    if media_type in INDEX_TYPES:
        return Manifest(content, all_named(document, "manifests"), subject=subject)
    layers = all_named(document, "layers")
    return Manifest(content, (), named_by(field(document, "config")), layers, subject)


def is_manifest(media_type: str) -> bool:
    """Whether what is of this type is a manifest or an index."""
    return media_type in (*INDEX_TYPES, *MANIFEST_TYPES)


def no_manifest(media_type: str) -> str:
    """What is said of something that is none, without a subject."""
    kind = f"of the type {clean(media_type, limit=200)}" if media_type else "of no type"
    return f"is {kind}, not an image or index"


def config_in(body: bytes) -> ImageConfig:
    """What an image's config says. Raises Unusable."""
    return said_by(document_of(body))


def all_named(document: dict[str, Any], name: str) -> tuple[Named, ...]:
    """What a list of descriptors names, but for layers that are elsewhere. Raises Unusable."""
    found: list[Named] = []
    for number, entry in enumerate(entries_of(document, name)):
        try:
            found += [] if name == "layers" and is_elsewhere(entry) else [named_by(entry)]
        except Unusable as error:
            raise Unusable(f"{error} ({name}[{number}])") from None
    return tuple(found)


def named_by(entry: Any) -> Named:
    """What a descriptor names. Raises Unusable."""
    digest, size, _ = blob_of(entry)
    media_type, annotations, platform = (field(entry, key) for key in ("mediaType", "annotations", "platform"))
    said = annotations if isinstance(annotations, dict) else {}
    name, whole_name, kind, attests = (
        one if isinstance(one, str) else "" for one in map(said.get, (_NAME, _WHOLE_NAME, _KIND, ATTESTS))
    )
    attestation = isinstance(said.get(_ATTESTATION), str) or _is_unknown(platform)
    return Named(
        digest,
        size,
        media_type if isinstance(media_type, str) else "",
        None if attestation else of_document(platform),
        attestation,
        attests,
        name,
        whole_name,
        kind,
        _data(field(entry, "data")),
    )


def _is_unknown(platform: Any) -> bool:
    """Whether it is the one of attestations, which they have so that nobody runs them; an odd one may be an image's."""
    return isinstance(platform, dict) and "unknown" in (field(platform, "os"), field(platform, "architecture"))


def _data(found: Any) -> bytes | None:
    """What cannot be read is not there: a reader may leave it aside altogether."""
    try:
        return base64.b64decode(found, validate=True) if isinstance(found, str) else None
    except (binascii.Error, ValueError):
        return None
