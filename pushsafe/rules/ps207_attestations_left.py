"""PS207: one platform is pushed of an image whose index has attestations, which stay behind."""

from __future__ import annotations

from pushsafe.model import PUSHSAFE, Facts, LocalImage, Severity, Upcoming
from pushsafe.platforms import option
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    image, reference = facts.image, facts.reference
    if len(facts.platforms) != 1 or not isinstance(image, LocalImage | Upcoming) or not image.attestations:
        return None
    return Problem(
        reference,
        f"only the manifest for {option(facts.platforms)} is pushed: the attestations (provenance, SBOM) of the image "
        "belong to its index, and stay behind",
        f"{facts.command or PUSHSAFE} {reference}   (the whole index, with them)",
    )


RULE = Rule(
    code="PS207",
    slug="attestations-left",
    severity=Severity.INFO,
    needs=Needs.FACTS,
    summary="with `--platform` the image's attestations stay behind",
    explanation=(
        "buildx keeps provenance and SBOM in manifests of their own, beside the platforms in the image's index. "
        "`--platform P` puts the manifest of that platform under the tag, and no index: whoever looks for the "
        "attestations of the tag finds none."
    ),
    example="docker pushsafe --platform linux/amd64 ghcr.io/myorg/my-api:1.4.2   (built with provenance)",
    fix="Push the whole index, without `--platform`; or leave it as it is, when nobody asks for attestations.",
    check=each(check),
)
