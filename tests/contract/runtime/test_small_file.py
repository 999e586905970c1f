"""Small files: only regular ones are read, no more of them than makes sense, and nobody is waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from pushsafe.runtime import small_file

PLACES = ("file", "folder", "pipe", "socket", "link", "link-to-pipe", "nowhere")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"x" * 2048)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path):
        listening.bind("socket")
    for name, target in (("link", "file"), ("link-to-pipe", "pipe"), ("nowhere", "none")):
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", ""),
        ("link", ""),
        ("/dev/null", ""),
        ("folder", "Is a directory"),
        ("nowhere", "No such file or directory"),
        ("none", "No such file or directory"),
        ("pipe", "it is a pipe, not a regular file"),
        ("link-to-pipe", "it is a pipe, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
        ("/dev/zero", "it is a device, not a regular file"),
        ("/dev/tty", "it is a device, not a regular file"),
    ],
)
def test_what_is_read(name: str, why: str, place: Path) -> None:
    if not why:
        assert len(small_file.read(place / name, 4096)) in (0, 2048)
        small_file.require_regular(place / name)
        return
    for look in (small_file.require_regular, lambda path: small_file.read(path, 4096)):
        with pytest.raises(OSError, match=why) as caught:
            look(place / name)
        assert caught.value.strerror == why


@pytest.mark.parametrize(("most", "fits"), [(2047, False), (2048, True)])
def test_no_more_than_makes_sense(most: int, fits: bool, place: Path) -> None:
    if fits:
        assert len(small_file.read(place / "file", most)) == most
        return
    with pytest.raises(OSError, match="it is larger than 1 KiB"):
        small_file.read(place / "file", most)


def test_a_pipe_that_nobody_writes_to(place: Path) -> None:
    with pytest.raises(OSError, match="it is a pipe that nothing writes to"):
        small_file.read(place / "pipe", 4096, pipe=True)


def test_a_pipe_whose_writer_takes_its_time(place: Path) -> None:
    """As a shell's `<(command)`: the writer is there, and has not written yet."""
    held = os.open(place / "pipe", os.O_RDWR)

    def write() -> None:
        os.write(held, b"one\n")
        os.close(held)

    later = threading.Timer(0.2, write)
    later.start()
    assert small_file.read(place / "pipe", 4096, pipe=True) == b"one\n"
    later.join()


def test_an_endless_pipe_has_an_end(place: Path) -> None:
    held = os.open(place / "pipe", os.O_RDWR)
    os.write(held, b"x" * 4096)
    with pytest.raises(OSError, match="it is larger than 1 KiB"):
        small_file.read(place / "pipe", 1024, pipe=True)
    os.close(held)
