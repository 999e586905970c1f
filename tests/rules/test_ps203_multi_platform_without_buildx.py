"""PS203 fires where several platforms are wanted or known and the image store holds one."""

from __future__ import annotations

import pytest

from pushsafe.model import Facts, ImageMissing, ManifestInfo, StoreKind
from pushsafe.rules.ps203_multi_platform_without_buildx import RULE
from tests.rules.facts import facts, image, only, problems
from tests.values import AMD64, ARM64, OCI_INDEX, sha

GIVEN = "registry.test/my-api:1"
CLASSIC, CONTAINERD = StoreKind.CLASSIC, StoreKind.CONTAINERD
SOURCE = (f"docker.io/library/base@{sha('e')}", ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64), (sha("1"), sha("2"))))


@pytest.mark.parametrize(
    ("listed", "said", "fix"),
    [
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
    ],
    ids=["asked-for", "asked-for-and-missing", "pulled-from-an-index"],
)
def test_fires(listed: Facts, said: str, fix: str) -> None:
    problem = only(RULE, listed)
    assert said in problem.message
    assert problem.fix == fix


@pytest.mark.parametrize(
    "listed",
    [
        facts(GIVEN, image=image("a"), platforms=(AMD64, ARM64)),
        facts(GIVEN, store=CONTAINERD, image=image("a", AMD64, ARM64), source=SOURCE),
        facts(GIVEN, store=CLASSIC, image=image("a")),
        facts(GIVEN, store=CLASSIC, image=image("a"), source=SOURCE, platforms=(AMD64,)),
        facts(GIVEN, store=CLASSIC, image=ImageMissing(), source=SOURCE),
    ],
    ids=["engine-not-asked", "containerd-store", "built-here", "that-platform-is-wanted", "no-image"],
)
def test_does_not_fire(listed: Facts) -> None:
    assert problems(RULE, listed) == []
