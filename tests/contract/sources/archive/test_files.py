"""What is read of a stretch of a file, and where it is put."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from pushsafe.model.errors import ContentBroken
from pushsafe.sources.archive.files import PART, NamedFile, Stretch

CONTENT = os.urandom(2 * PART + 4711)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return path


def test_parts_are_full_and_the_last_is_the_rest(file: Path) -> None:
    parts = [bytes(part) for part in Stretch(NamedFile(file), 0, len(CONTENT), "blob").parts()]
    assert [len(part) for part in parts] == [PART, PART, 4711]
    assert b"".join(parts) == CONTENT


@pytest.mark.parametrize("size", [1, 4711, PART, len(CONTENT)])
def test_parts_begin_where_a_page_does(file: Path, size: int) -> None:
    """Some processors copy several times slower to other places: see `Stretch`."""
    file.write_bytes(CONTENT[:size])
    for part in Stretch(NamedFile(file), 0, size, "blob").parts():
        assert ctypes.addressof(ctypes.c_char.from_buffer(part)) % mmap.PAGESIZE == 0


def test_nothing_has_no_parts(file: Path) -> None:
    file.write_bytes(b"")
    assert list(Stretch(NamedFile(file), 0, 0, "blob").parts()) == []


def test_a_file_of_another_size(file: Path) -> None:
    with pytest.raises(ContentBroken, match="it has 2101863 bytes now, and had 5"):
        list(Stretch(NamedFile(file), 0, 5, "blob").parts())
