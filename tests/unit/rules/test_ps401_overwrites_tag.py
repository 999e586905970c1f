"""PS401 fires where the tag names something else, the louder the less it may change."""

from __future__ import annotations

from pushsafe.model.evidence import NOT_ASKED, TagAbsent, TagState, TagUnknown
from pushsafe.model.facts import Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.rules.ps401_overwrites_tag import RULE
from tests.unit.rules.facts import facts, fires, held, image, only, silent
from tests.values import AMD64, ARM64, sha

NAME = "registry.test/my-api"
POLICY = TagPolicy(moving=("latest", "edge-*"), immutable=("v*", "latest-[0-9]", "edge-final"))
LOOK = f"docker buildx imagetools inspect {NAME}:"
PULLED = LocalImage(sha("a"), (AMD64,), repo_digests=(f"{NAME}@{sha('b')}",))


def push(tag: str, local: LocalImage | ImageMissing | Upcoming | None, now: TagState | None) -> Facts:
    return facts(f"{NAME}:{tag}", image=local, now=now, policy=POLICY)


def test_fires() -> None:
    for tag, severity, said in (
        ("1.4.2", None, ", which this push would replace"),
        ("LATEST", None, ", which this push would replace"),
        ("latest", Severity.INFO, "; it is meant to move"),
        ("edge-7", Severity.INFO, "; it is meant to move"),
        ("v1.4.2", Severity.ERROR, "; it must not change ('v*' is immutable)"),
        ("latest-7", Severity.ERROR, "; it must not change ('latest-[0-9]' is immutable)"),
        ("edge-final", Severity.ERROR, "; it must not change ('edge-final' is immutable)"),
    ):
        problem = only(RULE, push(tag, image("a"), held("b", AMD64)))
        assert problem.message == f"{tag!r} exists at registry.test and names sha256:bbbbbbbbbbbb{said}", tag
        fix = f"docker tag {NAME}:{tag} {NAME}:NEW-TAG" if severity is Severity.ERROR else f"{LOOK}{tag}"
        assert (problem.severity, problem.fix) == (severity, fix), tag


def test_fires_for_what_is_not_made_yet() -> None:
    problem = only(RULE, push("v1", Upcoming((AMD64,)), held("b", AMD64)))
    assert (problem.severity, problem.fix) == (Severity.ERROR, f"-t {NAME}:NEW-TAG")
    silent(RULE, push("v1", Upcoming((AMD64,), sha("b")), held("b", AMD64)))


def test_fires_for_other_content_only_somehow_known() -> None:
    index = LocalImage(sha("a"), (AMD64, ARM64), children=(sha("b"), sha("c")))
    known = "names sha256:bbbbbbbbbbbb (version 1.4.1)"
    fix = f"docker tag {NAME}:v1 {NAME}:NEW-TAG"
    for local, now in (
        (image("a"), held("b", AMD64, config=sha("c"), version="1.4.1")),
        (PULLED, held("b", AMD64, ARM64, version="1.4.1")),
        (index, held("b", AMD64, version="1.4.1")),
    ):
        fires(RULE, (push("v1", local, now), known, fix, Severity.ERROR))


def test_an_immutable_tag_of_which_nobody_tells() -> None:
    for now, severity in ((TagUnknown("connection refused"), Severity.ERROR), (NOT_ASKED, Severity.WARNING)):
        problem = only(RULE, push("v1", image("a"), now))
        said = "'v1' must not change ('v*' is immutable); could not check whether it exists"
        assert (problem.message, problem.severity) == (f"{said}: {now.why}", severity), now
        assert problem.fix.startswith(f"{LOOK}v1 "), now
        silent(RULE, push("1.4.2", image("a"), now), push("latest", image("a"), now))


def test_the_same_content_is_fine_for_every_tag() -> None:
    for tag in ("1.4.2", "latest", "v1.4.2"):
        silent(
            RULE,
            push(tag, image("a"), held("a", AMD64)),
            push(tag, image("a"), held("b", AMD64, config=sha("a"))),
            push(tag, PULLED, held("b", AMD64)),
            push(tag, LocalImage(sha("a"), (AMD64, ARM64)), held("a", AMD64, ARM64)),
            push(tag, image("a"), TagAbsent()),
        )


def test_is_silent_where_one_of_both_is_not_known() -> None:
    silent(RULE, push("v1", image("a"), None), push("v1", ImageMissing(), held("b")), push("v1", None, held("b")))
    silent(RULE, push("v1", ImageMissing(), TagUnknown("connection refused")))
