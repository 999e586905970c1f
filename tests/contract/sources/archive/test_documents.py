"""Documents of image files as other programs write them: names in any case, and bytes that are no JSON."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.request import Archive
from pushsafe.sources import open_image
from tests.fakes.archives import (
    CONFIG,
    LAYER,
    Making,
    Member,
    config_of,
    digest_of,
    gzipped,
    nobody,
    path_of,
    read,
    refused,
    saved,
    written,
)
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST

SPELLINGS: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "title": str.title}


def spelled(document: Any, spell: Callable[[str], str]) -> Any:
    """A document with all of its names written in another way, but for those of annotations and labels."""
    if isinstance(document, list):
        return [spelled(one, spell) for one in document]
    if not isinstance(document, dict):
        return document
    kept = ("annotations", "Labels")
    return {spell(name): one if name in kept else spelled(one, spell) for name, one in document.items()}


# ---------------------------------------------------------------------- docker's list


def relisted(path: Path, listed: str, **more: bytes) -> Archive:
    config = config_of("linux/amd64", [b"one"])
    members: dict[str, Member] = {"config.json": config, "layer.tar": b"one", **more, "manifest.json": listed.encode()}
    return written(path, members)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_list_in_any_case(tmp_path: Path, spell: Callable[[str], str]) -> None:
    """containerify and Jib 1 write lower case."""
    listed = {"Config": "config.json", "RepoTags": ["my-api:1"], "Layers": ["layer.tar"]}
    archive = relisted(tmp_path / "image.tar", json.dumps([spelled(listed, spell)]))
    for ref in ("", ":my-api:1"):
        package = open_image(archive._replace(place=archive.place + ref)).package(nobody)
        assert [content.blob.is_layer for content in package.contents] == [False, True]


def test_of_two_spellings_the_last_counts(tmp_path: Path) -> None:
    """As in Go, which reads each of them into the same place."""
    first = '"config": "none", "repoTags": ["none:1"], "layers": []'
    last = '"Config": "config.json", "RepoTags": ["my-api:1"], "Layers": ["layer.tar"]'
    archive = relisted(tmp_path / "image.tar", f"[{{{first}, {last}}}]")
    assert b"one" not in read(open_image(archive._replace(place=f"{archive.place}:my-api:1"))).values()
    archive = relisted(tmp_path / "image.tar", f"[{{{last}, {first}}}]")
    assert refused(archive)[0] == f"{archive.place} (none): it is not there, and manifest.json names it"


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_saved_config_in_any_case(tmp_path: Path, spell: Callable[[str], str]) -> None:
    config = json.dumps(spelled(json.loads(config_of("linux/arm64", [b"one"])), spell)).encode()
    listed = json.dumps([{"Config": "config.json", "Layers": ["layer.tar"]}])
    image = open_image(relisted(tmp_path / "image.tar", listed, **{"config.json": config}))
    assert image.upcoming.platforms == (ARM64,)
    assert image.upcoming.version == "1.2.3"
    assert config in read(image).values()


# ---------------------------------------------------------------------- layouts


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_layout_in_any_case(tmp_path: Path, spell: Callable[[str], str]) -> None:
    """Every document of it, byte for byte as it is."""
    made = Making()

    def keep(document: dict[str, Any], media_type: str) -> dict[str, Any]:
        return made.keep(json.dumps(spelled(document, spell)).encode(), media_type)

    layer = gzipped(b"one")
    config = keep(json.loads(config_of("linux/amd64", [b"one"])), CONFIG)
    parts = {"config": config, "layers": [made.keep(layer, LAYER)]}
    image = keep({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **parts}, OCI_MANIFEST)
    named = {**image, "platform": {"os": "linux", "architecture": "amd64"}}
    index = keep({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named]}, OCI_INDEX)
    about = {"config": config, "layers": [], "subject": index, "schemaVersion": 2, "mediaType": OCI_MANIFEST}
    made.entries = [index, keep(about, OCI_MANIFEST)]
    archive = made.folder(tmp_path)
    for file in (tmp_path / "index.json", tmp_path / "oci-layout"):
        file.write_text(json.dumps(spelled(json.loads(file.read_bytes()), spell)))
    opened = open_image(archive)
    package = opened.package(nobody)
    assert [[content.digest for content in level] for level in package.levels] == [[image["digest"]], [index["digest"]]]
    assert {content.blob.digest for content in package.contents} == {config["digest"], digest_of(layer)}
    assert [referrer.subject for referrer in package.referrers] == [index["digest"]]
    assert opened.upcoming.platforms == (AMD64,)
    assert opened.upcoming.version == "1.2.3"


# ---------------------------------------------------------------------- no JSON

ENCODED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "byte order mark": (lambda body: codecs.BOM_UTF8 + body, "it is not JSON: it begins with a byte order mark"),
    "UTF-16": (lambda body: body.decode().encode("utf-16"), "it is not JSON: it is not UTF-8"),
    "UTF-16 without a mark": (lambda body: body.decode().encode("utf-16-le"), "it is not JSON"),
    "UTF-32": (lambda body: body.decode().encode("utf-32"), "it is not JSON: it is not UTF-8"),
    "Latin-1": (lambda body: body[:-1] + ', "ü": 1}'.encode("latin-1"), "it is not JSON: it is not UTF-8"),
    "not a number": (lambda body: body[:-1] + b', "x": NaN}', "it is not JSON"),
}


@pytest.mark.parametrize("part", ["oci-layout", "index.json", "index", "manifest", "config"])
def test_a_layouts_document_that_is_no_json(tmp_path: Path, part: str) -> None:
    for name, (encode, why) in ENCODED.items():
        file, archive = layout_with(tmp_path / name, part, encode)
        assert refused(archive)[0] == f"{file}: {why}", name


def layout_with(folder: Path, part: str, encode: Callable[[bytes], bytes]) -> tuple[Path, Archive]:
    """A layout, one part of which is encoded in another way, and the file that holds the part."""
    made = Making()

    def keep(name: str, document: dict[str, Any], media_type: str) -> dict[str, Any]:
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
        return made.keep(encode(body) if name == part else body, media_type)

    config = keep("config", json.loads(config_of()), CONFIG)
    manifest = keep("manifest", {"config": config, "layers": []}, OCI_MANIFEST)
    index = keep("index", {"manifests": [manifest]}, OCI_INDEX)
    archive = made.tagged(index).folder(folder)
    if part in ("oci-layout", "index.json"):
        file = folder / part
        file.write_bytes(encode(file.read_bytes()))
    else:
        file = folder / path_of({"config": config, "manifest": manifest, "index": index}[part])
    return file, archive


@pytest.mark.parametrize("part", ["manifest.json", "config"])
def test_a_saved_document_that_is_no_json(tmp_path: Path, part: str) -> None:
    files = saved(b"one")
    (listed,) = json.loads(bytes(files["manifest.json"]))  # type: ignore[arg-type]
    listed["Config"] = "config"
    files["config"] = config_of("linux/amd64", [b"one"])
    # An object in place of the list: what is added at its end is added within it.
    files["manifest.json"] = json.dumps([listed] if part == "config" else listed).encode()
    body = files[part]
    assert isinstance(body, bytes)
    for name, (encode, why) in ENCODED.items():
        archive = written(tmp_path / f"{name}.tar", {**files, part: encode(body)})
        assert refused(archive)[0] == f"{archive.place} ({part}): {why}", name
