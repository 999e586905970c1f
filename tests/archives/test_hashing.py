"""Content checked in the background: who is waited for, what is left, and that nothing outlives its use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pushsafe.model.content import Extent
from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.oci.manifest import Blob
from pushsafe.sources.archive.digests import Hashing
from pushsafe.sources.archive.files import NamedFile, StoredBlob, Stretch
from pushsafe.sources.archive.open import open_image
from tests.archives.making import Making, digest_of, saved, written
from tests.values import sha

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Read:
    """A content that is read when the test lets it be."""

    content: bytes
    digest: str = ""
    go: threading.Event = field(default_factory=threading.Event)
    reads: int = 0
    file: str = "layout/blob"
    fault: str = ""
    bug: Exception | None = None

    @property
    def blob(self) -> Blob:
        return Blob(self.digest or digest_of(self.content), len(self.content))

    def settled(self) -> bool:
        return False

    def extents(self) -> Iterator[Extent]:
        raise AssertionError("it is never settled")

    def parts(self) -> Iterator[memoryview]:
        self.reads += 1
        for at in range(len(self.content)):
            self.go.wait(5)
            if self.bug:
                raise self.bug
            if self.fault:
                raise ContentBroken(self.fault)
            yield memoryview(self.content)[at : at + 1]


def nobody(_done: int, _total: int) -> None:
    """Nobody wants to know."""


@pytest.fixture
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


@pytest.mark.usefixtures("one_processor")
def test_who_is_asked_for_goes_first_and_others_are_left() -> None:
    large, small, other = Read(b"large content"), Read(b"small"), Read(b"other one")
    hashing = Hashing([small, other, large])
    hashing.start()
    while not large.reads:
        time.sleep(0.01)
    done = threading.Thread(target=hashing.check, args=([small.blob.digest], nobody))
    done.start()
    small.go.set()
    large.go.set()
    done.join(5)
    assert not done.is_alive()
    time.sleep(0.1)
    assert (small.reads, large.reads, other.reads) == (1, 1, 0)
    other.go.set()
    hashing.check([other.blob.digest, large.blob.digest], nobody)
    assert other.reads == 1


def test_progress_is_of_what_was_asked_for() -> None:
    one, two = Read(b"x" * 10), Read(b"y" * 20)
    hashing = Hashing([one, two])
    for content in (one, two):
        content.go.set()
    told: list[tuple[int, int]] = []
    hashing.check([one.blob.digest], lambda *numbers: told.append(numbers))
    assert told[-1] == (10, 10)
    assert {total for _, total in told} == {10}


FAULTS = {
    "another digest": (
        Read(b"content", sha("1")),
        f"layout/blob: its content has the digest {digest_of(b'content')}, and not {sha('1')}",
    ),
    "cannot be read": (Read(b"content", fault="layout/blob: it cannot be read"), "layout/blob: it cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_those_of_who_is_asked_for(content: Read, message: str) -> None:
    right = Read(b"right")
    for one in (content, right):
        one.go.set()
    hashing = Hashing([content, right])
    hashing.start()
    hashing.check([right.blob.digest], nobody)
    for _ in range(2):
        with pytest.raises(UsageError) as error:
            hashing.check([right.blob.digest, content.blob.digest], nobody)
        assert error.value.message == message
    assert content.reads == 1


def test_a_bug_of_ours_keeps_nobody_waiting() -> None:
    content = Read(b"content", bug=KeyError("a bug"))
    content.go.set()
    hashing = Hashing([content])
    raised: list[Exception] = []

    def check() -> None:
        try:
            hashing.check([content.blob.digest], nobody)
        except KeyError as error:
            raised.append(error)

    waiting = threading.Thread(target=check, daemon=True)
    waiting.start()
    waiting.join(5)
    hashing.close()
    assert raised == [content.bug]


def test_what_is_known_to_be_right_is_not_read() -> None:
    content = Read(b"content")
    Hashing([content], right=[content.blob.digest]).check([content.blob.digest], nobody)
    assert content.reads == 0


def test_who_waits_is_told_that_it_was_closed() -> None:
    content = Read(b"content")
    hashing = Hashing([content])
    threading.Timer(0.1, hashing.close).start()
    with pytest.raises(UsageError, match="closed before its content was checked"):
        hashing.check([content.blob.digest], nobody)
    content.go.set()


# ---------------------------------------------------------------------- nothing is left behind


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pushsafe-")]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("finished", [True, False])
def test_threads_and_files_end(tmp_path: Path, finished: bool) -> None:
    made = Making()
    layers = [os.urandom(8 << 20) for _ in range(4)]
    archives = [
        written(tmp_path / "image.tar", saved(*layers)),
        made.tagged(made.image("linux/amd64", *layers)).folder(tmp_path / "layout"),
        made.tar(tmp_path / "layout.tar"),
    ]
    deadline, before = time.monotonic() + 10, descriptors()
    for archive in archives:
        image = open_image(archive)
        if finished:
            image.check([content.blob.digest for content in image.package(nobody).contents], nobody)
        image.close()
    while (ours() or descriptors() > before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (ours(), descriptors()) == ([], before)


@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_a_process_ends_when_it_wants_to(tmp_path: Path, kind: str) -> None:
    layer = os.urandom(1 << 20) * 300
    made = Making()
    if kind == "oci":
        made.tagged(made.image("linux/amd64", layer)).folder(tmp_path / "image")
    else:
        written(tmp_path / "image", saved(layer))
    code = (
        "import os, time\nfrom pushsafe.sources.archive.open import open_image\n"
        "from pushsafe.model.request import Archive, ArchiveKind\n"
        f"open_image(Archive(ArchiveKind({kind!r}), {str(tmp_path / 'image')!r}))\n"
        "import atexit\nstarted = time.monotonic()\n"
        "atexit.register(lambda: print(time.monotonic() - started))\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 1
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("seconds_old", "what", "settled"),
    [
        (60, "nothing", True),
        (60, "touched", False),
        (60, "written to", False),
        (60, "replaced", False),
        (60, "gone", False),
        (0, "nothing", False),
    ],
)
def test_a_file_is_settled_while_nothing_happens_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_old: int, what: str, settled: bool
) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"content")
    content = StoredBlob(Blob(digest_of(b"content"), 7), Stretch(NamedFile(file), 0, 7, "blob"))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + seconds_old * 10**9)
    assert not content.settled()
    Hashing([content]).check([content.blob.digest], nobody)
    match what:
        case "touched":
            os.utime(file, ns=(1, 1))
        case "written to":
            file.write_bytes(b"CONTENT")
        case "replaced":
            (tmp_path / "other").write_bytes(b"content")
            (tmp_path / "other").replace(file)
        case "gone":
            file.unlink()
    assert content.settled() is settled
