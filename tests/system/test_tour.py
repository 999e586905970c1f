"""`docker pushsafe try`: what it shows, what it holds that against, what it never touches, and that nothing stays."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tarfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
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
from tests.fakes.capture import FakeEngine, FakeImage, Refusal
from tests.terminal import read_all
from tests.values import AMD64, ref

ROOT = Path(__file__).parents[2]
CLOSED = "http://127.0.0.1:9"  # the discard service, which nobody runs
STATUSES = [1, 1, 4, 5, 0, 0]


@dataclass
class Machine:
    """A user's machine: a home, a current folder, a folder for temporary files, and no engine."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (self.home, self.project, self.temporary):
            folder.mkdir()

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def temporary(self) -> Path:
        return self.root / "temporary"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "DOCKER_HOST": f"unix://{self.root}/nobody.sock",
            **self.environ,
        }

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pushsafe", *words],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def left(self) -> list[str]:
        """What there still is of a tour: files, and processes, all of which have our folder for temporary files."""
        return [str(path) for path in self.temporary.iterdir()] + list(self._processes())

    def _processes(self) -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environ = (process / "environ").read_bytes()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"TMPDIR={self.temporary}".encode() in environ.split(b"\0"):
                yield command.decode(errors="replace")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def statuses(shown: str) -> list[int]:
    return [int(found) for found in re.findall(r"^exit code (\d+)$", shown, re.MULTILINE)]


# ---------------------------------------------------------------------- the whole of it


def test_the_tour_where_there_is_nothing_but_python(machine: Machine) -> None:
    done = machine.run("try")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert statuses(done.stdout) == STATUSES
    assert f"no engine answers at unix://{machine.root}/nobody.sock" in " ".join(done.stdout.split())
    commands = re.findall(r"^\$ (.*?[^\\])$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(commands) == len(RUNS)
    assert all(command.startswith("docker pushsafe --from oci:image ") for command in commands)
    for run in RUNS:
        assert [text for text in run.says if text not in done.stdout] == []
        assert run.why in " ".join(done.stdout.replace("\n# ", " ").split())
    assert "docker login -u reader 127.0.0.1:" in done.stdout
    assert "docker login -u writer 127.0.0.1:" in done.stdout
    assert done.stdout.splitlines()[-2].startswith("  docker pushsafe REF")
    assert done.stdout.splitlines()[-1].startswith("  docker pushsafe --help")
    assert "\x1b" not in done.stdout
    assert machine.left() == []
    assert list(machine.home.iterdir()) == []
    assert list(machine.project.iterdir()) == []


def test_what_the_tour_itself_says_fits_a_narrow_terminal(machine: Machine) -> None:
    done = machine.run("try")
    ours = [line for line in done.stdout.splitlines() if line.startswith(("#", "$"))]
    assert max(map(len, ours)) <= 80


def test_nothing_of_the_user_has_a_say(machine: Machine, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pass", "docker-credential-pass", "docker-credential-secretservice", "docker-credential-mine"):
        program = programs / name
        program.write_text(f"#!/bin/sh\necho {name} >>{asked}\nexit 1\n")
        program.chmod(0o755)
    docker = machine.home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"credsStore": "mine", "credHelpers": {"docker.io": "mine"}}))
    (machine.home / ".config/docker-pushsafe").mkdir(parents=True)
    (machine.home / ".config/docker-pushsafe/config.toml").write_text("nonsense")
    (machine.project / ".pushsafe.toml").write_text("nonsense")
    (machine.project / "pushsafe").mkdir()
    (machine.project / "pushsafe/__init__.py").write_text("raise SystemExit(99)")
    machine.environ = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DOCKER_AUTH_CONFIG": "nonsense",
        "DOCKER_CUSTOM_HEADERS": "nonsense",
        "DOCKER_CONFIG": str(docker),
        "PUSHSAFE_CONFIG": "/no/such/file",
        "PUSHSAFE_RETRIES": "nonsense",
        "PUSHSAFE_WHATEVER": "nonsense",
        "HTTP_PROXY": CLOSED,
        "HTTPS_PROXY": CLOSED,
        "http_proxy": CLOSED,
        "SUDO_USER": "root",
    }
    done = subprocess.run(
        [str(ROOT / "docker-pushsafe"), "try"],
        cwd=machine.project,
        env=machine.environment | {"PUSHSAFE_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert statuses(done.stdout) == STATUSES
    assert not asked.exists(), asked.read_text()
    assert machine.left() == []


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


# ---------------------------------------------------------------------- on a terminal


def test_a_terminal_shows_what_a_terminal_would_show(machine: Machine) -> None:
    def shown(**environ: str) -> str:
        machine.environ = environ
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, 90))
        with machine.start("try", stdout=terminal) as process:
            os.close(terminal)
            text = read_all(controller).decode()
            os.close(controller)
            assert process.wait(60) == 0, text
        return text

    colored = shown()
    assert "\x1b[1m1/6  A bare name\x1b[0m" in colored
    assert "\x1b[31;1merror PS101\x1b[0m" in colored
    assert "\r\r" not in colored
    assert colored.count("\x1b[?25l") == colored.count("\x1b[?25h"), "a cursor stays hidden"
    assert max(len(line) for line in colored.splitlines() if line.startswith("#")) in range(81, 91)
    assert not re.search(r"\x1b\[[0-9;]*m", shown(NO_COLOR="1"))
    assert machine.left() == []


