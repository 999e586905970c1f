"""Several pushes at the same time, each a process: to one repository, and for one tag. What is claimed is true, and no
upload stays open; nor where one is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pushsafe.demo.registry import EmbeddedRegistry
from tests.fakes.archives import Making
from tests.fakes.latency import Latency
from tests.lab.plugin import ROOT, Run
from tests.lab.test_killed import Store

RUNS = int(os.environ.get("PUSHSAFE_RACES", "4"))
"""How many at once. Races are found with 30 rather than with 5; every run of the tests may not take that long."""

SHARED = os.urandom(300_000)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    """No upload is left open in it."""
    with EmbeddedRegistry(tmp_path / "registry") as running:
        yield running
        assert open_uploads(tmp_path) == []


def open_uploads(folder: Path) -> list[Path]:
    return list((folder / "registry" / "uploads").iterdir())


def start(home: Path, layout: Path, *references: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pushsafe", "--format", "json", "--from", f"oci:{layout}", *references],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_all(pushes: list[tuple[Path, list[str]]], home: Path) -> list[Run]:
    """The program for each layout and its references, all at the same time."""
    running = [start(home, layout, *references) for layout, references in pushes]
    ended = [(one, *one.communicate(timeout=120)) for one in running]
    return [Run(one.returncode, stdout, stderr) for one, stdout, stderr in ended]


def image(folder: Path, number: int) -> tuple[Path, str]:
    """A layout of an image that shares its largest layer with the others, and its digest."""
    made = Making()
    entry = made.image("linux/amd64", SHARED, f"{folder} {number}".encode() * 100)
    made.tagged(entry).folder(folder / str(number))
    return folder / str(number), entry["digest"]


def claims(run: Run) -> dict[str, Any]:
    return {one["reference"]: one["digest"] for one in run.results if one["verification"] == "verified"}


def test_many_push_to_one_repository(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Images of their own with a layer in common, each under two tags of its own."""
    images = [image(tmp_path / "layouts", number) for number in range(RUNS)]
    name = f"{registry.host}/team/app"
    runs = run_all([(layout, [f"{name}:{n}", f"{name}:{n}-again"]) for n, (layout, _) in enumerate(images)], tmp_path)
    assert [one.status for one in runs] == [0] * RUNS, [one.stdout + one.stderr for one in runs if one.status]
    store = Store(registry.host, "team/app")
    for number, (run, (_, digest)) in enumerate(zip(runs, images, strict=True)):
        assert claims(run) == dict.fromkeys((f"{name}:{number}", f"{name}:{number}-again"), digest)
        assert [store.digest(tag) for tag in (f"{number}", f"{number}-again")] == [digest, digest]
        assert store.lacks(digest) == []


def test_many_push_different_images_to_one_tag(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """One wins, and says so; whoever finds another image when reading back says that."""
    images = [image(tmp_path / "layouts", number) for number in range(RUNS)]
    reference = f"{registry.host}/team/app:latest"
    runs = run_all([(layout, [reference]) for layout, _ in images], tmp_path)
    assert {one.status for one in runs} <= {0, 8}, [one.stdout + one.stderr for one in runs]
    store = Store(registry.host, "team/app")
    winner = store.digest("latest")
    assert winner in [digest for run, (_, digest) in zip(runs, images, strict=True) if run.status == 0]
    for run, (_, digest) in zip(runs, images, strict=True):
        (result,) = run.results
        assert (result["digest"], result["verification"]) == (digest, "verified" if run.status == 0 else "mismatch")
        assert store.lacks(digest) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_says_so_and_cancels_its_uploads(
    number: signal.Signals, registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """As soon as it knows of an open upload, at a registry that answers slowly."""
    layout, _ = image(tmp_path / "layouts", 0)
    with Latency(int(registry.host.rpartition(":")[2]), rtt=0.5) as way:
        name = f"127.0.0.1:{way.port}/team/app"
        running = start(tmp_path, layout, f"{name}:1", f"{name}:latest")
        while not open_uploads(tmp_path) and running.poll() is None:
            time.sleep(0.01)
        time.sleep(2 * way.rtt)  # until the answer that says where it is has come
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    run = Run(running.returncode, stdout, stderr)
    assert (run.status, run.report["interrupted"]) == (130, True), stderr
    store = Store(registry.host, "team/app")
    assert {one["outcome"] for one in run.results} == {"not-pushed"}
    assert store.tags() == []
