"""docker buildx as a program: what is asked of it, what it is given, what of it is shown, and how it is stopped."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pushsafe.engine.buildx_cli import BuildxCommand
from pushsafe.engine.process import Child
from pushsafe.model.errors import UsageError
from pushsafe.model.facts import Builder
from pushsafe.model.outcomes import BuildFailed, Built
from pushsafe.model.request import CLI_VARIABLE, BakeTarget, Build, DockerFlags, Target
from pushsafe.oci.platform import Platform
from pushsafe.runtime.redact import remember
from pushsafe.runtime.signals import SOCKET_VARIABLE
from tests.terminal import read_all
from tests.values import AMD64, ARM64, ref, sha

D = sha("d")
TARGET = Target((ref("registry.test/team/app:1"),))
NO_FLAGS = DockerFlags()

FAKE = """\
#!{python}
import json, os, signal, subprocess, sys, time
from pathlib import Path

here = Path(__file__).parent
words = sys.argv[1:]
with (here / "calls").open("a") as calls:
    print(json.dumps(words), file=calls)
script = json.loads((here / "script").read_text())
at = words.index("buildx") + 1 if "buildx" in words else 0
command = words[at] if at < len(words) else ""
if command in ("build", "bake") and "--print" in words:
    command = "print"
def option(name):
    return words[words.index(name) + 1] if name in words else ""
PLUGIN = "import os, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
PLUGIN += "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
{body}
"""
BODY = """
say = script.get(command, {})
if say.get("reads"):
    (here / "read").write_bytes(sys.stdin.buffer.read())
if say.get("environ"):
    (here / "environ").write_text(json.dumps(dict(os.environ)))
if say.get("waits"):
    def stop(number, frame):
        (here / "stopped").write_text(str(number))
        sys.exit(say.get("status", 1))
    signal.signal(signal.SIGINT, signal.SIG_IGN if say.get("stubborn") else stop)
    (here / f"pid-{command}").write_text(str(os.getpid()))
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(60)
if say.get("plugin"):
    # As docker does: the first order to stop only reaches its plugin, and the third kills it.
    plugin = subprocess.Popen([sys.executable, "-c", PLUGIN, here / "pid"], process_group=0)
    told = []
    def stop(number, frame):
        told.append(number)
        (here / "stopped").write_text(str(len(told)))
        if len(told) == 3:
            plugin.kill()
    signal.signal(signal.SIGINT, stop)
    sys.exit(plugin.wait())
if say.get("leaves"):
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (here / "left").write_text(str(left.pid))
if "descriptor" in say:
    with open(say["descriptor"], "rb") as given:
        (here / "read").write_bytes(given.read())
if say.get("terminal"):
    (here / "terminal").write_text(json.dumps([os.isatty(n) for n in range(3)]))
sys.stdout.write(say.get("out", ""))
sys.stderr.write(say.get("err", "") * say.get("times", 1))
if "metadata" in say:
    Path(option("--metadata-file")).write_text(say["metadata"])
