"""Write the documentation that the code decides: docs/rules/, docs/exit-codes.md, and the tables of README.md.

python docs/generate.py            # write
python docs/generate.py --check    # exit 1 if anything would change
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pushsafe.cli.main import option_table  # noqa: E402
from pushsafe.cli.settings import setting_table  # noqa: E402
from pushsafe.report.exit_codes import PRECEDENCE  # noqa: E402
from pushsafe.rules import RULES, Rule  # noqa: E402


def documents() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    for rule in RULES:
        yield ROOT / "docs" / "rules" / f"{rule.code}.md", rule_page(rule)
    yield ROOT / "docs" / "exit-codes.md", exit_code_page()
    for name, tables in (
        ("README.md", {"rules": rules(), "exit codes": exit_codes(), "options": options()}),
        ("docs/settings.md", {"settings": settings()}),
    ):
        yield ROOT / name, fill((ROOT / name).read_text(encoding="utf-8"), name, tables)


def rule_page(rule: Rule) -> str:
    return (
        f"# {rule.code} {rule.slug}\n\n"
        f"Level: {rule.severity.value}. {rule.summary[0].upper()}{rule.summary[1:]}.\n\n"
        f"{rule.explanation}\n\n"
        f"## Fires on\n\n```\n{rule.example}\n```\n\n"
        f"## How to fix\n\n{rule.fix}\n\n"
        f"`--allow {rule.code}` suppresses the rule for one run.\n"
    )


def exit_code_page() -> str:
    return (
        "# Exit codes\n\n"
        "The first row that applies is the exit code of a run, whatever else happened; the report tells the rest.\n\n"
        f"{exit_codes()}"
    )


def exit_codes() -> str:
    rows = "".join(f"| {int(code)} | {code.description} |\n" for code in PRECEDENCE)
    return f"| code | meaning |\n|---|---|\n{rows}"


def rules() -> str:
    rows = "".join(
        f"| [{rule.code}](docs/rules/{rule.code}.md) | {rule.slug} | {rule.severity.value} | {rule.summary} |\n"
        for rule in RULES
    )
    return f"| code | name | level | fires when |\n|---|---|---|---|\n{rows}"


def options() -> str:
    rows = "".join(f"| `{names}` | {text} |\n" for names, text in option_table())
    return f"| option | meaning |\n|---|---|\n{rows}"


def settings() -> str:
    rows = "".join(
        f"| `{name}` | `{variable}` | {kind} | `{default}` | {meaning} | {reach} |\n"
        for name, variable, kind, default, meaning, reach in setting_table()
    )
    return f"| in files | variable | value | default | meaning | a project's file |\n|---|---|---|---|---|---|\n{rows}"


def fill(text: str, file: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`."""
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{file} has no place for the {name}")
        text = pattern.sub(lambda match, table=table: f"{match[1]}{table}{match[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for path, text in documents():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        print(("stale: " if check else "written: ") + str(path.relative_to(ROOT)))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
