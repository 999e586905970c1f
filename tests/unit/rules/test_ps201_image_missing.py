"""PS201 fires where the engine was asked and has no such image."""

from __future__ import annotations

from pushsafe.model.facts import Facts, ImageMissing
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps201_image_missing import RULE
from tests.unit.rules.facts import facts, fires, image, only, silent
from tests.values import AMD64, ARM64

GIVEN = "registry.test/my-api:1.4.3"


def test_fires() -> None:
    for similar, fix in (
        ((), f"docker build -t {GIVEN} ."),
        (("registry.test/my-api:1.4.2", "my-api:1.4.3"), f"docker tag registry.test/my-api:1.4.2 {GIVEN}"),
        (("registry.test/other:1.4.3", "my-api:1.4.3"), f"docker tag my-api:1.4.3 {GIVEN}"),
        (("registry.test/team/my-api:1.4.3",), "docker image ls"),
    ):
        problem = only(RULE, facts(GIVEN, image=ImageMissing(similar)))
        listed = f"; it has {', '.join(similar)}" if similar else ""
        assert problem.message == f"the engine has no image '{GIVEN}'{listed}", similar
        assert problem.fix == fix, similar


def holding_amd64(*wanted: Platform) -> Facts:
    return facts(GIVEN, image=image("a"), platforms=wanted)


def test_fires_for_a_platform_that_the_image_does_not_hold() -> None:
    said = f"the image '{GIVEN}' holds linux/amd64, not linux/arm64"
    fires(RULE, (holding_amd64(ARM64), said, f"docker pushsafe --platform linux/amd64 {GIVEN}"))


def test_is_silent() -> None:
    silent(RULE, GIVEN, holding_amd64(), holding_amd64(AMD64), holding_amd64(AMD64._replace(variant="v2")))
    silent(RULE, holding_amd64(Platform("a", "b"), Platform("c", "d")))
