"""What many tags of one image cost: docker pushsafe beside docker push (a loop, and -a), crane, skopeo and oras.

    python -m benchmarks.tags [RUNS] [--engine NAME]... [--markdown]     # needs what tests/lab needs

The registry is 40 ms away (one round trip, tests/fakes/latency.py), an image has 20 layers, and every push is a first
one: layers and repository are new for each command of each round, and its tags are looked for afterwards. Images are
made, loaded, tagged and removed outside the time. The tools stand beside the containerd engine, and have their image
in a file or folder. It exits 1 where a ratio reaches its limit, and 2 where a command fails or the lab does not run.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import http.client
import json
import os
import platform
import random
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks import start
from pushsafe import __version__
from tests import lab
from tests.fakes.latency import Latency
from tests.lab import engine_api, newer
from tests.lab.images import oci_layout

ROUND_TRIP = 0.04
"""Seconds."""
LAYERS, LAYER_BYTES = 20, 1000
TEN, FIFTY = 10, 50
ENGINES = ("classic-20", "classic-new", "containerd-new")
ONE_TAG: Mapping[str, float | None] = {"classic": 1.25, "containerd": None}
LOOP: Mapping[str, float] = {"classic": 0.35, "containerd": 0.45}
GROWTH, FASTER = 1.5, 1.0
TOOLS: Mapping[str, float | None] = {"crane": FASTER, "skopeo": FASTER, "oras": None}
"""The limits, none where the ratio is only told."""

Commands = Sequence[Sequence[str]]
Turn = Callable[[], float]


class Failed(Exception):
    """A command did not do its work; the message is the command and its output."""


@dataclass(frozen=True)
class Pushed:
    """One way of pushing: how many tags, by which command as one reads it, and how long it took, in seconds."""

    tags: int
    command: str
    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def count(self) -> str:
        return f"{self.tags} {'tag' if self.tags == 1 else 'tags'}"

    def __str__(self) -> str:
        return f"{self.count}, {self.command}"


@dataclass(frozen=True)
class Ratio:
    """How much of another command's time ours takes; it has to stay under its limit."""

    engine: str
    ours: Pushed
    other: Pushed
    limit: float | None

    @property
    def value(self) -> float:
        return self.ours.median / self.other.median

    @property
    def over(self) -> bool:
        return self.limit is not None and self.value >= self.limit

    @property
    def beside(self) -> str:
        """What ours stands beside: another command, or itself with fewer tags."""
        return self.other.command if self.other.tags == self.ours.tags else f"its own {self.other.count}"

    def __str__(self) -> str:
        limit = "no limit" if self.limit is None else f"limit {self.limit:.2f}"
        return f"{self.engine}: {self.ours.count} in {self.value:.2f} of the time of {self.beside}, {limit}"


@dataclass(frozen=True)
class Place:
    """Where a push goes to: `host` is the registry as it is seen from far away."""

    registry: lab.LabRegistry
    host: str
    environ: Mapping[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tags", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", metavar="RUNS", type=_count, nargs="?", default=3, help="rounds (3)")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this engine; repeatable")
    parser.add_argument("--markdown", action="store_true", help="a table on stdout, and all the rest on stderr")
    chosen = parser.parse_args(arguments)
    engines = [name for name in ENGINES if name in (chosen.engine or ENGINES)]
    # A table that goes into a file must not take the progress with it.
    with redirect_stdout(sys.stderr if chosen.markdown else sys.stdout):
        try:
            ratios = measured(engines, chosen.runs)
        except (Failed, lab.LabError) as error:
            print(error)
            return 2
        faults = [str(ratio) for ratio in ratios if ratio.over]
        print(f"OVER: {'; '.join(faults)}" if faults else "every ratio is under its limit")
    if chosen.markdown:
        print(markdown(ratios, surroundings(engines), chosen.runs))
    return 1 if faults else 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds")
    return int(text)


def measured(engines: Sequence[str], runs: int) -> list[Ratio]:
    the_lab = lab.up()
    registry = the_lab.registries["open"]
    ratios: list[Ratio] = []
    with start.surroundings() as environ, Latency(registry.port, ROUND_TRIP) as proxy:
        place = Place(registry, f"127.0.0.1:{proxy.port}", environ)
        for engine in (the_lab.engines[name] for name in engines):
            print(f"{engine.name}:")
            ratios += one_tag(place, engine, runs)
            ratios += many_tags(place, engine, runs)
            if engine.store == "containerd":
                ratios += tools(place, engine, runs)
    return ratios


# ------------------------------------------------------------------- comparisons


