"""One real installation for all tests of the lab, a fresh user for each, and how much of their product is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.engines import KINDS
from tests.lab.locks import locked
from tests.lab.plugin import ROOT, User

_ENGINES = {kind.name for kind in KINDS}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="every case of the lab with every engine, not each with one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --full, run each case with one engine, each engine in its turn, and leave out what is marked `full`.

    A test marked `every_engine` is never thinned: in these, every engine meets every registry.
    """
    if config.getoption("--full"):
        return
    spared = {item for item in items if item.get_closest_marker("full")}
    tests = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and _engine_of(item) and not item.get_closest_marker("every_engine"):
            tests[item.path, item.originalname].append(item)
    spared.update(item for functions in tests.values() for item in _beyond_one_engine(functions))
    config.hook.pytest_deselected(items=[item for item in items if item in spared])
    items[:] = [item for item in items if item not in spared]


def _engine_of(item: pytest.Function) -> str:
    """The engine among its parameters, if there is one."""
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return next((value for value in given if isinstance(value, str) and value in _ENGINES), "")


def _beyond_one_engine(functions: list[pytest.Function]) -> Iterator[pytest.Function]:
    """The cases of one test that another engine runs already."""
    engines = list(dict.fromkeys(map(_engine_of, functions)))
    first = zlib.crc32(functions[0].name.partition("[")[0].encode())  # so that not all tests begin with the same engine
    order: dict[tuple[int, ...], int] = {}
    for one in functions:
        case = tuple(id(value) for value in one.callspec.params.values() if value != _engine_of(one))
        turn = first + order.setdefault(case, len(order))
        if engines[turn % len(engines)] != _engine_of(one):
            yield one


@pytest.fixture(scope="session")
def installed_plugin(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The plugin as ./install.sh leaves it, installed once for all workers; the path of what docker runs."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "installed"
    with locked(home.with_suffix(".lock")):
        if not (home / "done").exists():
            shutil.rmtree(home, ignore_errors=True)  # another worker's, which failed
            _install(home)
            (home / "done").touch()
    return (home / ".docker" / "cli-plugins" / "docker-pushsafe").resolve(strict=True)


def _install(home: Path) -> None:
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "PUSHSAFE_"))}
    environ |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "share")}
    done = subprocess.run(
        [str(ROOT / "install.sh")], env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def user(tmp_path: Path, installed_plugin: Path) -> User:
    home = tmp_path / "home"
    home.mkdir()
    return User(home, installed_plugin)
