"""One report of every kind, for the renderers' tests and the schema's."""

from __future__ import annotations

from pushsafe.model import (
    Denial,
    DenialKind,
    DenialReason,
    Denied,
    ErrorKind,
    Evidence,
    Failed,
    Failure,
    FailureKind,
    Finding,
    Layers,
    ManifestInfo,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Outcome,
    Platform,
    Pushed,
    Reference,
    Report,
    RunError,
    Severity,
    Stage,
    TagResult,
    Verification,
    Verified,
)

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
UNASKED = NotChecked("nothing was pushed")


def reference(tag: str) -> Reference:
    name = "registry.example.com/myorg/my-api"
    return Reference(f"{name}:{tag}", "registry.example.com", "myorg/my-api", tag)


def report(
    *results: tuple[str, Outcome, Verification], findings: tuple[Finding, ...] = (), interrupted: bool = False
) -> Report:
    return Report(
        version="0.1.0",
        findings=findings,
        results=tuple(TagResult(reference(tag), outcome, verification, 0.5) for tag, outcome, verification in results),
        timings=(("gather", 0.1), ("push", 1.0), ("total", 1.25)),
        interrupted=interrupted,
    )


def _finding(severity: Severity, *, allowed: bool = False, fix: str = "docker login registry.example.com") -> Finding:
    return Finding("PS301", "not-logged-in", severity, reference("1"), "nobody is logged in", fix, allowed)


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
}
