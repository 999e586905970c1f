"""Pushes by the engine, with a circuit breaker for registries that stop answering."""

from __future__ import annotations

import random

from pushsafe.denial.messages import is_dropped, may_pass
from pushsafe.model.errors import EngineFailed, EngineUnreachable, ProxyAnswers, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import (
    Denied,
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    Failed,
    LayerEvent,
    NotPushed,
    Outcome,
    Pushed,
)
from pushsafe.model.plan import How, Wait
from pushsafe.model.request import PushRequest
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.tag_changes import is_ours
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.push.aftermath import before, settle
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import refused, was_reached
from pushsafe.push.recorder import Recorder
from pushsafe.push.results import UNPUSHED

PAUSE = 1.0
"""The pause before the engine's retry: this many seconds to twice as many; three times that for a busy registry."""

_ONCE_MORE = RetryPolicy(1)
"""An idle connection may have been closed meanwhile, which says nothing about the registry."""
_Answer = EngineAnswer | EngineUnreachable | EngineFailed


class EnginePusher:
    """The engine's pushes of one run; thread-safe."""

    def __init__(self, request: PushRequest, gateways: Gateways, recorder: Recorder) -> None:
        self._push_each = request.push_each
        self._gateways = gateways
        self._recorder = recorder
        self._unsent: set[str] = set()
        self._failed: dict[str, Failure] = {}

    def push(self, fact: Facts, because: str = "") -> Outcome:
        """Push a tag through the engine; the outcome is not verified yet. `because`: why it was not tagged directly.

        A registry that stopped answering is not tried.
        """
        if gone := self.gone(fact):
            self._recorder.finish(fact, Failed(gone))
            return Failed(gone)
        self._recorder.begin(fact)
        with self._recorder.phase("push"):
            answer = self._ask(fact)
        outcome: Denied | Failed
        match answer:
            case EngineAccepted(digest, layers):
                there = before(fact) == digest and not self._push_each
                pushed = Pushed(digest, layers, How.ALREADY_THERE if there else How.PUSHED, because)
                self._recorder.keep(fact, pushed)
                return pushed
            case EngineReduced(original, left, platform):
                outcome = Failed(_reduced(fact.staged or str(fact.reference), original, left, platform))
            case EngineUnreachable() | EngineFailed():
                kind = FailureKind.NETWORK if isinstance(answer, EngineUnreachable) else FailureKind.LOCAL
                outcome = Failed(Failure(kind, answer.message, next=(answer.hint,) if answer.hint else ()))
            case EngineRefused(evidence):
                outcome = self._refused(fact, evidence)
        if isinstance(answer, EngineReduced) or self.is_unsent(fact):
            self._recorder.finish(fact, outcome)
            return outcome
        return settle(
            fact, outcome, lambda now: is_ours(fact, now), self._gateways, self._recorder, because=because, closely=True
        )

    def is_unsent(self, fact: Facts) -> bool:
        """Whether the engine failed to send a layer of this tag: then no manifest was put, under any tag."""
        return str(fact.reference) in self._unsent

    def _refused(self, fact: Facts, evidence: Evidence) -> Denied | Failed:
        why = f"refused ({evidence.message}); cut off before the registry was asked why"
        self._recorder.keep(fact, NotPushed(why, begun=True), UNPUSHED)
        outcome = refused(self._gateways, fact, evidence)
        if isinstance(outcome, Failed):
            self.note(fact.reference.registry, outcome.failure)
        return outcome

    def _ask(self, fact: Facts) -> _Answer:
        """The engine's answer; asked once more after a busy answer or a dropped connection."""
        answers = [self._ask_once(fact)]
        if self._is_worth_again(fact, answers[0]):
            answers.append(self._ask_once(fact))
        unsent = all(isinstance(one, EngineRefused) and one.unsent for one in answers)
        engine = fact.pushing_engine
        if unsent and engine is not None and engine.ends_with_manifest:
            self._unsent.add(str(fact.reference))
        return answers[-1]

    def _is_worth_again(self, fact: Facts, answer: _Answer) -> bool:
        """Pause if a retry may succeed; whether the registry answers then."""
        if not isinstance(answer, EngineRefused) or not self._recorder.retry_policy.retries:
            return False
        if not may_pass(answer.evidence.message):
            return False
        dropped = is_dropped(answer.evidence.message)
        seconds = PAUSE * (1 if dropped else 3) * (1 + random.random())  # noqa: S311 - only spreads the load
        why = "dropped the engine's connection" if dropped else f"told the engine: {answer.evidence.message}"
        self._recorder.waits(Wait(fact.reference.registry, why, seconds))
        self._recorder.sleep(seconds)
        # without this check the engine itself may retry a dead registry for a minute
        return not self._silence(fact, self._recorder.retry_policy)

    def _ask_once(self, fact: Facts) -> _Answer:
        self._recorder.require_running()
        self._recorder.observer.pushing(fact.reference)
        platform = fact.platforms[0] if fact.platforms else None

        def on_layer(event: LayerEvent) -> None:
            self._recorder.require_running()  # an exception ends the request, and so the engine's push
            self._recorder.observer.layer(event)

        try:
            return self._gateways.engine().push(*fact.repository, platform, on_layer)
        except (EngineUnreachable, EngineFailed) as error:
            return error

    def note(self, registry: str, failure: Failure) -> None:
        """Remember that a push there failed: the registry may have stopped answering."""
        self._failed[registry] = failure

    def gone(self, fact: Facts) -> Failure | None:
        """The failure if the last push to the registry failed and it no longer answers."""
        failure = self._failed.get(fact.reference.registry)
        why = self._silence(fact, _ONCE_MORE) if failure is not None else ""
        if failure is None or not why:
            return None
        said = f"{fact.reference.registry} does not answer any more: {why}"
        commands = failure.next if failure.kind is FailureKind.NETWORK else ()
        return Failure(FailureKind.NETWORK, said, (Evidence(Stage.PING, why),), commands)

    def _silence(self, fact: Facts, retry_policy: RetryPolicy) -> str:
        """Why a registry that answered before does not answer now; empty if it does, or never did."""
        if was_reached(fact):
            try:
                self._gateways.registry().manifest(*fact.repository, retry_policy=retry_policy)
            except ProxyAnswers:
                return ""  # the proxy of this machine says nothing about the engine's route
            except RegistryUnreachable as error:
                return error.message
        return ""


def _reduced(name: str, original: str, left: str, platform: str) -> Failure:
    return Failure(
        FailureKind.REDUCED,
        f"the engine pushed one platform ({platform or left}) in place of the multi-platform image {original}, "
        "because the content of the others is not in its store",
        next=(f"docker pull --platform PLATFORM {name}   (for each missing platform, then push again)",),
    )
