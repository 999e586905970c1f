"""One index of two images that a registry holds, over a far link: ours beside buildx, crane and oras.

    python -m benchmarks.index [RUNS]      # needs what tests/lab needs; exits 1 where a ratio is over its limit

The others look at nothing beforehand and read nothing back. The commands take turns within each round; a comparison
that comes out over a limit is made once more, and the second time counts.
"""

from __future__ import annotations

import argparse
import functools
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import start
from benchmarks.tags import ROUND_TRIP, TEN, Commands, Failed, Place, Pushed, Ratio, Turn, settled, turn
from tests import lab
from tests.fakes.latency import Latency

PLATFORMS = ("linux/amd64", "linux/arm64")
LIMITS: Mapping[str, float | None] = {"buildx": 1.5, "crane": 1.0, "oras": None}
"""Of the time of each. Ours asks beforehand and reads back, which are round trips that they do not make."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", metavar="RUNS", type=int, nargs="?", default=3, help="rounds (3)")
    chosen = parser.parse_args(arguments)
    try:
        ratios = measured(chosen.runs)
    except (Failed, lab.LabError) as error:
        print(error)
        return 2
    faults = [str(ratio) for ratio in ratios if ratio.over]
    print(f"OVER: {'; '.join(faults)}" if faults else "every ratio is under its limit")
    return 1 if faults else 0


def measured(runs: int) -> list[Ratio]:
    the_lab = lab.up()
    registry = the_lab.registries["open"]
    with start.surroundings() as environ, Latency(registry.port, ROUND_TRIP) as proxy:
        place = Place(registry, f"127.0.0.1:{proxy.port}", environ)
        return [ratio for tags in (1, TEN) for ratio in _compared(place, tags, runs)]


def _compared(place: Place, tags: int, runs: int) -> list[Ratio]:
    crane, oras, ours = lab.tool("crane"), lab.tool("oras"), "docker pushsafe index"
    if crane is None:
        raise lab.LabError("crane is not installed, which puts the images there")
    buildx = ("env", f"DOCKER_CONFIG={lab.newer_docker_config()}", "docker", "buildx", "imagetools", "create")
    ways: dict[str, tuple[str, Callable[[Sequence[str], Sequence[str]], Commands]]] = {
        "": (ours, lambda sources, wanted: [["docker", "pushsafe", "index", *_each("-t", wanted), *sources]]),
        "buildx": (
            "docker buildx imagetools create",
            lambda sources, wanted: [[*buildx, *_each("-t", wanted), *sources]],
        ),
        "crane": (
            f"crane index append{f', {tags - 1} x crane tag' if tags > 1 else ''}",
            lambda sources, wanted: [
                [str(crane), "index", "append", *_each("-m", sources), "-t", wanted[0]],
                *([str(crane), "tag", wanted[0], other.rpartition(":")[2]] for other in wanted[1:]),
            ],
        ),
    }
    if oras is not None:
        ways["oras"] = (
            "oras manifest index create",
            lambda sources, wanted: [
                [
                    *(str(oras), "manifest", "index", "create", "--plain-http"),
                    f"{wanted[0].rpartition(':')[0]}:{','.join(one.rpartition(':')[2] for one in wanted)}",
                    *(source.rpartition(":")[2] for source in sources),
                ]
            ],
        )
    turns = {name: _turn(place, tags, str(crane), commands) for name, (_, commands) in ways.items()}
    start.in_turns(turns, 1)

    def ratios() -> list[Ratio]:
        found = {name: Pushed(tags, ways[name][0], times) for name, times in start.in_turns(turns, runs).items()}
        return [Ratio("registry", found[""], found[name], LIMITS[name]) for name in ways if name]

    return settled(ratios)


def _turn(place: Place, tags: int, crane: str, commands: Callable[[Sequence[str], Sequence[str]], Commands]) -> Turn:
    """A turn of commands that put an index together from two tags of its own repository."""

    @contextmanager
    def ready(references: Sequence[str]) -> Iterator[Commands]:
        repository = references[0].rpartition(":")[0]
        sources = [f"{repository}:{platform.rpartition('/')[2]}" for platform in PLATFORMS]
        near = [source.replace(place.host, place.registry.host) for source in sources]
        with tempfile.TemporaryDirectory() as folder:
            for source, platform in zip(near, PLATFORMS, strict=True):
                archive = Path(folder, "image.tar")
                archive.write_bytes(lab.docker_archive(source, [secrets.token_bytes(1000)], platform, {}))
                subprocess.run([crane, "push", str(archive), source], check=True, capture_output=True)
        yield commands(sources, references)

    return functools.partial(turn, place, tags, ready)


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


if __name__ == "__main__":
    sys.exit(main())
