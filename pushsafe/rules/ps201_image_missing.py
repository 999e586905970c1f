"""PS201: the engine has no such image."""

from __future__ import annotations

from pushsafe.model.facts import Facts, ImageMissing, LocalImage
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    if isinstance(facts.image, LocalImage):
        return _platform_missing(reference, facts.image, facts.platforms)
    if not isinstance(facts.image, ImageMissing):
        return None
    if not reference.tag:
        return Problem(reference, f"the engine has no tag of {reference.name}", "docker image ls")
    said = f"the engine has no image {str(reference)!r}"
    if not facts.image.near:
        return Problem(reference, said, f"docker build -t {reference} .")
    said = f"{said}; it has {', '.join(facts.image.near)}"
    same = next((near for near in facts.image.near if _same_repository(near, reference)), None)
    # a paste must not push another project's image under this tag
    return Problem(reference, said, f"docker tag {same} {reference}" if same else "docker image ls")


def _same_repository(near: str, reference: Reference) -> bool:
    """Whether the path is the same at any registry, or the bare name that a build gave it."""
    name = near.rpartition(":")[0]
    registry, slash, path = name.partition("/")
    if slash and (registry == "localhost" or any(character in registry for character in ".:")):
        name = path
    return name in (reference.repository, reference.repository.rpartition("/")[2] if not slash else "")


def _platform_missing(reference: Reference, image: LocalImage, wanted: tuple[Platform, ...]) -> Problem | None:
    """The problem of an image that is known to lack the one requested platform."""
    if len(wanted) != 1 or not image.platforms or any(_is(wanted[0], held) for held in image.platforms):
        return None
    held = ", ".join(map(str, image.platforms))
    fix = f"docker pushsafe --platform {image.platforms[0]} {reference}"
    return Problem(reference, f"the image {str(reference)!r} holds {held}, not {wanted[0]}", fix)


def _is(wanted: Platform, held: Platform) -> bool:
    same = (wanted.os, wanted.architecture) == (held.os, held.architecture)
    return same and (not wanted.variant or not held.variant or wanted.variant == held.variant)


RULE = Rule(
    code="PS201",
    slug="image-missing",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="image",
    summary="the engine has no such image, or not for that platform",
    explanation=(
        "A push sends what the engine has under that exact name. Usual causes are a typo, a build that did not tag, "
        "or another engine (context, DOCKER_HOST). With several tags, `docker push` notices after pushing the first "
        "ones. The finding lists similar images."
    ),
    example="docker pushsafe registry.example.com/myorg/my-api:1.4.3   (built was 1.4.2)",
    fix="Build or tag the image under that name; `docker image ls` and `docker context ls` show what is where.",
    check=each(check),
)
