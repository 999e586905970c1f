"""PS204 fires where the image's index names platforms that the store does not hold."""

from __future__ import annotations

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.facts import ImageMissing, LocalImage
from pushsafe.rules.ps204_index_incomplete import RULE
from tests.unit.rules.facts import facts, image, only, silent
from tests.values import AMD64, ARM64, sha

GIVEN = "registry.test/my-api:1"
BASE = f"registry.test/base@{sha('a')}"
HALF = LocalImage(sha("a"), (AMD64,), (ARM64,))
PULLED = HALF._replace(repo_digests=(f"docker.io/library/base@{sha('b')}", BASE))
NOTHING = PULLED._replace(platforms=(), missing=(AMD64, ARM64))
BUILD = f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push ."
PULL = f"docker pull --platform linux/amd64 {BASE} && docker pull --platform linux/arm64 {BASE}"


def test_fires() -> None:
    for local, fix in ((HALF, BUILD), (PULLED, f"docker pull --platform linux/arm64 {BASE}"), (NOTHING, PULL)):
        problem = only(RULE, facts(GIVEN, store=CONTAINERD, image=local))
        assert "names linux/amd64, linux/arm64, and the engine has no content for " in problem.message, fix
        assert BUILD in problem.message, fix
        one = f"docker pushsafe --platform linux/amd64 {GIVEN}"
        assert (one in problem.message) is bool(local.platforms), fix
        assert problem.fix == fix, fix


def test_is_silent() -> None:
    silent(
        RULE,
        facts(GIVEN, store=CONTAINERD, image=image("a", AMD64, ARM64)),
        facts(GIVEN, store=CONTAINERD, image=HALF, platforms=(AMD64,)),
        facts(GIVEN, store=CONTAINERD, image=ImageMissing()),
        GIVEN,
    )
