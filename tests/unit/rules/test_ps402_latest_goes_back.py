"""PS402 fires where a moving tag would go to a lower version than it names now."""

from __future__ import annotations

from pushsafe.model.evidence import TagAbsent, TagUnknown
from pushsafe.model.facts import ImageMissing, LocalImage, Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.rules.ps402_latest_goes_back import RULE
from tests.unit.rules.facts import facts, held, image, only, problems
from tests.values import AMD64, ARM64, sha

NAME = "registry.test/my-api"


def labelled(version: str) -> LocalImage:
    return image("a")._replace(version=version)


def test_fires() -> None:
    for local, tags, now, newest, version in (
        (image("a"), ("1.9.5",), held("b", also=("2.0.0",)), "2.0.0", "1.9.5"),
        (image("a"), ("v1.9.5", "1.9", "1"), held("b", also=("v2.0.0",)), "v2.0.0", "v1.9.5"),
        (image("a"), ("1.9.5",), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        (image("a"), ("1.9.5",), held("b", version="2.0.0", also=("2.0.1", "1.10.0")), "2.0.1", "1.9.5"),
        (image("a"), ("2.0.0rc1",), held("b", also=("2.0.0",)), "2.0.0", "2.0.0rc1"),
        (image("a"), ("1.9.5",), held("b", also=("2.0.0rc1",)), "2.0.0rc1", "1.9.5"),
        (labelled("1.9.5"), (), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        (labelled("1.9.5"), (), held("b", also=("2.0.0",)), "2.0.0", "1.9.5"),
        (labelled("1.9.5"), ("1.9.5",), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        (labelled("24.04"), ("1.9.5",), held("b", version="24.04", also=("2.0.0",)), "2.0.0", "1.9.5"),
    ):
        others = [facts(f"{NAME}:{tag}", image=local, now=TagAbsent()) for tag in tags]
        problem = only(RULE, *others, facts(f"{NAME}:latest", image=local, now=now))
        assert problem.reference.tag == "latest", newest
        assert problem.message == (
            f"'latest' names version {newest} at registry.test now, and would go back to {version}"
        ), newest
        assert problem.fix == (
            f"docker pushsafe {NAME}:{version}   (without latest)"
            if tags
            else f"docker buildx imagetools inspect {NAME}:latest"
        ), newest


def test_fires_for_what_is_not_made_yet() -> None:
    for digest in ("", sha("a")):
        upcoming = Upcoming((AMD64, ARM64), digest)
        version = facts(f"{NAME}:1.9.5", image=upcoming, now=TagAbsent())
        latest = facts(f"{NAME}:latest", image=upcoming, now=held("b", also=("2.0.0",)))
        assert only(RULE, version, latest).fix == f"the same again without -t {NAME}:latest", digest
        assert problems(RULE, latest) == [], digest
        assert problems(RULE, version, latest._replace(image=Upcoming((AMD64,)))) == [], digest


def test_which_tags_move_is_a_setting() -> None:
    policy = TagPolicy(moving=("newest-*",))
    now, version = held("b", also=("2.0.0",)), facts(f"{NAME}:1.9.5", image=image("a"))
    listed = [facts(f"{NAME}:{tag}", image=image("a"), now=now, policy=policy) for tag in ("newest-x", "latest")]
    assert only(RULE, version, *listed).reference.tag == "newest-x"


def test_does_not_fire() -> None:
    for tag, local, others, now in (
        ("latest", image("a"), ("2.0.0",), held("b", version="1.9.5", also=("1.9.5",))),
        ("latest", image("a"), ("2.0.0",), held("b", version="2.0.0")),
        ("latest", image("a"), (), held("b", version="2.0.0", also=("2.0.0",))),
        ("latest", image("a"), ("2024-edge", "a1b2c3d"), held("b", version="2.0.0")),
        ("latest", image("a"), ("1.9.5",), held("b")),
        ("latest", image("a"), ("1.9.5",), held("b", version="nightly", also=("2024-edge", "20240115"))),
        ("latest", labelled("22.04"), ("1.9.5",), held("b", version="24.04")),
        ("latest", image("a"), ("2",), held("b", also=("2.3.4",))),
        ("latest", image("a"), ("2.3",), held("b", also=("2.3.4",))),
        ("1.9", image("a"), ("1.9.5",), held("b", version="2.0.0", also=("2.0.0",))),
        ("latest", image("a"), ("1.9.5",), held("a", AMD64, version="2.0.0", also=("2.0.0",))),
        ("latest", image("a"), ("1.9.5",), held("b", config=sha("a"), also=("2.0.0",))),
        ("latest", image("a"), ("1.9.5",), TagAbsent()),
        ("latest", image("a"), ("1.9.5",), TagUnknown("connection refused")),
        ("latest", image("a"), ("1.9.5",), None),
    ):
        listed = [facts(f"{NAME}:{other}", image=local, now=TagAbsent()) for other in others]
        assert problems(RULE, *listed, facts(f"{NAME}:{tag}", image=local, now=now)) == [], tag


def test_an_image_that_is_missing_has_no_version() -> None:
    listed = [facts(f"{NAME}:{tag}", image=ImageMissing(), now=held("b", also=("2.0.0",))) for tag in ("1", "latest")]
    assert problems(RULE, *listed) == []
