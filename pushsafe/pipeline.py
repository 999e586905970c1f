"""The run: gather facts, lint, push, read back; one result for every listed reference, whatever happens to others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from pushsafe import __version__
from pushsafe.denial import Refusal, classify, credential_evidence, needs_investigation
from pushsafe.errors import EngineUnreachable, RegistryUnreachable, UsageError
from pushsafe.model import (
    ConfiguredRegistry,
    Credential,
    Denial,
    Denied,
    EngineAccepted,
    EngineAnswer,
    EngineInfo,
    EngineReduced,
    EngineRefused,
    ErrorKind,
    Evidence,
    Facts,
    Failed,
    Failure,
    FailureKind,
    Finding,
    ImageMissing,
    LayerEvent,
    Layers,
    LocalImage,
    ManifestInfo,
    NotChecked,
    NotPushed,
    Outcome,
    Platform,
    Pushed,
    PushRequest,
    Reference,
    RegistryPing,
    Report,
    RunError,
    Stage,
    StoreKind,
    TagResult,
    Verification,
    Verified,
)
from pushsafe.reference import parse
from pushsafe.rules import Needs, lint, refused
from pushsafe.verification import verify

THREADS = 8
"""Questions to registries and credential helpers that may be under way at once."""
LAST_ANSWERS = 2.0
"""Seconds that an interrupted run waits for what it asked already."""

_T = TypeVar("_T")


class EngineGateway(Protocol):
    """What the run asks of an engine; every method raises EngineUnreachable when it is down."""

    def info(self) -> EngineInfo: ...
    def require_platform_option(self) -> None: ...
    def image(self, reference: Reference) -> LocalImage | ImageMissing: ...
    def tags(self, name: str) -> tuple[str, ...]: ...
    def push(
        self,
        reference: Reference,
        credential: Credential,
        platform: Platform | None,
        on_layer: Callable[[LayerEvent], None],
    ) -> EngineAnswer: ...
    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence: ...
    def check_login(self, credential: Credential) -> Evidence: ...


class RegistryGateway(Protocol):
    """What the run asks of registries; all but `ping` raise RegistryUnreachable."""

    def ping(self, registry: str) -> RegistryPing: ...
    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", *, whole: bool = False
    ) -> ManifestInfo | Evidence: ...
    def investigate(self, reference: Reference, credential: Credential) -> tuple[Evidence, ...]: ...


class CredentialGateway(Protocol):
    def lookup(self, registry: str) -> Credential: ...


class Observer(Protocol):
    """Who is told how the run goes, from several threads."""

    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...


@dataclass(frozen=True)
class Gateways:
    """Everything outside. `engine` connects when it is first called; a registry may wait for `engine_info`."""

    engine: Callable[[], EngineGateway]
    registry: Callable[[], RegistryGateway]
    credentials: CredentialGateway
    configured: Callable[[], tuple[ConfiguredRegistry, ...]]
    engine_info: Future[EngineInfo] = field(default_factory=Future)


def run(request: PushRequest, gateways: Gateways, observer: Observer, now: Callable[[], float] = time.time) -> Report:
    """Push what was asked for, unless a rule forbids it, and say what became of each reference."""
    return _Run(request, gateways, observer, now).report()


class _Run:
    def __init__(self, request: PushRequest, gateways: Gateways, observer: Observer, now: Callable[[], float]) -> None:
        self._request = request
        self._gateways = gateways
        self._observer = observer
        self._now = now
        self._findings: tuple[Finding, ...] = ()
        self._results: dict[str, TagResult] = {}
        self._timings: list[tuple[str, float]] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pushsafe")
        self._started = time.monotonic()

    # ------------------------------------------------------------------ the whole

    def report(self) -> Report:
        facts = tuple(
            Facts(reference, self._gateways.configured(), platforms=self._request.platforms, now=self._now())
            for reference in self._request.references
        )
        interrupted = False
        errors: tuple[RunError, ...] = ()
        try:
            if self._lint(facts, Needs.TEXT):
                return self._finish(facts, "a finding forbids it")
            facts = self._gather(facts)
            if self._lint(facts, Needs.FACTS):
                return self._finish(facts, "a finding forbids it")
            self._push_all(facts)
        except EngineUnreachable as error:
            errors = (RunError(ErrorKind.UNREACHABLE, error.message, error.hint),)
        except UsageError as error:
            errors = (RunError(ErrorKind.USAGE, error.message, error.hint),)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        why = "interrupted" if interrupted else "the engine does not answer" if errors else "it was not reached"
        return replace(self._finish(facts, why), errors=errors, interrupted=interrupted)

    def _finish(self, facts: Sequence[Facts], why_not: str) -> Report:
        self._time("total", self._started)
        return Report(
            version=__version__,
            findings=self._findings,
            results=tuple(
                replace(self._results[str(fact.reference)], reference=fact.reference)
                if str(fact.reference) in self._results
                else TagResult(fact.reference, NotPushed(why_not), NotChecked("nothing was pushed"))
                for fact in facts
            ),
            timings=tuple(self._timings),
        )

    def _lint(self, facts: Sequence[Facts], needs: Needs) -> bool:
        found = lint(facts, needs, self._request.allowed)
        self._findings += found
        return refused(found)

    def _time(self, phase: str, since: float) -> None:
        self._timings.append((phase, round(time.monotonic() - since, 4)))

    # ------------------------------------------------------------------ facts

    def _gather(self, facts: tuple[Facts, ...]) -> tuple[Facts, ...]:
        """Ask engine, credential stores and registries side by side; none of the answers needs another's."""
        started = time.monotonic()
        registries = dict.fromkeys(fact.reference.registry for fact in facts)
        credentials = {name: self._pool.submit(self._gateways.credentials.lookup, name) for name in registries}
        pings = {name: self._pool.submit(self._ping, name) for name in registries}
        engine, info = self._connect()
        if self._request.platforms:
            engine.require_platform_option()
            if len(self._request.platforms) > 1 and info.store is StoreKind.CONTAINERD:
                raise UsageError(
                    "--platform takes one platform for each push",
                    "leave it out: this engine's image store pushes every platform of the image",
                )
        if self._request.all_tags:
            facts = tuple(expanded for fact in facts for expanded in _expand(fact, engine))
        images = {name: engine.image(reference) for name, reference in _unique(facts).items() if reference.tag}
        sources = {name: self._source_of(image, info) for name, image in images.items()}
        gathered = tuple(
            replace(
                fact,
                image=images.get(str(fact.reference), ImageMissing()),
                engine=info,
                credential=credentials[fact.reference.registry].result(),
                ping=pings[fact.reference.registry].result(),
                source_name=sources.get(str(fact.reference), ("", None))[0],
                source_index=sources.get(str(fact.reference), ("", None))[1],
            )
            for fact in facts
        )
        self._time("gather", started)
        return gathered

    def _ping(self, registry: str) -> RegistryPing:
        return self._gateways.registry().ping(registry)

    def _connect(self) -> tuple[EngineGateway, EngineInfo]:
        try:
            engine = self._gateways.engine()
            info = engine.info()
        except BaseException as error:
            self._gateways.engine_info.set_exception(error)
            raise
        self._gateways.engine_info.set_result(info)
        return engine, info

    def _source_of(self, image: LocalImage | ImageMissing, info: EngineInfo) -> tuple[str, ManifestInfo | None]:
        """The index that an image of the classic store was pulled from, if its registry still tells."""
        if info.store is not StoreKind.CLASSIC or self._request.platforms or isinstance(image, ImageMissing):
            return "", None
        for name, found in zip(image.repo_digests, self._pool.map(self._manifest_of, image.repo_digests), strict=True):
            if found is not None and found.is_index and len(found.platforms) > 1:
                return name, found
        return "", None

    def _manifest_of(self, repo_digest: str) -> ManifestInfo | None:
        name, _, digest = repo_digest.partition("@")
        reference = parse(name)
        if not isinstance(reference, Reference) or not digest:
            return None
        try:
            found = self._gateways.registry().manifest(
                reference, self._gateways.credentials.lookup(reference.registry), digest
            )
        except RegistryUnreachable:
            return None  # only a hint is lost: the image itself is complete
        return found if isinstance(found, ManifestInfo) else None

    # ------------------------------------------------------------------ pushing

    def _push_all(self, facts: Sequence[Facts]) -> None:
        """Push one tag after the other; each one's reading back goes on beside the next one's push."""
        started = time.monotonic()
        pending: list[Future[None]] = []
        unique = {str(fact.reference): fact for fact in reversed(facts)}
        try:
            for fact in reversed(unique.values()):
                pending.append(self._push(fact))
        except KeyboardInterrupt:
            wait(pending, timeout=LAST_ANSWERS)
            raise
        self._time("push", started)
        started = time.monotonic()
        for future in pending:
            future.result()
        self._time("verify", started)

    def _push(self, fact: Facts) -> Future[None]:
        began = time.monotonic()
        credential = _known(fact.credential)
        self._observer.pushing(fact.reference)
        platform = fact.platforms[0] if fact.platforms else None
        answer: EngineAnswer | EngineUnreachable
        try:
            answer = self._gateways.engine().push(fact.reference, credential, platform, self._observer.layer)
        except EngineUnreachable as error:
            answer = error
        return self._pool.submit(self._settle, fact, credential, answer, began)

    def _settle(
        self, fact: Facts, credential: Credential, answer: EngineAnswer | EngineUnreachable, began: float
    ) -> None:
        """Turn the engine's answer into a result, and tell of it."""
        outcome: Outcome
        verification: Verification = NotChecked("nothing was pushed")
        match answer:
            case EngineAccepted(digest, layers):
                registry, engine = self._gateways.registry(), self._gateways.engine()
                whole = bool(layers.unsized)
                verification = verify(fact.reference, digest, credential, registry, engine, whole=whole)
                outcome = Pushed(digest, _sized(layers, verification))
                verification = _with_platforms(verification, fact)
            case EngineReduced(index, pushed, platform):
                outcome = Failed(_reduced(fact.reference, index, pushed, platform))
            case EngineUnreachable():
                outcome = Failed(Failure(FailureKind.NETWORK, answer.message, next=(answer.hint,)))
            case EngineRefused(evidence):
                outcome = self._refused(fact, credential, evidence)
        result = TagResult(fact.reference, outcome, verification, round(time.monotonic() - began, 4))
        self._results[str(fact.reference)] = result
        self._observer.finished(result)

    def _refused(self, fact: Facts, credential: Credential, push: Evidence) -> Outcome:
        evidence: tuple[Evidence, ...] = (credential_evidence(credential), replace(push, sent=credential.present))
        if needs_investigation(push.message):
            evidence += self._investigate(fact.reference, credential)
        verdict: Denial | Failure = classify(Refusal(fact.reference, credential, evidence, self._now()))
        return Denied(verdict) if isinstance(verdict, Denial) else Failed(verdict)

    def _investigate(self, reference: Reference, credential: Credential) -> tuple[Evidence, ...]:
        """Ask the registry itself; where only the engine reaches it, ask the engine to log in there."""
        try:
            return self._gateways.registry().investigate(reference, credential)
        except RegistryUnreachable as error:
            found = Evidence(Stage.PING, f"not reachable from here: {error.message}")
        if not credential.present:
            return (found,)
        try:
            return found, self._gateways.engine().check_login(credential)
        except EngineUnreachable as error:
            return found, Evidence(Stage.ENGINE_AUTH, error.message)


