"""PS203: several platforms are wanted or known, and this engine's store holds only one."""

from __future__ import annotations

from pushsafe.model import Facts, LocalImage, Platform, Severity, StoreKind
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    if facts.engine is None or facts.engine.store is not StoreKind.CLASSIC:
        return None
    reference = facts.reference
    if len(facts.platforms) > 1:
        wanted = ",".join(str(platform) for platform in facts.platforms)
        return Problem(
            reference,
            f"{len(facts.platforms)} platforms are asked for ({wanted}), and this engine's image store holds one",
            f"docker buildx build --platform {wanted} -t {reference} --push .",
        )
    source = facts.source_index
    if facts.platforms or source is None or not isinstance(facts.image, LocalImage):
        return None
    return Problem(
        reference,
        f"the image comes from {facts.source_name}, which holds {_listed(source.platforms)}; this engine's image "
        f"store holds {_listed(facts.image.platforms)} only, and only that would be pushed",
        f"docker buildx imagetools create -t {reference} {facts.source_name}",
    )


def _listed(platforms: tuple[Platform, ...]) -> str:
    return ", ".join(str(platform) for platform in platforms)


RULE = Rule(
    code="PS203",
    slug="multi-platform-without-buildx",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    summary="a multi-platform image needs buildx or the containerd image store",
    explanation=(
        "The classic image store keeps one platform of an image. Pushing from it puts a "
        "single-platform manifest under the "
        "tag, and machines of the other platforms fail with `exec format error` or `no matching manifest`. buildx "
        "builds and pushes all platforms, or copies an existing index from registry to registry."
    ),
    example="docker pushsafe --platform linux/amd64,linux/arm64 ghcr.io/myorg/my-api:1.4.2",
    fix="Run the buildx command of the finding, or `--platform P` when that one platform is all you want.",
    check=each(check),
)
