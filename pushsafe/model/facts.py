"""What is known of a reference before anything is pushed."""

from __future__ import annotations

from shlex import quote
from typing import NamedTuple

from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.evidence import Preflight, RegistryPing, TagState
from pushsafe.model.request import TagPolicy
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference

PUSHSAFE = "docker pushsafe"


class EngineKind(NamedTuple):
    """The capabilities of a kind of engine; docker's two image stores are two kinds.

    `store` is the name of the image store in reports, if there is more than one. `holds_indexes`: the engine keeps all
    platforms of an image, and can push their index. `answers_late_challenge`: it authenticates even if the registry
    only challenges the upload, not `/v2/`. `writes_docker_manifests`: it pushes docker's own manifest type, whatever
    type the image had. `ends_with_manifest`: its progress reports all layers as done before it puts the manifest.
    `reads_insecure_registries`: its pushes honor the list it reports.
    """

    store: str = ""
    holds_indexes: bool = False
    answers_late_challenge: bool = False
    writes_docker_manifests: bool = False
    ends_with_manifest: bool = False
    reads_insecure_registries: bool = False


DOCKER = "docker"


class EngineInfo(NamedTuple):
    """What the engine reports of itself (`GET /info`; the API version is the `Api-Version` header of `GET /_ping`).

    `product` is `docker` unless the engine names itself otherwise: podman serves docker's API too.
    `push_takes_platform`: the API version allows to push one platform of an image.
    """

    version: str
    api_version: str
    kind: EngineKind
    platform: Platform
    insecure_registries: tuple[str, ...] = ()
    product: str = DOCKER
    push_takes_platform: bool = True

    def __str__(self) -> str:
        store = f", {self.kind.store} image store" if self.kind.store else ""
        return f"{self.product} {self.version}{store}"


class LocalImage(NamedTuple):
    """An image in the engine's store.

    `repo_digests` are `name@sha256:...` strings: where the image was pulled from or pushed to. `platforms` are present;
    `missing` are in the image's index but not in the store (containerd store only). `children` are the digests in its
    index, if the engine lists them (containerd store, API 1.48). `version` is the label
    `org.opencontainers.image.version`. `names` are the engine's names for it, in full. `attestations` counts those in
    its index (provenance, SBOM).
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
        """Whether a registry's digest is known to be this image."""
        known = (name.rpartition("@")[2] for name in self.repo_digests)
        return digest in (self.id, *self.children, *known)


class ImageMissing(NamedTuple):
    """The engine has no such image; `near` lists similar tags that it has."""

    near: tuple[str, ...] = ()


class Upcoming(NamedTuple):
    """An image that is not in an engine: a build's, an index to be assembled, or an archive's.

    `platforms` is empty if unknown, `digest` if not known beforehand. `implied`: no platform was requested, these are
    the builder's default. `config` is the digest of a single image's config, `version` its label
    `org.opencontainers.image.version`. If only some platforms of an index are pushed, `attestations` counts those left
    behind (and signatures of the index), and `part_of` is the digest of the original index. `untagged` are the digests
    of referrers left behind because no registry could find them. `place` is the archive as given with `--from`.
    """

    platforms: tuple[Platform, ...]
    digest: str = ""
    implied: bool = False
    config: str = ""
    version: str = ""
    attestations: int = 0
    part_of: str = ""
    untagged: tuple[str, ...] = ()
    place: str = ""


class Builder(NamedTuple):
    """One of buildx's builders; `platforms` are those it can run.

    `several`: one build can have several platforms: with any driver but docker's own, and with that one if the engine
    has the containerd image store. `problem` is why it cannot build at all. `native` is its default platform, if known.
    """

    name: str
    driver: str
    platforms: tuple[Platform, ...] = ()
    several: bool = False
    current: bool = False
    problem: str = ""
    native: Platform | None = None


class Buildx(NamedTuple):
    """The installed buildx; `problem` is why it cannot be used or inspected.

    `to_install`: it is missing or too old.
    """

    version: str = ""
    builders: tuple[Builder, ...] = ()
    problem: str = ""
    to_install: bool = False

    @property
    def current(self) -> Builder | None:
        """The default builder."""
        return next((builder for builder in self.builders if builder.current), None)


class ConfiguredRegistry(NamedTuple):
    """A registry this user or engine is configured for; `origin` is the source (`a login`, a settings file)."""

    host: str
    origin: str


class PulledIndex(NamedTuple):
    """The multi-platform index that an image was pulled from, as `NAME@DIGEST`, and its manifest."""

    name: str
    manifest: ManifestInfo


class Facts(NamedTuple):
    """What is known of one listed reference before the push; `None` means not asked.

    `pulled_from` is set only if the store holds a single platform of that index. `platforms` are those requested. `now`
    is in seconds since the epoch. `listed` is false for tags that `--all-tags` found. buildx is inspected only if
    needed. `staged` is the engine's image, as given, that is pushed under this tag only to become part of an index.
    """

    reference: Reference
    configured: tuple[ConfiguredRegistry, ...] = ()
    image: LocalImage | ImageMissing | Upcoming | None = None
    credential: Credential | None = None
    ping: RegistryPing | None = None
    pulled_from: PulledIndex | None = None
    engine: EngineInfo | None = None
    platforms: tuple[Platform, ...] = ()
    now: float = 0.0
    listed: bool = True
    policy: TagPolicy = TagPolicy()
    preflight: Preflight | None = None
    tag_now: TagState | None = None
    buildx: Buildx | None = None
    staged: str = ""

    @property
    def repository(self) -> Repository:
        """The repository and its credential, once that was looked up."""
        if self.credential is None:
            raise AssertionError("a fact that is collected before is missing")
        return Repository(self.reference, self.credential)

    @property
    def pushing_engine(self) -> EngineKind | None:
        """The kind of the engine that pushes; `None` if unknown, or if BuildKit or this program pushes."""
        builder = self.buildx.current if self.buildx else None
        by_engine = not isinstance(self.image, Upcoming) or (builder is not None and builder.driver == "docker")
        return self.engine.kind if self.engine and by_engine else None

    @property
    def one_platform_each(self) -> bool:
        """Whether the engine is known to keep one platform of each image."""
        return self.engine is not None and not self.engine.kind.holds_indexes

    @property
    def place(self) -> str:
        """The archive as given; empty for any other image."""
        return self.image.place if isinstance(self.image, Upcoming) else ""

    @property
    def by_name(self) -> bool:
        """Whether the engine has the image under this very name, so that commands can use it."""
        return not self.staged and not isinstance(self.image, Upcoming)

    @property
    def command(self) -> str:
        """A command that repeats this push if a reference is appended; empty if more would be needed."""
        whole = self.whole_command
        wanted = ",".join(platform.written for platform in self.platforms)
        return f"{whole} --platform {quote(wanted)}" if whole and wanted else whole

    @property
    def whole_command(self) -> str:
        """The same for all platforms of the image."""
        if self.place:
            return f"{PUSHSAFE} --from {quote(self.place)}"
        return PUSHSAFE if self.by_name else ""
