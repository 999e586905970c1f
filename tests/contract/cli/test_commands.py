"""The command line from its words to its exit code, against a scripted engine: what is refused, read, written, said."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
import jsonschema
import pytest
from referencing import Registry as Schemas
from referencing import Resource

from pushsafe import __version__
from pushsafe.cli.commands import COMMANDS
from pushsafe.cli.settings_file import USER_FILE
from pushsafe.model.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.report.exit_codes import ExitCode
from tests.fakes.capture import FakeEngine, Refusal
from tests.fakes.registry import FakeRegistry, basic_registry, image, manifests, open_registry
from tests.program import CLOSED, ROOT, Done, Program

IMAGE = f"{CLOSED}/team/app:1"
NAME = "ghcr.io/a/b:1"
ASKING: tuple[list[str], ...] = ([], ["lint"], ["diagnose"])


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with FakeEngine(images=[IMAGE, f"{CLOSED}/team/app:2"]) as fake:
        yield fake


@pytest.fixture
def program(engine: FakeEngine, tmp_path: Path) -> Program:
    return Program(tmp_path, engine.host)


# ---------------------------------------------------------------------- what the text alone shows

BAD: list[tuple[list[str], list[str], str]] = [
    (["https://ghcr.io/MyOrg/App:"], ["URL scheme", "capitals", "empty"], "try: ghcr.io/myorg/app"),
    (["ghcr.io/a/b@sha256:" + "0" * 64], ["digest"], "try: ghcr.io/a/b"),
    (["ghcr.io/a/b/"], ["ends with a slash"], "try: ghcr.io/a/b"),
    (["ghcr.io/a/b:" + "x" * 129], ["129 characters"], ""),
    (["-a", NAME], ["--all-tags takes a repository"], "try: ghcr.io/a/b"),
    ([NAME, "A:1", "B:2"], ["'A:1'", "'B:2'"], ""),
]


def test_every_bad_reference_is_reported(program: Program, engine: FakeEngine) -> None:
    for words, said, fix in BAD:
        done = program(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert [text for text in (*said, fix) if text not in done.stderr] == [], words
        document = json.loads(program("--format", "json", *words).stdout)
        assert (document["exit_code"], document["results"]) == (2, []), words
        assert {error["kind"] for error in document["errors"]} == {"usage"}, words
    assert engine.requests == []


@pytest.mark.parametrize("wanted", ["linux/amd64,linux/arm64", "linux/amd64 --platform linux/arm64"])
def test_platforms_named_one_after_the_other_are_several(wanted: str, program: Program, engine: FakeEngine) -> None:
    """None of them is forgotten."""
    for command in ([], ["lint"], ["--dry-run"], ["diagnose"]):
        done = program(*command, "--platform", *wanted.split(), IMAGE)
        assert (done.returncode, engine.pushed()) == (1, []), (command, done.stdout + done.stderr)
        said = "PS203 multi-platform-without-buildx: 2 platforms are asked for (linux/amd64,linux/arm64)"
        assert said in done.stdout, command


USAGE = [
    (f"--allow PS999 {NAME}", "there is no rule 'PS999'"),
    ("explain nonsense", "there is no rule 'nonsense'"),
    (f"--platform arm64 {NAME}", "'arm64' is not a platform"),
    (f"--platform linux/arm64 --platform arm64 {NAME}", "'arm64' is not a platform"),
    (f"--platform linux/arm64, {NAME}", "'' is not a platform"),
    (f"--nonsense {NAME}", "--nonsense"),
    (f"--format xml {NAME}", "xml"),
    ("", "no reference is given"),
    ("", "--help"),
    ("-f /no/such/file", "cannot read /no/such/file"),
    ("-f -", "no reference is given, nor does - hold one"),
    ("-q", "no reference is given"),
    (f"--digest-file /no/such/folder/file {NAME}", "cannot write /no/such/folder/file"),
    (f"--digest-file / {NAME}", "cannot write /"),
    ("lint", "docker pushsafe lint REGISTRY/NAMESPACE/NAME:TAG "),
    ("-a", "docker pushsafe -a REGISTRY/NAMESPACE/NAME "),
    (f"--from oci:image lint {NAME}", "'lint' is a command only where it comes first"),
    (f"-q index {NAME}", "docker pushsafe index ..., or REGISTRY/NAMESPACE/index:TAG"),
    (f"lint --no-preflight {NAME}", "--no-preflight"),
    (f"lint --digest-file x {NAME}", "--digest-file"),
    ("diagnose", "Missing argument 'REF'"),
    (f"diagnose {NAME} ghcr.io/a/b:2", "unexpected extra argument (ghcr.io/a/b:2)"),
    (f"diagnose --format xml {NAME}", "xml"),
    ("rules PS101", "unexpected extra argument"),
    ("explain", "docker pushsafe rules"),
    ("try extra", "docker pushsafe try --help"),
    ("try --keep", "docker pushsafe try --help"),
    ("try --format json", "docker pushsafe try --help"),
    ("-l nonsense my-api:1", "--log-level takes no 'nonsense'"),
    ("--log-level=nonsense my-api:1", "--log-level takes no 'nonsense'"),
    ("-lnonsense my-api:1", "--log-level takes no 'nonsense'"),
    *((f"{NAME} {flag} x", f"{flag} is docker's own flag") for flag in ("--context", "-H", "--config")),
    *((f"{NAME} {flag} x", f"docker {flag} ... pushsafe REF") for flag in ("--context", "-H", "--config")),
]


def test_what_cannot_mean_anything_is_an_error(program: Program, engine: FakeEngine) -> None:
    for line, said in USAGE:
        done = program(*line.split(" ") if line else (), stdin="# nothing\n\n")
        assert (done.returncode, done.stdout) == (2, ""), line
        assert said in done.stderr, line
    assert engine.requests == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str) -> None:
    command = COMMANDS[name].load()
    assert isinstance(command, click.Command)
    assert command.get_short_help_str()


def test_help_and_version(program: Program) -> None:
    done = program("--help")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Usage: docker pushsafe [OPTIONS] REF [REF...]")
    assert [code for code in ExitCode if f"{int(code)} " not in done.stdout.partition("Exit codes:")[2]] == []
    assert re.search(r"^ +try +See it work", done.stdout, re.MULTILINE)
    assert "See it work" in program("try", "--help").stdout
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"docker pushsafe {__version__}\n")


def test_comments_in_a_file_of_references(program: Program, engine: FakeEngine) -> None:
    assert program("-q", "-f", "-", stdin=f"# all of them\n\n{IMAGE}   # the release\n").returncode == 0
    assert engine.pushed() == [IMAGE]


def test_rules_and_explain(program: Program) -> None:
    assert len(program("rules").stdout.splitlines()) >= 14
    for name in ("PS203", "ps203", "multi-platform-without-buildx"):
        done = program("explain", name)
        assert done.returncode == 0
        assert done.stdout.startswith("PS203 multi-platform-without-buildx (error)")


def test_allow_lets_one_rule_pass_and_no_other(program: Program, engine: FakeEngine) -> None:
    done = program("--allow", "PS101", "my-api:1", "myorg/my-api:1")
    assert done.returncode == 1
    assert "error (allowed) PS101" in done.stdout
    assert "error PS102" in done.stdout
    assert engine.requests == []
    assert "\x1b" not in done.stdout + done.stderr


# ---------------------------------------------------------------------- a whole run


def test_a_push_that_cannot_be_read_back_is_no_success(tmp_path: Path) -> None:
    with FakeEngine(images=[IMAGE], distribution={IMAGE: Refusal(403, "no")}) as engine:
        done = Program(tmp_path, engine.host)("--format", "json", "--digest-file", "digests", IMAGE)
        assert engine.pushed() == [IMAGE]
    result = json.loads(done.stdout)["results"][0]
    assert (result["outcome"], result["verification"], done.returncode) == ("pushed", "not-checked", 8)
    assert (tmp_path / "digests").read_text() == ""


def test_verified_through_the_engine(tmp_path: Path) -> None:
    digest = "sha256:" + "d" * 64
    descriptor = {"digest": digest, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    with FakeEngine(images=[IMAGE], distribution={IMAGE: {"Descriptor": descriptor, "Platforms": []}}) as engine:
        done = Program(tmp_path, engine.host)("--digest-file", "digests", IMAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "already there and verified (through the engine)" in done.stdout
    assert (tmp_path / "digests").read_text() == f"{IMAGE}@{digest}\n"
    assert [file.name for file in tmp_path.glob(".digests*")] == []


ENDS: list[tuple[BaseException, str | None, ExitCode]] = [
    (KeyboardInterrupt(), None, ExitCode.INTERRUPTED),
    (UsageError("why"), "usage", ExitCode.USAGE),
    (EngineUnreachable("why"), "unreachable", ExitCode.UNREACHABLE),
    (EngineFailed("why"), "engine", ExitCode.FAILED),
]


@pytest.mark.parametrize(("error", "kind", "code"), ENDS, ids=[type(row[0]).__name__ for row in ENDS])
def test_what_ends_a_run_early_is_reported(
    error: BaseException, kind: str | None, code: ExitCode, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gateways(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("pushsafe.cli.bootstrap.gateways", gateways)
    references = [IMAGE, f"{CLOSED}/team/app:2"]
    done = program(*references)
    assert (done.returncode, bool(done.stdout)) == (code, True)
    assert ("error: why" in done.stderr) is (kind is not None)
    document = json.loads(program("--format", "json", *references).stdout)
    assert (document["exit_code"], document["interrupted"]) == (code, kind is None)
    assert [one["kind"] for one in document["errors"]] == ([kind] if kind else [])
    found = [(one["reference"], one["outcome"]) for one in document["results"]]
    assert found == [(reference, "not-pushed") for reference in references]


def test_json_is_json_also_where_nothing_can_be_meant(program: Program) -> None:
    for line in (f"--allow PS999 {NAME}", "-f /no/such/file", f"--digest-file /no/such/folder/file {NAME}", ""):
        done = program("--format", "json", *line.split())
        document = json.loads(done.stdout)
        assert (done.returncode, document["exit_code"]) == (2, 2), line
        assert [error["kind"] for error in document["errors"]] == ["usage"], line
    done = program("--format", "json", IMAGE, environ={"DOCKER_HOST": "", "DOCKER_CONTEXT": "nope"})
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit_code"]) == (2, 2)
    assert "no docker context 'nope'" in document["errors"][0]["message"]
    assert [one["outcome"] for one in document["results"]] == ["not-pushed"]


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

    def probed(self) -> bool:
        return bool(self.registry.find("POST", ".*/uploads/"))


@contextmanager
def scene_in(home: Path) -> Iterator[Scene]:
    with FakeRegistry(open_registry(manifests("acme/app", {"1": OTHER, "v1": OTHER}))) as registry:
        names = [f"{registry.host}/acme/app:{tag}" for tag in ("1", "v1", "new")]
        with FakeEngine(names) as engine:
            yield Scene(Program(home, engine.host), engine, registry)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_in(tmp_path) as scene:
        yield scene


def test_lint_asks_and_pushes_nothing(scene: Scene) -> None:
    done = scene.program("lint", f"{scene.name}:new")
    assert (done.returncode, scene.engine.pushed(), scene.probed()) == (0, [], True), done.stdout + done.stderr
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

PREFLIGHTS: list[tuple[list[str], str | None, str | None, bool]] = [
    # words, variable, settings file, whether the registry is asked
    ([], None, None, True),
    (["--no-preflight"], None, None, False),
    (["--preflight"], None, None, True),
    ([], "no", None, False),
    ([], None, "false", False),
    ([], "yes", "false", True),
    (["--preflight"], "no", "false", True),
    (["--no-preflight"], "yes", "true", False),
    (["--preflight", "--no-preflight"], None, None, False),
]


def test_whether_there_is_a_preflight(tmp_path: Path) -> None:
    users = tmp_path / ".config" / USER_FILE
    users.parent.mkdir(parents=True)
    for row in PREFLIGHTS:
        words, variable, file, probed = row
        users.write_text("" if file is None else f"preflight = {file}\n")
        environ = AT_ONCE if variable is None else {**AT_ONCE, "PUSHSAFE_PREFLIGHT": variable}
        with scene_in(tmp_path) as scene:
            done = scene.program(*words, "--format", "json", f"{scene.name}:new", environ=environ)
        assert (scene.probed(), scene.engine.pushed()) == (probed, [f"{scene.name}:new"]), (row, done.stderr)
        off = json.loads(done.stdout)["preflight_off"]
        assert (off is None) == probed, row
        assert (f"note: the preflight is off: {off}" in done.stderr.splitlines()) != probed, row


@pytest.mark.parametrize("words", ASKING)
def test_a_project_undoes_no_guard_of_the_users(scene: Scene, words: list[str]) -> None:
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


IMMUTABLE: list[tuple[str | None, str, int]] = [
    # variable, settings file, exit code
    (None, "", 0),
    ("v*", "", 1),
    (None, 'immutable-tags = ["v*"]', 1),
    ("", 'immutable-tags = ["v*"]', 0),
    ("release-*", "", 0),
]


@pytest.mark.parametrize("words", ASKING)
def test_tags_that_must_not_change(words: list[str], tmp_path: Path) -> None:
    for row in IMMUTABLE:
        variable, file, code = row
        (tmp_path / ".pushsafe.toml").write_text(file)
        environ = AT_ONCE if variable is None else {**AT_ONCE, "PUSHSAFE_IMMUTABLE_TAGS": variable}
        with scene_in(tmp_path) as scene:
            done = scene.program(*words, f"{scene.name}:v1", environ=environ)
        assert ("error PS401" if code else "warning PS401") in done.stdout, (row, done.stdout + done.stderr)
        assert scene.engine.pushed() == ([] if code or words else [f"{scene.name}:v1"]), row
        # The fake engine pushes to nowhere, so that the registry holds what it held.
        assert done.returncode == (code or (0 if words else 8)), row


@pytest.mark.parametrize("words", ASKING)
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


def test_a_time_that_is_none(program: Program, engine: FakeEngine) -> None:
    times = ["soon", "0", "-1", "25h", "", "1m30", "nan", "inf"]
    rows: list[tuple[list[str], str]] = [*(([], time) for time in times), (["lint"], "soon"), (["diagnose"], "soon")]
    for command, time in rows:
        said = program(*command, "--format", "json", "--timeout", time, NAME)
        by_variable = program(*command, "--format", "json", NAME, environ={"PUSHSAFE_TIMEOUT": time})
        for done, name in ((said, "--timeout"), (by_variable, "PUSHSAFE_TIMEOUT")):
            document = json.loads(done.stdout)
            assert done.returncode == document["exit_code"] == 2, (command, time)
            (error,) = document["errors"]
            assert (error["kind"], error["message"].partition(":")[0]) == ("usage", name), (command, time)
            assert error["hint"] in done.stderr, (command, time)
    assert engine.requests == []


WRONG = {"PUSHSAFE_TIMEOUT": "soon", "PUSHSAFE_NONSENSE": "1"}
NO_SETTINGS = (
    "rules",
    "explain PS101",
    "--help",
    "lint --help",
    "diagnose -h",
    "--version",
    "explain-error denied",
    "__complete li",
)


def test_what_needs_no_settings_takes_wrong_ones(program: Program) -> None:
    (program.home / ".pushsafe.toml").write_text("nonsense")
    for line in NO_SETTINGS:
        done = program(*line.split(), environ=WRONG)
        assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", True), line
    assert program(NAME, environ=WRONG).returncode == 2


@pytest.mark.parametrize("command", [[], ["lint"], ["diagnose"], ["index", "-t", "a/b/c:1"], ["buildx", "build", "."]])
def test_settings_that_nobody_writes(program: Program, engine: FakeEngine, command: list[str]) -> None:
    os.mkfifo(program.home / ".pushsafe.toml")
    done = program(*command, IMAGE)
    assert (done.returncode, engine.pushed()) == (2, [])
    assert "it is a pipe, not a regular file" in done.stderr


def test_a_list_that_is_never_written(program: Program, engine: FakeEngine) -> None:
    """A pipe whose writer is there and says nothing, as of a command that hangs."""
    os.mkfifo(program.home / "list")
    held = os.open(program.home / "list", os.O_RDWR)
    done = program("--timeout", "0.2", "--format", "json", "-f", "list")
    os.close(held)
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    said = "the time for the whole run was over while references were read"
    assert [error["message"] for error in document["errors"]] == [said]
    assert engine.requests == []


# ---------------------------------------------------------------------- diagnose


def test_a_diagnosis(scene: Scene) -> None:
    done = scene.program("diagnose", f"{scene.name}:new")
    assert (done.returncode, scene.engine.pushed(), scene.probed()) == (0, [], True), done.stderr
    assert "✓ push probe" in done.stdout
    document = json.loads(scene.program("diagnose", "--format", "json", f"{scene.name}:1").stdout)
    assert (document["given"], document["tag_now"]["digest"]) == (f"{scene.name}:1", OTHER.digest)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["A:1"], "'A:1' cannot be pushed to", "a:1"),
        (["--platform", "arm64", NAME], "'arm64' is not a platform", "--platform OS/ARCH"),
        ([NAME], "PUSHSAFE_NONSENSE", "PUSHSAFE_"),
    ],
)
def test_a_diagnosis_of_what_cannot_be_meant(program: Program, words: list[str], message: str, hint: str) -> None:
    environ = {message: "1"} if "NONSENSE" in message else {}
    done = program("diagnose", *words, environ=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert hint in done.stderr.partition("try: ")[2]
    document = diagnosed(program("diagnose", "--format", "json", *words, environ=environ))
    assert (document["exit_code"], document["outcome"], document["given"]) == (2, "not-pushed", words[-1])
    assert document["reference"] == ("" if words == ["A:1"] else words[-1])
    assert [error["kind"] for error in document["errors"]] == ["usage"]
    assert message in document["errors"][0]["message"]


def diagnosed(done: Done) -> dict[str, Any]:
    """The document, which is what the schema says."""
    document: dict[str, Any] = json.loads(done.stdout)
    schema, report = (json.loads((ROOT / f"docs/{name}.schema.json").read_text()) for name in ("diagnosis", "report"))
    schemas: Schemas[Any] = Schemas().with_resource("report.schema.json", Resource.from_contents(report))
    jsonschema.Draft202012Validator(schema, registry=schemas).validate(document)
    return document


# ---------------------------------------------------------------------- explain-error

EXPIRED = "denied: Your authorization token has expired. Reauthenticate and try again."


def test_an_error_is_explained(program: Program, engine: FakeEngine) -> None:
    for words, stdin in [
        ([EXPIRED], ""),
        (EXPIRED.split(), ""),
        (["-"], EXPIRED),
        ([], EXPIRED),
        (["-"], f"\n{EXPIRED}\r\n"),
    ]:
        done = program("explain-error", *words, stdin=stdin)
        assert (done.returncode, done.stderr, done.stdout.splitlines()[0]) == (0, "", "invalid-authentication"), words
        document = json.loads(program("explain-error", "--format", "json", *words, stdin=stdin).stdout)
        assert (document["cause"], document["message"]) == ("invalid-authentication", EXPIRED), words
    assert engine.requests == []


@pytest.mark.parametrize(
    ("words", "stdin", "cause"),
    [
        (["--", "--timeout", EXPIRED], b"", "invalid-authentication"),
        (["-"], b"", "unclear"),
        (["-"], b"\xff\xfe" + EXPIRED.encode() + b"\x00", "invalid-authentication"),
    ],
    ids=["words like options", "nothing", "no text"],
)
def test_odd_texts_are_explained(program: Program, words: list[str], stdin: bytes, cause: str) -> None:
    done = program("explain-error", *words, stdin=stdin)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, cause)


# ---------------------------------------------------------------------- completion

COMPLETED = {
    "": {"buildx", "index", "lint", "diagnose", "explain-error", "rules", "explain", "try"},
    "ex": {"explain-error", "explain"},
    "--no-p": {"--no-preflight"},
    "--pre": {"--preflight"},
    "--ti": {"--timeout", "--timings"},
    "--timeo": {"--timeout"},
    "lint --o": {"--offline"},
    "lint --no": set[str](),
    "lint --ti": {"--timeout"},
    "diagnose --": {"--format", "--platform", "--timeout"},
    "explain-error --": {"--format"},
    "rules --": set[str](),
}


def test_what_a_shell_completes(program: Program) -> None:
    for line, offered in COMPLETED.items():
        done = program("__complete", *line.split(" "))
        *lines, directive = done.stdout.splitlines()
        assert (done.returncode, directive) == (0, ":4"), line
        assert {one.partition("\t")[0] for one in lines} == offered, line
        assert all(one.partition("\t")[2] for one in lines), line
