"""A case run as the real program, beside others, and what was seen of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pushsafe.demo.registry import Account
from tests.fakes.archives import Making, path_of
from tests.fakes.registry import Certificate, certificate
from tests.faults.front import REPOSITORY, Front
from tests.faults.judge import Held, Observed, Offence, engine_leaks, judge
from tests.faults.matrix import Case
from tests.faults.ways import TAGS, Way, way
from tests.lab.plugin import ROOT, auth
from tests.values import OCI_MANIFEST

SECONDS = 15
"""What `--timeout` gives a run."""
GRACE = 20
"""Seconds more, after which a run has no end: the machine may be busy."""
WORKERS = 8
ACCOUNT = Account("writer", "faults-Pl4nted-pass", ("pull", "push"))


Task = TypeVar("Task")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Verdict:
    """What a case came to."""

    case: Case
    seen: Observed
    offences: tuple[Offence, ...]

    @property
    def leaks(self) -> int:
        return len(engine_leaks(self.seen))

    def __str__(self) -> str:
        wrong = "; ".join(map(str, self.offences)) or "ok"
        met = "" if self.seen.met else " (not met)"
        return f"{self.case}: exit {self.seen.status}, {self.seen.seconds:.1f} s{met}: {wrong}"


@dataclass(frozen=True)
class Bench:
    """What the cases of one run of the matrix share."""

    folder: Path
    ways: dict[str, Way]
    tls: Certificate
    seconds: int = SECONDS

    def run(self, case: Case) -> Verdict:
        way = self.ways[case.way]
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            always = not case.once
            front = Front(folder / "registry", ACCOUNT, case.stage, case.fault.act, always=always, tls=self.tls)
            with front, way.ready(front.host):
                hold_an_older_image(front)
                seen = observe(front, way, folder / "home", self.seconds)
            return Verdict(case, seen, judge(seen))


def side_by_side(run: Callable[[Task], Done], tasks: Sequence[Task], workers: int = WORKERS) -> Iterator[Done]:
    """What each comes to, as they end."""
    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(run, task) for task in tasks]):
            yield done.result()


@contextmanager
def bench(names: Sequence[str], seconds: int = SECONDS) -> Iterator[Bench]:
    """For cases of the ways of these names."""
    with tempfile.TemporaryDirectory(prefix="pushsafe-faults-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        (folder / "tls").mkdir()
        ways = {name: stack.enter_context(way(name, folder / name)) for name in names}
        yield Bench(folder, ways, certificate(folder / "tls", "localhost"), seconds)


def hold_an_older_image(front: Front) -> None:
    """The moving tag names something else before the run."""
    making = Making()
    entry = making.image("linux/amd64", b"an older layer")
    manifest = making.files.pop(path_of(entry))
    front.hold(TAGS[-1], list(making.files.values()), manifest, OCI_MANIFEST)


def start(way: Way, host: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """The program, pushing to `host`, with a HOME of its own, and a process group of its own."""
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"auths": {host: auth(ACCOUNT.name, ACCOUNT.password)}}))
    return subprocess.Popen(
        (
            *(sys.executable, "-m", "pushsafe", "--format", "json", *way.words, *words),
            *(f"{host}/{REPOSITORY}:{tag}" for tag in TAGS),
        ),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(home), **way.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def observe(front: Front, way: Way, home: Path, seconds: int) -> Observed:
    """Let the program run to its end, and look at the registry at once."""
    began = time.monotonic()
    running = start(way, front.host, home, "--timeout", f"{seconds}s")
    status: int | None
    try:
        stdout, stderr = running.communicate(timeout=seconds + GRACE)
        status = running.returncode
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        stdout, stderr = running.communicate()
        status = None
    return observed(front, way, status, stdout, stderr, time.monotonic() - began)


def observed(front: Front, way: Way, status: int | None, stdout: str, stderr: str, seconds: float = 0) -> Observed:
    known = front.known
    return Observed(
        status,
        stdout,
        stderr,
        TAGS,
        way.image,
        held(front),
        puts=tuple(known.puts),
        sightings=tuple(known.sightings),
        left=sorted((known.opened & front.open_uploads()) - known.ended),
        seconds=seconds,
        met=known.met,
    )


def held(front: Front) -> Held:
    tags = front.tags()
    return Held(
        tags,
        {tag: front.config_of(digest) for tag, digest in tags.items()},
        {tag: tuple(front.lacks(digest)) for tag, digest in tags.items()},
    )
