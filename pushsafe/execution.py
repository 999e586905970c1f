"""The part of a run that needs engine and registry: lint the facts, foresee refusals, push, read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from pushsafe.deadline import TimedOut
from pushsafe.denial import classify, foresee, needs_investigation
from pushsafe.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.evidence import Refusal, beforehand, check_of, credential_evidence
from pushsafe.gateways import Gateways, Observer
from pushsafe.gathering import Gathering, investigate, require_one_platform
from pushsafe.model import (
    Credential,
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    ErrorKind,
    Evidence,
    Facts,
    Failed,
    Failure,
    FailureKind,
    Finding,
    Layers,
    LocalImage,
    NotChecked,
    NotPushed,
    Outcome,
    Pushed,
    PushRequest,
    Ready,
    Reference,
    Report,
    RepositoryCheck,
    RunError,
    Severity,
    Stage,
    StoreKind,
    TagResult,
    Verification,
    Verified,
)
from pushsafe.results import OUT_OF_TIME, UNPUSHED, error_of, out_of_time, outcome_of, report_of
from pushsafe.rules import Needs, lint, refused
from pushsafe.verification import verify

THREADS = 32
"""Questions to registries and credential helpers that may be under way at once; a thread that has none is not made."""

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
        self._checks: tuple[RepositoryCheck, ...] = ()
        self._timings: list[tuple[str, float]] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pushsafe")
        self._started = started

    def report(self, facts: tuple[Facts, ...]) -> Report:
        interrupted = False
        errors: tuple[RunError, ...] = ()
        why_not = "it was not reached"
        try:
            facts = Gathering(self._request, self._gateways, self._pool).gather(facts)
            self._time("gather", self._started)
            found = lint(facts, Needs.FACTS, self._request.allowed)
            self._findings += found
            self._foresee(facts)
            if refused(found):
                why_not = "a finding forbids it"
            elif self._results:
                why_not = "the push of another listed tag would be refused"
            else:
                require_one_platform(self._request)
                if self._request.pushes:
                    if warnings := [one for one in self._findings if one.severity is not Severity.INFO]:
                        self._observer.warned(warnings)
                    self._push_all(facts)
                else:
                    self._results = {str(fact.reference): _ready(fact) for fact in facts}
        except (EngineUnreachable, EngineFailed, UsageError) as error:
            ended = error_of(error)
            errors, why_not = (ended,), _WHY_NOT[ended.kind]
        except TimedOut:
            errors, why_not = (out_of_time(),), OUT_OF_TIME
        except KeyboardInterrupt:
            interrupted, why_not = True, "interrupted"
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._time("total", self._started)
        report = report_of(facts, self._findings, self._results, why_not, self._timings)
        return report._replace(errors=errors, interrupted=interrupted, preflight=self._checks)

    def _time(self, phase: str, since: float) -> None:
        self._timings.append((phase, time.monotonic() - since))

    # ------------------------------------------------------------------ before the push

    def _foresee(self, facts: Sequence[Facts]) -> None:
        """What each repository's preflight came to; a refusal is the result of all its tags."""
        first = {fact.reference.name: fact for fact in reversed(facts) if fact.preflight is not None}
        verdicts = {name: foresee(beforehand(fact, self._now())) for name, fact in reversed(first.items())}
        self._checks = tuple(check_of(first[name], verdict) for name, verdict in verdicts.items())
        for fact in facts:
            verdict = verdicts.get(fact.reference.name)
            if verdict is not None:
                outcome = outcome_of(verdict, Stage.PROBE)
                self._results[str(fact.reference)] = TagResult(fact.reference, outcome, UNPUSHED)

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
        except TimedOut:
            raise
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
            self._results[str(fact.reference)] = TagResult(fact.reference, cut, NotChecked("the run ended before"))
            raise
        if isinstance(answer, EngineAccepted):
            # All that is known until it is read back: what an interrupted run has to say of it.
            pushed, unread = Pushed(answer.digest, answer.layers), NotChecked("the run ended before it was read back")
            self._results[str(fact.reference)] = TagResult(fact.reference, pushed, unread)
        elif isinstance(answer, EngineRefused):
            why = NotPushed(f"refused ({answer.evidence.message}); interrupted before the registry was asked why")
            self._results[str(fact.reference)] = TagResult(fact.reference, why, UNPUSHED)
        return self._pool.submit(self._settle, fact, credential, answer, began)

    def _settle(
        self, fact: Facts, credential: Credential, answer: EngineAnswer | EngineUnreachable | EngineFailed, began: float
    ) -> None:
        """Turn the engine's answer into a result, and tell of it."""
        outcome: Outcome
        verification: Verification = UNPUSHED
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
            found = investigate(self._gateways, fact.reference, credential)
            evidence += found.evidence
            if found.problem and all(found.problem not in item.message for item in evidence):
                evidence += (Evidence(Stage.TOKEN, found.problem),)
        return outcome_of(classify(Refusal(fact.reference, credential, evidence, self._now(), _store(fact))))


# ---------------------------------------------------------------------- small parts


def _ready(fact: Facts) -> TagResult:
    return TagResult(fact.reference, Ready(), UNPUSHED)


def _store(fact: Facts) -> StoreKind | None:
    return fact.engine.store if fact.engine else None


def _known(value: _T | None) -> _T:
    if value is None:
        raise AssertionError("a fact that gathering fills in is missing")
    return value


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
