"""PS203 fires where several platforms are wanted or known and the image store holds one."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.facts import Builder, Buildx, ImageMissing, Upcoming
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.rules.buildx_commands import NEW_BUILDER
from pushsafe.rules.ps203_multi_platform_without_buildx import RULE
from tests.unit.rules.facts import facts, image, only, problems
from tests.values import AMD64, ARM64, OCI_INDEX, sha

GIVEN = "registry.test/my-api:1"
OTHER = "registry.test/my-api:2"
SOURCE = (f"docker.io/library/base@{sha('e')}", ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64), (sha("1"), sha("2"))))

ONE_AT_A_TIME = Builder("default", "docker", (AMD64,), current=True)
SEVERAL = Builder("ctd", "docker", (AMD64,), several=True)
BUILDX = Buildx("0.29.1", (ONE_AT_A_TIME, SEVERAL))


def test_fires() -> None:
    for listed, said, fix in (
        (
            facts(GIVEN, store=CLASSIC, image=image("a"), platforms=(AMD64, ARM64)),
            "2 platforms are asked for (linux/amd64,linux/arm64)",
            f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push .",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=ImageMissing(), platforms=(AMD64, ARM64)),
            "2 platforms are asked for",
            f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push .",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=image("a"), source=SOURCE),
            "which holds linux/amd64, linux/arm64; this engine's image store holds linux/amd64 only",
            f"docker buildx imagetools create -t {GIVEN} {SOURCE[0]}",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=image("a"), source=SOURCE, buildx=Buildx(problem="it is not installed")),
            "; it is not installed, and is not needed for this",
            f"docker pushsafe index -t {GIVEN} {SOURCE[0]}",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=image("a"), platforms=(AMD64, ARM64), buildx=BUILDX),
            "; buildx 0.29.1 has a builder for it, 'ctd' (driver docker)",
            f"docker --context ctd buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push .",
        ),
        (
            facts(GIVEN, store=CLASSIC, image=Upcoming((AMD64, ARM64)), buildx=BUILDX),
            "2 platforms are asked for (linux/amd64,linux/arm64), and the builder 'default' (driver docker, with the "
            "engine's classic image store) builds one at a time",
            "the same again as docker --context ctd pushsafe buildx ...   (without --builder)",
        ),
        (
            facts(GIVEN, image=Upcoming((AMD64, ARM64)), buildx=Buildx("0.29.1", (ONE_AT_A_TIME,))),
            "builds one at a time",
            f"{NEW_BUILDER}   (then the same again with --builder multi-platform)",
        ),
    ):
        problem = only(RULE, listed)
        assert said in problem.message, said
        assert problem.fix == fix, said


def test_one_command_for_all_tags() -> None:
    wanted = (AMD64, ARM64)
    asked = [facts(given, store=CLASSIC, image=image("a"), platforms=wanted) for given in (GIVEN, OTHER)]
    [problem] = problems(RULE, *asked)
    assert problem.fix == f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} -t {OTHER} --push ."
    pulled = [facts(given, store=CLASSIC, image=image("a"), source=SOURCE) for given in (GIVEN, OTHER)]
    elsewhere = facts(GIVEN, store=CLASSIC, image=image("a"), source=(f"base@{sha('f')}", SOURCE[1]))
    first, second = problems(RULE, *pulled, elsewhere)
    copied = "docker buildx imagetools create -t"
    assert first.fix == f"{copied} {GIVEN} {SOURCE[0]} && {copied} {OTHER} {GIVEN}"
    assert second.fix == f"docker buildx imagetools create -t {GIVEN} base@{sha('f')}"


def test_does_not_fire() -> None:
    for listed in (
        facts(GIVEN, image=image("a"), platforms=(AMD64, ARM64)),
        facts(GIVEN, store=CONTAINERD, image=image("a", AMD64, ARM64), source=SOURCE),
        facts(GIVEN, store=CLASSIC, image=image("a")),
        facts(GIVEN, store=CLASSIC, image=image("a"), source=SOURCE, platforms=(AMD64,)),
        facts(GIVEN, store=CLASSIC, image=ImageMissing(), source=SOURCE),
        facts(GIVEN, store=CLASSIC, image=Upcoming((AMD64, ARM64))),
        facts(GIVEN, store=CLASSIC, image=Upcoming((AMD64,)), buildx=BUILDX),
        facts(GIVEN, image=Upcoming((AMD64, ARM64)), buildx=Buildx("0.29.1", (SEVERAL._replace(current=True),))),
    ):
        assert problems(RULE, listed) == [], listed


def test_what_an_index_is_put_together_from_is_taken_whole() -> None:
    """Its staging tag is a name that the engine has for the push alone."""
    staged = facts(GIVEN, store=CLASSIC, image=image("a"), source=SOURCE)._replace(staged="base:1")
    (found,) = problems(RULE, staged)
    assert found.fix == f"the same again with docker://{SOURCE[0]} in place of base:1"
