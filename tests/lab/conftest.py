"""One real installation for all tests of the lab, a fresh user for each, and how much of their product is run."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.lab.plugin import ROOT, User

_EVERY_ENGINE_MEETS = {"registry", "registry_name"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="every case of the lab with every engine, not each with one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each case of a test that all engines run is run by one engine, each engine in its turn, unless all are asked for.

    Every engine meets every registry all the same: that product is never thinned.
    """
    if config.getoption("--full"):
        return
    tests = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and "engine" in _parameters(item):
            tests[item.path, item.originalname].append(item)
    spared = {item for functions in tests.values() for item in _beyond_one_engine(functions)}
    config.hook.pytest_deselected(items=[item for item in items if item in spared])
    items[:] = [item for item in items if item not in spared]


def _parameters(function: pytest.Function) -> dict[str, object]:
    return function.callspec.params if hasattr(function, "callspec") else {}


def _beyond_one_engine(functions: list[pytest.Function]) -> list[pytest.Function]:
    """The cases of one test that another engine runs already; none where the engines outnumber the cases."""
    if _EVERY_ENGINE_MEETS & set(_parameters(functions[0])):
        return []
    engines = list(dict.fromkeys(_parameters(one)["engine"] for one in functions))
    cases = [tuple(id(value) for name, value in _parameters(one).items() if name != "engine") for one in functions]
    order = list(dict.fromkeys(cases))
    if len(order) < len(engines):
        return []
    return [
        one
        for one, case in zip(functions, cases, strict=True)
        if engines[order.index(case) % len(engines)] != _parameters(one)["engine"]
    ]


@pytest.fixture(scope="session")
def installed_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as ./install.sh leaves it; the path of what docker runs."""
    home = tmp_path_factory.mktemp("installed")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "PUSHSAFE_"))}
    environ |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "share")}
    done = subprocess.run(
        [str(ROOT / "install.sh")], env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (home / ".docker" / "cli-plugins" / "docker-pushsafe").resolve(strict=True)


@pytest.fixture
def user(tmp_path: Path, installed_plugin: Path) -> User:
    home = tmp_path / "home"
    home.mkdir()
    return User(home, installed_plugin)
