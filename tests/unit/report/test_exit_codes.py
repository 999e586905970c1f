"""The exit code of a report: every code reachable, and the order in which they win."""

from __future__ import annotations

import itertools

from pushsafe.model.evidence import Stage, TagAbsent, TagHeld, TagUnknown
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
    Verification,
    Verified,
)
from pushsafe.model.report import ErrorKind, PreflightVerdict, Report, RepositoryCheck, RunError, TagResult
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind, Finding, Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.report.exit_codes import PRECEDENCE, ExitCode, exit_code
from tests.values import OCI_MANIFEST, ref, sha

REF = ref("registry.test/app:1")
NOTHING = NotChecked("nothing was pushed")
VERIFIED = Verified(ManifestInfo(sha("d"), OCI_MANIFEST), "registry")
PUSHED = Pushed(sha("d"), Layers())


def result(outcome: Outcome, verification: Verification = NOTHING) -> TagResult:
    return TagResult(REF, outcome, verification)


def denied(kind: DenialKind) -> TagResult:
    return result(Denied(Denial(kind, DenialReason.UNCLEAR, "")))


def failed(kind: FailureKind) -> TagResult:
    return result(Failed(Failure(kind, "")))


def report(*results: TagResult) -> Report:
    return Report("0", results=results)


GOOD = result(PUSHED, VERIFIED)
NOT_PUSHED = result(NotPushed("a finding forbids it"))
READY = result(Ready())


def foreseen(kind: DenialKind) -> TagResult:
    """Denied before anything was pushed."""
    return result(Denied(Denial(kind, DenialReason.UNCLEAR, ""), Stage.PROBE))


CASES: list[tuple[Report, ExitCode]] = [
    (report(), ExitCode.OK),
    (report(GOOD), ExitCode.OK),
    (report(READY), ExitCode.OK),
    (report(NOT_PUSHED), ExitCode.LINT),
    (Report("0", errors=(RunError(ErrorKind.USAGE, ""),)), ExitCode.USAGE),
    (Report("0", errors=(RunError(ErrorKind.UNREACHABLE, ""),)), ExitCode.UNREACHABLE),
    (Report("0", errors=(RunError(ErrorKind.ENGINE, ""),)), ExitCode.FAILED),
    (report(failed(FailureKind.NETWORK)), ExitCode.UNREACHABLE),
    (report(failed(FailureKind.TLS)), ExitCode.UNREACHABLE),
    (report(denied(DenialKind.NO_AUTHENTICATION)), ExitCode.NO_AUTHENTICATION),
    (report(denied(DenialKind.INSUFFICIENT_PERMISSION)), ExitCode.INSUFFICIENT_PERMISSION),
    (report(denied(DenialKind.UNCLEAR)), ExitCode.UNCLEAR),
    (report(foreseen(DenialKind.NO_AUTHENTICATION), NOT_PUSHED), ExitCode.NO_AUTHENTICATION),
    (report(foreseen(DenialKind.INSUFFICIENT_PERMISSION), NOT_PUSHED), ExitCode.INSUFFICIENT_PERMISSION),
    (report(foreseen(DenialKind.UNCLEAR), NOT_PUSHED), ExitCode.UNCLEAR),
    *(
        (report(failed(kind)), ExitCode.FAILED)
        for kind in FailureKind
        if kind not in (FailureKind.NETWORK, FailureKind.TLS)
    ),
    (report(result(PUSHED, Mismatch(sha("d"), sha("0")))), ExitCode.NOT_CONFIRMED),
    (report(result(PUSHED, Missing("x"))), ExitCode.NOT_CONFIRMED),
    (report(result(PUSHED, NotChecked("x"))), ExitCode.NOT_CONFIRMED),
    (Report("0", results=(GOOD,), interrupted=True), ExitCode.INTERRUPTED),
]


def test_code() -> None:
    for of, code in CASES:
        assert exit_code(of) is code, of


def test_every_code_but_that_of_a_bug_is_reached_by_a_report() -> None:
    assert {code for _, code in CASES} == set(ExitCode) - {ExitCode.BUG}
    assert {error.kind for of, _ in CASES for error in of.errors} == set(ErrorKind)


def test_the_numbers_are_those_of_the_documentation() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "LINT": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "NO_AUTHENTICATION": 4,
        "INSUFFICIENT_PERMISSION": 5,
        "UNCLEAR": 6,
        "FAILED": 7,
        "NOT_CONFIRMED": 8,
        "BUG": 70,
        "INTERRUPTED": 130,
    }
    assert [int(code) for code in PRECEDENCE] == [130, 70, 2, 3, 4, 5, 6, 7, 8, 1, 0]
    assert all(code.description for code in ExitCode)


def test_of_two_the_first_of_the_precedence_wins() -> None:
    for (first, first_code), (second, second_code) in itertools.combinations(CASES, 2):
        both = Report(
            "0",
            errors=(*first.errors, *second.errors),
            results=(*first.results, *second.results),
            interrupted=first.interrupted or second.interrupted,
        )
        swapped = both._replace(errors=both.errors[::-1], results=both.results[::-1])
        expected = min(first_code, second_code, key=PRECEDENCE.index)
        assert (exit_code(both), exit_code(swapped)) == (expected, expected), (first, second)


def test_findings_alone_do_not_decide() -> None:
    for severity in Severity:
        found = Finding("PS103", "implicit-tag", severity, "reference", REF, "", allowed=severity is Severity.ERROR)
        assert exit_code(report(GOOD)._replace(findings=(found,))) is ExitCode.OK, severity


def test_the_preflight_decides_by_its_results_alone() -> None:
    for of, code in (
        (READY, ExitCode.OK),
        (GOOD, ExitCode.OK),
        (NOT_PUSHED, ExitCode.LINT),
        (failed(FailureKind.TLS), ExitCode.UNREACHABLE),
    ):
        for verdict in PreflightVerdict:
            checked = report(of)._replace(preflight=(RepositoryCheck(REF.name, verdict, "x"),))
            assert exit_code(checked) is code, verdict


def test_what_a_tag_named_before_does_not_decide() -> None:
    for state in (TagHeld(ManifestInfo(sha("0"), OCI_MANIFEST)), TagAbsent(), TagUnknown("x"), None):
        assert exit_code(report(GOOD._replace(before=state), READY._replace(before=state))) is ExitCode.OK, state
