"""The preflight: what a push to a repository would meet, asked before anything is pushed."""

from __future__ import annotations

from pushsafe.denial.refusal import beforehand
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import PushsafeError
from pushsafe.model.evidence import (
    Evidence,
    Preflight,
    Stage,
    accepted,
)
from pushsafe.model.facts import Facts
from pushsafe.model.report import PreflightVerdict, RepositoryCheck
from pushsafe.model.verdicts import Denial, Failure
from pushsafe.oci.reference import Reference
from pushsafe.push.ports import Gateways


def investigate(gateways: Gateways, reference: Reference, credential: Credential, reads: str = "") -> Preflight:
    """Ask the registry itself what a push meets, or who `reads` a manifest there, by its tag or digest; where only the
    engine reaches it, ask the engine to log in there."""
    found = gateways.registry().investigate(reference, credential, reads)
    if not found.problem or found.evidence:
        return found
    asked: tuple[Evidence, ...] = (Evidence(Stage.PING, f"not reachable from here: {found.problem}"),)
    if credential.present and credential.kind is not CredentialKind.REGISTRY_TOKEN:  # which that question ignores
        try:
            asked += (gateways.engine().check_login(credential),)
        except PushsafeError as error:
            asked += (Evidence(Stage.ENGINE_AUTH, error.message),)
    return found._replace(evidence=asked)


def check_of(fact: Facts, verdict: Denial | Failure | None) -> RepositoryCheck:
    """What the preflight of a fact's repository came to, `verdict` being what it lets foresee."""
    name, preflight = fact.reference.name, fact.preflight or Preflight()
    if isinstance(verdict, Denial):
        return RepositoryCheck(name, PreflightVerdict.REFUSED, verdict.summary, preflight.evidence)
    if verdict is not None:
        return RepositoryCheck(name, PreflightVerdict.REFUSED, verdict.message, preflight.evidence)
    refusal = beforehand(fact, fact.now)
    if preflight.problem or not accepted(refusal.probe):
        detail = preflight.problem or f"its answers do not say ({refusal.evidence[-1]})"
        return RepositoryCheck(name, PreflightVerdict.UNKNOWN, detail, preflight.evidence)
    return RepositoryCheck(name, PreflightVerdict.ACCEPTED, "", preflight.evidence)
