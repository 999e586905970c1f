"""PS207 mentions attestations that `--platform` leaves behind."""

from __future__ import annotations

import pytest

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.facts import Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps207_attestations_left import RULE
from tests.unit.rules.facts import facts, image, only, problems
from tests.values import AMD64, ARM64, sha

GIVEN = "registry.test/my-api:1"
ATTESTED = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2"), sha("3"), sha("4")), attestations=2)


def test_fires() -> None:
    problem = only(RULE, facts(GIVEN, store=CONTAINERD, image=ATTESTED, platforms=(ARM64,)))
    assert "only the manifest for linux/arm64 is pushed" in problem.message
    assert "stay behind" in problem.message
    assert problem.fix == f"docker pushsafe {GIVEN}   (the whole index, with them)"


def test_fires_for_an_image_in_files() -> None:
    stored = Upcoming((ARM64,), sha("a"), attestations=2)
    problem = only(RULE, facts(GIVEN, image=stored._replace(place="oci:out"), platforms=(ARM64,)))
    assert problem.fix == f"docker pushsafe --from oci:out {GIVEN}   (the whole index, with them)"


@pytest.mark.parametrize("left", [0, 1])
def test_fires_for_an_index_that_was_made(left: int) -> None:
    made = Upcoming((AMD64, ARM64), sha("a"), attestations=left, part_of=sha("b"))
    problem = only(RULE, facts(GIVEN, image=made._replace(place="oci:out"), platforms=(AMD64, ARM64)))
    assert "a new index of linux/amd64,linux/arm64 alone is pushed" in problem.message
    assert sha("b") in problem.message
    assert ("signatures that belong to the image's index stay behind" in problem.message) is bool(left)
    assert problem.fix == f"docker pushsafe --from oci:out {GIVEN}   (the whole index)"


@pytest.mark.parametrize("platforms", [(), (AMD64,)], ids=["whole", "one-platform"])
def test_fires_for_signatures_without_a_tag(platforms: tuple[Platform, ...]) -> None:
    stored = Upcoming((AMD64,), sha("a"), attestations=len(platforms), untagged=(sha("c"),))
    problem = only(RULE, facts(GIVEN, image=stored, platforms=platforms))
    assert f"signatures or similar in the files stay behind ({sha('c')})" in problem.message
    assert ("only the manifest for linux/amd64 is pushed" in problem.message) is bool(platforms)


@pytest.mark.parametrize(
    "listed",
    [
        facts(GIVEN, image=ATTESTED),
        facts(GIVEN, image=ATTESTED, platforms=(AMD64, ARM64)),
        facts(GIVEN, image=image("a", AMD64, ARM64), platforms=(AMD64,)),
        facts(GIVEN, image=ImageMissing(), platforms=(AMD64,)),
        facts(GIVEN, image=Upcoming((AMD64, ARM64), sha("a")), platforms=(AMD64, ARM64)),
    ],
    ids=["the-whole-index", "several", "none-there", "no-image", "all-in-files"],
)
def test_does_not_fire(listed: Facts) -> None:
    assert problems(RULE, listed) == []
