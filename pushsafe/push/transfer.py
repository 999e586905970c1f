"""Copies blobs and manifests to a repository, several at a time; the first error ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pushsafe.denial.reasons import again_with
from pushsafe.model.errors import ContentBroken, RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Failed, LayerEvent, Layers, LayerState, NotPushed, OnSent, Outcome
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import Blob, ManifestContent, ManifestInfo
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import declined, unreached
from pushsafe.push.recorder import Recorder

BLOBS = 8
"""Large blobs in transit at a time. More would only share the link; with fewer, the last blobs start late and do not
fill it."""
SMALL = 256 * 1024
"""Blobs up to this many bytes cost round trips rather than bandwidth, and run with the short requests."""

_A = TypeVar("_A")
_T = TypeVar("_T")

Move = Callable[[_A, OnSent], LayerState | Evidence]
"""Makes the repository have a blob; calls the function with the bytes sent. Raises RegistryUnreachable,
ContentBroken."""


class Ended(Exception):
    """A repository cannot be served; `outcome` is that of its tags."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


_WRITE_AGAIN = again_with("", "once the image is written anew, or nothing changes it meanwhile")
_GIVEN_UP = NotPushed("something else went wrong before")


class BlobTransfer:
    """The transfers of one run; thread-safe. `pool` runs short requests; large blobs have their own threads."""

    def __init__(self, gateways: Gateways, recorder: Recorder, pool: ThreadPoolExecutor) -> None:
        self._gateways = gateways
        self._recorder = recorder
        self._pool = pool
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def blobs(
        self, fact: Facts, wanted: Mapping[Blob, _A], move: Move[_A], refused: Callable[[_A, Evidence], Outcome]
    ) -> Layers:
        """Make the repository of a tag have all these blobs; the layers among them, counted.

        `refused` turns a refusal into an outcome. Raises Ended.
        """
        over = threading.Event()
        threads = self._threads_for(fact.reference.registry)

        def one(blob: Blob) -> LayerState:
            self._recorder.require_running()
            said = self._moved(fact, blob, partial(move, wanted[blob]), over)
            if isinstance(said, Evidence):
                raise Ended(refused(wanted[blob], said))
            return said

        states = self.each(wanted, one, lambda blob: self._pool if blob.size <= SMALL else threads, over)
        return counted(zip(wanted, states, strict=True))

    def _threads_for(self, registry: str) -> ThreadPoolExecutor:
        """The threads of a registry, so that a slow one does not delay the others."""
        with self._lock:
            if registry not in self._threads:
                self._threads[registry] = ThreadPoolExecutor(BLOBS, thread_name_prefix="pushsafe-blob")
            return self._threads[registry]

    def _moved(
        self, fact: Facts, blob: Blob, move: Callable[[OnSent], LayerState | Evidence], over: threading.Event
    ) -> LayerState | Evidence:
        def on_sent(size: int) -> None:
            self._recorder.require_running()  # an exception ends the request
            if over.is_set():
                raise Ended(_GIVEN_UP)
            self.tell(fact, blob, LayerState.PUSHING, size)

        try:
            said = move(on_sent)
        except RegistryUnreachable as error:
            raise Ended(Failed(unreached(fact, error))) from None
        except ContentBroken as error:
            failure = Failure(FailureKind.LOCAL, error.message, next=(_WRITE_AGAIN,))
            raise Ended(Failed(failure)) from None
        if isinstance(said, LayerState):
            self.tell(fact, blob, said, blob.size if said is LayerState.SENT else 0)
        return said

    def tell(self, fact: Facts, blob: Blob, state: LayerState, size: int = 0) -> None:
        """Notify the observer of a layer's state; other blobs are not reported."""
        if blob.is_layer:
            short = blob.digest.partition(":")[2][:12]
            self._recorder.observer.layer(LayerEvent(fact.reference, short, state, size, blob.size))

    def put(self, fact: Facts, content: ManifestContent) -> None:
        """Put a manifest by its digest alone; if the answer is an error, reading it back decides. Raises Ended."""
        self._recorder.require_running()
        reference, credential = fact.repository
        registry = self._gateways.registry()
        try:
            said = registry.put(reference, credential, content, self._recorder.retry_policy, tagged=False)
            if said.succeeded:
                return
            if not said.refused:
                found = registry.manifest(reference, credential, content.digest)
                if isinstance(found, ManifestInfo) and found.digest == content.digest:
                    return
        except RegistryUnreachable as error:
            raise Ended(Failed(unreached(fact, error))) from None
        raise Ended(declined(self._gateways, fact, said))

    def each(
        self,
        items: Iterable[_A],
        do: Callable[[_A], _T],
        threads: Callable[[_A], ThreadPoolExecutor] | None = None,
        over: threading.Event | None = None,
    ) -> list[_T]:
        """The results for all items, computed concurrently. The first error sets `over`, and is raised when all have
        ended."""
        over = over or threading.Event()
        troubles: list[BaseException] = []

        def attempt(item: _A) -> _T:
            if over.is_set():
                raise Ended(_GIVEN_UP)
            try:
                return do(item)
            except BaseException as trouble:
                troubles.append(trouble)
                over.set()
                raise

        futures = [(threads(item) if threads else self._pool).submit(attempt, item) for item in items]
        for future in futures:
            future.exception()  # not `wait`, which never returns for futures cancelled by a shutdown
        if troubles:
            raise troubles[0]
        return [future.result() for future in futures]


def counted(states: Iterable[tuple[Blob, LayerState]]) -> Layers:
    """The layers among these blobs, counted by state."""
    layers = [(state, blob.size) for blob, state in states if blob.is_layer]
    sent = [size for state, size in layers if state is LayerState.SENT]
    reused, mounted = (sum(state is one for state, _ in layers) for one in (LayerState.REUSED, LayerState.MOUNTED))
    return Layers(reused, mounted, len(sent), sum(sent))
