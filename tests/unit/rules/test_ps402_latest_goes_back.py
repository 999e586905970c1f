"""PS402 fires where a moving tag would go to a lower version than it names now."""

from __future__ import annotations

from pushsafe.model.evidence import TagAbsent, TagState, TagUnknown
from pushsafe.model.facts import Facts, ImageMissing, Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.rules.ps402_latest_goes_back import RULE
from tests.unit.rules.facts import facts, held, image, only, problems
from tests.values import AMD64, ARM64, sha

NAME = "registry.test/my-api"


def push(label: str, others: tuple[str, ...], now: TagState | None, tag: str = "latest") -> list[Facts]:
    """A push of `tag` and of the other tags, which are new."""
    local = image("a")._replace(version=label)
    return [
        *(facts(f"{NAME}:{other}", image=local, now=TagAbsent()) for other in others),
        facts(f"{NAME}:{tag}", image=local, now=now),
    ]


def test_fires() -> None:
    for label, others, now, newest, version in (
        ("", ("1.9.5",), held("b", also=("2.0.0",)), "2.0.0", "1.9.5"),
        ("", ("v1.9.5", "1.9", "1"), held("b", also=("v2.0.0",)), "v2.0.0", "v1.9.5"),
        ("", ("1.9.5",), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        ("", ("1.9.5",), held("b", version="2.0.0", also=("2.0.1", "1.10.0")), "2.0.1", "1.9.5"),
        ("", ("2.0.0rc1",), held("b", also=("2.0.0",)), "2.0.0", "2.0.0rc1"),
        ("", ("1.9.5",), held("b", also=("2.0.0rc1",)), "2.0.0rc1", "1.9.5"),
        ("1.9.5", (), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        ("1.9.5", (), held("b", also=("2.0.0",)), "2.0.0", "1.9.5"),
        ("1.9.5", ("1.9.5",), held("b", version="2.0.0"), "2.0.0", "1.9.5"),
        ("24.04", ("1.9.5",), held("b", version="24.04", also=("2.0.0",)), "2.0.0", "1.9.5"),
    ):
        problem = only(RULE, *push(label, others, now))
        said = f"'latest' names version {newest} at registry.test now, and would go back to {version}"
        assert (problem.reference.tag, problem.message) == ("latest", said), (label, now)
        look, without = f"docker buildx imagetools inspect {NAME}:latest", f"docker pushsafe {NAME}:{version}"
        assert problem.fix == (f"{without}   (without latest)" if others else look), (label, now)


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


def test_is_silent() -> None:
    for label, others, now in (
        ("", ("2.0.0",), held("b", version="1.9.5", also=("1.9.5",))),
        ("", ("2.0.0",), held("b", version="2.0.0")),
        ("", (), held("b", version="2.0.0", also=("2.0.0",))),
        ("", ("2024-edge", "a1b2c3d"), held("b", version="2.0.0")),
        ("", ("1.9.5",), held("b")),
        ("", ("1.9.5",), held("b", version="nightly", also=("2024-edge", "20240115"))),
        ("22.04", ("1.9.5",), held("b", version="24.04")),
        ("", ("2",), held("b", also=("2.3.4",))),
        ("", ("2.3",), held("b", also=("2.3.4",))),
        ("", ("1.9.5",), held("a", AMD64, version="2.0.0", also=("2.0.0",))),
        ("", ("1.9.5",), held("b", config=sha("a"), also=("2.0.0",))),
        ("", ("1.9.5",), TagAbsent()),
        ("", ("1.9.5",), TagUnknown("connection refused")),
        ("", ("1.9.5",), None),
    ):
        assert problems(RULE, *push(label, others, now)) == [], (label, others, now)
    newer = held("b", version="2.0.0", also=("2.0.0",))
    assert problems(RULE, *push("", ("1.9.5",), newer, tag="1.9")) == [], "it does not move"
    missing = [one._replace(image=ImageMissing()) for one in push("", ("1.9.5",), newer)]
    assert problems(RULE, *missing) == [], "it has no version"
