"""Tar files as stores: compressed ones, links within them, and damaged ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pushsafe.model.errors import UsageError
from pushsafe.model.request import Archive
from pushsafe.sources import TRANSPORTS, open_image
from pushsafe.sources.archive.tar import Tar
from tests.fakes.archives import SKIPPED, Making, link, read, refused, tar_of, zstd

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two members": lambda tar: gzip.compress(tar[:1000]) + gzip.compress(tar[1000:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zstd in frames, as pzstd writes it": lambda tar: SKIPPED + zstd(tar[:1000]) + SKIPPED + zstd(tar[1000:]),
}
CUT = "write it again, or copy it again if it was copied"


def layout() -> Making:
    made = Making()
    return made.tagged(made.image("linux/amd64", b"some content", os.urandom(3 << 20)), "1")


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_a_compressed_tar(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    made = layout()
    archive = made.tar(tmp_path / "image.tar")
    plain = read(open_image(archive))
    file = Path(archive.place)
    file.write_bytes(compress(file.read_bytes()))
    assert read(open_image(archive)) == plain
    file.write_bytes(file.read_bytes()[:-20])
    kind = {0x1F: "gzip", ord("B"): "bzip2", 0xFD: "xz"}.get(file.read_bytes()[0], "zstd")
    message, hint = refused(archive)
    assert message.startswith(f"{file}: it is compressed by {kind}, and damaged: ")
    assert hint == CUT


def test_a_tar_that_begins_like_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({"BZh": b"content"}))
    found = Tar(path).find("BZh")
    assert found is not None
    assert found.whole() == b"content"


def store(path: Path, **members: bytes | tarfile.TarInfo) -> Tar:
    path.write_bytes(tar_of({name.replace("__", "/"): content for name, content in members.items()}))
    return Tar(path)


def members(*links: tarfile.TarInfo) -> dict[str, bytes | tarfile.TarInfo]:
    return {"./a/file": b"content", **{one.name: one for one in links}}


LINKS = {
    "a folder before it": (members(), "./a/./file"),
    "a link": (members(link("b", "a/file")), "b"),
    "a link to a link": (members(link("b/c", "../d"), link("d", "a/file")), "b/c"),
    "from the root": (members(link("b", "/a/file")), "b"),
    "a hard link": (members(link("b", "./a/file", tarfile.LNKTYPE)), "b"),
    "a folder's": (members(link("b", "a")), "b/file"),
    "not out of it": (members(link("b/c", "../../../a/file")), "b/c"),
}


@pytest.mark.parametrize(("files", "name"), LINKS.values(), ids=LINKS)
def test_members_by_any_name(tmp_path: Path, files: dict[str, bytes | tarfile.TarInfo], name: str) -> None:
    found = store(tmp_path / "a.tar", **files).find(name)
    assert found is not None
    assert found.whole() == b"content"
    assert found.file == f"{tmp_path}/a.tar (a/file)"


def test_what_is_no_file(tmp_path: Path) -> None:
    tar = store(tmp_path / "a.tar", a=link("a", "b"), b=link("b", "a"), c=link("c", "", tarfile.FIFOTYPE))
    assert tar.find("d") is None
    with pytest.raises(UsageError, match=r"a\.tar \((a|b)\): it is a link that leads to itself"):
        tar.find("a")
    with pytest.raises(UsageError, match=r"a\.tar \(c\): it is no regular file"):
        tar.find("c")


@pytest.mark.parametrize("through", [False, True], ids=["asked for", "linked to"])
def test_names_too_long(tmp_path: Path, through: bool) -> None:
    long = "a/" * 60_000 + "b"
    tar = store(tmp_path / "a.tar", a=link("a", long))
    started = time.process_time()
    with pytest.raises(UsageError, match="a name of more than 4096 letters"):
        tar.find("a" if through else long)
    assert time.process_time() - started < 1


def test_a_negative_size_in_an_extended_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    entry = tarfile.TarInfo("a")
    entry.pax_headers = {"size": "-5"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry)
    if sys.version_info >= (3, 14):  # whose tarfile takes such a header for the end of the archive
        assert Tar(path).find("a") is None
        return
    with pytest.raises(UsageError, match=r"a\.tar: it is damaged: a has -5 bytes"):
        Tar(path)


def test_the_last_of_one_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({"a": b"old", "./a": b"new"}))
    found = Tar(path).find("a")
    assert found is not None
    assert found.whole() == b"new"


def test_a_file_with_holes(tmp_path: Path) -> None:
    sparse = link("a", "", tarfile.GNUTYPE_SPARSE)
    tar = store(tmp_path / "a.tar", a=sparse)
    with pytest.raises(UsageError, match=r"a\.tar \(a\): it is stored with its holes left out"):
        tar.find("a")


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda tar: b"", "it is no tar file"),
    "no tar": (lambda tar: b"<html>" * 1000, "it is no tar file"),
    "cut within a member": (lambda tar: tar[:1500], "it ends within a"),
    "cut within a header": (lambda tar: tar[: 512 + 2048 + 100], "it is cut off or damaged after 2560 bytes"),
    "cut within the last member": (lambda tar: tar[: 512 + 2048 + 512 + 1999], "it ends within b"),
    "cut within its end": (lambda tar: tar[: 2 * (512 + 2048) + 100], "it is cut off or damaged after 5120 bytes"),
    "damaged header": (
        lambda tar: tar[:2560] + b"\xff" * 512 + tar[3072:],
        "it is cut off or damaged after 2560 bytes",
    ),
    "negative size": (lambda tar: tar[:124] + b"\xff" * 12 + tar[136:], "it is no tar file"),
}


@pytest.mark.parametrize(("damage", "why"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_tars(tmp_path: Path, damage: Callable[[bytes], bytes], why: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(damage(tar_of({"a": b"1" * 2000, "b": b"2" * 2000})))
    with pytest.raises(UsageError) as error:
        Tar(path)
    assert error.value.message == f"{path}: {why}"
    assert error.value.hint == CUT


@pytest.mark.parametrize("left", [2 * 2560, 2 * 2560 + 512, 2560 + 512 + 2000, 2560 + 512 + 2001, 3 * 2560])
def test_a_writer_that_was_not_closed(tmp_path: Path, left: int) -> None:
    """The blocks of zeros at the end are missing, or the padding before them, too; what is there is whole."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({"a": b"1" * 2000, "b": b"2" * 2000})[:left])
    tar = Tar(path)
    assert [found and found.whole() for found in map(tar.find, "ab")] == [b"1" * 2000, b"2" * 2000]


def test_what_is_no_tar_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("pipe", "it is no regular file, and it has to be read more than once"),
        ("", "it is a folder, and a tar file is expected"),
    ):
        path = tmp_path / name
        assert refused(Archive("oci-archive", str(path)))[0] == f"{path}: {why}"


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_folder_of_skopeos(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "my image"
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_text("{}")
    layout = f"'oci:{folder}-layout:latest'"
    assert refused(Archive(kind, str(folder))) == (
        f"{folder}: it is a folder as skopeo's dir: transport writes it, not an OCI image layout",
        f"skopeo copy 'dir:{folder}' {layout}   (then push --from {layout})",
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    archive = layout().tar(tmp_path / "a.tar")._replace(kind="oci")
    hint = "a layout in a tar file is named as oci-archive:FILE, what docker save wrote as docker-archive:FILE"
    assert refused(archive) == (f"{archive.place}: it is no folder", hint)


def test_the_file_may_get_another_name(tmp_path: Path) -> None:
    archive = layout().tar(tmp_path / "a.tar")
    image = open_image(archive)
    Path(archive.place).unlink()
    assert len(read(image)) == 3
    image.close()
    with pytest.raises(Exception, match="it was closed before it was read"):
        read(image)
