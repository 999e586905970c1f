"""The tour's texts, image and engine, in process."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pushsafe.demo import tour as guide
from pushsafe.demo import user_engine as engines
from pushsafe.demo.environment import Surroundings, surroundings
from pushsafe.demo.runner import Interruption
from pushsafe.demo.sample_image import docker_archive, image, oci_layout
from pushsafe.demo.scenarios import EVERY_TAG, RUNS, Login
from pushsafe.engine.api import Engine
from pushsafe.model.request import DockerFlags, EngineAddress
from pushsafe.oci.platform import Platform
from pushsafe.report.exit_codes import ExitCode
from tests.contract.demo.machine import STATUSES, Machine, statuses
from tests.fakes.capture import FakeEngine, FakeImage, Refusal
from tests.values import AMD64, ref


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_password_is_shown(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    number = count()
    monkeypatch.setattr("secrets.token_urlsafe", lambda: f"hush-{next(number)}-hush")
    assert tour(machine, monkeypatch) == 0
    shown = "".join(capfd.readouterr())
    assert next(number) == 2
    assert "hush" not in shown
    for login in (Login.READER, Login.WRITER):
        encoded = base64.b64encode(f"{login.value}:hush".encode()).decode().rstrip("=")
        assert encoded[:-2] not in shown


def tour(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> int:
    """The tour in this very process."""
    monkeypatch.setattr("tempfile.tempdir", str(machine.temporary))
    return guide.tour(DockerFlags(), machine.environment)


def test_what_comes_out_otherwise_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = RUNS[0]._replace(status=ExitCode.FAILED, says=("PS101", "hullabaloo"))
    monkeypatch.setattr(guide, "RUNS", (RUNS[1], wrong, RUNS[2]))
    assert tour(machine, monkeypatch) == ExitCode.BUG
    shown, said = capfd.readouterr()
    assert statuses(shown) == [1, 1]
    assert wrong.why[:40] not in shown
    assert "docker pushsafe REF" not in shown
    told = "run 2 did not come out as it should: it ended with exit code 1, not 7; it does not say 'hullabaloo'"
    assert said.startswith(f"error: {told}\n  try: docker pushsafe try ")
    assert machine.left() == []


# ---------------------------------------------------------------------- the texts


def test_the_runs_tell_a_story() -> None:
    assert [int(run.status) for run in RUNS] == STATUSES
    assert [run.login.value for run in RUNS] == ["", "", "", "reader", "writer", "writer"]
    assert RUNS[4].references == RUNS[5].references == EVERY_TAG
    for run in RUNS:
        assert len(run.why) <= 320, "one or two sentences"
        assert run.why.endswith(".")


# ---------------------------------------------------------------------- the image


@pytest.mark.parametrize("platform", [AMD64, Platform("linux", "arm", "v7")])
def test_the_same_image_as_archive_and_as_layout(platform: Platform) -> None:
    made = image("text", platform)
    assert made == image("text", platform)
    assert made != image("another", platform)
    with tarfile.open(fileobj=io.BytesIO(docker_archive(made, ["a/b:1", "a/b:2"]))) as tar:
        files = {entry.name: content.read() for entry in tar if (content := tar.extractfile(entry))}
    (entry,) = json.loads(files["manifest.json"])
    assert entry["RepoTags"] == ["a/b:1", "a/b:2"]
    assert tuple(files[name] for name in entry["Layers"]) == made.layers
    layout = oci_layout(made)
    blobs = {path: content for path, content in layout.items() if path.startswith("blobs/")}
    assert list(blobs) == [f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for content in blobs.values()]
    (named,) = json.loads(layout["index.json"])["manifests"]
    manifest = json.loads(_blob(layout, named))
    assert files[entry["Config"]] == made.config == _blob(layout, manifest["config"])
    assert tuple(_blob(layout, one) for one in manifest["layers"]) == made.layers
    config = json.loads(made.config)
    assert config["rootfs"]["diff_ids"] == [one["digest"] for one in manifest["layers"]]
    assert Platform(config["os"], config["architecture"], config.get("variant", "")) == platform


def _blob(layout: Mapping[str, bytes], descriptor: Mapping[str, Any]) -> bytes:
    content = layout[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
    assert len(content) == descriptor["size"]
    return content


# ---------------------------------------------------------------------- the engine


@dataclass
class Stage:
    """The surroundings for one engine, until it is left."""

    machine: Machine

    def around(self, host: str = "", **flags: str) -> AbstractContextManager[Surroundings]:
        given = DockerFlags(host=(host,) if host else (), context=flags.get("context"))
        return surroundings(given, self.machine.environment, Interruption())


@pytest.fixture
def stage(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("tempfile.tempdir", str(machine.temporary))
    return Stage(machine)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_an_engine_that_will_do_gets_the_image_and_keeps_nothing(
    stage: Stage, architecture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeEngine(architecture=architecture) as engine:
        with stage.around(engine.host) as around:
            assert around.image.arguments == ()
            assert around.image.flags == (f"--host={engine.host}",)
            assert "in your engine" in around.image.told
            names = [text.format(host=around.host) for text in EVERY_TAG]
            loads = [one for one in engine.requests if one.path == "/images/load"]
            made = image(around.host, Platform("linux", architecture))
            assert [one.body for one in loads] == [docker_archive(made, names)]
            (asked,) = [json.loads(one.body) for one in engine.requests if one.path == "/auth"]
            assert (asked["username"], asked["serveraddress"]) == ("writer", around.host)
            assert not [one for one in engine.requests if one.method == "DELETE"]
        deleted = [one.path.removeprefix("/images/") for one in engine.requests if one.method == "DELETE"]
        assert deleted == names
    assert "".join(capsys.readouterr()) == ""
    assert stage.machine.left() == []


class Holding(FakeEngine):
    """Has an image of every name."""

    def _find(self, name: str) -> FakeImage | None:
        return FakeImage()


NOT_FOR_US: dict[str, tuple[Callable[[], FakeEngine], str]] = {
    "elsewhere": (lambda: FakeEngine(auth=Refusal(500, "connection refused")), "does not reach a registry on 127.0.0."),
    "windows": (lambda: FakeEngine(os="windows"), "runs no images for Linux"),
    "names": (Holding, "has images of these names already"),
    "no load": (lambda: FakeEngine(load=[{"error": "disk full"}]), "the engine does not load the image: disk full"),
    "busy": (lambda: FakeEngine(errors={"GET /info": Refusal(500, "busy")}), "the engine answers 500 to GET /info"),
}


@pytest.mark.parametrize(("make", "why"), NOT_FOR_US.values(), ids=NOT_FOR_US)
def test_an_engine_that_will_not_do(stage: Stage, make: Callable[[], FakeEngine], why: str) -> None:
    with make() as engine:
        with stage.around(engine.host) as around:
            assert (around.image.flags, around.image.arguments) == ((), ("--from", "oci:image"))
            assert why in around.image.told
            assert (around.folder / "image/oci-layout").is_file()
            assert "DOCKER_HOST" not in around.environ
        deleted = [one for one in engine.requests if one.method == "DELETE"]
        assert bool(deleted) is (why.endswith("disk full")), "what was there before is not ours to delete"
    assert stage.machine.left() == []


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"host": "tcp://192.0.2.1:2375"}, "the engine at tcp://192.0.2.1:2375 is not on this machine"),
        ({"host": "ssh://ada@build.example.com"}, "the engine at ssh://ada@build.example.com is not on this machine"),
        ({"host": "ssh://ada:hush@build.example.com"}, "the engine at ssh://***@build.example.com is not on"),
        ({"host": "fd://"}, "is not a docker host"),
        ({"context": "nowhere"}, "there is no docker context 'nowhere'"),
        ({}, "no engine answers at unix://"),
    ],
)
def test_an_engine_that_is_not_here_is_not_waited_for(stage: Stage, flags: dict[str, str], why: str) -> None:
    began = time.monotonic()
    with stage.around(**flags) as around:
        assert why in around.image.told
        assert around.image.arguments == ("--from", "oci:image")
    assert time.monotonic() - began < 5


def test_an_engine_that_hangs_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.demo.environment._ENGINE_SECONDS", 0.3)
    hanging = socket.create_server(("127.0.0.1", 0))
    with hanging, stage.around(f"tcp://127.0.0.1:{hanging.getsockname()[1]}") as around:
        assert "the engine does not answer" in around.image.told


def test_what_an_engine_does_not_give_back_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Holding() as engine:
        engines.take_back(Engine(EngineAddress(engine.host, "--host")), [ref("a.test/b:1"), ref("a.test/b:2")])
    said = capsys.readouterr().err
    assert said == "warning: the engine may still have what the tour made: docker rmi a.test/b:1 a.test/b:2\n"


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        (EngineAddress("unix:///run/docker.sock", ""), ("--host=unix:///run/docker.sock",)),
        (
            EngineAddress("tcp://localhost:2376", "", None, True, True, "/ca.pem", "/cert.pem", "/key.pem"),
            (
                "--host=tcp://localhost:2376",
                "--tlsverify=true",
                "--tlscacert=/ca.pem",
                "--tlscert=/cert.pem",
                "--tlskey=/key.pem",
            ),
        ),
        (
            EngineAddress("tcp://localhost:2376", "", None, True, False),
            ("--host=tcp://localhost:2376", "--tlsverify=false"),
        ),
    ],
)
def test_flags_lead_to_the_same_engine(address: EngineAddress, flags: tuple[str, ...]) -> None:
    assert engines.flags(address) == flags
