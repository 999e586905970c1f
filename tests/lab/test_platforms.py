"""Multi-platform images on real engines: what the classic store cannot push, and the commands that do it instead."""

from __future__ import annotations

import shlex
import subprocess
import uuid
from pathlib import Path

import pytest

from tests import lab
from tests.lab import Lab, LabEngine
from tests.lab.plugin import Run, User

BOTH = ("linux/amd64", "linux/arm64")
CLASSIC = ("classic-20", "classic-new")


@pytest.fixture(params=CLASSIC)
def classic(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


@pytest.fixture
def builder(user: User, the_lab: Lab) -> None:
    """A user with buildx, and a docker context of the containerd engine, which buildx takes for a builder."""
    program = lab.tool("docker-buildx")
    assert program is not None
    plugins = user.config / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(program)
    endpoint = f"host={the_lab.engines['containerd-new'].host}"
    assert user.run("", "context", "create", "several", "--docker", endpoint).status == 0


def new(host: str, *tags: str) -> list[str]:
    name = f"{host}/team/platforms-{uuid.uuid4().hex[:8]}"
    return [f"{name}:{tag}" for tag in tags]


def paste(user: User, engine: LabEngine, command: str, folder: Path) -> Run:
    """Run a command that a finding names, in a folder with a Dockerfile."""
    for architecture in ("amd64", "arm64"):
        (folder / f"f.{architecture}").write_bytes(uuid.uuid4().bytes)
    (folder / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY f.$TARGETARCH /f\n")
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=user.environ(engine.host), capture_output=True, text=True, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr)


def held(user: User, engine: LabEngine, reference: str) -> list[str]:
    """The platforms that a tag is for, by its registry, as docker's own tools read it."""
    done = user.run(engine.host, "buildx", "imagetools", "inspect", reference, "--format", "{{json .Manifest}}")
    assert done.status == 0, done.stderr
    platforms = [entry["platform"] for entry in done.report["manifests"]]
    return sorted(f"{one['os']}/{one['architecture']}" for one in platforms if one["os"] != "unknown")


# ---------------------------------------------------------------------- the classic store


@pytest.mark.usefixtures("builder")
def test_several_platforms_on_the_classic_store(user: User, the_lab: Lab, classic: LabEngine, tmp_path: Path) -> None:
    listed = new(the_lab.registries["open"].host, "1", "2")
    done = user.push_json(classic.host, "--platform", ",".join(BOTH), *listed)
    assert done.status == 1, done.stdout + done.stderr
    [finding] = [one for one in done.report["findings"] if one["code"] == "PS203"]
    assert "buildx 0." in finding["message"]
    assert "has a builder for it, 'several'" in finding["message"]
    tags = " ".join(f"-t {reference}" for reference in listed)
    assert finding["fix"] == f"docker --context several buildx build --platform {','.join(BOTH)} {tags} --push ."

    pasted = paste(user, classic, finding["fix"], tmp_path)
    assert pasted.status == 0, pasted.stderr
    assert [held(user, classic, reference) for reference in listed] == [list(BOTH)] * 2


@pytest.mark.usefixtures("builder")
def test_an_image_that_was_pulled_from_an_index(user: User, the_lab: Lab, classic: LabEngine, tmp_path: Path) -> None:
    host = the_lab.registries["open"].host
    [source] = new(host, "base")
    lab.build_index(the_lab.engines["containerd-new"], source, BOTH, content=uuid.uuid4().bytes)
    assert user.push_json(the_lab.engines["containerd-new"].host, source).status == 0
    listed = new(host, "1", "2")
    for words in (["pull", source], *(["tag", source, reference] for reference in listed)):
        assert user.run(classic.host, *words).status == 0

    done = user.push_json(classic.host, *listed)
    assert done.status == 1, done.stdout + done.stderr
    [finding] = [one for one in done.report["findings"] if one["code"] == "PS203"]
    assert f"which holds {', '.join(BOTH)}" in finding["message"]
    assert finding["fix"].startswith(f"docker buildx imagetools create -t {listed[0]} ")
    assert finding["fix"].endswith(f" && docker buildx imagetools create -t {listed[1]} {listed[0]}")
    pasted = paste(user, classic, finding["fix"], tmp_path)
    assert pasted.status == 0, pasted.stderr
    assert [held(user, classic, reference) for reference in listed] == [list(BOTH)] * 2


def test_without_buildx_it_says_so(user: User, the_lab: Lab, classic: LabEngine) -> None:
    [reference] = new(the_lab.registries["open"].host, "1")
    done = user.push_json(classic.host, "--platform", ",".join(BOTH), reference)
    [finding] = [one for one in done.report["findings"] if one["code"] == "PS203"]
    assert "; buildx is not installed: sudo apt-get install" in finding["message"]


@pytest.mark.usefixtures("builder")
def test_a_builder_of_the_classic_store_is_not_taken(user: User, the_lab: Lab, classic: LabEngine) -> None:
    assert user.run("", "context", "rm", "several").status == 0
    [reference] = new(the_lab.registries["open"].host, "1")
    done = user.push_json(classic.host, "--platform", ",".join(BOTH), reference)
    [finding] = [one for one in done.report["findings"] if one["code"] == "PS203"]
    assert finding["fix"].startswith("docker buildx create --name multi-platform --driver docker-container")
    # The command begins as buildx wants it: only the image of the new builder needs a network.
    created = user.run(classic.host, *shlex.split(finding["fix"].replace(" --bootstrap", "").partition(" && ")[0])[1:])
    assert (created.status, created.stdout.strip()) == (0, "multi-platform")


# ---------------------------------------------------------------------- the containerd store


def test_one_platform_leaves_the_attestations(user: User, the_lab: Lab) -> None:
    engine = the_lab.engines["containerd-new"]
    whole, one = new(the_lab.registries["open"].host, "whole", "one")
    lab.build_index(engine, whole, BOTH, content=uuid.uuid4().bytes, attestation=True)
    assert user.run(engine.host, "tag", whole, one).status == 0
    done = user.push_json(engine.host, "--platform", "linux/arm64", one)
    assert done.status == 0, done.stdout + done.stderr
    assert done.results[0]["platforms"] == ["linux/arm64"]
    assert done.codes == ["PS207"]
    assert (
        "the attestations (provenance, SBOM) and signatures that belong to the image's index stay behind" in done.stdout
    )
    assert user.push_json(engine.host, whole).codes == []


def test_three_platforms_are_not_replaced_by_one(user: User, the_lab: Lab) -> None:
    engine = the_lab.engines["containerd-new"]
    three = (*BOTH, "linux/arm/v7")
    [reference] = new(the_lab.registries["open"].host, "1")
    lab.build_index(engine, reference, three, content=uuid.uuid4().bytes)
    assert user.push_json(engine.host, reference).status == 0

    lab.load_image(engine, reference, layers=[uuid.uuid4().bytes])
    refused = user.push_json(engine.host, reference)
    assert refused.status == 1, refused.stdout + refused.stderr
    [finding] = [one for one in refused.report["findings"] if one["code"] == "PS205"]
    assert "names an index of 3 platforms" in finding["message"]
    assert "lost would be linux/arm64, linux/arm/v7" in finding["message"]
    allowed = user.push_json(engine.host, "--allow", "PS205", reference)
    assert allowed.status == 0, allowed.stdout + allowed.stderr
    assert allowed.results[0]["platforms"] == ["linux/amd64"]


def test_variants_are_platforms_of_their_own(user: User, the_lab: Lab) -> None:
    engine = the_lab.engines["containerd-new"]
    [reference] = new(the_lab.registries["open"].host, "1")
    lab.build_index(engine, reference, ("linux/arm/v6", "linux/arm/v7"), content=uuid.uuid4().bytes)
    pushed = user.push_json(engine.host, reference)
    assert pushed.results[0]["platforms"] == ["linux/arm/v6", "linux/arm/v7"], pushed.stdout + pushed.stderr

    lab.load_image(engine, reference, layers=[uuid.uuid4().bytes], platform="linux/arm/v7")
    refused = user.push_json(engine.host, reference)
    assert refused.status == 1, refused.stdout + refused.stderr
    [finding] = [one for one in refused.report["findings"] if one["code"] == "PS205"]
    assert finding["message"].endswith("lost would be linux/arm/v6")
