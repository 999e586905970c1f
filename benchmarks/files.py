"""An image that lies in files, pushed without an engine: ours beside crane, skopeo and oras.

    python -m benchmarks.files [RUNS] [--data disk|memory]     # needs what tests/lab needs

Ten tags of 20 small layers go to a registry that is 40 ms away. A layout and a `docker save`, each of 1 GiB in 8
layers, go to a registry of the benchmark's own on the loopback interface, whose data lie on a disk or in memory; they
are thrown away before each push, so that every blob is sent. The layout's layers cannot be compressed any more; those
of the save are files of this machine's /usr, drawn by lot, always the same. The commands take turns within each round;
a comparison that comes out over a limit is made once more, and the second time counts. It exits 1 where a ratio reaches
its limit, and 2 where a command fails or the lab does not run.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import itertools
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks import start
from benchmarks.tags import (
    LAYER_BYTES,
    LAYERS,
    ROUND_TRIP,
    TEN,
    TOOL_COMMANDS,
    Commands,
    Failed,
    Place,
    Pushed,
    Ratio,
    Turn,
    settled,
    turn,
)
from tests import lab
from tests.fakes.latency import Latency
from tests.lab.images import oci_layout, write_docker_archive

MANY_TAGS: Mapping[str, float | None] = {"oras": 0.6, "crane": None, "skopeo": None}
LAYOUT: Mapping[str, float | None] = {"crane": 1.7, "skopeo": 1.0}  # crane checks no layer; we hash each one
SAVED: Mapping[str, float | None] = {"crane": 0.7, "skopeo": 0.7}
"""The limits, as shares of the time of each; none where it is only told."""
LARGE = (8, 128 * 1024 * 1024)
"""Layers, and bytes of each."""
USR = Path("/usr")
FOLDERS: Mapping[str, str | None] = {"disk": None, "memory": "/dev/shm"}
"""Where the registry's data lie, the former where temporary files do."""

