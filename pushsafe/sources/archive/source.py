"""An image in files as a source: what a registry lacks of it is sent without an engine."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import product

from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.facts import Facts, Upcoming
from pushsafe.model.outcomes import Failed, Layers, LayerState, OnSent, Outcome
from pushsafe.model.plan import How, PushPlan, Step
from pushsafe.model.request import Archive, PushRequest
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.tag_changes import moves, unchanged
from pushsafe.oci.content import Content, Package
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference
from pushsafe.push.executor import Executor, KnownManifest
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import declined, unreached
from pushsafe.push.recorder import Recorder
from pushsafe.push.source import Source
from pushsafe.push.transfer import BlobTransfer, Ended, counted
from pushsafe.push.verify import TagVerifier
from pushsafe.sources.archive.signatures import about, accompany

_Asked = dict[tuple[str, str], "Future[bool]"]
"""Whether a repository holds a blob, by the repository's name and the blob's digest."""


class ArchiveSource(Source):
    """An image in files, under any number of tags."""

    def __init__(self, request: PushRequest, archive: Archive, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        super().__init__(request, gateways, pool)
        self._archive = archive
        self._asked: _Asked = {}

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        self._image = self._gateways.stored(self._archive, self._request.platforms)
        upcoming = self._image.upcoming._replace(place=self._archive.given)
        return tuple(fact._replace(image=upcoming) for fact in facts)

    def look_ahead(self, fact: Facts, /) -> None:
        """Ask early which blobs are there, to save a round trip; a packed image has no digests yet."""
        if not self._request.pushes or not self._image.upcoming.digest:
            return
        registry, target = self._gateways.registry(), fact.repository
        for content in self._image.package(_no_progress).contents:
            asked = self._pool.submit(registry.holds, content.blob, target, RetryPolicy(self._request.retries))
            self._asked[fact.reference.name, content.blob.digest] = asked

    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        if not self._request.pushes:
            package = self._image.package(_no_progress)
            self._image.check()
            facts = _with_digest(facts, package)
        return PushPlan(placed=tuple(_steps(facts, self._archive.given)))

    def carry_out(self, facts: tuple[Facts, ...], _planned: PushPlan, recorder: Recorder, /) -> None:
        transfer = BlobTransfer(self._gateways, recorder, self._pool)
        try:
            package = self._image.package(partial(recorder.observer.reading, self._archive.given))
            facts = _with_digest(facts, package)
            sent = _Sent(self._request, self._gateways, recorder, transfer, package, self._asked)
            sent.look(facts)
            executor = Executor(self._request, self._gateways, recorder, self._pool, facts)
            executor.put(KnownManifest(package.manifest, sent.bring, How.PUSHED, always=True))
        except BaseException:
            recorder.stop()
            raise
        finally:
            transfer.close()


class _Sent:
    """The content of an image at the registries; `asked` are questions asked by `look_ahead`."""

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        recorder: Recorder,
        transfer: BlobTransfer,
        package: Package,
        asked: _Asked,
    ) -> None:
        self._asked = asked
        self._transfer = transfer
        self._gateways = gateways
        self._registry = gateways.registry()
        self._recorder = recorder
        self._verifier = TagVerifier(request, gateways, recorder)
        self._package = package
        self._missing: dict[str, list[Content]] = {}
        self._unreached: dict[str, RegistryUnreachable] = {}
        self._held: set[tuple[str, str]] = set()
        self._holders: dict[tuple[str, str], str] = {}
        self._first: dict[str, threading.Lock] = {}

    def look(self, facts: Iterable[Facts]) -> None:
        """Ask every repository for all content, in parallel."""
        first = {fact.reference.name: fact for fact in reversed(list(facts))}
        self._first = {fact.reference.registry: threading.Lock() for fact in first.values()}
        below = [manifest for level in self._package.levels[:-1] for manifest in level]
        wanted: list[Content | str] = [*self._package.contents, *(manifest.digest for manifest in below)]
        self._transfer.each(product(first.values(), wanted), lambda asked: self._look(*asked))
        self._missing = {
            name: [one for one in self._package.contents if (name, one.blob.digest) not in self._held] for name in first
        }

    def _look(self, fact: Facts, wanted: Content | str) -> None:
        target, name = fact.repository, fact.reference.name
        if name in self._unreached:
            return
        self._recorder.require_running()
        try:
            if isinstance(wanted, str):
                found = self._registry.manifest(*target, wanted, retry_policy=self._recorder.retry_policy)
                if isinstance(found, ManifestInfo) and found.digest == wanted:
                    self._held.add((name, wanted))
            else:
                asked = self._asked.get((name, wanted.blob.digest))
                if asked.result() if asked else self._registry.holds(wanted.blob, target, self._recorder.retry_policy):
                    self._hold(fact.reference, wanted)
        except RegistryUnreachable as error:
            self._unreached[name] = error  # `bring` reports it

    def _hold(self, reference: Reference, content: Content) -> None:
        self._held.add((reference.name, content.blob.digest))
        self._holders.setdefault((reference.registry, content.blob.digest), reference.repository)

    def bring(self, fact: Facts) -> Layers:
        """Get everything that the image's manifest names into the repository of a tag. Raises Ended."""
        name = fact.reference.name
        if error := self._unreached.get(name):
            raise Ended(Failed(unreached(fact, error)))
        missing = self._missing[name]
        with self._recorder.phase("push"):
            sent = self._send_in_turn(fact, missing) if missing else Layers()
            for level in self._package.levels[:-1]:
                wanted = [one for one in level if (name, one.digest) not in self._held]
                self._transfer.each(wanted, lambda manifest: self._transfer.put(fact, manifest))
            self._refer(fact)
        digests = {one.blob.digest for one in missing}
        reused = counted(
            (one.blob, LayerState.REUSED) for one in self._package.contents if one.blob.digest not in digests
        )
        return sent._replace(reused=sent.reused + reused.reused)

    def _send_in_turn(self, fact: Facts, missing: Sequence[Content]) -> Layers:
        """Send to a registry's first repository; the others mount the blobs from it."""
        registry = fact.reference.registry
        with self._first[registry]:
            if any((registry, one.blob.digest) not in self._holders for one in missing):
                return self._send(fact, missing)
        return self._send(fact, missing)

    def _send(self, fact: Facts, missing: Sequence[Content]) -> Layers:
        target = fact.repository

        def move(content: Content, on_sent: OnSent) -> LayerState | Evidence:
            holder = self._holders.get((fact.reference.registry, content.blob.digest), "")
            said = self._registry.send(content, target, holder, on_sent, self._recorder.retry_policy)
            if isinstance(said, LayerState):
                self._hold(fact.reference, content)
            return said

        def refused(_content: Content, said: Evidence) -> Outcome:
            return declined(self._gateways, fact, said)

        self._recorder.observer.pushing(fact.reference)
        for content in self._package.contents:
            waits = content in missing
            self._transfer.tell(fact, content.blob, LayerState.WAITING if waits else LayerState.REUSED)
        largest_first = sorted(missing, key=lambda content: -content.blob.size)
        return self._transfer.blobs(fact, {one.blob: one for one in largest_first}, move, refused)

    def _refer(self, fact: Facts) -> None:
        """Push the image by digest, then its referrers: when the tag appears, its signatures are there."""
        if not (self._package.referrers or self._package.companions):
            return
        self._transfer.put(fact, self._package.manifest)
        for referrer in self._package.referrers:
            self._recorder.require_running()
            if not referrer.subject:
                self._transfer.put(fact, referrer.content)
                continue
            try:
                said = self._registry.refer(referrer, fact.repository, self._recorder.retry_policy)
            except RegistryUnreachable as error:
                raise Ended(Failed(unreached(fact, error))) from None
            if not said.succeeded:
                raise Ended(about(declined(self._gateways, fact, said), referrer))
        along = []
        for companion in self._package.companions:
            self._recorder.require_running()
            along.append(accompany(fact, companion, self._gateways, self._verifier, self._recorder.retry_policy))
        self._recorder.went_along(fact, tuple(along))


def _no_progress(_done: int, _whole: int) -> None:
    """No progress is shown if nothing is pushed."""


def _with_digest(facts: Iterable[Facts], package: Package) -> tuple[Facts, ...]:
    """The facts with the image's final digest."""
    digest = package.manifest.digest
    return tuple(
        fact._replace(image=fact.image._replace(digest=digest)) if isinstance(fact.image, Upcoming) else fact
        for fact in facts
    )


def _steps(facts: Sequence[Facts], origin: str) -> Iterable[Step]:
    """The first tag of each repository brings the content, the others get the manifest."""
    first = {fact.reference.name: fact.reference for fact in reversed(facts) if unchanged(fact)}
    for fact in sorted(facts, key=moves):
        reference = fact.reference
        if unchanged(fact):
            yield Step(reference, How.ALREADY_THERE, last=moves(fact))
        elif reference.name in first:
            yield Step(reference, How.TAGGED, first[reference.name], last=moves(fact))
        else:
            first[reference.name] = reference
            yield Step(reference, How.PUSHED, last=moves(fact), origin=origin)
