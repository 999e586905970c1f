"""The manifests that an index names, brought to its repository with all their blobs: mounted, or copied as a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from pushsafe.delivery import Delivery
from pushsafe.errors import RegistryUnreachable
from pushsafe.evidence import accepted, credential_of
from pushsafe.gateways import Gateways
from pushsafe.image_index import Unusable, blobs
from pushsafe.model import (
    Blob,
    Descriptor,
    Evidence,
    Facts,
    Failed,
    Failure,
    FailureKind,
    LayerEvent,
    Layers,
    LayerState,
    ManifestContent,
    ManifestInfo,
    NotPushed,
    Outcome,
    Reference,
    Repository,
    Stage,
)

BLOBS = 6
"""Blobs that are on their way at the same time."""

_A = TypeVar("_A")
_T = TypeVar("_T")


class Part(NamedTuple):
    """A manifest that an index names, and a repository that holds it."""

    descriptor: Descriptor
    held: Repository


class Ended(Exception):
    """One repository cannot be served, and what that comes to for its tags."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


_GIVEN_UP = NotPushed("something else went wrong before")


class Bringing:
    """For one run. `pool` runs the short questions; the blobs have threads of their own."""

    def __init__(self, delivery: Delivery, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        self._delivery = delivery
        self._gateways = gateways
        self._pool = pool
        self._threads = ThreadPoolExecutor(BLOBS, thread_name_prefix="pushsafe-blob")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def bring(self, fact: Facts, parts: Sequence[Part]) -> Layers | None:
        """Let the repository of a tag hold all parts; what became of their blobs, `None` where all was there.

        Raises Ended.
        """
        target = repository_of(fact)
        elsewhere = [part for part in parts if part.held.reference.name != target.reference.name]
        there = self._each(elsewhere, lambda part: self._holds(target, part))
        missing = [part for part, held in zip(elsewhere, there, strict=True) if not held]
        if not missing:
            return None
        contents = self._each(missing, self._content)
        wanted: dict[Blob, Repository] = {}
        for part, content in zip(missing, contents, strict=True):
            for blob in _blobs(content):
                wanted.setdefault(blob, part.held)
        self._delivery.observer.pushing(fact.reference)
        with self._delivery.phase("push"):
            layers = self._bring_blobs(fact, wanted)
        self._each(contents, lambda content: self._put(fact, content))
        return layers

    # ------------------------------------------------------------------ blobs

    def _bring_blobs(self, fact: Facts, wanted: dict[Blob, Repository]) -> Layers:
        over = threading.Event()
        states = self._each(wanted, lambda blob: self._blob(fact, blob, wanted[blob], over), self._threads, over)
        layers = [(state, blob.size) for blob, state in zip(wanted, states, strict=True) if blob.is_layer]
        sent = [size for state, size in layers if state is LayerState.SENT]
        reused, mounted = (sum(state is one for state, _ in layers) for one in (LayerState.REUSED, LayerState.MOUNTED))
        return Layers(reused, mounted, len(sent), sum(sent))

    def _blob(self, fact: Facts, blob: Blob, source: Repository, over: threading.Event) -> LayerState:
        delivery, target = self._delivery, repository_of(fact)
        delivery.require_running()

        def tell(state: LayerState, size: int) -> None:
            if blob.is_layer:
                short = blob.digest.partition(":")[2][:12]
                delivery.observer.layer(LayerEvent(fact.reference, short, state, size, blob.size))

        def on_sent(size: int) -> None:
            delivery.require_running()  # an exception ends the request
            if over.is_set():
                raise Ended(_GIVEN_UP)
            tell(LayerState.PUSHING, size)

        try:
            said = self._gateways.registry().bring(blob, source, target, on_sent, delivery.patience)
        except RegistryUnreachable as error:
            raise Ended(_network(error)) from None
        if isinstance(said, Evidence):
            raise Ended(
                _unread(source.reference, said) if said.stage is Stage.VERIFY else delivery.declined(fact, said)
            )
        tell(said, blob.size if said is LayerState.SENT else 0)
        return said

    # ------------------------------------------------------------------ manifests

    def _holds(self, target: Repository, part: Part) -> bool:
        try:
            found = self._gateways.registry().manifest(
                *target, part.descriptor.digest, patience=self._delivery.patience
            )
        except RegistryUnreachable as error:
            raise Ended(_network(error)) from None
        return isinstance(found, ManifestInfo)

    def _content(self, part: Part) -> ManifestContent:
        self._delivery.require_running()
        try:
            found = self._gateways.registry().content(*part.held, part.descriptor.digest, self._delivery.patience)
        except RegistryUnreachable as error:
            raise Ended(_network(error)) from None
        if isinstance(found, Evidence):
            raise Ended(_unread(part.held.reference, found))
        return found

    def _put(self, fact: Facts, content: ManifestContent) -> None:
        self._delivery.require_running()
        reference, credential = repository_of(fact)
        try:
            said = self._gateways.registry().put(reference, credential, content, self._delivery.patience, tagged=False)
        except RegistryUnreachable as error:
            raise Ended(_network(error)) from None
        if not accepted(said) or said.code:
            raise Ended(self._delivery.declined(fact, said))

    def _each(
        self,
        items: Iterable[_A],
        do: Callable[[_A], _T],
        threads: ThreadPoolExecutor | None = None,
        over: threading.Event | None = None,
    ) -> list[_T]:
        """The results for all of them, side by side. The first trouble sets `over`, and is raised when nothing is under
        way any more."""
        ended = over or threading.Event()
        troubles: list[BaseException] = []

        def attempt(item: _A) -> _T:
            if ended.is_set():
                raise Ended(_GIVEN_UP)
            try:
                return do(item)
            except BaseException as trouble:
                troubles.append(trouble)
                ended.set()
                raise

        futures = [(threads or self._pool).submit(attempt, item) for item in items]
        for future in futures:
            future.exception()  # not `wait`, which never ends for what an executor's shutdown has cancelled
        if troubles:
            raise troubles[0]
        return [future.result() for future in futures]


def repository_of(fact: Facts) -> Repository:
    return Repository(fact.reference, credential_of(fact))


def _blobs(content: ManifestContent) -> tuple[Blob, ...]:
    try:
        return blobs(content)
    except Unusable as error:
        said = f"{content.digest} cannot be brought to another repository: it {error}"
        raise Ended(Failed(Failure(FailureKind.REGISTRY_ERROR, said))) from None


def _unread(source: Reference, said: Evidence) -> Failed:
    message = f"what the index names could not be read from {source.name}: the registry answers {said}"
    return Failed(Failure(FailureKind.REGISTRY_ERROR, message, (said,)))


def _network(error: RegistryUnreachable) -> Failed:
    return Failed(Failure(FailureKind.NETWORK, error.message))