Way = Callable[[Path, Sequence[str]], Commands]
"""The commands for a new folder and these references."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", metavar="RUNS", type=int, nargs="?", default=3, help="rounds (3)")
    parser.add_argument("--data", choices=FOLDERS, default="disk", help="where the registry has its data (disk)")
    chosen = parser.parse_args(arguments)
    try:
        ratios = measured(chosen.runs, FOLDERS[chosen.data])
    except (Failed, lab.LabError) as error:
        print(error)
        return 2
    faults = [str(ratio) for ratio in ratios if ratio.over]
    print(f"OVER: {'; '.join(faults)}" if faults else "every ratio is under its limit")
    return 1 if faults else 0


def measured(runs: int, data: str | None) -> list[Ratio]:
    far = lab.up().registries["open"]
    with start.surroundings() as environ:
        with Latency(far.port, ROUND_TRIP) as proxy:
            ratios = many_tags(Place(far, f"127.0.0.1:{proxy.port}", environ), runs)
        with tempfile.TemporaryDirectory() as images, own_registry(data) as near:
            place = Place(near, near.host, environ)
            ratios += large_layout(place, Path(images), runs)
            ratios += large_save(place, Path(images), runs)
    return ratios


# ------------------------------------------------------------------- comparisons


def many_tags(place: Place, runs: int) -> list[Ratio]:
    """A new image for each push, as each has a repository of its own."""

    def ours(folder: Path, references: Sequence[str]) -> Commands:
        return [[*OURS, f"oci:{folder / 'layout'}:t0", *references]]

    turns = {"": _each_new(place, ours)}
    for name in MANY_TAGS:
        if path := lab.tool(name):
            turns[name] = _each_new(place, functools.partial(TOOL_COMMANDS[name][1], str(path)))
    shown = {name: TOOL_COMMANDS[name][0] if name else _shown("oci") for name in turns}
    return _compared("far", TEN, shown, turns, MANY_TAGS, runs)


def large_layout(place: Place, folder: Path, runs: int) -> list[Ratio]:
    source = folder / "layout"
    # Level 0 of gzip, as no level makes it smaller.
    oci_layout(source, "t0", _random_layers(), level=0)
    ways: dict[str, tuple[str, Way]] = {"": (_shown("oci"), lambda _, names: [[*OURS, f"oci:{source}:t0", *names]])}
    if crane := lab.tool("crane"):
        ways["crane"] = ("crane push DIR", lambda _, names: [[str(crane), "push", str(source), *names]])
    if skopeo := lab.tool("skopeo"):
        ways["skopeo"] = ("skopeo copy oci:DIR", functools.partial(_skopeo, skopeo, f"oci:{source}:t0"))
    return _of_one_image(place, "layout", ways, LAYOUT, runs)


def large_save(place: Place, folder: Path, runs: int) -> list[Ratio]:
    source = folder / "image.tar"
    with source.open("wb") as file:
        write_docker_archive(file, "bench/image:t0", _usual_layers(), "linux/amd64", {})
    kind = f"docker-archive:{source}"
    ways: dict[str, tuple[str, Way]] = {"": (_shown("docker-archive"), lambda _, names: [[*OURS, kind, *names]])}
    if crane := lab.tool("crane"):
        ways["crane"] = ("crane push FILE", lambda _, names: [[str(crane), "push", str(source), *names]])
    if skopeo := lab.tool("skopeo"):
        ways["skopeo"] = ("skopeo copy docker-archive:FILE", functools.partial(_skopeo, skopeo, kind))
    return _of_one_image(place, "docker-archive", ways, SAVED, runs)


OURS = (str(start.LAUNCHER), "-q", "--from")


def _shown(kind: str) -> str:
    return f"docker-pushsafe -q --from {kind}:"


def _skopeo(program: Path, source: str, home: Path, references: Sequence[str]) -> Commands:
    """Without what it has noted of other pushes, which root has at another place than everybody else."""
    nobody = ("env", f"HOME={home}", "_CONTAINERS_ROOTLESS_UID=1")
    copy = (str(program), "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", source)
    return [[*nobody, *copy, f"docker://{reference}"] for reference in references]


def _of_one_image(
    place: Place, what: str, ways: Mapping[str, tuple[str, Way]], limits: Mapping[str, float | None], runs: int
) -> list[Ratio]:
    turns = {name: _each_emptied(place, way) for name, (_, way) in ways.items()}
    # The first round fills the page cache, and does not count.
    start.in_turns(turns, 1)
    return _compared(what, 1, {name: shown for name, (shown, _) in ways.items()}, turns, limits, runs)


def _compared(
    what: str,
    tags: int,
    shown: Mapping[str, str],
    turns: Mapping[str, Turn],
    limits: Mapping[str, float | None],
    runs: int,
) -> list[Ratio]:
    for name in limits:
        if name not in turns:
            print(f"{name}: not installed")

    def ratios() -> list[Ratio]:
        found = {name: Pushed(tags, shown[name], times) for name, times in start.in_turns(turns, runs).items()}
        return [Ratio(what, found[""], found[name], limits[name]) for name in turns if name]

    return settled(ratios)


# ------------------------------------------------------------------- pushes


def _each_new(place: Place, way: Way) -> Turn:
    """A turn of commands that push the image `t0` in `layout` of a folder, or the same in `image.tar`."""

    @contextmanager
    def ready(references: Sequence[str]) -> Iterator[Commands]:
        with tempfile.TemporaryDirectory() as name:
            folder, layers = Path(name), [random.randbytes(LAYER_BYTES) for _ in range(LAYERS)]
            (folder / "image.tar").write_bytes(lab.docker_archive(references[0], layers, "linux/amd64", {}))
            oci_layout(folder / "layout", "t0", layers)
            yield way(folder, references)

    return functools.partial(turn, place, TEN, ready)


def _each_emptied(place: Place, way: Way) -> Turn:
    """A turn of commands that push to a registry without any content."""

    @contextmanager
    def ready(references: Sequence[str]) -> Iterator[Commands]:
        shutil.rmtree(place.registry.repositories.parent, ignore_errors=True)
        # What is still to be written belongs to other turns.
        os.sync()
        with tempfile.TemporaryDirectory() as folder:
            yield way(Path(folder), references)

    return functools.partial(turn, place, 1, ready)


@contextmanager
def own_registry(data: str | None) -> Iterator[lab.LabRegistry]:
    """A registry without a login, whose content goes with it. Raises LabError."""
    with tempfile.TemporaryDirectory(dir=data) as name, socket.create_server(("127.0.0.1", 0)) as free:
        folder, host = Path(name), f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "http": {"addr": host, "secret": "bench"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        log = folder / "log"
        with log.open("wb") as output:
            command = ("docker-registry", "serve", str(folder / "config.yml"))
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(host, process, log)
            repositories = folder / "data" / "docker" / "registry" / "v2" / "repositories"
            yield lab.LabRegistry("own", host, "", {}, False, log, repositories)
        finally:
            process.terminate()
            process.wait()


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        with closing(http.client.HTTPConnection(host, timeout=1)) as connection:
            try:
                connection.request("GET", "/v2/")
                connection.getresponse()
                return
            except OSError:
                time.sleep(0.02)
    raise lab.LabError(f"docker-registry does not start: {log.read_text()}")


# ------------------------------------------------------------------- content


def _random_layers() -> Iterator[bytes]:
    layers, size = LARGE
    source = random.Random(1)
    for _ in range(layers):
        yield source.randbytes(size)


def _usual_layers() -> Iterator[bytes]:
    """What files of /usr hold, one after the other; all of them by lot, which is always the same."""
    layers, size = LARGE
    files = sorted(path for path in USR.rglob("*") if _is_regular(path))
    random.Random(1).shuffle(files)
    drawn, content = itertools.cycle(files), bytearray()
    for _ in range(layers):
        while len(content) < size:
            content += next(drawn).read_bytes()
        yield bytes(content[:size])
        del content[:size]


def _is_regular(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


if __name__ == "__main__":
    sys.exit(main())
