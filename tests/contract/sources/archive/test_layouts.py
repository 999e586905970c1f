"""OCI image layouts: which image is meant, what goes with it, and what is refused, in a folder and in a tar."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.errors import ContentBroken
from pushsafe.model.facts import Upcoming
from pushsafe.model.request import Archive
from pushsafe.oci.content import Package
from pushsafe.oci.platform import Platform
from pushsafe.sources import open_image
from tests.fakes.archives import CONFIG, LAYER, Entry, Making, config_of, digest_of, nobody, path_of, read, refused
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST

AGAIN = "write it again with the tool that made it, or copy it again if it was copied"
BY_DIGEST = "name the image that is meant within it, by --platform or by its digest"


def at(archive: Archive, ref: str) -> Archive:
    return archive._replace(place=f"{archive.place}:{ref}")


def digests(archive: Archive, *platforms: Platform) -> list[list[str]]:
    image = open_image(archive, platforms)
    image.close()
    return [[content.digest for content in level] for level in image.package(nobody).levels]


def test_a_single_image(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image("linux/arm64", b"one", b"two", b"one")
    image = open_image(put(made.tagged(entry, "1")))
    config = config_of("linux/arm64", [b"one", b"two", b"one"])
    assert image.upcoming == Upcoming((ARM64,), entry["digest"], config=digest_of(config), version="1.2.3")
    package = image.package(nobody)
    assert [content.body for content in package.levels[0]] == [made.files[path_of(entry)]]
    assert package.manifest.media_type == OCI_MANIFEST
    assert [content.blob.is_layer for content in package.contents] == [False, True, True]
    image.check()
    assert list(read(image).values()) == [config, b"one", b"two"]
    image.close()
    image.close()


def indexed() -> tuple[Making, Entry, list[Entry]]:
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")]
    attestation = made.image("unknown/unknown")
    index = made.index(*images, attestation)
    return made.tagged(index, "1"), index, [*images, attestation]


def test_an_index_with_its_attestations(put: Callable[[Making], Archive]) -> None:
    made, index, parts = indexed()
    archive = put(made)
    assert digests(archive) == [[part["digest"] for part in parts], [index["digest"]]]
    assert open_image(archive).upcoming == Upcoming((AMD64, ARM64), index["digest"], version="1.2.3")
    assert open_image(archive, (ARM64,)).upcoming.attestations == 1


def test_one_platform_of_an_index(put: Callable[[Making], Archive]) -> None:
    """What the others would need is not looked at."""
    made, _, (amd64, arm64, _) = indexed()
    del made.files[path_of(amd64)]
    archive = put(made)
    assert digests(archive, Platform("linux", "aarch64", "v8")) == [[arm64["digest"]]]
    assert open_image(archive, (ARM64,)).upcoming.platforms == (ARM64,)
    assert "it is not there, and the index" in refused(archive)[0]


def test_a_platform_that_is_not_there(tmp_path: Path) -> None:
    made, _, _ = indexed()
    archive = made.folder(tmp_path)
    riscv = Platform("linux", "riscv64")
    hint = "name one of those, or leave --platform out"
    what = f"{tmp_path}/index.json: the image is not for linux/riscv64; it is for"
    assert refused(archive, riscv) == (f"{what} linux/amd64, linux/arm64", hint)
    one = Making()
    single = one.tagged(one.image()).folder(tmp_path)
    assert refused(single, riscv) == (f"{what} linux/amd64", hint)
    assert digests(single, AMD64) == digests(single)


ODD: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({"platform": {}}, 0),
    "no word": ({"platform": {"os": "linux", "architecture": "arm64", "variant": "v8 beta"}}, 0),
    "unknown": ({"platform": {"os": "unknown", "architecture": "unknown"}}, 1),
    "unknown architecture": ({"platform": {"os": "linux", "architecture": "unknown"}}, 1),
    "an annotation": ({"platform": {}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}, 1),
}


@pytest.mark.parametrize(("says", "attestations"), ODD.values(), ids=ODD)
def test_odd_platforms_are_no_attestations(tmp_path: Path, says: dict[str, Any], attestations: int) -> None:
    made = Making()
    arm64 = {**made.image("linux/arm64"), **says}
    archive = made.tagged(made.index(made.image("linux/amd64"), arm64)).folder(tmp_path)
    assert open_image(archive).upcoming.platforms == ((AMD64,) if attestations else (AMD64, ARM64))
    assert open_image(archive, (AMD64,)).upcoming.attestations == attestations


def test_one_image_for_two_platforms(tmp_path: Path) -> None:
    made = Making()
    amd64 = made.image("linux/amd64")
    both = made.index(amd64, {**amd64, "platform": {"os": "linux", "architecture": "arm64"}})
    archive = made.tagged(both).folder(tmp_path)
    assert open_image(archive).upcoming.platforms == (AMD64, ARM64)
    assert digests(archive, ARM64) == [[amd64["digest"]]]


def test_indexes_in_an_index(put: Callable[[Making], Archive]) -> None:
    made = Making()
    inner = made.index(made.image("linux/amd64"))
    outer = made.index(inner, made.image("linux/arm64"))
    made.tagged(outer)
    levels = digests(put(made))
    assert [len(level) for level in levels] == [2, 1, 1]
    assert levels[1:] == [[inner["digest"]], [outer["digest"]]]


def test_indexes_too_deep(tmp_path: Path) -> None:
    made = Making()
    entry = made.image()
    for _ in range(9):
        entry = made.index(entry)
    message = f"{tmp_path}/index.json: it leads to more than 8 indexes within each other"
    assert refused(made.tagged(entry).folder(tmp_path)) == (message, BY_DIGEST)


# ---------------------------------------------------------------------- which one

NAMED = {
    "by its tag": ("1.0", 0),
    "by its whole name": ("docker.io/library/my-api:2", 1),
    "as docker means it": ("my-api:2", 1),
    "by its digest": (None, 2),
}


@pytest.mark.parametrize(("ref", "which"), NAMED.values(), ids=NAMED)
def test_an_image_by_name(put: Callable[[Making], Archive], ref: str | None, which: int) -> None:
    made = Making()
    entries = [made.image("linux/amd64", str(number).encode()) for number in range(3)]
    made.tagged(entries[0], "1.0").tagged(entries[1], "2", "docker.io/library/my-api:2").tagged(entries[2])
    assert digests(at(put(made), ref or entries[2]["digest"])) == [[entries[which]["digest"]]]


def test_several_and_none_named(tmp_path: Path) -> None:
    made = Making()
    for number in range(12):
        made.tagged(made.image("linux/amd64", str(number).encode()), f"1.{number}\x1b")
    archive = made.folder(tmp_path)
    names = ", ".join(f"1.{number}" for number in range(10))
    where, form = f"{tmp_path}/index.json", f"--from oci:{tmp_path}:REF"
    assert refused(archive) == (f"{where}: it has 12 images: {names}, and 2 more", f"say which: {form}")
    assert refused(at(archive, "9")) == (f"{where}: it has no image 9, but {names}, and 2 more", f"name one: {form}")


def test_a_command_is_fit_for_a_shell(tmp_path: Path) -> None:
    made = Making()
    made.tagged(made.image("linux/amd64", b"1"), "1").tagged(made.image("linux/amd64", b"2"), "2")
    assert refused(made.folder(tmp_path / "my $(layout)"))[1] == f"say which: --from 'oci:{tmp_path}/my $(layout):REF'"


@pytest.mark.parametrize("ref", ["", "1"])
def test_a_platform_chooses_among_entries(put: Callable[[Making], Archive], ref: str) -> None:
    made = Making()
    amd64, arm64 = made.image("linux/amd64"), made.image("linux/arm64")
    archive = put(made.tagged(amd64, "1").tagged(arm64, "1"))
    archive = at(archive, ref) if ref else archive
    assert digests(archive, ARM64) == [[arm64["digest"]]]
    assert f"it has 2 images{' 1' if ref else ''}: 1" in refused(archive, Platform("linux", "riscv64"))[0]


def nameless(made: Making, *entries: Entry) -> Making:
    """As go-containerregistry writes an index into a layout: what it names are the layout's entries."""
    made.entries.extend(entries)
    return made


