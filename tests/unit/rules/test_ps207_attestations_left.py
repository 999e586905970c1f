"""PS207 mentions attestations that `--platform` leaves behind."""

from __future__ import annotations

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.facts import ImageMissing, LocalImage, Upcoming
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


def test_fires_for_an_index_that_was_made() -> None:
    for left in (0, 1):
        made = Upcoming((AMD64, ARM64), sha("a"), attestations=left, part_of=sha("b"))
        problem = only(RULE, facts(GIVEN, image=made._replace(place="oci:out"), platforms=(AMD64, ARM64)))
        assert "a new index of linux/amd64,linux/arm64 alone is pushed" in problem.message, left
        assert sha("b") in problem.message, left
        assert ("signatures that belong to the image's index stay behind" in problem.message) is bool(left), left
        assert problem.fix == f"docker pushsafe --from oci:out {GIVEN}   (the whole index)", left


def test_fires_for_signatures_without_a_tag() -> None:
    for platforms in ((), (AMD64,)):
        stored = Upcoming((AMD64,), sha("a"), attestations=len(platforms), untagged=(sha("c"),))
        problem = only(RULE, facts(GIVEN, image=stored, platforms=platforms))
        assert f"signatures or similar in the files stay behind ({sha('c')})" in problem.message, platforms
        assert ("only the manifest for linux/amd64 is pushed" in problem.message) is bool(platforms), platforms


def test_does_not_fire() -> None:
    for listed in (
        facts(GIVEN, image=ATTESTED),
        facts(GIVEN, image=ATTESTED, platforms=(AMD64, ARM64)),
        facts(GIVEN, image=image("a", AMD64, ARM64), platforms=(AMD64,)),
        facts(GIVEN, image=ImageMissing(), platforms=(AMD64,)),
        facts(GIVEN, image=Upcoming((AMD64, ARM64), sha("a")), platforms=(AMD64, ARM64)),
    ):
        assert problems(RULE, listed) == [], listed
