"""`diagnose`: what a push of one reference would encounter, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from pushsafe.denial.classify import foresee
from pushsafe.denial.messages import meaning
from pushsafe.denial.reasons import denial, failure
from pushsafe.denial.refusal import Refusal, beforehand, credential_evidence, grants_push
from pushsafe.model.credentials import CredentialKind, SourceKind
from pushsafe.model.errors import PushsafeError
from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import EngineInfo, Facts, ImageMissing, LocalImage
from pushsafe.model.inquiry import STEPS, Diagnosis, Step, StepStatus
from pushsafe.model.outcomes import NotPushed, Outcome, Ready
from pushsafe.model.report import TagResult
from pushsafe.model.request import PushRequest
from pushsafe.model.verdicts import Denial, DenialReason, Failure, FailureKind, Finding, Severity
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.collector import FactCollector, require_one_platform
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import check_of
from pushsafe.push.results import UNPUSHED, error_of, outcome_of, report_of
from pushsafe.rules import Needs, lint
from pushsafe.rules import refused as forbidden

_FORBIDDEN = "a finding forbids it"
MORE = {
    "registry": ("login (engine)",),
    "grant": ("token as nobody", "grant as nobody", "login", "login as nobody"),
    "push probe": ("push probe as nobody",),
}
"""Additional steps that some answers lead to, after the step each belongs to."""


def run(request: PushRequest, gateways: Gateways) -> Diagnosis:
    """Ask engine, credential store and registry about the request's one reference; a failure of one does not stop the
    rest."""
    started = time.monotonic()
    (reference,) = request.references
    fact = Facts(
        reference, gateways.configured(), platforms=request.platforms, now=gateways.now(), policy=request.policy
    )
    findings = lint((fact,), Needs.TEXT)
    if forbidden(findings):
        return Diagnosis(
            reference, _in_order((), reference, findings), report_of((fact,), findings, {}, _FORBIDDEN, ())
        )
    pool = ThreadPoolExecutor(thread_name_prefix="pushsafe")
    try:
        collector = FactCollector(request, gateways, pool, patient=True)
        (fact,) = collector.collect((fact,))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    findings += lint((fact,), Needs.FACTS)
    if not forbidden(findings):
        require_one_platform(request)
    problem, refusal = collector.engine_problem, beforehand(fact, gateways.now())
    verdict = foresee(refusal)
    steps = (*_of_engine(fact, problem), _of_credential(refusal), *_of_registry(fact, refusal, verdict), _of_tag(fact))
    outcome = _outcome(fact, refusal, verdict, problem, findings)
    result = TagResult(reference, outcome, UNPUSHED)
    report = report_of((fact,), findings, {str(reference): result}, "", (("total", time.monotonic() - started),))
    errors = (error_of(problem),) if problem else ()
    checks = (check_of(fact, verdict),)
    return Diagnosis(reference, _in_order(steps, reference, findings), report._replace(errors=errors, preflight=checks))


def _outcome(
    fact: Facts,
    refusal: Refusal,
    verdict: Denial | Failure | None,
    problem: PushsafeError | None,
    findings: tuple[Finding, ...],
) -> Outcome:
    if verdict is None:
        if problem is not None:
            return NotPushed("the engine comes first")
        if forbidden(findings):
            return NotPushed(_FORBIDDEN)
        verdict = denial(refusal, DenialReason.UNCLEAR) if _is_refused(refusal) else _out_of_reach(fact, refusal)
    if verdict is None:
        return Ready()
    return outcome_of(verdict, Stage.PROBE)


def _is_refused(refusal: Refusal) -> bool:
    """Whether the push would be refused for an unknown reason."""
    probe = refusal.probe
    return (probe is not None and probe.refused) or refusal.refused(Stage.TOKEN, sent=refusal.credential.present)


def _out_of_reach(fact: Facts, refusal: Refusal) -> Failure | None:
    """The failure if neither this machine nor the engine reaches the registry."""
    ping = refusal.of(Stage.PING)
    if ping is None or ping.status is not None:
        return None
    login = refusal.of(Stage.ENGINE_AUTH)
    for said in ("" if login is None or login.accepted else login.message, _unknown_tag(fact)):
        kind = meaning(said)
        if kind in (FailureKind.NETWORK, FailureKind.TLS):
            return failure(refusal, FailureKind(kind))._replace(message=f"{said}; {ping.message}")
    return None


def _in_order(steps: Iterable[Step], reference: Reference, findings: tuple[Finding, ...]) -> tuple[Step, ...]:
    """Every step once, with its findings; of two answers to one question the later wins."""
    found = {step.name: step for step in (Step("reference", StepStatus.OK, str(reference)), *steps)}
    for finding in findings:
        if step := found.get(finding.step):
            status = StepStatus.FAILED if finding.severity is Severity.ERROR else step.status
            found[step.name] = Step(step.name, status, f"{step.detail}; {finding.code} {finding.slug}")
    for name in STEPS:
        found.setdefault(name, Step(name, StepStatus.SKIPPED, "not asked: the reference comes first"))
    return tuple(found[name] for step in STEPS for name in (step, *MORE.get(step, ())) if name in found)


def _of_engine(fact: Facts, problem: PushsafeError | None) -> Iterator[Step]:
    info, image = fact.engine, fact.image
    if problem is not None or info is None:
        yield Step("engine", StepStatus.FAILED, problem.message if problem else "it does not answer")
        yield Step("image", StepStatus.SKIPPED, "not asked: the engine comes first")
        return
    yield Step("engine", StepStatus.OK, f"{info}{_wants_tls(fact, info)}")
    if isinstance(image, LocalImage):
        absent = f"; not here: {_listed(image.missing)}" if image.missing else ""
        yield Step("image", StepStatus.OK, f"{image.id}  {_listed(image.platforms)}{absent}".rstrip())
    else:
        near = f"; it has {', '.join(image.near)}" if isinstance(image, ImageMissing) and image.near else ""
        yield Step("image", StepStatus.FAILED, f"the engine has no such image{near}")


def _of_credential(refusal: Refusal) -> Step:
    credential = refusal.credential
    match credential.source.kind:
        case SourceKind.BROKEN:
            return Step("credential", StepStatus.FAILED, f"cannot be read, so none is sent: {credential.source}")
        case SourceKind.NONE if refusal.accepted(Stage.PROBE):
            return Step("credential", StepStatus.OK, f"none was found for {credential.registry}, and none is needed")
        case SourceKind.NONE:
            return Step("credential", StepStatus.UNKNOWN, f"none was found for {credential.registry}, so none is sent")
    detail = credential_evidence(credential).message
    over = "; it says itself that it has expired" if refusal.expired else ""
    return Step("credential", StepStatus.OK, f"{detail}{over}")


def _wants_tls(fact: Facts, info: EngineInfo) -> str:
    """The setting that an engine other than docker's needs for a registry over plain HTTP: podman ignores docker's
    settings, and does not treat loopback addresses as insecure."""
    if info.kind.reads_insecure_registries or fact.ping is None or not fact.ping.plain:
        return ""
    registry = fact.reference.registry
    return f"; it pushes over plain HTTP only where its registries.conf has {registry} with insecure = true"


def _of_registry(fact: Facts, refusal: Refusal, verdict: Denial | Failure | None) -> Iterator[Step]:
    """A step for each answer, and for each question left without one, with the reason."""
    told, present = refusal.evidence[1:], refusal.credential.present
    problem = fact.preflight.problem if fact.preflight else ""
    bearer = any(item.challenge.startswith("Bearer") for item in told)
    found = {step.name: step for item in told for step in _of_evidence(item, present, bearer)}
    if isinstance(verdict, Failure):  # the last answer is the one that stops the push
        last = tuple(_of_evidence(told[-1], present, bearer))[-1]
        found[last.name] = last._replace(status=StepStatus.FAILED)
    if problem and "registry" in found and found["registry"].status is not StepStatus.UNKNOWN:
        questions = ("token", "push probe", "token as nobody", "push probe as nobody", "login", "login as nobody")
        first = 1 if "token" in found or not _wants_token(refusal) else 0
        unanswered = next((name for name in questions[first:] if name not in found), "login as nobody")
        found[unanswered] = Step(unanswered, StepStatus.UNKNOWN, problem)
    elif (token := found.get("token")) and token.status is StepStatus.OK and "push probe" not in found:
        # The token server answered with success but no token, or the password is useless: no further questions were
        # asked.
        found["token"] = token._replace(status=StepStatus.UNKNOWN)
        found.pop("grant", None)
    yield from found.values()
    for name in ("registry", "challenge", "token", "grant", "push probe"):
        if name not in found:
            yield Step(name, StepStatus.SKIPPED, _why_not(name, found, refusal))


def _wants_token(refusal: Refusal) -> bool:
    return not refusal.accepted(Stage.PING) and refusal.credential.kind is not CredentialKind.REGISTRY_TOKEN


def _why_not(name: str, found: Mapping[str, Step], refusal: Refusal) -> str:
    """Why a question was not asked."""
    for earlier in ("registry", "challenge", "token"):
        if earlier in found and found[earlier].status is not StepStatus.OK:
            return f"not asked: the {earlier} comes first"
    if name == "grant":
        return "no token shows it"
    if refusal.accepted(Stage.PING):
        return "not asked: /v2/ requires no login"
    if refusal.credential.kind is CredentialKind.REGISTRY_TOKEN:
        return "not asked: the credential is a token itself"
    return "not asked: docker has no credential that fits the challenge"


def _of_evidence(item: Evidence, present: bool, bearer: bool) -> Iterator[Step]:
    """The steps of one answer; with a credential, anonymous answers are only for comparison."""
    as_nobody = " as nobody" if present and item.sent is False else ""
    status = StepStatus.OK if item.accepted else StepStatus.FAILED if item.refused else StepStatus.UNKNOWN
    if as_nobody:
        status = StepStatus.COMPARED
    match item.stage:
        case Stage.PING:
            yield from _of_ping(item)
        case Stage.TOKEN if not bearer:
            yield Step("token", status, f"none with Basic; the password goes along: {item}")
        case Stage.TOKEN:
            yield Step(f"token{as_nobody}", status, str(item._replace(granted=None)))
            if item.accepted:
                yield _of_grant(f"grant{as_nobody}", item.granted, compared=bool(as_nobody))
        case Stage.LOGIN:
            yield Step(f"login{as_nobody}", status, f"what docker login asks: {item}")
        case Stage.PROBE:
            done = "; an upload was started" if item.accepted else ""
            yield Step(f"push probe{as_nobody}", status, f"{item}{done}")
        case Stage.ENGINE_AUTH:
            yield Step("login (engine)", status, str(item))
        case Stage.CREDENTIAL | Stage.PUSH | Stage.VERIFY:
            return


def _of_ping(item: Evidence) -> Iterator[Step]:
    if item.status is None:
        yield Step("registry", StepStatus.UNKNOWN, item.message)
        return
    known = item.status in (200, 401)
    odd = "" if known else ", where registries answer 200 or 401"
    yield Step("registry", StepStatus.OK if known else StepStatus.UNKNOWN, f"{item.status} to {item.message}{odd}")
    if item.status == 200:
        yield Step("challenge", StepStatus.OK, "none: /v2/ requires no login")
    elif item.challenge:
        yield Step("challenge", StepStatus.OK, item.challenge)
    elif known:
        yield Step("challenge", StepStatus.FAILED, "none that can be answered: neither Bearer nor Basic")


def _of_grant(name: str, granted: tuple[str, ...] | None, *, compared: bool) -> Step:
    if granted is None:
        return Step(name, StepStatus.COMPARED if compared else StepStatus.UNKNOWN, "the token does not say")
    enough = grants_push(granted)
    status = StepStatus.COMPARED if compared else StepStatus.OK if enough else StepStatus.FAILED
    listed = ", ".join(granted)
    if enough:
        return Step(name, status, listed)
    return Step(name, status, f"{listed} only: push is missing" if listed else "nothing: push is missing")


def _of_tag(fact: Facts) -> Step:
    match fact.tag_now:
        case TagHeld(manifest):
            return Step("tag now", StepStatus.OK, f"{manifest.digest}  {_listed(manifest.platforms)}".rstrip())
        case TagAbsent():
            return Step("tag now", StepStatus.OK, "the registry does not hold it")
        case TagUnknown():
            return Step("tag now", StepStatus.UNKNOWN, _unknown_tag(fact))
        case None:
            return Step("tag now", StepStatus.SKIPPED, "not asked")


def _unknown_tag(fact: Facts) -> str:
    """Why it is unknown what the tag names, without the reason that the registry's own step already has."""
    if not isinstance(fact.tag_now, TagUnknown):
        return ""
    problem = fact.preflight.problem if fact.preflight else ""
    return fact.tag_now.why.removeprefix(f"{problem}; ")


def _listed(platforms: tuple[Platform, ...]) -> str:
    return ", ".join(map(str, platforms))
