"""Threads and files that an opened image begins to read with: nothing outlives its use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pushsafe.sources import open_image
from tests.fakes.archives import Making, saved, written

ROOT = Path(__file__).parents[4]


def nobody(_done: int, _total: int) -> None:
    """Nobody wants to know."""


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pushsafe-")]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("finished", [True, False])
def test_threads_and_files_end(tmp_path: Path, finished: bool) -> None:
    made = Making()
    layers = [os.urandom(8 << 20) for _ in range(4)]
    archives = [
        written(tmp_path / "image.tar", saved(*layers)),
        made.tagged(made.image("linux/amd64", *layers)).folder(tmp_path / "layout"),
        made.tar(tmp_path / "layout.tar"),
    ]
    deadline, before = time.monotonic() + 10, descriptors()
    for archive in archives:
        image = open_image(archive)
        if finished:
            image.package(nobody)
            image.check()
        image.close()
    while (ours() or descriptors() > before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (ours(), descriptors()) == ([], before)


@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_a_process_ends_when_it_wants_to(tmp_path: Path, kind: str) -> None:
    layer = os.urandom(1 << 20) * 300
    made = Making()
    if kind == "oci":
        made.tagged(made.image("linux/amd64", layer)).folder(tmp_path / "image")
    else:
        written(tmp_path / "image", saved(layer))
    code = (
        "import os, time\nfrom pushsafe.sources import open_image\n"
        "from pushsafe.model.request import Archive\n"
        f"open_image(Archive({kind!r}, {str(tmp_path / 'image')!r}))\n"
        "import atexit\nstarted = time.monotonic()\n"
        "atexit.register(lambda: print(time.monotonic() - started))\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 1
    assert time.monotonic() - started < 20
