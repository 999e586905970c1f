"""What stands on the command line, and in the files that it names, read into values."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pushsafe.cli import params
from pushsafe.model.errors import UsageError

REF = "registry.example.com/team/app:1"
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
    "a byte order mark": (codecs.BOM_UTF8 + A.encode(), [A]),
    "two files with one, joined by cat": (codecs.BOM_UTF8 + f"{A}\n\ufeff{B}".encode(), [A, B]),
    "a byte order mark before a comment": (codecs.BOM_UTF8 + f"# {A}\n".encode(), []),
    "a byte order mark alone": (codecs.BOM_UTF8, []),
}
NO_LISTS = [
    (REF.encode("utf-16"), "is UTF-16, but has to be UTF-8"),
    (codecs.BOM_UTF16_BE + REF.encode("utf-16-be"), "is UTF-16, but has to be UTF-8"),
    (REF.encode("utf-32"), "is UTF-16, but has to be UTF-8"),
    (REF.encode("utf-16-le"), "is not UTF-8: it holds NUL bytes, as UTF-16 and binary files do"),
    (b"ref\xff", "is not UTF-8 (byte 4)"),
    (b"\xff\x00\xfe", "is not UTF-8 (byte 1)"),
    (f"{A}\n\xe4".encode("latin-1"), "is not UTF-8 (byte 19)"),
]


Told = Callable[[bytes], tuple[str, str]]


@pytest.fixture(params=["file", "-"])
def told(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The name of a list with this content, and how a message calls it."""

    def of(data: bytes) -> tuple[str, str]:
        if request.param == "-":
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            return "-", "standard input"
        (tmp_path / "list").write_bytes(data)
        return str(tmp_path / "list"), str(tmp_path / "list")

    return of


@pytest.mark.parametrize(("data", "expected"), LISTS.values(), ids=LISTS)
def test_a_list_of_references(data: bytes, expected: list[str], told: Told) -> None:
    assert params.lines(told(data)[0]) == expected


@pytest.mark.parametrize(("data", "why"), NO_LISTS)
def test_a_list_that_is_none(data: bytes, why: str, told: Told) -> None:
    file, shown = told(data)
    with pytest.raises(UsageError) as caught:
        params.lines(file)
    assert caught.value.message == f"{shown} {why}"


def test_a_list_without_an_end(told: Told) -> None:
    file, shown = told(b"#" * (1 << 20) + b"#")
    with pytest.raises(UsageError) as caught:
        params.lines(file)
    assert caught.value.message == f"cannot read {shown}: it is larger than 1024 KiB"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "No such file or directory"),
        ("", "Is a directory"),
        ("/dev/zero", "it is a device, not a regular file"),
        ("pipe", "it is a pipe that nothing writes to"),
        ("a\0b", "no file can have this name"),
    ],
)
def test_a_list_that_cannot_be_read(name: str, why: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=f": {why}$"):
        params.lines(os.path.join(tmp_path, name))  # noqa: PTH118 - no Path holds a NUL


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_error_message_as_windows_writes_it(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("denied: ü".encode(encoding))))
    assert params.message(("-",)) == "denied: ü"
