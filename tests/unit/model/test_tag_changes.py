"""What a push would put in a tag's place, and whether that is what it names already."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.evidence import TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import ImageMissing, LocalImage, Upcoming
from pushsafe.model.tag_changes import pushed, unchanged
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestInfo
from pushsafe.oci.platform import Platform
from tests.unit.rules.facts import facts, held, image
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, sha

GIVEN = "registry.test/my-api:1"
INDEX = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2")))
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"registry.test/my-api@{sha('b')}",))


def test_pushed() -> None:
    for local, wanted, expected in (
        (None, (), ()),
        (ImageMissing(), (), ()),
        (Upcoming((AMD64, ARM64)), (), (AMD64, ARM64)),
        (Upcoming(()), (), ()),
        (image("a", AMD64), (), (AMD64,)),
        (INDEX, (), (AMD64, ARM64)),
        (INDEX, (Platform("linux", "arm64", "v8"),), (ARM64,)),
        (INDEX, (Platform("linux", "s390x"),), ()),
        (image("a", Platform("", "")), (), ()),
    ):
        assert pushed(facts(GIVEN, image=local, platforms=wanted)) == expected, local


def test_unchanged() -> None:
    for fact, expected in (
        (facts(GIVEN, image=image("a"), now=held("a", AMD64)), True),
        (facts(GIVEN, image=image("a"), now=held("b", AMD64)), False),
        (facts(GIVEN, image=image("a"), now=held("b", AMD64, config=sha("a"))), True),
        (facts(GIVEN, image=image("a"), now=held("b", AMD64, config=sha("c"))), False),
        (facts(GIVEN, image=LocalImage("", (AMD64,)), now=held("b", AMD64)), False),
        (facts(GIVEN, image=PULLED, now=held("b")), True),
        (facts(GIVEN, image=PULLED, now=held("b", AMD64, ARM64)), False),
        (facts(GIVEN, image=INDEX, now=held("a", AMD64, ARM64)), True),
        (facts(GIVEN, image=INDEX, now=held("b", AMD64, ARM64)), False),
        (facts(GIVEN, image=INDEX, now=held("1")), False),
        (facts(GIVEN, image=INDEX, now=held("a", AMD64, ARM64), platforms=(AMD64,)), False),
        (facts(GIVEN, image=INDEX, now=held("1", AMD64), platforms=(AMD64,)), True),
        (facts(GIVEN, image=INDEX, now=held("1"), platforms=(AMD64,)), True),
        (facts(GIVEN, image=INDEX, now=held("2", ARM64), platforms=(AMD64,)), False),
        (facts(GIVEN, image=INDEX, now=TagHeld(ManifestInfo(sha("a"), OCI_INDEX))), True),
        (facts(GIVEN, image=image("a"), now=TagAbsent()), False),
        (facts(GIVEN, image=image("a"), now=TagUnknown("why")), False),
        (facts(GIVEN, image=image("a")), False),
        (facts(GIVEN, image=ImageMissing(), now=held("a")), False),
        (facts(GIVEN, image=Upcoming((AMD64, ARM64), sha("a")), now=held("a", AMD64, ARM64)), True),
        (facts(GIVEN, image=Upcoming((AMD64, ARM64)), now=held("a", AMD64, ARM64)), False),
    ):
        assert unchanged(fact) is expected, fact


def test_the_classic_store_writes_dockers_manifests() -> None:
    """Pulled with an OCI manifest and pushed again, the tag names another digest."""
    for store in (CLASSIC, CONTAINERD):
        for media_type in (DOCKER_MANIFEST, OCI_MANIFEST):
            now = TagHeld(ManifestInfo(sha("b"), media_type))
            written_anew = store is CLASSIC and media_type == OCI_MANIFEST
            assert unchanged(facts(GIVEN, image=PULLED, now=now, store=store)) is not written_anew, media_type
