"""What a start costs: the metadata answer, a refusal by text, and one tag that is already there, beside docker push.

    python -m benchmarks.start [RUNS]      # needs what tests/lab needs

The commands take turns within each round, so that a slow moment of the machine meets all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import lab

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "docker-pushsafe"


def measure(commands: Mapping[str, Sequence[str]], environ: Mapping[str, str], runs: int) -> dict[str, list[float]]:
    """Seconds of each command, run in turns; the first round, which fills caches, does not count."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(runs + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, env=dict(environ), capture_output=True, check=False)
            if round_:
                found[name].append(time.perf_counter() - started)
    return found


def line(name: str, seconds: Sequence[float], note: str = "") -> str:
    least, middle = min(seconds) * 1000, statistics.median(seconds) * 1000
    return f"{name:<44} min {least:7.1f} ms   median {middle:7.1f} ms   {note}"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as home:
        plugins = Path(home) / ".docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-pushsafe").symlink_to(LAUNCHER)
        environ = {"PATH": os.environ["PATH"], "HOME": home, "PUSHSAFE_PYTHON": sys.executable}
        start(environ, runs)
        one_tag(environ, runs)


def start(environ: Mapping[str, str], runs: int) -> None:
    commands = {
        "sh -c :": ["sh", "-c", ":"],
        "metadata": [str(LAUNCHER), "docker-cli-plugin-metadata"],
        "docker --version": ["docker", "--version"],
        "python -c pass": [sys.executable, "-I", "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-I", "-c", "import click"],
        "docker pushsafe my-api": ["docker", "pushsafe", "my-api"],
    }
    limits = {"metadata": "limit 3 ms", "docker pushsafe my-api": "limit 150 ms"}
    for name, seconds in measure(commands, environ, runs).items():
        print(line(name, seconds, limits.get(name, "")))


def one_tag(environ: Mapping[str, str], runs: int) -> None:
    """A tag that the registry has already: all that is left is the conversation."""
    the_lab = lab.up()
    for name in ("classic-20", "classic-new", "containerd-new"):
        engine, registry = the_lab.engines[name], the_lab.registries["open"]
        reference = f"{registry.host}/bench/there:1"
        lab.load_image(engine, reference, layers=[bytes([number]) * 1000 for number in range(20)])
        commands = {
            f"{name}: docker push -q": ["docker", "-H", engine.host, "push", "-q", reference],
            f"{name}: docker pushsafe -q": ["docker", "-H", engine.host, "pushsafe", "-q", reference],
        }
        (plain_name, plain), (ours_name, ours) = measure(commands, environ, runs).items()
        limit = (1.3 * statistics.median(plain) + 0.25) * 1000
        ratio = statistics.median(ours) / statistics.median(plain)
        print(line(plain_name, plain))
        print(line(ours_name, ours, f"ratio {ratio:.2f}   limit {limit:.0f} ms (1.3 x + 250)"))


if __name__ == "__main__":
    main()
