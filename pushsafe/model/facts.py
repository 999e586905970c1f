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
    """What engines of one kind do, as far as anything depends on it; docker's two image stores make two kinds of it.

    `store` is what reports call the image store; empty where there is no other. `holds_indexes`: it keeps all platforms
    of an image, and can push their index. `answers_late_challenge`: a registry gets the credential also where it asks
    for it at the upload only, and not at `/v2/`. `writes_docker_manifests`: every manifest that it pushes is of
    docker's own type, whatever type the image had before. `ends_with_manifest`: its progress names the end of every
    layer before it puts the manifest. `reads_insecure_registries`: its pushes heed the list that it tells.
    """

    store: str = ""
    holds_indexes: bool = False
    answers_late_challenge: bool = False
    writes_docker_manifests: bool = False
    ends_with_manifest: bool = False
    reads_insecure_registries: bool = False


DOCKER = "docker"


class EngineInfo(NamedTuple):
    """What the engine says of itself (`GET /info`; the API version is `GET /_ping`'s `Api-Version` header).

    `product` is what it calls itself where it is not docker's: podman serves docker's API too. `push_takes_platform`
    tells whether one platform of an image can be pushed, which depends on the API version.
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
    and the like that stay behind because no registry could find them. `place` is where it lies in files, as it was
    given (`--from`).
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


class PulledIndex(NamedTuple):
    """The index of several platforms that an image was once pulled from, as `NAME@DIGEST`, and what it names."""

    name: str
    manifest: ManifestInfo


class Facts(NamedTuple):
    """What is known of one listed reference before anything is pushed; `None` means: was not asked.

    `pulled_from` is found where the engine's store holds one platform of that index only. `platforms` are those asked
    for. `now` is seconds since the epoch. `listed` tells whether the user wrote this very tag, or `--all-tags` found
    it. buildx is looked at only where it would be needed.
    `staged` is the engine's image, as it was given, that is pushed under this tag for an index, and for nothing else.
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
        """Where it goes and as whom, once the credential was looked for."""
        if self.credential is None:
            raise AssertionError("a fact that is collected before is missing")
        return Repository(self.reference, self.credential)

    @property
    def pushing_engine(self) -> EngineKind | None:
        """The kind of engine that pushes; `None` where that is not known, or BuildKit or nobody else but us pushes."""
        builder = self.buildx.current if self.buildx else None
        by_engine = not isinstance(self.image, Upcoming) or (builder is not None and builder.driver == "docker")
        return self.engine.kind if self.engine and by_engine else None

    @property
    def one_platform_each(self) -> bool:
        """Whether the engine is known to keep one platform of each image."""
        return self.engine is not None and not self.engine.kind.holds_indexes

    @property
    def place(self) -> str:
        """Where the image lies in files, as it was given; empty for any other."""
        return self.image.place if isinstance(self.image, Upcoming) else ""

    @property
    def by_name(self) -> bool:
        """Whether the engine has the image under this very name, so that a command may name it so."""
        return not self.staged and not isinstance(self.image, Upcoming)

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
