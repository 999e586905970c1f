"""PS205 fires where the tag would lose platforms that it has now, and says which."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.evidence import TagAbsent, TagState, TagUnknown
from pushsafe.model.facts import Buildx, Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps205_shrinks_index import RULE
from tests.unit.rules.facts import facts, fires, held, image, silent
from tests.values import AMD64, ARM64, OCI_INDEX, sha

GIVEN = "registry.test/my-api:1"
ARM, ARM_V6, ARM_V7 = (Platform("linux", "arm", variant) for variant in ("", "v6", "v7"))
OLD_WINDOWS, NEW_WINDOWS = (Platform("windows", "amd64", "", build) for build in ("10.0.17763.1", "10.0.20348.1"))
INDEX = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2")))
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"registry.test/my-api@{sha('b')}",))
BASE = f"docker.io/library/base@{sha('e')}"
SOURCE = (BASE, ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64)))
BOTH = held("b", AMD64, ARM64)


def over(now: TagState | None, local: LocalImage | ImageMissing | Upcoming | None, *platforms: Platform) -> Facts:
    """A push of `local`, of these of its platforms alone, to a tag that names `now`."""
    return facts(GIVEN, image=local, now=now, platforms=platforms)


def build(platforms: str) -> str:
    return f"docker buildx build --platform {platforms} -t {GIVEN} --push ."


def test_fires() -> None:
    lost = "lost would be linux/arm64"
    here = image("a")
    fires(
        RULE,
        (
            over(held("b", AMD64, ARM64, ARM_V6), here),
            "'1' names an index of 3 platforms at registry.test now, and this push would put linux/amd64 alone in its "
            "place; lost would be linux/arm64, linux/arm/v6",
            build("linux/amd64,linux/arm64,linux/arm/v6"),
        ),
        (over(held("b", ARM64, ARM_V7), here), f"{lost}, linux/arm/v7", build("linux/amd64,linux/arm64,linux/arm/v7")),
        (over(held("b", ARM_V6, ARM_V7), image("a", ARM)), "would be linux/arm/v6", build("linux/arm,linux/arm/v6")),
        (
            over(held("b", OLD_WINDOWS, NEW_WINDOWS), image("a", NEW_WINDOWS)),
            "lost would be windows/amd64 (10.0.17763.1)",
            build("windows/amd64"),
        ),
        (over(BOTH, INDEX, AMD64), f"would put linux/amd64 alone in its place; {lost}", f"docker pushsafe {GIVEN}"),
        (over(held("a", AMD64, ARM64), INDEX, AMD64), lost, f"docker pushsafe {GIVEN}"),
        (facts(GIVEN, image=PULLED, now=BOTH, store=CLASSIC), lost, build("linux/amd64,linux/arm64")),
        (facts(GIVEN, image=here, now=BOTH, source=SOURCE), lost, f"docker buildx imagetools create -t {GIVEN} {BASE}"),
        (
            facts(GIVEN, image=here, now=held("b", AMD64, ARM_V6), source=SOURCE),
            "lost would be linux/arm/v6",
            build("linux/amd64,linux/arm/v6"),
        ),
        (
            over(held("b", AMD64, ARM64, ARM_V7), INDEX),
            "'1' names an index of 3 platforms at registry.test now, and this push's index lacks linux/arm/v7",
            build("linux/amd64,linux/arm64,linux/arm/v7"),
            Severity.WARNING,
        ),
    )


def test_fires_for_what_is_not_made_yet() -> None:
    push = over(BOTH, Upcoming((AMD64,)))
    said = "would put linux/amd64 alone in its place; lost would be linux/arm64"
    fires(
        RULE,
        (push._replace(buildx=Buildx("0.29.1")), said, "the same again with --platform linux/amd64,linux/arm64"),
        (push, said, "the same again with an image for linux/arm64"),
    )


def test_fires_for_what_has_no_platform() -> None:
    said = "this push has no platform: all of them would be lost (linux/amd64, linux/arm64)"
    retag = f"docker tag {GIVEN} registry.test/my-api:NEW-TAG"
    rename = f"-t registry.test/my-api:NEW-TAG   (in place of -t {GIVEN})"
    for push, fix in (
        (facts(GIVEN, image=Upcoming((), sha("a"))), rename),
        (facts(GIVEN, image=Upcoming((), config=sha("c"))), rename),
        (facts(GIVEN, image=image("a", Platform("", "amd64")), store=CLASSIC), retag),
        (facts(GIVEN, image=image("a", Platform("", ""))), retag),
        (facts(GIVEN, image=LocalImage(sha("a"), ()), store=CONTAINERD), retag),
    ):
        fires(RULE, (push._replace(tag_now=BOTH), said, fix))
        silent(RULE, push._replace(tag_now=held("b", AMD64)), push._replace(tag_now=TagAbsent()))


def test_is_silent() -> None:
    here = image("a")
    silent(
        RULE,
        *(over(now, here) for now in (None, TagAbsent(), TagUnknown("connection refused"), held("b"))),
        over(held("b", AMD64), image("a", ARM64)),
        over(held("b", AMD64, Platform("linux", "arm64", "v8")), INDEX),
        over(held("b", AMD64, ARM_V7), LocalImage(sha("a"), (AMD64, ARM64, ARM))),
        over(held("a", AMD64, ARM64), INDEX._replace(platforms=(AMD64,), missing=(ARM64,))),
    )


def test_is_silent_where_the_platforms_are_not_known() -> None:
    silent(RULE, over(BOTH, None), over(BOTH, ImageMissing()), over(BOTH, Upcoming(())), over(BOTH, INDEX, ARM_V6))
    silent(RULE, over(BOTH, image("a"), ARM_V6), over(BOTH, LocalImage(sha("a"), (), (AMD64, ARM64))))
    silent(RULE, over(BOTH, Upcoming((), sha("b"))))
