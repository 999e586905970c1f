"""Copies the manifests of an index to its repository, with their blobs: mounted, or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Failed, Layers, LayerState, OnSent, Outcome
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.document import Unusable
from pushsafe.oci.manifest import Blob, Descriptor, ManifestContent, ManifestInfo, blobs, in_levels, subject_of
from pushsafe.oci.reference import Reference
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import declined, unreached
from pushsafe.push.recorder import Recorder
from pushsafe.push.transfer import BlobTransfer, Ended


class Part(NamedTuple):
    """A manifest that an index names, and a repository that holds it."""

    descriptor: Descriptor
    held: Repository


class ImageCopier:
    """Copies parts of an index to repositories."""

    def __init__(self, gateways: Gateways, recorder: Recorder, transfer: BlobTransfer) -> None:
        self._gateways = gateways
        self._recorder = recorder
        self._transfer = transfer

    def bring(self, fact: Facts, parts: Sequence[Part]) -> Layers | None:
        """Get all parts into the repository of a tag: what became of their blobs, or `None` if nothing was missing.

        Raises Ended.
        """
        target = fact.repository
        elsewhere = [part for part in parts if part.held.reference.name != target.reference.name]
        there = self._transfer.each(elsewhere, lambda part: self._holds(fact, part))
        missing = [part for part, held in zip(elsewhere, there, strict=True) if not held]
        if not missing:
            return None
        contents = self._transfer.each(missing, lambda part: self._content(fact, part))
        wanted: dict[Blob, tuple[Blob, Repository]] = {}
        for part, content in zip(missing, contents, strict=True):
            for blob in _blobs(content):
                wanted.setdefault(blob, (blob, part.held))

        def move(found: tuple[Blob, Repository], on_sent: OnSent) -> LayerState | Evidence:
            return self._gateways.registry().bring(*found, target, on_sent, self._recorder.retry_policy)

        def refused(found: tuple[Blob, Repository], said: Evidence) -> Outcome:
            source = said.stage is Stage.VERIFY
            return _unread(found[1].reference, said) if source else declined(self._gateways, fact, said)

        self._recorder.observer.pushing(fact.reference)
        with self._recorder.phase("push"):
            layers = self._transfer.blobs(fact, wanted, move, refused)
        by_digest = {content.digest: content for content in contents}
        for level in in_levels({content.digest: {_subject(content)} for content in contents}):
            self._transfer.each(level, lambda digest: self._transfer.put(fact, by_digest[digest]))
        return layers

    def _holds(self, fact: Facts, part: Part) -> bool:
        digest, retry_policy = part.descriptor.digest, self._recorder.retry_policy
        try:
            found = self._gateways.registry().manifest(*fact.repository, digest, retry_policy=retry_policy)
        except RegistryUnreachable as error:
            raise Ended(Failed(unreached(fact, error))) from None
        return isinstance(found, ManifestInfo)

    def _content(self, fact: Facts, part: Part) -> ManifestContent:
        self._recorder.require_running()
        try:
            found = self._gateways.registry().content(*part.held, part.descriptor.digest, self._recorder.retry_policy)
        except RegistryUnreachable as error:
            raise Ended(Failed(unreached(fact, error))) from None
        if isinstance(found, Evidence):
            raise Ended(_unread(part.held.reference, found))
        return found


def _blobs(content: ManifestContent) -> tuple[Blob, ...]:
    try:
        return blobs(content)
    except Unusable as error:
        raise _unusable(content, error) from None


def _subject(content: ManifestContent) -> str:
    try:
        return subject_of(content)
    except Unusable as error:
        raise _unusable(content, error) from None


def _unusable(content: ManifestContent, error: Unusable) -> Ended:
    said = f"{content.digest} cannot be copied to another repository: it {error}"
    return Ended(Failed(Failure(FailureKind.REGISTRY_ERROR, said)))


def _unread(source: Reference, said: Evidence) -> Failed:
    message = f"what the index names could not be read from {source.name}: the registry answers {said}"
    return Failed(Failure(FailureKind.REGISTRY_ERROR, message, (said,)))
