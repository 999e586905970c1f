"""The list of rules as a whole: codes, names, the texts that explain them, and `lint` over them."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

from pushsafe import rules
from pushsafe.cli.plugin import wants_signatures
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.rules import RULES, Needs, lint, refused
from tests.unit.rules.facts import LOGIN_WANTED, UNKNOWN, facts, image
from tests.values import nobody

FOLDER = Path(rules.__file__).parent
FILES = sorted(FOLDER.glob("ps*.py"))
TEXT_RULES = [rule for rule in RULES if rule.needs is Needs.TEXT]


def test_codes_are_unique_and_in_order() -> None:
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"PS[1-9][0-9]{2}", code) for code in codes)


def test_slugs_are_unique_and_kebab_case() -> None:
    slugs = [rule.slug for rule in RULES]
    assert len(set(slugs)) == len(slugs)
    assert [slug for slug in slugs if not re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)] == []


def test_every_rule_file_is_listed_under_its_own_name() -> None:
    assert [f"{rule.code.lower()}_{rule.slug.replace('-', '_')}" for rule in RULES] == [file.stem for file in FILES]
    listed = [importlib.import_module(f"pushsafe.rules.{file.stem}").RULE for file in FILES]
    assert all(rule is other for rule, other in zip(RULES, listed, strict=True))


def test_every_rule_has_a_test_file() -> None:
    for file in FILES:
        assert (Path(__file__).parent / f"test_{file.name}").is_file(), file


def test_every_rule_explains_itself() -> None:
    for rule in RULES:
        texts = (rule.summary, rule.explanation, rule.example, rule.fix)
        assert [text for text in texts if not text or text != text.strip() or "\n" in text] == [], rule
        assert [text for text in texts if "  " in text.partition("   (")[0]] == [], rule
        assert len(rule.summary) <= 80, rule
        assert not rule.summary.endswith("."), rule
        assert rule.explanation.endswith("."), rule
        assert rule.explanation.count(". ") >= 1, rule
        assert rule.fix.endswith("."), rule


def _references(example: str) -> list[str]:
    """The references of an example's command line; a remark stands in brackets after three blanks."""
    command = example.partition("   (")[0].rpartition("docker pushsafe ")[2]
    return [word for word in shlex.split(command) if not word.startswith("-")]


def _environment(example: str) -> dict[str, str]:
    """The variables that stand before the command."""
    words = shlex.split(example.partition("docker pushsafe")[0])
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def test_the_example_of_a_text_rule_fires() -> None:
    for rule in TEXT_RULES:
        policy = TagPolicy(signed=wants_signatures(_environment(rule.example)))
        found = lint([facts(given, policy=policy) for given in _references(rule.example)], Needs.TEXT)
        assert [finding.code for finding in found] == [rule.code] or rule.code in ("PS103", "PS107"), rule
        assert rule.code in {finding.code for finding in found}, rule


def test_no_rule_fires_where_nothing_is_known_or_wrong() -> None:
    for rule in RULES:
        assert list(rule.check([])) == [], rule
        assert list(rule.check([facts("registry.test/team/my-api:1.4.2")])) == [], rule


def test_lint_asks_only_the_rules_that_can_decide() -> None:
    listed = [facts("registry.test/my-api", image=image("a"), credential=nobody(), ping=LOGIN_WANTED)]
    assert [finding.code for finding in lint(listed, Needs.TEXT)] == ["PS103"]
    assert [finding.code for finding in lint(listed, Needs.FACTS)] == ["PS301"]


def test_findings_come_rule_by_rule_and_carry_what_the_rule_is() -> None:
    found = lint([facts("registry.test/my-api"), facts("myorg/my-api"), facts("my-api:1")], Needs.TEXT)
    assert [(finding.code, finding.reference.given) for finding in found] == [
        ("PS101", "my-api:1"),
        ("PS102", "myorg/my-api"),
        ("PS103", "registry.test/my-api"),
    ]
    assert (found[0].slug, found[0].severity) == ("unqualified-name", Severity.ERROR)
    assert found[2].severity is Severity.WARNING


def test_a_finding_may_be_milder_than_its_rule() -> None:
    (found,) = lint([facts("registry.test/my-api:1", credential=nobody(), ping=UNKNOWN)], Needs.FACTS)
    assert (found.code, found.severity) == ("PS301", Severity.WARNING)


def test_an_error_forbids_the_push_unless_allowed() -> None:
    for given, allowed, is_refused in (
        ("registry.test/my-api:1", (), False),
        ("registry.test/my-api", (), False),
        ("my-api:1", (), True),
        ("my-api:1", ("PS102",), True),
        ("my-api:1", ("PS101",), False),
    ):
        found = lint([facts(given)], Needs.TEXT, allowed)
        assert refused(found) is is_refused, given
        assert [finding.allowed for finding in found] == [finding.code in allowed for finding in found], given
