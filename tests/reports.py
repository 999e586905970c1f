"""One report of every kind, for the renderers' tests and the schema's."""

from __future__ import annotations

from pushsafe.denial.reasons import denial
from pushsafe.denial.refusal import Refusal
from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagState, TagUnknown
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
from pushsafe.model.plan import Batch, How, Lane, PushPlan, Step
from pushsafe.model.report import Along, ErrorKind, PreflightVerdict, Report, RepositoryCheck, RunError, TagResult
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind, Finding, Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.results import OVER_TIME
from pushsafe.rules.ps301_not_logged_in import RULE as PS301
from tests.values import logged_in, nobody

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
UNASKED = NotChecked("nothing was pushed")


HOST = "registry.example.com"
REPOSITORY = "myorg/my-api"


def reference(tag: str, repository: str = REPOSITORY) -> Reference:
    return Reference(f"{HOST}/{repository}:{tag}", HOST, repository, tag)


def report(
    *results: tuple[str, Outcome, Verification], findings: tuple[Finding, ...] = (), interrupted: bool = False
) -> Report:
    """A report of tags of one repository."""
    return Report(
        version="0.1.0",
        findings=findings,
        results=tuple(TagResult(reference(tag), outcome, verification, 0.5) for tag, outcome, verification in results),
        timings=(("gather", 0.1), ("push", 1.0), ("total", 1.25)),
        interrupted=interrupted,
    )


def before(report: Report, *states: TagState) -> Report:
    """The report, with what its tags named before, one after the other."""
    pairs = zip(report.results, states, strict=True)
    return report._replace(results=tuple(result._replace(before=state) for result, state in pairs))


def _finding(severity: Severity, *, allowed: bool = False, fix: str = "docker login registry.example.com") -> Finding:
    return Finding("PS301", "not-logged-in", severity, "credential", reference("1"), "not logged in", fix, allowed)


_EVIDENCE = (
    Evidence(Stage.CREDENTIAL, "found in the config file /home/me/.docker/config.json, user me", sent=True),
    Evidence(Stage.PUSH, "denied: requested access to the resource is denied", sent=True),
    Evidence(Stage.TOKEN, "a token was given", status=200, sent=True, granted=("pull",)),
    Evidence(Stage.PROBE, "no", status=401, code="UNAUTHORIZED", challenge='Bearer realm="https://x"', sent=True),
)
_DENIAL = Denial(
    DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.NO_WRITE_PERMISSION,
    "the account 'me' may not push",
    _EVIDENCE,
    ("docker login registry.example.com",),
)
_UNCLEAR = Denial(DenialKind.UNCLEAR, DenialReason.UNCLEAR, "the words fit both", _EVIDENCE[:2])
_FAILURE = Failure(FailureKind.NETWORK, "dial tcp: connection refused", _EVIDENCE[:1], ("curl -sSi https://x/v2/",))


def _with_signatures() -> Report:
    """Tags that nobody listed have no result of their own."""
    found = report(("1", Pushed(DIGEST, Layers(sent=2, bytes_sent=2048)), _FOUND))
    along = tuple(Along(f"{DIGEST.replace(':', '-')}.{suffix}", OTHER) for suffix in ("sig", "att"))
    return found._replace(results=(found.results[0]._replace(along=along),))


_UNKNOWN = RepositoryCheck(f"{HOST}/{REPOSITORY}", PreflightVerdict.UNKNOWN, f"https://{HOST}: connection refused")
_ACCEPTED = RepositoryCheck(
    f"{HOST}/{REPOSITORY}", PreflightVerdict.ACCEPTED, evidence=(Evidence(Stage.PROBE, "", status=202, sent=True),)
)
_PINGED = Evidence(
    Stage.PING, f"GET https://{HOST}/v2/ without a credential", 401, challenge=f'Bearer realm="https://{HOST}/token"'
)


def _denied(repository: str, reason: DenialReason, *, present: bool) -> Denied:
    """A denial before anything was pushed, in the program's own words."""
    credential = logged_in(HOST, "me") if present else nobody(HOST)
    answers = (
        _PINGED,
        Evidence(Stage.TOKEN, "a token was given", 200, sent=present, granted=("pull",) if present else ()),
        Evidence(Stage.PROBE, "authentication required", 401, "UNAUTHORIZED", sent=present),
    )
    asked = reference("1", repository)
    return Denied(denial(Refusal(asked, credential, answers, 0.0), reason), Stage.PROBE)


def _refused(repository: str, outcome: Denied) -> RepositoryCheck:
    said = outcome.denial
    return RepositoryCheck(f"{HOST}/{repository}", PreflightVerdict.REFUSED, said.summary, said.evidence)


