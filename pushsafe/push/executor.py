"""Executes a plan: the order of its steps, and what the failure of one tag means for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

from pushsafe.model.evidence import Stage
from pushsafe.model.facts import Facts, LocalImage
from pushsafe.model.outcomes import Denied, Failed, Layers, NotPushed, Outcome, Pushed, Verification
from pushsafe.model.plan import Batch, How, Lane, PushPlan
from pushsafe.model.request import PushRequest
from pushsafe.model.tag_changes import moves
from pushsafe.model.verdicts import DenialKind, Failure, FailureKind
from pushsafe.oci.manifest import INDEX_TYPES, ManifestContent, ManifestInfo
from pushsafe.oci.reference import Reference
from pushsafe.push.aftermath import before, of_others
from pushsafe.push.engine_pusher import EnginePusher
from pushsafe.push.manifest_pusher import ManifestPusher
from pushsafe.push.planner import promoted
from pushsafe.push.ports import Gateways
from pushsafe.push.recorder import Recorder
from pushsafe.push.transfer import Ended
from pushsafe.push.verify import TagVerifier, seen_whole

LANES = 8
"""Registries pushed to at the same time."""
_SPREADING = 8
"""Images whose further tags are put at the same time, while their registry's next push goes on."""
_REPOSITORIES = 32
"""Repositories that are served, or wait for another one of their registry, at the same time."""
LAST_ANSWERS = 2.0
"""Seconds that an interrupted run waits for pending requests."""

_OF_EVERY_TAG = (FailureKind.REPOSITORY_MISSING, FailureKind.REDUCED, FailureKind.RATE_LIMITED)

Bring = Callable[[Facts], Layers | None]
"""Copies everything a manifest needs to the repository of a tag; returns the counted layers. Raises Ended."""


class KnownManifest(NamedTuple):
    """A manifest that is known before any repository has it; `bring` is called once for each repository.

    `how` is reported for the first tag of a repository in which no tag names the manifest yet. `always`: call `bring`
    even if a tag already names it.
    """

    content: ManifestContent
    bring: Bring
    how: How = How.TAGGED
    always: bool = False


class _Brought(NamedTuple):
    """A batch whose source names its image in the repository, by this digest."""

    batch: Batch
    digest: str


