"""Surroundings that are odd and no bug of ours: no home, somebody else's home, settings that cannot be read."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pushsafe.cli import bootstrap, crash_log
from pushsafe.engine.context import config_dir, resolve
from pushsafe.model.request import DockerFlags
from tests.fakes.capture import FakeEngine

ROOT = Path(__file__).parents[2]
REF = "127.0.0.1:9/team/app:1"


# root without what lets it read everything, so that closed folders are closed to it too.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def _run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return _start([sys.executable, "-m", "pushsafe", *words], environ)


def _powerless(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return _start([*POWERLESS, sys.executable, "-m", "pushsafe", *words], environ)


def _start(command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def closed(tmp_path: Path) -> str:
    """A home that nobody may look into."""
    home = tmp_path / "home"
    home.mkdir(mode=0)
    return str(home)


def test_the_home_of_another_user(closed: str) -> None:
    text = _powerless("my-api:1", HOME=closed)
    assert text.returncode == 1, text.stderr
    assert "PS101" in text.stdout
    done = _powerless(REF, HOME=closed)
    assert done.returncode == 3, done.stderr
    assert f"because {closed}/.docker/config.json cannot be read" in done.stderr
    assert "bug" not in done.stderr


def test_a_digest_file_in_the_folder_of_another_user(closed: str) -> None:
    done = _powerless("--digest-file", f"{closed}/x/y", REF, HOME="/")
    assert done.returncode == 2
    assert f"cannot write {closed}/x/y: Permission denied" in done.stderr


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No HOME, and a user without an entry in passwd."""

    def unknown(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
def test_no_home() -> None:
    assert config_dir(DockerFlags(), {}) == Path(".docker")
    assert resolve(DockerFlags(), {}).origin == "docker's default"
    assert bootstrap.configured_registries((), resolve(DockerFlags(), {})) is not None


@pytest.mark.usefixtures("homeless")
def test_the_log_of_a_bug_needs_no_home(tmp_path: Path) -> None:
    try:
        raise ValueError("this one")
    except ValueError:
        said = crash_log.write()
    assert said == "no log could be written (there is no home folder); ValueError: this one"
    assert list(tmp_path.iterdir()) == []


def test_the_log_of_a_bug_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    try:
        raise ValueError("this one")
    except ValueError:
        said = crash_log.write()
    (log,) = (tmp_path / "docker-pushsafe").iterdir()
    assert said == f"the log is {log}"
    assert "ValueError: this one" in log.read_text()


def test_a_run_of_somebody_without_a_home_and_a_name() -> None:
    script = (
        "import pwd, sys\ndef unknown(_): raise KeyError\npwd.getpwuid = unknown\n"
        "from pushsafe.cli.main import main\nsys.exit(main(['my-api:1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "PS101" in done.stdout


# ---------------------------------------------------------------------- settings

MALFORMED = ["{", "[" * 100_000, "[]x", "nonsense", '{"currentContext": 5}', '{"currentContext": "a", "x": NaN}']


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_what_the_text_shows_needs_no_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    done = _run("my-api:1", DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "PS101" in done.stdout


@pytest.mark.parametrize("environ", [{"DOCKER_CONTEXT": "nope"}, {"DOCKER_HOST": "https://x"}])
def test_what_the_text_shows_needs_no_engine_address(environ: dict[str, str], tmp_path: Path) -> None:
    done = _run("my-api:1", HOME=str(tmp_path), **environ)
    assert done.returncode == 1, done.stderr
    assert "PS101" in done.stdout
    assert _run(REF, HOME=str(tmp_path), **environ).returncode == 2


@pytest.mark.parametrize("text", MALFORMED[:5], ids=range(5))
def test_settings_that_docker_cannot_read_are_a_finding(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with FakeEngine(images=[REF]) as engine:
        done = _run(REF, DOCKER_CONFIG=str(tmp_path), DOCKER_HOST=engine.host, HOME=str(tmp_path))
        assert (done.returncode, engine.pushed()) == (1, []), done.stderr
    assert "PS303" in done.stdout


def test_the_same_without_docker_host(tmp_path: Path) -> None:
    """docker warns and goes to its default engine; so do we, and the finding tells."""
    (tmp_path / "config.json").write_text("{")
    with FakeEngine(images=[REF]) as engine:
        script = (
            f"import sys\nfrom pushsafe.cli.main import main\nfrom pushsafe.engine import context\n"
            f"context.DEFAULT_SOCKET = '{engine.host}'\n"
            f"sys.exit(main(['{REF}']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(ROOT), "DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert engine.pushed() == []
    assert done.returncode == 1, done.stderr
    assert "PS303" in done.stdout


def test_http_headers_of_the_settings_reach_the_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"Proxy-Pass": "let-me-in", "User-Agent": "x"}}')
    with FakeEngine(images=[REF]) as engine:
        done = _run(REF, DOCKER_CONFIG=str(tmp_path), DOCKER_HOST=engine.host, HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert [one.headers.get("proxy-pass") for one in engine.requests] == ["let-me-in"] * len(engine.requests)


@pytest.mark.parametrize("version", ["1.12", "9.99", "nonsense"])
def test_the_engine_is_asked_for_its_version_whatever_the_environment_says(version: str, tmp_path: Path) -> None:
    with FakeEngine(images=[REF]) as engine:
        done = _run(REF, DOCKER_API_VERSION=version, DOCKER_HOST=engine.host, HOME=str(tmp_path))
        assert (done.returncode, engine.pushed()) == (0, [REF]), done.stderr


# ---------------------------------------------------------------------- a credential helper that hangs


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ([], "interrupted"),
        (["--no-preflight"], "time"),
        (["--no-preflight"], "interrupted"),
        (["lint"], "interrupted"),
        (["diagnose"], "interrupted"),
    ],
)
def test_no_helper_outlives_the_run(command: list[str], end: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "number")
    helper = tmp_path / "docker-credential-hangs"
    helper.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/number\nexec sleep 600\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "hangs"}')
    with (
        FakeEngine(images=[REF]) as engine,
        subprocess.Popen(
            [sys.executable, "-m", "pushsafe", *command, *(["--timeout", "3"] if end == "time" else []), REF],
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "DOCKER_CONFIG": str(tmp_path),
                "DOCKER_HOST": engine.host,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program,
    ):
        number = int((tmp_path / "number").read_text())
        assert not is_gone(number)
        if end == "interrupted":
            program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=60)
    assert program.returncode == {"time": 3, "interrupted": 130}[end], said
    assert is_gone(number)


def is_gone(process: int) -> bool:
    """Or about to go: it may still be waited for, whoever has inherited it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


# ---------------------------------------------------------------------- docker's flags and addresses


@pytest.mark.parametrize("words", [("-l", "nonsense"), ("--log-level=nonsense",), ("-lnonsense",)])
def test_a_log_level_that_docker_does_not_know(words: tuple[str, ...], tmp_path: Path) -> None:
    done = _run(*words, "my-api:1", HOME=str(tmp_path))
    assert done.returncode == 2
    assert "--log-level takes no 'nonsense'" in done.stderr


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error", "fatal", "WARN", "warning", "trace"])
def test_a_log_level_that_docker_knows(level: str, tmp_path: Path) -> None:
    assert _run("-l", level, "my-api:1", HOME=str(tmp_path)).returncode == 1


PASSWORDS = [
    "tcp://user:s3cretpw@host:bad",
    "https://user:s3cretpw@host",
    "https://s3cretpw@host",
    "ssh://user:s3cretpw@host:22:x",
    "ssh://user:s3cretpw@host",
    "ssh://user:s3cretpw/x@host",
    "tcp://user:s3cretpw/x@host",
    "tcp://user:a#s3cretpw@host:x",
    "user:s3cretpw@host:bad",
    "fd://user:s3cretpw@x",
    "x://tcp://user:s3cretpw@host",
    "ssh://user%3As3cretpw@[::1",
]


@pytest.mark.parametrize("host", PASSWORDS)
def test_a_password_in_dockers_host_is_not_shown(host: str, tmp_path: Path) -> None:
    done = _run("--format", "json", REF, DOCKER_HOST=host, HOME=str(tmp_path))
    assert done.returncode in (2, 3)
    assert "s3cretpw" not in done.stdout + done.stderr
    assert "bug" not in done.stderr
