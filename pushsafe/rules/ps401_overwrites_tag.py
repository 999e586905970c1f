"""PS401: the tag exists and names something else."""

from __future__ import annotations

from pushsafe.model.evidence import NOT_ASKED, TagHeld, TagUnknown
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.model.tag_changes import matching, moves, unchanged
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    if not isinstance(facts.image, LocalImage | Upcoming):
        return None
    reference, now = facts.reference, facts.tag_now
    immutable = matching(reference.tag, facts.policy.immutable)
    look = f"docker buildx imagetools inspect {reference}"
    if isinstance(now, TagUnknown) and immutable:
        said = f"{reference.tag!r} must not change ({immutable!r} is immutable); could not check whether it exists"
        # a lint that asks no registry sends nothing either
        severity = Severity.WARNING if now == NOT_ASKED else Severity.ERROR
        return Problem(reference, f"{said}: {now.why}", f"{look}   (then --allow PS401, if it is a new tag)", severity)
    if not isinstance(now, TagHeld) or unchanged(facts):
        return None
    said = f"{reference.tag!r} exists at {reference.registry} and names {_named(now)}"
    if immutable:
        fix = f"docker tag {reference} {reference.name}:NEW-TAG"
        if isinstance(facts.image, Upcoming):
            fix = f"{facts.command or '-t'} {reference.name}:NEW-TAG"
        return Problem(reference, f"{said}; it must not change ({immutable!r} is immutable)", fix, Severity.ERROR)
    if moves(facts):
        return Problem(reference, f"{said}; it is meant to move", look, Severity.INFO)
    return Problem(reference, f"{said}, which this push would replace", look)


def _named(now: TagHeld) -> str:
    short = ":".join(part[:12] for part in now.manifest.digest.split(":"))
    return f"{short} (version {now.version})" if now.version else short


RULE = Rule(
    code="PS401",
    slug="overwrites-tag",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="tag now",
    summary="the tag exists and names something else",
    explanation=(
        "A push to an existing release tag changes the content for everyone who pinned it. For tags that the settings "
        "declare immutable the finding is an error, even if the registry does not say whether the tag exists "
        "(`--no-preflight` still checks these; `--allow PS401` lets a push go on if you know that its tag is new). "
        "For moving tags (such as `latest`) it is only informational. Pushing the same content again is always fine."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:1.4.2   (released last week, and built anew since)",
    fix="Give the new build its own tag, or declare the tag as moving in the settings.",
    check=each(check),
)
