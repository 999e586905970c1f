"""The tour's image: a few bytes, made without a network, the same for the same text and platform."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pushsafe.oci.platform import Platform

_CREATED = "2024-01-01T00:00:00Z"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
"""Uncompressed: zlib versions compress the same bytes differently."""


class Image(NamedTuple):
    """The config's bytes, whose digest is the image's ID, and the layers as tar files."""

    config: bytes
    layers: tuple[bytes, ...]


def image(text: str, platform: Platform) -> Image:
    """Two layers of one file each, `etc/motd` with the text among them."""
    layers = (_tar({"etc/motd": text.encode()}), _tar({"app/version": b"1.4.2\n"}))
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        **({"variant": platform.variant} if platform.variant else {}),
        "created": _CREATED,
        "config": {"Cmd": ["/app/my-api"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        "history": [{"created": _CREATED, "created_by": "docker pushsafe try"} for _ in layers],
    }
    return Image(_json(config), layers)


def docker_archive(made: Image, names: Sequence[str]) -> bytes:
    """The format that `docker save` of older engines writes, and every engine loads."""
    config = f"{_hex(made.config)}.json"
    layers = {f"{_hex(layer)}/layer.tar": layer for layer in made.layers}
    manifest = [{"Config": config, "RepoTags": list(names), "Layers": list(layers)}]
    return _tar({config: made.config, **layers, "manifest.json": _json(manifest)})


def oci_layout(made: Image) -> Mapping[str, bytes]:
    """Every file of an image layout with this image alone, by path (OCI image specification, `image-layout.md`)."""
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, made.config),
            "layers": [_descriptor(_LAYER, layer) for layer in made.layers],
        }
    )
    index = {"schemaVersion": 2, "manifests": [_descriptor(_MANIFEST, manifest)]}
    blobs = {f"blobs/sha256/{_hex(blob)}": blob for blob in (manifest, made.config, *made.layers)}
    return {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs}


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{_hex(content)}"


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
