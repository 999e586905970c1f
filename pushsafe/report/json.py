"""The report for programs: one JSON document, versioned by `schema`; docs/report.schema.json describes it."""

from __future__ import annotations

import json
from typing import Any

from pushsafe.exitcodes import exit_code
from pushsafe.model import (
    Denial,
    Denied,
    Evidence,
    Failed,
    Failure,
    Finding,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Pushed,
    Report,
    TagResult,
    Verified,
)

SCHEMA = 1
"""Raised when a field goes or changes its meaning; new fields do not raise it."""

_Object = dict[str, Any]


def render(report: Report) -> str:
    document = {
        "schema": SCHEMA,
        "version": report.version,
        "exit_code": int(exit_code(report)),
        "interrupted": report.interrupted,
        "errors": [{"kind": error.kind.value, "message": error.message, "hint": error.hint} for error in report.errors],
        "findings": [_finding(finding) for finding in report.findings],
        "results": [_result(result) for result in report.results],
        "timings": dict(report.timings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> _Object:
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
        **_outcome(result),
        **_verification(result),
        "seconds": result.seconds,
    }


def _outcome(result: TagResult) -> _Object:
    found: _Object = {"outcome": "", "why": "", "digest": None, "layers": None, "denial": None, "failure": None}
    match result.outcome:
        case Pushed(digest, layers, how):
            counted = {
                "reused": layers.reused,
                "mounted": layers.mounted,
                "sent": layers.sent,
                "bytes_sent": None if layers.unsized else layers.bytes_sent,
            }
            return found | {"outcome": how, "digest": digest, "layers": counted}
        case Denied(denial):
            return found | {"outcome": "denied", "denial": _denial(denial)}
        case Failed(failure):
            return found | {"outcome": "failed", "failure": _failure(failure)}
        case NotPushed(why):
            return found | {"outcome": "not-pushed", "why": why}


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


def _denial(denial: Denial) -> _Object:
    return {
        "kind": denial.kind.value,
        "reason": denial.reason.value,
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
