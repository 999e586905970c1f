"""One JSON document for programs, versioned by `schema`: a report, a diagnosis or an explanation.

See docs/report.schema.json, docs/diagnosis.schema.json and docs/explanation.schema.json.
"""

from __future__ import annotations

import json
from typing import Any

from pushsafe import __version__
from pushsafe.model.evidence import Evidence, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.inquiry import Diagnosis, Explanation
from pushsafe.model.outcomes import (
    Denied,
    Failed,
    Layers,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Outcome,
    Pushed,
    Ready,
    Verified,
)
from pushsafe.model.plan import Step
from pushsafe.model.report import Report, RepositoryCheck, TagResult
from pushsafe.model.verdicts import Failure, Finding
from pushsafe.report.exit_codes import exit_code
from pushsafe.report.human import summarize

SCHEMA = 1
"""Incremented if a field is removed or changes its meaning, not for new fields."""

_Object = dict[str, Any]


def render(report: Report, **_look: bool) -> str:
    document = {
        "schema": SCHEMA,
        "version": report.version,
        "exit_code": int(exit_code(report)),
        "interrupted": report.interrupted,
        "errors": _errors(report),
        "findings": [_finding(finding) for finding in report.findings],
        "preflight": [_check(check) for check in report.preflight],
        "preflight_off": report.preflight_off or None,
        "plan": [_step(step) for step in report.plan.steps] if report.plan is not None else None,
        "results": [_result(result) for result in report.results],
        "summary": _summary(report),
        "timings": dict(report.timings),
    }
    return _written(document)


def render_diagnosis(found: Diagnosis, **_look: bool) -> str:
    (result,) = found.report.results
    outcome = _outcome(result.outcome)
    document = {
        "schema": SCHEMA,
        "version": found.report.version,
        "reference": str(found.reference),
        "given": found.reference.given,
        "exit_code": int(exit_code(found.report)),
        "steps": [{"name": step.name, "status": step.status.value, "detail": step.detail} for step in found.steps],
        "tag_now": _tag_state(result.before),
        **{name: outcome[name] for name in ("outcome", "why", "denial", "failure")},
        "findings": [_finding(finding) for finding in found.report.findings],
        "errors": _errors(found.report),
    }
    return _written(document)


def render_explanation(explanation: Explanation, **_look: bool) -> str:
    return _written({"schema": SCHEMA, "version": __version__, **explanation._asdict()})


def _written(document: _Object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _errors(report: Report) -> list[_Object]:
    """Errors of the whole run, as objects."""
    return [{"kind": error.kind.value, "message": error.message, "hint": error.hint} for error in report.errors]


def _finding(finding: Finding) -> _Object:
    """A finding as an object."""
    return {
        "code": finding.code,
        "slug": finding.slug,
        "severity": finding.severity.value,
        "allowed": finding.allowed,
        "reference": str(finding.reference),
        "message": finding.message,
        "fix": finding.fix,
    }


def _result(result: TagResult) -> _Object:
    return {
        "reference": str(result.reference),
        "given": result.reference.given,
        "carrier": result.staging,
        **_outcome(result.outcome),
        **_verification(result),
        "before": _tag_state(result.before),
        "seconds": result.seconds,
        **({"along": [{"tag": one.tag, "digest": one.digest} for one in result.along]} if result.along else {}),
    }


def _outcome(outcome: Outcome) -> _Object:
    """The outcome of a push as fields of an object."""
    found: _Object = {"outcome": "", "why": "", "digest": None, "layers": None, "denial": None, "failure": None}
    match outcome:
        case Pushed(digest, layers, how):
            counted = _layers(layers) if layers is not None and layers.reported else None
            why = outcome.because or outcome.despite
            return found | {"outcome": how.value, "digest": digest, "layers": counted, "why": why}
        case Denied():
            return found | {"outcome": "denied", "denial": _denial(outcome), "why": outcome.seen}
        case Failed(failure):
            return found | {"outcome": "failed", "failure": _failure(failure), "why": outcome.seen}
        case NotPushed(why):
            return found | {"outcome": "not-pushed", "why": why}
        case Ready():
            return found | {"outcome": "ready"}


def _layers(layers: Layers) -> _Object:
    return {
        "reused": layers.reused,
        "mounted": layers.mounted,
        "sent": layers.sent,
        "bytes_sent": None if layers.unsized else layers.bytes_sent,
    }


def _summary(report: Report) -> _Object:
    found = summarize(report)
    return {
        "tags": found.tags,
        "verified": found.confirmed,
        **{how.value: number for how, number in found.how},
        "layers": _layers(found.layers),
    }


def _step(step: Step) -> _Object:
    return {
        "reference": str(step.reference),
        "how": step.how.value,
        "source": str(step.source) if step.source is not None else None,
        "last": step.last,
        "origin": step.origin or None,
    }


def _verification(result: TagResult) -> _Object:
    found: _Object = {"verification": "", "verified_via": None, "verification_detail": "", "platforms": []}
    match result.verification:
        case Verified(manifest, via):
            platforms = [str(platform) for platform in manifest.platforms]
            return found | {"verification": "verified", "verified_via": via, "platforms": platforms}
        case Mismatch(_, digest):
            return found | {"verification": "mismatch", "verification_detail": f"the registry names {digest}"}
        case Missing(what):
            return found | {"verification": "missing", "verification_detail": what}
        case NotChecked(why):
            return found | {"verification": "not-checked", "verification_detail": why}


def _tag_state(state: TagState | None) -> _Object | None:
    """What a tag named before the push, as an object; null if it was not asked."""
    found: _Object = {"state": "", "digest": None, "platforms": [], "detail": ""}
    match state:
        case TagHeld(manifest):
            platforms = [str(platform) for platform in manifest.platforms]
            return found | {"state": "held", "digest": manifest.digest, "platforms": platforms}
        case TagAbsent():
            return found | {"state": "absent"}
        case TagUnknown(why):
            return found | {"state": "unknown", "detail": why}
        case None:
            return None


def _denial(denied: Denied) -> _Object:
    denial = denied.denial
    return {
        "kind": denial.kind.value,
        "reason": denial.reason.value,
        "stage": denied.stage.value,
        "summary": denial.summary,
        "evidence": [_evidence(item) for item in denial.evidence],
        "next": list(denial.next),
    }


def _failure(failure: Failure) -> _Object:
    return {
        "kind": failure.kind.value,
        "message": failure.message,
        "evidence": [_evidence(item) for item in failure.evidence],
        "next": list(failure.next),
    }


def _check(check: RepositoryCheck) -> _Object:
    return {
        "repository": check.name,
        "verdict": check.verdict.value,
        "detail": check.detail,
        "evidence": [_evidence(item) for item in check.evidence],
    }


def _evidence(item: Evidence) -> _Object:
    return {
        "stage": item.stage.value,
        "status": item.status,
        "code": item.code,
        "message": item.message,
        "challenge": item.challenge,
        "sent": item.sent,
        "granted": None if item.granted is None else list(item.granted),
    }
