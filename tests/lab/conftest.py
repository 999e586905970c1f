"""One real installation for all end-to-end tests, and a fresh user for each."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.plugin import ROOT, User


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
