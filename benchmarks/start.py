"""What a start costs: the metadata answer, a refusal by text, and one tag that is already there, beside docker push.

    python -m benchmarks.start [RUNS]      # needs what tests/lab needs; exits 1 where a median is over its limit

The commands take turns within each round, so that a slow moment of the machine meets all of them. A comparison that
comes out over a limit is made once more, and the second time counts.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests import lab

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "docker-pushsafe"


def measure(commands: Mapping[str, Sequence[str]], environ: Mapping[str, str], runs: int) -> dict[str, list[float]]:
    """Seconds of each command, run in turns; the first round, which fills caches, does not count."""

    def turn(command: Sequence[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, env=dict(environ), capture_output=True, check=False)
        return time.perf_counter() - started

    turns = {name: functools.partial(turn, command) for name, command in commands.items()}
    in_turns(turns, 1)
    return in_turns(turns, runs)


Key = TypeVar("Key")


def in_turns(turns: Mapping[Key, Callable[[], float]], runs: int) -> dict[Key, list[float]]:
    """The seconds that each turn says it took, one round after the other."""
    found: dict[Key, list[float]] = {name: [] for name in turns}
    for _ in range(runs):
        for name, turn in turns.items():
            found[name].append(turn())
    return found


Seconds = Mapping[str, Sequence[float]]
Limits = Callable[[Seconds], Mapping[str, float]]
"""The limit of each median, in seconds, from what was measured beside it."""


def over(found: Seconds, limits: Mapping[str, float]) -> list[str]:
    """What is over its limit, in words."""
    return [
        f"{name}: median {statistics.median(found[name]) * 1000:.1f} ms, limit {limit * 1000:.1f} ms"
        for name, limit in limits.items()
        if statistics.median(found[name]) > limit
    ]


def line(name: str, seconds: Sequence[float], limit: float | None) -> str:
    least, middle = min(seconds) * 1000, statistics.median(seconds) * 1000
    note = "" if limit is None else f"   limit {limit * 1000:.1f} ms"
    return f"{name:<44} min {least:7.1f} ms   median {middle:7.1f} ms{note}"


def compare(take: Callable[[], Seconds], limits: Limits) -> list[str]:
    """Measure, print and judge; once more if something is over."""

    def judge(found: Seconds) -> list[str]:
        wanted = limits(found)
        for name, seconds in found.items():
            print(line(name, seconds, wanted.get(name)))
        return over(found, wanted)

    return settle(take, judge)[1]


Found = TypeVar("Found")


def settle(take: Callable[[], Found], judge: Callable[[Found], list[str]]) -> tuple[Found, list[str]]:
    """What was measured and what is over; measured once more if something is, for that may be the machine's doing."""
    found = take()
    if faults := judge(found):
        print("over its limit, so once more:", "; ".join(faults))
        found = take()
        faults = judge(found)
    return found, faults


@contextmanager
def surroundings() -> Iterator[Mapping[str, str]]:
    """A home in which docker finds the plugin: the environment of the commands."""
    with tempfile.TemporaryDirectory() as home:
        plugins = Path(home) / ".docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-pushsafe").symlink_to(LAUNCHER)
        yield {"PATH": os.environ["PATH"], "HOME": home, "PUSHSAFE_PYTHON": sys.executable}


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with surroundings() as environ:
        faults = [*start(environ, runs), *one_tag(environ, runs)]
    print(f"OVER: {'; '.join(faults)}" if faults else "every median is within its limit")
    return 1 if faults else 0


def start(environ: Mapping[str, str], runs: int) -> list[str]:
    commands = {
        "sh -c :": ["sh", "-c", ":"],
        "metadata": [str(LAUNCHER), "docker-cli-plugin-metadata"],
        "docker --version": ["docker", "--version"],
        "python -c pass": [sys.executable, "-I", "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-I", "-c", "import click"],
        "docker pushsafe my-api": ["docker", "pushsafe", "my-api"],
    }
    limits = {"metadata": 0.003, "docker pushsafe my-api": 0.150}
    return compare(lambda: measure(commands, environ, runs), lambda _: limits)


def one_tag(environ: Mapping[str, str], runs: int) -> list[str]:
    """A tag that the registry has already: all that is left is the conversation. Limit: 1.3 x docker push + 250 ms."""
    the_lab = lab.up()
    faults = []
    for name in ("classic-20", "classic-new", "containerd-new"):
        engine, registry = the_lab.engines[name], the_lab.registries["open"]
        reference = f"{registry.host}/bench/there:1"
        lab.load_image(engine, reference, layers=[bytes([number]) * 1000 for number in range(20)])
        plain, ours = f"{name}: docker push -q", f"{name}: docker pushsafe -q"
        commands = {
            plain: ["docker", "-H", engine.host, "push", "-q", reference],
            ours: ["docker", "-H", engine.host, "pushsafe", "-q", reference],
        }
        faults += compare(
            functools.partial(measure, commands, environ, runs), functools.partial(_beside, plain=plain, ours=ours)
        )
    return faults


def _beside(found: Seconds, plain: str, ours: str) -> Mapping[str, float]:
    return {ours: 1.3 * statistics.median(found[plain]) + 0.25}


if __name__ == "__main__":
    sys.exit(main())
