"""Engine, registry, credentials and observer of a run, in-process: scripted answers, and a record of what was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, TypeAlias, TypeVar, overload

from pushsafe.engine.kinds import CLASSIC
from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.evidence import Access, Evidence, Preflight, RegistryPing, Stage
from pushsafe.model.facts import Builder, Buildx, ConfiguredRegistry, EngineInfo, EngineKind, ImageMissing, LocalImage
from pushsafe.model.outcomes import BuildAnswer, Built, EngineAccepted, EngineAnswer, LayerEvent, Layers, LayerState
from pushsafe.model.plan import Wait
from pushsafe.model.report import Report, TagResult
from pushsafe.model.request import Archive, Asks, Assembly, BakeTarget, Build, PushRequest, TagPolicy
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.model.verdicts import Finding
from pushsafe.oci.content import Content, Referrer
from pushsafe.oci.manifest import Blob, ImageConfig, ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.pipeline import run
from pushsafe.push.ports import Gateways, StoredImage
from pushsafe.sources import source_of
from tests.values import AMD64, OCI_MANIFEST, logged_in, ref, sha

DIGEST = sha("d")
LOGGED_IN = Evidence(Stage.ENGINE_AUTH, "login succeeded", status=200, sent=True)
NOT_THERE = Evidence(Stage.VERIFY, "manifest unknown", status=404, code="MANIFEST_UNKNOWN")
PUT = Evidence(Stage.PUSH, "", status=201, sent=True)
ACCEPTED = Preflight((Evidence(Stage.PROBE, "", status=202, sent=True),))
NOW = 1_700_000_000.0
POLICY = TagPolicy()
BUILDX = Buildx("0.29.1", (Builder("default", "docker", (AMD64,), several=True, current=True),))
BUILT = Built((("", DIGEST),))

_T = TypeVar("_T")
Scripted: TypeAlias = _T | BaseException | Callable[[], _T]
"""An answer, an exception that is raised in its place, or a function that is called for it."""


@overload
def give(scripted: BaseException) -> NoReturn: ...
@overload
def give(scripted: Callable[[], _T]) -> _T: ...
@overload
def give(scripted: _T) -> _T: ...
def give(scripted: object) -> object:
    """What a script says: see `Scripted`."""
    if isinstance(scripted, BaseException):
        raise scripted
    return scripted() if callable(scripted) else scripted


def accepted(layers: Layers | None = None) -> EngineAccepted:
    return EngineAccepted(DIGEST, layers or Layers(reused=1))


DOCKER_26 = EngineInfo("26.1.5", "1.45", CLASSIC, AMD64, push_takes_platform=False)
"""An engine that cannot push one platform of an image."""


def single(*layers: tuple[str, int]) -> ManifestInfo:
    return ManifestInfo(DIGEST, OCI_MANIFEST, layers=layers)


@dataclass
class Engine:
    """Holds what `images` names (by `name:tag`, or everything where it is `None`); `push` by `name:tag`.

    `named` are the names that it was told, and told to forget.
    """

    store: EngineKind = CLASSIC
    images: Mapping[str, LocalImage] | None = None
    push_answers: Mapping[str, Scripted[EngineAnswer]] = field(default_factory=dict)
    held_tags: tuple[str, ...] = ()
    info_answer: Scripted[EngineInfo] | None = None
    distribution_answer: Scripted[ManifestInfo | Evidence] = field(default_factory=single)
    login_answer: Scripted[Evidence] = LOGGED_IN
    naming: Scripted[None] = None
    pushed: list[tuple[str, Platform | None]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    inspected: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def info(self) -> EngineInfo:
        self.asked.append("info")
        return give(self.info_answer or EngineInfo("28.5.2", "1.51", self.store, AMD64))

    def image(self, reference: Reference, *, near: bool = True) -> LocalImage | ImageMissing:
        self.inspected.append(str(reference))
        if self.images is None:
            return LocalImage(sha("a"), (AMD64,))
        return self.images.get(str(reference), ImageMissing())

    def tags(self, name: str) -> tuple[str, ...]:
        return self.held_tags

    def tag(self, image: str, name: Reference) -> None:
        give(self.naming)
        self.named.append(f"{image} as {name}")

    def untag(self, name: Reference) -> None:
        self.named.append(f"no {name}")

    def push(
        self,
        reference: Reference,
        credential: Credential,
        platform: Platform | None,
        on_layer: Callable[[LayerEvent], None],
    ) -> EngineAnswer:
        self.pushed.append((str(reference), platform))
        on_layer(LayerEvent(reference, "a" * 12, LayerState.REUSED))
        return give(self.push_answers.get(str(reference), accepted()))

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence:
        self.asked.append(f"distribution {reference}")
        return give(self.distribution_answer)

    def check_login(self, credential: Credential) -> Evidence:
        self.asked.append(f"login {credential.registry}")
        return give(self.login_answer)


@dataclass
class Registry:
    """`manifests` by `name:tag` once that is in `pushed`, or by `name@digest`; `held` are the tags before their push.

    `puts` are the answers to a manifest that is put under `name:tag`, `contents` manifests by `name@digest`.
    `preflights` by repository, the last one for ever: what is asked first, and again after a refusal; it is accepted
    where nothing is scripted. `configs` by digest; `listed` are the tags of every repository. `held_blobs` are those it
    holds, and `sends` what it says to one, by `name@digest`; `refers` what it says to a referrer, by repository.
    """

    manifests: Mapping[str, Scripted[ManifestInfo | Evidence]] = field(default_factory=dict)
    held: Mapping[str, Scripted[ManifestInfo | Evidence]] = field(default_factory=dict)
    pushed: Sequence[tuple[str, Platform | None]] = ()
    preflights: Mapping[str, Sequence[Scripted[Preflight]]] = field(default_factory=dict)
    configs: Mapping[str, Scripted[ImageConfig | Evidence]] = field(default_factory=dict)
    listed: Scripted[tuple[str, ...] | Evidence] = ()
    pings: Mapping[str, Scripted[RegistryPing]] = field(default_factory=dict)
    puts: Mapping[str, Scripted[Evidence]] = field(default_factory=dict)
    contents: Mapping[str, Scripted[ManifestContent | Evidence]] = field(default_factory=dict)
    held_blobs: Mapping[str, Scripted[bool]] = field(default_factory=dict)
    sends: Mapping[str, Scripted[LayerState | Evidence]] = field(default_factory=dict)
    refers: Mapping[str, Scripted[Evidence]] = field(default_factory=dict)
    tagged: list[str] = field(default_factory=list)
    retry_policy: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def ping(self, registry: str) -> RegistryPing:
        self.asked.append(f"ping {registry}")
        return give(self.pings.get(registry, RegistryPing(Access.LOGIN_WANTED, "/v2/ answers 401 without one")))

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
    ) -> ManifestInfo | Evidence:
        name = f"{reference.name}@{digest}" if digest else str(reference)
        self.asked.append(f"manifest {name}{' whole' if whole else ''}")
        if digest or name in [*self.tagged, *(pushed for pushed, _ in self.pushed)]:
            return give(self.manifests.get(name, single()))
        return give(self.held.get(name, NOT_THERE))

    def content(
        self, reference: Reference, credential: Credential, digest: str = "", retry_policy: RetryPolicy = NO_RETRIES
    ) -> ManifestContent | Evidence:
        name = f"{reference.name}@{digest}"
        self.asked.append(f"content {name}")
        return give(self.contents.get(name, ManifestContent(digest, OCI_MANIFEST, b"{}")))

    def put(
        self,
        reference: Reference,
        credential: Credential,
        content: ManifestContent,
        retry_policy: RetryPolicy = NO_RETRIES,
        *,
        tagged: bool = True,
    ) -> Evidence:
        self.asked.append(f"put {reference}")
        self.retry_policy.append(retry_policy.retries)
        said: Evidence = give(self.puts.get(str(reference), PUT))
        if said.status == PUT.status:
            self.tagged.append(str(reference))
        return said

    def bring(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        self.asked.append(f"bring {target.reference.name}@{blob.digest} from {source.reference.name}")
        return LayerState.MOUNTED

    def holds(self, blob: Blob, target: Repository, retry_policy: RetryPolicy) -> bool:
        self.asked.append(f"holds {target.reference.name}@{blob.digest}")
        return give(self.held_blobs.get(f"{target.reference.name}@{blob.digest}", False))

    def send(
        self,
        content: Content,
        target: Repository,
        mount_from: str,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        name = f"{target.reference.name}@{content.blob.digest}"
        self.asked.append(f"send {name}{f' or mount it from {mount_from}' if mount_from else ''}")
        on_sent(content.blob.size)
        return give(self.sends.get(name, LayerState.MOUNTED if mount_from else LayerState.SENT))

    def refer(self, referrer: Referrer, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        self.asked.append(f"refer {target.reference.name}@{referrer.content.digest} to {referrer.subject}")
        return give(self.refers.get(target.reference.name, PUT))

    def investigate(self, reference: Reference, credential: Credential, reads: str = "") -> Preflight:
        earlier = self.asked.count(f"investigate {reference.name}")
        self.asked.append(f"investigate {reference.name}{f' reading {reads}' if reads else ''}")
        scripted = self.preflights.get(reference.name, (ACCEPTED,))
        return give(scripted[min(earlier, len(scripted) - 1)])

    def tidy(self) -> None:
        self.asked.append("tidy")

    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence:
        self.asked.append(f"config {reference.name}@{digest}")
        return give(self.configs.get(digest, ImageConfig(AMD64)))

    def tags(self, reference: Reference, credential: Credential) -> tuple[str, ...] | Evidence:
        self.asked.append(f"tags {reference.name}")
        return give(self.listed)


@dataclass
class BuildxCommand:
    """`answer` is what a build comes to; `built` are the builds that were started."""

    looked: Buildx = BUILDX
    answer: Scripted[BuildAnswer] = BUILT
    baked: tuple[BakeTarget, ...] = ()
    built: list[Build] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def look(self, builder: str = "") -> Buildx:
        self.asked.append(f"look {builder}".strip())
        return self.looked

    def targets(
        self, flags: Sequence[str], rest: Sequence[str] = (), definition: bytes | None = None
    ) -> tuple[BakeTarget, ...]:
        self.asked.append(f"targets {' '.join((*flags, *rest))}")
        return self.baked

    def run(self, build: Build) -> BuildAnswer:
        self.built.append(build)
        return give(self.answer)


@dataclass
class Credentials:
    """`logins` by registry; for every other there is a good one."""

    logins: Mapping[str, Scripted[Credential]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def lookup(self, registry: str) -> Credential:
        self.asked.append(registry)
        return give(self.logins.get(registry, logged_in(registry)))


class Told(Protocol):
    """Who is told of one thing."""

    def __call__(self, what: str, /) -> None: ...


@dataclass
class Observed:
    """Everything the run told, in its order; `on` is called with each."""

    told: list[str] = field(default_factory=list)
    results: list[TagResult] = field(default_factory=list)
    on: Told = lambda what: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _tell(self, what: str) -> None:
        with self._lock:
            self.told.append(what)
        self.on(what)

    def warned(self, findings: Sequence[Finding]) -> None:
        self._tell(f"warned {' '.join(finding.code for finding in findings)}")

    def planned(self, tags: Sequence[Reference]) -> None:
        self._tell(f"planned {' '.join(map(str, tags))}")

    def waiting(self, wait: Wait) -> None:
        self._tell(f"waiting {wait.who}: {wait.why}")

    def reading(self, place: str, done: int, whole: int) -> None:
        self._tell(f"reading {place}")

    def pushing(self, reference: Reference) -> None:
        self._tell(f"pushing {reference}")

    def layer(self, event: LayerEvent) -> None:
        self._tell(f"layer {event.reference} {event.state.value}")

    def finished(self, result: TagResult) -> None:
        self.results.append(result)
        self._tell(f"finished {result.reference}")


@dataclass
class World:
    """A run's surroundings; `engine_down` is what connecting to the engine raises."""

    engine: Engine = field(default_factory=Engine)
    registry: Registry = field(default_factory=Registry)
    credentials: Credentials = field(default_factory=Credentials)
    observer: Observed = field(default_factory=Observed)
    buildx: BuildxCommand = field(default_factory=BuildxCommand)
    stored: Scripted[StoredImage] = field(default_factory=lambda: AssertionError("no image lies in files"))
    configured: tuple[ConfiguredRegistry, ...] = ()
    engine_down: BaseException | None = None
    connected: list[str] = field(default_factory=list)

    def _engine(self) -> Engine:
        self.connected.append("engine")
        if self.engine_down:
            raise self.engine_down
        return self.engine

    def _engine_info(self) -> EngineInfo:
        if self.engine_down:
            raise self.engine_down
        return self.engine.info()

    def _registry(self) -> Registry:
        self.connected.append("registry")
        self.registry.pushed = self.engine.pushed
        return self.registry

    def _stored(self, archive: Archive, platforms: tuple[Platform, ...]) -> StoredImage:
        self.connected.append(archive.given)
        return give(self.stored)

    @property
    def gateways(self) -> Gateways:
        return Gateways(
            self._engine,
            self._engine_info,
            self._registry,
            self.credentials,
            lambda: self.configured,
            lambda: self.buildx,
            self._stored,
            lambda: NOW,
        )

    def run(
        self,
        *given: str | Reference,
        allowed: tuple[str, ...] = (),
        platforms: tuple[Platform, ...] = (),
        asks: Asks = Asks.LOGIN,
        pushes: bool = True,
        policy: TagPolicy = POLICY,
        planned: bool = False,
        push_each: bool = False,
        retries: int = 3,
        origin: Build | Assembly | Archive | None = None,
    ) -> Report:
        """Push texts, without a preflight unless it is asked for; with References of no tag it is `--all-tags`."""
        references = tuple(ref(one) if isinstance(one, str) else one for one in given)
        all_tags = not all(reference.tag for reference in references)
        request = PushRequest(
            references,
            frozenset(allowed),
            all_tags,
            platforms,
            policy,
            asks,
            pushes,
            planned,
            push_each,
            retries,
            origin,
            verify_timeout=0,
        )
        return run(request, self.gateways, self.observer, source_of)


# ---------------------------------------------------------------------- what a run came to


def kinds(report: Report) -> list[str]:
    return [type(result.outcome).__name__ for result in report.results]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def pushes(world: World) -> list[str]:
    return [name for name, _ in world.engine.pushed]
