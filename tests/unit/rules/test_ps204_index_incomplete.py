"""PS204 fires where the image's index names platforms that the store does not hold."""

from __future__ import annotations

import pytest

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.facts import Facts, ImageMissing, LocalImage
from pushsafe.rules.ps204_index_incomplete import RULE
from tests.unit.rules.facts import facts, image, only, problems
from tests.values import AMD64, ARM64, sha

GIVEN = "registry.test/my-api:1"
HALF = LocalImage(sha("a"), (AMD64,), (ARM64,))
PULLED = HALF._replace(repo_digests=(f"docker.io/library/base@{sha('b')}", f"registry.test/base@{sha('a')}"))
BUILD = f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push ."


@pytest.mark.parametrize(
    ("local", "fix"),
    [
        (HALF, BUILD),
        (PULLED, f"docker pull --platform linux/arm64 registry.test/base@{sha('a')}"),
        (
            PULLED._replace(platforms=(), missing=(AMD64, ARM64)),
            f"docker pull --platform linux/amd64 registry.test/base@{sha('a')} && "
            f"docker pull --platform linux/arm64 registry.test/base@{sha('a')}",
        ),
    ],
    ids=["built", "pulled", "nothing-is-here"],
)
def test_fires(local: LocalImage, fix: str) -> None:
    problem = only(RULE, facts(GIVEN, store=CONTAINERD, image=local))
    assert "names linux/amd64, linux/arm64, and the engine has no content for " in problem.message
    assert BUILD in problem.message
    one = f"docker pushsafe --platform linux/amd64 {GIVEN}"
    assert (one in problem.message) is bool(local.platforms)
    assert problem.fix == fix


@pytest.mark.parametrize(
    "listed",
    [
        facts(GIVEN, store=CONTAINERD, image=image("a", AMD64, ARM64)),
        facts(GIVEN, store=CONTAINERD, image=HALF, platforms=(AMD64,)),
        facts(GIVEN, store=CONTAINERD, image=ImageMissing()),
        facts(GIVEN),
    ],
    ids=["complete", "one-is-wanted", "no-image", "engine-not-asked"],
)
def test_does_not_fire(listed: Facts) -> None:
    assert problems(RULE, listed) == []
