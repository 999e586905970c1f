"""PS205: the tag would lose platforms that it has now."""

from __future__ import annotations

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Facts, LocalImage
from pushsafe.model.tag_changes import has_no_platform, pushed, unchanged
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import Platform, lacking, listed
from pushsafe.rules.buildx_commands import copy, widened
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed


def check(facts: Facts) -> Problem | None:
    ours, none = pushed(facts), has_no_platform(facts)
    if not (ours or none) or not isinstance(facts.tag_now, TagHeld) or unchanged(facts):
        return None
    reference, now = facts.reference, facts.tag_now.manifest
    lost = lacking(now.platforms, ours)
    if len(now.platforms) < 2 or not lost:
        return None
    said = f"{reference.tag!r} names an index of {len(now.platforms)} platforms at {reference.registry} now, and "
    if none:
        said += f"this push has no platform: all of them would be lost ({listed(lost)})"
        return Problem(reference, said, renamed(facts, f"{reference.name}:NEW-TAG"))
    if len(ours) == 1:
        said += f"this push would put {listed(ours)} alone in its place; lost would be {listed(lost)}"
        return Problem(reference, said, _fix(facts, lost))
    return Problem(reference, f"{said}this push's index lacks {listed(lost)}", _fix(facts, lost), Severity.WARNING)


def _fix(facts: Facts, lost: tuple[Platform, ...]) -> str:
    """The whole image if it is available, here or where it was pulled from; else a build."""
    reference, image, source = facts.reference, facts.image, facts.pulled_from
    if facts.place and facts.platforms:
        return f"{facts.whole_command} {reference}   (without --platform)"
    if isinstance(image, LocalImage) and not lacking(lost, image.platforms):
        return f"docker pushsafe {reference}"
    if source is not None and not lacking(lost, source.manifest.platforms):
        return copy((reference,), source.name, facts.buildx).command
    return widened(facts, (*pushed(facts), *lost), lost)


RULE = Rule(
    code="PS205",
    slug="shrinks-index",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="tag now",
    summary="the tag would lose platforms",
    explanation=(
        "A tag with an index serves machines of several platforms. Pushing a single platform under it, from an engine "
        "that has only that one or with `--platform`, replaces the index, and all other machines fail with `exec "
        "format error` or `no matching manifest`. Content without a platform, such as an artifact, fails on all of "
        "them. An index that lacks some of the platforms is only a warning: they may have been dropped on purpose."
    ),
    example="docker pushsafe --platform linux/amd64 ghcr.io/myorg/my-api:1.4.2   (an index of amd64 and arm64 there)",
    fix="Build and push all platforms with the buildx command of the finding, or push this one under its own tag.",
    check=each(check),
)
