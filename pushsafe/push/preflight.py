"""What a push to a repository would encounter: asked before the push, and again after a refusal."""

from __future__ import annotations

from http import HTTPStatus

from pushsafe.denial.classify import classify, needs_investigation
from pushsafe.denial.reasons import again, own_address, trust, without_proxy
from pushsafe.denial.refusal import beforehand, credential_evidence, refusal_of, trouble_of
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import (
    ProxyAnswers,
    PushsafeError,
    RegistryAstray,
    RegistryFailed,
    RegistryUnreachable,
    TlsFailed,
)
from pushsafe.model.evidence import Access, Evidence, Preflight, Stage
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Denied, Failed
from pushsafe.model.report import PreflightVerdict, RepositoryCheck
from pushsafe.model.retry_policy import BUSY
from pushsafe.model.verdicts import Denial, Failure, FailureKind
from pushsafe.oci.reference import Reference
from pushsafe.push.ports import Gateways
from pushsafe.push.results import outcome_of


def investigate(gateways: Gateways, reference: Reference, credential: Credential, reads: str = "") -> Preflight:
    """Ask the registry what a push would encounter, or a reader of the manifest `reads` (a tag or digest).

    If only the engine reaches the registry, the engine is asked to log in there.
    """
    found = gateways.registry().investigate(reference, credential, reads)
    if not found.problem or found.evidence:
        return found
    asked: tuple[Evidence, ...] = (Evidence(Stage.PING, f"not reachable from here: {found.problem}"),)
    if credential.present and credential.kind is not CredentialKind.REGISTRY_TOKEN:  # which that endpoint ignores
        try:
            asked += (gateways.engine().check_login(credential),)
        except PushsafeError as error:
            asked += (Evidence(Stage.ENGINE_AUTH, error.message),)
    return found._replace(evidence=asked)


def check_of(fact: Facts, verdict: Denial | Failure | None) -> RepositoryCheck:
    """The report of a repository's preflight; `verdict` is what it predicts."""
    name, preflight = fact.reference.name, fact.preflight or Preflight()
    if verdict is not None:
        said = verdict.summary if isinstance(verdict, Denial) else verdict.message
        return RepositoryCheck(name, PreflightVerdict.REFUSED, said, preflight.evidence)
    refusal = beforehand(fact, fact.now)
    if preflight.problem or refusal.probe is None or not refusal.probe.accepted:
        detail = preflight.problem or f"its answers do not say ({refusal.evidence[-1]})"
        return RepositoryCheck(name, PreflightVerdict.UNKNOWN, detail, preflight.evidence)
    return RepositoryCheck(name, PreflightVerdict.ACCEPTED, "", preflight.evidence)


def was_reached(fact: Facts) -> bool:
    """Whether the registry has answered this program in this run."""
    if fact.preflight is not None:
        return not fact.preflight.problem
    return fact.ping is not None and fact.ping.access is not Access.UNKNOWN


def refused(gateways: Gateways, fact: Facts, push: Evidence) -> Denied | Failed:
    """The outcome of a refused push, by its message and by what the registry answers when asked."""
    credential = fact.repository.credential
    evidence: tuple[Evidence, ...] = (credential_evidence(credential), push._replace(sent=credential.present))
    if needs_investigation(push.message):
        found = investigate(gateways, fact.reference, credential)
        evidence += found.evidence
        if found.problem and all(found.problem not in item.message for item in evidence):
            evidence += (Evidence(Stage.TOKEN, found.problem),)
    return outcome_of(classify(refusal_of(fact, evidence, gateways.now())))


def declined(gateways: Gateways, fact: Facts, said: Evidence) -> Denied | Failed:
    """The outcome of a registry's refusal to accept a manifest or a blob."""
    failure = busy(fact, said)
    # in the wording of the engines
    words = f"{said.code.lower()}: {said.message}" if said.code else said.message or _named(said.status)
    return Failed(failure) if failure else refused(gateways, fact, said._replace(message=words))


def busy(fact: Facts, said: Evidence) -> Failure | None:
    """The failure after a busy registry used up all retries: further questions only add to its load."""
    if said.status not in BUSY:
        return None
    return Failure(trouble_of(said), f"the registry was busy at every try: {said}", (said,), (again(fact),))


def unreached(fact: Facts, error: RegistryUnreachable) -> Failure:
    """The failure of a registry that does not answer, or whose answer is unusable."""
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


def _named(status: int | None) -> str:
    """An answer without a message, such as a proxy's page, described by its status."""
    words = next((one.phrase for one in HTTPStatus if one == status), "")
    return f"the registry answers {status or 'nothing'} {words}".strip()
