"""What is known of a reference before anything is pushed."""

from __future__ import annotations

from enum import Enum
from shlex import quote
from typing import NamedTuple

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import Preflight, RegistryPing, TagState
from pushsafe.model.request import TagPolicy
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference

PUSHSAFE = "docker pushsafe"


class StoreKind(Enum):
    """Which image store the engine uses; the two push, name digests and fail differently."""

    CLASSIC = "classic"
    CONTAINERD = "containerd"


DOCKER = "docker"


class EngineInfo(NamedTuple):
    """What the engine says of itself (`GET /info`; the API version is `GET /_ping`'s `Api-Version` header).

    `product` is what it calls itself where it is not docker's: podman serves docker's API too.
    """

    version: str
    api_version: str
    store: StoreKind
    platform: Platform
    insecure_registries: tuple[str, ...] = ()
    product: str = DOCKER

    @property
    def writes_docker_manifests(self) -> bool:
        """Whether every manifest that it pushes is of docker's own type, whatever type the image had before."""
        return self.store is StoreKind.CLASSIC and self.product == DOCKER

    def __str__(self) -> str:
        store = f", {self.store.value} image store" if self.product == DOCKER else ""
        return f"{self.product} {self.version}{store}"


class LocalImage(NamedTuple):
    """An image of the engine's store, as far as the store shows it.

    `repo_digests` are `name@sha256:...` strings: where the image came from or was pushed to before.
    `platforms` holds what is present; `missing` what the image's index names but the store lacks
    (known to the containerd store only). `children` are the digests that its index names, where the engine lists them
    (containerd store, API 1.48). `version` is the label `org.opencontainers.image.version`. `names` are all that the
    engine has for it, written out as a Reference is. `attestations` are those that its index names (provenance, SBOM).
    """

    id: str
    platforms: tuple[Platform, ...]
    missing: tuple[Platform, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    children: tuple[str, ...] = ()
    version: str = ""
    names: tuple[str, ...] = ()
    attestations: int = 0

    def is_named(self, digest: str) -> bool:
        """Whether a digest of a registry is this image's, as far as the engine tells."""
        known = (name.rpartition("@")[2] for name in self.repo_digests)
        return digest in (self.id, *self.children, *known)


class ImageMissing(NamedTuple):
    """No such image in the engine; `near` are the tags there that look meant."""

    near: tuple[str, ...] = ()


class Upcoming(NamedTuple):
    """An image that no engine has: what a build, or an index to be put together, will be for, or what lies in files.

    No platforms: they are not known. `digest` is empty where that is not known beforehand. `implied` platforms are
    those that nobody asked for: what a builder builds for by itself, unless the build says otherwise. `config` is the
    digest of a single image's config, and `version` the label `org.opencontainers.image.version` there. `attestations`
    are those that stay behind, signatures of the index as well, where only some platforms of an index are meant;
    `part_of` is the digest of that index, where another one was made of it. `untagged` are the digests of signatures
    and the like that stay behind because no registry could find them.
    """

    platforms: tuple[Platform, ...]
    digest: str = ""
    implied: bool = False
    config: str = ""
    version: str = ""
    attestations: int = 0
    part_of: str = ""
    untagged: tuple[str, ...] = ()


class Builder(NamedTuple):
    """One of buildx's builders; `platforms` are those that it can run programs of.

    `several` tells whether one build can be for several platforms: with any driver but docker's own, and with that one
    where the engine has the containerd image store. `problem` says why it cannot build at all. `native` is the platform
    that it builds for by itself, where that can be told.
    """

    name: str
    driver: str
    platforms: tuple[Platform, ...] = ()
    several: bool = False
    current: bool = False
    problem: str = ""
    native: Platform | None = None


class Buildx(NamedTuple):
    """buildx as it is installed here; `problem` says why it cannot be used, or what it could not tell.

    `to_install` tells that it is not there, or too old.
    """

    version: str = ""
    builders: tuple[Builder, ...] = ()
    problem: str = ""
    to_install: bool = False

    @property
    def current(self) -> Builder | None:
        """The builder that builds where none is named."""
        return next((builder for builder in self.builders if builder.current), None)


class ConfiguredRegistry(NamedTuple):
    """A registry that this user or engine is set up for, and what says so (`a login`, a settings file)."""

    host: str
    origin: str


class Facts(NamedTuple):
    """What is known of one listed reference before anything is pushed; `None` means: was not asked.

    `source_index` is the index that the local image was once pulled from (`source_name`), where the store
    holds one platform of it only. `platforms` are those asked for. `now` is seconds since the epoch. `listed` tells
    whether the user wrote this very tag, or `--all-tags` found it. buildx is looked at only where it would be needed.
    `carrier` is the engine's image, as it was given, that is pushed under this tag for an index, and for nothing else.
    `place` is where the image lies in files, as it was given (`--from`).
    """

    reference: Reference
    configured: tuple[ConfiguredRegistry, ...] = ()
    image: LocalImage | ImageMissing | Upcoming | None = None
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
    buildx: Buildx | None = None
    carrier: str = ""
    place: str = ""

    @property
    def by_name(self) -> bool:
        """Whether the engine has the image under this very name, so that a command may name it so."""
        return not self.carrier and not isinstance(self.image, Upcoming)

    @property
    def command(self) -> str:
        """What pushes the same with nothing but a reference behind it; empty where more would have to be said."""
        whole = self.whole_command
        wanted = ",".join(platform.written for platform in self.platforms)
        return f"{whole} --platform {quote(wanted)}" if whole and wanted else whole

    @property
    def whole_command(self) -> str:
        """The same for all platforms of the image."""
        if self.place:
            return f"{PUSHSAFE} --from {quote(self.place)}"
        return PUSHSAFE if self.by_name else ""
