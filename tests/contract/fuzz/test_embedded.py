"""The embedded registry, sent what nobody should send: refused in the specification's words, and never in ours."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsafe.demo.registry import Account, EmbeddedRegistry
from tests.contract.fuzz.strategies import TELLING, TEXTS, near, written
from tests.contract.fuzz.test_registry_answers import INDEX, MANIFEST
from tests.values import OCI_INDEX, OCI_MANIFEST

KNOWN = {200, 201, 202, 204, 206, 400, 401, 404, 405, 413, 416}


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[bool, str]]:
    """One that everybody may push to, and one that wants a login."""
    ada = Account("ada", "s3cret-pw", ("pull", "push", "delete"))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRegistry(Path(folder, "open")) as running,
        EmbeddedRegistry(Path(folder, "guarded"), [ada]) as guarded,
    ):
        yield {False: running.host, True: guarded.host}


def ask(host: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


BODIES = written(st.sampled_from([MANIFEST, INDEX]).flatmap(near))
TYPES = st.sampled_from(["", OCI_MANIFEST, OCI_INDEX, "text/plain; charset=utf-8", "nonsense", "a/b/c", "\xff/\xff"])


@given(BODIES, TYPES)
def test_manifests(hosts: dict[bool, str], capfd: pytest.CaptureFixture[str], body: bytes, kind: str) -> None:
    host = hosts[False]
    status, answer = ask(host, "PUT", "/v2/team/app/manifests/1", body, **{"Content-Type": kind})
    assert status in (201, 400)
    if status == 400:
        assert all(error["code"].startswith("MANIFEST_") for error in json.loads(answer)["errors"])
    else:
        assert ask(host, "GET", "/v2/team/app/manifests/1")[1] == body
    status, answer = ask(host, "GET", f"/v2/team/app/referrers/sha256:{'1' * 64}")
    assert status == 200
    assert json.loads(answer)["schemaVersion"] == 2
    assert capfd.readouterr().err == ""


WORDS = st.one_of(
    st.sampled_from(["v2", "team", "app", "blobs", "uploads", "manifests", "tags", "list", "referrers", "..", "_tags"]),
    st.sampled_from([f"sha256:{'1' * 64}", "sha256:1", "token", "", "\0", "a" * 300]),
    TEXTS,
)
NAMES = st.sampled_from(["mount", "from", "digest", "tag", "n", "last", "scope"])
QUERY = st.dictionaries(NAMES, st.one_of(WORDS, TELLING))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Range": st.sampled_from(["bytes=0-", "bytes=-", "bytes=5-1", "bytes=-99999999999999999999", "x"]),
        "Content-Range": st.sampled_from(["0-3", "3-0", "x", "-", "0-99999999999999999999"]),
        "Authorization": st.sampled_from(["Bearer a.b.c", "Bearer ", "Basic !", "Basic YWRh", "x"]),
    },
)


@given(
    st.booleans(),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    st.lists(WORDS, max_size=6),
    QUERY,
    HEADERS,
    st.binary(max_size=10),
)
def test_requests(
    hosts: dict[bool, str],
    capfd: pytest.CaptureFixture[str],
    login: bool,
    method: str,
    words: list[str],
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
) -> None:
    asked = "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in query.items())
    path = "/" + "/".join(quote(word, errors="replace") for word in ["v2", *words])
    status, answer = ask(hosts[login], method, f"{path}?{asked}", body, **headers)
    assert status in KNOWN
    if status >= 400 and method != "HEAD":
        assert json.loads(answer)["errors"]
    assert capfd.readouterr().err == ""
