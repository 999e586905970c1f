"""PS206: the tag names an image of another platform."""

from __future__ import annotations

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Facts
from pushsafe.model.tag_changes import pushed
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import lacking, listed
from pushsafe.rules.buildx_commands import widened
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    ours = pushed(facts)
    if not ours or not isinstance(facts.tag_now, TagHeld):
        return None
    reference, theirs = facts.reference, facts.tag_now.manifest.platforms
    if facts.tag_now.unread and not theirs:
        said = (
            f"could not check which platform {reference.tag!r} is for at {reference.registry}: {facts.tag_now.unread}"
        )
        return Problem(reference, said, f"docker buildx imagetools inspect {reference}", Severity.INFO)
    if len(theirs) != 1 or not lacking(theirs, ours):
        return None
    return Problem(
        reference,
        f"{reference.tag!r} is for {listed(theirs)} at {reference.registry} now, and would be for {listed(ours)}",
        widened(facts, (*theirs, *ours), theirs),
    )


RULE = Rule(
    code="PS206",
    slug="platform-change",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="tag now",
    summary="the tag names an image of another platform",
    explanation=(
        "An image built on an ARM laptop does not run where the previous one did: machines of the tag's platform fail "
        "with `exec format error` after the push. One tag can serve both as an index. If the registry does not show "
        "the tag's platform, the finding is only informational."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:1.4.2   (linux/amd64 there, built here for linux/arm64)",
    fix="Build for the tag's platform too with the buildx command of the finding, or push under another tag.",
    check=each(check),
)
