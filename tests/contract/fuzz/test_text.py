"""Texts of users, servers and programs: read without an error of ours, and shown fit for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pushsafe.denial.explain import explain
from pushsafe.denial.messages import may_pass, meaning
from pushsafe.oci import reference
from pushsafe.oci.platform import read
from pushsafe.oci.reference import Reference
from pushsafe.registry.responses import parse_challenge
from pushsafe.runtime.redact import clean, clean_line
from pushsafe.sources.buildx.build_output import read_text
from tests.contract.fuzz.strategies import TELLING, TEXTS, assert_fit, quick

PARTS = st.sampled_from(
    ["docker.io", "localhost", ":5000", "/", ":", "@", "team", "App", "1.4", "sha256:", "//", "https://", " ", "-", "."]
)
REFERENCES = st.one_of(st.lists(st.one_of(PARTS, TEXTS, TELLING), max_size=8).map("".join), TEXTS)


@given(REFERENCES)
def test_references(text: str) -> None:
    with quick():
        found = reference.parse(text)
        reference.parse_repository(text)
    if isinstance(found, Reference):
        assert str(found).isascii()
        assert_fit(str(found))
        again = reference.parse(str(found))
        assert isinstance(again, Reference)
        assert again[1:4] == found[1:4]
    else:
        assert found.reasons
        assert_fit(*found.reasons, found.repair)


@given(st.lists(st.one_of(st.sampled_from(["linux", "/", "(", ")", "arm", "v7", "10.0"]), TEXTS), max_size=8))
def test_platforms(parts: list[str]) -> None:
    found = read("".join(parts))
    if found is not None:
        assert_fit(str(found))


CHALLENGE = st.sampled_from(
    ["Bearer ", "Basic ", "Negotiate ", "realm=", "scope=", '"', "\\", ",", "=", "https://a.example", "error=", " "]
)


@given(st.lists(st.one_of(CHALLENGE, TEXTS), max_size=20).map("".join))
def test_challenges(header: str) -> None:
    with quick():
        found = parse_challenge(header)
    assert found.scheme in ("", "basic", "bearer")
    assert_fit(str(found), limit=300)


SAID = st.sampled_from(
    [
        "denied: requested access to the resource is denied",
        "unauthorized: authentication required",
        "Error response from daemon: ",
        "#12 pushing manifest for registry.example.com/team/app:1@sha256:",
        "#12 ERROR: failed to push registry.example.com/team/app:1: ",
        "The push refers to repository [registry.example.com/team/app]",
        "\n",
        "\r",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ]
)
PASTED = st.lists(st.one_of(SAID, TEXTS, TELLING), max_size=12).map("".join)


@given(PASTED)
def test_pasted_errors(text: str) -> None:
    with quick():
        found = explain(text)
        meaning(text)
        may_pass(text)
    assert_fit(found.message, found.repository, found.summary, *found.next, limit=5000)
    assert "eyJzdWIiOiIxIn0" not in repr(found)


@given(PASTED)
def test_what_buildx_says(text: str) -> None:
    with quick():
        read_text(text)


@given(st.one_of(TEXTS, TELLING, PASTED), st.integers(1, 300))
def test_cleaning(text: str, limit: int) -> None:
    assert_fit(clean(text, limit=limit), clean_line(text, limit=limit), limit=limit)
