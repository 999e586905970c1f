"""The digest file: a regular one appears whole, nothing else is replaced, and its failure hides no push."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsafe.model.errors import UsageError
from pushsafe.report.digest_file import DigestFile
from tests.fakes.capture import FakeEngine, Refusal

ROOT = Path(__file__).parents[3]
REF = "127.0.0.1:9/team/app:1"
LINE = f"{REF}@sha256:"


def test_a_regular_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "digests"
    file.write_text("old")
    file.chmod(0o640)
    before = file.stat().st_ino
    target = DigestFile(str(file))
    assert file.read_text() == "old"
    assert target.write("new") == ""
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o640)
    assert file.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        assert DigestFile(str(tmp_path / "digests")).write("") == ""
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "digests").stat().st_mode) == 0o640


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(there: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, file = tmp_path / "link", tmp_path / "folder" / "digests"
    if there:
        file.write_text("old")
    link.symlink_to(file)
    assert DigestFile(str(link)).write("new") == ""
    assert link.is_symlink()
    assert file.read_text() == "new"


STRANGER = 4711


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("mode", "folders", "links", "refused"),
    [
        (0o1777, 0, STRANGER, True),
        (0o1777, STRANGER, STRANGER, False),  # the folder's owner may do there what he likes
        (0o1777, 0, 0, False),
        (0o1777, STRANGER, 0, False),
        (0o755, 0, STRANGER, False),
        (0o1775, 0, STRANGER, False),
    ],
)
@pytest.mark.parametrize("leads_to", ["file", "folder", "nothing", "device", "link"])
def test_a_strangers_link_in_a_folder_of_everybodys_leads_nowhere(
    leads_to: str, mode: int, folders: int, links: int, refused: bool, tmp_path: Path
) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir()
    shared.mkdir()
    (own / "file").write_text("old")
    link = shared / "link"
    targets: dict[str, Path | str] = {
        "file": own / "file",
        "folder": own,
        "nothing": own / "new",
        "device": Path("/dev/null"),
        "link": "other",
    }
    link.symlink_to(targets[leads_to])
    if leads_to == "link":
        (shared / "other").symlink_to(own / "file")
    given = link / "file" if leads_to == "folder" else link
    os.lchown(link, links, -1)
    os.chown(shared, folders, -1)
    shared.chmod(mode)
    if not refused:
        assert DigestFile(str(given)).write("new") == ""
        return
    with pytest.raises(UsageError) as caught:
        DigestFile(str(given))
    assert (
        f"{link} is a link of another user (uid {STRANGER}) in a folder that anyone can write to"
        in caught.value.message
    )
    assert (own / "file").read_text() == "old"
    assert sorted(file.name for file in own.iterdir()) == ["file"]


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    for name in ("folder", "elsewhere"):
        (tmp_path / name).mkdir()
    target = DigestFile(str(tmp_path / "folder" / "digests"))
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").symlink_to("elsewhere")
    assert "cannot write" in target.write("new")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert DigestFile(str(pipe)).write("new") == ""
    reader.join(10)
    assert read == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device() -> None:
    assert DigestFile("/dev/null").write("new") == ""
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert "No space left" in DigestFile("/dev/full").write("new")


@pytest.mark.parametrize("path", ["", "folder", "no/such", "digests/x", "loop", "x" * 300, "new/"])
def test_what_cannot_be_written_is_said_before_anything_is_done(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "digests").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="cannot write"):
        DigestFile(path)


# ---------------------------------------------------------------------- in a run


def _run(engine: FakeEngine, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_HOST": engine.host,
            "PUSHSAFE_PYTHON": sys.executable,
            "P": str(ROOT / "docker-pushsafe"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with FakeEngine(images=[REF]) as fake:
        yield fake


def test_into_a_process(engine: FakeEngine, tmp_path: Path) -> None:
    done = _run(engine, tmp_path, f"$P --digest-file >(cat >got) {REF}; code=$?; sleep 0.3; exit $code")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pushed and verified" in done.stdout
    assert (tmp_path / "got").read_text().startswith(LINE)


@pytest.mark.parametrize("redirection", ["", ">out", ">>out", "| cat"])
def test_onto_standard_output_comes_after_the_report(redirection: str, engine: FakeEngine, tmp_path: Path) -> None:
    done = _run(engine, tmp_path, f"$P --digest-file /dev/stdout {REF} {redirection}")
    text = (tmp_path / "out").read_text() if "out" in redirection else done.stdout
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pushed and verified" in text
    assert text.splitlines()[-1].startswith(LINE)


def test_a_failure_is_told_after_the_report(engine: FakeEngine, tmp_path: Path) -> None:
    done = _run(engine, tmp_path, f"$P --digest-file /dev/full {REF}")
    assert done.returncode == 7
    assert "1 of 1 pushed and verified" in done.stdout
    assert "error: cannot write /dev/full: No space left on device" in done.stderr


def test_a_failure_hides_no_other_code(tmp_path: Path) -> None:
    other = REF.replace(":1", ":2")
    with FakeEngine(images=[REF, other], distribution={other: Refusal(403, "no")}) as engine:
        done = _run(engine, tmp_path, f"$P --digest-file /dev/full {REF} {other}")
    assert done.returncode == 8
    assert "1 of 2 pushed and verified" in done.stdout
    assert "cannot write /dev/full" in done.stderr


def test_nothing_is_pushed_where_it_cannot_be_written(engine: FakeEngine, tmp_path: Path) -> None:
    done = _run(engine, tmp_path, f"$P --digest-file no/such/folder {REF}")
    assert (done.returncode, engine.requests) == (2, [])
