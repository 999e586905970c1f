"""PS401 fires where the tag names something else, the louder the less it may change."""

from __future__ import annotations

from pushsafe.model.evidence import NOT_ASKED, TagAbsent, TagState, TagUnknown
from pushsafe.model.facts import ImageMissing, LocalImage, Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps401_overwrites_tag import RULE
from tests.unit.rules.facts import facts, held, image, only, problems
from tests.values import AMD64, ARM64, sha

NAME = "registry.test/my-api"
POLICY = TagPolicy(moving=("latest", "edge-*"), immutable=("v*", "latest-[0-9]", "edge-final"))
LOOK = f"docker buildx imagetools inspect {NAME}:"
RETAG = f"docker tag {NAME}:{{0}} {NAME}:NEW-TAG"


def test_fires() -> None:
    for tag, severity, said, fix in (
        ("1.4.2", None, ", which this push would replace", f"{LOOK}1.4.2"),
        ("LATEST", None, ", which this push would replace", f"{LOOK}LATEST"),
        ("latest", Severity.INFO, "; it is meant to move", f"{LOOK}latest"),
        ("edge-7", Severity.INFO, "; it is meant to move", f"{LOOK}edge-7"),
        ("v1.4.2", Severity.ERROR, "; it must not change ('v*' is immutable)", RETAG.format("v1.4.2")),
        ("latest-7", Severity.ERROR, "; it must not change ('latest-[0-9]' is immutable)", RETAG.format("latest-7")),
        ("edge-final", Severity.ERROR, "; it must not change ('edge-final' is immutable)", RETAG.format("edge-final")),
    ):
        problem = only(RULE, facts(f"{NAME}:{tag}", image=image("a"), now=held("b", AMD64), policy=POLICY))
        assert problem.message == f"{tag!r} exists at registry.test and names sha256:bbbbbbbbbbbb{said}", tag
        assert (problem.severity, problem.fix) == (severity, fix), tag


def test_fires_for_what_is_not_made_yet() -> None:
    build = facts(f"{NAME}:v1", image=Upcoming((AMD64,)), now=held("b", AMD64), policy=POLICY)
    problem = only(RULE, build)
    assert (problem.severity, problem.fix) == (Severity.ERROR, f"-t {NAME}:NEW-TAG")
    assert problems(RULE, build._replace(image=Upcoming((AMD64,), sha("b")))) == []


def test_fires_for_other_content_only_somehow_known() -> None:
    for local, now in (
        (image("a"), held("b", AMD64, config=sha("c"), version="1.4.1")),
        (
            LocalImage(sha("a"), (AMD64,), repo_digests=(f"{NAME}@{sha('b')}",)),
            held("b", AMD64, ARM64, version="1.4.1"),
        ),
        (LocalImage(sha("a"), (AMD64, ARM64), children=(sha("b"), sha("c"))), held("b", AMD64, version="1.4.1")),
    ):
        problem = only(RULE, facts(f"{NAME}:v1", image=local, now=now, policy=POLICY))
        assert problem.severity is Severity.ERROR, local
        assert "names sha256:bbbbbbbbbbbb (version 1.4.1)" in problem.message, local


def test_an_immutable_tag_of_which_nobody_tells() -> None:
    for now, severity in ((TagUnknown("connection refused"), Severity.ERROR), (NOT_ASKED, Severity.WARNING)):
        problem = only(RULE, facts(f"{NAME}:v1", image=image("a"), now=now, policy=POLICY))
        assert problem.message == (
            f"'v1' must not change ('v*' is immutable); could not check whether it exists: {now.why}"
        ), now
        assert problem.severity is severity, now
        assert problem.fix.startswith(f"{LOOK}v1 "), now
        assert problems(RULE, facts(f"{NAME}:1.4.2", image=image("a"), now=now, policy=POLICY)) == [], now


SAME: list[tuple[LocalImage, TagState]] = [
    (image("a"), held("a", AMD64)),
    (image("a"), held("b", AMD64, config=sha("a"))),
    (LocalImage(sha("a"), (AMD64,), repo_digests=(f"{NAME}@{sha('b')}",)), held("b", AMD64)),
    (LocalImage(sha("a"), (AMD64, ARM64)), held("a", AMD64, ARM64)),
    (image("a"), TagAbsent()),
]


def test_the_same_content_is_fine_for_every_tag() -> None:
    for local, now in SAME:
        for tag in ("1.4.2", "latest", "v1.4.2"):
            assert problems(RULE, facts(f"{NAME}:{tag}", image=local, now=now, policy=POLICY)) == [], tag


def test_does_not_fire() -> None:
    for listed in (
        facts(f"{NAME}:v1", image=image("a"), policy=POLICY),
        facts(f"{NAME}:v1", image=ImageMissing(), now=held("b"), policy=POLICY),
        facts(f"{NAME}:v1", image=ImageMissing(), now=TagUnknown("connection refused"), policy=POLICY),
        facts(f"{NAME}:v1", now=held("b"), policy=POLICY),
        facts(f"{NAME}:1", image=image("a"), now=TagUnknown("connection refused"), policy=POLICY),
        facts(f"{NAME}:latest", image=image("a"), now=TagUnknown("connection refused"), policy=POLICY),
    ):
        assert problems(RULE, listed) == [], listed
