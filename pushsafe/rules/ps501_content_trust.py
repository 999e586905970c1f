"""PS501: signed pushes are requested, and this program does not sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.facts import Facts, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule

_SAID = "DOCKER_CONTENT_TRUST asks for signed pushes, and docker pushsafe signs nothing"


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    """Once for all references; only a warning if docker would not sign either."""
    for fact in facts:
        if not fact.policy.signed:
            continue
        given = fact.reference.given if fact.reference.tag else f"--all-tags {fact.reference.given}"
        if isinstance(fact.image, Upcoming):
            said = f"{_SAID}; neither do docker buildx and other tools that push without the engine"
            yield Problem(fact.reference, said, "unset DOCKER_CONTENT_TRUST", Severity.WARNING)
        else:
            said = f"{_SAID} (with DOCKER_CONTENT_TRUST=0 it pushes unsigned)"
            yield Problem(fact.reference, said, f"docker push {given}   (signs it)")
        return


RULE = Rule(
    code="PS501",
    slug="content-trust",
    severity=Severity.ERROR,
    needs=Needs.TEXT,
    step="reference",
    summary="DOCKER_CONTENT_TRUST asks for signed pushes",
    explanation=(
        "With DOCKER_CONTENT_TRUST set to anything but a false value (`0`, `f`, `false`), `docker push` signs the tag "
        "it pushed, or fails. `docker pushsafe` does not sign: its push would be unsigned, and clients with the "
        "variable set would not pull it. Builds by buildx, indexes and archives, which docker does not sign either, "
        "are pushed with a warning."
    ),
    example="DOCKER_CONTENT_TRUST=1 docker pushsafe ghcr.io/myorg/my-api:1.4.2",
    fix=(
        "Push with `docker push`, which signs; or, if the push may be unsigned, set `DOCKER_CONTENT_TRUST=0` for this "
        "run or pass `--allow PS501`."
    ),
    check=check,
)
