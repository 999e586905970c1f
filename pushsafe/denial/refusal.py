"""A refusal: the evidence on one refused push, or on one that would be refused."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple

from pushsafe.denial.messages import Undecided, meaning
from pushsafe.model.credentials import Credential, SourceKind
from pushsafe.model.evidence import WRONG_ADDRESS, Evidence, Stage, TagHeld
from pushsafe.model.facts import PUSHSAFE, EngineKind, Facts
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.reference import Reference, server_of


class Refusal(NamedTuple):
    """One push that was or would be refused: the reference, the credential docker would send, and all evidence.

    `now` is in seconds since the epoch. `engine` is the kind of engine that pushes: not all send a credential to a
    registry that asks late. Evidence of stage PUSH is the engine's own message; a preflight has none. `command` and
    `by_name` are those of the facts. `replaces`: the tag is known to have existed before.
    """

    reference: Reference
    credential: Credential
    evidence: tuple[Evidence, ...]
    now: float
    engine: EngineKind | None = None
    command: str = PUSHSAFE
    by_name: bool = True
    replaces: bool = False

    @property
    def by_words(self) -> bool:
        """Whether the engine's message says that something was refused; other messages have other causes."""
        push = self.of(Stage.PUSH)
        found = meaning(push.message if push else "")
        return found is Undecided.REFUSAL or isinstance(found, DenialReason)

    @property
    def probe(self) -> Evidence | None:
        """The answer to the credential's own upload; to the anonymous one, if none was started with the credential."""
        return self.of(Stage.PROBE, sent=True) or self.of(Stage.PROBE)

    @property
    def expired(self) -> bool:
        """Whether the credential itself says that it has expired."""
        return self.credential.expires is not None and self.credential.expires <= self.now

    def of(self, stage: Stage, *, sent: bool | None = None) -> Evidence | None:
        """The last evidence of a stage: later answers know more. `sent`: only answers to requests with the credential
        (or without it)."""
        asked = (item for item in reversed(self.evidence) if item.stage is stage)
        return next((item for item in asked if sent is None or item.sent is sent), None)

    def accepted(self, stage: Stage, *, sent: bool | None = None) -> bool:
        """Whether the last answer of a stage is a success."""
        return (item := self.of(stage, sent=sent)) is not None and item.accepted

    def refused(self, stage: Stage, *, sent: bool | None = None) -> bool:
        """Whether the last answer of a stage is a refusal."""
        return (item := self.of(stage, sent=sent)) is not None and item.refused


def beforehand(fact: Facts, now: float) -> Refusal:
    """The evidence of a preflight, as a refusal."""
    if fact.preflight is None:
        raise AssertionError("no preflight was made")
    return refusal_of(fact, (credential_evidence(fact.repository.credential), *fact.preflight.evidence), now)


def refusal_of(fact: Facts, evidence: tuple[Evidence, ...], now: float) -> Refusal:
    """A refusal of the push that the facts describe; `now` is in seconds since the epoch."""
    credential = fact.repository.credential
    engine, replaces = fact.pushing_engine, isinstance(fact.tag_now, TagHeld)
    return Refusal(fact.reference, credential, evidence, now, engine, fact.command, fact.by_name, replaces)


def credential_evidence(credential: Credential) -> Evidence:
    """The first evidence: what this machine knows of the credential."""
    match credential.source.kind:
        case SourceKind.NONE:
            return Evidence(Stage.CREDENTIAL, f"none was found for {credential.registry}, so none was sent", sent=False)
        case SourceKind.BROKEN:
            return Evidence(Stage.CREDENTIAL, f"unreadable: {credential.source}; none was sent", sent=False)
        case _:
            user = f", user {credential.username}" if credential.username else ""
            return Evidence(Stage.CREDENTIAL, f"found in {credential.source}{user}", sent=True)


_UPLOAD_ADDRESS = re.compile(r"\b(?:post|put|patch|head|get) \"?(https?://[^/\"\s]+)/v2/[^\"\s]+/blobs/uploads/", re.I)
"""An upload's address in errors of Go's `net/url`, when the engine could not reach it."""


def led_astray(refusal: Refusal) -> str:
    """One sentence that shows that a registry names a foreign address as its own; empty if nothing does.

    Either this program found it, or the engine says where it could not send an upload.
    """
    for item in refusal.evidence:
        if item.code == WRONG_ADDRESS:
            return item.message
    push = refusal.of(Stage.PUSH)
    said = push.message if push else ""
    found = _UPLOAD_ADDRESS.search(said)
    if found is None or meaning(said) not in (FailureKind.NETWORK, FailureKind.TLS):
        return ""
    registry = refusal.reference.registry
    hosts = {registry, server_of(registry)}
    address = found[1].lower()
    if address.removeprefix("https://").removesuffix(":443") in hosts or address.removeprefix("http://") in hosts:
        return ""
    return f"{registry} sends uploads to {found[1]}, which is not its own address: {said}"


def trouble_of(item: Evidence) -> FailureKind:
    """The kind of failure of an answer that is neither a success nor a refusal."""
    return FailureKind.RATE_LIMITED if item.status == HTTPStatus.TOO_MANY_REQUESTS else FailureKind.REGISTRY_ERROR


def grants_push(actions: tuple[str, ...] | None) -> bool:
    """Whether the actions of a token allow a push (distribution `spec/auth/scope.md`)."""
    return bool({"push", "*"} & set(actions or ()))
