"""PS202: tags of one repository that name different images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.facts import Facts, LocalImage
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    first: dict[str, tuple[str, str]] = {}
    said: set[str] = set()
    for fact in facts:
        reference = fact.reference
        if not isinstance(fact.image, LocalImage) or not fact.listed:
            continue
        tag, image_id = first.setdefault(reference.name, (reference.tag, fact.image.id))
        if fact.image.id != image_id and reference.tag not in said:
            said.add(reference.tag)
            yield Problem(
                reference,
                f"the tag {reference.tag!r} names another image ({_short(fact.image.id)}) than {tag!r} "
                f"({_short(image_id)}); their age may show which is right",
                f"docker image inspect -f '{{{{.Created}}}} {{{{.RepoTags}}}}' {reference.name}:{tag} {reference}",
            )


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


RULE = Rule(
    code="PS202",
    slug="tags-differ",
    severity=Severity.WARNING,
    needs=Needs.FACTS,
    step="image",
    summary="listed tags of one repository name different images",
    explanation=(
        "Tags pushed together usually belong to one build: `1.4.2`, `1.4` and `latest`. A tag that still names last "
        "week's image was probably forgotten, and its users would get the old content."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:1.4.2 ghcr.io/myorg/my-api:latest   (latest was not tagged anew)",
    fix="Tag all of them from one image, or push them in separate runs.",
    check=check,
)
