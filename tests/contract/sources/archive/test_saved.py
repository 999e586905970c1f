"""What `docker save` writes: packed where it has to be, and byte for byte where it need not."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.facts import Upcoming
from pushsafe.model.request import Archive
from pushsafe.oci.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from pushsafe.oci.platform import Platform
from pushsafe.sources import open_image
from pushsafe.sources.archive.compress import Workers
from tests.fakes.archives import (
    SKIPPED,
    TAR,
    Entry,
    Making,
    Member,
    config_of,
    digest_of,
    gzipped,
    link,
    nobody,
    path_of,
    read,
    refused,
    saved,
    tar_of,
    written,
    zstd,
)
from tests.values import AMD64, ARM64

AGAIN = "save the image again, or copy the file again if it was copied"
BIG = os.urandom(1000) * 3000
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def manifest(archive: Archive) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(open_image(archive).package(nobody).manifest.body)
    return found


def test_an_older_engines_image(tmp_path: Path) -> None:
    archive = written(tmp_path / "image.tar", saved(b"one", BIG, b""))
    image = open_image(archive)
    config = config_of("linux/amd64", [b"one", BIG, b""])
    assert image.upcoming == Upcoming((AMD64,), config=digest_of(config), version="1.2.3")
    package = image.package(nobody)
    assert package.manifest.media_type == DOCKER_MANIFEST
    assert package.manifest.digest == digest_of(package.manifest.body)
    assert package.contents[0].file == f"{tmp_path}/image.tar ({digest_of(config)[7:]}.json)"
    assert package.contents[1].file == f"{tmp_path}/image.tar (0/layer.tar)"
    found = list(read(image).values())
    assert [found[0], *map(gzip.decompress, found[1:])] == [config, b"one", BIG, b""]
    document = json.loads(package.manifest.body)
    assert document["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert [layer["mediaType"] for layer in document["layers"]] == [DOCKER_LAYER] * 3
    told: list[tuple[int, int]] = []
    image.package(lambda *numbers: told.append(numbers))
    image.check()
    assert told == [(len(b"one") + len(BIG),) * 2]
    image.close()
    image.close()


def test_the_same_bytes_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine, and whatever the file is called."""
    layer = bytes(range(256)) * 8192 + b"end"
    found = set()
    for processors in (1, 2, 64):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        image = open_image(written(tmp_path / f"{processors}.tar", saved(layer, b"two")))
        found.add(image.package(nobody).manifest.digest)
    assert len(found) == 1
    if platform.machine() == "x86_64":
        assert found == {"sha256:58006948f2ab7b049aabc1081e1b006b262da4aad4caee4bb7bd4d52907405c1"}


def test_blocks_are_one_gzip_member() -> None:
    workers = Workers(1)
    parts = [BIG[at : at + (1 << 20)] for at in range(0, len(BIG), 1 << 20)]
    seen: list[bytes] = []
    packed = b"".join(workers.gzip(map(memoryview, parts), lambda part: seen.append(bytes(part))))
    workers.close()
    assert gzip.decompress(packed) == BIG
    assert seen == parts
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_identical_layers_are_packed_once(tmp_path: Path) -> None:
    files: dict[str, Member] = {**saved(b"one", b"two", b"one"), "2/layer.tar": link("2/layer.tar", "../0/layer.tar")}
    archive = written(tmp_path / "image.tar", files)
    one, two, three = manifest(archive)["layers"]
    assert one == three != two
    assert len(read(open_image(archive))) == 3


KEPT = {
    "gzip": gzipped(b"one" + BIG),
    "gzip, two members": gzipped(b"one") + gzipped(BIG),
    "zstd": zstd(b"one" + BIG),
    "zstd, two frames": zstd(b"one") + zstd(BIG),
    "zstd, as pzstd writes it": SKIPPED + zstd(b"one") + SKIPPED + zstd(BIG),
    "zstd, as zstd:chunked has it": zstd(b"one" + BIG) + SKIPPED,
}
OCI_TYPES = [f"application/vnd.oci.image.layer.v1.tar+{kind}" for kind in ("zstd", "gzip", "gzip")]


