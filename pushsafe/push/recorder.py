"""Bringing one tag after the other to its registry, reading each one back, and keeping what became of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import NamedTuple

from pushsafe.denial.classify import classify, needs_investigation
from pushsafe.denial.messages import is_dropped, may_pass
from pushsafe.denial.reasons import again, own_address, trust, without_proxy
from pushsafe.denial.refusal import credential_evidence, credential_of, pushing_store, refusal_of, trouble_of
from pushsafe.model.credentials import Credential
from pushsafe.model.errors import (
    EngineFailed,
    EngineUnreachable,
    ProxyAnswers,
    RegistryAstray,
    RegistryFailed,
    RegistryUnreachable,
    TlsFailed,
)
from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagState, accepted, refused
from pushsafe.model.facts import Facts, LocalImage, StoreKind, Upcoming
from pushsafe.model.outcomes import (
    Denied,
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    Failed,
    LayerEvent,
    Layers,
    NotChecked,
    NotPushed,
    Outcome,
    Pushed,
    Verification,
    Verified,
)
from pushsafe.model.plan import How, Wait
from pushsafe.model.report import Along, TagResult
from pushsafe.model.request import PushRequest
from pushsafe.model.retry_policy import BUSY, Patience
from pushsafe.model.tag_changes import is_ours, pushed
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.aftermath import arrived, is_certain, is_known, left
from pushsafe.push.circuit_breaker import Availability, was_reached
from pushsafe.push.ports import Gateways, Observer
from pushsafe.push.preflight import investigate
from pushsafe.push.results import UNPUSHED, outcome_of
from pushsafe.push.tag_state import Look
from pushsafe.push.verify import verify
from pushsafe.runtime.phase_timer import Stopwatch

PAUSE = 1.0
"""Seconds, and up to twice as many, before the engine tries again; a busy registry gets three times as long."""

_NOT_FOUND, _TOO_MANY = 404, 429
_CUT = NotPushed("cut off while it was being pushed; the registry may hold it", begun=True)
_UNREAD = NotChecked("the run ended before it was read back")
_ENDED = NotChecked("the run ended before")
_Answer = EngineAnswer | EngineUnreachable | EngineFailed


class Stopped(Exception):
    """The run is over, and whoever still works for it may stop."""


class Delivery:
    """The tags of one run; for any number of threads.

    `results` has for each tag what is known of it at any moment: what an interrupted run has to say.
    """

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        observer: Observer,
        now: Callable[[], float],
        watch: Stopwatch,
    ) -> None:
        self._gateways = gateways
        self.observer = observer
        self._now = now
        self._watch = watch
        self._retries = request.retries
        self._verify_timeout = request.verify_timeout
        self._push_each = request.push_each
        self.patience = Patience(request.retries, self._tell_wait)
        self._began: dict[str, float] = {}
        self._stopped = threading.Event()
        self._availability = Availability(gateways)
        self._unsent: set[str] = set()
        self._along: dict[str, tuple[Along, ...]] = {}
        self.results: dict[str, TagResult] = {}

    def begin(self, fact: Facts, cut: NotPushed) -> None:
        """Somebody else starts to push a tag; `cut` is what became of it should the run end before anything else."""
        self._began.setdefault(str(fact.reference), time.monotonic())
        self._keep(fact, cut, _ENDED)

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Everything within counts for this phase of the run."""
        return self._watch.phase(name)

    # ------------------------------------------------------------------ what a tag comes to

    def push(self, fact: Facts, because: str = "") -> Outcome:
        """Let the engine push a tag: what came of it, not read back yet. `because`: why it was not tagged directly.

        A registry that has gone away is not tried.
        """
        if gone := self._availability.gone(fact, credential_of(fact)):
            self.finish(fact, Failed(gone))
            return Failed(gone)
        self._begin(fact)
        with self._watch.phase("push"):
            answer = self._ask_engine(fact)
        outcome: Denied | Failed
        match answer:
            case EngineAccepted(digest, layers):
                there = before(fact) == digest and not self._push_each
                how = How.ALREADY_THERE if there else How.PUSHED
                pushed_now = Pushed(digest, layers, how, because)
                self._keep(fact, pushed_now, _UNREAD)
                return pushed_now
            case EngineReduced(original, left, platform):
                outcome = Failed(_reduced(fact.carrier or str(fact.reference), original, left, platform))
            case EngineUnreachable() | EngineFailed():
                kind = FailureKind.NETWORK if isinstance(answer, EngineUnreachable) else FailureKind.LOCAL
                outcome = Failed(Failure(kind, answer.message, next=(answer.hint,) if answer.hint else ()))
            case EngineRefused(evidence):
                why = f"refused ({evidence.message}); cut off before the registry was asked why"
                self._keep(fact, NotPushed(why, begun=True), UNPUSHED)
                outcome = self.refused(fact, evidence)
        if isinstance(answer, EngineReduced) or self.is_unsent(fact):
            self.finish(fact, outcome)
            return outcome
        return self.leave_behind(fact, outcome, lambda now: is_ours(fact, now), because, closely=True)

    def is_unsent(self, fact: Facts) -> bool:
        """Whether the engine's push of a tag has failed over a layer: no manifest was put then, under any tag."""
        return str(fact.reference) in self._unsent

    def leave_behind(
        self,
        fact: Facts,
        outcome: Denied | Failed,
        ours: Callable[[TagHeld], bool],
        because: str = "",
        *,
        closely: bool = False,
    ) -> Outcome:
        """A push that failed, unless the tag names what was pushed all the same, which `ours` tells, of what was looked
        at `closely` where the digest alone is not enough. What it came to is kept, and a failure told; what is in place
        is not read back yet."""
        if not is_certain(outcome):
            now = self._afterwards(fact, closely=closely)
            if isinstance(now, TagHeld) and ours(now):
                found = arrived(fact, outcome, now.manifest.digest)._replace(because=because)
                self._keep(fact, found, _UNREAD)
                return found
            outcome = left(fact, outcome, now)
        self.finish(fact, outcome)
        return outcome

    def _afterwards(self, fact: Facts, *, closely: bool = False) -> TagState:
        """What a tag names after a push of it that failed."""
        self.require_running()
        look = Look(self._gateways, fact, credential_of(fact), (fact,))
        return look.afterwards(closely=closely, engine=not was_reached(fact))

    def tag(self, fact: Facts, content: ManifestContent) -> str:
        """Put a manifest of the repository under a tag; why the engine has to push it, empty if that is settled."""
        put = self._put(fact, content)
        if not put.why:
            self._keep(fact, Pushed(content.digest, how=How.TAGGED), _UNREAD)
        elif isinstance(put.said, Evidence) and (failure := busy(fact, put.said)):
            self.finish(fact, left(fact, Failed(failure), put.now))
            return ""
        return put.why

    def put(self, fact: Facts, content: ManifestContent, layers: Layers | None = None, how: How = How.TAGGED) -> None:
        """Put a manifest under a tag that no engine could push: what came of it, not read back yet.

        `layers` are those that were brought for it.
        """
        put = self._put(fact, content)
        if not put.why:
            self._keep(fact, Pushed(content.digest, layers, how), _UNREAD)
            return
        if isinstance(put.said, RegistryUnreachable):
            outcome: Denied | Failed = Failed(unreached(fact, put.said))
        else:
            outcome = self.declined(fact, put.said)
        self.finish(fact, outcome if is_certain(outcome) else left(fact, outcome, put.now))

    def declined(self, fact: Facts, said: Evidence) -> Denied | Failed:
        """What a registry's refusal to take a manifest or a blob comes to."""
        failure = busy(fact, said)
        # Worded as the engines word it.
        words = f"{said.code.lower()}: {said.message}" if said.code else said.message or _named(said.status)
        return Failed(failure) if failure else self.refused(fact, said._replace(message=words))

    def _put(self, fact: Facts, content: ManifestContent) -> _Put:
        """Put a manifest under a tag; whatever goes wrong with the answer, it is in place where the tag names it."""
        self.require_running()
        self._begin(fact)
        with self._watch.phase("tag"):
            said: Evidence | RegistryUnreachable
            try:
                said = self._gateways.registry().put(fact.reference, credential_of(fact), content, self.patience)
                why = "" if accepted(said) and not said.code else f"the registry answers {said} to the manifest"
            except RegistryUnreachable as error:
                said, why = error, error.message
            if not why or (isinstance(said, Evidence) and said.status == _TOO_MANY):
                return _Put(said, why, TagAbsent())
            now = self._afterwards(fact)
            # Who may not put it has not put it, unless the tag is known to have named something else before.
            there = isinstance(now, TagHeld) and now.manifest.digest == content.digest
            if there and (is_known(fact) or not (isinstance(said, Evidence) and refused(said))):
                why = ""
        return _Put(said, why, now)

    def names(self, fact: Facts, digest: str) -> bool:
        """Whether the tag is known to name a digest."""
        return self.digest_now(fact) == digest

    def digest_now(self, fact: Facts) -> str | None:
        """What the registry says that the tag names; empty for nothing, `None` where it does not say."""
        try:
            found = self._gateways.registry().manifest(fact.reference, credential_of(fact))
        except RegistryUnreachable:
            return None
        if isinstance(found, ManifestInfo):
            return found.digest
        return "" if found.status == _NOT_FOUND else None

    def place(self, fact: Facts, outcome: Pushed) -> None:
        """A tag that names its image now, by what whoever put it there says."""
        self._keep(fact, outcome, _UNREAD)

    def leave(self, fact: Facts, digest: str, layers: Layers | None = None) -> None:
        """A tag that names its image already; `layers` are those that its repository lacked all the same."""
        self._begin(fact)
        self._keep(fact, Pushed(digest, layers, How.ALREADY_THERE), _UNREAD)

    def finish(self, fact: Facts, outcome: Outcome, verification: Verification = UNPUSHED) -> None:
        """The last word on a tag, told at once."""
        result = self._keep(fact, outcome, verification)
        if not self._stopped.is_set():
            self.observer.finished(result)

    def went_along(self, fact: Facts, along: tuple[Along, ...]) -> None:
        """What was put into the repository for the image of a tag, under tags of its own."""
        self._along[str(fact.reference)] = along

    def refused(self, fact: Facts, push: Evidence) -> Denied | Failed:
        """What a refused push comes to, by what was said of it and what the registry says when it is asked."""
        credential = credential_of(fact)
        evidence: tuple[Evidence, ...] = (credential_evidence(credential), push._replace(sent=credential.present))
        if needs_investigation(push.message):
            found = investigate(self._gateways, fact.reference, credential)
            evidence += found.evidence
            if found.problem and all(found.problem not in item.message for item in evidence):
                evidence += (Evidence(Stage.TOKEN, found.problem),)
        refusal = refusal_of(fact, evidence, self._now())
        verdict = classify(refusal)
        if isinstance(verdict, Failure):
            self._availability.note(fact.reference.registry, verdict)
        return outcome_of(verdict)

    def content(self, fact: Facts, digest: str) -> ManifestContent | Failure | str:
        """A manifest of the repository, byte for byte; or why there is none, a Failure where asking on is no use."""
        self.require_running()
        with self._watch.phase("tag"):
            try:
                found = self._gateways.registry().content(fact.reference, credential_of(fact), digest, self.patience)
            except RegistryUnreachable as error:
                return error.message
        if isinstance(found, ManifestContent):
            return found
        return busy(fact, found) or f"the registry answers {found} for the manifest"

    # ------------------------------------------------------------------ reading back

    def read_back(self, fact: Facts, known: ManifestInfo | None = None) -> Verification:
        """Read a tag back that is in place by what engine or registry say, and tell of it.

        `known` is what another tag of the repository was verified to name.
        """
        outcome, verification = self._look(fact, known)
        self.finish(fact, outcome, verification)
        return verification

    def confirm(self, fact: Facts, digest: str) -> Verification:
        """Read a tag back that has no result of its own."""
        with self._watch.phase("verify"):
            engine = _Engine(self._gateways)
            registry = self._gateways.registry()
            return verify(
                fact.reference,
                digest,
                credential_of(fact),
                registry,
                engine,
                patience=self.patience,
                seconds=self._verify_timeout,
                sleep=self._rest,
            )

    def _look(self, fact: Facts, known: ManifestInfo | None) -> tuple[Pushed, Verification]:
        outcome = self.results[str(fact.reference)].outcome
        if not isinstance(outcome, Pushed):
            raise AssertionError("nothing was pushed that could be read back")
        with self._watch.phase("verify"):
            verification = verify(
                fact.reference,
                outcome.digest,
                credential_of(fact),
                self._gateways.registry(),
                _Engine(self._gateways),
                whole=bool(outcome.layers and outcome.layers.unsized),
                children=_children(fact, outcome.digest),
                known=known,
                platforms=_asked_for(fact, outcome.digest),
                patience=self.patience,
                seconds=self._verify_timeout,
                sleep=self._rest,
            )
        if outcome.layers:
            outcome = outcome._replace(layers=_sized(outcome.layers, verification))
        return outcome, _with_platforms(verification, fact)

    # ------------------------------------------------------------------ the end

    def stop(self) -> None:
        """Nobody is told of anything any more, and pushes end at their next word."""
        self._stopped.set()

    # ------------------------------------------------------------------ small parts

    def _begin(self, fact: Facts) -> None:
        self.begin(fact, _CUT)

    def _keep(self, fact: Facts, outcome: Outcome, verification: Verification) -> TagResult:
        name = str(fact.reference)
        seconds = round(time.monotonic() - self._began.setdefault(name, time.monotonic()), 4)
        along = self._along.get(name, ()) if isinstance(outcome, Pushed) else ()
        result = TagResult(fact.reference, outcome, verification, seconds, along=along)
        self.results[name] = result
        return result

    def _ask_engine(self, fact: Facts) -> _Answer:
        """The engine's answer; asked again once, where a busy registry or a dropped connection may be over by then."""
        answers = [self._push_once(fact)]
        if self._is_worth_again(fact, answers[0]):
            answers.append(self._push_once(fact))
        unsent = all(isinstance(one, EngineRefused) and one.unsent for one in answers)
        # The classic store puts a manifest after all its layers; of the other one's progress the end may be missing.
        if unsent and pushing_store(fact) is StoreKind.CLASSIC:
            self._unsent.add(str(fact.reference))
        return answers[-1]

    def _is_worth_again(self, fact: Facts, answer: _Answer) -> bool:
        """Wait for a while where another try may succeed; whether the registry is there then."""
        if not isinstance(answer, EngineRefused) or not self._retries or not may_pass(answer.evidence.message):
            return False
        dropped = is_dropped(answer.evidence.message)
        seconds = PAUSE * (1 if dropped else 3) * (1 + random.random())  # noqa: S311 - only spreads the load
        why = "dropped the engine's connection" if dropped else f"told the engine: {answer.evidence.message}"
        self._tell_wait(Wait(fact.reference.registry, why, seconds))
        self._stopped.wait(seconds)
        # An engine that finds nobody there may try for a minute on its own account.
        return not self._availability.silence(fact, credential_of(fact), self.patience)

    def _push_once(self, fact: Facts) -> _Answer:
        self.require_running()
        self.observer.pushing(fact.reference)
        platform = fact.platforms[0] if fact.platforms else None

        def on_layer(event: LayerEvent) -> None:
            self.require_running()  # an exception ends the request, and so the engine's push
            self.observer.layer(event)

        try:
            return self._gateways.engine().push(fact.reference, credential_of(fact), platform, on_layer)
        except (EngineUnreachable, EngineFailed) as error:
            return error

    def require_running(self) -> None:
        """Raise Stopped where the run is over."""
        if self._stopped.is_set():
            raise Stopped

    def _rest(self, seconds: float) -> None:
        """Wait, unless the run ends meanwhile. Raises Stopped."""
        self._stopped.wait(seconds)
        self.require_running()

    def _tell_wait(self, wait: Wait) -> None:
        if not self._stopped.is_set():
            self.observer.waiting(wait)


