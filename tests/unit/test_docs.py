"""What the documentation claims."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pushsafe import __version__
from pushsafe.rules import RULES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_no_page_of_a_rule_that_is_gone() -> None:
    assert {file.stem for file in (ROOT / "docs" / "rules").glob("*.md")} == {rule.code for rule in RULES}


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/architecture.md",
        "docs/exit-codes.md",
        "docs/settings.md",
        "docs/performance.md",
        "docs/faults.md",
        "CHANGELOG.md",
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()] == []


def test_the_readmes_commands_exist() -> None:
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert commands[0] == "./install.sh --try\n"
    assert commands[1].startswith("./install.sh && docker pushsafe ")
    assert commands[2] == "tests/run\n"
    assert "\ntests/run\n" in (ROOT / ".ci" / "run").read_text()
    options = set(re.findall(r"(?<=\s)--[a-z-]+", " ".join(commands)))
    help_text = "".join(
        subprocess.run(
            [sys.executable, "-m", "pushsafe", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for command in ((), ("lint",), ("diagnose",), ("explain-error",))
    )
    help_text += subprocess.run([ROOT / "install.sh", "--help"], capture_output=True, text=True, check=True).stdout
    assert [option for option in options if option not in help_text] == []


def test_install_options_of_the_readme_exist() -> None:
    done = subprocess.run([str(ROOT / "install.sh"), "--help"], capture_output=True, text=True, check=True)
    for option in ("--try", "--uninstall", "--system", "--python"):
        assert option in README
        assert option in done.stdout


def test_the_picture_is_of_this_program() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "example.svg")
    text = "".join(picture.getroot().itertext()).replace("\xa0", " ")
    for words in (
        "$ docker pushsafe my-api:1.4.2",
        "PS101",
        "denied: insufficient-permission",
        "3 of 3 in place and verified",
    ):
        assert words in text
    assert "fake-" not in text


def test_every_module_is_in_the_floor_plan() -> None:
    plan = set(re.findall(r"`(\w+)(?:\.py|/)?`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    tables = {*(ROOT / "pushsafe" / "rules").glob("ps*.py"), *(ROOT / "pushsafe" / "cli" / "commands").glob("*.py")}
    modules = {file.stem for file in {*(ROOT / "pushsafe").rglob("*.py")} - tables if not file.stem.startswith("__")}
    assert modules - plan == set()


def test_the_changelog_names_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
