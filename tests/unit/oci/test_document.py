"""JSON documents read as Go reads them: which bytes are JSON, and what a name may look like."""

from __future__ import annotations

from typing import Any

import pytest

from pushsafe.oci.document import Unusable, document_of, field, json_of

TEXT = '{"schemaVersion": 2, "name": "ü"}'
NO_JSON = {
    "a byte order mark": (b"\xef\xbb\xbf" + TEXT.encode(), "is not JSON: it begins with a byte order mark"),
    "UTF-16": (TEXT.encode("utf-16"), "is not JSON: it is not UTF-8"),
    "UTF-16, big-endian": (TEXT.encode("utf-16-be"), "is not JSON: it is not UTF-8"),
    "UTF-16 of ASCII alone": (b"{}".decode().encode("utf-16-le"), "is not JSON"),
    "UTF-32": (TEXT.encode("utf-32"), "is not JSON: it is not UTF-8"),
    "UTF-32 of ASCII alone": (b"{}".decode().encode("utf-32-be"), "is not JSON"),
    "Latin-1": (TEXT.encode("latin-1"), "is not JSON: it is not UTF-8"),
    "half of a pair in UTF-8": (b'{"a": "\xed\xa0\x80"}', "is not JSON: it is not UTF-8"),
    "nothing": (b"", "is not JSON"),
    "two documents": (b"{} {}", "is not JSON"),
    "not a number": (b'{"size": NaN}', "is not JSON"),
    "infinite": (b'{"size": -Infinity}', "is not JSON"),
    "too large a number": (b'{"size": 1e999}', "is not JSON"),
    "more digits than Python reads": (b'{"size": ' + b"1" * 10_000 + b"}", "is not JSON"),
    "too deep": (b"[" * 100_000, "is not JSON"),
}


def test_what_is_no_json() -> None:
    for case, (body, why) in NO_JSON.items():
        with pytest.raises(Unusable) as error:
            json_of(body)
        assert str(error.value) == why, case


def test_what_is_json() -> None:
    for body in (b" {}\n", b'{"a": "\\ud800"}', '{"a": "\N{PILE OF POO}", "b": 1.5}'.encode()):
        assert isinstance(document_of(body), dict), body


def test_what_is_no_object() -> None:
    for body in (b"[]", b"null", b'"text"', b"1"):
        with pytest.raises(Unusable, match="is not a JSON object"):
            document_of(body)


NAMES: dict[str, tuple[bytes, Any]] = {
    "as it is written": (b'{"repoTags": 1}', 1),
    "lower case": (b'{"repotags": 1}', 1),
    "upper case": (b'{"REPOTAGS": 1}', 1),
    "the same twice": (b'{"repoTags": 1, "repoTags": 2}', 2),
    "two spellings": (b'{"RepoTags": 1, "repotags": 2}', 2),
    "the better spelling first": (b'{"repoTags": 1, "REPOTAGS": null}', None),
    "another name": (b'{"repo_tags": 1}', "none"),
}


def test_a_name_in_any_case() -> None:
    for case, (body, found) in NAMES.items():
        assert field(document_of(body), "repoTags", "none") == found, case