class Executor:
    """Gives every tag its result: the fixed tags first, then the moving ones, if all others are in place.

    `pool` runs short requests, never work that waits for other work in it.
    """

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        recorder: Recorder,
        pool: ThreadPoolExecutor,
        facts: Iterable[Facts],
    ) -> None:
        self._recorder = recorder
        self._engine = EnginePusher(request, gateways, recorder)
        self._manifests = ManifestPusher(gateways, recorder)
        self._verifier = TagVerifier(request, gateways, recorder)
        self._pool = pool
        self._facts: Mapping[str, Facts] = {str(fact.reference): fact for fact in facts}  # one listed twice is one tag
        self._reading: dict[str, Future[Verification]] = {}
        self._served: set[str] = set()
        self._known: dict[str, ManifestInfo] = {}

    def push(self, plan: PushPlan) -> None:
        """Have the engine push each image, then put its further tags."""
        room = min(max(len(plan.lanes), len(plan.last), 1), LANES)
        threads = ThreadPoolExecutor(room + _SPREADING, thread_name_prefix="pushsafe-push")

        def go(lanes: Sequence[Lane]) -> None:
            # lanes beyond the limit share a thread, so that spreading always has threads
            turns = [lanes[number::LANES] for number in range(min(len(lanes), LANES))]
            finish([threads.submit(self._follow, threads, turn) for turn in turns])
            finish(tuple(self._reading.values()))

        def first() -> None:
            for fact in map(self._fact, plan.kept):
                self._recorder.keep(fact, _already_there(before(fact)))
                self._read_back(fact)
            go(plan.lanes)

        steps = [(self._fact(step.reference), step.last) for step in plan.steps]
        self._in_order(threads, first, lambda: go(plan.last), steps)

    def put(self, known: KnownManifest) -> None:
        """Put a manifest under every tag, once its repository has what the manifest needs."""
        threads = ThreadPoolExecutor(_REPOSITORIES, thread_name_prefix="pushsafe-repository")
        steps = [(fact, moves(fact)) for fact in self._facts.values()]

        def go(*, last: bool) -> None:
            repositories: dict[str, list[Facts]] = {}
            for fact in (fact for fact, is_last in steps if is_last is last):
                repositories.setdefault(fact.reference.name, []).append(fact)
            finish([threads.submit(self._serve, known, of_one) for of_one in repositories.values()])
            finish([threads.submit(self._read_all_back, known, of_one) for of_one in repositories.values()])

        self._in_order(threads, lambda: go(last=False), lambda: go(last=True), steps)

    def _in_order(
        self,
        threads: ThreadPoolExecutor,
        first: Callable[[], None],
        last: Callable[[], None],
        steps: Sequence[tuple[Facts, bool]],
    ) -> None:
        """The fixed tags, then those that go last. On KeyboardInterrupt, what is known by then is recorded."""
        try:
            first()
            results, others = self._recorder.results, (fact.reference for fact, is_last in steps if not is_last)
            late = next((one for one in others if not results[str(one)].confirmed), None)
            if late is None:
                last()
                return
            why = NotPushed(f"it moves only when every other tag is in place, and {late} is not")
            for fact in (fact for fact, is_last in steps if is_last):
                self._recorder.finish(fact, why)
        except BaseException as error:
            self._recorder.stop()
            if isinstance(error, KeyboardInterrupt):
                wait(tuple(self._reading.values()), timeout=LAST_ANSWERS)
            raise
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _follow(self, threads: ThreadPoolExecutor, lanes: Iterable[Lane]) -> None:
        """One batch after the other; the further tags of one are put while the next one is pushed."""
        spreading: list[Future[None]] = []
        try:
            for batch in (batch for lane in lanes for batch in lane.batches):
                brought = self._bring(batch)
                if brought is None:
                    continue
                if batch.direct:
                    spreading.append(threads.submit(self._spread, brought))
                else:
                    self._spread(brought)
        finally:
            _await(spreading)  # a failure of one image must not keep the others from being verified
        finish(spreading)

    def _bring(self, batch: Batch | None) -> _Brought | None:
        """Get an image into its repository; `None` if that failed and every tag of it has its result."""
        while batch is not None:
            fact = self._fact(batch.source)
            if not batch.pushed:
                result = self._recorder.results[str(batch.source)].outcome
                return _Brought(batch, result.digest if isinstance(result, Pushed) else before(fact))
            outcome = self._engine.push(fact)
            if isinstance(outcome, Pushed):
                self._read_back(fact)
                return _Brought(batch, outcome.digest)
            unsent = self._engine.is_unsent(fact)
            if unsent or _holds_for_all(outcome):
                shared = _of_the_others(outcome, batch.source, unsent=unsent)
                for reference in batch.followers:
                    self._recorder.finish(self._fact(reference), shared)
                return None
            batch = promoted(batch)
        return None

    def _spread(self, brought: _Brought) -> None:
        """Put the other tags of an image: directly and concurrently, or else through the engine."""
        batch, digest = brought
        facts = {str(reference): self._fact(reference) for reference in batch.followers}
        there = [name for name, fact in facts.items() if batch.direct and before(fact) == digest]
        for name in there:
            self._recorder.keep(facts[name], _already_there(digest))
        wanted = {name: fact for name, fact in facts.items() if name not in there}
        closed = self._tag(batch, digest, wanted) if batch.direct else dict.fromkeys(wanted, "")
        results = self._recorder.results
        put = [fact for name, fact in facts.items() if name not in closed and isinstance(results[name].outcome, Pushed)]
        if put:
            known = self._known_of(batch.source)
            # not earlier: distribution 2.8 answers 500 for a manifest while another tag's push rewrites its link
            finish([self._read_back(fact, known) for fact in put])
        for name, because in closed.items():
            self._push_instead(facts[name], because)

    def _tag(self, batch: Batch, digest: str, facts: Mapping[str, Facts]) -> dict[str, str]:
        """Put the manifest under each tag; returns the tags that need the engine, and why."""
        if not facts:
            return {}
        content = self._manifests.content(self._fact(batch.source), digest)
        if isinstance(content, str):
            return dict.fromkeys(facts, content)
        if isinstance(content, Failure):
            for fact in facts.values():
                self._recorder.finish(fact, Failed(content))
            return {}
        put = {name: self._pool.submit(self._manifests.tag, fact, content) for name, fact in facts.items()}
        _await(put.values())
        return {name: why for name, future in put.items() if (why := future.result())}

    def _push_instead(self, fact: Facts, because: str) -> None:
        if isinstance(self._engine.push(fact, because), Pushed):
            self._read_back(fact)

    def _serve(self, known: KnownManifest, facts: Sequence[Facts]) -> None:
        """Put the tags of one repository."""
        name, layers = facts[0].reference.name, None
        kept = [fact for fact in facts if before(fact) == known.content.digest]
        wanted = [fact for fact in facts if fact not in kept]
        there = bool(kept) or name in self._served
        try:
            if name not in self._served and (known.always or not there):
                layers = known.bring(facts[0])
        except Ended as ended:
            for fact in facts:
                self._recorder.finish(fact, ended.outcome)
            return
        self._served.add(name)
        lacked = layers if layers and (layers.sent or layers.mounted) else None
        for number, fact in enumerate(kept):
            self._recorder.keep(fact, _already_there(known.content.digest, None if number else lacked))
        # the blobs are counted once, with the first tag
        first = [] if there else [self._pool.submit(self._manifests.put, wanted[0], known.content, layers, known.how)]
        others = wanted[len(first) :]
        finish([*first, *(self._pool.submit(self._manifests.put, fact, known.content) for fact in others)])

    def _read_all_back(self, manifest: KnownManifest, facts: Sequence[Facts]) -> None:
        """Verify the tags of one repository; what the manifest names is checked once, with the first of them."""
        results = self._recorder.results
        put = [fact for fact in facts if isinstance(results[str(fact.reference)].outcome, Pushed)]
        if put and put[0].reference.name not in self._known and manifest.content.media_type in INDEX_TYPES:
            first, *put = put
            if found := seen_whole(self._verifier.read_back(first)):
                self._known[first.reference.name] = found
        known = self._known.get(facts[0].reference.name)
        finish([self._read_back(fact, known) for fact in put])

    def _read_back(self, fact: Facts, known: ManifestInfo | None = None) -> Future[Verification]:
        future = self._pool.submit(self._verifier.read_back, fact, known)
        self._reading[str(fact.reference)] = future
        return future

    def _known_of(self, source: Reference) -> ManifestInfo | None:
        """The index that the source was verified to name, so that its children need no second check under another
        tag."""
        reading = self._reading.get(str(source))
        fact = self._fact(source)
        single = isinstance(fact.image, LocalImage) and not fact.image.children
        if reading is None or single or reading.exception() is not None:
            return None  # nothing to wait for, or the source's own verification reports the error
        return seen_whole(reading.result())

    def _fact(self, reference: Reference) -> Facts:
        return self._facts[str(reference)]


