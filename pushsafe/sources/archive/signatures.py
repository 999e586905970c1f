"""Pushes signatures and the like, which have tags of their own, without replacing others."""

from __future__ import annotations

import json
from http import HTTPStatus

from pushsafe.denial.reasons import again
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Denied, Failed, Mismatch, Missing, NotChecked, Outcome, Verified
from pushsafe.model.report import Along
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.content import Companion, Referrer
from pushsafe.oci.document import Unusable, document_of
from pushsafe.oci.manifest import INDEX_TYPES, ManifestContent, entries_of
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import declined, unreached
from pushsafe.push.transfer import Ended
from pushsafe.push.verify import TagVerifier


def accompany(
    fact: Facts, companion: Companion, gateways: Gateways, verifier: TagVerifier, retry_policy: RetryPolicy
) -> Along:
    """Push a companion by its tag to the repository of a fact, and read it back; the result names the tag's digest.

    A tag whose content includes the companion's stays as it is. If each has something that the other lacks, neither
    replaces the other. Raises Ended.
    """
    own = fact._replace(reference=fact.reference._replace(tag=companion.tag))
    try:
        digest = _kept(own, companion, gateways, retry_policy) or _put(own, companion, gateways, retry_policy)
    except RegistryUnreachable as error:
        raise Ended(Failed(unreached(fact, error))) from None
    match verifier.confirm(own._replace(image=None), digest):
        case Verified():
            return Along(companion.tag, digest)
        case Missing(what):
            why = f"does not hold {what}"
        case Mismatch(_, found):
            why = f"names {found} instead of {digest}"
        case NotChecked(why):
            pass
    raise Ended(_failed(f"{_what(companion)} was pushed, but could not be confirmed: {why}", again(fact)))


def _kept(own: Facts, companion: Companion, gateways: Gateways, retry_policy: RetryPolicy) -> str:
    """The digest that the tag names if its content includes the companion's; empty if the companion may replace it.
    Raises Ended for anything else."""
    target, registry = own.repository, gateways.registry()
    now = registry.manifest(*target, retry_policy=retry_policy)
    if isinstance(now, Evidence):
        if now.status == HTTPStatus.NOT_FOUND:
            return ""
        raise Ended(about(declined(gateways, own, now), companion))
    if now.digest == companion.content.digest:
        return now.digest
    held = registry.content(*target, now.digest, retry_policy)
    if isinstance(held, Evidence):
        raise Ended(about(declined(gateways, own, held), companion))
    ours, theirs = _parts(companion.content), _parts(held)
    if ours and theirs and ours <= theirs:
        return now.digest
    if ours and theirs and theirs < ours:
        return ""
    message = (
        f"{own.reference} already names {now.digest}: replacing it would lose signatures or similar that the files do "
        "not have"
    )
    raise Ended(_failed(message, f"docker buildx imagetools inspect --raw {own.reference}"))


def _put(own: Facts, companion: Companion, gateways: Gateways, retry_policy: RetryPolicy) -> str:
    said = gateways.registry().put(*own.repository, companion.content, retry_policy)
    if not said.succeeded:
        raise Ended(about(declined(gateways, own, said), companion))
    return companion.content.digest


def _parts(content: ManifestContent) -> frozenset[str]:
    """The descriptors of a manifest's layers or an index's manifests, with annotations, as these hold the signature.
    Empty where they cannot be read."""
    try:
        document = document_of(content.body)
        listed = entries_of(document, "manifests" if content.media_type in INDEX_TYPES else "layers")
    except Unusable:
        return frozenset()
    return frozenset(json.dumps(one, sort_keys=True) for one in listed)


def about(outcome: Outcome, what: Companion | Referrer) -> Outcome:
    """The outcome, with a message that it is not the image which was refused."""
    said = f"{_what(what)} was refused"
    if isinstance(outcome, Denied):
        return outcome._replace(denial=outcome.denial._replace(summary=f"{said}: {outcome.denial.summary}"))
    if isinstance(outcome, Failed):
        return outcome._replace(failure=outcome.failure._replace(message=f"{said}: {outcome.failure.message}"))
    return outcome


def _what(one: Companion | Referrer) -> str:
    named = one.tag if isinstance(one, Companion) else one.content.digest
    return f"what refers to the image ({named}, a signature or similar)"


def _failed(message: str, command: str) -> Failed:
    return Failed(Failure(FailureKind.REGISTRY_ERROR, message, next=(command,)))
