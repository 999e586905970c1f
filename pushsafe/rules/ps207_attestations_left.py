"""PS207: some platforms of an image are pushed, and the index's attestations or signatures stay behind."""

from __future__ import annotations

from pushsafe.model.facts import PUSHSAFE, Facts, LocalImage, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import option
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    image = facts.image
    if not isinstance(image, LocalImage | Upcoming):
        return None
    left = _of_index(facts, image) if facts.platforms else None
    if not isinstance(image, Upcoming) or not image.untagged:
        return left
    said = (
        f"signatures or similar in the files stay behind ({', '.join(image.untagged)}): registries find them by a tag "
        "made from the digest of their image, and no such tag can be made for these"
    )
    return Problem(facts.reference, f"{left.message}; {said}", left.fix) if left else Problem(facts.reference, said)


def _of_index(facts: Facts, image: LocalImage | Upcoming) -> Problem | None:
    """What stays behind if only some platforms of an index are pushed."""
    whole = f"{facts.whole_command or PUSHSAFE} {facts.reference}   (the whole index"
    left = "the attestations (provenance, SBOM) and signatures that belong to the image's index stay behind"
    if isinstance(image, Upcoming) and image.part_of:
        said = (
            f"a new index of {option(facts.platforms)} alone is pushed: its digest differs from that of the image's "
            f"index ({image.part_of})"
        )
        return Problem(facts.reference, f"{said}, and {left}" if image.attestations else said, f"{whole})")
    if not image.attestations or (isinstance(image, LocalImage) and len(facts.platforms) > 1):
        return None
    said = f"only the manifest for {option(facts.platforms)} is pushed: {left}"
    return Problem(facts.reference, said, f"{whole}, with them)")


RULE = Rule(
    code="PS207",
    slug="attestations-left",
    severity=Severity.INFO,
    needs=Needs.FACTS,
    step="image",
    summary="`--platform` leaves behind what belongs to the whole index",
    explanation=(
        "buildx keeps provenance and SBOM in separate manifests beside the platforms in the image's index. "
        "`--platform P` puts that platform's manifest under the tag, without an index, so the tag has no "
        "attestations. Several platforms of an archive get a new index with their attestations and a new digest, "
        "which a signature of the original index does not cover. A signature saved beside the image also stays behind "
        "if no tag can be made for it."
    ),
    example="docker pushsafe --platform linux/amd64 ghcr.io/myorg/my-api:1.4.2   (built with provenance)",
    fix="Push the whole index, without `--platform`; or ignore this if no one needs the attestations.",
    check=each(check),
)
