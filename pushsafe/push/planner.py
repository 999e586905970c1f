"""Plans a push: which tag carries the content, which follow, which are in place already, which go last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pushsafe.model.facts import Facts, LocalImage
from pushsafe.model.plan import Batch, Lane, PushPlan
from pushsafe.model.tag_changes import moves, names_already
from pushsafe.oci.reference import Reference


def plan(facts: Sequence[Facts], *, push_each: bool = False) -> PushPlan:
    """The plan for every listed tag. With `push_each` the engine pushes each of them, even those in place.

    The content of an image goes to each repository once, with its first tag that is not a moving one, unless a tag
    there already names it. If the registry cannot be reached from this machine, the engine pushes every tag.
    """
    listed = tuple({str(fact.reference): fact for fact in facts}.values())  # one listed twice is one tag
    kept = frozenset(str(fact.reference) for fact in listed if not push_each and names_already(fact))
    first: dict[str, list[Batch]] = {}
    last: dict[str, list[Batch]] = {}
    for group in _groups(listed):
        registry = group[0].reference.registry
        for lanes, batch in zip((first, last), _batches(group, kept, direct=not push_each), strict=True):
            if batch is not None:
                lanes.setdefault(registry, []).append(batch)
    there = tuple(fact.reference for fact in listed if str(fact.reference) in kept)
    return PushPlan(there, _lanes(first), _lanes(last))


def promoted(batch: Batch) -> Batch | None:
    """The batch after its source could not be pushed: the next tag carries the content; `None` if there is none."""
    if not batch.followers:
        return None
    return batch._replace(source=batch.followers[0], followers=batch.followers[1:], pushed=True)


def _groups(facts: Iterable[Facts]) -> Iterable[list[Facts]]:
    """The tags of one image in one repository, repositories in the order of their first tags."""
    repositories: dict[str, dict[str, list[Facts]]] = {}
    for fact in facts:
        image = fact.image.id if isinstance(fact.image, LocalImage) else str(fact.reference)
        repositories.setdefault(fact.reference.name, {}).setdefault(image, []).append(fact)
    return (group for images in repositories.values() for group in images.values())


def _batches(group: Sequence[Facts], kept: frozenset[str], *, direct: bool) -> tuple[Batch | None, Batch | None]:
    """The first and the last batch of a group."""
    direct = direct and not any(fact.preflight is not None and fact.preflight.problem for fact in group)
    there = [fact.reference for fact in group if str(fact.reference) in kept]
    moving = [fact.reference for fact in group if str(fact.reference) not in kept and moves(fact)]
    fixed = [fact.reference for fact in group if str(fact.reference) not in kept and not moves(fact)]
    if there:
        return (
            Batch(there[0], tuple(fixed), pushed=False, direct=direct) if fixed else None,
            Batch(there[0], tuple(moving), pushed=False, direct=direct) if moving else None,
        )
    if not fixed:
        return None, _carried(moving, direct=direct)
    last = Batch(fixed[0], tuple(moving), pushed=False, direct=direct) if moving else None
    return _carried(fixed, direct=direct), last


def _carried(references: Sequence[Reference], *, direct: bool) -> Batch:
    return Batch(references[0], tuple(references[1:]), direct=direct)


def _lanes(batches: dict[str, list[Batch]]) -> tuple[Lane, ...]:
    return tuple(Lane(registry, tuple(of_registry)) for registry, of_registry in batches.items())
