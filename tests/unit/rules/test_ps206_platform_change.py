"""PS206 fires where the tag names a single image of another platform."""

from __future__ import annotations

from pushsafe.model.evidence import TagAbsent, TagUnknown
from pushsafe.model.facts import ImageMissing, LocalImage
from pushsafe.model.verdicts import Severity
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps206_platform_change import RULE
from tests.unit.rules.facts import facts, fires, held, image, only, silent
from tests.values import AMD64, ARM64, sha

GIVEN = "registry.test/my-api:1"
ARM_V6, ARM_V7 = (Platform("linux", "arm", variant) for variant in ("v6", "v7"))
ARM = image("a", ARM64)
INDEX = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2")))


def test_fires() -> None:
    for fact, now, then in (
        (facts(GIVEN, image=ARM, now=held("b", AMD64)), "linux/amd64", "linux/arm64"),
        (facts(GIVEN, image=image("a", ARM_V7), now=held("b", ARM_V6)), "linux/arm/v6", "linux/arm/v7"),
        (facts(GIVEN, image=INDEX, now=held("1", AMD64), platforms=(ARM64,)), "linux/amd64", "linux/arm64"),
        (facts(GIVEN, image=INDEX, now=held("b", ARM_V7)), "linux/arm/v7", "linux/amd64, linux/arm64"),
    ):
        built = f"{now},{then.replace(' ', '')}"
        fires(RULE, (fact, "", f"docker buildx build --platform {built} -t {GIVEN} --push ."))
        assert only(RULE, fact).message == f"'1' is for {now} at registry.test now, and would be for {then}"


def test_mentions_a_platform_that_could_not_be_read() -> None:
    problem = only(RULE, facts(GIVEN, image=ARM, now=held("b")._replace(unread="more than 32 MiB")))
    assert problem.message == "could not check which platform '1' is for at registry.test: more than 32 MiB"
    assert problem.severity is Severity.INFO


def test_is_silent() -> None:
    silent(
        RULE,
        *(facts(GIVEN, image=ARM, now=now) for now in (None, TagAbsent(), TagUnknown("connection refused"), held("b"))),
        facts(GIVEN, image=ImageMissing(), now=held("b", AMD64)),
        facts(GIVEN, now=held("b", AMD64)),
        facts(GIVEN, image=image("a", AMD64), now=held("b", AMD64)),
        facts(GIVEN, image=image("a", Platform("linux", "arm64", "v8")), now=held("b", ARM64)),
        facts(GIVEN, image=INDEX, now=held("b", ARM64)),
        facts(GIVEN, image=image("a", ARM_V6), now=held("b", AMD64, ARM64)),
    )
