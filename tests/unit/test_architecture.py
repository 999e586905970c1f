"""The house as it is built: who imports whom, what a start pays for, how modules are named and how large they are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# ---------------------------------------------------------------------- the floor plan

FLOORS: dict[str, tuple[str, ...]] = {
    "runtime": (),
    "oci": ("runtime",),
    "model": ("oci",),
    "known_registries": ("model", "oci", "runtime"),
    "rules": ("known_registries", "model", "oci"),
    "denial": ("known_registries", "model", "oci", "runtime"),
    "credentials": ("model", "oci", "runtime"),
    "registry": ("model", "oci", "runtime"),
    "engine": ("credentials", "model", "oci", "runtime"),
    "push": ("rules", "denial", "model", "oci", "runtime"),
    "sources": ("push", "rules", "denial", "model", "oci", "runtime"),
    "report": ("model", "oci", "runtime"),
    "demo": ("engine", "credentials", "report", "model", "oci", "runtime"),
    "cli": (
        *("demo", "report", "sources", "push", "engine", "registry", "credentials", "denial", "rules"),
        *("known_registries", "model", "oci", "runtime"),
    ),
    "__main__": ("cli", "runtime"),
}
"""What each package may import besides itself, in functions and for types too."""

OWNERS = {
    "packaging": ("model.versions",),
    "urllib3": ("registry", "engine.http_stream"),  # whose errors requests passes on
    "docker": ("engine.api",),
    "requests": ("engine",),
    "isal": ("sources.archive",),
    "backports": ("sources.archive.zstd",),
    "click": ("cli",),
    "rich": ("report.live",),
}
"""The libraries in use, and who alone imports them."""

PURE = ("oci", "model", "known_registries", "rules", "denial", "report")
"""Packages that compute: no files, no network, no processes, no threads of their own."""
WORLDLY = {"report.live", "report.lines", "report.output", "report.digest_file"}
"""Modules of theirs that write to terminals and files all the same."""
TALKING = {"socket", "ssl", "http", "urllib", "subprocess", "shutil", "tempfile", "selectors", "asyncio", "logging"}
QUOTING = {"model.credentials"}
"""Modules that import `urllib.parse`, which only computes."""

DECIDING = ("rules", "denial", "oci.reference")
"""Packages and modules whose answer depends on nothing but what they are given."""

STANDARD = set(sys.stdlib_module_names) | {"compression"}
"""The standard library, also that of newer versions."""
HEAVY = {"backports", "docker", "requests", "urllib3", "rich", "packaging", "isal"}

MOST_LINES, FEWEST_LINES = 600, 25
ENTRIES = r"__main__|.*\.__init__|rules\.ps\d.*|cli\.commands\..*"
"""Modules that are as short as what they add to a table."""
# one library under two names; a source of which push.source says most
SHORT = {"sources.archive.zstd", "sources.engine"}


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy` within a function, `typing_only` below `if TYPE_CHECKING`."""

    module: str
    lazy: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def module_name(file: Path) -> str:
    """Its name below `pushsafe`; a package is `NAME.__init__`."""
    return ".".join(file.relative_to(ROOT / "pushsafe").with_suffix("").parts)


MODULES = {module_name(file): file for file in sorted((ROOT / "pushsafe").rglob("*.py")) if file.stat().st_size}


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
            for name in child.names:
                yield Import(_imported(child.module or "", name.name), lazy, typing_only)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(child, module, lazy=lazy or inside, typing_only=typing_only or guarded)


def _imported(base: str, name: str) -> str:
    """`from pushsafe.cli import plugin` names a module, `from pushsafe.model.facts import Facts` does not."""
    if not base.startswith("pushsafe."):
        return base
    package = base.removeprefix("pushsafe.")
    candidates = (f"{package}.{name}", f"{package}.{name}.__init__", package)
    return f"pushsafe.{next((one for one in candidates if one in MODULES), f'{package}.__init__')}"


def ours(module: str) -> set[str]:
    """What a module imports of us anywhere in it, the version that `pushsafe` itself bears apart."""
    return {one.module.removeprefix("pushsafe.") for one in imports(module) if one.top == "pushsafe"} - {"pushsafe"}


def foreign(module: str) -> set[str]:
    return {one.top for one in imports(module)} - {"pushsafe", "__future__"} - STANDARD


def package(module: str) -> str:
    return module.partition(".")[0]


def below(*prefixes: str) -> list[str]:
    """The modules of these names and of the packages of these names."""
    return [name for name in MODULES if any(name == one or name.startswith(f"{one}.") for one in prefixes)]


# ---------------------------------------------------------------------- who imports whom


@pytest.mark.parametrize("floor", FLOORS)
def test_a_package_imports_only_what_stands_below_it(floor: str) -> None:
    upward = {
        f"{module} imports {other}"
        for module in below(floor)
        for other in ours(module)
        if package(other) not in (floor, *FLOORS[floor])
    }
    assert below(floor)
    assert upward == set()