sys.exit(say.get("status", 0))
"""


class Docker:
    """A docker that answers by a script, and notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "docker"
        self.program.write_text(FAKE.format(python=sys.executable, body=textwrap.dedent(BODY)))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self.answer()

    def answer(self, **script: Mapping[str, Any]) -> None:
        (self.folder / "script").write_text(json.dumps(script))

    def buildx(self, flags: DockerFlags = NO_FLAGS, **environ: str) -> BuildxCommand:
        return BuildxCommand(flags, {"PATH": os.defpath, CLI_VARIABLE: str(self.program), **environ})

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def note(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    folder = tmp_path / "docker-here"
    folder.mkdir()
    return Docker(folder)


def build(*words: str, **given: Any) -> Build:
    return Build("build", words or ("-t", "registry.test/team/app:1", "."), (TARGET,), **given)


# ---------------------------------------------------------------------- what is there

VERSION = {"out": "github.com/docker/buildx v0.29.1 abcdef\n"}
WORKER = {"org.mobyproject.buildkit.worker.executor": "containerd"}


def node(*platforms: str, **given: Any) -> dict[str, Any]:
    return {"Name": "n0", "Status": "running", "Platforms": list(platforms), **given}


def listing(*entries: dict[str, Any]) -> dict[str, str]:
    return {"out": "".join(f"{json.dumps(entry)}\n" for entry in entries)}


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


def test_an_interruption_ends_both_questions(docker: Docker) -> None:
    """Each of them writes its own number, and waits."""
    docker.answer(version={"waits": True, "status": 0}, ls={"waits": True})
    child = program(docker, "look()")
    numbers = {int(until(docker.folder / f"pid-{command}")) for command in ("version", "ls")}
    child.send_signal(signal.SIGINT)
    child.wait(30)
    assert all(map(gone, numbers))


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
    ("name", "names"),
    [("x/a:1", ("x/a:1",)), ("x/a:1,x/a:2", ("x/a:1", "x/a:2")), ("", None), (7, None), (None, None)],
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


# ---------------------------------------------------------------------- as a program: streams and signals

RUN = """\
import os, sys
from pushsafe.engine import process
from pushsafe.engine.buildx_cli import BuildxCommand
from pushsafe.model.request import Build, DockerFlags
from pushsafe.runtime.signals import TimedOut, deadline, install_stop

process.GRACE = 0.3
limit = float(sys.argv[1]) or None
try:
    with install_stop(os.environ), deadline(limit):
        buildx = BuildxCommand(DockerFlags(), os.environ)
        print(eval("buildx." + sys.argv[2]))
except TimedOut:
    print("out of time")
except KeyboardInterrupt:
    print("interrupted")
"""


def program(
    docker: Docker, does: str = "run(Build('build', (), ()))", limit: float = 0, **streams: Any
) -> subprocess.Popen[bytes]:
    environ = {"PATH": os.defpath, CLI_VARIABLE: str(docker.program), "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen([sys.executable, "-c", RUN, str(limit), does], env=environ, **streams)


def until(file: Path) -> str:
    for _ in range(500):
        if file.exists() and file.read_text():
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"no {file}")


def gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent ended before it may stay for nobody to ask after."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_standard_input_is_passed_on(docker: Docker) -> None:
    docker.answer(build={"reads": True})
    child = program(docker, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    output, _ = child.communicate(b"FROM scratch\n", timeout=30)
    assert docker.note("read") == "FROM scratch\n"
    assert b"Built" in output


def test_a_descriptor_that_a_word_names_is_passed_on(docker: Docker) -> None:
    """`--secret id=x,src=<(...)`."""
    reading, writing = os.pipe()
    os.write(writing, b"secret")
    os.close(writing)
    docker.answer(build={"descriptor": f"/dev/fd/{reading}"})
    child = program(docker, pass_fds=(reading,))
    os.close(reading)
    assert child.wait(30) == 0
    assert docker.note("read") == "secret"


@pytest.mark.parametrize("stream", ["terminal", "pipe"])
def test_a_terminal_is_drawn_on_by_buildx_itself(stream: str, docker: Docker) -> None:
    docker.answer(build={"terminal": True, "status": 1, "err": "\x1b[1mdrawn\x1b[0m\n"})
    controller, follower = pty.openpty()
    child = program(docker, stdout=subprocess.PIPE, stderr=follower if stream == "terminal" else subprocess.PIPE)
    os.close(follower)
    if stream == "terminal":
        shown: list[bytes] = []
        reader = threading.Thread(target=lambda: shown.append(read_all(controller)))
        reader.start()
        output, _ = child.communicate(timeout=30)
        reader.join(10)
        assert b"\x1b[1mdrawn" in shown[0]
        assert b"said=''" in output
    else:
        output, errors = child.communicate(timeout=30)
        assert errors == b" [1mdrawn [0m\n"
        assert b"said=' [1mdrawn [0m'" in output
    os.close(controller)
    # docker passes a signal on to its plugin only where its own output is no terminal.
    assert json.loads(docker.note("terminal"))[1:] == [False, stream == "terminal"]


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "timeout"])
def test_whoever_stops_us_stops_buildx(how: str, docker: Docker) -> None:
    docker.answer(build={"waits": True})
    child = program(docker, limit=1.0 if how == "timeout" else 0, stdout=subprocess.PIPE)
    pid = int(until(docker.folder / "pid"))
    started = time.monotonic()
    if how != "timeout":
        child.send_signal(getattr(signal, how))
    output, _ = child.communicate(timeout=30)
    assert output.decode().strip() == ("out of time" if how == "timeout" else "interrupted")
    assert docker.note("stopped") == str(int(signal.SIGINT))
    assert time.monotonic() - started < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_buildx_that_does_not_stop_is_ended(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.engine.process.GRACE", 0.2)
    docker.answer(build={"waits": True, "stubborn": True})
    started: list[subprocess.Popen[bytes]] = []

    def start(**pipes: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([docker.program, "buildx", "build"], **pipes)
        until(docker.folder / "pid")
        started.append(process)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()
        return process

    with pytest.raises(KeyboardInterrupt):
        Child(start).run()
    assert started[0].wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("does", ["run(Build('build', (), ()))", "targets([])", "look()"])
def test_no_plugin_lives_on(does: str, docker: Docker) -> None:
    """docker ends a plugin that does not stop by itself at the third order to stop."""
    docker.answer(**{command: {"plugin": True} for command in ("build", "print", "version")})
    child = program(docker, does, stdout=subprocess.PIPE)
    plugin = int(until(docker.folder / "pid"))
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=30)
    assert output == b"interrupted\n"
    assert docker.note("stopped") == "3"
    assert gone(plugin)


# ---------------------------------------------------------------------- the command: bake is asked within its run


def command(docker: Docker, *words: str, **variables: str) -> subprocess.Popen[bytes]:
    environ = {
        **variables,
        "PATH": os.defpath,
        "HOME": str(docker.folder),
        CLI_VARIABLE: str(docker.program),
        "DOCKER_HOST": f"unix://{docker.folder}/none",
    }
    folder = Path(__file__).parents[3]
    words = (sys.executable, "-m", "pushsafe", "buildx", "--format", "json", *words)
    return subprocess.Popen(words, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", ["timeout", "SIGINT"])
def test_an_end_while_bake_is_asked(how: str, docker: Docker) -> None:
    docker.answer(print={"waits": True})
    child = command(docker, *(("--timeout", "2") if how == "timeout" else ()), "--", "bake")
    pid = int(until(docker.folder / "pid-print"))
    if how == "SIGINT":
        child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=30)
    report = json.loads(output)
    assert gone(pid)
    assert report["results"] == []
    assert (child.returncode, report["interrupted"]) == ((130, True) if how == "SIGINT" else (3, False)), errors
    if how == "timeout":
        assert report["errors"][0]["message"] == "the time for the whole run was over"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"a": {"tags": ["x/BAD:1", "a:b:c"], "output": [{"type": "registry"}]}}, "'a:b:c' cannot be pushed to"),
        ({"a": {"tags": ["r.test/a:1"], "output": [{"type": "local"}]}}, "'a' has the output 'local'"),
        (
            {"a": {"tags": ["r.test/a:1"], "output": [{"type": "registry"}], "cache-to": ["r.test/a:1"]}},
            "--cache-to r.test/a:1: the cache would take the place",
        ),
    ],
)
def test_what_bake_shows_and_is_no_push(shown: dict[str, Any], said: str, docker: Docker) -> None:
    docker.answer(print={"out": json.dumps({"target": shown})})
    child = command(docker, "--", "bake")
    output, errors = child.communicate(timeout=30)
    assert child.returncode == 2, errors
    assert said in json.loads(output)["errors"][-1]["message"]
    assert said in errors.decode()
    assert docker.calls == [["buildx", "bake", "--print", "--push"]]


