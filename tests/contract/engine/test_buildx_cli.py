"""docker buildx as a program: what is asked of it, what it is given, what of it is shown, and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pushsafe.engine.buildx_cli import BuildxCommand
from pushsafe.model.errors import UsageError
from pushsafe.model.facts import Builder
from pushsafe.model.outcomes import BuildFailed, Built
from pushsafe.model.request import CLI_VARIABLE, BakeTarget, Build, DockerFlags, Target
from pushsafe.oci.platform import Platform
from pushsafe.runtime.redact import remember
from pushsafe.runtime.signals import SOCKET_VARIABLE
from tests.fakes.buildx import NO_FLAGS, TARGET, VERSION, WORKER, D, Docker, build, fake_docker, listing, node, until
from tests.values import AMD64, ARM64


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return fake_docker(tmp_path)


# ---------------------------------------------------------------------- what is there


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"Name": "default", "Driver": "docker", "Current": True, "Nodes": [node("linux/amd64", "linux/386")]},
            Builder("default", "docker", (AMD64, Platform("linux", "386")), current=True, native=AMD64),
        ),
        (
            {"Name": "default", "Driver": "docker", "Nodes": [node("linux/amd64/v3", Labels=WORKER)]},
            Builder("default", "docker", (Platform("linux", "amd64", "v3"),), several=True, native=AMD64),
        ),
        (
            {"Name": "c", "Driver": "docker-container", "Nodes": [node("linux/arm64"), node("linux/amd64")]},
            Builder("c", "docker-container", (ARM64, AMD64), several=True, native=ARM64),
        ),
        (
            {"Name": "c", "Driver": "docker-container", "Nodes": [node("linux/arm64*", "linux/amd64", "linux/arm64")]},
            Builder("c", "docker-container", (ARM64, AMD64), several=True),
        ),
        (
            {"Name": "c", "Driver": "docker-container", "Nodes": [node(Status="inactive")]},
            Builder("c", "docker-container", several=True),
        ),
        (
            {"Name": "far", "Driver": "docker", "Nodes": [node(Status="error")]},
            Builder("far", "docker", problem="it cannot be reached"),
        ),
        (
            {"Name": "far", "Driver": "docker", "Nodes": [node(Err="no\x1b[31m route")]},
            Builder("far", "docker", problem="no [31m route"),
        ),
        (
            {"Name": "far", "Driver": "kubernetes", "Err": "no cluster", "Nodes": None},
            Builder("far", "kubernetes", several=True, problem="no cluster"),
        ),
    ],
)
def test_a_builder(entry: dict[str, Any], expected: Builder, docker: Docker) -> None:
    docker.answer(version=VERSION, ls=listing(entry))
    found = docker.buildx().look()
    assert (found.version, found.problem) == ("0.29.1", "")
    assert found.builders == (expected,)


def test_the_builder_that_is_named_is_the_current_one(docker: Docker) -> None:
    docker.answer(
        version=VERSION,
        ls=listing({"Name": "default", "Driver": "docker", "Current": True}, {"Name": "b", "Driver": "remote"}),
    )
    assert [one.current for one in docker.buildx().look().builders] == [True, False]
    assert [one.current for one in docker.buildx().look("b").builders] == [False, True]
    assert docker.buildx().look("nope").current is None


@pytest.mark.parametrize(
    ("version", "ls", "problem"),
    [
        ({"status": 1, "err": "docker: 'buildx' is not a docker command.\n"}, {}, "buildx is not installed"),
        ({"status": 1, "err": "docker: unknown command: docker buildx\n"}, {}, "buildx is not installed"),
        ({"status": 2, "err": "\nsegmentation\x1b[1m fault\n"}, {}, "buildx does not run: segmentation [1m fault"),
        ({"out": "hello\n"}, {}, "buildx names no version: hello"),
        ({"out": "github.com/docker/buildx v0.9.1 1\n"}, {}, "buildx 0.9.1 is too old: 0.13 or newer is needed"),
        (VERSION, {"status": 1, "err": "no store\n"}, "buildx names no builder: no store"),
        (VERSION, {"out": '[1]\n{"Name": ""}\nnonsense\n'}, "buildx names no builder: it says nothing"),
    ],
)
def test_what_cannot_be_used(version: dict[str, Any], ls: dict[str, Any], problem: str, docker: Docker) -> None:
    docker.answer(version=version, ls=ls)
    found = docker.buildx().look()
    assert found.problem == problem
    assert found.to_install is ("not installed" in problem or "too old" in problem)


def test_what_holds_a_pipe_open_is_not_waited_for(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.engine.buildx_cli._READ", 1.0)
    docker.answer(print={"leaves": True, "out": "{}"})
    started = time.monotonic()
    with pytest.raises(UsageError, match="no answer within 1 seconds"):
        docker.buildx().targets([])
    assert time.monotonic() - started < 10
    os.kill(int(until(docker.folder / "left")), signal.SIGKILL)


def test_without_docker(tmp_path: Path) -> None:
    buildx = BuildxCommand(NO_FLAGS, {"PATH": str(tmp_path), CLI_VARIABLE: str(tmp_path / "none")})
    assert "docker command cannot be run" in buildx.look().problem
    with pytest.raises(UsageError, match="docker command cannot be run"):
        buildx.run(build())


def test_dockers_flags_are_passed_on(docker: Docker) -> None:
    docker.answer(build={"environ": True})
    flags = DockerFlags(config="/c", context="far", debug=True, host=("unix:///x",), tlsverify=False)
    docker.buildx(flags, **{SOCKET_VARIABLE: "@socket", "BUILDX_BUILDER": "b"}).run(build("-t", "a", "."))
    [call] = docker.calls
    at = call.index("buildx")
    assert set(call[:at]) == {"--config=/c", "--context=far", "--debug=true", "--host=unix:///x", "--tlsverify=false"}
    assert call[at:-3] == ["buildx", "build", "--push", "--metadata-file", call[at + 4]]
    assert call[-3:] == ["-t", "a", "."]
    environ = json.loads(docker.note("environ"))
    assert environ["BUILDX_BUILDER"] == "b"
    assert not {SOCKET_VARIABLE, CLI_VARIABLE} & set(environ), "our docker's socket is not theirs"


# ---------------------------------------------------------------------- bake --print


def test_what_bake_would_push(docker: Docker) -> None:
    push = [{"type": "image", "push": "true"}]
    shown = {
        "group": {"default": {"targets": ["a"]}},
        "target": {
            "a": {
                "tags": ["x/a:1", "x/a:2"],
                "platforms": ["linux/amd64"],
                "output": push,
                "cache-to": [{"type": "registry", "ref": "x/c"}, {"type": "inline"}, "x/d", {"dest": "out"}],
            },
            "b": {"output": [{"type": "registry"}, {"type": "local", "dest": "out"}]},
            "c": {"output": [{"type": "image"}], "call": "check"},
            "d": {"output": [{"type": "registry", "push-by-digest": "true"}]},
            "e": {"output": ["odd"], "tags": None},
            "f": "odd",
        },
    }
    docker.answer(print={"out": json.dumps(shown), "err": "#1 reading\n"})
    assert docker.buildx().targets(["-f", "x.hcl", "a"], ["--", "b"]) == (
        BakeTarget(
            "a",
            ("x/a:1", "x/a:2"),
            ("linux/amd64",),
            ("registry",),
            caches=("type=registry,ref=x/c", "type=inline", "x/d", ""),
        ),
        BakeTarget("b", outputs=("registry", "local")),
        BakeTarget("c", outputs=("image",), call="check"),
        BakeTarget("d", outputs=("push-by-digest",)),
        BakeTarget("e"),
    )
    assert docker.calls == [["buildx", "bake", "-f", "x.hcl", "a", "--print", "--push", "--", "b"]]


@pytest.mark.parametrize("name", ["*", "a.b", "\x1b[31m", ""])
def test_a_target_of_an_odd_name(name: str, docker: Docker) -> None:
    """It is put into words for buildx, where a * would be any target."""
    docker.answer(print={"out": json.dumps({"target": {name: {}}})})
    with pytest.raises(UsageError, match="odd name") as error:
        docker.buildx().targets([])
    assert "\x1b" not in error.value.message


def test_a_definition_from_standard_input(docker: Docker) -> None:
    docker.answer(print={"out": "{}", "reads": True})
    assert docker.buildx().targets(["-f", "-"], (), b"target {}") == ()
    assert docker.note("read") == "target {}"
    docker.answer(bake={"reads": True})
    docker.buildx().run(Build("bake", ("-f", "-"), (TARGET,), definition=b"again"))
    assert docker.note("read") == "again"


def test_what_bake_says_where_it_cannot_tell(docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    docker.answer(print={"status": 1, "err": "#1 reading\nx.hcl:2\n\x1b[31mERROR: failed to find target nope\n"})
    with pytest.raises(UsageError, match=r"ended with status 1: .*ERROR: failed to find target nope") as error:
        docker.buildx().targets(["nope"])
    assert "\x1b" not in error.value.message
    assert capfd.readouterr().err == "#1 reading\nx.hcl:2\n [31mERROR: failed to find target nope\n"


@pytest.mark.parametrize("shown", ["", "nonsense", "[" * 100_000])
def test_a_bake_that_shows_no_targets(shown: str, docker: Docker) -> None:
    docker.answer(print={"out": shown})
    with pytest.raises(UsageError, match="shows no targets"):
        docker.buildx().targets([])


# ---------------------------------------------------------------------- the build


def metadata(digest: object) -> str:
    return json.dumps({"containerimage.digest": digest})


@pytest.mark.parametrize(
    ("content", "digests"),
    [
        (metadata(D), (("", D),)),
        (metadata(D.upper()), ()),
        (metadata("sha256:123"), ()),
        (metadata(f"{D}\n"), ()),
        (metadata(7), ()),
        ("{}", ()),
        ("[]", ()),
        ("", ()),
        ("nonsense", ()),
        ("[" * 100_000, ()),
    ],
)
def test_the_digest(content: str, digests: tuple[tuple[str, str], ...], docker: Docker) -> None:
    docker.answer(build={"metadata": content})
    assert docker.buildx().run(build()) == Built(digests)


def test_no_metadata_file(docker: Docker) -> None:
    assert docker.buildx().run(build()) == Built(())


def test_the_digests_of_bake(docker: Docker) -> None:
    found = {
        "a": {"containerimage.digest": D},
        "b": {"containerimage.digest": "?"},
        "c": 1,
        "buildx.build.warnings": [],
    }
    docker.answer(bake={"metadata": json.dumps(found)})
    targets = tuple(Target((), (), name) for name in "abcd")
    assert docker.buildx().run(Build("bake", (), targets)) == Built((("a", D),))


@pytest.mark.parametrize(
    ("name", "names"), [("x/a:1", ("x/a:1",)), ("x/a:1,x/a:2", ("x/a:1", "x/a:2")), ("", None), (7, None), (None, None)]
)
def test_the_names_under_which_it_was_pushed(name: object, names: tuple[str, ...] | None, docker: Docker) -> None:
    docker.answer(build={"metadata": json.dumps({"image.name": name})})
    assert docker.buildx().run(build()) == Built((), (("", names),) if names else ())


def test_the_names_of_targets_that_nobody_listed(docker: Docker) -> None:
    found = {"a": {"containerimage.digest": D, "image.name": "x/a:1"}, "new": {"image.name": "x/b:1"}, "base": {}}
    docker.answer(bake={"metadata": json.dumps(found)})
    answer = docker.buildx().run(Build("bake", (), (Target((), (), "a"),)))
    assert answer == Built((("a", D),), (("a", ("x/a:1",)), ("new", ("x/b:1",))))


def test_our_metadata_file_does_not_stay(docker: Docker) -> None:
    docker.answer(build={"metadata": metadata(D)})
    docker.buildx().run(build())
    words = docker.calls[0]
    assert not Path(words[words.index("--metadata-file") + 1]).parent.exists()


def test_the_users_metadata_file(docker: Docker, tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    words = ("-t", "a", "--metadata-file", str(file), ".")
    docker.answer(build={"metadata": metadata(D)})
    assert docker.buildx().run(build(*words, metadata_file=str(file))) == Built((("", D),))
    assert docker.calls[0].count("--metadata-file") == 1
    assert json.loads(file.read_text())["containerimage.digest"] == D

    docker.answer(build={})
    assert docker.buildx().run(build(*words, metadata_file=str(file))) == Built(()), "it tells of the build before"


def test_the_output_goes_to_standard_error(docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    remember(["hunter2!"])
    lines = "#1 [internal] load\n   2 | >>> COPY x /\n\x1b[31mred\x07\u202e\ntoken hunter2!\n\nlast"
    docker.answer(build={"out": "sha256:1\n", "err": lines, "metadata": metadata(D)})
    assert docker.buildx().run(build()) == Built((("", D),))
    shown = capfd.readouterr()
    assert shown.out == "", "that is the report's"
    assert "sha256:1\n" in shown.err
    assert (
        shown.err.replace("sha256:1\n", "") == "#1 [internal] load\n   2 | >>> COPY x /\n [31mred\ntoken ***\n\nlast\n"
    )


def test_what_a_failed_build_said(docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    docker.answer(build={"status": 3, "err": "#1 it begins\nERROR: it ends\n"})
    assert docker.buildx().run(build()) == BuildFailed(3, "#1 it begins\nERROR: it ends")
    assert capfd.readouterr().err == "#1 it begins\nERROR: it ends\n"


def test_the_rest_of_a_long_line_is_no_line_of_its_own(docker: Docker) -> None:
    padded = f"#5 0.1 {'x' * (65536 - 7)}"
    docker.answer(build={"status": 1, "err": f"{padded}#7 ERROR: failed to push a:1: no\nERROR: no\n"})
    answer = docker.buildx().run(build(quiet=True))
    assert isinstance(answer, BuildFailed)
    assert [line[:10] for line in answer.said.splitlines()] == ["#5 0.1 xxx", "ERROR: no"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_quiet_build(status: int, docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    docker.answer(build={"status": status, "err": "#1 it begins\n"})
    docker.buildx().run(build(quiet=True))
    assert capfd.readouterr().err == ("#1 it begins\n" if status else "")


def test_much_output_fills_no_pipe(docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    docker.answer(build={"status": 1, "out": "o" * 300_000, "err": f"{'e' * 100}\n", "times": 30_000})
    answer = docker.buildx().run(build(quiet=True))
    assert isinstance(answer, BuildFailed)
    assert len(answer.said.splitlines()) == 10_000
    assert len(capfd.readouterr().err) > 1_000_000


def test_arguments_are_not_shown(docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("-t", "a", "--build-arg", "PASSWORD=s3cr3t", "--secret", "id=s3cr3t", ".")
    for script in ({"status": 1, "err": "ERROR: failed\n"}, {"metadata": "nonsense"}):
        docker.answer(build=script)
        answer = docker.buildx().run(build(*words))
        assert "s3cr3t" not in repr(answer)
    docker.answer(print={"status": 1, "err": "ERROR: failed\n"})
    with pytest.raises(UsageError) as error:
        docker.buildx().targets(words)
    assert "s3cr3t" not in f"{error.value.message} {error.value.hint}"
    assert "s3cr3t" not in "".join(capfd.readouterr())
