"""The `manifest.json` of `docker save`: its images and their parts."""

from __future__ import annotations

from typing import Any, NamedTuple

from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.oci.document import Unusable, document_of, field, json_of
from pushsafe.oci.manifest import DIGEST, ImageConfig, config_in, digest_of
from pushsafe.sources.archive.compress import Layer
from pushsafe.sources.archive.decompress import BEGINNING, GZIP, ZSTD, compression_of
from pushsafe.sources.archive.files import SAVE_AGAIN, Store, Stretch
from pushsafe.sources.archive.layout import CONFIG_LIMIT, read, whole

MANIFEST = "manifest.json"
"""moby `image/tarexport/tarexport.go`; an OCI layout has other files."""
_LIMIT = 32 << 20


class Saved(NamedTuple):
    """An image of the list: its config's member, its names, and its layers' members."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


class Contents(NamedTuple):
    """The parts of an image; `config` is the config's bytes."""

    config: bytes
    config_digest: str
    config_file: str
    said: ImageConfig
    layers: tuple[Layer, ...]


def saved_in(store: Store) -> tuple[Saved, ...]:
    """The images of the list; none if there is no list. Raises UsageError."""
    if store.find(MANIFEST) is None:
        return ()
    try:
        found = json_of(read(store, MANIFEST, _LIMIT))
    except Unusable as error:
        raise UsageError(f"{store.shown(MANIFEST)}: it {error}", SAVE_AGAIN) from None
    if not isinstance(found, list) or not found:
        raise UsageError(f"{store.shown(MANIFEST)}: it has no list of images", SAVE_AGAIN)
    return tuple(_saved(entry, store) for entry in found)


def contents_of(saved: Saved, store: Store) -> Contents:
    """The parts of an image, without reading its layers. Raises UsageError."""
    stretch = _member(store, saved.config)
    config, digest = _config(stretch)
    try:
        said = config_in(config)
        diff_ids = _diff_ids(config)
    except Unusable as error:
        raise UsageError(f"{stretch.file}: it {error}", SAVE_AGAIN) from None
    if len(diff_ids) != len(saved.layers):
        raise UsageError(
            f"{store.shown(MANIFEST)}: it names {len(saved.layers)} layers, and the config {len(diff_ids)}", SAVE_AGAIN
        )
    layers = tuple(_layer(store, name, diff_id) for name, diff_id in zip(saved.layers, diff_ids, strict=True))
    return Contents(config, digest, stretch.file, said, layers)


def config_digest_of(saved: Saved, store: Store) -> str:
    """The digest of the config's content; empty if it is missing. Raises UsageError.

    Most programs name the config by its digest, but as in docker load, skopeo and crane, the name proves nothing.
    """
    return "" if store.find(saved.config) is None else _config(_member(store, saved.config))[1]


def _config(stretch: Stretch) -> tuple[bytes, str]:
    if stretch.size > CONFIG_LIMIT:
        raise UsageError(f"{stretch.file}: it has {stretch.size} bytes, and {CONFIG_LIMIT} are the limit", SAVE_AGAIN)
    config = whole(stretch)
    return config, digest_of(config)


def _saved(entry: Any, store: Store) -> Saved:
    found = entry if isinstance(entry, dict) else {}
    config, names, layers = (field(found, key) for key in ("Config", "RepoTags", "Layers"))
    names, layers = ([] if one is None else one for one in (names, layers))
    if not isinstance(config, str) or not _texts(names) or not _texts(layers):
        raise UsageError(f"{store.shown(MANIFEST)}: it names an image without Config, RepoTags and Layers", SAVE_AGAIN)
    return Saved(config, tuple(names), tuple(layers))


def _texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _diff_ids(config: bytes) -> list[str]:
    rootfs = field(document_of(config), "rootfs")
    found = field(rootfs, "diff_ids", []) if isinstance(rootfs, dict) else None
    found = [] if found is None and isinstance(rootfs, dict) else found
    if not isinstance(found, list) or not all(isinstance(one, str) and DIGEST.fullmatch(one) for one in found):
        raise Unusable("has no list of diff_ids")
    return found


def _layer(store: Store, name: str, diff_id: str) -> Layer:
    stretch = _member(store, name)
    try:
        compression = compression_of(stretch.beginning(BEGINNING))
    except ContentBroken as error:
        raise UsageError(error.message, SAVE_AGAIN) from None
    if compression not in (None, GZIP, ZSTD):
        raise UsageError(
            f"{stretch.file}: it is compressed by {compression.name if compression else ''}, and registries hold "
            "layers in gzip or zstd",
            "load it into an engine, and save it again",
        )
    return Layer(stretch, diff_id, compression)


def _member(store: Store, name: str) -> Stretch:
    found = store.find(name)
    if found is None:
        raise UsageError(f"{store.shown(name)}: it is not there, and {MANIFEST} names it", SAVE_AGAIN)
    return found