def _nobody_logged_in() -> Report:
    outcomes = {name: _denied(name, DenialReason.NOT_LOGGED_IN, present=False) for name in ("myorg/a", "myorg/b")}
    message = f"not logged in to {HOST}, which requires a login (/v2/ answers 401 without one)"
    command = f"docker login {HOST}"
    found = Finding(PS301.code, PS301.slug, PS301.severity, PS301.step, reference("1", "myorg/a"), message, command)
    return Report(
        version="0.1.0",
        findings=(found,),
        results=tuple(TagResult(reference("1", name), outcome, UNASKED) for name, outcome in outcomes.items()),
        preflight=tuple(_refused(name, outcome) for name, outcome in outcomes.items()),
        timings=(("total", 0.2),),
    )


def _preflight_denied() -> Report:
    """Two repositories, of which one refuses both of its tags."""
    outcome = _denied(REPOSITORY, DenialReason.NO_WRITE_PERMISSION, present=True)
    other = "the push of another listed tag would be refused"
    return Report(
        version="0.1.0",
        results=(
            TagResult(reference("1"), outcome, UNASKED, before=TagHeld(ManifestInfo(OTHER, MANIFEST))),
            TagResult(reference("latest"), outcome, UNASKED),
            TagResult(reference("1", "myorg/b"), NotPushed(other), UNASKED, before=TagAbsent()),
        ),
        preflight=(_refused(REPOSITORY, outcome), _ACCEPTED._replace(name=f"{HOST}/myorg/b")),
        timings=(("total", 0.2),),
    )


_OVERWRITES = Finding(
    "PS401",
    "overwrites-tag",
    Severity.WARNING,
    "tag now",
    reference("1.4.2"),
    f"'1.4.2' exists at {HOST} and names sha256:222222222222, which this push would replace",
    f"docker buildx imagetools inspect {reference('1.4.2')}",
)
_MOVES = _OVERWRITES._replace(
    severity=Severity.INFO,
    reference=reference("latest"),
    message=f"'latest' exists at {HOST} and names sha256:222222222222; it is meant to move",
    fix=f"docker buildx imagetools inspect {reference('latest')}",
)

_PLAN = PushPlan(
    kept=(reference("1.3"),),
    lanes=(
        Lane(HOST, (Batch(reference("1.4.2"), (reference("1.4"),)), Batch(reference("1", "myorg/web")))),
        Lane("other.example.com", (Batch(reference("1.4.2")._replace(registry="other.example.com"), direct=False),)),
    ),
    last=(Lane(HOST, (Batch(reference("1.4.2"), (reference("latest"),), pushed=False),)),),
)


def _planned(plan: PushPlan) -> Report:
    results = tuple(TagResult(step.reference, Ready(), UNASKED) for step in plan.steps)
    return Report("0.1.0", results=results, timings=(("gather", 0.2), ("total", 0.3)), plan=plan)


PUSHED = How.PUSHED
_FOUND = Verified(ManifestInfo(DIGEST, MANIFEST, (Platform("linux", "amd64"),)), "registry")

