"""PS201 fires where the engine was asked and has no such image."""

from __future__ import annotations

from pushsafe.model.facts import ImageMissing
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps201_image_missing import RULE
from tests.unit.rules.facts import facts, image, only, problems

GIVEN = "registry.test/my-api:1.4.3"


def test_fires() -> None:
    for missing, said, fix in (
        (ImageMissing(), f"the engine has no image '{GIVEN}'", f"docker build -t {GIVEN} ."),
        (
            ImageMissing(("registry.test/my-api:1.4.2", "my-api:1.4.3")),
            f"the engine has no image '{GIVEN}'; it has registry.test/my-api:1.4.2, my-api:1.4.3",
            f"docker tag registry.test/my-api:1.4.2 {GIVEN}",
        ),
        (
            ImageMissing(("registry.test/other:1.4.3", "my-api:1.4.3")),
            f"the engine has no image '{GIVEN}'; it has registry.test/other:1.4.3, my-api:1.4.3",
            f"docker tag my-api:1.4.3 {GIVEN}",
        ),
        (
            ImageMissing(("registry.test/team/my-api:1.4.3",)),
            f"the engine has no image '{GIVEN}'; it has registry.test/team/my-api:1.4.3",
            "docker image ls",
        ),
    ):
        problem = only(RULE, facts(GIVEN, image=missing))
        assert (problem.message, problem.fix) == (said, fix), said


def test_fires_for_a_platform_that_the_image_does_not_hold() -> None:
    problem = only(RULE, facts(GIVEN, image=image("a"))._replace(platforms=(Platform("linux", "arm64"),)))
    assert problem.message == f"the image '{GIVEN}' holds linux/amd64, not linux/arm64"
    assert problem.fix == f"docker pushsafe --platform linux/amd64 {GIVEN}"


def test_does_not_fire_for_a_platform_that_is_there() -> None:
    for wanted in (
        (),
        (Platform("linux", "amd64"),),
        (Platform("linux", "amd64", "v2"),),
        (Platform("a", "b"), Platform("c", "d")),
    ):
        assert problems(RULE, facts(GIVEN, image=image("a"))._replace(platforms=wanted)) == [], wanted


def test_does_not_fire() -> None:
    for found in (None, image("a")):
        assert problems(RULE, facts(GIVEN, image=found)) == [], found