def _already_there(digest: str, layers: Layers | None = None) -> Pushed:
    """The outcome of a tag that already names its image; `layers` are those its repository lacked all the same."""
    return Pushed(digest, layers, How.ALREADY_THERE)


def _holds_for_all(outcome: Outcome) -> bool:
    """Whether one tag's failure holds for every other tag of the image in the repository.

    A registry may refuse a single immutable or protected tag; then the next one is tried.
    """
    match outcome:
        case Denied(denial):
            asked = [item for item in denial.evidence if item.stage in (Stage.TOKEN, Stage.PROBE)]
            told = [item for item in asked if item.sent] or asked  # an anonymous answer says nothing about the account
            return denial.kind is DenialKind.NO_AUTHENTICATION or any(item.refused for item in told[-1:])
        case Failed(failure) if failure.kind is FailureKind.NETWORK:
            return bool(failure.evidence)  # else the engine went away, and may be back
        case Failed(failure):
            return failure.kind in _OF_EVERY_TAG
        case _:
            return False


def _of_the_others(outcome: Outcome, source: Reference, *, unsent: bool) -> Outcome:
    """The outcome for tags that were not tried; `unsent`: a layer could not be sent, whatever the tag."""
    match outcome:
        case Failed(failure) if failure.kind is FailureKind.REDUCED:
            return NotPushed(f"the engine would push a single platform in its place, as it did under {source.tag!r}")
        case Failed(failure) if unsent and not _holds_for_all(outcome):
            return NotPushed(f"the same image could not be sent there under {source.tag!r}: {failure.message}")
        case Failed() | Denied():
            return of_others(outcome)
        case _:
            return outcome


def finish(work: Sequence[Future[Any]]) -> None:
    """Wait for all futures and raise the first error; KeyboardInterrupt at once.

    `concurrent.futures.wait` would never return for futures cancelled by a shutdown.
    """
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in work:
        future.add_done_callback(ended.put)
    for _ in work:
        future = ended.get()
        if not future.cancelled() and isinstance(future.exception(), KeyboardInterrupt):
            future.result()
    for future in work:
        future.result()


def _await(work: Iterable[Future[Any]]) -> None:
    """Wait for all futures, whatever their results."""
    for future in work:
        with suppress(CancelledError):
            future.exception()
