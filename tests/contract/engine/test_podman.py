"""podman behind docker's socket: it names no layer, makes manifests of its own, and is called what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pushsafe.demo.registry import EmbeddedRegistry
from pushsafe.engine.kinds import CLASSIC, PODMAN
from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import EngineInfo, EngineKind, Facts, LocalImage
from pushsafe.model.outcomes import Layers
from pushsafe.model.tag_changes import unchanged
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestInfo
from pushsafe.report.style import layers_line
from tests.fakes.capture import FakeEngine, FakeImage
from tests.fakes.registry import FakeRegistry, Manifest, manifests, open_registry
from tests.program import Program
from tests.values import AMD64, OCI_MANIFEST, ref, sha

CONFIG = sha("c")
ONE = Manifest({"schemaVersion": 2, "config": {"digest": CONFIG}, "layers": [{"digest": sha("1"), "size": 100}]})


class Podman(FakeEngine):
    """As podman 5.4 answers: its push names no layer."""

    def _version_answer(self) -> Any:
        return {"Components": [{"Name": "Podman Engine", "Version": "5.4.2"}, {"Name": "Conmon"}]}


@pytest.mark.parametrize("form", ["human", "json"])
def test_an_image_that_is_there_already(form: str, tmp_path: Path) -> None:
    """The tag's manifest is podman's own; the config that it names is the image's ID."""
    with FakeRegistry(open_registry(manifests("acme/app", {"1": ONE}))) as registry:
        name = f"{registry.host}/acme/app:1"
        said = [{"status": f"1: digest: {ONE.digest} size: 500"}]
        with Podman({name: FakeImage(id=CONFIG)}, version="5.4.2", push={name: said}) as engine:
            done = Program(tmp_path, engine.host)("--format", form, name)
    assert (done.returncode, done.stderr.count("PS401")) == (0, 0), done.stderr
    if form == "json":
        report = json.loads(done.stdout)
        assert [(result["outcome"], result["layers"]) for result in report["results"]] == [("already-there", None)]
        assert report["findings"] == []
    else:
        assert "layers: not reported by the engine" in done.stdout
        assert "already there and verified" in done.stdout


def test_what_diagnose_says_of_it(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        name = f"{registry.host}/acme/app:1"
        with Podman([name], version="5.4.2") as engine:
            done = Program(tmp_path, engine.host)("diagnose", name)
        with FakeEngine([name]) as engine:
            dockers = Program(tmp_path, engine.host)("diagnose", name)
    said = f"it pushes over plain HTTP only where its registries.conf has {registry.host} with insecure = true"
    assert f"Podman Engine 5.4.2; {said}" in done.stdout
    assert "registries.conf" not in dockers.stdout


@pytest.mark.parametrize(
    ("media_type", "kind", "expected"),
    [
        (OCI_MANIFEST, PODMAN, True),
        (OCI_MANIFEST, CLASSIC, False),
        (DOCKER_MANIFEST, CLASSIC, True),
        (DOCKER_MANIFEST, PODMAN, True),
    ],
)
def test_a_manifest_of_its_own_names_the_same_image(media_type: str, kind: EngineKind, expected: bool) -> None:
    info = EngineInfo("5.4.2", "1.41", kind, AMD64)
    now = TagHeld(ManifestInfo(sha("d"), media_type, config=sha("a")))
    fact = Facts(ref("registry.test/app:1"), image=LocalImage(sha("a"), (AMD64,)), engine=info, tag_now=now)
    assert unchanged(fact) is expected


def test_no_count_where_nothing_was_told() -> None:
    assert layers_line(Layers(reported=False)) == "layers: not reported by the engine"
    assert layers_line(Layers()) == "0 layers: none"