@pytest.mark.parametrize("name", KEPT)
def test_layers_that_are_compressed_stay(tmp_path: Path, name: str) -> None:
    files = {**saved(b"one" + BIG, b"two", b"three"), "0/layer.tar": KEPT[name], "1/layer.tar": gzipped(b"two")}
    archive = written(tmp_path / "image.tar", files)
    sent = list(read(open_image(archive)).values())
    assert sent[1:3] == [KEPT[name], gzipped(b"two")]
    assert gzip.decompress(sent[3]) == b"three"
    document = manifest(archive)
    types = [document["mediaType"], document["config"]["mediaType"], *(one["mediaType"] for one in document["layers"])]
    if name.startswith("gzip"):
        assert types == [DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json", *([DOCKER_LAYER] * 3)]
    else:
        # Docker's manifest has no name for zstd.
        assert types == [OCI_MANIFEST, "application/vnd.oci.image.config.v1+json", *OCI_TYPES]
    assert open_image(archive).package(nobody).manifest.media_type == types[0]


@pytest.mark.parametrize("order", ["tar first", "zstd first"])
def test_one_layer_compressed_in_two_ways(tmp_path: Path, order: str) -> None:
    """It is sent once, as the first of them, and named by the type of that."""
    first, last = (b"one", zstd(b"one")) if order == "tar first" else (zstd(b"one"), b"one")
    files = {**saved(b"one", b"two", b"one"), "0/layer.tar": first, "2/layer.tar": last}
    one, _, three = manifest(written(tmp_path / "image.tar", files))["layers"]
    assert one == three
    assert one["mediaType"] == (DOCKER_LAYER if order == "tar first" else OCI_TYPES[0])


# ---------------------------------------------------------------------- with an OCI layout


def newer(media_type: str, tags: tuple[str, ...] = ("my-api:1",), *, tarred: bytes = b"one") -> tuple[Making, Entry]:
    """What engines from 25 on write: the classic store's layers are tars, those of the containerd store compressed."""
    made = Making()
    content = tarred if media_type == TAR else gzipped(tarred)
    entry = made.image("linux/amd64", tarred, media_type=media_type)
    document = json.loads(made.files[path_of(entry)])
    layer = made.keep(content, media_type)
    entry = made.document({**document, "layers": [layer]}, entry["mediaType"], platform=entry["platform"])
    for tag in tags:
        made.tagged(entry, tag.rpartition(":")[2], f"docker.io/library/{tag}")
    listed = {"Config": path_of(document["config"]), "RepoTags": list(tags), "Layers": [path_of(layer)]}
    made.files["manifest.json"] = json.dumps([listed]).encode()
    return made, entry


GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.mark.parametrize(("media_type", "packed"), [(TAR, True), (GZIP, False)], ids=["classic", "containerd"])
def test_a_newer_engines_image(tmp_path: Path, media_type: str, packed: bool) -> None:
    made, entry = newer(media_type)
    image = open_image(written(tmp_path / "image.tar", dict(made.whole())))
    package = image.package(nobody)
    assert (package.manifest.digest != entry["digest"]) is packed
    assert (image.upcoming.digest == "") is packed
    assert image.upcoming.platforms == (AMD64,)
    assert len(read(image)) == 2


@pytest.mark.parametrize("along", ["attestation", "signature", "signature of its index", "tagged", "nothing"])
def test_what_goes_along_is_kept(tmp_path: Path, along: str) -> None:
    """Packed, the image would have another digest, and what is about it would be lost."""
    made, entry = newer(TAR)
    beside = [made.image("unknown/unknown")] if along == "attestation" else []
    root = entry if along in ("signature", "tagged") else made.index(entry, *beside)
    made.entries[0].update({key: root[key] for key in ("mediaType", "digest", "size")})
    if along.startswith("signature"):
        made.tagged(made.about(root))
    if along == "tagged":
        made.tagged(made.image("unknown/unknown"), f"{root['digest'].replace(':', '-')}.sig")
    archive = written(tmp_path / "image.tar", dict(made.whole()))
    image = open_image(archive._replace(place=f"{archive.place}:my-api:1"))
    package = image.package(nobody)
    if along == "nothing":
        assert package.manifest.digest not in (root["digest"], entry["digest"])
    else:
        assert package.manifest.digest == root["digest"]
        assert len(package.referrers) == along.startswith("signature")
        assert len(package.companions) == (along == "tagged")
        assert b"one" in read(image).values()


def test_an_index_is_pushed_whole(tmp_path: Path) -> None:
    made, one = newer(GZIP)
    made.entries.clear()
    other, attestation = made.image("linux/arm64"), made.image("unknown/unknown")
    index = made.index(one, other, attestation)
    made.tagged(index, "1", "docker.io/library/my-api:1")
    archive = written(tmp_path / "image.tar", dict(made.whole()))
    package = open_image(archive).package(nobody)
    assert package.manifest.digest == index["digest"]
    assert [len(level) for level in package.levels] == [3, 1]
    assert open_image(archive, (ARM64,)).package(nobody).manifest.digest == other["digest"]
    del made.files["manifest.json"]
    listless = open_image(written(tmp_path / "image.tar", dict(made.whole()))).package(nobody)
    assert listless.levels == package.levels


def test_an_index_that_was_saved_in_part(tmp_path: Path) -> None:
    """The engine names in it all platforms that there are, and saves those that it has."""
    made, one = newer(GZIP)
    made.entries.clear()
    other = made.image("linux/arm64")
    del made.files[path_of(other)]
    index = made.index(one, other)
    made.tagged(index, "1", "docker.io/library/my-api:1")
    archive = written(tmp_path / "image.tar", dict(made.whole()))
    message = f"{archive.place} ({path_of(other)}): it is not there, and the index {index['digest']} names it for "
    hint = "what is there can be pushed alone, by --platform: linux/amd64"
    assert refused(archive) == (f"{message}linux/arm64", hint)
    assert open_image(archive, (AMD64,)).package(nobody).manifest.digest == one["digest"]


# ---------------------------------------------------------------------- which one


def several(path: Path) -> Archive:
    one, two = saved(b"one", tags=["my-api:1", "ghcr.io/my/api:1"]), saved(b"two", tags=["my-api:2"])
    two["1/layer.tar"] = two.pop("0/layer.tar")
    listed = [json.loads(bytes(files.pop("manifest.json")))[0] for files in (one, two)]  # type: ignore[arg-type]
    listed[1]["Layers"] = ["1/layer.tar"]
    return written(path, {**one, **two, "manifest.json": json.dumps(listed).encode()})


@pytest.mark.parametrize(
    ("ref", "layer"),
    [
        ("my-api:1", b"one"),
        ("docker.io/library/my-api:1", b"one"),
        ("ghcr.io/my/api:1", b"one"),
        ("index.docker.io/library/my-api:2", b"two"),
        ("@0", b"one"),
        ("@1", b"two"),
        (digest_of(config_of("linux/amd64", [b"two"])), b"two"),
    ],
)
def test_an_image_by_name(tmp_path: Path, ref: str, layer: bytes) -> None:
    archive = several(tmp_path / "image.tar")
    image = open_image(archive._replace(place=f"{archive.place}:{ref}"))
    assert gzip.decompress(list(read(image).values())[1]) == layer


NONE = {
    "": "it has 2 images: @0 my-api:1, @0 ghcr.io/my/api:1, @1 my-api:2",
    ":my-api:3": "it has no image my-api:3, but @0 my-api:1, @0 ghcr.io/my/api:1, @1 my-api:2",
    ":@2": "it has 2 images, counted from @0, and no @2",
}


@pytest.mark.parametrize(("ref", "why"), NONE.items())
def test_none_or_several(tmp_path: Path, ref: str, why: str) -> None:
    archive = several(tmp_path / "image.tar")
    assert refused(archive._replace(place=archive.place + ref))[0] == f"{archive.place} (manifest.json): {why}"


def relisted(path: Path, *entries: dict[str, Any]) -> Archive:
    """An image of one layer under several entries of the list."""
    files = saved(b"one")
    (listed,) = json.loads(bytes(files["manifest.json"]))  # type: ignore[arg-type]
    files["manifest.json"] = json.dumps([{**listed, **entry} for entry in entries]).encode()
    return written(path, files)


def test_one_image_under_several_entries(tmp_path: Path) -> None:
    archive = relisted(tmp_path / "image.tar", {"RepoTags": ["my-api:1"]}, {"RepoTags": ["my-api:2"]})
    for ref in ("", ":my-api:1", ":my-api:2", ":@0"):
        assert open_image(archive._replace(place=archive.place + ref)).package(nobody).levels
    assert "it has 1 image, which is @0, and no @1" in refused(archive._replace(place=f"{archive.place}:@1"))[0]


@pytest.mark.parametrize("config", ["config", "odd/name"])
def test_one_image_in_list_and_index(tmp_path: Path, config: str) -> None:
    """The config's name tells nothing, or the list names a config that the index does not lead to."""
    made, entry = newer(GZIP)
    (listed,) = json.loads(made.files["manifest.json"])
    content = made.files[listed["Config"]]
    made.files[config] = content if config == "config" else content + b" "
    made.files["manifest.json"] = json.dumps([{**listed, "Config": config}]).encode()
    archive = written(tmp_path / "image.tar", dict(made.whole()))
    for ref in ("", ":my-api:1"):
        image = open_image(archive._replace(place=archive.place + ref))
        assert image.package(nobody).manifest.digest == entry["digest"]


@pytest.mark.parametrize("form", ["sha256:{}", "blobs/sha256/{}", "{}.json", "{}"])
@pytest.mark.parametrize("named", [digest_of(config_of("linux/amd64", [b"one"])), digest_of(b"another")])
def test_a_configs_content_is_its_digest(tmp_path: Path, form: str, named: str) -> None:
    """Whatever it is called: docker load, skopeo and crane leave the name aside."""
    config = digest_of(config_of("linux/amd64", [b"one"]))
    files = saved(b"one")
    name = form.format(named[7:])
    files[name] = files.pop(f"{config[7:]}.json")
    (listed,) = json.loads(bytes(files["manifest.json"]))  # type: ignore[arg-type]
    files["manifest.json"] = json.dumps([{**listed, "Config": name}]).encode()
    archive = written(tmp_path / "image.tar", files)
    package = open_image(archive._replace(place=f"{archive.place}:{config}")).package(nobody)
    assert package.contents[0].blob.digest == json.loads(package.manifest.body)["config"]["digest"] == config


def test_many_images_take_no_time(tmp_path: Path) -> None:
    made = Making()
    listed = []
    for number in range(300):
        entry = made.image("linux/amd64", str(number).encode(), media_type=GZIP)
        made.tagged(entry, str(number), f"docker.io/library/my-api:{number}")
        document = json.loads(made.files[path_of(entry)])
        layers = [path_of(layer) for layer in document["layers"]]
        listed.append({"Config": path_of(document["config"]), "RepoTags": [f"my-api:{number}"], "Layers": layers})
    made.files["manifest.json"] = json.dumps(listed).encode()
    archive = written(tmp_path / "image.tar", dict(made.whole()))
    started = time.process_time()
    assert "it has 300 images: @0 my-api:0, @1 my-api:1, " in refused(archive)[0]
    assert time.process_time() - started < 2


def test_a_tar_that_begins_like_another_file(tmp_path: Path) -> None:
    layer = tar_of({"BZh": b"content"})
    assert gzip.decompress(list(read(open_image(written(tmp_path / "a.tar", saved(layer)))).values())[1]) == layer


def test_another_platform(tmp_path: Path) -> None:
    archive = written(tmp_path / "image.tar", saved(b"one"))
    why = "the image is not for linux/riscv64; it is for linux/amd64"
    assert refused(archive, Platform("linux", "riscv64"))[0] == f"{archive.place} (manifest.json): {why}"
    assert open_image(archive, (AMD64,)).package(nobody).levels


# ---------------------------------------------------------------------- what is refused

CONFIG = f"{digest_of(config_of('linux/amd64', [b'one', b'two']))[7:]}.json"
BROKEN: dict[str, tuple[dict[str, Member | None], str]] = {
    "no list": ({"manifest.json": None}, "(manifest.json): it is not there, so this is no file of docker save"),
    "no JSON": ({"manifest.json": b"{"}, "(manifest.json): it is not JSON"),
    "no images": ({"manifest.json": b"[]"}, "(manifest.json): it has no list of images"),
    "no image": (
        {"manifest.json": b'[{"Config": 1}]'},
        "(manifest.json): it names an image without Config, RepoTags and Layers",
    ),
    "no config": ({CONFIG: None}, f"({CONFIG}): it is not there, and manifest.json names it"),
    "no image's config": ({CONFIG: b"{}"}, f"({CONFIG}): it has no list of diff_ids"),
    "another config": (
        {CONFIG: config_of("linux/amd64", [b"one", b"three"])},
        f"(1/layer.tar): its content has the digest {digest_of(b'two')}, and not {digest_of(b'three')} as its config "
        "says",
    ),
    "no layer": ({"1/layer.tar": None}, "(1/layer.tar): it is not there, and manifest.json names it"),
    "another layer": (
        {"1/layer.tar": b"three"},
        f"(1/layer.tar): its content has the digest {digest_of(b'three')}, and not {digest_of(b'two')} as its "
        "config says",
    ),
    "another compressed layer": (
        {"1/layer.tar": gzipped(b"three")},
        f"(1/layer.tar): its content has the digest {digest_of(b'three')}, and not {digest_of(b'two')} as its "
        "config says",
    ),
    "half a compressed layer": (
        {"1/layer.tar": gzipped(BIG)[:500]},
        "(1/layer.tar): it is compressed by gzip, and damaged: it ends too early",
    ),
    "another layer compressed by zstd": (
        {"1/layer.tar": zstd(b"three")},
        f"(1/layer.tar): its content has the digest {digest_of(b'three')}, and not {digest_of(b'two')} as its "
        "config says",
    ),
    "half a layer compressed by zstd": (
        {"1/layer.tar": zstd(BIG)[:500]},
        "(1/layer.tar): it is compressed by zstd, and damaged: it ends too early",
    ),
    "half of a zstd frame's header": (
        {"1/layer.tar": b"\x28\xb5\x2f\xfd"},
        "(1/layer.tar): it is compressed by zstd, and damaged: it ends too early",
    ),
    "xz": (
        {"1/layer.tar": lzma.compress(b"two")},
        "(1/layer.tar): it is compressed by xz, and registries hold layers in gzip or zstd",
    ),
    "a layer too few": (
        {"manifest.json": json.dumps([{"Config": CONFIG, "RepoTags": None, "Layers": ["0/layer.tar"]}]).encode()},
        "(manifest.json): it names 1 layers, and the config 2",
    ),
}


@pytest.mark.parametrize(("change", "why"), BROKEN.values(), ids=BROKEN)
def test_broken_files(tmp_path: Path, change: dict[str, Member | None], why: str) -> None:
    files = {**saved(b"one", b"two"), **change}
    archive = written(tmp_path / "image.tar", {name: content for name, content in files.items() if content is not None})
    assert refused(archive)[0] == f"{archive.place} {why}"


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _content: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert refused(written(tmp_path / "image.tar", saved(BIG))) == (
        f"{tmp_path}: there is no room for the compressed layers, which takes up to 0.0 GB",
        "make room there, or let TMPDIR name a folder on another disk",
    )