def test_the_tags_that_bake_shows_are_those_that_it_pushes(docker: Docker) -> None:
    tags = ["127.0.0.1:9/team/a:1", "127.0.0.1:9/team/a:2"]
    shown = {"target": {"a": {"tags": tags, "output": [{"type": "registry"}]}}}
    listed = listing({"Name": "default", "Driver": "docker", "Current": True, "Nodes": [node("linux/amd64")]})
    docker.answer(print={"out": json.dumps(shown)}, version=VERSION, ls=listed, bake={"status": 1, "err": "ERROR: no"})
    child = command(docker, "--no-preflight", "--", "bake", "--", "a")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 7, errors
    assert docker.calls[0] == ["buildx", "bake", "--print", "--push", "--", "a"]
    assert docker.calls[-1][-6:] == ["--set", f"a.tags={tags[0]}", "--set", f"a.tags={tags[1]}", "--", "a"]


def test_what_is_wrong_with_a_credential_is_told_once(docker: Docker) -> None:
    shown = {"target": {"a": {"tags": ["r.test/team/a:1"], "output": [{"type": "registry"}]}}}
    docker.answer(print={"out": json.dumps(shown)}, version={"status": 1, "err": "broken\n"})
    child = command(docker, "--", "bake", DOCKER_AUTH_CONFIG="{")
    _, errors = child.communicate(timeout=30)
    assert b"buildx does not run: broken" in errors, "it came further than to bake's definition"
    assert errors.count(b"DOCKER_AUTH_CONFIG is ignored") == 1


def test_a_word_that_a_terminal_would_obey(docker: Docker) -> None:
    for words in (["--", "--\x1b[31mred", "x", "-t", "a", "."], ["--\x1b[31mred", "--", "."]):
        child = command(docker, *words)
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 2
        assert b"red" in errors
        assert b"\x1b" not in errors