# ---------------------------------------------------------------------- small parts


def _unique(facts: Iterable[Facts]) -> dict[str, Reference]:
    return {str(fact.reference): fact.reference for fact in facts}


def _known(value: _T | None) -> _T:
    if value is None:
        raise AssertionError("a fact that gathering fills in is missing")
    return value


def _expand(fact: Facts, engine: EngineGateway) -> tuple[Facts, ...]:
    """`--all-tags`: one fact for each tag that the engine holds; the repository itself where it holds none."""
    tags = engine.tags(fact.reference.name)
    return tuple(replace(fact, reference=replace(fact.reference, tag=tag)) for tag in tags) or (fact,)


def _sized(layers: Layers, verification: Verification) -> Layers:
    """Fill in the sizes that the engine did not name: the containerd store calls a layer by its digest's start."""
    if not layers.unsized or not isinstance(verification, Verified):
        return layers
    sizes = {digest.partition(":")[2]: number for digest, number in verification.manifest.layers}
    found = {short: number for short in layers.unsized for full, number in sizes.items() if full.startswith(short)}
    return replace(
        layers,
        bytes_sent=layers.bytes_sent + sum(found.values()),
        unsized=tuple(short for short in layers.unsized if short not in found),
    )


def _with_platforms(verification: Verification, fact: Facts) -> Verification:
    """A single manifest names no platform; its digest being the pushed one's, it has the local image's."""
    if not isinstance(verification, Verified) or verification.manifest.is_index:
        return verification
    local = fact.image.platforms if isinstance(fact.image, LocalImage) else ()
    platforms = fact.platforms or (local if len(local) == 1 else ())
    return replace(verification, manifest=replace(verification.manifest, platforms=platforms))


def _reduced(reference: Reference, index: str, pushed: str, platform: str) -> Failure:
    return Failure(
        FailureKind.REDUCED,
        f"the engine pushed one platform ({platform or pushed}) in place of the multi-platform image {index}, "
        "because the content of the others is not in its store",
        next=(f"docker pull --platform PLATFORM {reference}   (for each missing platform, then push again)",),
    )