def one_tag(place: Place, engine: lab.LabEngine, runs: int) -> list[Ratio]:
    docker = ("docker", "-H", engine.host)
    plain, ours = "docker push -q", "docker pushsafe -q"
    turns = {
        plain: on_engine(place, engine, 1, lambda references: [[*docker, "push", "-q", *references]]),
        ours: on_engine(place, engine, 1, lambda references: [[*docker, "pushsafe", "-q", *references]]),
    }
    # The first round of an engine fills the caches, and does not count.
    start.in_turns(turns, 1)

    def ratios() -> list[Ratio]:
        found = start.in_turns(turns, runs)
        return [Ratio(engine.name, Pushed(1, ours, found[ours]), Pushed(1, plain, found[plain]), ONE_TAG[engine.store])]

    return settled(ratios)


def many_tags(place: Place, engine: lab.LabEngine, runs: int) -> list[Ratio]:
    docker = ("docker", "-H", engine.host)
    loop, every, ours = f"{TEN} x docker push -q", "docker push -q -a", "docker pushsafe -q"
    turns = {
        (TEN, loop): on_engine(
            place, engine, TEN, lambda references: [[*docker, "push", "-q", reference] for reference in references]
        ),
        (TEN, every): on_engine(
            place, engine, TEN, lambda references: [[*docker, "push", "-q", "-a", _repository(references[0])]]
        ),
        (TEN, ours): on_engine(place, engine, TEN, lambda references: [[*docker, "pushsafe", "-q", *references]]),
        (FIFTY, ours): on_engine(place, engine, FIFTY, lambda references: [[*docker, "pushsafe", "-q", *references]]),
    }

    def ratios() -> list[Ratio]:
        found = {key: Pushed(*key, seconds) for key, seconds in start.in_turns(turns, runs).items()}
        ten = found[TEN, ours]
        return [
            Ratio(engine.name, ten, found[TEN, loop], LOOP[engine.store]),
            Ratio(engine.name, ten, found[TEN, every], FASTER),
            Ratio(engine.name, found[FIFTY, ours], ten, GROWTH),
        ]

    return settled(ratios)


def tools(place: Place, engine: lab.LabEngine, runs: int) -> list[Ratio]:
    """Ten tags by the tools that push an archive, beside ours from the engine."""
    docker, ours = ("docker", "-H", engine.host), "docker pushsafe -q"
    turns = {ours: on_engine(place, engine, TEN, lambda references: [[*docker, "pushsafe", "-q", *references]])}
    names: dict[str, str] = {}
    for name, (shown, commands) in TOOL_COMMANDS.items():
        if path := lab.tool(name):
            turns[shown] = by_tool(place, functools.partial(commands, str(path)))
            names[name] = shown
        else:
            print(f"{name}: not installed")
    if not names:
        return []

    def ratios() -> list[Ratio]:
        found = {shown: Pushed(TEN, shown, seconds) for shown, seconds in start.in_turns(turns, runs).items()}
        return [Ratio(engine.name, found[ours], found[shown], TOOLS[name]) for name, shown in names.items()]

    return settled(ratios)


def settled(take: Callable[[], list[Ratio]]) -> list[Ratio]:
    """Measure, print and judge; once more if something is over."""

    def judge(ratios: list[Ratio]) -> list[str]:
        shown = {str(pushed): pushed.seconds for ratio in ratios for pushed in (ratio.other, ratio.ours)}
        for name, seconds in shown.items():
            print(start.line(name, seconds, None))
        for ratio in ratios:
            print(ratio)
        return [str(ratio) for ratio in ratios if ratio.over]

    return start.settle(take, judge)[0]


# ------------------------------------------------------------------- pushes


def on_engine(place: Place, engine: lab.LabEngine, tags: int, commands: Callable[[Sequence[str]], Commands]) -> Turn:
    """A turn of commands that push what the engine holds."""

    @contextmanager
    def ready(references: Sequence[str]) -> Iterator[Commands]:
        with ExitStack() as afterwards:
            for reference in references:
                if reference == references[0]:
                    lab.load_image(engine, reference, layers=_layers())
                else:
                    _tag(engine, references[0], reference)
                afterwards.callback(engine_api.request, engine.socket, "DELETE", f"/images/{reference}")
            yield commands(references)

    return functools.partial(turn, place, tags, ready)


def by_tool(place: Place, commands: Callable[[Path, Sequence[str]], Commands]) -> Turn:
    """A turn of commands that push `image.tar`, or the image `t0` in `layout`, of a folder."""

    @contextmanager
    def ready(references: Sequence[str]) -> Iterator[Commands]:
        with tempfile.TemporaryDirectory() as name:
            folder, layers = Path(name), _layers()
            (folder / "image.tar").write_bytes(lab.docker_archive(references[0], layers, "linux/amd64", {}))
            oci_layout(folder / "layout", "t0", layers)
            yield commands(folder, references)

    return functools.partial(turn, place, TEN, ready)


