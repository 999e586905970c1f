"""Blobs and manifests on their way to one repository: several side by side, and the first trouble ends them all."""

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
from pushsafe.model.outcomes import Failed, LayerEvent, Layers, LayerState, NotPushed, Outcome
from pushsafe.model.request import PushRequest
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import Blob, ManifestContent, ManifestInfo
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import declined, unreached
from pushsafe.push.recorder import Recorder

BLOBS = 8
"""Large blobs that are on their way at the same time: more would only share the same link; with fewer, the last of most
images begin late, and are alone on it."""
SMALL = 256 * 1024
"""Bytes of a blob that costs round trips rather than time on the link, like any short question."""

_A = TypeVar("_A")
_T = TypeVar("_T")

Move = Callable[[_A, Callable[[int], None]], LayerState | Evidence]
"""Lets the repository hold a blob; it calls the function with the bytes that were sent of it. Raises
RegistryUnreachable and ContentBroken."""


class Ended(Exception):
    """One repository cannot be served, and what that comes to for its tags."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


_WRITE_AGAIN = again_with("", "once the image is written anew, or nothing changes it meanwhile")
_GIVEN_UP = NotPushed("something else went wrong before")


class BlobTransfer:
    """For one run, and for any number of its threads. `pool` runs the short questions; large blobs have threads of
    their own."""

    def __init__(self, request: PushRequest, gateways: Gateways, recorder: Recorder, pool: ThreadPoolExecutor) -> None:
        self._retry_policy = RetryPolicy(request.retries, recorder.waits)
        self._gateways = gateways
        self._recorder = recorder
        self._pool = pool
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def blobs(
        self,
        fact: Facts,
        wanted: Mapping[Blob, _A],
        move: Move[_A],
        refused: Callable[[_A, Evidence], Outcome],
    ) -> Layers:
        """Let the repository of a tag hold them all; what became of the layers among them.

        `refused` tells what a refusal comes to. Raises Ended.
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
        """Those of a registry, so that a slow one does not keep the others waiting."""
        with self._lock:
            if registry not in self._threads:
                self._threads[registry] = ThreadPoolExecutor(BLOBS, thread_name_prefix="pushsafe-blob")
            return self._threads[registry]

    def _moved(
        self,
        fact: Facts,
        blob: Blob,
        move: Callable[[Callable[[int], None]], LayerState | Evidence],
        over: threading.Event,
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
        """How a layer stands; of other blobs nobody wants to know."""
        if blob.is_layer:
            short = blob.digest.partition(":")[2][:12]
            self._recorder.observer.layer(LayerEvent(fact.reference, short, state, size, blob.size))

    def put(self, fact: Facts, content: ManifestContent) -> None:
        """Let the repository of a tag hold a manifest by its digest alone; whatever goes wrong with the answer, it does
        where it shows it. Raises Ended."""
        self._recorder.require_running()
        reference, credential = fact.repository
        registry = self._gateways.registry()
        try:
            said = registry.put(reference, credential, content, self._retry_policy, tagged=False)
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
        """The results for all of them, side by side. The first trouble sets `over`, and is raised when nothing is under
        way any more."""
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
            future.exception()  # not `wait`, which never ends for what an executor's shutdown has cancelled
        if troubles:
            raise troubles[0]
        return [future.result() for future in futures]


def counted(states: Iterable[tuple[Blob, LayerState]]) -> Layers:
    """The layers among these blobs, by what became of each."""
    layers = [(state, blob.size) for blob, state in states if blob.is_layer]
    sent = [size for state, size in layers if state is LayerState.SENT]
    reused, mounted = (sum(state is one for state, _ in layers) for one in (LayerState.REUSED, LayerState.MOUNTED))
    return Layers(reused, mounted, len(sent), sum(sent))
