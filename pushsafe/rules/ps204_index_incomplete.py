"""PS204: the image's index has platforms whose content this engine lacks."""

from __future__ import annotations

from pushsafe.model.facts import Facts, LocalImage
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import listed
from pushsafe.rules.buildx_commands import build
from pushsafe.rules.rule import Needs, Problem, Rule, each


def check(facts: Facts) -> Problem | None:
    image, reference = facts.image, facts.reference
    if facts.platforms or not isinstance(image, LocalImage) or not image.missing:
        return None
    named = (*image.platforms, *image.missing)
    pull = _pull(image)
    said = (
        f"the index {image.id} names {listed(named)}, and the engine has no content for {listed(image.missing)}: "
        "its push would put a single platform in the index's place. Pull what is missing, or "
    )
    if not facts.by_name:
        whole = f"an image with all of its platforms in place of {facts.staged}"
        return Problem(reference, f"{said}take {whole}", pull or f"the same again with {whole}")
    way = build((reference,), named, facts.buildx)
    ways = [f"build and push them all ({way.command})"]
    if image.platforms:
        ways.insert(0, f"push one on purpose (docker pushsafe --platform {image.platforms[0]} {reference})")
    return Problem(reference, f"{said}{', or '.join(ways)}{f'; {way.said}' if way.said else ''}", pull or way.command)


def _pull(image: LocalImage) -> str:
    """The command that pulls the missing content, if the index's origin is known."""
    source = next((name for name in image.repo_digests if name.endswith(f"@{image.id}")), "")
    if not source:
        return ""
    return " && ".join(
        f"docker pull --platform {platform} {source}" for platform in dict.fromkeys(map(str, image.missing))
    )


RULE = Rule(
    code="PS204",
    slug="index-incomplete",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="image",
    summary="the image's index names platforms whose content is missing here",
    explanation=(
        "The containerd image store keeps an index even if it has only some of its platforms: `docker pull` fetches "
        "the machine's own, `docker image rm --platform` removes one. `docker push` then pushes a single platform "
        "instead of the index, prints a note, and exits 0; machines of other platforms fail afterwards."
    ),
    example="docker pull alpine && docker tag alpine ghcr.io/myorg/base:1 && docker pushsafe ghcr.io/myorg/base:1",
    fix=(
        "Pull the missing platforms (`docker pull --platform P SOURCE`), or push one platform on purpose "
        "(`--platform P`), or build all of them with the buildx command of the finding."
    ),
    check=each(check),
)
