"""PS203: several platforms are requested or known, but this engine's store, or this builder, supports one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.model.facts import Builder, Buildx, Facts, LocalImage, PulledIndex, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import Platform, listed, option
from pushsafe.oci.reference import Reference
from pushsafe.rules.buildx_commands import Way, build, copy, instead
from pushsafe.rules.rule import Needs, Problem, Rule


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    """One problem for all tags that one command fixes."""
    asked = [fact for fact in facts if _in_classic_store(fact) and len(fact.platforms) > 1]
    if asked:
        yield _asked_for([fact.reference for fact in asked], asked[0].platforms, asked[0].buildx)
    pulled: dict[PulledIndex, list[Facts]] = {}
    for fact in facts:
        # one platform of an index in a registry, none requested
        if _in_classic_store(fact) and isinstance(fact.image, LocalImage) and fact.pulled_from and not fact.platforms:
            pulled.setdefault(fact.pulled_from, []).append(fact)
    for index, of_one in pulled.items():
        yield _pulled(index, of_one)
    for fact in facts:
        if isinstance(fact.image, Upcoming) and len(fact.image.platforms) > 1 and fact.buildx is not None:
            builder = fact.buildx.current
            if builder is not None and not builder.several:
                yield _beyond_builder(fact, fact.image.platforms, fact.buildx, builder)
                return


def _in_classic_store(fact: Facts) -> bool:
    return fact.one_platform_each and not isinstance(fact.image, Upcoming)


def _asked_for(references: Sequence[Reference], platforms: tuple[Platform, ...], buildx: Buildx | None) -> Problem:
    way = build(references, platforms, buildx)
    said = (
        f"{len(platforms)} platforms are asked for ({option(platforms)}), and this engine's image store holds one: "
        "all of them are built and pushed at once"
    )
    return Problem(references[0], "; ".join(filter(None, (said, way.said))), way.command)


def _pulled(index: PulledIndex, facts: Sequence[Facts]) -> Problem:
    first = facts[0]
    if first.staged:
        way = Way(f"the same again with docker://{index.name} in place of {first.staged}")
    else:
        way = copy([fact.reference for fact in facts], index.name, first.buildx)
    held = first.image.platforms if isinstance(first.image, LocalImage) else ()
    said = (
        f"the image comes from {index.name}, which holds {listed(index.manifest.platforms)}; this engine's image store "
        f"holds {listed(held)} only, and only that would be pushed"
    )
    return Problem(first.reference, "; ".join(filter(None, (said, way.said))), way.command)


def _beyond_builder(fact: Facts, wanted: tuple[Platform, ...], buildx: Buildx, builder: Builder) -> Problem:
    said = (
        f"{len(wanted)} platforms are asked for ({option(wanted)}), and the builder {builder.name!r} (driver "
        f"{builder.driver}, with the engine's classic image store) builds one at a time"
    )
    return Problem(fact.reference, said, instead(buildx.builders, wanted))


RULE = Rule(
    code="PS203",
    slug="multi-platform-without-buildx",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="image",
    summary="a multi-platform image needs buildx or the containerd image store",
    explanation=(
        "The classic image store keeps one platform of an image. A push from it puts a single-platform manifest under "
        "the tag, and machines of other platforms fail with `exec format error` or `no matching manifest`. buildx "
        "builds and pushes all platforms, or copies an existing index between registries; the finding says whether "
        "and which version of buildx is installed, and names a suitable builder. Docker's own driver builds for "
        "several platforms only if the engine has the containerd image store."
    ),
    example="docker pushsafe --platform linux/amd64,linux/arm64 ghcr.io/myorg/my-api:1.4.2",
    fix=(
        "Run the command of the finding (`docker pushsafe buildx` takes the same arguments, and verifies the push), "
        "or use `--platform P` if that one platform is all you want."
    ),
    check=check,
)
