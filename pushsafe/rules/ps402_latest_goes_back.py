"""PS402: a moving tag would go back to a lower version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.model.tag_changes import moves, unchanged
from pushsafe.model.verdicts import Severity
from pushsafe.model.versions import higher, local_version, version_of
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    yield from each(lambda fact: _goes_back(fact, facts))(facts)


def _goes_back(fact: Facts, facts: Sequence[Facts]) -> Problem | None:
    reference, now = fact.reference, fact.tag_now
    if not moves(fact):
        return None
    if not isinstance(now, TagHeld) or not isinstance(fact.image, LocalImage | Upcoming) or unchanged(fact):
        return None
    version = local_version(fact, facts)
    newer = higher((*now.also, now.version) if _labels_count(fact.image, version) else now.also, version)
    if not newer:
        return None
    is_listed = any(str(one.reference) == f"{reference.name}:{version}" for one in facts)
    fix = f"docker buildx imagetools inspect {reference}"
    if is_listed:
        again = f"{fact.command} {reference.name}:{version}   (without {reference.tag})"
        fix = again if fact.command else f"the same again without -t {reference}"
    return Problem(
        reference,
        f"{reference.tag!r} names version {newer[0]} at {reference.registry} now, and would go back to {version}",
        fix,
    )


def _labels_count(image: LocalImage | Upcoming, version: str) -> bool:
    """Images inherit their base's version label: one that disagrees with the tags is not about this image."""
    return not version_of(image.version) or not (higher((image.version,), version) or higher((version,), image.version))


RULE = Rule(
    code="PS402",
    slug="latest-goes-back",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="tag now",
    summary="a moving tag would go back to a lower version",
    explanation=(
        "A patch of an old release line, pushed by a pipeline that always pushes `latest` too, moves every user of "
        "`latest` back to the old line. An image's version is the highest of its version tags, else its label "
        "`org.opencontainers.image.version`; tags that are no versions (`2024-edge`, commit IDs, dates without dots) "
        "are ignored."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:1.9.5 ghcr.io/myorg/my-api:latest   (latest is 2.0.0 there)",
    fix="Push the version's own tag without the moving one, as shown in the finding.",
    check=check,
)
