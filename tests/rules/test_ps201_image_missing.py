"""PS201 fires where the engine was asked and has no such image."""

from __future__ import annotations

import pytest

from pushsafe.model import ImageMissing, LocalImage
from pushsafe.rules.ps201_image_missing import RULE
from tests.rules.facts import facts, image, only, problems

GIVEN = "registry.test/my-api:1.4.3"


@pytest.mark.parametrize(
    ("missing", "said", "fix"),
    [
        (ImageMissing(), f"the engine has no image '{GIVEN}'", f"docker build -t {GIVEN} ."),
        (
            ImageMissing(("registry.test/my-api:1.4.2", "my-api:1.4.3")),
            f"the engine has no image '{GIVEN}'; it has registry.test/my-api:1.4.2, my-api:1.4.3",
            f"docker tag registry.test/my-api:1.4.2 {GIVEN}",
        ),
    ],
    ids=["nothing-near", "near-misses"],
)
def test_fires(missing: ImageMissing, said: str, fix: str) -> None:
    problem = only(RULE, facts(GIVEN, image=missing))
    assert (problem.message, problem.fix) == (said, fix)


@pytest.mark.parametrize("found", [None, image("a")], ids=["not-asked", "there"])
def test_does_not_fire(found: LocalImage | None) -> None:
    assert problems(RULE, facts(GIVEN, image=found)) == []
