"""Image layouts and files of `docker save`, made for tests as values: what is in which file, then written down."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushsafe.model.errors import UsageError
from pushsafe.model.request import Archive
from pushsafe.oci.platform import Platform
from pushsafe.push.ports import StoredImage
from pushsafe.sources import open_image
from tests.values import OCI_INDEX, OCI_MANIFEST

if sys.version_info >= (3, 14):
    from compression import zstd as zstandard
else:
    from backports import zstd as zstandard

CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
TAR = "application/vnd.oci.image.layer.v1.tar"
NAME, WHOLE_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"

Entry = dict[str, Any]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def path_of(entry: Entry) -> str:
    return f"blobs/{entry['digest'].replace(':', '/')}"


@dataclass
class Making:
    """A layout in the making; what it keeps is answered as a descriptor."""

    files: dict[str, bytes] = field(default_factory=lambda: {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'})
    entries: list[Entry] = field(default_factory=list)

    def keep(self, content: bytes, media_type: str, **more: Any) -> Entry:
        entry = {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}
        self.files[path_of(entry)] = content
        return entry

    def document(self, content: Mapping[str, Any], media_type: str, **more: Any) -> Entry:
        whole = {"schemaVersion": 2, "mediaType": media_type, **content}
        return self.keep(json.dumps(whole).encode(), media_type, **more)

    def image(self, platform: str = "linux/amd64", *layers: bytes, media_type: str = LAYER, **more: Any) -> Entry:
        """An image whose layers are kept as they are; the descriptor says for which platform."""
        system, architecture, *variant = platform.split("/")
        named = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        config = self.keep(config_of(platform, layers), CONFIG)
        kept = [self.keep(layer, media_type) for layer in layers or (platform.encode(),)]
        return self.document({"config": config, "layers": kept}, OCI_MANIFEST, platform=named, **more)

    def index(self, *entries: Entry, **more: Any) -> Entry:
        return self.document({"manifests": list(entries)}, OCI_INDEX, **more)

    def about(self, subject: Entry, text: str = "signature", **more: Any) -> Entry:
        """What refers to something: a manifest of one blob."""
        empty = self.keep(b"{}", "application/vnd.oci.empty.v1+json")
        layer = self.keep(text.encode(), "text/plain")
        refers = {key: subject[key] for key in ("mediaType", "digest", "size")}
        return self.document({"config": empty, "layers": [layer], "subject": refers}, OCI_MANIFEST, **more)

    def tagged(self, entry: Entry, name: str = "", whole_name: str = "") -> Making:
        """Let the index name it; it takes an entry of its own for each name."""
        annotations = {key: value for key, value in ((NAME, name), (WHOLE_NAME, whole_name)) if value}
        self.entries.append({**entry, "annotations": annotations})
        return self

    def whole(self) -> dict[str, bytes]:
        index = json.dumps({"schemaVersion": 2, "manifests": self.entries}).encode()
        return {"index.json": index, **self.files}

    def folder(self, path: Path) -> Archive:
        for name, content in self.whole().items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return Archive("oci", str(path))

    def tar(self, path: Path) -> Archive:
        path.write_bytes(tar_of(self.whole()))
        return Archive("oci-archive", str(path))


def config_of(platform: str = "linux/amd64", layers: Iterable[bytes] = (), version: str = "1.2.3") -> bytes:
    system, architecture, *variant = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "config": {"Labels": {"org.opencontainers.image.version": version}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    }
    return json.dumps(config).encode()


Member = bytes | tarfile.TarInfo


def tar_of(files: Mapping[str, Member]) -> bytes:
    """A tar of them in their order; a TarInfo stands for what is no file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


def saved(*layers: bytes, tags: list[str] | None = None, platform: str = "linux/amd64") -> dict[str, Member]:
    """What `docker save` of an older engine writes of one image."""
    config = config_of(platform, layers)
    name = f"{digest_of(config).removeprefix('sha256:')}.json"
    members = {f"{number}/layer.tar": layer for number, layer in enumerate(layers)}
    listed = {"Config": name, "RepoTags": tags or ["my-api:1"], "Layers": list(members)}
    return {name: config, **members, "manifest.json": json.dumps([listed]).encode()}


def written(path: Path, files: Mapping[str, Member]) -> Archive:
    path.write_bytes(tar_of(files))
    return Archive("docker-archive", str(path))


def nobody(_done: int, _whole: int) -> None:
    """Nobody is told."""


def refused(archive: Archive, *platforms: Platform) -> tuple[str, str]:
    """Message and hint of what cannot be opened, or not be packed."""
    try:
        image = open_image(archive, platforms)
        try:
            image.package(nobody)
            image.check()
        finally:
            image.close()
    except UsageError as error:
        return error.message, error.hint
    raise AssertionError("nothing is wrong with it")


def read(image: StoredImage) -> dict[str, bytes]:
    """All blobs of an image as they would be sent, each compared with its digest and size."""
    found = {}
    for content in image.package(nobody).contents:
        body = b"".join(map(bytes, content.parts()))
        assert (digest_of(body), len(body)) == content.blob[:2], content.file
        found[content.blob.digest] = body
    return found


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"here"
"""A frame of zstd that a reader skips (RFC 8878, 3.1.2)."""


def zstd(content: bytes) -> bytes:
    """One frame."""
    return zstandard.compress(content)
