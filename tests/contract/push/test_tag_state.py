"""What a tag names before the push, looked at as closely as the rules need it and no closer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.facts import Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.push.tag_state import TagInspector
from tests.fakes.gateways import NOT_THERE, POLICY, Engine, Registry, Scripted, World
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, logged_in, ref, sha

API = "registry.test/team/app"
AWAY = RegistryUnreachable("registry.test: no answer in time")
LIMITED = Evidence(Stage.VERIFY, "too many requests", status=429)
UNSHOWN = "it does not show the config of that image (429; too many requests)"
LOCAL = LocalImage(sha("a"), (AMD64,), repo_digests=(f"{API}@{sha('b')}",), children=(sha("c"),))


def single(digit: str, config: str = "") -> ManifestInfo:
    return ManifestInfo(sha(digit), OCI_MANIFEST, config=config and sha(config))


OTHER = single("5")
WHOLE = single("5", config="6")
INDEX = ManifestInfo(sha("7"), OCI_INDEX, (AMD64, ARM64), (sha("8"), sha("9")))


@dataclass(frozen=True)
class Case:
    """A tag at the registry (`held`), the same by its digest, the config that this one names; what is made of them,
    and the questions that it took."""

    held: Scripted[ManifestInfo | Evidence]
    expected: TagState
    asked: tuple[str, ...] = ()
    image: LocalImage | ImageMissing | Upcoming = LOCAL
    platforms: tuple[Platform, ...] = ()
    whole: Scripted[ManifestInfo | Evidence] = field(default_factory=lambda: WHOLE)
    config: Scripted[ImageConfig | Evidence] = field(default_factory=lambda: ImageConfig(ARM64, "1.9"))


TO_THE_MANIFEST = (f"manifest {API}@{sha('5')} whole",)
TO_THE_CONFIG = (*TO_THE_MANIFEST, f"config {API}@{sha('6')}")
CASES = {
    # HEAD is enough
    "absent": Case(NOT_THERE, TagAbsent()),
    "no image here": Case(OTHER, TagHeld(OTHER), image=ImageMissing()),
    "the image's digest": Case(single("a"), TagHeld(single("a"))),
    "a digest that it was pulled by": Case(single("b"), TagHeld(single("b"))),
    "the manifest of the platform asked for": Case(single("c"), TagHeld(single("c")), platforms=(AMD64,)),
    "another index": Case(INDEX, TagHeld(INDEX)),
    "limited": Case(LIMITED, TagUnknown("the registry answers 429 too many requests")),
    "without a word": Case(Evidence(Stage.VERIFY, "", status=500), TagUnknown("the registry answers 500")),
    "away": Case(AWAY, TagUnknown("registry.test: no answer in time")),
    "the very index that is put together": Case(INDEX, TagHeld(INDEX), image=Upcoming((AMD64, ARM64), INDEX.digest)),
    # more closely
    "what a build replaces": Case(
        OTHER, TagHeld(WHOLE._replace(platforms=(ARM64,)), "1.9"), TO_THE_CONFIG, image=Upcoming((AMD64,))
    ),
    "a manifest of the index that is pushed": Case(
        single("c"), TagHeld(single("c")), (f"manifest {API}@{sha('c')} whole",), whole=LIMITED
    ),
    "the index that it was pulled by": Case(INDEX._replace(digest=sha("b")), TagHeld(INDEX._replace(digest=sha("b")))),
    "the image's config": Case(OTHER, TagHeld(single("5", "a")), TO_THE_MANIFEST, whole=single("5", "a")),
    "another image": Case(OTHER, TagHeld(WHOLE._replace(platforms=(ARM64,)), "1.9"), TO_THE_CONFIG),
    "of no known platform": Case(OTHER, TagHeld(WHOLE), TO_THE_CONFIG, config=ImageConfig()),
    "without a config": Case(OTHER, TagHeld(OTHER), TO_THE_MANIFEST, whole=OTHER),
    "not shown whole": Case(OTHER, TagHeld(OTHER), TO_THE_MANIFEST, whole=LIMITED),
    "gone before it was read": Case(OTHER, TagHeld(OTHER, unread=AWAY.message), TO_THE_MANIFEST, whole=AWAY),
    "its config not shown": Case(OTHER, TagHeld(WHOLE, unread=UNSHOWN), TO_THE_CONFIG, config=LIMITED),
    "gone before its config was read": Case(OTHER, TagHeld(WHOLE, unread=AWAY.message), TO_THE_CONFIG, config=AWAY),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_tag_names(case: Case) -> None:
    by_digest = {f"{API}@{sha(digit)}": case.whole for digit in "5c"}
    registry = Registry(by_digest, {f"{API}:1": case.held}, configs={sha("6"): case.config})
    fact = Facts(ref(f"{API}:1"), image=case.image, platforms=case.platforms)
    found = TagInspector(World(registry=registry).gateways, fact, logged_in(), (fact,)).now()
    assert found == case.expected
    assert registry.asked == [f"manifest {API}:1", *case.asked]


# ---------------------------------------------------------------------- moving tags

NEWER = ("3.0", "2.5", "2.4", "2.3", "2.2", "2.1")
FIVE = [f"manifest {API}:{tag}" for tag in NEWER[:5]]


@dataclass(frozen=True)
class Moving:
    """Tags of the registry, those of them that name what the moving one names, and which is found with which questions;
    `versions` are the local image's other tags."""

    listed: Scripted[tuple[str, ...] | Evidence]
    same: tuple[str, ...]
    also: tuple[str, ...]
    looked_at: list[str]
    versions: tuple[str, ...] = ("2.0",)
    label: str = ""
    tag: str = "latest"
    policy: TagPolicy = POLICY
    trouble: str = ""
    lists: bool = True