def _crane(program: str, folder: Path, references: Sequence[str]) -> Commands:
    first, *others = references
    return [
        [program, "push", str(folder / "image.tar"), first],
        *([program, "tag", first, _tag_of(reference)] for reference in others),
    ]


def _skopeo(program: str, folder: Path, references: Sequence[str]) -> Commands:
    # The policy is a file of the machine, which need not have one.
    copy = (program, "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{folder / 'layout'}:t0")
    return [[*copy, f"docker://{reference}"] for reference in references]


def _oras(program: str, folder: Path, references: Sequence[str]) -> Commands:
    target = f"{_repository(references[0])}:{','.join(map(_tag_of, references))}"
    return [[program, "cp", "--from-oci-layout", f"{folder / 'layout'}:t0", "--to-plain-http", target]]


TOOL_COMMANDS: Mapping[str, tuple[str, Callable[[str, Path, Sequence[str]], Commands]]] = {
    "crane": (f"crane push, {TEN - 1} x crane tag", _crane),
    "skopeo": (f"{TEN} x skopeo copy", _skopeo),
    "oras": ("oras cp", _oras),
}


def turn(place: Place, tags: int, ready: Callable[[Sequence[str]], AbstractContextManager[Commands]]) -> float:
    """Push to a repository that was not there before; the seconds of the commands, one after the other."""
    repository = f"bench/{secrets.token_hex(8)}"
    references = [f"{place.host}/{repository}:t{number}" for number in range(tags)]
    with ready(references) as commands:
        started = time.perf_counter()
        for command in commands:
            done = subprocess.run(command, env=dict(place.environ), capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        seconds = time.perf_counter() - started
    # What is fast because it leaves something out is no measure.
    if missing := set(map(_tag_of, references)) - _tags(place.registry, repository):
        raise Failed(
            f"{' '.join(commands[-1])}: exit code 0, but these tags are not there: {', '.join(sorted(missing))}"
        )
    return seconds


def _layers() -> list[bytes]:
    return [random.randbytes(LAYER_BYTES) for _ in range(LAYERS)]


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]


def _tag_of(reference: str) -> str:
    return reference.rpartition(":")[2]


def _tag(engine: lab.LabEngine, source: str, reference: str) -> None:
    query = urllib.parse.urlencode({"repo": _repository(reference), "tag": _tag_of(reference)})
    engine_api.request(engine.socket, "POST", f"/images/{source}/tag?{query}")


def _tags(registry: lab.LabRegistry, repository: str) -> set[str]:
    """Asked without the round trips, and without the proxy that the machine may have for HTTP."""
    with contextlib.closing(http.client.HTTPConnection(registry.host, timeout=10)) as connection:
        connection.request("GET", f"/v2/{repository}/tags/list")
        answer = connection.getresponse()
        told = json.load(answer)
    return set(told["tags"]) if answer.status == 200 else set()


# ------------------------------------------------------------------- the table


def markdown(ratios: Sequence[Ratio], where: str, runs: int) -> str:
    """The ratios as a Markdown table, under a paragraph that says what was measured, and where."""
    rows = ["| engine | `docker pushsafe -q` | s | beside it | s | ratio | under |", "|---|---|--:|---|--:|--:|--:|"]
    for ratio in ratios:
        beside = f"`{ratio.beside}`" if ratio.other.command != ratio.ours.command else ratio.beside
        limit = "" if ratio.limit is None else f"{ratio.limit:.2f}"
        rows.append(
            f"| {ratio.engine} | {ratio.ours.count} | {ratio.ours.median:.2f} | {beside} |"
            f" {ratio.other.median:.2f} | {ratio.value:.2f} | {limit} |"
        )
    head = (
        f"{where} Images of {LAYERS} layers of {LAYER_BYTES} bytes, pushed for the first time over round trips of"
        f" {ROUND_TRIP * 1000:.0f} ms; median of {runs} {'round' if runs == 1 else 'rounds'}, in turns."
    )
    return "\n".join([head, "", *rows])


def surroundings(engines: Sequence[str]) -> str:
    """Date, machine and versions, in two sentences."""
    found = lab.up().engines
    client = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=False).stdout
    client_version = re.search(r"\d[^\s,]*", client)
    versions = [
        f"docker pushsafe {__version__}",
        f"Python {platform.python_version()}",
        f"docker {client_version[0] if client_version else 'of unknown version'}",
        *(f"{name} {found[name].version}" for name in engines),
        *map(tool_version, TOOLS),
    ]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine}. {', '.join(versions)}."


def tool_version(name: str) -> str:
    """As the package says it, for not every program knows its own."""
    if not lab.tool(name):
        return f"{name} not installed"
    query = ("dpkg-query", f"--admindir={newer.tree() / 'var/lib/dpkg'}", "--show", "--showformat=${Version}", name)
    told = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return f"{name} {told or 'of unknown version'}"


if __name__ == "__main__":
    sys.exit(main())
