"""The command line in a process of its own, against a scripted engine: what is refused, read, written and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushsafe import __version__
from pushsafe.exitcodes import ExitCode
from tests.docker_client import needs_docker
from tests.fakes.capture import FakeEngine, Refusal

ROOT = Path(__file__).parent.parent
CLOSED = "127.0.0.1:9"  # the discard service, which nobody runs: a registry that cannot be asked


@dataclass(frozen=True)
class Program:
    home: Path
    engine: str

    def __call__(
        self, *words: str, stdin: str = "", docker: bool = False, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the program, by itself or as docker's plugin."""
        command = ["docker", "pushsafe"] if docker else [sys.executable, "-m", "pushsafe"]
        if docker:
            plugins = self.home / ".docker" / "cli-plugins"
            plugins.mkdir(parents=True, exist_ok=True)
            (plugins / "docker-pushsafe").symlink_to(ROOT / "docker-pushsafe")
        return subprocess.run(
            [*command, *words],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "DOCKER_HOST": self.engine,
                "PYTHONPATH": str(ROOT),
                "PUSHSAFE_PYTHON": sys.executable,
                **(environ or {}),
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with FakeEngine(images=[f"{CLOSED}/team/app:1", f"{CLOSED}/team/app:2"]) as fake:
        yield fake


@pytest.fixture
def program(engine: FakeEngine, tmp_path: Path) -> Program:
    return Program(tmp_path, engine.host)


# ---------------------------------------------------------------------- what the text alone shows


@needs_docker
def test_bare_names_are_refused_and_the_engine_hears_nothing(program: Program, engine: FakeEngine) -> None:
    done = program("my-api:1.4.2", "myorg/my-api:1.4.2", docker=True)
    assert done.returncode == 1
    assert "PS101" in done.stdout
    assert "PS102" in done.stdout
    assert engine.requests == []


BAD = [
    (["https://ghcr.io/MyOrg/App:"], ["URL scheme", "capitals", "empty"], "try: ghcr.io/myorg/app"),
    (["ghcr.io/a/b@sha256:" + "0" * 64], ["digest"], "try: ghcr.io/a/b"),
    (["ghcr.io/a/b/"], ["ends with a slash"], "try: ghcr.io/a/b"),
    (["ghcr.io/a/b:" + "x" * 129], ["129 characters"], ""),
    (["-a", "ghcr.io/a/b:1"], ["--all-tags takes a repository"], "try: ghcr.io/a/b"),
    (["ghcr.io/a/b:1", "A:1", "B:2"], ["'A:1'", "'B:2'"], ""),
]


@pytest.mark.parametrize(("words", "said", "repair"), BAD, ids=range(len(BAD)))
def test_every_bad_reference_is_reported(
    program: Program, engine: FakeEngine, words: list[str], said: list[str], repair: str
) -> None:
    done = program(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert [text for text in said if text not in done.stderr] == []
    assert repair in done.stderr
    assert engine.requests == []
    document = json.loads(program("--format", "json", *words).stdout)
    assert (document["exit_code"], document["results"]) == (2, [])
    assert {error["kind"] for error in document["errors"]} == {"usage"}


USAGE = [
    (["--allow", "PS999", "ghcr.io/a/b:1"], "there is no rule 'PS999'"),
    (["explain", "nonsense"], "there is no rule 'nonsense'"),
    (["--platform", "arm64", "ghcr.io/a/b:1"], "'arm64' is not a platform"),
    (["--nonsense", "ghcr.io/a/b:1"], "--nonsense"),
    (["--format", "xml", "ghcr.io/a/b:1"], "xml"),
    (["-f", "/no/such/file"], "cannot read /no/such/file"),
    (["-q"], "no reference is given"),
    (["--digest-file", "/no/such/folder/file", "ghcr.io/a/b:1"], "cannot write /no/such/folder/file"),
    (["--digest-file", "/", "ghcr.io/a/b:1"], "cannot write /"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[case[0][0] for case in USAGE])
def test_what_cannot_mean_anything_is_an_error(
    program: Program, engine: FakeEngine, words: list[str], said: str
) -> None:
    done = program(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert engine.requests == []


def test_an_empty_file_of_references_is_an_error(program: Program) -> None:
    assert program("-f", "-", stdin="# nothing\n\n").returncode == 2


def test_no_reference_is_an_error_also_where_a_variable_is_empty(program: Program) -> None:
    done = program()
    assert (done.returncode, done.stdout) == (2, "")
    assert "no reference is given" in done.stderr
    assert "--help" in done.stderr


def test_help(program: Program) -> None:
    done = program("--help")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Usage: docker pushsafe [OPTIONS] REF [REF...]")
    for code in ExitCode:
        assert f"{int(code)} " in done.stdout.partition("Exit codes:")[2]


@pytest.mark.parametrize("flag", ["--context", "-H", "--config"])
def test_a_flag_of_dockers_own_belongs_before_the_name(program: Program, flag: str) -> None:
    done = program("ghcr.io/a/b:1", flag, "x")
    assert done.returncode == 2
    assert f"{flag} is docker's own flag" in done.stderr
    assert f"docker {flag} ... pushsafe REF" in done.stderr


def test_a_full_disk_is_no_bug_of_ours(program: Program) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pushsafe", "rules"],
            env={"PATH": os.environ["PATH"], "HOME": str(program.home), "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == "error: the report cannot be written: No space left on device\n"


def test_comments_in_a_file_of_references(program: Program, engine: FakeEngine) -> None:
    listed = f"# all of them\n\n{CLOSED}/team/app:1   # the release\n"
    assert program("-q", "-f", "-", stdin=listed).returncode == 0
    assert engine.pushed() == [f"{CLOSED}/team/app:1"]


def test_version(program: Program) -> None:
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"docker pushsafe {__version__}\n")


def test_rules_and_explain(program: Program) -> None:
    assert len(program("rules").stdout.splitlines()) >= 14
    for name in ("PS203", "ps203", "multi-platform-without-buildx"):
        done = program("explain", name)
        assert done.returncode == 0
        assert done.stdout.startswith("PS203 multi-platform-without-buildx (error)")


# ---------------------------------------------------------------------- a whole run


def test_a_push_that_cannot_be_read_back_is_no_success(tmp_path: Path) -> None:
    name = f"{CLOSED}/team/app:1"
    with FakeEngine(images=[name], distribution={name: Refusal(403, "no")}) as engine:
        done = Program(tmp_path, engine.host)("--format", "json", "--digest-file", "digests", name)
        assert engine.pushed() == [name]
    result = json.loads(done.stdout)["results"][0]
    assert (result["outcome"], result["verification"], done.returncode) == ("pushed", "not-checked", 8)
    assert (tmp_path / "digests").read_text() == ""


def test_verified_through_the_engine(tmp_path: Path) -> None:
    name = f"{CLOSED}/team/app:1"
    digest = "sha256:" + "d" * 64
    answer = {
        "Descriptor": {"digest": digest, "mediaType": "application/vnd.oci.image.manifest.v1+json"},
        "Platforms": [],
    }
    with FakeEngine(images=[name], distribution={name: answer}) as engine:
        program = Program(tmp_path, engine.host)
        done = program("--digest-file", "digests", name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "pushed and verified (through the engine)" in done.stdout
        assert (tmp_path / "digests").read_text() == f"{name}@{digest}\n"
        assert [file.name for file in tmp_path.glob(".digests*")] == []


def test_allow_lets_one_rule_pass_and_no_other(program: Program, engine: FakeEngine) -> None:
    done = program("--allow", "PS101", "my-api:1", "myorg/my-api:1")
    assert done.returncode == 1
    assert "error (allowed) PS101" in done.stdout
    assert "error PS102" in done.stdout
    assert engine.requests == []


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, False), ({"NO_COLOR": "1"}, False)], ids=["no terminal", "NO_COLOR"]
)
def test_no_colour_without_a_terminal(program: Program, environ: dict[str, str], coloured: bool) -> None:
    done = program("my-api", environ=environ)
    assert ("\x1b" in done.stdout + done.stderr) is coloured


def test_a_terminal_gets_colour_unless_no_color(program: Program) -> None:
    import pty

    def shown(environ: dict[str, str]) -> bytes:
        controller, terminal = pty.openpty()
        subprocess.run(
            [sys.executable, "-m", "pushsafe", "my-api"],
            cwd=program.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(program.home),
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm",
                **environ,
            },
            stdout=terminal,
            check=False,
        )
        os.close(terminal)
        text = os.read(controller, 65536)
        os.close(controller)
        return text

    assert b"\x1b[" in shown({})
    assert b"\x1b[" not in shown({"NO_COLOR": "1"})
    assert b"\x1b[" not in shown({"TERM": "dumb"})


def test_a_folder_of_our_name_in_the_current_directory_is_not_imported(program: Program) -> None:
    trap = program.home / "docker"
    trap.mkdir()
    (trap / "__init__.py").write_text("raise SystemExit('imported from the current directory')")
    done = subprocess.run(
        [str(ROOT / "docker-pushsafe"), "--format", "json", f"{CLOSED}/team/app:1"],
        cwd=program.home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(program.home),
            "DOCKER_HOST": program.engine,
            "PUSHSAFE_PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "imported from the current directory" not in done.stderr
