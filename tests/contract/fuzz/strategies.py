"""Input that nobody should send: near to what is right, or far from it; and what must hold whatever it was."""

from __future__ import annotations

import codecs
import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from tests.values import OCI_INDEX, OCI_MANIFEST

Json = Any

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
"""Of any characters that can be written as UTF-8, control characters and bidirectional ones among them."""
TELLING = st.sampled_from(
    [
        "",
        "\x1b[2J",
        "\u202e",
        "\r\nX: y",
        "sha256:",
        f"sha256:{'0' * 64}",
        f"sha512:{'0' * 128}",
        f"blake3:{'0' * 64}",
        "../../etc/passwd",
        "linux",
        "unknown",
        OCI_INDEX,
        OCI_MANIFEST,
        "https://a.example/x?y=z",
        "registry.example.com/team/app:1",
        "\ud800",
        "a" * 5000,
    ]
)
NUMBERS = st.one_of(st.integers(-2, 3), st.sampled_from([2**31, 2**63, 10**30, -(10**30), 1.5, 1e308, float("nan")]))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TELLING, TEXTS)
VALUES: st.SearchStrategy[Json] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(TELLING, TEXTS), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def near(draw: st.DrawFn, document: Json) -> Json:
    """A document with up to three of its values replaced, left out, given twice or written in another case."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        document = _changed(draw, document)
    return document


def _changed(draw: st.DrawFn, document: Json) -> Json:
    if not isinstance(document, dict | list) or not document or draw(st.integers(0, 4)) == 0:
        return draw(VALUES)
    if isinstance(document, list):
        at = draw(st.integers(0, len(document) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                return document[:at] + document[at + 1 :]
            case 1:
                return [*document, document[at]]
            case _:
                return [*document[:at], _changed(draw, document[at]), *document[at + 1 :]]
    name = draw(st.sampled_from(sorted(document)))
    match draw(st.integers(0, 4)):
        case 0:
            return {key: value for key, value in document.items() if key != name}
        case 1:
            return {**document, name.upper(): draw(VALUES)}
        case _:
            return {**document, name: _changed(draw, document[name])}


@st.composite
def written(draw: st.DrawFn, documents: st.SearchStrategy[Json]) -> bytes:
    """JSON, mostly: or in another encoding, cut off, or with a byte that does not belong there."""
    body = json.dumps(draw(documents)).encode()
    match draw(st.integers(0, 9)):
        case 0:
            return body[: draw(st.integers(0, len(body)))]
        case 1:
            at = draw(st.integers(0, len(body)))
            return body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at:]
        case 2:
            encode: Callable[[bytes], bytes] = draw(st.sampled_from([_with_mark, _utf_16, _deep, bytes.upper]))
            return encode(body)
        case _:
            return body


def _with_mark(body: bytes) -> bytes:
    return codecs.BOM_UTF8 + body


def _utf_16(body: bytes) -> bytes:
    return body.decode().encode("utf-16")


def _deep(body: bytes) -> bytes:
    return b"[" * 5000 + body + b"]" * 5000


@contextmanager
def quick(seconds: float = 2.0) -> Iterator[None]:
    """Whatever the input, this thread is done with it soon."""
    began = time.thread_time()
    yield
    assert time.thread_time() - began < seconds


def assert_fit(*texts: str, limit: int = 2000) -> None:
    """That texts can be shown: on one line, without control characters, and not without end."""
    for text in texts:
        assert text.isprintable(), text
        assert len(text) <= limit
