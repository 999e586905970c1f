"""PS207 mentions attestations that `--platform` leaves behind."""

from __future__ import annotations

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.facts import ImageMissing, LocalImage, Upcoming
from pushsafe.rules.ps207_attestations_left import RULE
from tests.unit.rules.facts import facts, fires, image, only, silent
from tests.values import AMD64, ARM64, sha

GIVEN = "registry.test/my-api:1"
ATTESTED = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2"), sha("3"), sha("4")), attestations=2)
STORED = Upcoming((ARM64,), sha("a"), attestations=2, place="oci:out")


def test_fires() -> None:
    one = "only the manifest for linux/arm64 is pushed"
    whole = f"{GIVEN}   (the whole index, with them)"
    engines = facts(GIVEN, store=CONTAINERD, image=ATTESTED, platforms=(ARM64,))
    fires(RULE, (engines, one, f"docker pushsafe {whole}"), (engines, "stay behind", f"docker pushsafe {whole}"))
    fires(RULE, (facts(GIVEN, image=STORED, platforms=(ARM64,)), one, f"docker pushsafe --from oci:out {whole}"))


def test_fires_for_an_index_that_was_made() -> None:
    for left in (0, 1):
        made = Upcoming((AMD64, ARM64), sha("a"), attestations=left, part_of=sha("b"), place="oci:out")
        problem = only(RULE, facts(GIVEN, image=made, platforms=(AMD64, ARM64)))
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


def test_is_silent() -> None:
    silent(
        RULE,
        facts(GIVEN, image=ATTESTED),
        facts(GIVEN, image=ATTESTED, platforms=(AMD64, ARM64)),
        facts(GIVEN, image=image("a", AMD64, ARM64), platforms=(AMD64,)),
        facts(GIVEN, image=ImageMissing(), platforms=(AMD64,)),
        facts(GIVEN, image=Upcoming((AMD64, ARM64), sha("a")), platforms=(AMD64, ARM64)),
    )
