"""Whatever is wrong with files is told as such: damaged by chance, they are refused, or what they hold is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.model.request import Archive
from pushsafe.sources import open_image
from tests.fakes.archives import Making, gzipped, read, saved, written

ROUNDS = 400


def _layout() -> Making:
    made = Making()
    entry = made.image("linux/amd64", b"one", b"two")
    index = made.index(entry, made.image("unknown/unknown"))
    return made.tagged(made.about(index)).tagged(index, "1", "docker.io/library/my-api:1")


def _compressed(path: Path) -> Archive:
    archive = written(path, saved(b"one", b"two"))
    path.write_bytes(gzipped(path.read_bytes()))
    return archive


ARCHIVES: dict[str, Callable[[Path], Archive]] = {
    "layout": lambda path: _layout().folder(path),
    "layout in a tar": lambda path: _layout().tar(path),
    "saved": lambda path: written(path, saved(b"one", gzipped(b"two"))),
    "saved and compressed": _compressed,
}


def _damaged(content: bytes, chance: random.Random) -> bytes:
    spot = chance.randrange(len(content) + 1)
    match chance.randrange(5):
        case 0:
            return content[:spot]
        case 1:
            return content[:spot] + chance.randbytes(chance.randrange(1, 20)) + content[spot + 1 :]
        case 2:
            return content[:spot] + content[spot + chance.randrange(1, 600) :]
        case 3:
            return content[:spot] + bytes([chance.choice(b'0-"{}[]\xff/:')]) + content[spot + 1 :]
        case _:
            return content[:spot] + content[max(0, spot - 600) :]


@pytest.mark.parametrize("make", ARCHIVES.values(), ids=ARCHIVES)
def test_damage_by_chance(tmp_path: Path, make: Callable[[Path], Archive]) -> None:
    archive = make(tmp_path / "image")
    path = tmp_path / "image"
    files = sorted(file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    refusals: list[str] = []
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        file = chance.choice(files)
        content = file.read_bytes()
        file.write_bytes(_damaged(content, chance))
        try:
            image = open_image(archive)
            try:
                read(image)
            finally:
                image.close()
        except (UsageError, ContentBroken) as error:
            refusals.append(error.message)
        except AssertionError:
            pass  # `read` compares digests, as `check` would
        finally:
            file.write_bytes(content)
    assert len(refusals) > ROUNDS // 4
    for message in refusals:
        assert str(tmp_path) in message
        assert message.isprintable()
