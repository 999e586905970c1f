"""Of which kind an engine is, by what it says of itself."""

from __future__ import annotations

from pushsafe.engine.kinds import CLASSIC, CONTAINERD, ENGINES, PODMAN, kind_of
from pushsafe.model.facts import DOCKER


def test_a_kind_is_recognised() -> None:
    for driver, product, kind in (
        ("io.containerd.snapshotter.v1", DOCKER, CONTAINERD),
        ("", DOCKER, CLASSIC),
        ("overlay2", DOCKER, CLASSIC),
        ("", "Podman Engine", PODMAN),
        ("", "what else serves docker's API", PODMAN),
    ):
        assert kind_of(driver, product) == kind, driver


def test_no_two_kinds_are_alike() -> None:
    kinds = {entry.kind for entry in ENGINES.values()}
    assert len(kinds) == len(ENGINES)
