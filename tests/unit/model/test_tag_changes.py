"""What a push would put in a tag's place, and whether that is what it names already."""

from __future__ import annotations

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.evidence import TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import EngineKind, Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.tag_changes import pushed, unchanged
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestInfo
from pushsafe.oci.platform import Platform
from tests.unit.rules.facts import facts, held, image
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, sha

GIVEN = "registry.test/my-api:1"
INDEX = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("1"), sha("2")))
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"registry.test/my-api@{sha('b')}",))


@pytest.mark.parametrize(
    ("local", "wanted", "expected"),
    [
        (None, (), ()),
        (ImageMissing(), (), ()),
        (Upcoming((AMD64, ARM64)), (), (AMD64, ARM64)),
        (Upcoming(()), (), ()),
        (image("a", AMD64), (), (AMD64,)),
        (INDEX, (), (AMD64, ARM64)),
        (INDEX, (Platform("linux", "arm64", "v8"),), (ARM64,)),
        (INDEX, (Platform("linux", "s390x"),), ()),
        (image("a", Platform("", "")), (), ()),
    ],
    ids=[
        "not-asked",
        "missing",
        "build",
        "build-of-no-known-platform",
        "single",
        "index",
        "one-of-the-index",
        "not-of-the-index",
        "of-no-platform",
    ],
)
def test_pushed(
    local: LocalImage | ImageMissing | Upcoming | None, wanted: tuple[Platform, ...], expected: tuple[Platform, ...]
) -> None:
    assert pushed(facts(GIVEN, image=local, platforms=wanted)) == expected


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
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
    ],
    ids=[
        "same-digest",
        "other-digest",
        "same-config",
        "other-config",
        "neither-id-nor-config-known",
        "pulled-from-it",
        "pulled-from-that-index",
        "same-index",
        "other-index",
        "manifest-of-the-index",
        "one-platform-of-the-same-index",
        "same-platform",
        "platform-not-known",
        "other-platform",
        "index-of-unknown-platforms",
        "absent",
        "not-known",
        "not-asked",
        "no-image",
        "assembled-before",
        "build",
    ],
)
def test_unchanged(fact: Facts, expected: bool) -> None:
    assert unchanged(fact) is expected


@pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, OCI_MANIFEST])
@pytest.mark.parametrize("store", [CLASSIC, CONTAINERD])
def test_the_classic_store_writes_dockers_manifests(media_type: str, store: EngineKind) -> None:
    """Pulled with an OCI manifest and pushed again, the tag names another digest."""
    now = TagHeld(ManifestInfo(sha("b"), media_type))
    written_anew = store is CLASSIC and media_type == OCI_MANIFEST
    assert unchanged(facts(GIVEN, image=PULLED, now=now, store=store)) is not written_anew
