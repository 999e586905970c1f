"""Image files that others wrote: a layout and a `docker save` near to right ones, refused by their names or read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsafe.model.errors import UsageError
from pushsafe.model.request import Archive
from pushsafe.oci.platform import Platform
from pushsafe.sources import TRANSPORTS, open_image
from tests.contract.fuzz.strategies import TELLING, TEXTS, assert_fit, near, quick, written
from tests.fakes.archives import CONFIG, LAYER, NAME, Making, config_of, gzipped, nobody, saved, tar_of, zstd
from tests.values import OCI_INDEX, OCI_MANIFEST


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        yield Path(name)


def refused_by_name(archive: Archive, path: Path, *platforms: Platform) -> bool:
    """Whether it is refused; if so, by a message that names the file."""
    with quick(5.0):
        refusal = _refusal(archive, platforms)
    if refusal is None:
        return False
    assert str(path) in refusal.message
    assert_fit(refusal.message, refusal.hint, limit=5000)
    return True


def _refusal(archive: Archive, platforms: tuple[Platform, ...]) -> UsageError | None:
    try:
        image = open_image(archive, platforms)
        try:
            contents = image.package(nobody).contents
            image.check()
            assert all(sum(map(len, content.parts())) == content.blob.size for content in contents)
        finally:
            image.close()
    except UsageError as error:
        return error
    return None


ENTRY = {"os": "linux", "architecture": "amd64"}


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, bytes]:
    """One of its documents is odd, and named by its right digest nevertheless."""
    odd = draw(st.sampled_from(["oci-layout", "index.json", "index", "manifest", "config"]))
    made = Making()

    def body(name: str, document: Mapping[str, Any]) -> bytes:
        return draw(written(near(document))) if name == odd else json.dumps(document).encode()

    config = made.keep(body("config", json.loads(config_of())), CONFIG)
    layers = [made.keep(gzipped(b"one"), LAYER)]
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, "annotations": {}}
    image = made.keep(body("manifest", manifest), OCI_MANIFEST, platform=ENTRY)
    about = made.about(image)
    index = made.keep(body("index", {"schemaVersion": 2, "manifests": [image, about]}), OCI_INDEX)
    entries = [{**index, "annotations": {NAME: "1"}}, about]
    made.files["index.json"] = body("index.json", {"schemaVersion": 2, "manifests": entries})
    made.files["oci-layout"] = body("oci-layout", {"imageLayoutVersion": "1.0.0"})
    return made.files


@given(layouts(), st.sampled_from([(), (Platform("linux", "amd64"),)]), st.sampled_from(["", ":1", ":2", ":\x1b"]))
def test_layouts(files: dict[str, bytes], platforms: tuple[Platform, ...], ref: str) -> None:
    with folder() as path:
        for name, content in files.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        refused_by_name(Archive("oci", f"{path}{ref}"), path, *platforms)


SAVED = saved(b"one", b"two")
LISTED = json.loads(bytes(SAVED["manifest.json"]))  # type: ignore[arg-type]


@given(written(near(LISTED)), written(near(json.loads(config_of("linux/amd64", [b"one", b"two"])))))
def test_what_docker_saved(listed: bytes, config: bytes) -> None:
    files = {**SAVED, LISTED[0]["Config"]: config, "manifest.json": listed}
    with folder() as path:
        file = path / "image.tar"
        file.write_bytes(tar_of(files))
        refused_by_name(Archive("docker-archive", str(file)), file)


LAYERS = {"tar": b"one", "gzip": gzipped(b"one"), "zstd": zstd(b"one")}


@given(st.sampled_from(sorted(LAYERS)), st.data())
def test_damaged_layers(kind: str, data: st.DataObject) -> None:
    whole = LAYERS[kind]
    at = data.draw(st.integers(0, len(whole)))
    layer = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 4)) :]
    with folder() as path:
        file = path / "image.tar"
        file.write_bytes(tar_of({**saved(b"one"), "0/layer.tar": layer}))
        refused = refused_by_name(Archive("docker-archive", str(file)), file)
    assert refused or layer == whole or kind != "tar"


TARS = {
    "layout": tar_of(dict(Making().tagged(Making().image()).whole())),
    "saved": tar_of(SAVED),
    "long names": tar_of({"a" * 300: b"1", **SAVED}),
}


@given(st.sampled_from(sorted(TARS)), st.sampled_from(sorted(TRANSPORTS)), st.data())
def test_damaged_tars(name: str, kind: str, data: st.DataObject) -> None:
    content = bytearray(TARS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers are what is read of it; a tar ends with a lot of nothing.
        at = data.draw(st.integers(0, len(content) - 1)) // 512 * 512 + data.draw(st.integers(0, 511))
        content[at : at + data.draw(st.integers(0, 600))] = data.draw(st.binary(max_size=12))
        content = content or bytearray(b"\0")
    with folder() as path:
        file = path / "image.tar"
        file.write_bytes(bytes(content))
        refused_by_name(Archive(kind, str(file)), file)


@pytest.mark.parametrize("compress", [gzipped, zstd], ids=["gzip", "zstd"])
@given(data=st.data())
def test_damaged_compressed_tars(compress: Any, data: st.DataObject) -> None:
    whole = compress(TARS["saved"])
    at = data.draw(st.integers(0, len(whole)))
    content = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 40)) :]
    with folder() as path:
        file = path / "image.tar"
        file.write_bytes(content)
        refused_by_name(Archive("docker-archive", str(file)), file)


@given(st.one_of(TEXTS, TELLING.filter(lambda text: "\ud800" not in text)), st.sampled_from(sorted(TRANSPORTS)))
def test_places(place: str, kind: str) -> None:
    with quick():
        try:
            open_image(Archive(kind, f"/nowhere/{place}")).close()
        except UsageError as error:
            assert_fit(error.message, error.hint, limit=5000)
        else:
            raise AssertionError("there is nothing there")
