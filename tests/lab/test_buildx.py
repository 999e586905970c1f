"""`docker pushsafe buildx` with a real buildx on real engines: guarded before, verified after, its failures told."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests import lab
from tests.fakes.registry import Answer, FakeRegistry, on, ping
from tests.fakes.storing import Storing
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import Run, User
from tests.terminal import read_all

BOTH = ("linux/amd64", "linux/arm64")
DOCKERFILE = "FROM scratch\nARG TARGETARCH\nCOPY f.$TARGETARCH /f\n"


@pytest.fixture
def engine(the_lab: Lab) -> LabEngine:
    return the_lab.engines["containerd-new"]


@pytest.fixture
def user(user: User) -> User:
    """A user with a buildx."""
    program = lab.tool("docker-buildx")
    assert program is not None
    plugins = user.config / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(program)
    return user


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context for two platforms that nobody has built before, as the working directory."""
    context = tmp_path / "context"
    context.mkdir()
    for architecture in ("amd64", "arm64"):
        (context / f"f.{architecture}").write_bytes(uuid.uuid4().bytes)
    (context / "Dockerfile").write_text(DOCKERFILE)
    monkeypatch.chdir(context)
    return context


def new(host: str, *tags: str) -> list[str]:
    name = f"{host}/team/buildx-{uuid.uuid4().hex[:8]}"
    return [f"{name}:{tag}" for tag in tags]


def buildx(user: User, engine: LabEngine, *words: str, stdin: str = "") -> Run:
    return user.pushsafe(engine.host, "buildx", "--format", "json", "--", *words, stdin=stdin)


def tagged(tags: Sequence[str]) -> list[str]:
    return [word for tag in tags for word in ("-t", tag)]


def on_disk(registry: LabRegistry, reference: str) -> dict[str, str]:
    """The tags of a repository, and what each names, as distribution has them on its disk."""
    name = reference.partition("/")[2].rpartition(":")[0]
    links = (registry.repositories / name).glob("_manifests/tags/*/current/link")
    return {link.parent.parent.name: link.read_text() for link in links}


def began(done: Run) -> bool:
    """Whether buildx was started for a build: it says so first."""
    return re.search(r"^#\d+ ", done.stderr, re.MULTILINE) is not None


# ---------------------------------------------------------------------- built, pushed, verified


