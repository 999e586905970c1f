"""The renderers, held against files that a person has read, in golden/. PUSHSAFE_GOLDEN=write writes them anew."""

from __future__ import annotations

import json
import os
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from pushsafe.model import evidence, outcomes, report, verdicts
from pushsafe.report import FORMATS, Renderer, digest_file, human, style
from pushsafe.report import json as json_report
from pushsafe.report.exit_codes import ExitCode
from tests.reports import REPORTS

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())


def golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("PUSHSAFE_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_human() -> None:
    for name in REPORTS:
        report = REPORTS[name]
        shown = human.render_errors(report.errors) + human.render(report)
        assert "\x1b" not in shown, name
        golden(f"{name}.txt", shown)


def test_every_format_has_what_a_renderer_has() -> None:
    modules: tuple[Renderer, ...] = (human, json_report)  # and the types check their signatures
    assert tuple(one.renderer for one in FORMATS.values()) == modules


def test_colour_changes_nothing_but_colour() -> None:
    for name in REPORTS:
        import re

        report = REPORTS[name]
        coloured = human.render(report, color=True)
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == human.render(report), name


def test_json_follows_its_schema() -> None:
    for name in REPORTS:
        document = json.loads(json_report.render(REPORTS[name]))
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
        if name in ("denied-beside-pushed", "preflight-denied", "lint-ready", "many-tags", "dry-run"):
            golden(f"{name}.json", json_report.render(REPORTS[name]))


def test_the_schema_can_fail() -> None:
    for part, field in (
        ("results", "outcome"),
        ("results", "before"),
        ("preflight", "verdict"),
        ("findings", "severity"),
    ):
        document = json.loads(json_report.render(REPORTS["lint-ready"]))
        document[part][0][field] = "perhaps"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, SCHEMA)


def test_the_reports_are_of_every_outcome_preflight_and_state_before() -> None:
    results = [result for report in REPORTS.values() for result in report.results]
    assert {type(result.outcome) for result in results} == set(get_args(outcomes.Outcome))
    assert {type(result.before) for result in results} == {*get_args(evidence.TagState), type(None)}
    checks = [check for report in REPORTS.values() for check in report.preflight]
    assert {check.verdict for check in checks} == set(report.PreflightVerdict)


def test_a_finding_that_a_denial_says_again_is_left_out_for_that_registry_only() -> None:
    report = REPORTS["not-logged-in"]
    assert "error PS301" not in human.render(report)
    (finding,) = report.findings
    elsewhere = finding._replace(reference=finding.reference._replace(registry="other.example.com"))
    assert "error PS301" in human.render(report._replace(findings=(elsewhere,)))
    assert "error PS303" in human.render(report._replace(findings=(finding._replace(code="PS303"),)))


def test_may_be_pushed_is_said_only_where_the_registry_said_so() -> None:
    for name, said in (("lint-ready", True), ("ready-unknown", False), ("ready-unasked", False)):
        assert ("may be pushed (" in human.render(REPORTS[name])) is said, name


def test_what_could_not_be_told_before_is_no_matter_where_nothing_else_is_said() -> None:
    report = REPORTS["preflight-unknown-and-pushed"]
    assert "could not check whether" in human.render(report)
    assert human.render(report._replace(results=())) == ""  # what --quiet leaves of a run that went well


def test_the_schema_names_every_value_of_the_enums() -> None:
    defs = SCHEMA["$defs"]
    named: list[tuple[dict[str, Any], type[Enum]]] = [
        (defs["denial"]["properties"]["kind"], verdicts.DenialKind),
        (defs["denial"]["properties"]["reason"], verdicts.DenialReason),
        (defs["failure"]["properties"]["kind"], verdicts.FailureKind),
        (defs["evidence"]["items"]["properties"]["stage"], evidence.Stage),
        (defs["error"]["properties"]["kind"], report.ErrorKind),
        (defs["finding"]["properties"]["severity"], verdicts.Severity),
        (defs["check"]["properties"]["verdict"], report.PreflightVerdict),
    ]
    for schema, values in named:
        assert set(schema["enum"]) == {value.value for value in values}, values
    assert set(SCHEMA["properties"]["exit_code"]["enum"]) == {int(code) for code in ExitCode} - {int(ExitCode.BUG)}


def test_quiet_and_digest_file_hold_only_what_was_verified() -> None:
    for shown, expected in (
        (REPORTS["verified"], ["1.4.2", "latest"]),
        (REPORTS["not-confirmed"], []),
        (REPORTS["denied-beside-pushed"], ["2"]),
        (REPORTS["refused-by-lint"], []),
    ):
        name = "registry.example.com/myorg/my-api"
        assert human.render_quiet(shown).splitlines() == [f"{name}:{tag}" for tag in expected], shown
        lines = digest_file.render(shown).splitlines()
        assert [line.partition("@")[0] for line in lines] == [f"{name}:{tag}" for tag in expected], shown
        assert all(line.partition("@")[2].startswith("sha256:") for line in lines), shown


def test_size() -> None:
    for count, text in ((0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.35 MB"), (5 * 10**12, "5000 GB")):
        assert style.size(count) == text, text