REPORTS: dict[str, Report] = {
    "verified": report(
        ("1.4.2", Pushed(DIGEST, Layers(3, 1, 1, 12_345_678)), Verified(ManifestInfo(DIGEST, MANIFEST), "registry")),
        (
            "latest",
            Pushed(DIGEST, Layers(reused=5)),
            Verified(
                ManifestInfo(DIGEST, INDEX, (Platform("linux", "amd64"), Platform("linux", "arm", "v7"))), "engine"
            ),
        ),
        findings=(_finding(Severity.WARNING),),
    ),
    "many-tags": before(
        report(
            ("1.4.2", Pushed(DIGEST, Layers(1, 1, 18, 12_345_678)), _FOUND),
            ("1.4", Pushed(DIGEST, None, How.TAGGED), _FOUND),
            ("1", Pushed(DIGEST, None, How.TAGGED), _FOUND),
            ("1.3", Pushed(DIGEST, None, How.ALREADY_THERE), _FOUND),
            ("stable", Pushed(DIGEST, Layers(reused=20), because="the registry answers 403 to the manifest"), _FOUND),
        ),
        *(TagAbsent(), TagAbsent(), TagHeld(ManifestInfo(OTHER, MANIFEST))),
        *(TagHeld(ManifestInfo(DIGEST, MANIFEST)), TagUnknown("the registry answers 500")),
    ),
    "out-of-time": report(
        ("1", NotPushed("cut off while it was being pushed; the registry may hold it", begun=True), UNASKED),
        ("2", NotPushed("the time for the whole run was over"), UNASKED),
    )._replace(errors=(OVER_TIME,)),
    "dry-run": _planned(_PLAN),
    "dry-run-of-moving-tags": _planned(
        PushPlan(last=(Lane(HOST, (Batch(reference("latest"), (reference("edge"),)),)),))
    ),
    "dry-run-of-files": _planned(
        PushPlan(
            placed=(
                Step(reference("1.4.2"), How.PUSHED, origin="oci:out/image"),
                Step(reference("1.4"), How.TAGGED, reference("1.4.2")),
                Step(reference("1.3"), How.ALREADY_THERE),
                Step(reference("latest"), How.TAGGED, reference("1.4.2"), last=True),
            )
        )
    ),
    "with-its-signatures": _with_signatures(),
    "tagged-not-confirmed": report(
        ("1", Pushed(DIGEST, None, How.TAGGED), Mismatch(DIGEST, OTHER)),
        ("2", Pushed(DIGEST, None, How.TAGGED), Missing("registry.example.com/myorg/my-api:2")),
        ("3", Pushed(DIGEST, None, How.ALREADY_THERE), NotChecked("the registry answers 403")),
        (
            "latest",
            NotPushed("it moves only when every other tag is in place, and registry.example.com/x:1 is not"),
            UNASKED,
        ),
    ),
    "refused-by-lint": report(
        ("1", NotPushed("a finding forbids it"), UNASKED),
        ("2", NotPushed("a finding forbids it"), UNASKED),
        findings=(_finding(Severity.ERROR), _finding(Severity.WARNING, fix="")),
    ),
    "denied-beside-pushed": report(
        ("1", Denied(_DENIAL), UNASKED),
        ("2", Pushed(DIGEST, Layers(sent=1, unsized=("abc",))), Verified(ManifestInfo(DIGEST, MANIFEST), "registry")),
        ("3", Denied(_UNCLEAR), UNASKED),
        ("4", Failed(_FAILURE), UNASKED),
        findings=(_finding(Severity.ERROR, allowed=True),),
    ),
    "not-confirmed": report(
        ("1", Pushed(DIGEST, Layers(sent=2, bytes_sent=999)), Mismatch(DIGEST, OTHER)),
        ("2", Pushed(DIGEST, Layers(sent=1, bytes_sent=5000)), Missing("registry.example.com/myorg/my-api:2")),
        ("3", Pushed(DIGEST, Layers()), NotChecked("the registry answers 403")),
    ),
    "interrupted": report(
        ("1", Pushed(DIGEST, Layers(reused=1)), Verified(ManifestInfo(DIGEST, MANIFEST), "registry")),
        ("2", NotPushed("interrupted"), UNASKED),
        interrupted=True,
    ),
    "engine-down": Report(
        version="0.1.0",
        errors=(RunError(ErrorKind.UNREACHABLE, "no engine answers at unix:///x", "sudo systemctl start docker"),),
        results=(TagResult(reference("1"), NotPushed("the engine does not answer"), UNASKED),),
        timings=(("total", 0.1),),
    ),
    "bad-reference": Report(
        version="0.1.0", errors=(RunError(ErrorKind.USAGE, "'X' is not a reference: capitals", "x"),)
    ),
    "preflight-denied": _preflight_denied(),
    "not-logged-in": _nobody_logged_in(),
    "lint-ready": before(
        report(
            ("1.4.2", Ready(), UNASKED), ("1.5", Ready(), UNASKED), ("1.6", Ready(), UNASKED), findings=(_OVERWRITES,)
        )._replace(preflight=(_ACCEPTED,)),
        TagHeld(ManifestInfo(OTHER, MANIFEST)),
        TagAbsent(),
        TagUnknown("the registry answers 500"),
    ),
    "ready-with-info": before(
        report(("latest", Ready(), UNASKED), findings=(_MOVES,))._replace(preflight=(_ACCEPTED,)),
        TagHeld(ManifestInfo(OTHER, MANIFEST)),
    ),
    "ready-unasked": report(("1", Ready(), UNASKED)),
    "ready-unknown": report(("1", Ready(), UNASKED))._replace(preflight=(_UNKNOWN,)),
    "preflight-unknown-and-pushed": before(
        report(
            *(
                (tag, Pushed(DIGEST, Layers(reused=1), how), Verified(ManifestInfo(DIGEST, MANIFEST), "engine"))
                for tag, how in (("1", PUSHED), ("2", How.ALREADY_THERE), ("3", PUSHED), ("4", PUSHED))
            )
        )._replace(preflight=(_UNKNOWN,)),
        TagHeld(ManifestInfo(OTHER, MANIFEST)),
        TagHeld(ManifestInfo(DIGEST, MANIFEST)),
        TagAbsent(),
        TagUnknown("the registry answers 500"),
    ),
}