def test_a_layout_that_is_the_index_itself(put: Callable[[Making], Archive]) -> None:
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64"), made.image("linux/s390x")]
    archive = put(nameless(made, *images))
    image = open_image(archive)
    package = image.package(nobody)
    assert package.manifest.body == made.whole()["index.json"]
    assert package.manifest.media_type == OCI_INDEX
    assert [[one.digest for one in level] for level in package.levels[:-1]] == [[one["digest"] for one in images]]
    assert image.upcoming.platforms == (AMD64, ARM64, Platform("linux", "s390x"))
    assert digests(archive, ARM64) == [[images[1]["digest"]]]
    assert json.loads(open_image(archive, (AMD64, ARM64)).package(nobody).manifest.body)["manifests"] == images[:2]
    assert digests(at(archive, images[2]["digest"])) == [[images[2]["digest"]]]


def attests(made: Making, image: Entry) -> Entry:
    said = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    return made.about(image, platform={"os": "unknown", "architecture": "unknown"}, annotations=said)


@pytest.mark.parametrize("number", [1, 2])
def test_attestations_in_a_layout_that_is_the_index(put: Callable[[Making], Archive], number: int) -> None:
    """One image with an attestation is an index, too: alone it would lose that."""
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")][:number]
    archive = put(nameless(made, *images, *(attests(made, one) for one in images)))
    assert open_image(archive).package(nobody).manifest.body == made.whole()["index.json"]


