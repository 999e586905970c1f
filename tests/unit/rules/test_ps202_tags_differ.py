"""PS202 fires where listed tags of one repository name different images."""

from __future__ import annotations

from pushsafe.model.facts import Facts, ImageMissing
from pushsafe.rules.ps202_tags_differ import RULE
from tests.unit.rules.facts import facts, image, problems

API = "registry.test/my-api"


def tag(name: str, digit: str) -> Facts:
    return facts(f"{API}:{name}", image=image(digit))


def test_fires() -> None:
    for listed, tags in (
        ((tag("1.4.2", "a"), tag("latest", "b")), ["latest"]),
        ((tag("1.4.2", "a"), tag("1.4", "a"), tag("latest", "b")), ["latest"]),
        ((tag("1", "a"), tag("2", "b"), tag("3", "c")), ["2", "3"]),
        ((tag("1", "a"), tag("2", "b"), tag("2", "b")), ["2"]),
        ((tag("1", "a"),), []),
        ((tag("1", "a"), tag("2", "a")), []),
        ((tag("1", "a"), facts("registry.test/other:1", image=image("b"))), []),
        ((tag("1", "a"), facts("mirror.test/my-api:1", image=image("b"))), []),
        ((tag("1", "a"), facts(f"{API}:2", image=ImageMissing())), []),
        ((tag("1", "a"), facts(f"{API}:2")), []),
        ((tag("1", "a")._replace(listed=False), tag("2", "b")._replace(listed=False)), []),
    ):
        found = problems(RULE, *listed)
        assert [problem.reference.tag for problem in found] == tags, listed
        first = listed[0].reference
        ages = f"docker image inspect -f '{{{{.Created}}}} {{{{.RepoTags}}}}' {first}"
        assert [problem.fix for problem in found] == [f"{ages} {API}:{name}" for name in tags], listed
        assert all(f"than {first.tag!r} (aaaaaaaaaaaa)" in problem.message for problem in found), listed
