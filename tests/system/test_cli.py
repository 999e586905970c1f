"""The command line in a process of its own, against a scripted engine: what is refused, read, written and said."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import jsonschema
import pytest
from referencing import Registry as Schemas
from referencing import Resource

from pushsafe import __version__
from pushsafe.cli.commands import COMMANDS
from pushsafe.cli.settings_file import USER_FILE
from pushsafe.report.exit_codes import ExitCode
from tests.docker_client import needs_docker
from tests.fakes.capture import FakeEngine, Refusal
from tests.fakes.registry import FakeRegistry, basic_registry, image, manifests, open_registry

ROOT = Path(__file__).parents[2]
CLOSED = "127.0.0.1:9"  # the discard service, which nobody runs: a registry that cannot be asked


@dataclass(frozen=True)
class Program:
    home: Path
    engine: str

    def __call__(
        self,
        *words: str,
        stdin: str = "",
        docker: bool = False,
        environ: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the program, by itself or as docker's plugin."""
        command = ["docker", "pushsafe"] if docker else [sys.executable, "-m", "pushsafe"]
        if docker:
            plugins = self.home / ".docker" / "cli-plugins"
            plugins.mkdir(parents=True, exist_ok=True)
            (plugins / "docker-pushsafe").symlink_to(ROOT / "docker-pushsafe")
        return subprocess.run(
            [*command, *words],
            cwd=cwd or self.home,
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


@pytest.mark.parametrize("command", [(), ("lint",), ("--dry-run",), ("diagnose",)], ids=lambda words: " ".join(words))
@pytest.mark.parametrize("wanted", [("linux/amd64,linux/arm64",), ("linux/amd64", "--platform", "linux/arm64")])
def test_platforms_named_one_after_the_other_are_several(
    program: Program, engine: FakeEngine, command: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    """None of them is forgotten."""
    done = program(*command, "--platform", *wanted, f"{CLOSED}/team/app:1")
    assert (done.returncode, engine.pushed()) == (1, []), done.stdout + done.stderr
    assert "PS203 multi-platform-without-buildx: 2 platforms are asked for (linux/amd64,linux/arm64)" in done.stdout


USAGE = [
    (["--allow", "PS999", "ghcr.io/a/b:1"], "there is no rule 'PS999'"),
    (["explain", "nonsense"], "there is no rule 'nonsense'"),
    (["--platform", "arm64", "ghcr.io/a/b:1"], "'arm64' is not a platform"),
    (["--platform", "linux/arm64", "--platform", "arm64", "ghcr.io/a/b:1"], "'arm64' is not a platform"),
    (["--platform", "linux/arm64,", "ghcr.io/a/b:1"], "'' is not a platform"),
    (["--nonsense", "ghcr.io/a/b:1"], "--nonsense"),
    (["--format", "xml", "ghcr.io/a/b:1"], "xml"),
    (["-f", "/no/such/file"], "cannot read /no/such/file"),
    (["-q"], "no reference is given"),
    (["--digest-file", "/no/such/folder/file", "ghcr.io/a/b:1"], "cannot write /no/such/folder/file"),
    (["--digest-file", "/", "ghcr.io/a/b:1"], "cannot write /"),
    (["lint"], "docker pushsafe lint REGISTRY/NAMESPACE/NAME:TAG "),
    (["-a"], "docker pushsafe -a REGISTRY/NAMESPACE/NAME "),
    (["--from", "oci:image", "lint", "ghcr.io/a/b:1"], "'lint' is a command only where it comes first"),
    (["-q", "index", "ghcr.io/a/b:1"], "docker pushsafe index ..., or REGISTRY/NAMESPACE/index:TAG"),
    (["lint", "--no-preflight", "ghcr.io/a/b:1"], "--no-preflight"),
    (["lint", "--digest-file", "x", "ghcr.io/a/b:1"], "--digest-file"),
    (["diagnose"], "Missing argument 'REF'"),
    (["diagnose", "ghcr.io/a/b:1", "ghcr.io/a/b:2"], "unexpected extra argument (ghcr.io/a/b:2)"),
    (["diagnose", "--format", "xml", "ghcr.io/a/b:1"], "xml"),
    (["rules", "PS101"], "unexpected extra argument"),
    (["explain"], "docker pushsafe rules"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[" ".join(case[0]) for case in USAGE])
def test_what_cannot_mean_anything_is_an_error(
    program: Program, engine: FakeEngine, words: list[str], said: str
) -> None:
    done = program(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert engine.requests == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str) -> None:
    command = COMMANDS[name].load()
    assert isinstance(command, click.Command)
    assert command.get_short_help_str()


def test_an_empty_file_of_references_is_an_error(program: Program) -> None:
    done = program("-f", "-", stdin="# nothing\n\n")
    assert done.returncode == 2
    assert "no reference is given, nor does - hold one" in done.stderr


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
        assert "already there and verified (through the engine)" in done.stdout
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


# ---------------------------------------------------------------------- before the push

OTHER = image("7")


class Scene(NamedTuple):
    """The program with an engine that holds an image, and a registry whose tags `1` and `v1` name another one."""

    program: Program
    engine: FakeEngine
    registry: FakeRegistry

    @property
    def name(self) -> str:
        return f"{self.registry.host}/acme/app"

    @property
    def probed(self) -> bool:
        return bool(self.registry.find("POST", ".*/uploads/"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeRegistry(open_registry(manifests("acme/app", {"1": OTHER, "v1": OTHER}))) as registry:
        names = [f"{registry.host}/acme/app:{tag}" for tag in ("1", "v1", "new")]
        with FakeEngine(names) as engine:
            yield Scene(Program(tmp_path, engine.host), engine, registry)


def test_lint_asks_and_pushes_nothing(scene: Scene) -> None:
    done = scene.program("lint", f"{scene.name}:new")
    assert (done.returncode, scene.engine.pushed(), scene.probed) == (0, [], True), done.stdout + done.stderr
    assert f"{scene.name}:new may be pushed (a new tag)" in done.stdout
    document = json.loads(scene.program("lint", "--format", "json", f"{scene.name}:new", f"{scene.name}:1").stdout)
    assert [one["outcome"] for one in document["results"]] == ["ready", "ready"]
    assert [one["before"]["state"] for one in document["results"]] == ["absent", "held"]
    assert [one["verdict"] for one in document["preflight"]] == ["accepted"]


def test_lint_offline_asks_no_registry(scene: Scene) -> None:
    done = scene.program("lint", "--offline", f"{scene.name}:1")
    assert (done.returncode, scene.registry.requests, scene.engine.pushed()) == (0, [], []), done.stdout
    assert scene.engine.requests
    assert "PS201" in scene.program("lint", "--offline", f"{scene.name}:none").stdout


AT_ONCE = {"PUSHSAFE_VERIFY_TIMEOUT": "0.1"}
"""The fake engine pushes to nowhere, and a tag that never shows is waited for."""


@pytest.mark.parametrize(
    ("words", "variable", "file", "probed"),
    [
        ([], None, None, True),
        (["--no-preflight"], None, None, False),
        (["--preflight"], None, None, True),
        ([], "no", None, False),
        ([], None, "false", False),
        ([], "yes", "false", True),
        (["--preflight"], "no", "false", True),
        (["--no-preflight"], "yes", "true", False),
        (["--preflight", "--no-preflight"], None, None, False),
    ],
)
def test_whether_there_is_a_preflight(
    scene: Scene, words: list[str], variable: str | None, file: str | None, probed: bool
) -> None:
    if file is not None:
        users = scene.program.home / ".config" / USER_FILE
        users.parent.mkdir(parents=True)
        users.write_text(f"preflight = {file}\n")
    environ = AT_ONCE if variable is None else {**AT_ONCE, "PUSHSAFE_PREFLIGHT": variable}
    done = scene.program(*words, "--format", "json", f"{scene.name}:new", environ=environ)
    assert (scene.probed, scene.engine.pushed()) == (probed, [f"{scene.name}:new"]), done.stderr
    off = json.loads(done.stdout)["preflight_off"]
    assert (off is None) == probed
    assert (f"note: the preflight is off: {off}" in done.stderr.splitlines()) != probed


@pytest.mark.parametrize("words", [(), ("lint",), ("diagnose",)])
def test_a_project_undoes_no_guard_of_the_users(scene: Scene, words: tuple[str, ...]) -> None:
    home, project = scene.program.home, scene.program.home / "project"
    users = home / ".config" / USER_FILE
    for folder in (users.parent, project):
        folder.mkdir(parents=True)
    users.write_text('immutable-tags = ["v*"]')
    (project / ".pushsafe.toml").write_text("immutable-tags = []\npreflight = false\n")
    done = scene.program(*words, f"{scene.name}:v1", cwd=project)
    assert (done.returncode, scene.engine.pushed()) == (1, [])
    assert "error PS401" in done.stdout
    assert done.stderr.count("changes nothing: a project's file ") == 2


@pytest.mark.parametrize("words", [(), ("lint",), ("diagnose",)])
@pytest.mark.parametrize(
    ("variable", "file", "code"),
    [
        (None, None, 0),
        ("v*", None, 1),
        (None, '["v*"]', 1),
        ("", '["v*"]', 0),
        ("release-*", None, 0),
    ],
)
def test_tags_that_must_not_change(
    scene: Scene, words: tuple[str, ...], variable: str | None, file: str | None, code: int
) -> None:
    if file is not None:
        (scene.program.home / ".pushsafe.toml").write_text(f"immutable-tags = {file}\n")
    environ = AT_ONCE if variable is None else {**AT_ONCE, "PUSHSAFE_IMMUTABLE_TAGS": variable}
    done = scene.program(*words, f"{scene.name}:v1", environ=environ)
    assert ("error PS401" if code else "warning PS401") in done.stdout, done.stdout + done.stderr
    assert scene.engine.pushed() == ([] if code or words else [f"{scene.name}:v1"])
    # The fake engine pushes to nowhere, so that the registry holds what it held.
    assert done.returncode == (code or (0 if words else 8))


@pytest.mark.parametrize("words", [[], ["lint"], ["diagnose"]], ids=" ".join)
def test_a_denial_before_the_push(words: list[str], tmp_path: Path) -> None:
    with FakeRegistry(basic_registry(manifests("acme/app", {}))) as registry:
        name = f"{registry.host}/acme/app:1"
        with FakeEngine([name]) as engine:
            done = Program(tmp_path, engine.host)(*words, "--format", "json", name)
            assert engine.pushed() == []
        document = json.loads(done.stdout)
    denial = document["denial"] if words == ["diagnose"] else document["results"][0]["denial"]
    assert (denial["kind"], denial["stage"]) == ("no-authentication", "probe")
    assert done.returncode == document["exit_code"] == 4


# ---------------------------------------------------------------------- settings that are wrong

TIMES = ["soon", "0", "-1", "25h", "", "1m30", "nan", "inf"]


@pytest.mark.parametrize(
    ("command", "time"), [*(([], time) for time in TIMES), (["lint"], "soon"), (["diagnose"], "soon")]
)
def test_a_time_that_is_none(program: Program, engine: FakeEngine, command: list[str], time: str) -> None:
    said = program(*command, "--format", "json", "--timeout", time, "ghcr.io/a/b:1")
    by_variable = program(*command, "--format", "json", "ghcr.io/a/b:1", environ={"PUSHSAFE_TIMEOUT": time})
    for done, name in ((said, "--timeout"), (by_variable, "PUSHSAFE_TIMEOUT")):
        assert done.returncode == 2
        document = json.loads(done.stdout)
        assert document["exit_code"] == 2
        assert [(error["kind"], error["message"].partition(":")[0]) for error in document["errors"]] == [
            ("usage", name)
        ]
        assert document["errors"][0]["hint"] in done.stderr
    assert engine.requests == []


WRONG = {"PUSHSAFE_TIMEOUT": "soon", "PUSHSAFE_NONSENSE": "1"}


@pytest.mark.parametrize(
    "words",
    [
        ["rules"],
        ["explain", "PS101"],
        ["--help"],
        ["lint", "--help"],
        ["diagnose", "-h"],
        ["--version"],
        ["explain-error", "denied"],
        ["__complete", "li"],
    ],
    ids=" ".join,
)
def test_what_needs_no_settings_takes_wrong_ones(program: Program, words: list[str]) -> None:
    (program.home / ".pushsafe.toml").write_text("nonsense")
    done = program(*words, environ=WRONG)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert program("ghcr.io/a/b:1", environ=WRONG).returncode == 2


# ---------------------------------------------------------------------- diagnose


def test_a_diagnosis(scene: Scene) -> None:
    done = scene.program("diagnose", f"{scene.name}:new")
    assert (done.returncode, scene.engine.pushed(), scene.probed) == (0, [], True), done.stderr
    assert "✓ push probe" in done.stdout
    document = json.loads(scene.program("diagnose", "--format", "json", f"{scene.name}:1").stdout)
    assert (document["given"], document["tag_now"]["digest"]) == (f"{scene.name}:1", OTHER.digest)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["A:1"], "'A:1' cannot be pushed to", "a:1"),
        (["--platform", "arm64", "ghcr.io/a/b:1"], "'arm64' is not a platform", "--platform OS/ARCH"),
        (["ghcr.io/a/b:1"], "PUSHSAFE_NONSENSE", "PUSHSAFE_"),
    ],
)
def test_a_diagnosis_of_what_cannot_be_meant(program: Program, words: list[str], message: str, hint: str) -> None:
    environ = {} if "NONSENSE" not in message else {"PUSHSAFE_NONSENSE": "1"}
    done = program("diagnose", *words, environ=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert hint in done.stderr.partition("try: ")[2]
    document = diagnosed(program("diagnose", "--format", "json", *words, environ=environ))
    assert (document["exit_code"], document["outcome"], document["given"]) == (2, "not-pushed", words[-1])
    assert document["reference"] == ("" if words == ["A:1"] else words[-1])
    assert [error["kind"] for error in document["errors"]] == ["usage"]
    assert message in document["errors"][0]["message"]


def diagnosed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The document, which is what the schema says."""
    document: dict[str, Any] = json.loads(done.stdout)
    schema, report = (json.loads((ROOT / f"docs/{name}.schema.json").read_text()) for name in ("diagnosis", "report"))
    schemas: Schemas[Any] = Schemas().with_resource("report.schema.json", Resource.from_contents(report))
    jsonschema.Draft202012Validator(schema, registry=schemas).validate(document)
    return document


# ---------------------------------------------------------------------- time


@pytest.fixture
def silent() -> Iterator[str]:
    """A registry that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("command", "by"),
    [([], "option"), (["--no-preflight"], "option"), (["lint"], "option"), ([], "variable"), (["lint"], "file")],
)
def test_a_registry_that_never_answers(command: list[str], by: str, silent: str, tmp_path: Path) -> None:
    names = [f"{silent}/team/app:{tag}" for tag in (1, 2)]
    options = ["--timeout", "1"] if by == "option" else []
    environ = {"PUSHSAFE_TIMEOUT": "1"} if by == "variable" else {}
    if by == "file":
        (tmp_path / ".pushsafe.toml").write_text("timeout = 1")
    with FakeEngine(names) as engine:
        done = Program(tmp_path, engine.host)(*command, "--format", "json", *options, *names, environ=environ)
        assert engine.pushed() == []
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert [(one["reference"], one["outcome"]) for one in document["results"]] == [(n, "not-pushed") for n in names]
    assert [error["message"] for error in document["errors"]] == ["the time for the whole run was over"]
    assert "a longer --timeout" in done.stderr


def test_a_list_that_is_never_written(program: Program, engine: FakeEngine) -> None:
    """A pipe whose writer is there and says nothing, as of a command that hangs."""
    os.mkfifo(program.home / "list")
    held = os.open(program.home / "list", os.O_RDWR)
    done = program("--timeout", "1", "--format", "json", "-f", "list")
    os.close(held)
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    said = "the time for the whole run was over while references were read"
    assert [error["message"] for error in document["errors"]] == [said]
    assert engine.requests == []


@pytest.mark.parametrize("command", [[], ["lint"], ["diagnose"], ["index", "-t", "a/b/c:1"], ["buildx", "build", "."]])
def test_settings_that_nobody_writes(program: Program, engine: FakeEngine, command: list[str]) -> None:
    os.mkfifo(program.home / ".pushsafe.toml")
    done = program(*command, f"{CLOSED}/team/app:1")
    assert (done.returncode, engine.pushed()) == (2, [])
    assert "it is a pipe, not a regular file" in done.stderr


def test_a_diagnosis_that_runs_out_of_time(silent: str, tmp_path: Path) -> None:
    name = f"{silent}/team/app:1"
    with FakeEngine([name]) as engine:
        program = Program(tmp_path, engine.host)
        done = program("diagnose", "--timeout", "1", name)
        document = diagnosed(program("diagnose", "--timeout", "1", "--format", "json", name))
    assert (done.returncode, document["exit_code"]) == (3, 3)
    assert "the time for the whole run was over" in done.stderr
    assert (document["reference"], document["outcome"]) == (name, "not-pushed")
    assert [error["kind"] for error in document["errors"]] == ["unreachable"]


# ---------------------------------------------------------------------- explain-error

EXPIRED = "denied: Your authorization token has expired. Reauthenticate and try again."


@pytest.mark.parametrize(
    ("words", "stdin"),
    [([EXPIRED], ""), (EXPIRED.split(), ""), (["-"], EXPIRED), ([], EXPIRED), (["-"], f"\n{EXPIRED}\r\n")],
    ids=["an argument", "words", "-", "piped", "lines"],
)
def test_an_error_is_explained(program: Program, engine: FakeEngine, words: list[str], stdin: str) -> None:
    done = program("explain-error", *words, stdin=stdin)
    assert (done.returncode, done.stderr, engine.requests) == (0, "", [])
    assert done.stdout.startswith("invalid-authentication\n")
    document = json.loads(program("explain-error", "--format", "json", *words, stdin=stdin).stdout)
    assert (document["cause"], document["message"]) == ("invalid-authentication", EXPIRED)


def test_words_that_look_like_options_are_words(program: Program) -> None:
    done = program("explain-error", "--", "--timeout", EXPIRED)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "invalid-authentication")


def test_nothing_that_could_be_explained(program: Program) -> None:
    done = program("explain-error", "-", stdin="")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "unclear")


