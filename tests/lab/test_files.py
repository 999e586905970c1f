"""`docker pushsafe --from` on real registries: layouts, what real engines save, and what real tools make of both."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from tests import lab
from tests.fakes.archives import Entry, Making
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.images import oci_layout
from tests.lab.plugin import Run, User

ENGINES = ("classic-20", "classic-new", "containerd-new")
REGISTRIES = ("open", "htpasswd", "token", "basic-roles")
NO_ENGINE = "unix:///nonexistent/docker.sock"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BOTH = ["linux/amd64", "linux/arm64"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest, the_lab: Lab) -> LabRegistry:
    return the_lab.registries[request.param]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Four layers that no registry has seen."""
    place = tmp_path / "image"
    oci_layout(place, "1.4.2", [uuid.uuid4().bytes * 100 for _ in range(4)])
    return place


def new(registry: LabRegistry) -> str:
    """A repository that nobody has pushed to."""
    return f"{registry.host}/team/files-{uuid.uuid4().hex[:8]}"


def send(user: User, place: str, *references: str, engine: str = NO_ENGINE) -> Run:
    return user.push_json(engine, "--from", place, *references)


def docker(engine: LabEngine, *words: str) -> str:
    command = [str(lab.tool("docker") or "docker"), "-H", engine.host, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def crane(*words: str) -> str:
    return subprocess.run([str(lab.tool("crane")), *words], capture_output=True, text=True, check=True).stdout.strip()


# ---------------------------------------------------------------------- an OCI layout


def test_three_tags_and_the_same_again(user: User, registry: LabRegistry, layout: Path) -> None:
    user.log_in_to(registry)
    name = new(registry)
    tags = [f"{name}:{tag}" for tag in ("1.4.2", "1.4", "latest")]
    first = send(user, f"oci:{layout}", *tags)
    assert first.status == 0, first.stdout + first.stderr
    assert [one["outcome"] for one in first.results] == ["pushed", "tagged", "tagged"]
    assert {one["verification"] for one in first.results} == {"verified"}
    assert first.results[0]["layers"]["sent"] == 4
    again = send(user, f"oci:{layout}", *tags)
    assert (again.status, {one["outcome"] for one in again.results}) == (0, {"already-there"})


def test_a_second_repository_mounts(user: User, registry: LabRegistry, layout: Path) -> None:
    user.log_in_to(registry)
    first, second = f"{new(registry)}:1", f"{new(registry)}:1"
    done = send(user, f"oci:{layout}", first, second)
    assert done.status == 0, done.stdout + done.stderr
    layers = [(one["layers"]["sent"], one["layers"]["mounted"]) for one in done.results]
    assert sorted(layers) == [(0, 4), (4, 0)]


def test_a_reader_is_refused_and_nobody_too(user: User, the_lab: Lab, layout: Path) -> None:
    registry = the_lab.registries["token"]
    tag = f"{new(registry)}:1"
    nobody = send(user, f"oci:{layout}", tag)
    user.log_in_to(registry, account="reader")
    reader = send(user, f"oci:{layout}", tag)
    assert (nobody.status, reader.status) == (4, 5)
    kinds = [one.results[0]["denial"]["kind"] for one in (nobody, reader)]
    assert kinds == ["no-authentication", "insufficient-permission"]


def test_a_layout_that_other_tools_read_back(user: User, the_lab: Lab, layout: Path, tmp_path: Path) -> None:
    tag = f"{new(the_lab.registries['open'])}:1"
    assert send(user, f"oci:{layout}:1.4.2", tag).status == 0
    crane("validate", "--remote", tag)
    crane("pull", "--format", "oci", tag, str(tmp_path / "pulled"))
    index = [json.loads((place / "index.json").read_text())["manifests"] for place in (layout, tmp_path / "pulled")]
    assert index[0][0]["digest"] == index[1][0]["digest"]


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_an_oci_archive(user: User, the_lab: Lab, layout: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "image.tar"
    with tarfile.open(file, "w:gz" if kind == "gzip" else "w") as archive:
        archive.add(layout, arcname=".")
    tag = f"{new(the_lab.registries['open'])}:1"
    done = send(user, f"oci-archive:{file}", tag)
    assert done.status == 0, done.stdout + done.stderr
    crane("validate", "--remote", tag)


@pytest.mark.parametrize("what", ["flipped", "short", "missing"])
def test_a_broken_layer_is_named_and_never_committed(user: User, the_lab: Lab, layout: Path, what: str) -> None:
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].partition(":")[2]
    layers = json.loads((layout / "blobs" / "sha256" / manifest).read_text())["layers"]
    blob = layout / "blobs" / "sha256" / layers[2]["digest"].partition(":")[2]
    content = bytearray(blob.read_bytes())
    content[10] ^= 1
    match what:
        case "flipped":
            blob.write_bytes(content)
        case "short":
            blob.write_bytes(content[:-1])
        case _:
            blob.unlink()
    name = new(the_lab.registries["open"])
    done = send(user, f"oci:{layout}", f"{name}:1")
    held = [crane_has(name, layer["digest"]) for layer in layers]
    if what == "flipped":  # that shows on the way, while the others may be sent
        assert done.status == 7
        assert str(blob) in done.report["results"][0]["failure"]["message"]
        assert not held[2]
    else:
        assert done.status == 2
        assert str(blob) in done.report["errors"][0]["message"]
        assert held == [False] * 4
    assert not crane_tags(name)


def crane_has(name: str, digest: str) -> bool:
    asked = subprocess.run([str(lab.tool("crane")), "blob", f"{name}@{digest}"], capture_output=True, check=False)
    return asked.returncode == 0


def crane_tags(name: str) -> list[str]:
    asked = subprocess.run([str(lab.tool("crane")), "ls", name], capture_output=True, text=True, check=False)
    return asked.stdout.split()


# ---------------------------------------------------------------------- what engines save


def test_what_an_engine_saves_runs_from_the_registry_again(
    user: User, the_lab: Lab, engine: LabEngine, tmp_path: Path
) -> None:
    image = f"saved-{uuid.uuid4().hex[:8]}:1"
    lab.load_image(engine, image, layers=[uuid.uuid4().bytes * 1000, b"two" * 5000], labels={"a": "b"})
    file = tmp_path / "saved.tar"
    docker(engine, "save", "-o", str(file), image)
    tag = f"{new(the_lab.registries['open'])}:1"
    done = send(user, f"docker-archive:{file}:{image}", tag)
    assert done.status == 0, done.stdout + done.stderr
    crane("validate", "--remote", tag)
    before = json.loads(docker(engine, "image", "inspect", image))[0]
    docker(engine, "rmi", image)
    docker(engine, "pull", "-q", tag)
    after = json.loads(docker(engine, "image", "inspect", tag))[0]
    assert after["RootFS"] == before["RootFS"]
    assert after["Config"]["Labels"] == {"a": "b"}
    if engine.store == "classic":
        assert after["Id"] == before["Id"]


def test_the_same_archive_makes_the_same_manifest(user: User, the_lab: Lab, tmp_path: Path) -> None:
    layers = [os.urandom(3_000_000), b"text " * 400_000]
    digests = []
    for number in range(2):
        file = tmp_path / f"{number}.tar"
        content = lab.docker_archive("my-api:1", layers, "linux/amd64", {})
        file.write_bytes(content if not number else gzip.compress(content))
        done = send(user, f"docker-archive:{file}", f"{new(the_lab.registries['open'])}:1")
        assert done.status == 0, done.stdout + done.stderr
        digests.append(done.results[0]["digest"])
    assert digests[0] == digests[1]


def test_an_index_saved_by_the_containerd_store_goes_whole(user: User, the_lab: Lab, tmp_path: Path) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    image = f"{registry.host}/team/built-{uuid.uuid4().hex[:8]}:1"
    lab.build_index(engine, image, BOTH, content=uuid.uuid4().bytes, attestation=True)
    file = tmp_path / "saved.tar"
    docker(engine, "save", "-o", str(file), image)
    pushed = user.push_json(engine.host, image)
    assert pushed.status == 0, pushed.stdout + pushed.stderr
    tag = f"{new(registry)}:1"
    done = send(user, f"docker-archive:{file}", tag)
    assert done.status == 0, done.stdout + done.stderr
    assert done.results[0]["digest"] == pushed.results[0]["digest"]
    assert done.results[0]["platforms"] == BOTH
    one = send(user, f"docker-archive:{file}", f"{new(registry)}:1", engine=NO_ENGINE)
    assert one.status == 0


def test_one_platform_of_an_index(user: User, the_lab: Lab, tmp_path: Path) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    image = f"built-{uuid.uuid4().hex[:8]}:1"
    lab.build_index(engine, image, BOTH, content=uuid.uuid4().bytes)
    file = tmp_path / "saved.tar"
    docker(engine, "save", "-o", str(file), image)
    tag = f"{new(registry)}:1"
    done = user.push_json(NO_ENGINE, "--from", f"docker-archive:{file}", "--platform", "linux/arm64", tag)
    assert done.status == 0, done.stdout + done.stderr
    assert done.results[0]["platforms"] == ["linux/arm64"]


# ---------------------------------------------------------------------- which image, which platforms


def three_platforms() -> tuple[Making, list[Entry]]:
    made = Making()
    return made, [made.image(one, gzip.compress(uuid.uuid4().bytes)) for one in (*BOTH, "linux/s390x")]


def test_a_layout_that_is_the_index_becomes_what_crane_makes_of_it(user: User, the_lab: Lab, tmp_path: Path) -> None:
    made, images = three_platforms()
    made.entries.extend(images)
    made.folder(tmp_path / "layout")
    ours, theirs = (f"{new(the_lab.registries['open'])}:1" for _ in range(2))
    done = send(user, f"oci:{tmp_path}/layout", ours)
    assert done.status == 0, done.stdout + done.stderr
    crane("push", "--index", str(tmp_path / "layout"), theirs)
    assert crane("manifest", ours) == crane("manifest", theirs)


def test_an_index_of_some_platforms(user: User, the_lab: Lab, tmp_path: Path) -> None:
    made, images = three_platforms()
    made.tagged(made.index(*images), "1").folder(tmp_path / "layout")
    tags = [f"{new(the_lab.registries['open'])}:1" for _ in range(2)]
    done = user.push_json(
        NO_ENGINE, "--from", f"oci:{tmp_path}/layout", "--platform", BOTH[1], "--platform", BOTH[0], *tags
    )
    assert done.status == 0, done.stdout + done.stderr
    assert [one["platforms"] for one in done.results] == [BOTH, BOTH]
    for tag in tags:
        assert json.loads(crane("manifest", tag))["manifests"] == images[:2]


@pytest.mark.parametrize("command", ["cp", "cp without a name", "backup"])
def test_what_oras_copied_needs_no_name(user: User, the_lab: Lab, tmp_path: Path, command: str) -> None:
    """It lists all manifests, and what refers to any of them."""
    oras, registry = str(lab.tool("oras")), the_lab.registries["open"]
    made, images = three_platforms()
    made.tagged(made.index(*images), "1").folder(tmp_path / "layout")
    tag = f"{new(registry)}:1"
    assert send(user, f"oci:{tmp_path}/layout:1", tag).status == 0
    (tmp_path / "note.txt").write_text("signed")
    for subject in (tag, f"{tag.rpartition(':')[0]}@{images[0]['digest']}"):
        attach = [oras, "attach", "--plain-http", "--artifact-type", "application/x.sig", subject, "note.txt"]
        subprocess.run(attach, check=True, capture_output=True, cwd=tmp_path)
    place = tmp_path / "copied"
    words = ["backup", "--plain-http", "--include-referrers", "--output", str(place), tag]
    if command != "backup":
        target = f"{place}:1" if command == "cp" else str(place)
        words = ["cp", "-r", "--from-plain-http", tag, "--to-oci-layout", target]
    subprocess.run([oras, *words], check=True, capture_output=True, cwd=tmp_path)
    copy = f"{new(registry)}:1"
    done = send(user, f"oci:{place}", copy)
    assert done.status == 0, done.stdout + done.stderr
    assert crane("digest", copy) == crane("digest", tag)


# ---------------------------------------------------------------------- referrers


def test_signatures_go_along(user: User, the_lab: Lab, layout: Path, tmp_path: Path) -> None:
    oras, registry = str(lab.tool("oras")), the_lab.registries["open"]
    note = tmp_path / "note.txt"
    note.write_text("signed")
    attach = [oras, "attach", "--oci-layout", f"{layout}:1.4.2", "--artifact-type", "application/x.sig", "note.txt"]
    subprocess.run(attach, check=True, capture_output=True, cwd=tmp_path)
    tag = f"{new(registry)}:1"
    done = send(user, f"oci:{layout}:1.4.2", tag)
    assert done.status == 0, done.stdout + done.stderr
    found = subprocess.run(
        [oras, "discover", "--plain-http", "--format", "json", tag], check=True, capture_output=True, text=True
    )
    listed = json.loads(found.stdout)
    entries = listed.get("referrers") or listed.get("manifests")
    assert [one["artifactType"] for one in entries] == ["application/x.sig"]
    again = send(user, f"oci:{layout}:1.4.2", f"{tag.rpartition(':')[0]}:2")
    assert again.status == 0


def test_signatures_that_have_a_tag_go_along(user: User, registry: LabRegistry, tmp_path: Path) -> None:
    """What others add to them later is kept."""
    made = Making()
    entry = made.image("linux/amd64", gzip.compress(uuid.uuid4().bytes))
    signature = made.document(
        {"config": made.keep(b"{}", "application/x"), "layers": [payload(made, "ours")]}, MANIFEST
    )
    tag = f"{entry['digest'].replace(':', '-')}.sig"
    made.tagged(entry, "1").tagged(signature, tag).folder(tmp_path / "layout")
    name = new(registry)
    user.log_in_to(registry)
    done = send(user, f"oci:{tmp_path}/layout:1", f"{name}:1", f"{name}:latest")
    assert done.status == 0, done.stdout + done.stderr
    assert [one["reference"] for one in done.results] == [f"{name}:1", f"{name}:latest"]
    assert done.results[0]["along"] == [{"tag": tag, "digest": signature["digest"]}]
    both = {"config": made.keep(b"{}", "application/x"), "layers": [payload(made, "ours"), payload(made, "theirs")]}
    more = made.document(both, MANIFEST)
    made.tagged(more, "more").folder(tmp_path / "layout")
    assert send(user, f"oci:{tmp_path}/layout:more", "--allow", "PS401", f"{name}:{tag}").status == 0
    again = send(user, f"oci:{tmp_path}/layout:1", f"{name}:2")
    assert again.status == 0, again.stdout + again.stderr
    assert again.results[0]["along"] == [{"tag": tag, "digest": more["digest"]}]


def payload(made: Making, signature: str) -> Entry:
    """As cosign has it: all signatures are of one payload, and lie in annotations."""
    said = {"dev.cosignproject.cosign/signature": signature}
    return made.keep(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json", annotations=said)


def test_a_layout_elsewhere_is_said_to_be_missing(user: User, the_lab: Lab, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "nothing", ignore_errors=True)
    done = send(user, f"oci:{tmp_path}/nothing", f"{new(the_lab.registries['open'])}:1")
    assert done.status == 2
    assert f"{tmp_path}/nothing" in done.report["errors"][0]["message"]
