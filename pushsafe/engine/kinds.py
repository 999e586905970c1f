"""The kinds of engines that serve docker's API: how to recognise them, and their features."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pushsafe.model.facts import DOCKER, EngineKind

CONTAINERD = EngineKind("containerd", holds_indexes=True, answers_late_challenge=True, reads_insecure_registries=True)
CLASSIC = EngineKind("classic", writes_docker_manifests=True, ends_with_manifest=True, reads_insecure_registries=True)
PODMAN = EngineKind(ends_with_manifest=True)

_SNAPSHOTTER = "io.containerd.snapshotter.v1"


class Entry(NamedTuple):
    """A kind of engine; `recognises` gets the `driver-type` of `GET /info` and the product's name."""

    kind: EngineKind
    recognises: Callable[[str, str], bool]


ENGINES = {
    "docker, containerd image store": Entry(CONTAINERD, lambda driver, _: driver == _SNAPSHOTTER),
    "docker, classic image store": Entry(CLASSIC, lambda _, product: product == DOCKER),
    "podman": Entry(PODMAN, lambda *_: True),  # and any other product
}
"""Every kind by its name; the first one that recognises an engine counts."""


def kind_of(driver: str, product: str) -> EngineKind:
    return next(entry.kind for entry in ENGINES.values() if entry.recognises(driver, product))
