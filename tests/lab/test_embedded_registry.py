"""The embedded registry as real engines and real tools meet it, and as our own plugin tells its refusals."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pushsafe.demo.registry import Account, EmbeddedRegistry
from tests import lab
from tests.lab import Lab, LabEngine
from tests.lab.images import docker_archive, oci_layout
from tests.lab.plugin import User, auth

WRITER = Account("ada", "hunter2!", ("pull", "push", "delete"))
READER = Account("bob", "s3cret", ("pull",))


@pytest.fixture(params=["classic-20", "classic-new", "containerd-new"])
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path / "registry", (WRITER, READER)) as running:
        yield running


def load(engine: LabEngine, reference: str) -> None:
    lab.load_image(engine, reference, layers=[uuid.uuid4().bytes, b"\x00" * 3_000_000, b"end"])


def log_in(user: User, registry: EmbeddedRegistry, account: Account | None) -> None:
    user.log_in({registry.host: (account.name, account.password)} if account else {})


# ---------------------------------------------------------------------- engines, and our plugin


@pytest.mark.parametrize(
    ("account", "status"), [(WRITER, 0), (READER, 5), (None, 4)], ids=["writer", "reader", "nobody"]
)
def test_the_plugin_tells_who_may_push(
    user: User, engine: LabEngine, registry: EmbeddedRegistry, account: Account | None, status: int
) -> None:
    log_in(user, registry, account)
    listed = [f"{registry.host}/acme/app:{tag}" for tag in ("1.0", "1.1")]
    load(engine, listed[0])
    assert user.run(engine.host, "tag", *listed).status == 0
    done = user.push_json(engine.host, *listed)
    assert done.status == status, done.stdout + done.stderr


def test_an_engine_pushes_mounts_and_pulls(user: User, engine: LabEngine, registry: EmbeddedRegistry) -> None:
    log_in(user, registry, WRITER)
    first, second = (f"{registry.host}/acme/{name}:1.0" for name in ("base", "app"))
    load(engine, first)
    assert user.run(engine.host, "tag", first, second).status == 0
    for reference in (first, second):
        pushed = user.run(engine.host, "push", reference)
        assert pushed.status == 0, pushed.stdout + pushed.stderr
    blobs = list((registry.repositories / "acme/app/_blobs/sha256").iterdir())
    assert len(blobs) == 4
    assert sum(blob.stat().st_nlink == 2 for blob in blobs) >= 3  # the config may be sent again
    assert user.run(engine.host, "image", "rm", "--force", first, second).status == 0
    pulled = user.run(engine.host, "pull", second)
    assert pulled.status == 0, pulled.stdout + pulled.stderr


def test_docker_login(user: User, the_lab: Lab, registry: EmbeddedRegistry) -> None:
    host = the_lab.engines["containerd-new"].host
    words = ("login", registry.host, "--username", WRITER.name, "--password-stdin")
    assert user.run(host, *words, stdin=WRITER.password).status == 0
    assert user.run(host, *words, stdin="wrong").status != 0


# ---------------------------------------------------------------------- tools


class Tools:
    """crane, skopeo and oras with the writer's credential."""

    def __init__(self, folder: Path, registry: EmbeddedRegistry) -> None:
        folder.mkdir()
        content = {"auths": {registry.host: auth(WRITER.name, WRITER.password)}}
        (folder / "config.json").write_text(json.dumps(content))
        self.environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "DOCKER_CONFIG": str(folder),
            "REGISTRY_AUTH_FILE": str(folder / "config.json"),
        }
        self.folder = folder

    def __call__(self, name: str, *words: str) -> str:
        program = lab.tool(name)
        if program is None:
            pytest.skip(f"the lab has no {name}")
        done = subprocess.run(
            [str(program), *words],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def tools(tmp_path: Path, registry: EmbeddedRegistry, the_lab: Lab) -> Tools:
    return Tools(tmp_path / "tools", registry)


def test_crane_pushes_copies_lists_and_deletes(tools: Tools, registry: EmbeddedRegistry) -> None:
    (tools.folder / "image.tar").write_bytes(docker_archive("acme/app:1", [b"one", b"two"], "linux/amd64", {}))
    base, app = f"{registry.host}/acme/base", f"{registry.host}/acme/app"
    tools("crane", "push", "image.tar", f"{base}:1")
    tools("crane", "copy", f"{base}:1", f"{app}:2")
    tools("crane", "tag", f"{app}:2", "3")
    digest = tools("crane", "digest", f"{base}:1")
    assert tools("crane", "digest", f"{app}:3") == digest
    tools("crane", "validate", "--remote", f"{app}:3")
    assert tools("crane", "ls", app).split() == ["2", "3"]
    tools("crane", "delete", f"{app}:2")
    assert tools("crane", "ls", app) == "3"
    tools("crane", "delete", f"{app}@{digest}")
    assert tools("crane", "ls", app) == ""


def test_skopeo_copies_both_ways_and_lists(tools: Tools, registry: EmbeddedRegistry) -> None:
    oci_layout(tools.folder / "layout", "1", [b"one", b"\x00" * 3_000_000])
    there = f"docker://{registry.host}/acme/app"
    policy = ("--insecure-policy",)
    tools("skopeo", *policy, "copy", "--dest-tls-verify=false", "oci:layout:1", f"{there}:1")
    tools("skopeo", *policy, "copy", "--src-tls-verify=false", f"{there}:1", "oci:back:1")
    listed: dict[str, Any] = json.loads(tools("skopeo", "list-tags", "--tls-verify=false", there))
    assert listed["Tags"] == ["1"]
    blobs = [
        sorted(file.name for file in (tools.folder / name / "blobs/sha256").iterdir()) for name in ("layout", "back")
    ]
    assert blobs[0] == blobs[1]


def test_oras_attaches_and_discovers(tools: Tools, registry: EmbeddedRegistry) -> None:
    image = f"{registry.host}/acme/app:1"
    (tools.folder / "content.txt").write_text("content")
    (tools.folder / "sbom.json").write_text("{}")
    tools("oras", "push", "--plain-http", image, "content.txt:text/plain")
    for kind in ("sbom", "signature"):
        attached = f"application/vnd.acme.{kind}"
        tools("oras", "attach", "--plain-http", image, "--artifact-type", attached, "sbom.json:application/json")
    shown = tools("oras", "discover", "--plain-http", "--artifact-type", "application/vnd.acme.sbom", image)
    assert "application/vnd.acme.sbom" in shown
    assert "application/vnd.acme.signature" not in shown
    assert not [
        tag for tag in tools("oras", "repo", "tags", "--plain-http", image.rpartition(":")[0]).split() if tag != "1"
    ]
    tools("oras", "pull", "--plain-http", "--output", "back", image)
    assert (tools.folder / "back" / "content.txt").read_text() == "content"
