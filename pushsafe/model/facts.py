"""What is known of a reference before anything is pushed."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import ManifestInfo, Preflight, RegistryPing, TagState
from pushsafe.model.references import Platform, Reference
from pushsafe.model.request import TagPolicy


class StoreKind(Enum):
    """Which image store the engine uses; the two push, name digests and fail differently."""

    CLASSIC = "classic"
    CONTAINERD = "containerd"


class EngineInfo(NamedTuple):
    """What the engine says of itself (`GET /info`; the API version is `GET /_ping`'s `Api-Version` header)."""

    version: str
    api_version: str
    store: StoreKind
    platform: Platform
    insecure_registries: tuple[str, ...] = ()


class LocalImage(NamedTuple):
    """An image of the engine's store, as far as the store shows it.

    `repo_digests` are `name@sha256:...` strings: where the image came from or was pushed to before.
    `platforms` holds what is present; `missing` what the image's index names but the store lacks
    (known to the containerd store only). `children` are the digests that its index names, where the engine lists them
    (containerd store, API 1.48). `version` is the label `org.opencontainers.image.version`. `names` are all that the
    engine has for it, written out as a Reference is.
    """

    id: str
    platforms: tuple[Platform, ...]
    missing: tuple[Platform, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    children: tuple[str, ...] = ()
    version: str = ""
    names: tuple[str, ...] = ()

    def is_named(self, digest: str) -> bool:
        """Whether a digest of a registry is this image's, as far as the engine tells."""
        known = (name.rpartition("@")[2] for name in self.repo_digests)
        return digest in (self.id, *self.children, *known)


class ImageMissing(NamedTuple):
    """No such image in the engine; `near` are the tags there that look meant."""

    near: tuple[str, ...] = ()


class ConfiguredRegistry(NamedTuple):
    """A registry that this user or engine is set up for, and what says so (`a login`, a settings file)."""

    host: str
    origin: str


class Facts(NamedTuple):
    """What is known of one listed reference before anything is pushed; `None` means: was not asked.

    `source_index` is the index that the local image was once pulled from (`source_name`), where the store
    holds one platform of it only. `platforms` are those asked for. `now` is seconds since the epoch. `listed` tells
    whether the user wrote this very tag, or `--all-tags` found it.
    """

    reference: Reference
    configured: tuple[ConfiguredRegistry, ...] = ()
    image: LocalImage | ImageMissing | None = None
    credential: Credential | None = None
    ping: RegistryPing | None = None
    source_index: ManifestInfo | None = None
    source_name: str = ""
    engine: EngineInfo | None = None
    platforms: tuple[Platform, ...] = ()
    now: float = 0.0
    listed: bool = True
    policy: TagPolicy = TagPolicy()
    preflight: Preflight | None = None
    tag_now: TagState | None = None
