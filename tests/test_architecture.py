"""The house as it is built: who imports whom, what a start pays for, how large a room may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "pushsafe").rglob("*.py"))

LINES = 600

STANDARD = set(sys.stdlib_module_names) | {"compression"}
"""The standard library, also that of newer versions."""

HEAVY = {"backports", "docker", "requests", "urllib3", "rich", "packaging", "isal"}


@dataclass(frozen=True)
class Import:
    """One imported module; `typing_only` where it stands below `if TYPE_CHECKING`, `lazy` within a function."""

    module: str
    lazy: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(_imports(tree(module), module, lazy=False, typing_only=False))


def _imports(node: ast.AST, module: str, *, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(name.name, lazy, typing_only) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} imports relatively"
            base = child.module or ""
            for name in child.names:  # `from pushsafe import plugin` names a module, `from pushsafe.model import X` not
                whole = f"{base}.{name.name}"
                yield Import(whole if whole in MODULES else base, lazy, typing_only)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(child, module, lazy=lazy or inside, typing_only=typing_only or guarded)


def ours(module: str, *, at_once: bool = False) -> set[str]:
    """What a module imports of us, the package itself (`__version__`) apart; `at_once`: when it is loaded."""
    found = (
        one for one in imports(module) if one.top == "pushsafe" and not (at_once and (one.lazy or one.typing_only))
    )
    return {one.module for one in found} - {"pushsafe"}


def foreign(module: str) -> set[str]:
    return {one.top for one in imports(module)} - {"pushsafe"} - STANDARD


def below(*prefixes: str) -> list[str]:
    """The modules of these names and of the packages of these names."""
    return [name for name in MODULES if any(name == one or name.startswith(f"{one}.") for one in prefixes)]


# ---------------------------------------------------------------------- pure modules

MODEL = set(below("pushsafe.model"))
KNOWN = {"pushsafe.registry.known"}
PURE: dict[str, set[str]] = {
    "pushsafe.model": MODEL,
    "pushsafe.errors": set(),
    "pushsafe.registry.known": set(),
    "pushsafe.reference": MODEL,
    "pushsafe.words": MODEL,
    "pushsafe.evidence": MODEL | {"pushsafe.words"},
    "pushsafe.tls_advice": set(),
    "pushsafe.repairs": MODEL | KNOWN | {"pushsafe.sanitize"},
    "pushsafe.advice": MODEL
    | KNOWN
    | {"pushsafe.words", "pushsafe.evidence", "pushsafe.neighbours", "pushsafe.repairs", "pushsafe.tls_advice"},
    "pushsafe.denial": MODEL | KNOWN | {"pushsafe.words", "pushsafe.evidence", "pushsafe.advice"},
    "pushsafe.explanation": MODEL | KNOWN | {"pushsafe.words", "pushsafe.sanitize", "pushsafe.tls_advice"},
    "pushsafe.plan": MODEL | {"pushsafe.overwriting"},
    "pushsafe.patience": MODEL,
    "pushsafe.stopwatch": set(),
    "pushsafe.documents": set(),
    "pushsafe.platforms": MODEL | {"pushsafe.documents"},
    "pushsafe.image_config": MODEL | {"pushsafe.documents", "pushsafe.platforms", "pushsafe.sanitize"},
    "pushsafe.image_index": MODEL | {"pushsafe.documents", "pushsafe.platforms", "pushsafe.sanitize"},
    "pushsafe.build_arguments": MODEL
    | {"pushsafe.errors", "pushsafe.platforms", "pushsafe.reference", "pushsafe.sanitize"},
    "pushsafe.build_text": MODEL | {"pushsafe.reference"},
    "pushsafe.builders": MODEL | {"pushsafe.platforms", "pushsafe.overwriting"},
    "pushsafe.overwriting": MODEL | {"pushsafe.platforms"},
    "pushsafe.versions": MODEL,
    "pushsafe.neighbours": MODEL | KNOWN,
    "pushsafe.exitcodes": MODEL,
    "pushsafe.engine_answers": MODEL
    | {"pushsafe.image_config", "pushsafe.platforms", "pushsafe.reference", "pushsafe.sanitize"},
    "pushsafe.push_stream": MODEL | {"pushsafe.engine_answers", "pushsafe.sanitize"},
    "pushsafe.sanitize": MODEL,
    "pushsafe.rules.rule": MODEL,
    "pushsafe.rules": MODEL | {"pushsafe.rules.rule", *below("pushsafe.rules")},
    "pushsafe.report": set(),
    "pushsafe.tour.image": MODEL,
    "pushsafe.tour.runs": {"pushsafe.exitcodes"},
}
"""What each pure module may import of ours; what is not named has the row of the package it is in."""
ALLOWED_OF_RULES = (
    MODEL
    | KNOWN
    | {"pushsafe.errors", "pushsafe.rules.rule"}
    | {f"pushsafe.{name}" for name in ("platforms", "overwriting", "builders", "versions", "neighbours", "repairs")}
)
ALLOWED_OF_REPORTS = MODEL | {"pushsafe.errors", "pushsafe.exitcodes"}
TALKING = {"socket", "ssl", "http", "urllib", "subprocess", "shutil", "tempfile", "selectors", "asyncio", "logging"}
"""Parts of the standard library that a pure module has no use for."""
CALCULATING = {"pushsafe.report.progress": {"rich"}, "pushsafe.versions": {"packaging"}}
QUOTING = {"pushsafe.sanitize": {"urllib"}}  # urllib.parse, to know a secret that is quoted in a URL


def allowed(module: str) -> set[str]:
    if module in MODEL:
        return MODEL
    if module.startswith("pushsafe.rules.ps"):
        return ALLOWED_OF_RULES
    if module.startswith("pushsafe.report."):
        # What is not a report has its values beside what makes it.
        shown = {module.replace(".report.", ".")} & {"pushsafe.diagnosis", "pushsafe.explanation"}
        return ALLOWED_OF_REPORTS | shown | {one for one in MODULES if one.startswith("pushsafe.report.")}
    return PURE[module]


PURE_MODULES = sorted({*below("pushsafe.model", "pushsafe.rules", "pushsafe.report"), *(set(PURE) & set(MODULES))})


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_values_only(module: str) -> None:
    assert ours(module) - allowed(module) == set()
    assert foreign(module) - CALCULATING.get(module, set()) == set()
    assert {one.top for one in imports(module)} & TALKING - QUOTING.get(module, set()) == set()


@pytest.mark.parametrize("module", below("pushsafe.rules", "pushsafe.denial", "pushsafe.words", "pushsafe.reference"))
def test_what_decides_does_not_print_or_look_at_the_clock(module: str) -> None:
    names = {node.id for node in ast.walk(tree(module)) if isinstance(node, ast.Name)}
    assert names & {"print", "open", "input"} == set()
    assert {one.top for one in imports(module)} & {"time", "datetime", "os", "sys", "random", "pathlib"} == set()


# ---------------------------------------------------------------------- who talks to whom

OWNERS = {
    "docker": ("pushsafe.engine",),
    "requests": ("pushsafe.engine", "pushsafe.engine_stream"),
    "urllib3": ("pushsafe.registry", "pushsafe.engine_stream"),  # whose errors requests passes on
    "isal": ("pushsafe.archives",),
    "backports": ("pushsafe.archives.zstd",),
    "click": ("pushsafe.cli", "pushsafe.commands"),
    "rich": ("pushsafe.report.progress",),
}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    users = {module for module in MODULES if library in {one.top for one in imports(module)}}
    assert users, f"nobody imports {library}"
    assert users - set(below(*OWNERS[library])) == set()


def test_no_other_library_is_used() -> None:
    used = {library for module in MODULES for library in foreign(module)}
    assert used - set(OWNERS) - {"packaging"} == set()


RUN = [
    f"pushsafe.{name}"
    for name in (
        *("pipeline", "execution", "gathering", "looking", "pushing", "delivery", "availability", "verification"),
        *("diagnosis", "building", "assembling", "sources", "bringing", "sending", "placing", "transfer"),
    )
]


def test_the_run_knows_no_gateway() -> None:
    gateways = {
        "pushsafe.engine",
        "pushsafe.buildx",
        "pushsafe.credentials",
        "pushsafe.wiring",
        "pushsafe.cli",
        "pushsafe.plugin",
    }
    for module in below(*RUN):
        assert ours(module) & gateways == set(), module
        assert {one for one in ours(module) if one.startswith("pushsafe.registry")} - KNOWN == set(), module
        assert foreign(module) == set(), module


@pytest.mark.parametrize("module", below("pushsafe.engine", "pushsafe.registry", "pushsafe.credentials"))
def test_a_gateway_judges_nothing_and_knows_no_run(module: str) -> None:
    judges = below("pushsafe.rules", "pushsafe.report", "pushsafe.denial", "pushsafe.advice", *RUN)
    line = below("pushsafe.cli", "pushsafe.commands", "pushsafe.running", "pushsafe.showing")
    assert ours(module) & {*judges, *line, "pushsafe.wiring", "pushsafe.exitcodes"} == set()


def test_the_embedded_registry_stands_alone() -> None:
    embedded = set(below("pushsafe.embedded"))
    assert embedded
    for module in embedded:
        assert ours(module) - embedded == set(), module
        assert foreign(module) == set(), module


def test_the_tour_costs_nobody_else_anything() -> None:
    rooms = set(below("pushsafe.tour"))
    assert rooms
    users = {module for module in MODULES if ours(module) & rooms} - rooms
    assert users == {"pushsafe.commands.try_"}
    assert ours("pushsafe.commands.try_", at_once=True) & rooms == set()


def test_nobody_imports_the_command_line_but_the_program() -> None:
    assert {module for module in MODULES if "pushsafe.cli" in ours(module)} <= {"pushsafe.__main__"}


def test_imports_make_no_ring() -> None:
    seen: dict[str, bool] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in seen:
            return
        for other in sorted(ours(module, at_once=True)):
            visit(other, (*path, module))
        seen[module] = True

    for module in MODULES:
        visit(module, ())


# ---------------------------------------------------------------------- what a start pays for


def test_rich_is_imported_within_functions_only() -> None:
    heavy = [one for one in imports("pushsafe.report.progress") if one.top == "rich"]
    assert heavy
    assert all(one.lazy or one.typing_only for one in heavy)


@pytest.mark.parametrize(
    "code",
    [
        "import pushsafe.cli",
        "from pushsafe.cli import main; main(['--help'])",
        "from pushsafe.cli import main; main(['rules'])",
        "from pushsafe.cli import main; main(['explain', 'PS101'])",
        "from pushsafe.cli import main; main(['my-api:1.4.2'])",
        "from pushsafe.cli import main; main(['App:1'])",
    ],
    ids=["import", "help", "rules", "explain", "text-finding", "no-reference"],
)
def test_what_needs_no_engine_does_not_pay_for_one(code: str, tmp_path: Path) -> None:
    shown = "import sys; print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    script = f"import atexit\natexit.register(lambda: exec({shown!r}))\n{code}\n"
    environ = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    loaded = set(done.stderr.splitlines()[-1].split()[1:])
    assert "pushsafe" in loaded
    assert loaded & HEAVY == set()


# ---------------------------------------------------------------------- rooms

WITH_CODE = [name for name, file in MODULES.items() if file.read_text(encoding="utf-8").strip()]


@pytest.mark.parametrize("module", WITH_CODE)
def test_a_module_says_in_one_sentence_what_it_is_for(module: str) -> None:
    said = ast.get_docstring(tree(module))
    assert said, f"{module} has no docstring"
    first = said.partition("\n\n")[0]
    assert first.endswith((".", "?"))
    assert re.search(r"[.?!]\s+[A-Z]", first) is None, "one sentence; more may follow after an empty line"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_of_one_subject(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LINES


@pytest.mark.parametrize("module", MODULES)
def test_names_are_the_fields_own(module: str) -> None:
    assert not re.search("util|helpers|manager|common|misc", module.rpartition(".")[2])