def test_bytes_that_are_no_text(program: Program) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pushsafe", "explain-error", "-"],
        cwd=program.home,
        env={"PATH": os.environ["PATH"], "HOME": str(program.home), "PYTHONPATH": str(ROOT)},
        input=b"\xff\xfe" + EXPIRED.encode() + b"\x00",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"invalid-authentication")


def test_a_terminal_is_not_waited_for(program: Program) -> None:
    import pty

    controller, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "pushsafe", "explain-error"],
        cwd=program.home,
        env={"PATH": os.environ["PATH"], "HOME": str(program.home), "PYTHONPATH": str(ROOT)},
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(terminal)
    os.close(controller)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no message is given" in done.stderr
    assert "docker pushsafe explain-error 'TEXT'" in done.stderr


# ---------------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], {"buildx", "index", "lint", "diagnose", "explain-error", "rules", "explain", "try"}),
        (["ex"], {"explain-error", "explain"}),
        (["--no-p"], {"--no-preflight"}),
        (["--pre"], {"--preflight"}),
        (["--ti"], {"--timeout", "--timings"}),
        (["--timeo"], {"--timeout"}),
        (["lint", "--o"], {"--offline"}),
        (["lint", "--no"], set()),
        (["lint", "--ti"], {"--timeout"}),
        (["diagnose", "--"], {"--format", "--platform", "--timeout"}),
        (["explain-error", "--"], {"--format"}),
        (["rules", "--"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_a_shell_completes(program: Program, words: list[str], offered: set[str]) -> None:
    done = program("__complete", *words)
    *lines, directive = done.stdout.splitlines()
    assert (done.returncode, directive) == (0, ":4")
    assert {line.partition("\t")[0] for line in lines} == offered
    assert all(line.partition("\t")[2] for line in lines)
