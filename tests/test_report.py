"""The renderers, held against files that a person has read: tests/golden/. PUSHSAFE_GOLDEN=write writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from pushsafe.model import Report
from pushsafe.report import digests, human
from pushsafe.report import json as json_report
from tests.reports import REPORTS

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())


def golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("PUSHSAFE_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
def test_human(name: str) -> None:
    report = REPORTS[name]
    shown = human.render_errors(report.errors) + human.render(report)
    assert "\x1b" not in shown
    golden(f"{name}.txt", shown)


@pytest.mark.parametrize("name", REPORTS)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    import re

    report = REPORTS[name]
    coloured = human.render(report, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == human.render(report)


@pytest.mark.parametrize("name", REPORTS)
def test_json_follows_its_schema(name: str) -> None:
    document = json.loads(json_report.render(REPORTS[name]))
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    if name == "denied-beside-pushed":
        golden(f"{name}.json", json_report.render(REPORTS[name]))


def test_the_schema_can_fail() -> None:
    document = json.loads(json_report.render(REPORTS["verified"]))
    document["results"][0]["outcome"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_the_schema_names_every_value_of_the_enums() -> None:
    from pushsafe import model
    from pushsafe.exitcodes import ExitCode

    result = SCHEMA["properties"]["results"]["items"]["properties"]
    denial = result["denial"]["properties"]
    assert set(denial["kind"]["enum"]) == {kind.value for kind in model.DenialKind}
    assert set(denial["reason"]["enum"]) == {reason.value for reason in model.DenialReason}
    assert set(result["failure"]["properties"]["kind"]["enum"]) == {kind.value for kind in model.FailureKind}
    stages = SCHEMA["$defs"]["evidence"]["items"]["properties"]["stage"]["enum"]
    assert set(stages) == {stage.value for stage in model.Stage}
    errors = SCHEMA["properties"]["errors"]["items"]["properties"]["kind"]["enum"]
    assert set(errors) == {kind.value for kind in model.ErrorKind}
    assert set(SCHEMA["properties"]["exit_code"]["enum"]) == {int(code) for code in ExitCode} - {int(ExitCode.BUG)}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (REPORTS["verified"], ["1.4.2", "latest"]),
        (REPORTS["not-confirmed"], []),
        (REPORTS["denied-beside-pushed"], ["2"]),
        (REPORTS["refused-by-lint"], []),
    ],
)
def test_quiet_and_digest_file_hold_only_what_was_verified(report: Report, expected: list[str]) -> None:
    name = "registry.example.com/myorg/my-api"
    assert human.render_quiet(report).splitlines() == [f"{name}:{tag}" for tag in expected]
    lines = digests.render(report).splitlines()
    assert [line.partition("@")[0] for line in lines] == [f"{name}:{tag}" for tag in expected]
    assert all(line.partition("@")[2].startswith("sha256:") for line in lines)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.35 MB"), (5 * 10**12, "5000 GB")]
)
def test_size(count: int, text: str) -> None:
    assert human.size(count) == text
