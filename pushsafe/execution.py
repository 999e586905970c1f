"""The part of a run that needs engine and registry: gather facts, lint them, push, read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from pushsafe.denial import Refusal, classify, credential_evidence, needs_investigation
from pushsafe.errors import EngineFailed, EngineUnreachable, RegistryUnreachable, UsageError
from pushsafe.gateways import EngineGateway, Gateways, Observer
from pushsafe.model import (
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
    Layers,
    LocalImage,
    ManifestInfo,
    NotChecked,
    NotPushed,
    Outcome,
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
from pushsafe.results import error_of, report_of
from pushsafe.rules import Needs, lint, refused
from pushsafe.verification import verify

THREADS = 8
"""Questions to registries and credential helpers that may be under way at once."""

LAST_ANSWERS = 2.0
"""Seconds that an interrupted run waits for what it asked already."""

_WHY_NOT = {
    ErrorKind.UNREACHABLE: "the engine does not answer",
    ErrorKind.ENGINE: "the engine failed",
    ErrorKind.USAGE: "the request cannot be carried out",
}
_T = TypeVar("_T")


class Execution:
    """One run after the text was found good."""

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        observer: Observer,
        now: Callable[[], float],
        findings: tuple[Finding, ...],
        started: float,
    ) -> None:
        self._request = request
        self._gateways = gateways
        self._observer = observer
        self._now = now
        self._findings = findings
        self._results: dict[str, TagResult] = {}
        self._timings: list[tuple[str, float]] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pushsafe")
        self._started = started

    def report(self, facts: tuple[Facts, ...]) -> Report:
        interrupted = False
        errors: tuple[RunError, ...] = ()
        why_not = "it was not reached"
        try:
            facts = self._gather(facts)
            found = lint(facts, Needs.FACTS, self._request.allowed)
            self._findings += found
            if refused(found):
                why_not = "a finding forbids it"
            else:
                self._require_one_platform()
                self._push_all(facts)
        except (EngineUnreachable, EngineFailed, UsageError) as error:
            ended = error_of(error)
            errors, why_not = (ended,), _WHY_NOT[ended.kind]
        except KeyboardInterrupt:
            interrupted, why_not = True, "interrupted"
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._time("total", self._started)
        report = report_of(facts, self._findings, self._results, why_not, self._timings)
        return report._replace(errors=errors, interrupted=interrupted)

    def _time(self, phase: str, since: float) -> None:
        self._timings.append((phase, time.monotonic() - since))

    # ------------------------------------------------------------------ facts

    def _gather(self, facts: tuple[Facts, ...]) -> tuple[Facts, ...]:
        """Ask engine, credential stores and registries side by side; none of the answers needs another's."""
        started = time.monotonic()
        registries = dict.fromkeys(fact.reference.registry for fact in facts)
        # Made in this thread: its imports and the engine's are largely the same, and two threads would only wait
        # for each other's.
        self._gateways.registry()
        credentials = {name: self._pool.submit(self._gateways.credentials.lookup, name) for name in registries}
        pings = {name: self._pool.submit(self._ping, name) for name in registries}
        engine = self._connect()
        images = self._ask_for_images(engine, facts)
        # In this thread: a ping may wait for what it says, and must not hold the last thread that could ask.
        info = self._ask_engine(engine)
        if self._request.all_tags:
            facts = tuple(expanded for fact in facts for expanded in _expand(fact, engine))
            images = self._ask_for_images(engine, facts)
        if self._request.platforms:
            engine.require_platform_option()
        found = {name: image.result() for name, image in images.items()}
        indexes = self._source_indexes(found.values(), info)
        sources = {name: _source_of(image, indexes) for name, image in found.items()}
        gathered = tuple(
            fact._replace(
                image=found.get(str(fact.reference), ImageMissing()),
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

    def _require_one_platform(self) -> None:
        if len(self._request.platforms) > 1:
            raise UsageError(
                "--platform takes one platform for each push",
                "leave it out: an engine whose store holds several platforms pushes them all",
            )

    def _ask_for_images(
        self, engine: EngineGateway, facts: tuple[Facts, ...]
    ) -> dict[str, Future[LocalImage | ImageMissing]]:
        wanted = {str(fact.reference): fact.reference for fact in facts if fact.reference.tag}
        return {name: self._pool.submit(engine.image, reference) for name, reference in wanted.items()}

    def _ping(self, registry: str) -> RegistryPing:
        return self._gateways.registry().ping(registry)

    def _connect(self) -> EngineGateway:
        try:
            return self._gateways.engine()
        except BaseException:
            self._gateways.tell_engine_info(None)
            raise

    def _ask_engine(self, engine: EngineGateway) -> EngineInfo:
        info = None
        try:
            info = engine.info()
            return info
        finally:
            self._gateways.tell_engine_info(info)

    def _source_indexes(
        self, images: Iterable[LocalImage | ImageMissing], info: EngineInfo
    ) -> dict[str, ManifestInfo | None]:
        """What the digests that images of the classic store were pulled from name now; each is asked once."""
        if info.store is not StoreKind.CLASSIC or self._request.platforms:
            return {}
        held = (image for image in images if isinstance(image, LocalImage))
        digests = tuple(dict.fromkeys(digest for image in held for digest in image.repo_digests))
        return dict(zip(digests, self._pool.map(self._manifest_of, digests), strict=True))

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
        first: dict[str, Facts] = {}
        for fact in facts:
            first.setdefault(str(fact.reference), fact)
        try:
            for fact in first.values():
                pending.append(self._push(fact))
            self._time("push", started)
            started = time.monotonic()
            wait(pending)  # one tag's trouble, even a bug, shall not keep the others from being read back
            for future in pending:
                future.result()
        except KeyboardInterrupt:
            wait(pending, timeout=LAST_ANSWERS)
            raise
        self._time("verify", started)

    def _push(self, fact: Facts) -> Future[None]:
        began = time.monotonic()
        credential = _known(fact.credential)
        self._observer.pushing(fact.reference)
        platform = fact.platforms[0] if fact.platforms else None
        answer: EngineAnswer | EngineUnreachable | EngineFailed
        try:
            answer = self._gateways.engine().push(fact.reference, credential, platform, self._observer.layer)
        except (EngineUnreachable, EngineFailed) as error:
            answer = error
        except KeyboardInterrupt:
            cut = NotPushed("interrupted while it was being pushed; the registry may hold it")
            self._results[str(fact.reference)] = TagResult(fact.reference, cut, NotChecked("the run was interrupted"))
            raise
        if isinstance(answer, EngineAccepted):
            # All that is known until it is read back: what an interrupted run has to say of it.
            pushed, unread = Pushed(answer.digest, answer.layers), NotChecked("the run was interrupted")
            self._results[str(fact.reference)] = TagResult(fact.reference, pushed, unread)
        elif isinstance(answer, EngineRefused):
            why = NotPushed(f"refused ({answer.evidence.message}); interrupted before the registry was asked why")
            self._results[str(fact.reference)] = TagResult(fact.reference, why, NotChecked("nothing was pushed"))
        return self._pool.submit(self._settle, fact, credential, answer, began)

    def _settle(
        self, fact: Facts, credential: Credential, answer: EngineAnswer | EngineUnreachable | EngineFailed, began: float
    ) -> None:
        """Turn the engine's answer into a result, and tell of it."""
        outcome: Outcome
        verification: Verification = NotChecked("nothing was pushed")
        match answer:
            case EngineAccepted(digest, layers):
                registry, engine = self._gateways.registry(), self._gateways.engine()
                whole = bool(layers.unsized)
                verification = verify(
                    fact.reference, digest, credential, registry, engine, whole=whole, children=_children(fact, digest)
                )
                outcome = Pushed(digest, _sized(layers, verification))
                verification = _with_platforms(verification, fact)
            case EngineReduced(original, pushed, platform):
                outcome = Failed(_reduced(fact.reference, original, pushed, platform))
            case EngineUnreachable() | EngineFailed():
                kind = FailureKind.NETWORK if isinstance(answer, EngineUnreachable) else FailureKind.LOCAL
                outcome = Failed(Failure(kind, answer.message, next=(answer.hint,) if answer.hint else ()))
            case EngineRefused(evidence):
                outcome = self._refused(fact, credential, evidence)
        result = TagResult(fact.reference, outcome, verification, round(time.monotonic() - began, 4))
        self._results[str(fact.reference)] = result
        self._observer.finished(result)

    def _refused(self, fact: Facts, credential: Credential, push: Evidence) -> Outcome:
        evidence: tuple[Evidence, ...] = (credential_evidence(credential), push._replace(sent=credential.present))
        if needs_investigation(push.message):
            evidence += self._investigate(fact.reference, credential)
        verdict: Denial | Failure = classify(Refusal(fact.reference, credential, evidence, self._now(), _store(fact)))
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
        except (EngineUnreachable, EngineFailed) as error:
            return found, Evidence(Stage.ENGINE_AUTH, error.message)


# ---------------------------------------------------------------------- small parts


def _source_of(
    image: LocalImage | ImageMissing, indexes: Mapping[str, ManifestInfo | None]
) -> tuple[str, ManifestInfo | None]:
    """The index of several platforms that an image was pulled from, if its registry still tells."""
    for name in image.repo_digests if isinstance(image, LocalImage) else ():
        found = indexes.get(name)
        if found is not None and found.is_index and len(found.platforms) > 1:
            return name, found
    return "", None


def _store(fact: Facts) -> StoreKind | None:
    return fact.engine.store if fact.engine else None


def _known(value: _T | None) -> _T:
    if value is None:
        raise AssertionError("a fact that gathering fills in is missing")
    return value


def _expand(fact: Facts, engine: EngineGateway) -> tuple[Facts, ...]:
    """`--all-tags`: one fact for each tag that the engine holds; the repository itself where it holds none."""
    tags = engine.tags(fact.reference.name)
    expanded = (fact._replace(reference=fact.reference._replace(tag=tag), listed=False) for tag in tags)
    return tuple(expanded) or (fact,)


def _sized(layers: Layers, verification: Verification) -> Layers:
    """Fill in the sizes that the engine did not name: the containerd store calls a layer by its digest's start."""
    if not layers.unsized or not isinstance(verification, Verified):
        return layers
    sizes = {digest.partition(":")[2]: number for digest, number in verification.manifest.layers}
    found = {short: number for short in layers.unsized for full, number in sizes.items() if full.startswith(short)}
    return layers._replace(
        bytes_sent=layers.bytes_sent + sum(found.values()),
        unsized=tuple(short for short in layers.unsized if short not in found),
    )


def _children(fact: Facts, digest: str) -> tuple[str, ...]:
    """What the pushed index names, if it is the local image still (the containerd store's ID is its digest)."""
    return fact.image.children if isinstance(fact.image, LocalImage) and fact.image.id == digest else ()


def _with_platforms(verification: Verification, fact: Facts) -> Verification:
    """A single manifest names no platform; its digest being the pushed one's, it has the local image's."""
    if not isinstance(verification, Verified) or verification.manifest.is_index or verification.manifest.platforms:
        return verification
    local = fact.image.platforms if isinstance(fact.image, LocalImage) else ()
    platforms = fact.platforms or (local if len(local) == 1 else ())
    return verification._replace(manifest=verification.manifest._replace(platforms=platforms))


def _reduced(reference: Reference, original: str, pushed: str, platform: str) -> Failure:
    return Failure(
        FailureKind.REDUCED,
        f"the engine pushed one platform ({platform or pushed}) in place of the multi-platform image {original}, "
        "because the content of the others is not in its store",
        next=(f"docker pull --platform PLATFORM {reference}   (for each missing platform, then push again)",),
    )
