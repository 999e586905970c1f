"""What stands on the command line, and in the file of `-f`, read into values."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from pushsafe.arguments import lines
from pushsafe.errors import UsageError

A, B = "ghcr.io/myorg/a:1", "ghcr.io/myorg/b:2"
LISTS: dict[str, tuple[bytes, list[str]]] = {
    # the file, and its references
    "one a line": (f"{A}\n{B}\n".encode(), [A, B]),
    "no end of the last line": (f"{A}\n{B}".encode(), [A, B]),
    "lines that end as on Windows": (f"{A}\r\n{B}\r\n".encode(), [A, B]),
    "lines that end as on an old Mac": (f"{A}\r{B}\r".encode(), [A, B]),
    "blank lines, and white space around": (f"\n \t\n  {A}\t\n\n{B} \n\n".encode(), [A, B]),
    "a line of comment": (f"# release\n{A}\n  # {B}\n".encode(), [A]),
    "a comment behind a reference": (f"{A} # the first\n{B}\t#\n".encode(), [A, B]),
    "a # within a word is none": (f"{A}#1\n".encode(), [f"{A}#1"]),
    "the same twice": (f"{A}\n{A}\n".encode(), [A, A]),
    "two in a line stay one text": (f"{A} {B}\n".encode(), [f"{A} {B}"]),
    "in their order": (f"{B}\n{A}\n".encode(), [B, A]),
    "nothing but comments": (b"# nothing\n\n", []),
    "empty": (b"", []),
}


@pytest.mark.parametrize(("content", "listed"), LISTS.values(), ids=LISTS)
def test_a_file_of_references(
    content: bytes, listed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_bytes(content)
    assert lines(str(tmp_path / "list")) == listed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
    assert lines("-") == listed


@pytest.mark.parametrize("content", [b"\xff\x00\xfe", f"{A}\n\xe4".encode("latin-1")], ids=["bytes", "Latin-1"])
def test_a_file_that_is_no_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UsageError, match="is not a text file"):
        lines(str(tmp_path / "list"))


def test_a_folder_is_no_file_of_references(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        lines(str(tmp_path))
