"""Some platforms of an image in files: one image, an index of those alone, or all of it; and what stays behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.request import Archive
from pushsafe.oci.manifest import ManifestContent
from pushsafe.oci.platform import Platform
from pushsafe.sources import open_image
from tests.fakes.archives import Entry, Making, nobody, path_of, read, refused, saved, written
from tests.values import AMD64, ARM64, OCI_INDEX

S390X, RISCV64 = Platform("linux", "s390x"), Platform("linux", "riscv64")
ALL = (AMD64, ARM64, S390X)
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(params=["folder", "tar", "docker"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Making], Archive]:
    """A layout in a folder, in a tar, and as an engine saves one."""
    if request.param == "docker":
        return lambda made: written(tmp_path / "image.tar", dict(made.whole()))
    return lambda made: getattr(made, request.param)(tmp_path / "layout")


def attestation(made: Making, image: Entry) -> Entry:
    return {
        **made.image("unknown/unknown", image["digest"].encode()),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        },
    }


def attested(made: Making, *platforms: Platform) -> list[Entry]:
    """Images, each with an attestation."""
    images = [made.image(str(platform), annotations={"of": str(platform)}) for platform in platforms]
    return [entry for image in images for entry in (image, attestation(made, image))]


def root_of(archive: Archive, *platforms: Platform) -> ManifestContent:
    image = open_image(archive, platforms)
    image.close()
    return image.package(nobody).manifest


def rows(archive: Archive, *platforms: Platform) -> list[Any]:
    found: list[Any] = json.loads(root_of(archive, *platforms).body)["manifests"]
    return found


def test_an_index_of_those_named(put: Callable[[Making], Archive]) -> None:
    """What the one left out would need is not looked at; everything else that the index says is kept, in its order."""
    made = Making()
    parts = attested(made, *ALL)
    index = made.document({"manifests": parts, "annotations": {"by": "somebody"}}, OCI_INDEX)
    del made.files[path_of(parts[2])]
    archive = put(made.tagged(index, "1"))
    image = open_image(archive, (S390X, AMD64))
    package = image.package(nobody)
    assert json.loads(package.manifest.body) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [*parts[:2], *parts[4:]],
        "annotations": {"by": "somebody"},
    }
    assert package.manifest.media_type == OCI_INDEX
    kept = [parts[number]["digest"] for number in (0, 1, 4, 5)]
    assert [[one.digest for one in level] for level in package.levels] == [kept, [package.manifest.digest]]
    assert (image.upcoming.platforms, image.upcoming.digest) == ((AMD64, S390X), package.manifest.digest)
    assert (image.upcoming.attestations, image.upcoming.part_of) == (0, index["digest"])
    assert len(read(image)) == 8  # a config and a layer each
    assert root_of(archive, AMD64, S390X) == package.manifest


def test_all_of_them_are_the_index_itself(put: Callable[[Making], Archive]) -> None:
    made = Making()
    index = made.index(*attested(made, AMD64, ARM64))
    archive = put(made.tagged(index, "1"))
    assert root_of(archive, ARM64, AMD64).body == made.files[path_of(index)]
    assert open_image(archive, (ARM64, AMD64)).upcoming.part_of == ""


def test_one_platform_named_in_two_ways_is_one_image(put: Callable[[Making], Archive]) -> None:
    made = Making()
    arm64 = made.image("linux/arm64")
    archive = put(made.tagged(made.index(arm64, made.image("linux/amd64")), "1"))
    assert root_of(archive, ARM64, Platform("linux", "aarch64", "v8")).digest == arm64["digest"]


LACKING = {
    "one of two": ((AMD64, RISCV64), "linux/riscv64"),
    "the first of two": ((RISCV64, AMD64), "linux/riscv64"),
    "both": ((RISCV64, S390X), "linux/riscv64, linux/s390x"),
}


@pytest.mark.parametrize(("wanted", "lost"), LACKING.values(), ids=LACKING)
def test_every_platform_has_to_be_there(
    put: Callable[[Making], Archive], wanted: tuple[Platform, ...], lost: str
) -> None:
    made = Making()
    archive = put(made.tagged(made.index(made.image("linux/amd64"), made.image("linux/arm64")), "1"))
    message, hint = refused(archive, *wanted)
    assert message.endswith(f"the image is not for {lost}; it is for linux/amd64, linux/arm64")
    assert hint == "name one of those, or leave --platform out"


@pytest.mark.parametrize("wanted", [(AMD64, ARM64), (ARM64, AMD64)], ids=["the other second", "the other first"])
def test_one_image_is_not_for_two_platforms(tmp_path: Path, wanted: tuple[Platform, ...]) -> None:
    made = Making()
    layout = made.tagged(made.image("linux/amd64"), "1").folder(tmp_path / "layout")
    packed = written(tmp_path / "image.tar", saved(b"one"))
    for archive in (layout, packed):
        assert refused(archive, *wanted)[0].endswith("the image is not for linux/arm64; it is for linux/amd64")


def test_indexes_within_an_index_become_one(put: Callable[[Making], Archive]) -> None:
    made = Making()
    amd64, its_own, arm64, other = attested(made, AMD64, ARM64)
    outer = made.index(made.index(amd64, its_own, made.image("linux/s390x")), arm64, other)
    assert rows(put(made.tagged(outer, "1")), AMD64, ARM64) == [arm64, other, amd64, its_own]


def test_what_the_index_does_not_say_the_images_do(tmp_path: Path) -> None:
    made = Making()
    amd64, arm64, s390x = (made.image(str(platform)) for platform in ALL)
    bare = [{key: one[key] for key in ("mediaType", "digest", "size")} for one in (amd64, arm64, s390x)]
    del bare[1]["mediaType"]
    archive = made.tagged(made.index(*bare), "1").folder(tmp_path)
    assert rows(archive, AMD64, ARM64) == [amd64, arm64]


def test_an_image_for_two_platforms_stays_one_for_both(tmp_path: Path) -> None:
    made = Making()
    amd64 = made.image("linux/amd64")
    also = {**amd64, "platform": {"os": "linux", "architecture": "arm64"}}
    archive = made.tagged(made.index(amd64, also, made.image("linux/s390x")), "1").folder(tmp_path)
    assert rows(archive, AMD64, ARM64) == [amd64, also]


def test_a_docker_list_stays_one(tmp_path: Path) -> None:
    made = Making()
    images = [made.image(str(platform)) for platform in ALL]
    whole = made.document({"manifests": images}, DOCKER_LIST)
    assert root_of(made.tagged(whole, "1").folder(tmp_path), AMD64, ARM64).media_type == DOCKER_LIST


@pytest.mark.parametrize("ref", ["", ":1"])
def test_entries_of_one_name_become_an_index(tmp_path: Path, ref: str) -> None:
    """The names of a layout are its own, and go nowhere."""
    made = Making()
    amd64, its_own, arm64, _ = attested(made, AMD64, ARM64)
    made.tagged(amd64, "1").tagged(arm64, "1")
    made.entries.append(its_own)
    archive = made.folder(tmp_path)
    archive = archive._replace(place=f"{archive.place}{ref}")
    plain = [{key: value for key, value in one.items() if key != "annotations"} for one in (amd64, arm64)]
    assert rows(archive, AMD64, ARM64) == [*plain, its_own]
    assert root_of(archive, ARM64).digest == arm64["digest"]


@pytest.mark.parametrize(
    ("wanted", "left"), [((AMD64,), 2), ((AMD64, ARM64), 1), (ALL, 0)], ids=["one", "several", "all"]
)
def test_what_tells_of_the_whole_index_stays_behind(tmp_path: Path, wanted: tuple[Platform, ...], left: int) -> None:
    """A signature of the index; an attestation goes along with its image where there is an index to name it."""
    made = Making()
    index = made.index(*attested(made, *ALL))
    archive = made.tagged(index, "1").tagged(made.about(index)).folder(tmp_path)
    archive = archive._replace(place=f"{archive.place}:1")
    image = open_image(archive, wanted)
    assert image.upcoming.attestations == left
    assert len(image.package(nobody).referrers) == (0 if left else 1)
