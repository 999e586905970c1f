"""Puts manifests under tags directly, without the engine."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence, TagAbsent, TagHeld, TagState
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Denied, Failed, Layers, Pushed
from pushsafe.model.plan import How
from pushsafe.model.verdicts import Failure
from pushsafe.oci.manifest import ManifestContent
from pushsafe.push.aftermath import is_certain, is_known, left, tag_afterwards
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import busy, declined, unreached
from pushsafe.push.recorder import Recorder


class ManifestPusher:
    """The manifests that one run puts; thread-safe."""

    def __init__(self, gateways: Gateways, recorder: Recorder) -> None:
        self._gateways = gateways
        self._recorder = recorder

    def content(self, fact: Facts, digest: str) -> ManifestContent | Failure | str:
        """The exact bytes of a manifest in the repository; else the reason, as a Failure if there is no point in going
        on."""
        self._recorder.require_running()
        with self._recorder.phase("tag"):
            try:
                found = self._gateways.registry().content(*fact.repository, digest, self._recorder.retry_policy)
            except RegistryUnreachable as error:
                return error.message
        if isinstance(found, ManifestContent):
            return found
        return busy(fact, found) or f"the registry answers {found} for the manifest"

    def tag(self, fact: Facts, content: ManifestContent) -> str:
        """Put a manifest of the repository under a tag; why the engine has to push it instead, empty if it has not."""
        put = self._put(fact, content)
        if not put.why:
            self._recorder.keep(fact, Pushed(content.digest, how=How.TAGGED))
        elif isinstance(put.said, Evidence) and (failure := busy(fact, put.said)):
            self._recorder.finish(fact, left(fact, Failed(failure), put.now))
            return ""
        return put.why

    def put(self, fact: Facts, content: ManifestContent, layers: Layers | None = None, how: How = How.TAGGED) -> None:
        """Put a manifest under a tag that the engine cannot push, and record the outcome, not verified yet.

        `layers` are those copied for it.
        """
        put = self._put(fact, content)
        if not put.why:
            self._recorder.keep(fact, Pushed(content.digest, layers, how))
            return
        outcome: Denied | Failed
        if isinstance(put.said, RegistryUnreachable):
            outcome = Failed(unreached(fact, put.said))
        else:
            outcome = declined(self._gateways, fact, put.said)
        self._recorder.finish(fact, outcome if is_certain(outcome) else left(fact, outcome, put.now))

    def _put(self, fact: Facts, content: ManifestContent) -> _Put:
        """Put a manifest under a tag; if the answer is an error, the tag itself decides whether it is in place."""
        self._recorder.require_running()
        self._recorder.begin(fact)
        with self._recorder.phase("tag"):
            said: Evidence | RegistryUnreachable
            try:
                said = self._gateways.registry().put(*fact.repository, content, self._recorder.retry_policy)
                why = "" if said.succeeded else f"the registry answers {said} to the manifest"
            except RegistryUnreachable as error:
                said, why = error, error.message
            if not why or (isinstance(said, Evidence) and said.status == HTTPStatus.TOO_MANY_REQUESTS):
                return _Put(said, why, TagAbsent())
            now = tag_afterwards(fact, self._gateways, self._recorder)
            # a refused request put nothing, unless the tag is known to have named something else before
            there = isinstance(now, TagHeld) and now.manifest.digest == content.digest
            if there and (is_known(fact) or not (isinstance(said, Evidence) and said.refused)):
                why = ""
        return _Put(said, why, now)


class _Put(NamedTuple):
    """The answer to a put, why it is no success (empty if it is one), and what the tag names then."""

    said: Evidence | RegistryUnreachable
    why: str
    now: TagState