@pytest.mark.usefixtures("folder")
def test_two_platforms_under_two_tags(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = the_lab.registries["token"]
    user.log_in({registry.host: ("writer", registry.users["writer"])})
    listed = new(registry.host, "1", "latest")
    done = buildx(user, engine, *tagged(listed), "--platform", ",".join(BOTH), ".")
    assert done.status == 0, done.stdout + done.stderr
    assert [result["reference"] for result in done.results] == listed
    for result in done.results:
        assert (result["outcome"], result["verification"]) == ("pushed", "verified")
        assert result["platforms"] == list(BOTH)
    assert on_disk(registry, listed[0]) == {"1": done.results[0]["digest"], "latest": done.results[1]["digest"]}
    assert done.results[0]["digest"] == done.results[1]["digest"]
    assert began(done)
    assert "build" in done.report["timings"]


@pytest.mark.parametrize("name", ["classic-20", "classic-new", "containerd-new"])
@pytest.mark.usefixtures("folder")
def test_one_platform_on_every_engine(user: User, the_lab: Lab, name: str) -> None:
    registry = the_lab.registries["htpasswd"]
    user.log_in({registry.host: ("writer", registry.users["writer"])})
    listed = new(registry.host, "1", "2")
    done = buildx(user, the_lab.engines[name], *tagged(listed), ".")
    assert done.status == 0, done.stdout + done.stderr
    assert {tuple(result["platforms"]) for result in done.results} == {("linux/amd64",)}
    assert set(on_disk(registry, listed[0]).values()) == {done.results[0]["digest"]}


@pytest.mark.usefixtures("folder")
def test_as_docker_buildx_is_called(user: User, the_lab: Lab, engine: LabEngine, tmp_path: Path) -> None:
    """`pushsafe` inserted into a line that works, and what it writes for a person, and to files."""
    registry = the_lab.registries["open"]
    [reference] = new(registry.host, "1")
    metadata, digests = tmp_path / "metadata.json", tmp_path / "digests"
    words = ["build", "--metadata-file", str(metadata), "--builder", "default", f"-qt={reference}", "."]
    plain = user.run(engine.host, "buildx", *words, "--push")
    assert plain.status == 0, plain.stderr
    done = user.pushsafe(engine.host, "buildx", "--digest-file", str(digests), "--timings", "--", *words)
    assert done.status == 0, done.stdout + done.stderr
    digest = json.loads(metadata.read_text())["containerimage.digest"]
    assert f"✓ {reference} pushed and verified" in done.stdout
    assert digest in done.stdout
    assert re.search(r"^time: .*build \d", done.stdout, re.MULTILINE)
    assert digests.read_text() == f"{reference}@{digest}\n"
    assert digest not in plain.stdout or digest in done.stderr, "what buildx writes is no part of the report"

    quiet = user.pushsafe(engine.host, "buildx", "-q", "--", "-t", reference, ".")
    assert quiet.status == 0, quiet.stderr
    assert (quiet.stdout, quiet.stderr) == (f"{reference}\n", "")


def test_a_dockerfile_from_standard_input(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    (folder / "Dockerfile").unlink()
    [reference] = new(the_lab.registries["open"].host, "1")
    done = buildx(user, engine, "-t", reference, "--platform=arm64", "-f", "-", ".", stdin=DOCKERFILE)
    assert done.status == 0, done.stdout + done.stderr
    assert done.results[0]["platforms"] == ["linux/arm64"]


@pytest.mark.usefixtures("folder")
def test_the_default_platform(user: User, the_lab: Lab, engine: LabEngine) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    other = User(user.home, user.plugin, {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"})
    done = buildx(other, engine, "-t", reference, ".")
    assert (done.status, done.results[0]["platforms"]) == (0, ["linux/arm64"]), done.stdout + done.stderr


# ---------------------------------------------------------------------- bake

BAKE = """
group "default" {{ targets = ["app", "web"] }}
target "base" {{ dockerfile = "Dockerfile" }}
target "app" {{
  tags = ["{0}", "{1}"]
  platforms = ["linux/amd64", "linux/arm64"]
}}
target "web" {{
  contexts = {{ below = "target:base" }}
  dockerfile-inline = "FROM below"
  tags = ["{2}"]
}}
target "local" {{
  tags = ["{2}"]
  output = ["type=local,dest=out"]
}}
"""


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_bake(user: User, the_lab: Lab, engine: LabEngine, folder: Path, way: str) -> None:
    registry = the_lab.registries["open"]
    listed = [*new(registry.host, "1", "2"), *new(registry.host, "1")]
    definition = BAKE.format(*listed)
    if way == "file":
        (folder / "docker-bake.hcl").write_text(definition)
        done = buildx(user, engine, "bake")
    else:
        done = buildx(user, engine, "bake", "-f", "-", stdin=definition)
    assert done.status == 0, done.stdout + done.stderr
    assert [result["reference"] for result in done.results] == listed
    assert [result["platforms"] for result in done.results] == [list(BOTH), list(BOTH), ["linux/amd64"]]
    app, again, web = (result["digest"] for result in done.results)
    assert app == again != web
    assert on_disk(registry, listed[0]) == {"1": app, "2": app}
    assert on_disk(registry, listed[2]) == {"1": web}


def test_a_definition_that_says_something_else_each_time(
    user: User, the_lab: Lab, engine: LabEngine, folder: Path
) -> None:
    registry = the_lab.registries["open"]
    name = new(registry.host, "x")[0].removesuffix(":x")
    (folder / "docker-bake.hcl").write_text(
        f"""
        target "default" {{
          tags = [
            "{name}:${{uuidv4()}}",
            "{name}:${{formatdate("hh-mm-ss", timestamp())}}-${{uuidv4()}}",
          ]
        }}
        """
    )
    for words in (["bake"], ["bake", "--set", f"default.tags+={name}:added", "--", "default"]):
        done = buildx(user, engine, *words)
        assert done.status == 0, done.stdout + done.stderr
        assert {result["verification"] for result in done.results} == {"verified"}
        held = {f"{name}:{tag}" for tag in on_disk(registry, f"{name}:x")}
        assert held == {result["reference"] for result in done.results}, "what was checked, and nothing else"
        shutil.rmtree(registry.repositories / name.partition("/")[2])


def test_what_bake_would_not_push(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    listed = [*new(the_lab.registries["open"].host, "1", "2"), *new(the_lab.registries["open"].host, "1")]
    (folder / "docker-bake.hcl").write_text(BAKE.format(*listed))
    for words, said in (
        (["local"], "the target 'local' has the output 'local', which is no push of its tags"),
        (["nope"], "failed to find target nope"),
        (["--set", "app.tags=", "app"], "the target 'app' has no tags"),
        (["--set", "app.tags=team/BAD:1", "app"], "'team/BAD:1' cannot be pushed to"),
    ):
        done = buildx(user, engine, "bake", *words)
        assert done.status == 2, done.stdout + done.stderr
        assert said in done.stderr
    assert on_disk(the_lab.registries["open"], listed[0]) == {}
    moved = new(the_lab.registries["open"].host, "moved")
    done = buildx(user, engine, "bake", "--set", f"app.tags={moved[0]}", "--set", "app.platform=linux/arm64", "app")
    assert done.status == 0, done.stdout + done.stderr
    assert [(one["reference"], one["platforms"]) for one in done.results] == [(moved[0], ["linux/arm64"])]


# ---------------------------------------------------------------------- caches


@pytest.mark.parametrize("command", ["build", "bake"])
def test_a_cache_takes_no_images_place(user: User, the_lab: Lab, engine: LabEngine, folder: Path, command: str) -> None:
    registry = the_lab.registries["open"]
    image, other, cache = new(registry.host, "1", "2", "cache")
    assert buildx(user, engine, "-t", image, ".").status == 0
    before = on_disk(registry, image)

    def again(tag: str, cache_to: str) -> Run:
        (folder / "docker-bake.hcl").write_text(
            f'target "default" {{\n tags = ["{tag}"]\n cache-to = ["{cache_to}"]\n}}\n'
        )
        words = ["-t", tag, "--cache-to", cache_to, "."] if command == "build" else []
        return buildx(user, engine, command, *words)

    for tag, cache_to, said in (
        (other, f"type=registry,ref={image}", "this tag names an image"),
        (other, image, "this tag names an image"),
        (other, other, "would take the place of the image that is pushed there"),
    ):
        done = again(tag, cache_to)
        assert done.status == 2, done.stdout + done.stderr
        assert f"--cache-to {cache_to.rpartition('=')[2]}: " in done.stderr
        assert said in done.stderr
        assert not re.search("exporting to image", done.stderr)
        assert on_disk(registry, image) == before

    for cache_to in (f"type=registry,ref={cache}", f"type=registry,ref={cache},image-manifest=false"):
        for _ in range(2):
            done = again(other, cache_to)
            assert done.status == 0, done.stdout + done.stderr
    assert set(on_disk(registry, image)) == {"1", "2", "cache"}


# ---------------------------------------------------------------------- refused before


@pytest.mark.usefixtures("folder")
def test_lint_starts_no_build(user: User, engine: LabEngine) -> None:
    done = buildx(user, engine, "-t", "my-api:1.4.2", ".")
    assert (done.status, done.codes) == (1, ["PS101"])
    assert not began(done)


@pytest.mark.parametrize(
    ("account", "status", "reason"), [("reader", 5, "no-write-permission"), (None, 4, "not-logged-in")]
)
def test_the_preflight_starts_no_build(
    user: User, the_lab: Lab, engine: LabEngine, folder: Path, account: str | None, status: int, reason: str
) -> None:
    registry = the_lab.registries["token"]
    user.log_in({registry.host: (account, registry.users[account])} if account else {})
    [reference] = new(registry.host, "1")
    proof = folder.parent / "id"
    done = buildx(user, engine, "-t", reference, "--iidfile", str(proof), ".")
    assert done.status == status, done.stdout + done.stderr
    assert done.results[0]["denial"]["reason"] == reason
    assert not began(done)
    assert not proof.exists(), "buildx writes it at the end of any build"


@pytest.mark.usefixtures("folder")
def test_a_dry_run_starts_no_build(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = the_lab.registries["open"]
    [reference] = new(registry.host, "1")
    done = user.pushsafe(engine.host, "buildx", "--dry-run", "--", "-t", reference, ".")
    assert done.status == 0, done.stdout + done.stderr
    assert reference in done.stdout
    assert not began(done)
    assert on_disk(registry, reference) == {}


def test_three_platforms_are_not_replaced_by_one(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    (folder / "f.arm").write_bytes(b"arm")
    [reference] = new(the_lab.registries["open"].host, "1")
    assert buildx(user, engine, "-t", reference, "--platform", f"{','.join(BOTH)},linux/arm/v7", ".").status == 0
    refused = buildx(user, engine, "-t", reference, ".")
    assert refused.status == 1, refused.stdout + refused.stderr
    assert "PS205" in refused.codes
    assert not began(refused)
    allowed = user.pushsafe(engine.host, "buildx", "--allow", "PS205", "--format", "json", "--", "-t", reference, ".")
    assert allowed.status == 0, allowed.stdout + allowed.stderr
    assert allowed.results[0]["platforms"] == ["linux/amd64"]


@pytest.mark.usefixtures("folder")
def test_several_platforms_and_a_builder_of_one(user: User, the_lab: Lab) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    done = buildx(user, the_lab.engines["classic-new"], "-t", reference, "--platform", ",".join(BOTH), ".")
    assert done.status == 1, done.stdout + done.stderr
    assert "PS203" in done.codes
    assert not began(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["."], "the build has no tag"),
        (["-t", "team/BAD:1", "-t", "a:b:c", "."], "'a:b:c' cannot be pushed to"),
        (["-t", "registry.test/a/b:1", "--load", "."], "--load: what is built is pushed"),
        (["-t", "registry.test/a/b:1", "--platform", "nope", "."], "'nope' is not a platform"),
        (["-t", "registry.test/a/b:1", "--builder", "nope", "."], "there is no builder 'nope'; there are default"),
        (
            ["-t", "registry.test/a/b:1", "--dry-run", "."],
            "--dry-run is an option of docker pushsafe, and stands before --",
        ),
        (["-t", "registry.test/a/b:1", "--brand-new", "x", "."], "does not know whether --brand-new takes a value"),
    ],
)
def test_what_cannot_mean_anything(user: User, engine: LabEngine, words: list[str], said: str) -> None:
    done = user.pushsafe(engine.host, "buildx", "--no-preflight", "--", *words)
    assert done.status == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert not began(done)


def test_an_option_of_buildxs_before_the_dashes(user: User, engine: LabEngine) -> None:
    done = user.pushsafe(engine.host, "buildx", "-t", "registry.test/a/b:1", "--", ".")
    assert done.status == 2
    assert "-t is no option of docker pushsafe buildx; those of docker buildx stand after --" in done.stderr


def test_without_buildx(user: User, engine: LabEngine) -> None:
    (user.config / "cli-plugins" / "docker-buildx").unlink()
    user.configure({"cliPluginsExtraDirs": []})
    done = user.pushsafe(engine.host, "buildx", "-t", "registry.test/a/b:1", ".")
    assert done.status == 2
    assert "buildx is not installed" in done.stderr
    assert "apt-get install" in done.stderr


def test_help(user: User, engine: LabEngine) -> None:
    for words in (["buildx", "--help"], ["help", "buildx"], ["buildx", "-t", "x", ".", "-h"]):
        done = user.pushsafe(engine.host, *words)
        assert done.status == 0
        assert done.stdout.startswith("Usage: docker pushsafe buildx [[OPTIONS] --] [build|bake] BUILD-ARGS...")


# ---------------------------------------------------------------------- a build that fails


def test_a_dockerfile_that_fails(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY nothere /f\n")
    listed = new(the_lab.registries["open"].host, "1", "2")
    done = buildx(user, engine, *tagged(listed), ".")
    assert done.status == 7, done.stdout + done.stderr
    assert "   2 | >>> COPY nothere /f\n" in done.stderr, "buildx's own text, as it is"
    for result in done.results:
        assert result["failure"]["kind"] == "local"
        assert '"/nothere": not found' in result["failure"]["message"]


@pytest.mark.usefixtures("folder")
def test_a_tag_that_is_refused_at_the_end(user: User, the_lab: Lab, engine: LabEngine) -> None:
    """The registry lets us start an upload, and refuses the manifest; another registry has its tag by then."""
    store = Storing()
    denied = Answer(403, {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]})
    registry = the_lab.registries["open"]
    with FakeRegistry(ping(), on("PUT", r"/v2/.+/manifests/.+", denied), store.rules()) as refusing:
        listed = [*new(registry.host, "1"), f"{refusing.host}/team/app:1", *new(registry.host, "2")]
        done = buildx(user, engine, *tagged(listed), ".")
    assert done.status in (5, 6), done.stdout + done.stderr
    outcomes = [(result["outcome"], result["verification"]) for result in done.results]
    assert outcomes == [("pushed", "verified"), ("denied", "not-checked"), ("not-pushed", "not-checked")]
    assert on_disk(registry, listed[0]) == {"1": done.results[0]["digest"]}
    assert on_disk(registry, listed[2]) == {}
    assert any(item["stage"] == "push" for item in done.results[1]["denial"]["evidence"])


def test_one_target_of_bake_is_denied(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    """The registry of the others has what buildx says it had pushed by then, and nothing else."""
    registry, denying = the_lab.registries["open"], the_lab.registries["token"]
    listed = [*new(registry.host, "1", "2"), *new(denying.host, "1")]
    (folder / "docker-bake.hcl").write_text(BAKE.format(*listed))
    words = ("--no-preflight", "--allow", "PS301", "--format", "json", "--", "bake")
    done = user.pushsafe(engine.host, "buildx", *words)
    assert done.status == 4, done.stdout + done.stderr
    assert done.results[2]["outcome"] == "denied"
    verified = {one["reference"]: one["digest"] for one in done.results if one["verification"] == "verified"}
    held = {f"{listed[0].rpartition(':')[0]}:{tag}": digest for tag, digest in on_disk(registry, listed[0]).items()}
    assert verified == held


PAIR = """
group "default" {{ targets = ["good", "bad"] }}
target "good" {{
  tags = ["{0}"]
}}
target "bad" {{
  tags = ["{1}"]
  dockerfile-inline = "FROM scratch\\nCOPY {2} /f"
}}
"""


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_one_of_two_targets_cannot_be_built(user: User, the_lab: Lab, name: str, folder: Path) -> None:
    registry = the_lab.registries["open"]
    [good], [bad] = new(registry.host, "1"), new(registry.host, "1")
    (folder / "docker-bake.hcl").write_text(PAIR.format(good, bad, "nothere"))
    done = buildx(user, the_lab.engines[name], "bake")
    assert done.status == 7, done.stdout + done.stderr
    first, second = (next(one for one in done.results if one["reference"] == tag) for tag in (good, bad))
    assert second["failure"]["kind"] == "local"
    assert "target bad: " in second["failure"]["message"]
    assert first["outcome"] != "denied"
    assert (first["verification"] == "verified") <= (on_disk(registry, good) == {"1": first["digest"]})


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_one_of_two_targets_is_denied(user: User, the_lab: Lab, name: str, folder: Path) -> None:
    registry, denying = the_lab.registries["open"], the_lab.registries["token"]
    [good], [bad] = new(registry.host, "1"), new(denying.host, "1")
    user.log_in({denying.host: ("reader", denying.users["reader"])})
    (folder / "docker-bake.hcl").write_text(PAIR.format(good, bad, "f.amd64"))
    words = ("--no-preflight", "--format", "json", "--", "bake")
    done = user.pushsafe(the_lab.engines[name].host, "buildx", *words)
    assert done.status == 5, done.stdout + done.stderr
    first, second = (next(one for one in done.results if one["reference"] == tag) for tag in (good, bad))
    assert second["denial"]["reason"] == "no-write-permission"
    assert first["outcome"] in ("pushed", "not-pushed"), "the other one's denial is none of its own"
    if first["outcome"] == "pushed":
        assert on_disk(registry, good) == {"1": first["digest"]}


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
@pytest.mark.parametrize(("account", "status"), [("reader", 5), (None, 4)])
@pytest.mark.usefixtures("folder")
def test_a_denied_push_that_nobody_foresaw(
    user: User, the_lab: Lab, name: str, account: str | None, status: int
) -> None:
    registry = the_lab.registries["token"]
    user.log_in({registry.host: (account, registry.users[account])} if account else {})
    [reference] = new(registry.host, "1")
    words = ("--no-preflight", "--allow", "PS301", "--format", "json", "--", "-t", reference, ".")
    done = user.pushsafe(the_lab.engines[name].host, "buildx", *words)
    assert done.status == status, done.stdout + done.stderr
    assert began(done)
    assert done.results[0]["denial"]["next"]


@pytest.mark.usefixtures("folder")
def test_a_registry_that_is_away(user: User, engine: LabEngine) -> None:
    done = buildx(user, engine, "-t", "127.0.0.1:9/team/app:1", ".")
    assert done.status == 3, done.stdout + done.stderr
    assert done.results[0]["failure"]["kind"] == "network"


# ---------------------------------------------------------------------- terminals, and the order to stop


def at_a_terminal(user: User, engine: LabEngine, *words: str) -> tuple[int, str]:
    """The run at a terminal: its status, and all that was shown there."""
    controller, follower = pty.openpty()
    command = ["docker", "pushsafe", "buildx", *words]
    user.pushsafe(engine.host, "--version")  # links the plugin
    shown: list[bytes] = []
    child = subprocess.Popen(command, env=user.environ(engine.host), stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    reader = threading.Thread(target=lambda: shown.append(read_all(controller)))
    reader.start()
    status = child.wait(120)
    reader.join(10)
    os.close(controller)
    return status, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[0].decode("utf-8", "replace"))


def test_at_a_terminal(user: User, the_lab: Lab, engine: LabEngine, folder: Path) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    status, shown = at_a_terminal(user, engine, "-t", reference, ".")
    assert status == 0, shown
    assert "[+] Building" in shown, "buildx draws its own progress"
    assert f"[1/1] {reference} pushed and verified" in shown
    assert f"✓ {reference} pushed and verified" in shown

    (folder / "Dockerfile").write_text("FROM scratch\nCOPY nothere /f\n")
    status, shown = at_a_terminal(user, engine, "-t", reference, ".")
    assert status == 7, shown
    assert "buildx ended with status 1: what it said stands above" in shown


@pytest.mark.usefixtures("folder")
def test_at_a_terminal_after_a_push(user: User, the_lab: Lab, engine: LabEngine) -> None:
    """One tag is in place when the next one is refused, and nobody but the user has read so."""
    registry, store = the_lab.registries["open"], Storing()
    [pushed] = new(registry.host, "1")
    no = Answer(403, {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]})
    with FakeRegistry(ping(), on("PUT", r"/v2/.+/manifests/.+", no), store.rules()) as refusing:
        status, shown = at_a_terminal(user, engine, "-t", pushed, "-t", f"{refusing.host}/team/app:1", ".")
    assert status == 7, shown
    digest = on_disk(registry, pushed)["1"]
    assert f"the tag names something new, {digest}, which could not be compared with the build" in shown
    assert f"docker buildx imagetools inspect {pushed}" in shown
    assert "no push completed" in shown


def buildx_of(reference: str) -> list[list[str]]:
    """The command lines of the buildx processes that build this tag."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes().decode("utf-8", "replace").split("\0")
            if words[0].endswith("docker-buildx") and reference in words:
                found.append(words)
    return found


@pytest.mark.parametrize("where", ["in a pipeline", "at a terminal"])
def test_an_interrupted_build(user: User, the_lab: Lab, engine: LabEngine, folder: Path, where: str) -> None:
    """buildx waits for standard input, which has no end. A Ctrl-C goes to all that the terminal runs."""
    [reference] = new(the_lab.registries["open"].host, "1")
    user.pushsafe(engine.host, "--version")
    words = ["docker", "pushsafe", "buildx", "--format", "json", "--", "-t", reference, "-f", "-", str(folder)]
    controller, follower = pty.openpty()
    output = follower if where == "at a terminal" else subprocess.PIPE
    child = subprocess.Popen(
        words,
        env=user.environ(engine.host),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    os.close(follower)
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.append(read_all(controller)))
    reader.start()
    for _ in range(200):
        if buildx_of(reference):
            break
        time.sleep(0.05)
    assert buildx_of(reference)
    time.sleep(0.5)
    started = time.monotonic()
    if where == "at a terminal":
        os.killpg(child.pid, signal.SIGINT)
    else:
        child.send_signal(signal.SIGINT)
    printed, errors = child.communicate(timeout=60)
    reader.join(10)
    os.close(controller)
    assert child.returncode == 130, errors
    assert time.monotonic() - started < 15
    report = printed.decode() if printed is not None else shown[0].decode()
    assert "cut off while it was being built and pushed; the registry may hold it" in report
    assert '"interrupted": true' in report
    assert buildx_of(reference) == []


STUBBORN = """#!/bin/sh
case " $* " in
*" --push "*) trap '' INT TERM; exec sleep {seconds} ;;
*) exec {program} "$@" ;;
esac
"""


@pytest.mark.usefixtures("folder")
def test_a_buildx_that_does_not_stop_does_not_live_on(user: User, the_lab: Lab, engine: LabEngine) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    seconds = str(600 + uuid.uuid4().int % 10**6 / 10**6)
    plugin = user.config / "cli-plugins" / "docker-buildx"
    program = plugin.resolve()
    plugin.unlink()
    plugin.write_text(STUBBORN.format(seconds=seconds, program=program))
    plugin.chmod(0o755)

    def left() -> list[Path]:
        wanted = f"sleep\0{seconds}\0".encode()
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                found += [file] if file.read_bytes() == wanted else []
        return found

    user.pushsafe(engine.host, "--version")
    words = ["docker", "pushsafe", "buildx", "--timeout", "5", "--", "-t", reference, "."]
    child = subprocess.Popen(words, env=user.environ(engine.host), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for _ in range(200):
        if left():
            break
        time.sleep(0.05)
    assert left(), child.communicate(timeout=60)
    printed, _ = child.communicate(timeout=60)
    assert child.returncode == 3, printed
    assert left() == []


@pytest.mark.usefixtures("folder")
def test_a_secret_of_a_process_substitution(user: User, the_lab: Lab, engine: LabEngine) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    user.pushsafe(engine.host, "--version")
    line = f"docker pushsafe buildx -t {reference} --secret id=x,src=<(echo hidden) ."
    done = subprocess.run(
        ["bash", "-c", line], env=user.environ(engine.host), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
