"""Of which kind an engine is, by what it says of itself."""

from __future__ import annotations

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD, ENGINES, PODMAN, kind_of
from pushsafe.model.facts import DOCKER, EngineKind


@pytest.mark.parametrize(
    ("driver", "product", "kind"),
    [
        ("io.containerd.snapshotter.v1", DOCKER, CONTAINERD),
        ("", DOCKER, CLASSIC),
        ("overlay2", DOCKER, CLASSIC),
        ("", "Podman Engine", PODMAN),
        ("", "what else serves docker's API", PODMAN),
    ],
)
def test_a_kind_is_recognised(driver: str, product: str, kind: EngineKind) -> None:
    assert kind_of(driver, product) == kind


def test_no_two_kinds_are_alike() -> None:
    kinds = {entry.kind for entry in ENGINES.values()}
    assert len(kinds) == len(ENGINES)
