"""What of a blob is given out to be sent, and that the last of it stays here where its digest is wrong."""

from __future__ import annotations

import hashlib

import pytest

from pushsafe.model.errors import ContentBroken
from pushsafe.registry.blob_upload import FileBody, Reading
from tests.fakes.lying import Lying, blob_of

CONTENT = bytes(range(256)) * 100
PART = 10_000


def given(content: Lying, *pieces: int, skipped: int = 0) -> tuple[bytes, list[int], str]:
    """What is given out, what is told of it, and why no more."""
    out, told = bytearray(), list[int]()
    try:
        reading = Reading(FileBody(content), told.append, skipped)
        for size in pieces or (content.blob.size - skipped,):
            for part in reading.take(size):
                out += part
    except ContentBroken as error:
        return bytes(out), told, error.message
    return bytes(out), told, ""


@pytest.mark.parametrize("pieces", [(), (10_000, 15_600), (1, 25_599)], ids=["whole", "at-a-part", "within-one"])
def test_all_of_it_in_its_order(pieces: tuple[int, ...]) -> None:
    content = Lying(CONTENT, part=PART)
    out, told, why = given(content, *pieces)
    assert (out, told[-1], why, content.readings) == (CONTENT, len(CONTENT), "", 1)


@pytest.mark.parametrize("skipped", [1, 10_000, 15_000, 20_000, 25_599])
def test_what_is_skipped_is_read_all_the_same(skipped: int) -> None:
    assert given(Lying(CONTENT, part=PART), skipped=skipped)[0] == CONTENT[skipped:]
    assert given(Lying(b"!" + CONTENT[1:], blob_of(CONTENT), part=PART), skipped=skipped)[2]


def test_the_last_part_of_what_was_changed_stays_here() -> None:
    changed = CONTENT[:-1] + b"!"
    content = Lying(changed, blob_of(CONTENT), part=PART)
    out, told, why = given(content)
    found, expected = f"sha256:{hashlib.sha256(changed).hexdigest()}", blob_of(CONTENT)
    assert (out, told) == (changed[:20_000], [10_000, 20_000])
    assert why == f"layer.tar: its content has the digest {found}, and not {expected.digest}"
    assert content.readings == 1


@pytest.mark.parametrize("lying", [CONTENT[:-1], CONTENT + b"!", b""], ids=["shorter", "longer", "nothing"])
def test_another_size_never_goes_whole(lying: bytes) -> None:
    out, _, why = given(Lying(lying, blob_of(CONTENT), part=PART))
    assert len(out) < len(CONTENT)
    assert f"than {len(CONTENT)} bytes" in why


def test_nothing_is_checked_too() -> None:
    assert given(Lying(b"")) == (b"", [], "")
    with pytest.raises(ContentBroken):
        Reading(FileBody(Lying(b"x", blob_of(b""))), lambda _size: None)
