"""How each tag gets to name its image."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.oci.reference import Reference


class How(Enum):
    """How a tag gets to name its image."""

    PUSHED = "pushed"
    """The engine pushes it."""
    TAGGED = "tagged"
    """The content is in its repository, and the manifest is put under the tag directly."""
    ALREADY_THERE = "already-there"
    """The tag names that very digest already."""


class Batch(NamedTuple):
    """One image in one repository: `source` is the tag that has or brings the content, `followers` are its other tags.

    Without `pushed` the source is in place by then. `direct`: followers get the manifest put by us, else the engine
    pushes them, too.
    """

    source: Reference
    followers: tuple[Reference, ...] = ()
    pushed: bool = True
    direct: bool = True


class Lane(NamedTuple):
    """What goes to one registry, one batch after the other: each finds the layers of those before it to mount."""

    registry: str
    batches: tuple[Batch, ...]


class Step(NamedTuple):
    """What happens to one tag: for one that is tagged, `source` is the tag whose manifest it gets; none for an index
    that is put together.

    `last` tells that it waits until every other tag is in place. `origin` is where the content of one that is pushed
    lies, where that is not the engine.
    """

    reference: Reference
    how: How
    source: Reference | None = None
    last: bool = False
    origin: str = ""


class PushPlan(NamedTuple):
    """How a push goes: `kept` tags name their image already; lanes run side by side; those of `last`, the moving tags,
    only after every other tag is in place. `placed` tags get a manifest that we know: that of an index which is put
    together from what is there then, or of an image that lies in files.
    """

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
    """A pause of so many seconds before something is tried again: who made us wait (a host), and what it did.

    Read together they are a sentence: `registry.example.com` `answers 429 (too many requests)`.
    """

    who: str
    why: str
    seconds: float