MOVING = {
    "to the highest": Moving(("2.0", "2.1", "latest", "1.0"), ("2.1",), ("2.1",), [f"manifest {API}:2.1"]),
    "to none of them": Moving(("2.0", "2.1", "1.0"), (), (), [f"manifest {API}:2.1"]),
    "highest first": Moving(NEWER[::-1], ("2.5",), ("2.5",), FIVE[:2]),
    "at most five": Moving(NEWER, ("2.1",), (), FIVE),
    "no higher one": Moving(("1.0", "1.1", "latest", "edge"), (), (), []),
    "a lower one, the same": Moving(("1.0",), ("1.0",), (), []),
    "by the label": Moving(("2.1",), ("2.1",), ("2.1",), [f"manifest {API}:2.1"], versions=(), label="2.0"),
    "of no known version": Moving(("2.1",), ("2.1",), (), [], versions=(), lists=False),
    "not a moving one": Moving(("2.1",), ("2.1",), (), [], tag="1", lists=False),
    "moving by the settings": Moving(
        ("2.1",), ("2.1",), ("2.1",), [f"manifest {API}:2.1"], tag="nightly-arm", policy=TagPolicy(("nightly-*",))
    ),
    "no longer moving": Moving(("2.1",), ("2.1",), (), [], policy=TagPolicy(moving=()), lists=False),
    "no list": Moving(LIMITED, ("2.1",), (), []),
    "no answer for a list": Moving(AWAY, ("2.1",), (), []),
    "no answer for one": Moving(("2.1", "2.2"), ("2.1",), (), [f"manifest {API}:2.2"], trouble="2.2"),
}


@pytest.mark.parametrize("case", MOVING.values(), ids=MOVING)
def test_the_version_that_a_moving_tag_names(case: Moving) -> None:
    held: dict[str, Scripted[ManifestInfo | Evidence]] = {f"{API}:{tag}": INDEX for tag in (*case.same, case.tag)}
    held |= {f"{API}:{case.trouble}": AWAY} if case.trouble else {}
    registry = Registry(held=held, listed=case.listed)
    image = LOCAL._replace(version=case.label)
    fact, *others = (Facts(ref(f"{API}:{tag}"), image=image, policy=case.policy) for tag in (case.tag, *case.versions))
    found = TagInspector(World(registry=registry).gateways, fact, logged_in(), (fact, *others)).now()
    assert found == TagHeld(INDEX, also=case.also)
    listing = [f"tags {API}"] if case.lists else []
    assert registry.asked == [f"manifest {API}:{case.tag}", *listing, *case.looked_at]


def test_an_image_that_is_there_already_goes_back_to_nothing() -> None:
    registry = Registry(held={f"{API}:latest": single("a")}, listed=NEWER)
    facts = tuple(Facts(ref(f"{API}:{tag}"), image=LOCAL) for tag in ("latest", "2.0"))
    assert TagInspector(World(registry=registry).gateways, facts[0], logged_in(), facts).now() == TagHeld(single("a"))
    assert registry.asked == [f"manifest {API}:latest"]


# ---------------------------------------------------------------------- through the engine

WHY = "registry.test: connection refused"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OTHER, TagHeld(OTHER)),
        (INDEX, TagHeld(INDEX)),
        (NOT_THERE, TagAbsent()),
        (
            Evidence(Stage.VERIFY, "unauthorized", status=401),
            TagUnknown(f"{WHY}; through the engine: 401 unauthorized"),
        ),
        (Evidence(Stage.VERIFY, "no words"), TagUnknown(f"{WHY}; through the engine: no words")),
        (EngineUnreachable("no engine answers"), TagUnknown(f"{WHY}; no engine answers")),
        (EngineFailed("it answers nonsense"), TagUnknown(f"{WHY}; it answers nonsense")),
    ],
    ids=["image", "index", "absent", "refused", "no-status", "down", "nonsense"],
)
def test_through_the_engine(answer: Scripted[ManifestInfo | Evidence], expected: TagState) -> None:
    world = World(Engine(distribution_answer=answer))
    fact = Facts(ref(f"{API}:1"), image=LOCAL)
    assert TagInspector(world.gateways, fact, logged_in(), (fact,)).through_engine(WHY) == expected
    assert world.engine.asked == [f"distribution {API}:1"]
    assert world.registry.asked == []