NOT_THE_INDEX: dict[str, Callable[[Making, Entry, Entry], object]] = {
    "a name": lambda made, one, two: nameless(made, one).tagged(two, "1"),
    "one platform twice": lambda made, one, two: nameless(made, one, {**two, "platform": one["platform"]}),
    "no platform": lambda made, one, two: nameless(made, one, {key: two[key] for key in two if key != "platform"}),
    "an index": lambda made, one, two: nameless(made, one, {**made.index(two), "platform": two["platform"]}),
    "no type": lambda made, one, two: nameless(made, one, {key: two[key] for key in two if key != "mediaType"}),
}


@pytest.mark.parametrize("change", NOT_THE_INDEX.values(), ids=NOT_THE_INDEX)
def test_layouts_that_are_not_surely_the_index(
    put: Callable[[Making], Archive], change: Callable[[Making, Entry, Entry], object]
) -> None:
    made = Making()
    change(made, made.image("linux/amd64"), made.image("linux/arm64"))
    assert "index.json: it has 2 images" in refused(put(made))[0].replace("(index.json)", "index.json")


SAYS: list[tuple[str, Any, str]] = [
    *(("mediaType", said, "it has 2 images") for said in ("application/x", 5, ["application/x"])),
    *(("subject", said, "index.json: it ") for said in ({}, 5, "x", {"digest": "sha256:1"})),
]


def test_a_layout_that_says_to_be_no_index_or_to_refer_to_nothing(tmp_path: Path) -> None:
    for number, (name, said, why) in enumerate(SAYS):
        made = nameless(Making(), *(Making().image(platform) for platform in ("linux/amd64", "linux/arm64")))
        made.files["index.json"] = json.dumps({**json.loads(made.whole()["index.json"]), name: said}).encode()
        assert why in refused(made.folder(tmp_path / str(number)))[0], (name, said)


@pytest.mark.parametrize("ref", ["my-api:1", "docker.io/library/my-api:1", "index.docker.io/library/my-api:1"])
def test_podman_writes_whole_names_for_tags(put: Callable[[Making], Archive], ref: str) -> None:
    made = Making()
    entry = made.image()
    made.tagged(entry, "docker.io/library/my-api:1").tagged(made.image("linux/arm64"), "docker.io/library/other:1")
    assert digests(at(put(made), ref)) == [[entry["digest"]]]


