"""Surroundings that are odd and no bug of ours: no home, settings of docker's that cannot be read, odd addresses."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from pushsafe.cli import bootstrap, crash_log
from pushsafe.engine import context
from pushsafe.engine.context import config_dir, resolve
from pushsafe.model.request import DockerFlags
from tests.fakes.capture import FakeEngine
from tests.program import CLOSED, Program

REF = f"{CLOSED}/team/app:1"


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


# ---------------------------------------------------------------------- settings of docker's

MALFORMED = ("{", "[" * 100_000, "[]x", "nonsense", '{"currentContext": 5}', '{"currentContext": "a", "x": NaN}')


def test_settings_that_docker_cannot_read_are_a_finding(tmp_path: Path) -> None:
    """What the text shows needs none."""
    for text in MALFORMED:
        (tmp_path / "config.json").write_text(text)
        with FakeEngine(images=[REF]) as engine:
            program = Program(tmp_path, engine.host)
            shown = program("my-api:1", environ={"DOCKER_CONFIG": str(tmp_path)})
            assert (shown.returncode, "PS101" in shown.stdout) == (1, True), (text[:50], shown.stderr)
            if "NaN" in text:
                continue
            done = program(REF, environ={"DOCKER_CONFIG": str(tmp_path)})
            assert (done.returncode, engine.pushed()) == (1, []), (text[:50], done.stderr)
            assert "PS303" in done.stdout, text[:50]


def test_the_same_without_docker_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docker warns and goes to its default engine; so do we, and the finding tells."""
    (tmp_path / "config.json").write_text("{")
    with FakeEngine(images=[REF]) as engine:
        monkeypatch.setattr(context, "DEFAULT_SOCKET", engine.host)
        done = Program(tmp_path, "")(REF, environ={"DOCKER_CONFIG": str(tmp_path)})
        assert engine.pushed() == []
    assert done.returncode == 1, done.stderr
    assert "PS303" in done.stdout


@pytest.mark.parametrize("environ", [{"DOCKER_CONTEXT": "nope"}, {"DOCKER_HOST": "https://x"}], ids=str)
def test_what_the_text_shows_needs_no_engine_address(environ: dict[str, str], tmp_path: Path) -> None:
    program = Program(tmp_path, "")
    done = program("my-api:1", environ=environ)
    assert done.returncode == 1, done.stderr
    assert "PS101" in done.stdout
    assert program(REF, environ=environ).returncode == 2


def test_http_headers_of_the_settings_reach_the_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"Proxy-Pass": "let-me-in", "User-Agent": "x"}}')
    with FakeEngine(images=[REF]) as engine:
        done = Program(tmp_path, engine.host)(REF, environ={"DOCKER_CONFIG": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert [one.headers.get("proxy-pass") for one in engine.requests] == ["let-me-in"] * len(engine.requests)


def test_the_engine_is_asked_for_its_version_whatever_the_environment_says(tmp_path: Path) -> None:
    for version in ("1.12", "9.99", "nonsense"):
        with FakeEngine(images=[REF]) as engine:
            done = Program(tmp_path, engine.host)(REF, environ={"DOCKER_API_VERSION": version})
            assert (done.returncode, engine.pushed()) == (0, [REF]), (version, done.stderr)


# ---------------------------------------------------------------------- docker's flags and addresses


def test_a_log_level_that_docker_knows(tmp_path: Path) -> None:
    for level in ("debug", "info", "warn", "error", "fatal", "WARN", "warning", "trace"):
        assert Program(tmp_path, "")("-l", level, "my-api:1").returncode == 1, level


PASSWORDS = (
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
)


def test_a_password_in_dockers_host_is_not_shown(tmp_path: Path) -> None:
    for host in PASSWORDS:
        done = Program(tmp_path, host)("--format", "json", REF)
        assert done.returncode in (2, 3), host
        assert "s3cretpw" not in done.stdout + done.stderr, host
        assert "bug" not in done.stderr, host
