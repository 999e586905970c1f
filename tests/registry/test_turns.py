"""How many requests have their bodies read at the same time."""

from __future__ import annotations

import pytest

from pushsafe.registry import turns
from pushsafe.registry.turns import Turns

LARGE = 1024 * 1024 + 1


@pytest.mark.parametrize("registry", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_near_ones_take_turns(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_NEAR", 2)
    found = Turns(registry)
    assert found.piece == 48 * 1024 * 1024
    assert found._free is not None
    with found.one(LARGE) as first, found.one(LARGE):
        assert not found._free.acquire(blocking=False)
        first()
        first()  # and no more than once
        with found.one(LARGE):
            assert not found._free.acquire(blocking=False)
            with found.one(LARGE - 1) as small:  # which does not wait
                small()
    assert [found._free.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_a_turn_ends_with_its_request_whatever_becomes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_NEAR", 1)
    found = Turns("127.0.0.1:5000")
    with pytest.raises(OSError, match="gone"), found.one(LARGE):
        raise OSError("gone")
    with found.one(LARGE) as over:
        over()


def test_far_ones_go_as_they_come_and_whole() -> None:
    found = Turns("registry.example.com")
    with found.one(LARGE) as over, found.one(LARGE), found.one(LARGE):
        over()
    assert found.piece == 0
