"""Loopback names, and which names the engine's list of insecure registries means."""

from __future__ import annotations

import pytest

from pushsafe.registry.hosts import is_insecure, is_loopback
from tests.contract.registry.conftest import Names

LOOPBACK = {
    "localhost": True,
    "localhost:5000": True,
    "127.0.0.1:5000": True,
    "127.3.2.1": True,
    "127.0.0.1:05000": True,
    "[::1]:5000": True,
    "[0:0:0:0:0:0:0:1]:5000": True,
    "0.0.0.0:5000": False,
    "127.1:5000": False,
    "registry.test": False,
    "localhost.test:5000": False,
    "127.0.0.1.test": False,
    "10.0.0.1:5000": False,
    "user@127.0.0.1": False,
    "": False,
}


@pytest.mark.parametrize(("name", "expected"), LOOPBACK.items())
def test_loopback_names(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected


INSECURE = [
    ("localhost:5000", (), True),
    ("registry.test:5000", (), False),
    ("registry.test:5000", ("registry.test:5000",), True),
    ("registry.test:5000", ("registry.test",), False),
    ("registry.test", ("registry.test:5000",), False),
    ("10.1.2.3:5000", ("10.0.0.0/8",), True),
    ("11.1.2.3:5000", ("10.0.0.0/8",), False),
    ("[fd00::1]:5000", ("fd00::/8",), True),
    ("registry.test:5000", ("not/a/network", ""), False),
    ("unknown.test:5000", ("10.0.0.0/8",), False),
    ("docker.io", ("docker.io", "0.0.0.0/0"), False),  # first in the engine's index, as a secure one
]


@pytest.mark.parametrize(("name", "listed", "expected"), INSECURE)
def test_insecure_names(name: str, listed: tuple[str, ...], expected: bool, names: Names) -> None:
    if name[0].isalpha():
        names("registry.test")
    assert is_insecure(name, listed) is expected
