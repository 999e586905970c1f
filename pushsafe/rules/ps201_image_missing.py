"""PS201: the engine has no such image."""

from __future__ import annotations

from pushsafe.model import Facts, ImageMissing, Severity
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    if not isinstance(facts.image, ImageMissing):
        return None
    said = f"the engine has no image {str(facts.reference)!r}"
    if not facts.image.near:
        return Problem(facts.reference, said, f"docker build -t {facts.reference} .")
    near = ", ".join(facts.image.near)
    return Problem(facts.reference, f"{said}; it has {near}", f"docker tag {facts.image.near[0]} {facts.reference}")


RULE = Rule(
    code="PS201",
    slug="image-missing",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    summary="the engine has no such image",
    explanation=(
        "A push sends what the engine holds under that very name. A typing error, a build that did "
        "not tag, or another "
        "engine (context, DOCKER_HOST) are the usual causes; with several tags listed, `docker push` finds out "
        "after having pushed the first ones. The finding names images that look meant."
    ),
    example="docker pushsafe registry.example.com/myorg/my-api:1.4.3   (built was 1.4.2)",
    fix="Build or tag the image under that name; `docker image ls` and `docker context ls` show what is where.",
    check=each(check),
)
