"""A run from end to end: lint, facts, preflight, plan, push, verification, report.

Adapters are imported in functions: a run that ends with the text alone does not need them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pushsafe.model.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.model.evidence import Stage
from pushsafe.model.facts import Facts, Upcoming
from pushsafe.model.outcomes import Ready
from pushsafe.model.plan import PushPlan
from pushsafe.model.report import ErrorKind, Report, RepositoryCheck, RunError, TagResult
from pushsafe.model.request import Archive, Asks, PushRequest
from pushsafe.model.verdicts import Finding, Severity
from pushsafe.push.ports import Gateways, Observer, Refused
from pushsafe.push.results import OUT_OF_TIME, OVER_TIME, UNPUSHED, error_of, outcome_of, report_of
from pushsafe.rules import Needs, lint, refused
from pushsafe.runtime.phase_timer import PhaseTimer
from pushsafe.runtime.signals import TimedOut

if TYPE_CHECKING:
    from pushsafe.push.source import MakesSource


def run(request: PushRequest, gateways: Gateways, observer: Observer, source_of: MakesSource) -> Report:
    """Push what was requested, unless a rule forbids it, and report the result of each reference."""
    started, origin = time.monotonic(), request.origin
    # what is known of the image before its source is asked
    image = Upcoming((), place=origin.given if isinstance(origin, Archive) else "") if origin else None
    facts = tuple(
        Facts(
            reference,
            gateways.configured(),
            image=image,
            platforms=request.platforms,
            now=gateways.now(),
            policy=request.policy,
        )
        for reference in request.references
    )
    findings = lint(facts, Needs.TEXT, request.allowed)
    if refused(findings):
        return report_of(facts, findings, {}, "a finding forbids it", (("total", time.monotonic() - started),))
    return Execution(request, gateways, observer, source_of, findings, started).report(facts)


THREADS = 32
"""The most concurrent requests to registries and credential helpers; idle threads are not started."""

_WHY_NOT = {
    ErrorKind.UNREACHABLE: "the engine does not answer",
    ErrorKind.ENGINE: "the engine failed",
    ErrorKind.USAGE: "the request cannot be carried out",
}


class Execution:
    """One run after the text was linted."""

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        observer: Observer,
        source_of: MakesSource,
        findings: tuple[Finding, ...],
        started: float,
    ) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._request = request
        self._gateways = gateways
        self._observer = observer
        self._findings = findings
        self._results: dict[str, TagResult] = {}
        self._checks: tuple[RepositoryCheck, ...] = ()
        self._plan: PushPlan | None = None
        self._timer = PhaseTimer()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pushsafe")
        self._started = started
        self._source = source_of(request, gateways, self._pool)

    def report(self, facts: tuple[Facts, ...]) -> Report:
        from pushsafe.push.collector import FactCollector

        interrupted = False
        errors: tuple[RunError, ...] = ()
        why_not = "it was not reached"
        try:
            with self._timer.phase("gather"):
                facts = self._source.prepare(facts)
                ahead = self._source.look_ahead
                facts = FactCollector(self._request, self._gateways, self._pool, ahead=ahead).collect(facts)
            if self._request.asks is Asks.PREFLIGHT:
                self._gateways.registry().tidy()
            found = lint(facts, Needs.FACTS, self._request.allowed)
            self._findings += found
            self._foresee(facts)
            if refused(found):
                why_not = "a finding forbids it"
            elif self._results:
                why_not = "the push of another listed tag would be refused"
            else:
                planned = self._source.plan(facts)
                if self._request.pushes:
                    self._push(facts, planned)
                else:
                    self._results = {
                        str(fact.reference): TagResult(fact.reference, Ready(), UNPUSHED) for fact in facts
                    }
                    self._plan = planned if self._request.planned else None
        except (EngineUnreachable, EngineFailed, UsageError) as error:
            ended = error_of(error)
            errors, why_not = (ended,), _WHY_NOT[ended.kind]
        except Refused as error:
            ended_by = error.outcome
            self._results = {str(fact.reference): TagResult(fact.reference, ended_by, UNPUSHED) for fact in facts}
        except TimedOut:
            errors, why_not = (OVER_TIME,), OUT_OF_TIME
        except KeyboardInterrupt:
            interrupted, why_not = True, "interrupted"
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        timings = (*self._timer.read(), ("total", time.monotonic() - self._started))
        report = report_of(facts, self._findings, dict(self._results), why_not, timings)
        return report._replace(errors=errors, interrupted=interrupted, preflight=self._checks, plan=self._plan)

    def _foresee(self, facts: Sequence[Facts]) -> None:
        """Judge each repository's preflight; a refusal becomes the result of all its tags."""
        from pushsafe.denial.classify import foresee
        from pushsafe.denial.refusal import beforehand
        from pushsafe.push.preflight import check_of

        first = {fact.reference.name: fact for fact in reversed(facts) if fact.preflight is not None}
        verdicts = {name: foresee(beforehand(fact, self._gateways.now())) for name, fact in reversed(first.items())}
        self._checks = tuple(check_of(first[name], verdict) for name, verdict in verdicts.items())
        for fact in facts:
            verdict = verdicts.get(fact.reference.name)
            if verdict is not None:
                outcome = outcome_of(verdict, Stage.PROBE)
                self._results[str(fact.reference)] = TagResult(fact.reference, outcome, UNPUSHED)

    def _push(self, facts: tuple[Facts, ...], planned: PushPlan) -> None:
        from pushsafe.push.recorder import Recorder

        if warnings := [one for one in self._findings if one.severity is not Severity.INFO]:
            self._observer.warned(warnings)
        first = (step.reference for step in planned.steps)
        tags = {str(reference): reference for reference in (*first, *(fact.reference for fact in facts))}
        self._observer.planned(tuple(tags.values()))
        recorder = Recorder(self._observer, self._timer, self._request.retries)
        self._results = recorder.results
        self._source.carry_out(facts, planned, recorder)
