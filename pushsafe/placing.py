"""One manifest, known byte for byte, under any number of tags of any number of repositories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pushsafe.delivery import Delivery, before
from pushsafe.model import INDEX_TYPES, Facts, How, Layers, ManifestContent, ManifestInfo, Pushed
from pushsafe.overwriting import moves
from pushsafe.pushing import finish, held_back
from pushsafe.transfer import Ended
from pushsafe.verification import seen_whole

_REPOSITORIES = 32
"""Repositories that are served, or wait for another one of their registry, at the same time."""

Bring = Callable[[Facts], Layers | None]
"""Lets the repository of a tag hold all that the manifest names: what became of its layers. Raises Ended."""


class Placing:
    """`bring` is called once for each repository that needs it, in several threads. `pool` runs short questions."""

    def __init__(
        self,
        delivery: Delivery,
        pool: ThreadPoolExecutor,
        content: ManifestContent,
        bring: Bring,
        how: How = How.TAGGED,
        *,
        always: bool = False,
    ) -> None:
        """`how` is what is said of the first tag of a repository where none names the manifest yet. With `always`
        something may have to be brought where a tag names it already."""
        self._how = how
        self._always = always
        self._served: set[str] = set()
        self._delivery = delivery
        self._pool = pool
        self._content = content
        self._bring = bring
        self._known: dict[str, ManifestInfo] = {}

    def put(self, facts: Sequence[Facts]) -> None:
        """Give every tag its result; the moving ones last, and only if all others are in place."""
        facts = list({str(fact.reference): fact for fact in facts}.values())  # one listed twice is one tag
        fixed = [fact for fact in facts if not moves(fact)]
        moving = [fact for fact in facts if moves(fact)]
        threads = ThreadPoolExecutor(_REPOSITORIES, thread_name_prefix="pushsafe-repository")
        try:
            self._put(threads, fixed)
            why = held_back(self._delivery, (fact.reference for fact in fixed))
            if why is None:
                self._put(threads, moving)
                return
            for fact in moving:
                self._delivery.finish(fact, why)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _put(self, threads: ThreadPoolExecutor, facts: Sequence[Facts]) -> None:
        repositories: dict[str, list[Facts]] = {}
        for fact in facts:
            repositories.setdefault(fact.reference.name, []).append(fact)
        finish([threads.submit(self._serve, of_one) for of_one in repositories.values()])
        finish([threads.submit(self._read_back, of_one) for of_one in repositories.values()])

    def _serve(self, facts: Sequence[Facts]) -> None:
        """The tags of one repository."""
        name, layers = facts[0].reference.name, None
        kept = [fact for fact in facts if before(fact) == self._content.digest]
        wanted = [fact for fact in facts if fact not in kept]
        there = bool(kept) or name in self._served
        try:
            if name not in self._served and (self._always or not there):
                layers = self._bring(facts[0])
        except Ended as ended:
            for fact in facts:
                self._delivery.finish(fact, ended.outcome)
            return
        self._served.add(name)
        lacked = layers if layers and (layers.sent or layers.mounted) else None
        for number, fact in enumerate(kept):
            self._delivery.leave(fact, self._content.digest, None if number else lacked)
        # The blobs are counted once, with the first tag.
        first = [] if there else [self._pool.submit(self._delivery.put, wanted[0], self._content, layers, self._how)]
        others = wanted[len(first) :]
        finish([*first, *(self._pool.submit(self._delivery.put, fact, self._content) for fact in others)])

    def _read_back(self, facts: Sequence[Facts]) -> None:
        """The tags of one repository; what the manifest names is looked at there once, with the first of them."""
        results = self._delivery.results
        put = [fact for fact in facts if isinstance(results[str(fact.reference)].outcome, Pushed)]
        if put and put[0].reference.name not in self._known and self._content.media_type in INDEX_TYPES:
            first, *put = put
            if found := seen_whole(self._delivery.read_back(first)):
                self._known[first.reference.name] = found
        known = self._known.get(facts[0].reference.name)
        finish([self._pool.submit(self._delivery.read_back, fact, known) for fact in put])
