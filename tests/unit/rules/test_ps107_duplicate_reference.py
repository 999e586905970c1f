"""PS107 fires for the second listing of one tag, however it is spelt."""

from __future__ import annotations

from pushsafe.rules.ps107_duplicate_reference import RULE
from tests.unit.rules.facts import facts, problems, repository

API = "registry.test/my-api"


def test_fires() -> None:
    for given, said in (
        ((f"{API}:1", f"{API}:1"), [f"'{API}:1' is listed again"]),
        ((f"{API}:1", "".join((API, ":", "1"))), [f"'{API}:1' is listed again"]),
        ((f"{API}:latest", API), [f"'{API}' is listed as '{API}:latest' before"]),
        (("my-api:1", "docker.io/library/my-api:1"), ["'docker.io/library/my-api:1' is listed as 'my-api:1' before"]),
        ((f"{API}:1", f"{API}:2", f"{API}:1"), [f"'{API}:1' is listed again"]),
        ((f"{API}:1", f"{API}:1", f"{API}:1"), [f"'{API}:1' is listed again"] * 2),
        ((f"{API}:1", "x:2", "x:2", f"{API}:1"), ["'x:2' is listed again", f"'{API}:1' is listed again"]),
        ((f"{API}:1", f"{API}:2"), []),
        ((f"{API}:1", "registry.test:5000/my-api:1"), []),
        (("x:a", "x:A"), []),
        ((f"{API}:1",), []),
    ):
        found = problems(RULE, *map(facts, given))
        assert [problem.message.partition(";")[0] for problem in found] == said, given


def test_fires_for_all_tags() -> None:
    assert len(problems(RULE, repository(API), repository(API))) == 1
