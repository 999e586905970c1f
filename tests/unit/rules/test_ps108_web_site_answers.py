"""PS108 fires where something else than a registry answers, and once for each registry."""

from __future__ import annotations

from pushsafe.model.evidence import Access, RegistryPing, TagAbsent, TagUnknown
from pushsafe.rules.ps108_web_site_answers import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, asked, facts, held, problems, silent

PAGE = RegistryPing(Access.OPEN, "/v2/ answers 200 without a login", page="a web page (text/html)")
ODD = TagUnknown("the registry answers with a web page", "a web page (text/html) in place of a manifest")
NAME = "git.example.com/group/app:1"


def test_fires() -> None:
    for fact, said in (
        (facts(NAME, ping=OPEN, now=ODD), "sends a web page (text/html) in place of a manifest"),
        (facts(NAME, ping=LOGIN_WANTED, now=ODD, preflight=asked((202, True))), "sends a"),
        (facts(NAME, ping=PAGE), "answers /v2/ with a web page (text/html)"),
        (facts(NAME, ping=PAGE, preflight=asked((405, True))), "answers /v2/ with a"),
    ):
        (problem,) = problems(RULE, fact, fact._replace(reference=fact.reference._replace(tag="2")))
        assert problem.message.startswith(f"git.example.com {said}"), said
        assert "not a registry" in problem.message, said
        assert problem.fix.startswith("curl -sSi https://git.example.com/v2/"), said


def test_is_silent() -> None:
    silent(
        RULE,
        facts(NAME, ping=OPEN, now=held("a")),
        facts(NAME, ping=LOGIN_WANTED, now=TagAbsent()),
        facts(NAME, ping=OPEN, now=TagUnknown("the registry answers 403")),
        facts(NAME, ping=PAGE, now=TagAbsent(), preflight=asked((202, True))),
        NAME,
    )
