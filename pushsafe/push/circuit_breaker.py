"""Whether a registry that answered before still does: one that died is not tried again and again."""

from __future__ import annotations

from pushsafe.model.credentials import Credential
from pushsafe.model.errors import ProxyAnswers, RegistryUnreachable
from pushsafe.model.evidence import Access, Evidence, Stage
from pushsafe.model.facts import Facts
from pushsafe.model.retry_policy import Patience
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.push.ports import Gateways

_ONCE_MORE = Patience(1)
"""A connection that was kept may have been closed while it was idle, which says nothing of the registry."""


class Availability:
    """The registries of one run, by what became of pushes to them; for any number of threads."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._failed: dict[str, Failure] = {}

    def note(self, registry: str, failure: Failure) -> None:
        """A push there has failed, which may be because nobody answers any more."""
        self._failed[registry] = failure

    def gone(self, fact: Facts, credential: Credential) -> Failure | None:
        """Why there is no use in trying: the last push to the registry failed, and it does not answer us any more."""
        failure = self._failed.get(fact.reference.registry)
        why = self.silence(fact, credential) if failure is not None else ""
        if failure is None or not why:
            return None
        said = f"{fact.reference.registry} does not answer any more: {why}"
        commands = failure.next if failure.kind is FailureKind.NETWORK else ()
        return Failure(FailureKind.NETWORK, said, (Evidence(Stage.PING, why),), commands)

    def silence(self, fact: Facts, credential: Credential, patience: Patience = _ONCE_MORE) -> str:
        """Why a registry that answered us before does not do so now; empty where it does, or never did."""
        if was_reached(fact):
            try:
                self._gateways.registry().manifest(fact.reference, credential, patience=patience)
            except ProxyAnswers:
                return ""  # which says nothing of an engine's way there
            except RegistryUnreachable as error:
                return error.message
        return ""


def was_reached(fact: Facts) -> bool:
    """Whether the registry has answered us in this run."""
    if fact.preflight is not None:
        return not fact.preflight.problem
    return fact.ping is not None and fact.ping.access is not Access.UNKNOWN