class _Put(NamedTuple):
    """What came of a manifest that was put under a tag: the answer, why it is no success, what the tag names then."""

    said: Evidence | RegistryUnreachable
    why: str
    now: TagState


class _Engine(NamedTuple):
    """The engine, connected to only if it is asked: what is put at a registry directly needs none."""

    gateways: Gateways

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence:
        return self.gateways.engine().distribution(reference, credential)


def unreached(fact: Facts, error: RegistryUnreachable) -> Failure:
    """The failure of a registry that does not answer us, or from whose answer nothing can go on."""
    if isinstance(error, RegistryFailed):
        astray = isinstance(error, RegistryAstray)
        commands = own_address(fact) if astray else (f"docker pushsafe diagnose {fact.reference}",)
        return Failure(FailureKind.REGISTRY_ERROR, error.message, next=commands)
    if isinstance(error, TlsFailed):
        commands = (trust(fact.reference.registry, error.message, no_tls=error.no_tls),)
        return Failure(FailureKind.TLS, error.message, next=commands)
    if isinstance(error, ProxyAnswers):
        return Failure(FailureKind.NETWORK, error.message, next=(without_proxy(fact.reference.registry),))
    return Failure(FailureKind.NETWORK, error.message, next=(again(fact),))


def busy(fact: Facts, said: Evidence) -> Failure | None:
    """The failure of who met a busy registry as often as it was to be tried: more questions only add to its load."""
    if said.status not in BUSY:
        return None
    return Failure(trouble_of(said), f"the registry was busy at every try: {said}", (said,), (again(fact),))


