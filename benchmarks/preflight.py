"""What asking first costs: the preflight of one repository and of twenty, and how many requests a refusal takes.

    python -m benchmarks.preflight [RUNS]      # exits 1 where twenty take more than twice the time of one, or a refusal
                                               # more than six requests

Every registry is scripted and 40 ms away (one round trip, tests/fakes/latency.py); `docker-pushsafe lint` is run as it
is, start included.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import start
from pushsafe.model.report import PreflightVerdict
from tests.fakes.capture import FakeEngine
from tests.fakes.latency import Latency
from tests.fakes.quirks import NAME, QUIRKS, WRITER, Login, Meets, Quirk
from tests.fakes.registry import (
    MANIFEST_UNKNOWN,
    Answer,
    FakeRegistry,
    Request,
    Rule,
    basic_registry,
    bearer_registry,
    jwt,
    on,
)
from tests.fakes.storing import Storing

ROUND_TRIP = 0.04
"""Seconds."""
MANY, LIMIT = 20, 2.0


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    faults = [*side_by_side("Bearer", runs), *side_by_side("Basic", runs), *refusals()]
    print(f"OVER: {'; '.join(faults)}" if faults else "everything is within its limit")
    return 1 if faults else 0


# ------------------------------------------------------------------- one and many


def side_by_side(scheme: str, runs: int) -> list[str]:
    """Time the preflight of one repository of a registry, and of many."""
    with FakeRegistry() as registry, Latency(registry.port, ROUND_TRIP) as proxy:
        host = f"127.0.0.1:{proxy.port}"
        registry.rules.extend(_rules(scheme, host))
        references = [f"{host}/acme/app-{number}:1" for number in range(MANY)]
        one, many = f"{scheme}: 1 repository", f"{scheme}: {MANY} repositories"
        commands = {
            name: [str(start.LAUNCHER), "lint", *references[:count]] for name, count in ((one, 1), (many, MANY))
        }
        with _surroundings(references, {host: WRITER}) as environ:
            for command in commands.values():
                done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
            return start.compare(
                lambda: _measured(commands, environ, runs, one, many), lambda found: _twice(found, one, many)
            )


def _rules(scheme: str, host: str) -> list[Rule]:
    """A registry that lets the writer push everywhere, and holds nothing."""
    nothing = [on("HEAD|GET", r"/v2/.+/manifests/.+", MANIFEST_UNKNOWN)]
    if scheme == "Basic":
        return basic_registry(nothing)

    def token(request: Request) -> Answer:
        repository = request.query["scope"].split(":")[1]
        return Answer(200, {"token": jwt(repository, "pull", "push"), "expires_in": 300})

    return bearer_registry(nothing, tokens=[on("GET", "/token", token)], realm=f"http://{host}/token")


def _measured(
    commands: Mapping[str, Sequence[str]], environ: Mapping[str, str], runs: int, one: str, many: str
) -> start.Seconds:
    found = start.measure(commands, environ, runs)
    ratio = statistics.median(found[many]) / statistics.median(found[one])
    print(f"{many} take {ratio:.2f} times as long as 1, limit {LIMIT:.1f}")
    return found


def _twice(found: start.Seconds, one: str, many: str) -> Mapping[str, float]:
    return {many: LIMIT * statistics.median(found[one])}


# ------------------------------------------------------------------- refusals


def refusals() -> list[str]:
    """Count the requests of every refusal that can be known beforehand."""
    counted = {
        (quirk, meets): asked(quirk, meets)
        for quirk in QUIRKS
        for meets in quirk.meets
        if meets.preflight is PreflightVerdict.REFUSED
    }
    most = max(counted.values())
    print(f"a refusal takes {most} requests at most, of {len(counted)} refusals looked at, limit {QUIRKS[0].requests}")
    return [
        f"{quirk.name}: {count} requests for a refusal, limit {quirk.requests}"
        for (quirk, _), count in counted.items()
        if count > quirk.requests
    ]


def asked(quirk: Quirk, meets: Meets) -> int:
    """How many requests `lint` made to a registry."""
    with FakeRegistry(quirk.rules(Storing())) as registry:
        reference = f"{registry.host}/{NAME}:1"
        with _surroundings([reference], {registry.host: meets.login} if meets.login else {}) as environ:
            command = [str(start.LAUNCHER), "lint", reference]
            subprocess.run(command, env=environ, capture_output=True, check=False)
        return len(registry.requests)


@contextmanager
def _surroundings(references: Sequence[str], logins: Mapping[str, Login]) -> Iterator[Mapping[str, str]]:
    """An engine that holds what is listed, and a user who is logged in: the environment of the program."""
    auths = {host: {"auth": base64.b64encode(":".join(login).encode()).decode()} for host, login in logins.items()}
    with FakeEngine(references) as engine, tempfile.TemporaryDirectory() as home:
        Path(home, "config.json").write_text(json.dumps({"auths": auths}))
        yield {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "DOCKER_CONFIG": home,
            "DOCKER_HOST": engine.host,
            "PUSHSAFE_PYTHON": sys.executable,
        }
        assert not engine.pushes, "lint pushed something"


if __name__ == "__main__":
    sys.exit(main())
