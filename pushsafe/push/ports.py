"""The ports: what a run needs of the outside world, as Protocols, so that it can be tested without network or
engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.evidence import Evidence, Preflight, RegistryPing
from pushsafe.model.facts import Buildx, ConfiguredRegistry, EngineInfo, ImageMissing, LocalImage, Upcoming
from pushsafe.model.outcomes import BuildAnswer, Denied, EngineAnswer, Failed, LayerEvent, LayerState, OnSent
from pushsafe.model.plan import Wait
from pushsafe.model.report import TagResult
from pushsafe.model.request import Archive, BakeTarget, Build
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.model.verdicts import Finding
from pushsafe.oci.content import Content, Package, Referrer
from pushsafe.oci.manifest import Blob, ImageConfig, ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference


class AsksRegistry(Protocol):
    """Reads tags at a registry."""

    def manifest(
        self,
        reference: Reference,
        credential: Credential,
        digest: str = "",
        *,
        whole: bool = False,
        known: ManifestInfo | None = None,
        expected: str = "",
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> ManifestInfo | Evidence: ...
    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence: ...


class AsksEngine(Protocol):
    """Reads tags at a registry through the engine."""

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence: ...


class EngineGateway(AsksEngine, Protocol):
    """The engine; every method raises EngineUnreachable if it is down."""

    def image(self, reference: Reference, *, near: bool = True) -> LocalImage | ImageMissing: ...
    def tags(self, name: str) -> tuple[str, ...]: ...
    def tag(self, image: str, name: Reference) -> None: ...
    def untag(self, name: Reference) -> None: ...
    def push(
        self,
        reference: Reference,
        credential: Credential,
        platform: Platform | None,
        on_layer: Callable[[LayerEvent], None],
    ) -> EngineAnswer: ...
    def check_login(self, credential: Credential) -> Evidence: ...


class StoredImage(Protocol):
    """One image in an archive.

    `package` waits until the image is completely known and its layers are compressed if needed, which starts when it is
    opened; it calls `tell` with the bytes read and the total. `check` compares all content with its digests, for runs
    that send nothing: sending does it on the way. Both raise UsageError, which names the file.
    """

    @property
    def upcoming(self) -> Upcoming: ...
    def package(self, tell: Callable[[int, int], None]) -> Package: ...
    def check(self) -> None: ...
    def close(self) -> None: ...


class RegistryGateway(AsksRegistry, Protocol):
    """Registries; all methods but `ping` and `investigate` raise RegistryUnreachable."""

    def ping(self, registry: str) -> RegistryPing: ...
    def content(
        self, reference: Reference, credential: Credential, digest: str = "", retry_policy: RetryPolicy = NO_RETRIES
    ) -> ManifestContent | Evidence: ...
    def put(
        self,
        reference: Reference,
        credential: Credential,
        content: ManifestContent,
        retry_policy: RetryPolicy = NO_RETRIES,
        *,
        tagged: bool = True,
    ) -> Evidence: ...
    def bring(
        self, blob: Blob, source: Repository, target: Repository, on_sent: OnSent, retry_policy: RetryPolicy
    ) -> LayerState | Evidence: ...
    def holds(self, blob: Blob, target: Repository, retry_policy: RetryPolicy) -> bool: ...
    def send(
        self, content: Content, target: Repository, mount_from: str, on_sent: OnSent, retry_policy: RetryPolicy
    ) -> LayerState | Evidence: ...
    def refer(self, referrer: Referrer, target: Repository, retry_policy: RetryPolicy) -> Evidence: ...
    def investigate(self, reference: Reference, credential: Credential, reads: str = "") -> Preflight: ...
    def tidy(self) -> None: ...
    def tags(self, reference: Reference, credential: Credential) -> tuple[str, ...] | Evidence: ...


class BuildxGateway(Protocol):
    """buildx; `look` reports a missing buildx in its result, the others raise UsageError.

    Of bake's arguments `flags` are those before a `--`, and `rest` begins with it.
    """

    def look(self, builder: str = "") -> Buildx: ...
    def targets(
        self, flags: Sequence[str], rest: Sequence[str] = (), definition: bytes | None = None
    ) -> tuple[BakeTarget, ...]: ...
    def run(self, build: Build) -> BuildAnswer: ...


class CredentialGateway(Protocol):
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def lookup(self, registry: str) -> Credential: ...


class Observer(Protocol):
    """Is notified of the progress of a run, from several threads.

    `warned` comes first, if there are warnings, then `planned` with every tag that will have a result of its own. The
    engine pushes several tags at a time, and many tags finish without a push. `reading` reports the bytes of an archive
    that were read before anything is sent.
    """

    def warned(self, findings: Sequence[Finding]) -> None: ...
    def planned(self, tags: Sequence[Reference]) -> None: ...
    def reading(self, place: str, done: int, whole: int) -> None: ...
    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def waiting(self, wait: Wait) -> None: ...
    def finished(self, result: TagResult) -> None: ...


@dataclass(frozen=True)
class Gateways:
    """Everything outside, made when first called.

    `engine_info` asks the engine about itself once: a registry that HTTPS does not reach needs its list of insecure
    registries. `now` is in seconds since the epoch.
    """

    engine: Callable[[], EngineGateway]
    engine_info: Callable[[], EngineInfo]
    registry: Callable[[], RegistryGateway]
    credentials: CredentialGateway
    configured: Callable[[], tuple[ConfiguredRegistry, ...]]
    buildx: Callable[[], BuildxGateway]
    stored: Callable[[Archive, tuple[Platform, ...]], StoredImage]
    now: Callable[[], float] = time.time


class Refused(Exception):
    """Nothing can be pushed because the content cannot be read; `outcome` is that of every tag."""

    def __init__(self, outcome: Denied | Failed) -> None:
        super().__init__()
        self.outcome = outcome
