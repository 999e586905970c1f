"""The plan: what carries the content, what follows, what stays, and what goes last."""

from __future__ import annotations

from collections.abc import Sequence

from pushsafe.engine import kinds
from pushsafe.model.evidence import Preflight, TagAbsent, TagHeld, TagState
from pushsafe.model.facts import EngineInfo, Facts, ImageMissing, LocalImage
from pushsafe.model.plan import Batch, How, PushPlan
from pushsafe.model.request import TagPolicy
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.push.planner import plan, promoted
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, ref, sha

API, WEB, OTHER = "a.test/team/api", "a.test/team/web", "b.test/team/api"
IMAGE, ANOTHER = LocalImage(sha("a"), (AMD64,)), LocalImage(sha("b"), (AMD64,))
CONTAINERD = EngineInfo("28.5.2", "1.51", kinds.CONTAINERD, AMD64)
CLASSIC = EngineInfo("28.5.2", "1.51", kinds.CLASSIC, AMD64)


def fact(
    name: str,
    image: LocalImage | ImageMissing = IMAGE,
    now: TagState | None = None,
    *,
    engine: EngineInfo = CONTAINERD,
    platforms: tuple[Platform, ...] = (),
    problem: str = "",
) -> Facts:
    return Facts(
        ref(name),
        image=image,
        engine=engine,
        platforms=platforms,
        tag_now=now,
        policy=TagPolicy(moving=("latest", "edge")),
        preflight=Preflight(problem=problem),
    )


def held(
    digest: str = IMAGE.id, media_type: str = OCI_MANIFEST, platforms: tuple[Platform, ...] = (), config: str = ""
) -> TagHeld:
    return TagHeld(ManifestInfo(digest, media_type, platforms, config=config))


def written(found: PushPlan) -> list[str]:
    """A plan as words: `*` before what waits for everything else."""
    said = {How.PUSHED: "push", How.TAGGED: "tag", How.ALREADY_THERE: "keep"}
    return [
        f"{'* ' if step.last else ''}{said[step.how]} {step.reference}"
        + (f" as {step.source.tag}" if step.source is not None else "")
        for step in found.steps
    ]


TABLE: Sequence[tuple[str, list[Facts], list[str]]] = [
    ("one tag", [fact(f"{API}:1")], [f"push {API}:1"]),
    (
        "three tags of one image",
        [fact(f"{API}:1"), fact(f"{API}:2"), fact(f"{API}:3")],
        [f"push {API}:1", f"tag {API}:2 as 1", f"tag {API}:3 as 1"],
    ),
    (
        "one listed twice",
        [fact(f"{API}:1"), fact(f"{API}:2"), fact(f"{API}:1")],
        [f"push {API}:1", f"tag {API}:2 as 1"],
    ),
    (
        "two images in one repository",
        [fact(f"{API}:1"), fact(f"{API}:2", ANOTHER), fact(f"{API}:3"), fact(f"{API}:4", ANOTHER)],
        [f"push {API}:1", f"tag {API}:3 as 1", f"push {API}:2", f"tag {API}:4 as 2"],
    ),
    (
        "one image in two repositories",
        [fact(f"{API}:1"), fact(f"{WEB}:1"), fact(f"{API}:2"), fact(f"{WEB}:2")],
        [f"push {API}:1", f"tag {API}:2 as 1", f"push {WEB}:1", f"tag {WEB}:2 as 1"],
    ),
    (
        "two registries",
        [fact(f"{API}:1"), fact(f"{OTHER}:1"), fact(f"{WEB}:1"), fact(f"{OTHER}:2")],
        [f"push {API}:1", f"push {WEB}:1", f"push {OTHER}:1", f"tag {OTHER}:2 as 1"],
    ),
    (
        "a moving tag listed first",
        [fact(f"{API}:latest"), fact(f"{API}:1"), fact(f"{API}:edge"), fact(f"{OTHER}:1")],
        [f"push {API}:1", f"push {OTHER}:1", f"* tag {API}:latest as 1", f"* tag {API}:edge as 1"],
    ),
    (
        "moving tags only",
        [fact(f"{API}:latest"), fact(f"{API}:edge")],
        [f"* push {API}:latest", f"* tag {API}:edge as latest"],
    ),
    (
        "a moving tag of another image",
        [fact(f"{API}:1"), fact(f"{API}:latest", ANOTHER)],
        [f"push {API}:1", f"* push {API}:latest"],
    ),
    (
        "a moving tag in another repository",
        [fact(f"{API}:latest"), fact(f"{WEB}:1")],
        [f"push {WEB}:1", f"* push {API}:latest"],
    ),
    (
        "what is there has the content",
        [fact(f"{API}:1"), fact(f"{API}:2", now=held()), fact(f"{API}:latest"), fact(f"{WEB}:1")],
        [f"keep {API}:2", f"tag {API}:1 as 2", f"push {WEB}:1", f"* tag {API}:latest as 2"],
    ),
    (
        "a moving tag that is there has it too, and stays",
        [fact(f"{API}:1"), fact(f"{API}:latest", now=held())],
        [f"keep {API}:latest", f"tag {API}:1 as latest"],
    ),
    ("all is there", [fact(f"{API}:1", now=held()), fact(f"{WEB}:1", now=held())], [f"keep {API}:1", f"keep {WEB}:1"]),
    ("another image is there", [fact(f"{API}:1", now=held(sha("0")))], [f"push {API}:1"]),
    ("nothing is there", [fact(f"{API}:1", now=TagAbsent())], [f"push {API}:1"]),
    (
        "a registry that only the engine reaches",
        [fact(f"{API}:{tag}", problem="refused") for tag in ("1", "2", "latest")]
        + [fact(f"{OTHER}:1"), fact(f"{OTHER}:2")],
        [f"push {API}:1", f"push {API}:2", f"push {OTHER}:1", f"tag {OTHER}:2 as 1", f"* push {API}:latest"],
    ),
    (
        "images that nobody has (PS201 allowed)",
        [fact(f"{API}:1", ImageMissing()), fact(f"{API}:2", ImageMissing())],
        [f"push {API}:1", f"push {API}:2"],
    ),
]


