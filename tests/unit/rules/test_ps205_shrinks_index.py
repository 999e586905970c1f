"""PS205 fires where the tag would lose platforms that it has now, and says which."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.evidence import TagAbsent, TagUnknown
from pushsafe.model.facts import Buildx, Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps205_shrinks_index import RULE
from tests.unit.rules.facts import facts, held, image, only, problems
from tests.values import AMD64, ARM64, OCI_INDEX, sha

GIVEN = "registry.test/my-api:1"
ARM, ARM_V6, ARM_V7 = (Platform("linux", "arm", variant) for variant in ("", "v6", "v7"))
OLD_WINDOWS, NEW_WINDOWS = (Platform("windows", "amd64", "", build) for build in ("10.0.17763.1", "10.0.20348.1"))
INDEX = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2")))
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"registry.test/my-api@{sha('b')}",))
SOURCE = (f"docker.io/library/base@{sha('e')}", ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64)))
BUILD = f"docker buildx build --platform {{}} -t {GIVEN} --push ."


def test_fires_for_what_is_not_made_yet() -> None:
    for buildx, fix in (
        (Buildx("0.29.1"), "the same again with --platform linux/amd64,linux/arm64"),
        (None, "the same again with an image for linux/arm64"),
    ):
        problem = only(RULE, facts(GIVEN, image=Upcoming((AMD64,)), now=held("b", AMD64, ARM64), buildx=buildx))
        assert "would put linux/amd64 alone in its place; lost would be linux/arm64" in problem.message, fix
        assert problem.fix == fix, fix


def test_fires() -> None:
    for listed, severity, said, fix in (
        (
            facts(GIVEN, image=image("a", AMD64), now=held("b", AMD64, ARM64, ARM_V6)),
            None,
            "'1' names an index of 3 platforms at registry.test now, and this push would put linux/amd64 alone in its "
            "place; lost would be linux/arm64, linux/arm/v6",
            BUILD.format("linux/amd64,linux/arm64,linux/arm/v6"),
        ),
        (
            facts(GIVEN, image=image("a", AMD64), now=held("b", ARM64, ARM_V7)),
            None,
            "lost would be linux/arm64, linux/arm/v7",
            BUILD.format("linux/amd64,linux/arm64,linux/arm/v7"),
        ),
        (
            facts(GIVEN, image=image("a", ARM), now=held("b", ARM_V6, ARM_V7)),
            None,
            "lost would be linux/arm/v6",
            BUILD.format("linux/arm,linux/arm/v6"),
        ),
        (
            facts(GIVEN, image=image("a", NEW_WINDOWS), now=held("b", OLD_WINDOWS, NEW_WINDOWS)),
            None,
            "lost would be windows/amd64 (10.0.17763.1)",
            BUILD.format("windows/amd64"),
        ),
        (
            facts(GIVEN, image=INDEX, now=held("b", AMD64, ARM64), platforms=(AMD64,)),
            None,
            "would put linux/amd64 alone in its place; lost would be linux/arm64",
            f"docker pushsafe {GIVEN}",
        ),
        (
            facts(GIVEN, image=INDEX, now=held("a", AMD64, ARM64), platforms=(AMD64,)),
            None,
            "lost would be linux/arm64",
            f"docker pushsafe {GIVEN}",
        ),
        (
            facts(GIVEN, image=PULLED, now=held("b", AMD64, ARM64), store=CLASSIC),
            None,
            "lost would be linux/arm64",
            BUILD.format("linux/amd64,linux/arm64"),
        ),
        (
            facts(GIVEN, image=image("a"), now=held("b", AMD64, ARM64), source=SOURCE),
            None,
            "lost would be linux/arm64",
            f"docker buildx imagetools create -t {GIVEN} {SOURCE[0]}",
        ),
        (
            facts(GIVEN, image=image("a"), now=held("b", AMD64, ARM_V6), source=SOURCE),
            None,
            "lost would be linux/arm/v6",
            BUILD.format("linux/amd64,linux/arm/v6"),
        ),
        (
            facts(GIVEN, image=INDEX, now=held("b", AMD64, ARM64, ARM_V7)),
            Severity.WARNING,
            "'1' names an index of 3 platforms at registry.test now, and this push's index lacks linux/arm/v7",
            BUILD.format("linux/amd64,linux/arm64,linux/arm/v7"),
        ),
    ):
        problem = only(RULE, listed)
        assert said in problem.message, said
        assert (problem.severity, problem.fix) == (severity, fix), said


def test_does_not_fire() -> None:
    for listed in (
        facts(GIVEN, image=image("a")),
        facts(GIVEN, image=image("a"), now=TagAbsent()),
        facts(GIVEN, image=image("a"), now=TagUnknown("connection refused")),
        facts(GIVEN, image=ImageMissing(), now=held("b", AMD64, ARM64)),
        facts(GIVEN, now=held("b", AMD64, ARM64)),
        facts(GIVEN, image=image("a", ARM64), now=held("b", AMD64)),
        facts(GIVEN, image=image("a"), now=held("b")),
        facts(GIVEN, image=INDEX, now=held("b", AMD64, Platform("linux", "arm64", "v8"))),
        facts(GIVEN, image=LocalImage(sha("a"), (AMD64, ARM64, ARM)), now=held("b", AMD64, ARM_V7)),
        facts(GIVEN, image=INDEX._replace(platforms=(AMD64,), missing=(ARM64,)), now=held("a", AMD64, ARM64)),
        facts(GIVEN, image=INDEX, now=held("b", AMD64, ARM64), platforms=(ARM_V6,)),
    ):
        assert problems(RULE, listed) == [], listed


ONE_CONFIG = sha("c")
NO_PLATFORM: dict[str, Facts] = {
    "an artifact in files": facts(GIVEN, image=Upcoming((), sha("a"))),
    "an image whose layers are still to be packed": facts(GIVEN, image=Upcoming((), config=ONE_CONFIG)),
    "an image without an os": facts(GIVEN, image=image("a", Platform("", "amd64")), store=CLASSIC),
    "an image without anything": facts(GIVEN, image=image("a", Platform("", ""))),
    "an empty index": facts(GIVEN, image=LocalImage(sha("a"), ()), store=CONTAINERD),
}


def test_fires_for_what_has_no_platform() -> None:
    for case, fact in NO_PLATFORM.items():
        problem = only(RULE, fact._replace(tag_now=held("b", AMD64, ARM64)))
        assert "this push has no platform: all of them would be lost (linux/amd64, linux/arm64)" in problem.message, (
            case
        )
        assert (problem.severity, "NEW-TAG" in problem.fix) == (None, True), case
        assert problems(RULE, fact._replace(tag_now=held("b", AMD64))) == [], "it is for one platform"
        assert problems(RULE, fact._replace(tag_now=TagAbsent())) == [], case


NOT_KNOWN: dict[str, Facts] = {
    "a build": facts(GIVEN, image=Upcoming(())),
    "no image": facts(GIVEN, image=ImageMissing()),
    "nobody asked": facts(GIVEN),
    "an index of which nothing is here": facts(GIVEN, image=LocalImage(sha("a"), (), (AMD64, ARM64))),
    "another platform was asked for": facts(GIVEN, image=image("a", AMD64), platforms=(ARM_V6,)),
    "the same artifact": facts(GIVEN, image=Upcoming((), sha("b"))),
}


def test_is_silent_where_the_platforms_are_not_known() -> None:
    for case, fact in NOT_KNOWN.items():
        assert problems(RULE, fact._replace(tag_now=held("b", AMD64, ARM64))) == [], case
