"""PS203 fires where several platforms are wanted or known and the image store holds one."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.facts import Builder, Buildx, Facts, ImageMissing, Upcoming
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.rules.buildx_commands import NEW_BUILDER
from pushsafe.rules.ps203_multi_platform_without_buildx import RULE
from tests.unit.rules.facts import facts, fires, image, problems, silent
from tests.values import AMD64, ARM64, OCI_INDEX, sha

GIVEN = "registry.test/my-api:1"
OTHER = "registry.test/my-api:2"
BOTH = (AMD64, ARM64)
BASE = f"docker.io/library/base@{sha('e')}"
PULLED = ManifestInfo(sha("e"), OCI_INDEX, BOTH, (sha("1"), sha("2")))
BUILD = "buildx build --platform linux/amd64,linux/arm64"
COPY = "docker buildx imagetools create -t"

ONE_AT_A_TIME = Builder("default", "docker", (AMD64,), current=True)
SEVERAL = Builder("ctd", "docker", (AMD64,), several=True)
BUILDX = Buildx("0.29.1", (ONE_AT_A_TIME, SEVERAL))


def wanting(*platforms: Platform, given: str = GIVEN, buildx: Buildx | None = None) -> Facts:
    return facts(given, store=CLASSIC, image=image("a"), platforms=platforms, buildx=buildx)


def pulled(given: str = GIVEN, source: str = BASE, buildx: Buildx | None = None) -> Facts:
    return facts(given, store=CLASSIC, image=image("a"), source=(source, PULLED), buildx=buildx)


def test_fires() -> None:
    absent = Buildx(problem="it is not installed")
    asked = "2 platforms are asked for (linux/amd64,linux/arm64)"
    holds = "which holds linux/amd64, linux/arm64; this engine's image store holds linux/amd64 only"
    classic = "(driver docker, with the engine's classic image store)"
    has_one = "; buildx 0.29.1 has a builder for it, 'ctd' (driver docker)"
    fires(
        RULE,
        (wanting(*BOTH), asked, f"docker {BUILD} -t {GIVEN} --push ."),
        (wanting(*BOTH)._replace(image=ImageMissing()), asked, f"docker {BUILD} -t {GIVEN} --push ."),
        (wanting(*BOTH, buildx=BUILDX), has_one, f"docker --context ctd {BUILD} -t {GIVEN} --push ."),
        (pulled(), holds, f"{COPY} {GIVEN} {BASE}"),
        (
            pulled(buildx=absent),
            "; it is not installed, and is not needed for this",
            f"docker pushsafe index -t {GIVEN} {BASE}",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=Upcoming(BOTH), buildx=BUILDX),
            f"{asked}, and the builder 'default' {classic} builds one at a time",
            "the same again as docker --context ctd pushsafe buildx ...   (without --builder)",
        ),
        (
            facts(GIVEN, image=Upcoming(BOTH), buildx=Buildx("0.29.1", (ONE_AT_A_TIME,))),
            "builds one at a time",
            f"{NEW_BUILDER}   (then the same again with --builder multi-platform)",
        ),
    )


def test_one_command_for_all_tags() -> None:
    [problem] = problems(RULE, wanting(*BOTH), wanting(*BOTH, given=OTHER))
    assert problem.fix == f"docker {BUILD} -t {GIVEN} -t {OTHER} --push ."
    first, second = problems(RULE, pulled(), pulled(OTHER), pulled(source="other"))
    assert first.fix == f"{COPY} {GIVEN} {BASE} && {COPY} {OTHER} {GIVEN}"
    assert second.fix == f"{COPY} {GIVEN} other"


def test_what_an_index_is_put_together_from_is_taken_whole() -> None:
    """Its staging tag is a name that the engine has for the push alone."""
    fires(RULE, (pulled()._replace(staged="base:1"), "", f"the same again with docker://{BASE} in place of base:1"))


def test_is_silent() -> None:
    silent(
        RULE,
        facts(GIVEN, image=image("a"), platforms=BOTH),
        facts(GIVEN, store=CONTAINERD, image=image("a", *BOTH), source=(BASE, PULLED)),
        wanting(),
        pulled()._replace(platforms=(AMD64,)),
        pulled()._replace(image=ImageMissing()),
        facts(GIVEN, store=CLASSIC, image=Upcoming(BOTH)),
        facts(GIVEN, store=CLASSIC, image=Upcoming((AMD64,)), buildx=BUILDX),
        facts(GIVEN, image=Upcoming(BOTH), buildx=Buildx("0.29.1", (SEVERAL._replace(current=True),))),
    )