def before(fact: Facts) -> str:
    """The digest that the tag named before the push; empty where there was none, or nobody could tell."""
    return fact.tag_now.manifest.digest if isinstance(fact.tag_now, TagHeld) else ""


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


def _asked_for(fact: Facts, digest: str) -> tuple[Platform, ...] | None:
    """The platforms that a tag has to be for; `None` where the digest says it all."""
    if not isinstance(fact.image, Upcoming) or fact.image.digest == digest:
        return None
    return () if fact.image.implied else fact.image.platforms


def _with_platforms(verification: Verification, fact: Facts) -> Verification:
    """A single manifest names no platform; its digest being the pushed one's, it has the local image's."""
    if not isinstance(verification, Verified) or verification.manifest.is_index or verification.manifest.platforms:
        return verification
    ours = pushed(fact)
    implied = isinstance(fact.image, Upcoming) and fact.image.implied
    platforms = ours if len(ours) == 1 and not implied else ()
    return verification._replace(manifest=verification.manifest._replace(platforms=platforms))


def _named(status: int | None) -> str:
    """An answer without words, such as a proxy's page, in those of its status."""
    words = next((one.phrase for one in HTTPStatus if one == status), "")
    return f"the registry answers {status or 'nothing'} {words}".strip()


def _reduced(name: str, original: str, left: str, platform: str) -> Failure:
    return Failure(
        FailureKind.REDUCED,
        f"the engine pushed one platform ({platform or left}) in place of the multi-platform image {original}, "
        "because the content of the others is not in its store",
        next=(f"docker pull --platform PLATFORM {name}   (for each missing platform, then push again)",),
    )
