"""Signatures and the like that a layout holds by tags made of their images' digests: they go along, under such tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.request import Archive
from pushsafe.oci.content import Package
from pushsafe.sources import open_image
from tests.fakes.archives import NAME, Entry, Making, nobody, path_of, refused
from tests.values import AMD64

KIND = "kind"
COSIGN = "dev.cosignproject.cosign"


def at(archive: Archive, ref: str) -> Archive:
    return archive._replace(place=f"{archive.place}:{ref}")


def package_of(archive: Archive) -> Package:
    image = open_image(archive)
    image.close()
    return image.package(nobody)


def signature(made: Making, text: str = "signature") -> Entry:
    """No more than its name says what it is about."""
    return made.image("unknown/unknown", text.encode())


def tag_of(entry: Entry, suffix: str = ".sig") -> str:
    return f"{entry['digest'].replace(':', '-')}{suffix}"


def tags(package: Package) -> list[tuple[str, str, str]]:
    return [(one.tag, one.content.digest, one.subject) for one in package.companions]


NAMES: dict[str, tuple[str, str, str]] = {
    "cosign's signature": ("{}.sig", "", ".sig"),
    "cosign's attestation": ("{}.att", "", ".att"),
    "cosign's SBOM": ("{}.sbom", "", ".sbom"),
    "sylabs' prefix": ("_cosign:{}.sig", "", ".sig"),
    "regclient's": ("{}.0123456789abcdef.meta", "", ".0123456789abcdef.meta"),
    "a repository before it": ("registry.test:5000/acme/app:{}.sig", "", ".sig"),
    "containerd's two names": ("{}.sig", "registry.test/acme/app:{}.sig", ".sig"),
}


@pytest.mark.parametrize(("name", "whole_name", "suffix"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("ref", ["", "1"])
def test_it_goes_along_under_its_tag(
    put: Callable[[Making], Archive], name: str, whole_name: str, suffix: str, ref: str
) -> None:
    """No REF is wanted, as nothing but the image can be meant."""
    made = Making()
    entry, signed = made.image("linux/amd64"), signature(made)
    tag = entry["digest"].replace(":", "-")
    archive = put(made.tagged(signed, name.format(tag), whole_name.format(tag)).tagged(entry, "1"))
    package = package_of(at(archive, ref) if ref else archive)
    assert tags(package) == [(f"{tag}{suffix}", signed["digest"], entry["digest"])]
    assert [[one.digest for one in level] for level in package.levels] == [[entry["digest"]]]
    assert len(package.contents) == 4  # a config and a layer each


def test_what_is_about_other_images_stays(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry, other = made.image("linux/amd64"), made.image("linux/arm64")
    foreign = signature(made)
    del made.files[path_of(foreign)]
    archive = put(made.tagged(entry, "1").tagged(other, "2").tagged(foreign, tag_of(other)))
    assert tags(package_of(at(archive, "1"))) == []


def test_all_that_is_about_any_part_goes_along(put: Callable[[Making], Archive]) -> None:
    """Of the index and of what it names, a signature of a signature, and one of something that refers to the image."""
    made = Making()
    amd64, arm64 = made.image("linux/amd64"), made.image("linux/arm64")
    index = made.index(amd64, arm64)
    referrer = made.about(index)
    found = [(subject, signature(made, subject["digest"])) for subject in (index, arm64, referrer)]
    found.append((found[0][1], signature(made, "of a signature")))
    made.tagged(index, "1").tagged(referrer)
    for subject, signed in found:
        made.tagged(signed, tag_of(subject))
    package = package_of(put(made))
    assert sorted(tags(package)) == sorted((tag_of(one), signed["digest"], one["digest"]) for one, signed in found)
    assert [one.content.digest for one in package.referrers] == [referrer["digest"]]
    assert len(package.levels) == 2


def test_one_that_refers_by_itself_is_found_both_ways(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image("linux/amd64")
    signed = made.about(entry)
    package = package_of(put(made.tagged(entry, "1").tagged(signed, tag_of(entry))))
    assert [one.content.digest for one in package.referrers] == [signed["digest"]]
    assert tags(package) == [(tag_of(entry), signed["digest"], entry["digest"])]


def test_an_index_of_them_comes_with_what_it_names(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry = made.image("linux/amd64")
    parts = [signature(made, "one"), signature(made, "two")]
    both = made.index(*parts)
    package = package_of(put(made.tagged(entry, "1").tagged(both, tag_of(entry, ".att"))))
    assert tags(package) == [(tag_of(entry, ".att"), both["digest"], entry["digest"])]
    assert {one.content.digest for one in package.referrers} == {part["digest"] for part in parts}


def test_of_one_platform_its_own(tmp_path: Path) -> None:
    made = Making()
    amd64, arm64 = made.image("linux/amd64"), made.image("linux/arm64")
    index = made.index(amd64, arm64)
    made.tagged(index, "1")
    for one in (amd64, arm64, index):
        made.tagged(signature(made, one["digest"]), tag_of(one))
    image = open_image(made.folder(tmp_path), (AMD64,))
    assert [one.tag for one in image.package(nobody).companions] == [tag_of(amd64)]
    assert image.upcoming.attestations == 1  # the signature of the index


def test_a_signature_can_be_pushed_by_its_name(put: Callable[[Making], Archive]) -> None:
    made = Making()
    entry, signed = made.image("linux/amd64"), signature(made)
    archive = put(made.tagged(entry, "1").tagged(signed, tag_of(entry)))
    package = package_of(at(archive, tag_of(entry)))
    assert (package.manifest.digest, package.companions) == (signed["digest"], ())


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    made = Making()
    entry, signed = made.image("linux/amd64"), signature(made)
    made.tagged(entry, "1").tagged(signed, tag_of(entry))
    layer = json.loads(made.files[path_of(signed)])["layers"][0]
    del made.files[path_of(layer)]
    where = f"{tmp_path}/{path_of(layer)}"
    assert refused(at(made.folder(tmp_path), "1"))[0].startswith(f"{where}: it is not there")


def test_what_is_no_manifest_is_not_taken_for_one(tmp_path: Path) -> None:
    made = Making()
    entry = made.image("linux/amd64")
    made.tagged(entry, "1").tagged(made.keep(b"a key", "text/plain"), tag_of(entry))
    assert package_of(made.folder(tmp_path)).companions == ()


# ---------------------------------------------------------------------- as `cosign save` writes it


def saved(made: Making, entry: Entry, kind: str, name: str = "") -> None:
    made.entries.append({**entry, "annotations": {KIND: f"{COSIGN}/{kind}", **({NAME: name} if name else {})}})


@pytest.mark.parametrize("name", ["", "registry.test/acme/app:1"])
@pytest.mark.parametrize("kind", ["image", "imageIndex"])
def test_kinds_of_entries(put: Callable[[Making], Archive], name: str, kind: str) -> None:
    """They bear the name of their image, or none."""
    made = Making()
    entry = made.image("linux/amd64")
    entry = made.index(entry) if kind == "imageIndex" else entry
    sigs, atts, sboms = (signature(made, text) for text in ("sigs", "atts", "sboms"))
    for one, what in ((sigs, "sigs"), (entry, kind), (atts, "atts"), (sboms, "sboms")):
        saved(made, one, what, name)
    archive = put(made)
    package = package_of(at(archive, name) if name else archive)
    wanted = zip((".sig", ".att", ".sbom"), (sigs, atts, sboms), strict=True)
    assert tags(package) == [(tag_of(entry, suffix), one["digest"], entry["digest"]) for suffix, one in wanted]
    assert package.manifest.digest == entry["digest"]


def test_kinds_of_several_images(tmp_path: Path) -> None:
    """The name tells which one it is about; where it does not, that is said."""
    made = Making()
    images = [made.image(platform) for platform in ("linux/amd64", "linux/arm64")]
    for number, image in enumerate(images):
        saved(made, image, "image", f"registry.test/app:{number}")
        saved(made, signature(made, str(number)), "sigs", f"registry.test/app:{number}")
    nameless = signature(made, "of nobody knows which")
    saved(made, nameless, "sigs")
    opened = open_image(at(made.folder(tmp_path), "registry.test/app:1"))
    assert [one.tag for one in opened.package(nobody).companions] == [tag_of(images[1])]
    assert opened.upcoming.untagged == (nameless["digest"],)


# ---------------------------------------------------------------------- where no tag can be made


def test_a_tag_too_long(tmp_path: Path) -> None:
    made = Making()
    entry = made.image("linux/amd64")
    body = made.files[path_of(entry)]
    long: dict[str, Any] = {**entry, "digest": f"sha512:{hashlib.sha512(body).hexdigest()}"}
    made.files[path_of(long)] = body
    signed = signature(made)
    made.tagged(long, "1").tagged(signed, tag_of(long))
    opened = open_image(made.folder(tmp_path))
    assert opened.package(nobody).companions == ()
    assert opened.upcoming.untagged == (signed["digest"],)


def test_a_signature_alone_may_be_meant(put: Callable[[Making], Archive]) -> None:
    made = Making()
    signed = signature(made)
    archive = put(made.tagged(signed, tag_of(made.image())))
    assert package_of(archive).manifest.digest == signed["digest"]