# ---------------------------------------------------------------------- when it ends early


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "after", ["Six runs", "registry ", "1/6", "3/6", "$ docker pushsafe --from oci:image 127", "5/6"]
)
def test_told_to_stop_it_leaves_nothing(machine: Machine, number: int, after: str) -> None:
    with machine.start("try") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if after in line:
                break
        # Twice, as by the impatient; and the second one must not cut the tidying short.
        for _ in range(2):
            if process.poll() is None:
                process.send_signal(number)
            time.sleep(0.005)
        _, said = process.communicate(timeout=30)
    if process.returncode != -number:  # Python, of which a signal is the end, had not begun with it or was done
        assert (process.returncode, said) == (130, "interrupted\n")
    assert machine.left() == []


@pytest.mark.parametrize("after", ["1/6", "3/6", "6/6"])
def test_ctrl_c_at_a_terminal(machine: Machine, after: str) -> None:
    controller, terminal = pty.openpty()
    # The terminal of a session of its own, as a shell has it: the key reaches everybody in the foreground.
    script = "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); from pushsafe.cli.main import main"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script}; os._exit(main(['try']))"],
        env=machine.environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while after.encode() not in shown:
        shown += os.read(controller, 65536)
    os.write(controller, b"\x03\x03")
    shown += read_all(controller)
    os.close(controller)
    assert process.wait(30) == 130, shown.decode()
    assert shown.endswith(b"interrupted\r\n")
    assert b"Traceback" not in shown
    assert shown.rfind(b"\x1b[?25h") >= shown.rfind(b"\x1b[?25l")
    assert machine.left() == []


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


def test_no_place_for_temporary_files(machine: Machine) -> None:
    machine.environ["TMPDIR"] = "/proc"
    # Python would look for another folder, and take the current one.
    script = (
        "import tempfile, sys; tempfile.tempdir = '/proc/none'; "
        "from pushsafe.cli.main import main; sys.exit(main(['try']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the tour has no place here: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["extra"], ["--keep"], ["--format", "json"]])
def test_it_takes_nothing(machine: Machine, words: list[str]) -> None:
    done = machine.run("try", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "docker pushsafe try --help" in done.stderr


def test_help(machine: Machine) -> None:
    assert "See it work" in machine.run("try", "--help").stdout
    assert re.search(r"^ +try +See it work", machine.run("--help").stdout, re.MULTILINE)


def test_nobody_reads_it(machine: Machine) -> None:
    with machine.start("try") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
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