def test_a_plan() -> None:
    for facts, steps in (row[1:] for row in TABLE):
        assert written(plan(facts)) == steps, steps


def test_every_tag_has_one_step() -> None:
    for facts in (row[1] for row in TABLE):
        listed = sorted({str(one.reference) for one in facts})
        assert sorted(str(step.reference) for step in plan(facts).steps) == listed, facts
        each = plan(facts, push_each=True).steps
        assert sorted(str(step.reference) for step in each) == listed, facts
        assert {step.how for step in each} == {How.PUSHED}, facts


def test_lanes_are_one_for_each_registry() -> None:
    found = plan([fact(f"{API}:1"), fact(f"{OTHER}:1"), fact(f"{WEB}:latest"), fact(f"{WEB}:1")])
    assert [(lane.registry, len(lane.batches)) for lane in found.lanes] == [("a.test", 2), ("b.test", 1)]
    assert [lane.registry for lane in found.last] == ["a.test"]


# ---------------------------------------------------------------------- what is there already

CHILD = sha("c")
INDEX = LocalImage(sha("1"), (AMD64, ARM64), children=(CHILD, sha("e")))
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"{API}@{sha('d')}",))


def test_only_the_very_digest_is_there_already() -> None:
    for one, kept in (
        (fact(f"{API}:1", IMAGE, held()), True),
        (fact(f"{API}:1", INDEX, held(INDEX.id, OCI_INDEX)), True),
        (fact(f"{API}:1", INDEX, held(INDEX.id, OCI_INDEX), platforms=(AMD64,)), False),
        (fact(f"{API}:1", INDEX, held(CHILD)), False),
        (fact(f"{API}:1", INDEX, held(CHILD), platforms=(AMD64,)), False),
        (fact(f"{API}:1", INDEX, held(CHILD, platforms=(AMD64,)), platforms=(AMD64,)), True),
        (fact(f"{API}:1", INDEX, held(CHILD, platforms=(ARM64,)), platforms=(AMD64,)), False),
        (fact(f"{API}:1", PULLED, held(sha("d"), DOCKER_MANIFEST), engine=CLASSIC), True),
        (fact(f"{API}:1", PULLED, held(sha("d"), OCI_MANIFEST), engine=CLASSIC), False),
        (fact(f"{API}:1", PULLED, held(sha("d"), OCI_INDEX), engine=CLASSIC), False),
        (fact(f"{API}:1", PULLED, held(sha("9"), DOCKER_MANIFEST, config=sha("a")), engine=CLASSIC), False),
        (fact(f"{API}:1", ImageMissing(), held()), False),
        (fact(f"{API}:1", IMAGE, held(), platforms=(AMD64,)), True),
        (fact(f"{API}:1", IMAGE, held(), platforms=(ARM64,)), False),
    ):
        assert bool(plan([one]).kept) is kept, one


# ---------------------------------------------------------------------- a source that could not be pushed


def test_the_next_tag_takes_its_place() -> None:
    batch = Batch(ref(f"{API}:1"), (ref(f"{API}:2"), ref(f"{API}:3")))
    second = promoted(batch)
    assert second == Batch(ref(f"{API}:2"), (ref(f"{API}:3"),))
    assert second is not None
    assert promoted(second) == Batch(ref(f"{API}:3"))
    assert promoted(Batch(ref(f"{API}:3"))) is None
