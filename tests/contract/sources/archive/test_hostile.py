"""Files that somebody made to do harm: nothing outside of them is read or written, and nothing is left behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.archives import (
    TAR,
    Making,
    Member,
    config_of,
    digest_of,
    gzipped,
    link,
    path_of,
    refused,
    saved,
    written,
)

SECRET = b"what nobody is to read"
WAYS_OUT = (
    *("../secret", "../../secret", "{outside}", "a/../../secret", "./../secret", "0/../../secret", "..", "/", "."),
    *("..\\secret", "secret\0", "\x1b[31m../secret", "~/secret", "file://{outside}", "a" * 5000, ""),
)


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file beside every image, and a folder for temporary files that has to be empty again."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    yield file
    assert file.read_bytes() == SECRET
    assert sorted(one.name for one in tmp_path.iterdir()) == ["images", "secret", "temporary"]
    assert list(temporary.iterdir()) == []


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def harmless(said: tuple[str, str]) -> None:
    assert " ".join(said).isprintable()
    assert SECRET.decode() not in " ".join(said)


@pytest.mark.parametrize("part", ["Config", "Layers"])
@pytest.mark.parametrize("name", WAYS_OUT, ids=lambda name: repr(name)[:24])
def test_a_name_that_leads_out_of_a_saved_image(part: str, name: str, images: Path, outside: Path) -> None:
    """The image is right but for the name: the file outside has the digest that is wanted."""
    name = name.format(outside=outside)
    config = config_of("linux/amd64", [SECRET])
    files = {"config.json": config, "0/layer.tar": SECRET}
    entry = {"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["0/layer.tar"]}
    entry[part] = [name] if part == "Layers" else name
    del files["config.json" if part == "Config" else "0/layer.tar"]
    harmless(refused(written(images / "a.tar", {**files, "manifest.json": json.dumps([entry]).encode()})))


@pytest.mark.parametrize("target", ["../secret", "../../secret", "{outside}", "/../secret", "..", "/", "0/layer.tar"])
@pytest.mark.parametrize("kind", [b"1", b"2"], ids=["hard", "symbolic"])
def test_a_link_that_leads_out_of_a_saved_image(kind: bytes, target: str, images: Path, outside: Path) -> None:
    files: dict[str, Member] = dict(saved(SECRET))
    files["0/layer.tar"] = link("0/layer.tar", target.format(outside=outside), kind)
    harmless(refused(written(images / "a.tar", files)))


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"5"], ids=["characters", "blocks", "pipe", "folder"])
def test_what_is_no_file_in_a_saved_image(kind: bytes, images: Path) -> None:
    harmless(refused(written(images / "a.tar", {**saved(SECRET), "0/layer.tar": link("0/layer.tar", "", kind)})))


@pytest.mark.parametrize(
    "digest",
    ["sha256:../secret", "sha256:../../../../secret", "../../secret", "sha256:{outside}", "sha256:", "\x1b[2J:x", ":"],
)
def test_a_digest_that_leads_out_of_a_layout(digest: str, images: Path, outside: Path) -> None:
    made = Making()
    layer = {"mediaType": TAR, "digest": digest.format(outside=outside), "size": len(SECRET)}
    config = made.keep(config_of("linux/amd64", [SECRET]), "application/vnd.oci.image.config.v1+json")
    entry = made.document({"config": config, "layers": [layer]}, "application/vnd.oci.image.manifest.v1+json")
    harmless(refused(made.tagged(entry).folder(images / "layout")))
    harmless(refused(made.tar(images / "layout.tar")))


@pytest.mark.parametrize("content", [SECRET, b"x" * len(SECRET)], ids=["the same", "other"])
def test_a_link_out_of_a_folder_is_what_it_leads_to_only_with_its_digest(
    content: bytes, images: Path, outside: Path
) -> None:
    """Layouts of links are made by build tools; what they lead to is sent only where a digest names it already."""
    made = Making()
    entry = made.image("linux/amd64", content, media_type=TAR)
    archive = made.tagged(entry).folder(images / "layout")
    file = images / "layout" / path_of({"digest": digest_of(content)})
    file.unlink()
    file.symlink_to(outside)
    if content == SECRET:
        with pytest.raises(AssertionError, match="nothing is wrong with it"):
            refused(archive)
    else:
        harmless(refused(archive))


def test_a_layer_that_unpacks_to_a_thousand_times_its_size(images: Path) -> None:
    """It is hashed as it unpacks, and is another than the config says."""
    bomb = gzipped(bytes(64 << 20))
    assert len(bomb) < 1 << 17
    began = time.process_time()
    said = refused(written(images / "a.tar", {**saved(b"one"), "0/layer.tar": bomb}))
    assert time.process_time() - began < 10
    assert f"and not {digest_of(b'one')} as its config says" in said[0]
