"""The plan of a push: how each tag comes to name its image."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.oci.reference import Reference


class How(Enum):
    """How a tag comes to name its image."""

    PUSHED = "pushed"
    """The engine pushes it."""
    TAGGED = "tagged"
    """The repository has the content; the manifest is put under the tag directly."""
    ALREADY_THERE = "already-there"
    """The tag already names that digest."""


class Batch(NamedTuple):
    """One image in one repository: `source` is the tag that has or brings the content, `followers` are its other tags.

    `pushed` is false if the source is already in place. `direct`: this program puts the manifest under the followers,
    else the engine pushes them too.
    """

    source: Reference
    followers: tuple[Reference, ...] = ()
    pushed: bool = True
    direct: bool = True


class Lane(NamedTuple):
    """The batches of one registry, in order: each can mount layers of the ones before it."""

    registry: str
    batches: tuple[Batch, ...]


class Step(NamedTuple):
    """What happens to one tag: `source` is the tag whose manifest it gets; none for an assembled index.

    `last`: it waits until every other tag is in place. `origin` is where pushed content comes from, if not the engine.
    """

    reference: Reference
    how: How
    source: Reference | None = None
    last: bool = False
    origin: str = ""


class PushPlan(NamedTuple):
    """The plan of a push: `kept` tags already name their image, `lanes` run side by side, and `last` (the moving tags)
    only after every other tag is in place. `placed` tags get a known manifest: of an assembled index, or an
    archive's."""

    kept: tuple[Reference, ...] = ()
    lanes: tuple[Lane, ...] = ()
    last: tuple[Lane, ...] = ()
    placed: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """One for each tag, in the order in which they begin."""
        found = [Step(reference, How.ALREADY_THERE) for reference in self.kept]
        for lanes, last in ((self.lanes, False), (self.last, True)):
            for batch in (batch for lane in lanes for batch in lane.batches):
                if batch.pushed:
                    found.append(Step(batch.source, How.PUSHED, last=last))
                for follower in batch.followers:
                    tagged = Step(follower, How.TAGGED, batch.source, last)
                    found.append(tagged if batch.direct else Step(follower, How.PUSHED, last=last))
        return (*found, *self.placed)


class Wait(NamedTuple):
    """A pause in seconds before a retry: the host that caused it, and why.

    Together they are a sentence: `registry.example.com` `answers 429 (too many requests)`.
    """

    who: str
    why: str
    seconds: float
