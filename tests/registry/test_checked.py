"""What of a blob is given out to be sent, and when its digest is computed again."""

from __future__ import annotations

import hashlib

import pytest

from pushsafe.model.content import Extent
from pushsafe.model.errors import ContentBroken
from pushsafe.registry.checksum import Reading
from tests.fakes.lying import Lying, blob_of

CONTENT = bytes(range(256)) * 100
PART = 10_000


def given(content: Lying, *pieces: int, unread: bool = False) -> tuple[bytes, list[int], str]:
    """What is given out, what is told of it, and why no more."""
    out, told = bytearray(), list[int]()
    reading = Reading(content, told.append, unread=unread)
    try:
        for size in pieces or (content.blob.size,):
            for part in reading.take(size):
                out += b"".join(part.parts()) if isinstance(part, Extent) else part
    except ContentBroken as error:
        return bytes(out), told, error.message
    return bytes(out), told, ""


@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
@pytest.mark.parametrize("settling", [0, 2], ids=["summed", "settled"])
@pytest.mark.parametrize("pieces", [(), (10_000, 15_600), (1, 25_599)], ids=["whole", "at-a-part", "within-one"])
def test_all_of_it_in_its_order(settling: int, pieces: tuple[int, ...], unread: bool) -> None:
    content = Lying(CONTENT, part=PART, settling=settling)
    out, told, why = given(content, *pieces, unread=unread)
    assert (out, told[-1], why, content.readings) == (CONTENT, len(CONTENT), "", 1)


@pytest.mark.parametrize(
    ("settling", "unread", "kind"), [(2, True, Extent), (2, False, memoryview), (0, True, memoryview)]
)
def test_only_what_is_settled_goes_unread(settling: int, unread: bool, kind: type) -> None:
    reading = Reading(Lying(CONTENT, part=PART, settling=settling), lambda _size: None, 15_000, unread=unread)
    parts = list(reading.take(len(CONTENT) - 15_000))
    assert [(type(part), len(part)) for part in parts] == [(kind, 5_000), (kind, 5_600)]


CHANGED = CONTENT[:-1] + b"!"
FOUND = f"sha256:{hashlib.sha256(CHANGED).hexdigest()}"


@pytest.mark.parametrize(("settling", "readings"), [(0, 1), (1, 2)], ids=["never settled", "touched while it was sent"])
@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
def test_the_last_part_of_what_was_changed_stays_here(settling: int, readings: int, unread: bool) -> None:
    content = Lying(CHANGED, blob_of(CONTENT), part=PART, settling=settling)
    out, told, why = given(content, unread=unread)
    expected = blob_of(CONTENT)
    assert (out, told) == (CHANGED[:20_000], [10_000, 20_000])
    assert why == f"layer.tar: expected {expected.digest} of 25600 bytes, found 25600 bytes of {FOUND}"
    assert content.readings == readings


def test_what_was_touched_and_is_right_goes_all_the_same() -> None:
    content = Lying(CONTENT, part=PART, settling=1)
    assert given(content)[0] == CONTENT
    assert content.readings == 2


@pytest.mark.parametrize("settling", [0, 5])
@pytest.mark.parametrize("lying", [CONTENT[:-1], CONTENT + b"!"], ids=["shorter", "longer"])
def test_another_size_never_goes_whole(settling: int, lying: bytes) -> None:
    out, _, why = given(Lying(lying, blob_of(CONTENT), part=PART, settling=settling))
    assert len(out) < len(CONTENT)
    assert "expected" in why


@pytest.mark.parametrize("settling", [0, 2])
def test_nothing_is_checked_too(settling: int) -> None:
    assert given(Lying(b"", settling=settling)) == (b"", [], "")
    with pytest.raises(ContentBroken):
        Reading(Lying(b"x", blob_of(b""), settling=settling), lambda _size: None)
