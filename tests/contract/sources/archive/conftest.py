"""A layout in both of its forms, for all tests of image files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pushsafe.model.request import Archive
from tests.fakes.archives import Making


@pytest.fixture(params=["folder", "tar"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Making], Archive]:
    return lambda making: getattr(making, request.param)(tmp_path / "layout")