def test_every_module_has_its_place() -> None:
    assert {package(module) for module in MODULES} - set(FLOORS) == {"__init__"}


def test_the_floors_are_in_order() -> None:
    order = list(FLOORS)
    assert all(order.index(lower) < order.index(floor) for floor, lowers in FLOORS.items() for lower in lowers)


def test_imports_make_no_ring() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(ours(module)):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_checks_see_imports_in_functions_and_for_types() -> None:
    kinds = {(one.lazy, one.typing_only) for module in MODULES for one in imports(module) if one.top == "pushsafe"}
    assert kinds >= {(False, False), (True, False), (False, True)}
    assert "demo.tour" in ours("cli.commands.try_")  # in a function
    assert "push.ports" in ours("cli.session")  # for types


def test_the_demo_has_one_door() -> None:
    users = {module: imports(module) for module in MODULES if package(module) != "demo"}
    found = {
        (module, one.lazy)
        for module, every in users.items()
        for one in every
        if one.module.startswith("pushsafe.demo.")
    }
    assert found == {("cli.commands.try_", True)}


def test_the_demo_registry_stands_alone() -> None:
    registry = below("demo.registry")
    assert registry
    assert {other for module in registry for other in ours(module)} <= set(registry)
    assert {library for module in registry for library in foreign(module)} == set()


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    users = {module for module in MODULES if library in foreign(module)}
    assert users, f"no one imports {library}"
    assert users - set(below(*OWNERS[library])) == set()


def test_no_other_library_is_used() -> None:
    assert {library for module in MODULES for library in foreign(module)} == set(OWNERS)


# ---------------------------------------------------------------------- what is pure


@pytest.mark.parametrize("floor", PURE)
def test_a_pure_package_talks_to_no_one(floor: str) -> None:
    pure = set(below(floor)) - WORLDLY
    found = ((module, one) for module in pure for one in imports(module) if one.module != "http")  # only statuses
    talking = {(module, one.top) for module, one in found if one.top in TALKING}
    assert talking - {(module, "urllib") for module in QUOTING} == set()


def test_what_decides_does_not_print_or_look_at_the_clock() -> None:
    for module in below(*DECIDING):
        names = {node.id for node in ast.walk(tree(module)) if isinstance(node, ast.Name)}
        assert names & {"print", "open", "input"} == set(), module
        assert {one.top for one in imports(module)} & {"time", "datetime", "os", "sys", "random", "pathlib"} == set()


# ---------------------------------------------------------------------- what a start pays for


def test_rich_is_imported_within_functions_only() -> None:
    heavy = [one for one in imports("report.live") if one.top == "rich"]
    assert heavy
    assert all(one.lazy or one.typing_only for one in heavy)


def test_garbage_is_left_alone_while_modules_are_imported() -> None:
    statements = [ast.unparse(one) for one in tree("__main__").body]
    (threshold,) = (place for place, text in enumerate(statements) if text.startswith("gc.set_threshold"))
    ours = [place for place, text in enumerate(statements) if text.startswith("from pushsafe")]
    assert ours
    assert threshold < min(ours)


@pytest.mark.parametrize(
    "code",
    [
        "import pushsafe.cli.main",
        "from pushsafe.cli.main import main; main(['--help'])",
        "from pushsafe.cli.main import main; main(['rules'])",
        "from pushsafe.cli.main import main; main(['explain', 'PS101'])",
        "from pushsafe.cli.main import main; main(['my-api:1.4.2'])",
        "from pushsafe.cli.main import main; main(['App:1'])",
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


# ---------------------------------------------------------------------- names and sizes


def test_a_module_is_named_by_what_it_is() -> None:
    named = {module: module.rpartition(".")[2] for module in MODULES if not re.fullmatch(r"rules\.ps\d.*", module)}
    assert {module for module, name in named.items() if name.endswith("ing")} == set()
    assert {module for module, name in named.items() if re.search("util|helpers|manager|common|misc", name)} == set()


def test_a_name_stands_in_one_package() -> None:
    places = defaultdict(set)
    for module in MODULES:
        places[module.rpartition(".")[2]].add(module)
    twice = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert set(twice) - {"__init__", "source"} == set(), twice


def test_a_module_is_neither_a_chapter_nor_a_splinter() -> None:
    lines = {module: file.read_text(encoding="utf-8").count("\n") for module, file in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}
    small = {module for module, count in lines.items() if count < FEWEST_LINES and not re.fullmatch(ENTRIES, module)}
    assert small - {"__init__"} == SHORT


def test_a_module_says_in_one_sentence_what_it_is_for() -> None:
    for module in MODULES:
        said = ast.get_docstring(tree(module))
        assert said, f"{module} has no docstring"
        first = said.partition("\n\n")[0]
        assert first.endswith((".", "?")), module
        assert re.search(r"[.?!]\s+[A-Z]", first) is None, (
            f"{module}: one sentence; more may follow after an empty line"
        )