def test_several_names_of_one_image(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image()
    assert digests(put(made.tagged(entry, "1").tagged(entry, "latest"))) == [[entry["digest"]]]


def test_what_refers_to_it_is_not_meant(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image()
    signature = made.about(entry)
    fallback = made.index(made.about(entry, "sbom"))
    made.tagged(signature).tagged(fallback, entry["digest"].replace(":", "-")).tagged(entry, "1")
    assert digests(put(made)) == [[entry["digest"]]]


def bare(entry: Entry) -> Entry:
    return {key: entry[key] for key in ("mediaType", "digest", "size")}


@pytest.mark.parametrize("name", ["1", ""])
def test_parts_of_another_entry_are_not_meant(put: Callable[[Making], Archive], name: str) -> None:
    """oras lists every manifest that it copies, some without their platforms, and what refers to any of them."""
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")]
    inner = made.index(images[1])
    index = made.index(images[0], inner)
    referrers = [made.about(index), made.about(images[0], "another")]
    parts = [made.image("unknown/unknown"), made.image("unknown/unknown", b"2")]
    referrers.append(made.document({"manifests": parts, "subject": bare(index)}, OCI_INDEX))
    made.entries.extend(map(bare, (*parts, images[0], inner, *referrers)))
    made.tagged(bare(index), name).entries.append(images[1])
    archive = put(made)
    package = open_image(archive).package(nobody)
    assert package.manifest.digest == index["digest"]
    assert {one.content.digest for one in package.referrers} >= {one["digest"] for one in referrers}
    assert digests(archive, ARM64) == [[images[1]["digest"]]]
    assert digests(at(archive, images[0]["digest"])) == [[images[0]["digest"]]]


@pytest.mark.parametrize("other", ["of a name", "of no other entry"])
def test_what_somebody_may_mean_is_asked_for(put: Callable[[Making], Archive], other: str) -> None:
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")]
    made.tagged(made.index(*images), "1").entries.append(bare(images[0]))
    if other == "of a name":
        made.tagged(images[1], "1-arm64")
    else:
        made.entries.append(made.image("linux/s390x"))
    assert "it has 2 images: 1, " in refused(put(made))[0]


def test_two_images_of_one_name(tmp_path: Path) -> None:
    made = Making()
    one, two, other = (made.image("linux/amd64", text) for text in (b"one", b"two", b"other"))
    archive = made.tagged(one, "1").tagged(two, "1").tagged(other, "2").folder(tmp_path)
    where, form = f"{tmp_path}/index.json", f"say which, by its digest: --from oci:{tmp_path}:DIGEST"
    apart = f"1 ({one['digest']}), 1 ({two['digest']})"
    assert refused(at(archive, "1")) == (f"{where}: it has 2 images 1: {apart}", form)
    assert refused(archive) == (f"{where}: it has 3 images: {apart}, 2", form)
    assert digests(at(archive, two["digest"])) == [[two["digest"]]]


def test_all_of_them_may_be_meant(tmp_path: Path) -> None:
    """Where each is for a platform of its own."""
    made = Making()
    made.tagged(made.image("linux/amd64"), "a").tagged(made.image("linux/arm64"), "b")
    hint = f"say which: --from oci:{tmp_path}:REF, or push all as one index: --platform linux/amd64,linux/arm64"
    assert refused(made.folder(tmp_path))[1] == hint


def test_no_image(tmp_path: Path) -> None:
    assert refused(Making().folder(tmp_path)) == (f"{tmp_path}/index.json: it names no image", AGAIN)


# ---------------------------------------------------------------------- what goes with it


def test_referrers_follow_what_they_are_about(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image()
    signature = made.about(entry)
    countersigned = made.about(signature, "countersignature")
    listed = made.about(entry, "sbom")
    foreign = made.about(made.image("linux/arm64"), "of another image")
    fallback = made.index(listed)
    made.tagged(countersigned).tagged(foreign).tagged(signature)
    made.tagged(entry, "1").tagged(fallback, entry["digest"].replace(":", "-"))
    image = open_image(at(put(made), "1"))
    package = image.package(nobody)
    assert [(one.content.digest, one.subject) for one in package.referrers] == [
        (listed["digest"], entry["digest"]),
        (signature["digest"], entry["digest"]),
        (countersigned["digest"], signature["digest"]),
    ]
    assert [len(level) for level in package.levels] == [1]
    assert len(read(image)) == 2 + 1 + 3  # the image's, the empty config that all share, one layer each


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda body: body[:-1], "bytes, and index.json says"),
    "changed": (lambda body: body.replace(b"layers", b"LAYERS"), "its content has the digest"),
}


@pytest.mark.parametrize(("damage", "why"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("ref", ["", "1"])
def test_a_damaged_referrer_is_not_left_out(
    tmp_path: Path, damage: Callable[[bytes], bytes], why: str, ref: str
) -> None:
    made = Making()
    entry = made.image()
    signature = made.about(entry)
    made.tagged(signature).tagged(entry, "1")
    made.files[path_of(signature)] = damage(made.files[path_of(signature)])
    archive = made.folder(tmp_path)
    message, hint = refused(at(archive, ref) if ref else archive)
    assert message.startswith(f"{tmp_path}/{path_of(signature)}: ")
    assert why in message
    assert hint == AGAIN


def test_what_is_no_manifest_is_not_read(tmp_path: Path) -> None:
    """BuildKit's caches are indexes that name layers."""
    made = Making()
    entry = made.image()
    cache = made.index(made.keep(b"a layer", LAYER))
    assert digests(at(made.tagged(entry, "1").tagged(cache, "cache").folder(tmp_path), "1")) == [[entry["digest"]]]


@pytest.mark.parametrize("size", [10, 5 << 20], ids=["small", "larger than a manifest"])
def test_a_cache_is_no_image(put: Callable[[Making], Archive], size: int) -> None:
    """Its type tells, before anybody reads a layer as a manifest."""
    made = Making()
    layer = made.keep(b"x" * size, LAYER)
    config = made.keep(b"{}", "application/vnd.buildkit.cacheconfig.v0")
    archive = put(made.tagged(made.index(layer, config), "latest"))
    for wanted in ((), (AMD64,), (AMD64, ARM64)):
        message, hint = refused(archive, *wanted)
        assert message.endswith(f"it is of the type {LAYER}, not an image or index")
        assert hint == "name an image or an index of images; layers, build caches and the like are not images"


def test_what_a_list_names_refers_wherever_else_it_is(put: Callable[[Making], Archive]) -> None:
    """It has no subject of its own, and stands in the index before the list."""
    made = Making()
    entry = made.image()
    signature = made.image("unknown/unknown", b"signature")
    made.tagged(signature).tagged(entry, "1").tagged(made.index(signature), entry["digest"].replace(":", "-"))
    package = open_image(at(put(made), "1")).package(nobody)
    assert [(one.content.digest, one.subject) for one in package.referrers] == [(signature["digest"], entry["digest"])]


def test_manifests_of_the_image_that_refer_to_something(put: Callable[[Making], Archive]) -> None:
    """Registries without a list of their own learn of them by a push as a referrer."""
    made = Making()
    image, other = made.image("linux/amd64"), made.image("linux/arm64")
    unknown = {"os": "unknown", "architecture": "unknown"}
    provenance = made.about(image, "provenance", platform=unknown)
    index = made.document({"manifests": [image, provenance], "subject": bare(other)}, OCI_INDEX)
    package = open_image(put(made.tagged(index, "1"))).package(nobody)
    assert [[one.digest for one in level] for level in package.levels] == [
        [image["digest"]],
        [provenance["digest"]],
        [index["digest"]],
    ]
    assert [(one.content.digest, one.subject) for one in package.referrers] == [
        (provenance["digest"], image["digest"]),
        (index["digest"], other["digest"]),
    ]


def order(package: Package) -> list[str]:
    """Digests as a registry gets them for the first time."""
    put = [one.digest for level in package.levels for one in level]
    return list(dict.fromkeys([*put, *(one.content.digest for one in package.referrers)]))


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "in reverse"])
def test_nothing_goes_before_what_it_names_or_refers_to(put: Callable[[Making], Archive], turned: bool) -> None:
    """GitLab's registry refuses what refers to a manifest that is not there."""
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")]
    unknown = {"os": "unknown", "architecture": "unknown"}
    about = [made.about(one, one["digest"], platform=unknown) for one in images]
    chained = made.about(about[0], "of an attestation", platform=unknown)
    listed = [*images, *about, chained]
    index = made.index(*reversed(listed)) if turned else made.index(*listed)
    signature = made.about(index)
    signed = made.about(images[1], "of a child")
    part = made.about(index, "a part of a referrer")
    bundle = made.document({"manifests": [part, made.image("linux/s390x")], "subject": bare(index)}, OCI_INDEX)
    for one in (bundle, signature, signed):
        made.tagged(one)
    package = open_image(at(put(made.tagged(index, "1")), "1")).package(nobody)
    assert package.manifest.digest == index["digest"]
    assert [len(level) for level in package.levels] == [2, 2, 1, 1]
    found = order(package)
    assert len(found) == 5 + 1 + 5
    for digest in found:
        document = json.loads(made.files[path_of({"digest": digest})])
        needs = [*document.get("manifests", ()), *filter(None, [document.get("subject")])]
        assert all(found.index(one["digest"]) < found.index(digest) for one in needs), digest
    assert [one.subject for one in package.referrers].count("") == 1, "what a referrer names, and refers to nothing"


@pytest.mark.parametrize("refers", [True, False], ids=["an artifact", "classic"])
def test_attestations_that_stay_behind(tmp_path: Path, refers: bool) -> None:
    made = Making()
    images = [made.image("linux/amd64"), made.image("linux/arm64")]
    parts = [attests(made, image) for image in images]
    if not refers:
        parts = [{**part, **made.image("unknown/unknown", part["digest"].encode())} for part in parts]
    archive = made.tagged(made.index(*images, *parts)).folder(tmp_path)
    assert open_image(archive, (AMD64,)).upcoming.attestations == (0 if refers else 1)
    assert len(open_image(archive, (AMD64,)).package(nobody).referrers) == (1 if refers else 0)


@pytest.mark.parametrize("platform", ["unknown/unknown", "linux/arm64"])
def test_what_is_there_can_be_pushed_alone(tmp_path: Path, platform: str) -> None:
    made = Making()
    entry, missing = made.image("linux/amd64"), made.image(platform)
    del made.files[path_of(missing)]
    index = made.index(entry, missing)
    archive = made.tagged(index).folder(tmp_path)
    meant = "" if platform == "unknown/unknown" else f" for {platform}"
    assert refused(archive) == (
        f"{tmp_path}/{path_of(missing)}: it is not there, and the index {index['digest']} names it{meant}",
        "what is there can be pushed alone, by --platform: linux/amd64",
    )
    assert digests(archive, AMD64) == [[entry["digest"]]]


@pytest.mark.parametrize("written", ["layers", "manifests"])
def test_a_list_of_nothing(tmp_path: Path, written: str) -> None:
    """BuildKit writes `null` of an image without layers."""
    made = Making()
    config = made.keep(config_of(), CONFIG)
    if written == "layers":
        entry = made.document({"config": config, "layers": None}, OCI_MANIFEST)
        image = open_image(made.tagged(entry).folder(tmp_path))
        assert list(read(image).values()) == [made.files[path_of(config)]]
    else:
        made.files["index.json"] = b'{"manifests": null}'
        assert refused(made.folder(tmp_path)) == (f"{tmp_path}/index.json: it names no image", AGAIN)


def test_a_manifest_of_the_first_schema(tmp_path: Path) -> None:
    made = Making()
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    message, hint = refused(made.tagged(made.document({}, media_type)).folder(tmp_path))
    assert f"it is of the type {media_type}" in message
    assert hint == "pull the image with a newer tool, which converts it, and write it again"


def test_what_another_image_lacks_is_nobodys_concern(tmp_path: Path) -> None:
    made = Making()
    entry, other = made.image(), made.image("linux/arm64")
    del made.files[path_of(other)]
    assert digests(at(made.tagged(entry, "1").tagged(other, "2").folder(tmp_path), "1")) == [[entry["digest"]]]


@pytest.mark.parametrize(("urls", "held"), [(["https://go.microsoft.test/1"], False), ([], True)])
def test_layers_that_are_elsewhere(tmp_path: Path, urls: list[str], held: bool) -> None:
    made = Making()
    media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layer = made.keep(b"windows", media_type, **({"urls": urls} if urls else {}))
    config = made.keep(config_of(), CONFIG)
    entry = made.document({"config": config, "layers": [layer]}, OCI_MANIFEST)
    if not held:
        del made.files[path_of(layer)]
    image = open_image(made.tagged(entry).folder(tmp_path))
    assert (layer["digest"] in read(image)) is held


def test_content_within_a_descriptor(tmp_path: Path) -> None:
    made = Making()
    config = {**made.keep(b"{}", CONFIG), "data": base64.b64encode(b"{}").decode()}
    made.tagged(made.document({"config": config, "layers": []}, OCI_MANIFEST))
    del made.files[path_of(config)]
    assert list(read(open_image(made.folder(tmp_path))).values()) == [b"{}"]


def test_an_artifact_has_no_platform(tmp_path: Path) -> None:
    made = Making()
    artifact = made.document(
        {"config": made.keep(b'{"os": "linux", "architecture": "amd64"}', "application/x"), "layers": []}, OCI_MANIFEST
    )
    image = open_image(made.tagged(artifact, "1").folder(tmp_path))
    assert image.upcoming == Upcoming((), artifact["digest"])


# ---------------------------------------------------------------------- what is refused


def broken(change: Callable[[Making, Entry, Entry], object]) -> Callable[[Path], tuple[Archive, Entry, Entry]]:
    def make(path: Path) -> tuple[Archive, Entry, Entry]:
        made = Making()
        entry = made.image("linux/amd64", b"some content")
        layer = json.loads(made.files[path_of(entry)])["layers"][0]
        made.tagged(entry, "1")
        change(made, entry, layer)
        return made.folder(path), entry, layer

    return make


def listing(text: str) -> Callable[[Making, Entry, Entry], object]:
    return lambda made, entry, layer: made.files.update({"index.json": text.encode()})


BROKEN: dict[str, tuple[Callable[[Making, Entry, Entry], object], str]] = {
    "no marker": (
        lambda made, entry, layer: made.files.pop("oci-layout"),
        "oci-layout: it is not there, so this is no OCI image layout",
    ),
    "odd marker": (
        lambda made, entry, layer: made.files.update({"oci-layout": b'{"imageLayoutVersion": "2.0"}'}),
        "oci-layout: it says 2.0, and only versions 1.x are known",
    ),
    "marker of nothing": (
        lambda made, entry, layer: made.files.update({"oci-layout": b"{}"}),
        "oci-layout: it says no version, and only versions 1.x are known",
    ),
    "no JSON": (listing("{"), "index.json: it is not JSON"),
    "no object": (listing("[]"), "index.json: it is not a JSON object"),
    "no list": (listing("{}"), "index.json: it has no list of manifests"),
    "a way out": (
        listing('{"manifests": [{"digest": "sha256:../../etc/passwd", "size": 1}]}'),
        'index.json: it names a blob by "sha256:../../etc/passwd", which is not a digest: '
        "sha256 has 64 hexadecimal digits "
        "(manifests[0])",
    ),
    "a digest of another algorithm": (
        listing(json.dumps({"manifests": [{"digest": f"sha256:{'a' * 64}", "size": 1}, {"digest": "blake3:ab"}]})),
        'index.json: it names a blob by "blake3:ab", whose algorithm is not known here: sha256 and sha512 are '
        "(manifests[1])",
    ),
    "a size in words": (
        listing(json.dumps({"manifests": [{"digest": f"sha256:{'a' * 64}", "size": "12"}]})),
        f'index.json: it names the blob sha256:{"a" * 64} with the size "12", which is not a number of bytes '
        "(manifests[0])",
    ),
    "missing layer": (
        lambda made, entry, layer: made.files.pop(path_of(layer)),
        "{layer}: it is not there, and the manifest {digest} names it",
    ),
    "shorter layer": (
        lambda made, entry, layer: made.files.update({path_of(layer): b"some"}),
        "{layer}: it has 4 bytes, and the manifest {digest} says 12",
    ),
    "shorter manifest": (
        lambda made, entry, layer: made.files.update({path_of(entry): b"{}"}),
        "{manifest}: it has 2 bytes, and index.json says {size}",
    ),
    "another manifest": (
        lambda made, entry, layer: made.files.update({path_of(entry): b" " * entry["size"]}),
        "{manifest}: its content has the digest {spaces}",
    ),
    "other content": (
        lambda made, entry, layer: made.files.update({path_of(layer): b"SOME CONTENT"}),
        "{layer}: its content has the digest {upper}, and not {layer_digest}",
    ),
    "no image": (
        lambda made, entry, layer: made.entries[0].update(mediaType="application/x\x1b[1m"),
        "{manifest}: it is of the type application/x [1m, not an image or index",
    ),
    "two types": (
        lambda made, entry, layer: made.entries[0].update(mediaType=OCI_INDEX),
        f"{{manifest}}: it says that it is of the type {OCI_MANIFEST}, and is named as {OCI_INDEX}",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_layouts(tmp_path: Path, change: Callable[[Making, Entry, Entry], object], message: str) -> None:
    archive, entry, layer = broken(change)(tmp_path / "out")
    expected = message.format(
        layer=path_of(layer),
        manifest=path_of(entry),
        digest=entry["digest"],
        layer_digest=layer["digest"],
        size=entry["size"],
        spaces=digest_of(b" " * entry["size"]),
        upper=digest_of(b"SOME CONTENT"),
    )
    message, hint = refused(archive)
    assert message == f"{tmp_path}/out/{expected}"
    assert hint


def test_a_pipe_for_a_blob_keeps_nobody_waiting(tmp_path: Path) -> None:
    archive, _, layer = broken(lambda made, entry, layer: made.files.pop(path_of(layer)))(tmp_path)
    os.mkfifo(tmp_path / path_of(layer))
    assert refused(archive) == (f"{tmp_path}/{path_of(layer)}: it is no regular file", AGAIN)


def test_a_manifest_too_large(tmp_path: Path) -> None:
    made = Making()
    entry = made.keep(b" " * ((4 << 20) + 1), OCI_MANIFEST)
    message = f"{tmp_path}/{path_of(entry)}: it has 4194305 bytes, and 4194304 are the limit"
    assert refused(made.tagged(entry).folder(tmp_path)) == (message, AGAIN)


def test_too_many_manifests(tmp_path: Path) -> None:
    made = Making()
    index = made.index(*[made.image(f"linux/cpu{number}") for number in range(1001)])
    message = f"{tmp_path}/index.json: it leads to more than 1000 manifests of one image"
    assert refused(made.tagged(index).folder(tmp_path)) == (message, BY_DIGEST)


def test_many_indexes_of_each_other_take_no_time(tmp_path: Path) -> None:
    made = Making()
    entries = [made.image()]
    for _ in range(7):
        entries = [made.index(*entries)] * 50
    assert len(digests(made.tagged(entries[0]).folder(tmp_path))) == 8


# ---------------------------------------------------------------------- files that change


def test_files_that_change_after_they_were_opened(tmp_path: Path) -> None:
    made = Making()
    archive = made.tagged(made.image("linux/amd64", b"some content")).folder(tmp_path)
    image = open_image(archive)
    image.check()
    content = image.package(nobody).contents[1]
    assert content.file == f"{tmp_path}/{path_of({'digest': content.blob.digest})}"
    file = Path(content.file)
    for change, why in (
        (lambda: file.write_bytes(b"more than that was"), "it has 18 bytes now, and had 12"),
        (lambda: file.write_bytes(b"less"), "it has 4 bytes now, and had 12"),
        (file.unlink, "it cannot be read: no such file or directory"),
    ):
        change()
        with pytest.raises(ContentBroken) as error:
            list(content.parts())
        assert error.value.message == f"{file}: {why}"


def test_a_layout_of_links(tmp_path: Path) -> None:
    made = Making()
    archive = made.tagged(made.image(), "1").folder(tmp_path / "real")
    (tmp_path / "linked").symlink_to("real")
    assert digests(Archive("oci", f"{tmp_path}/linked:1")) == digests(archive)


def test_parts_are_of_a_mebibyte_and_read_again(tmp_path: Path) -> None:
    made = Making()
    layer = os.urandom((2 << 20) + 5)
    image = open_image(made.tagged(made.image("linux/amd64", layer, media_type=LAYER)).folder(tmp_path))
    content = image.package(nobody).contents[1]
    one, two = content.parts(), content.parts()
    for _ in range(3):
        assert bytes(next(one)) == bytes(next(two))
    assert [len(part) for part in content.parts()] == [1 << 20, 1 << 20, 5]
