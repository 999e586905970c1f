"""What every test shares: levels by folder, no skips in CI, and one lab."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from pushsafe.runtime import redact
from tests import lab
from tests.lab import Lab

_LEVELS = Path(__file__).parent
_CI = bool(os.environ.get("CI"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of tests/system and tests/lab with its level."""
    for item in items:
        level = item.path.relative_to(_LEVELS).parts[0]
        if level in ("system", "lab"):
            item.add_marker(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that CI cannot run is a test that nobody runs: there a skip is a failure."""
    report = yield
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not be skipped in CI: {reason}"
    return report


@pytest.fixture(scope="session")
def the_lab() -> Lab:
    """The real engines and registries, started if need be; skipped with the reason where they cannot run."""
    if reason := lab.unavailable():
        pytest.skip(f"the lab cannot run here: {reason}")
    return lab.up()


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """What one test calls a secret may be a plain word in the next one."""
    yield
    redact.forget()
