"""`--from`: what the command line means, and that no engine hears of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from pushsafe.demo.registry import Account, EmbeddedRegistry
from tests.fakes.archives import Making
from tests.fakes.capture import FakeEngine
from tests.lab.images import oci_layout
from tests.program import CLOSED, Program

REF = f"{CLOSED}/team/app:1"


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """One that expects nothing: it answers, and remembers."""
    with FakeEngine() as fake:
        yield fake


@pytest.fixture
def program(engine: FakeEngine, tmp_path: Path) -> Program:
    oci_layout(tmp_path / "image", "1.4.2", [b"one", b"two"])
    (tmp_path / "saved image.tar").touch()
    return Program(tmp_path, engine.host)


def log_in(program: Program, host: str) -> None:
    folder = program.home / ".docker"
    folder.mkdir(exist_ok=True)
    login = {"auth": base64.b64encode(b"ada:s3cret-pw").decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {host: login}}))


USELESS = [
    (["--from", "tar:image", REF], "names no kind of archive that we know: 'tar'", "oci-archive:FILE[:REF]"),
    (["--from", "oci:", REF], "'oci:' names no path", "oci:DIR[:REF]"),
    (["--from", "dir:image", REF], "is a folder in skopeo's own form", "skopeo copy dir:image oci:image-layout:latest"),
    (["--from", "image", REF], "'image' names no kind of archive", "--from oci:image"),
    (["--from", "nothing", REF], "'nothing' names no kind of archive that we know", "oci:DIR[:REF]"),
    (["--from", "oci:image", "--from", "oci:b", REF], "--from is given more than once: oci:image, oci:b", "one of"),
    (["oci:image", REF], "'oci:image' is no reference", "docker pushsafe --from oci:image REF"),
    (["./image", REF], "'./image' is no reference", "docker pushsafe --from oci:./image REF"),
    (["saved image.tar", REF], "is no reference", "docker pushsafe --from 'docker-archive:saved image.tar' REF"),
    (["--from", "oci:image", "--push-each", REF], "--push-each is for an engine's images", "leave one out"),
    (["--from", "oci:image", "-a", f"{CLOSED}/team/app"], "--all-tags takes the tags of an engine", "--from oci:image"),
    (["--from", "oci:image"], "no reference is given", "docker pushsafe --from oci:image REGISTRY/NAMESPACE/NAME:TAG"),
]


def test_what_cannot_be_meant(program: Program) -> None:
    for words, said, fix in USELESS:
        done = program(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert said in done.stderr, words
        assert fix in done.stderr, words


def test_the_tilde_that_a_shell_leaves_alone(program: Program) -> None:
    done = program("--from", "oci:~/image", "--dry-run", "--no-preflight", REF)
    assert "image" in done.stdout + done.stderr
    assert "no such file" not in done.stderr


def test_three_tags_of_a_registry_that_wants_a_login(program: Program, engine: FakeEngine, tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path / "data", [Account("ada", "s3cret-pw", ("pull", "push"))]) as registry:
        log_in(program, registry.host)
        names = [f"{registry.host}/team/app:{tag}" for tag in ("1.4.2", "1.4", "latest")]
        first = program("--from", "oci:image:1.4.2", *names)
        again = program("-q", "--from", "oci:image", *names)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "3 of 3 in place and verified" in first.stdout
    assert (again.returncode, again.stdout.split()) == (0, names)
    assert engine.requests == []


def test_a_second_repository_mounts_where_a_token_must_name_both(program: Program, tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path / "data", [Account("ada", "s3cret-pw", ("pull", "push"))]) as registry:
        log_in(program, registry.host)
        names = [f"{registry.host}/team/{name}:1" for name in ("app", "other")]
        done = program("--format", "json", "--from", "oci:image", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    layers = [one["layers"] for one in json.loads(done.stdout)["results"]]
    assert sorted((one["sent"], one["mounted"]) for one in layers) == [(0, 2), (2, 0)]


def test_a_layer_whose_content_is_wrong_is_never_committed(program: Program, tmp_path: Path) -> None:
    """It shows on the way, and where nothing is pushed it shows as well."""
    place = tmp_path / "image"
    manifest = json.loads((place / "index.json").read_bytes())["manifests"][0]["digest"]
    layers = json.loads((place / "blobs" / manifest.replace(":", "/")).read_bytes())["layers"]
    layer = place / "blobs" / layers[0]["digest"].replace(":", "/")
    layer.write_bytes(bytes(byte ^ 1 for byte in layer.read_bytes()))
    with EmbeddedRegistry(tmp_path / "data") as registry:
        names = [f"{registry.host}/team/app:{tag}" for tag in ("1", "latest")]
        words = ("--format", "json", "--from", "oci:image", *names)
        dry, done = program("--dry-run", *words), program(*words)
        for asked in (f"blobs/{layers[0]['digest']}", "manifests/1", "manifests/latest"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://{registry.host}/v2/team/app/{asked}")
    assert (dry.returncode, done.returncode) == (2, 7)
    said = f"image/blobs/{layers[0]['digest'].replace(':', '/')}: its content has the digest sha256:"
    assert said in json.loads(dry.stdout)["errors"][0]["message"]
    first, second = json.loads(done.stdout)["results"]
    assert said in first["failure"]["message"]
    assert (first["failure"]["kind"], second["outcome"]) == ("local", "not-pushed")


def test_a_manifest_that_is_named_by_sha512(program: Program, tmp_path: Path) -> None:
    """Under a tag it is named so too, and the same again finds it there."""
    folder = tmp_path / "image"
    index = json.loads((folder / "index.json").read_bytes())
    body = (folder / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_bytes()
    digest = hashlib.sha512(body).hexdigest()
    (folder / "blobs" / "sha512").mkdir()
    (folder / "blobs" / "sha512" / digest).write_bytes(body)
    index["manifests"][0] |= {"digest": f"sha512:{digest}", "size": len(body)}
    (folder / "index.json").write_text(json.dumps(index))
    with EmbeddedRegistry(tmp_path / "data") as registry:
        names = [f"{registry.host}/team/app:{tag}" for tag in ("1.4.2", "latest")]
        first, again = (program("--format", "json", "--from", "oci:image", *names) for _ in range(2))
    for done, outcomes in ((first, ["pushed", "tagged"]), (again, ["already-there"] * 2)):
        assert done.returncode == 0, done.stdout + done.stderr
        results = json.loads(done.stdout)["results"]
        assert [one["outcome"] for one in results] == outcomes
        assert {(one["digest"], one["verification"]) for one in results} == {(f"sha512:{digest}", "verified")}


def test_no_engine_is_given_a_credential_for_a_registry_that_is_down(program: Program, engine: FakeEngine) -> None:
    log_in(program, CLOSED)
    done = program("--from", "oci:image", REF)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "connection refused" in done.stdout
    assert engine.requests == []


def test_what_a_registry_will_not_show_is_told_by_no_engine(
    program: Program, engine: FakeEngine, tmp_path: Path
) -> None:
    with EmbeddedRegistry(tmp_path / "data", [Account("ada", "s3cret-pw", ("push",))]) as registry:
        log_in(program, registry.host)
        done = program("--from", "oci:image", f"{registry.host}/team/app:1")
    assert done.returncode not in (0, 70), done.stdout + done.stderr
    assert engine.requests == []


@pytest.mark.parametrize("command", [("lint",), ("--dry-run",)], ids=["lint", "dry-run"])
def test_what_pushes_nothing_reads_all_of_it(program: Program, tmp_path: Path, command: tuple[str, ...]) -> None:
    with EmbeddedRegistry(tmp_path / "data") as registry:
        name = f"{registry.host}/team/app:1"
        good = program(*command, "--from", "oci:image", name)
        layer = max((tmp_path / "image" / "blobs" / "sha256").iterdir(), key=lambda file: file.stat().st_size)
        content = bytearray(layer.read_bytes())
        content[-1] ^= 1
        layer.write_bytes(content)
        bad = program(*command, "--from", "oci:image", name)
    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 2
    assert f"image/blobs/sha256/{layer.name}" in bad.stderr


@pytest.mark.parametrize("wanted", [("linux/amd64,linux/arm64",), ("linux/amd64", "--platform", "linux/arm64")])
def test_platforms_of_an_index(program: Program, tmp_path: Path, wanted: tuple[str, ...]) -> None:
    """An index of those named, the same in every way in; none of them is forgotten."""
    made = Making()
    images = [made.image(platform) for platform in ("linux/amd64", "linux/arm64", "linux/s390x")]
    made.tagged(made.index(*images), "1").folder(tmp_path / "several")
    with EmbeddedRegistry(tmp_path / "data") as registry:
        words = ("--from", "oci:several", "--platform", *wanted, f"{registry.host}/team/app:1")
        looked = [program(*command, *words) for command in (("lint",), ("--dry-run",))]
        absent = program("--platform", "linux/riscv64", *words)
        pushed = program("--format", "json", *words)
    assert [done.returncode for done in looked] == [0, 0]
    assert absent.returncode == 2
    assert "the image is not for linux/riscv64; it is for linux/amd64, linux/arm64, linux/s390x" in absent.stderr
    assert pushed.returncode == 0, pushed.stderr
    report = json.loads(pushed.stdout)
    assert [one["code"] for one in report["findings"]] == ["PS207"]
    assert report["results"][0]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert report["results"][0]["verification"] == "verified"


def test_a_bare_name_is_refused_and_no_file_is_looked_at(program: Program) -> None:
    done = program("--from", "oci:nothing", "my-api:1.4.2")
    assert done.returncode == 1
    assert "fix: docker pushsafe --from oci:nothing REGISTRY/NAMESPACE/my-api:1.4.2" in done.stdout
