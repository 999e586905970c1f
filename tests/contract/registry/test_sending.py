"""Blobs sent from files: by which requests, what is gone on with, and what ends it."""

from __future__ import annotations

import errno
import functools
import os
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from pushsafe.demo.registry import EmbeddedRegistry
from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.errors import ContentBroken, RegistryAstray, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.content import Content
from pushsafe.oci.reference import Reference
from pushsafe.registry import blob_upload
from pushsafe.registry.client import Registry
from pushsafe.registry.http import transport
from pushsafe.registry.http.transport import BODY_LIMIT, Transport
from pushsafe.sources.archive.files import OpenFile, StoredBlob, Stretch
from tests.contract.registry.asking import NAME, NOBODY, OPAQUE, OURS, PASSWORD, new, somebody
from tests.contract.registry.conftest import Names
from tests.contract.registry.test_blobs import serving
from tests.fakes.cutting import Cutting
from tests.fakes.lying import Lying, blob_of
from tests.fakes.registry import (
    DENIED,
    UNAUTHORIZED,
    Answer,
    Answering,
    Certificate,
    FakeRegistry,
    Guard,
    Request,
    Rule,
    basic_header,
    basic_registry,
    bearer_challenge,
    guarded,
    on,
    ping,
    refused,
    token_server,
    wants_bearer,
)
from tests.fakes.storing import BLOB_UNKNOWN, UPLOAD_UNKNOWN

DATA = bytes(range(250)) * 400  # 100 000 bytes, in ten parts
BLOB = blob_of(DATA)
OTHER = "acme/other"
LARGE = refused(413, "SIZE_INVALID", "too large")
BAD_RANGE = refused(416, "BLOB_UPLOAD_INVALID", "the chunk is out of order")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and progress a thousand times smaller."""
    monkeypatch.setattr(blob_upload, "PIECES", (40_000, 20_000, 5_000))
    monkeypatch.setattr(blob_upload, "WORTH_ASKING", 10_000)


def target(host: str, credential: Credential = NOBODY) -> Repository:
    return Repository(Reference("given", host, NAME, "1"), credential)


def send(
    registry: FakeRegistry | str,
    content: Lying | None = None,
    *,
    mount_from: str = "",
    retries: int = 0,
    credential: Credential = NOBODY,
    told: Callable[[int], None] = lambda _size: None,
    asked: Registry | None = None,
) -> LayerState | Evidence:
    """One blob; by the end what was opened and not used is cancelled, unless others are `asked` for after it."""
    gateway = asked or new()
    host = registry if isinstance(registry, str) else registry.host
    retry_policy = RetryPolicy(retries) if retries else NO_RETRIES
    try:
        return gateway.send(content or Lying(DATA), target(host, credential), mount_from, told, retry_policy)
    finally:
        if asked is None:
            gateway.close()


def requests_of(registry: FakeRegistry) -> list[str]:
    """Every request but the first one and cancels, which come when they come: method, place, state, range, length."""
    found = []
    for one in seen_of(registry):
        path = one.path.replace(f"/v2/{NAME}/", "").replace(BLOB.digest, "DIGEST")
        state = f"?{one.query['s']}" if "s" in one.query else ""
        mount = f" mount from {one.query['from']}" if "mount" in one.query else ""
        digest = " digest" if one.query.get("digest") == BLOB.digest else ""
        at = f" {one.headers['content-range']}" if "content-range" in one.headers else ""
        length = f" of {one.headers['content-length']}" if one.method in ("PUT", "PATCH") else ""
        if one.method in ("PUT", "PATCH"):
            assert one.headers["content-type"] == "application/octet-stream"
            assert "transfer-encoding" not in one.headers
        found.append(f"{one.method} {path}{state}{mount}{digest}{at}{length}")
    return found


def seen_of(registry: FakeRegistry) -> list[Request]:
    return [one for one in registry.requests[1:] if one.method != "DELETE"]


START = "POST blobs/uploads/"
WHOLE = "PUT /u?0 digest of 100000"


def opened(place: str = "/u?s=0", **headers: str) -> Answer:
    return Answer(202).having(Location=place, **headers)


def uploading(*rules: Rule | Sequence[Rule], start: Sequence[Answering] = ()) -> list[Rule]:
    """A registry that opens uploads; they may be cancelled."""
    starting = on("POST", f"/v2/{NAME}/blobs/uploads/", *(start or (opened(),)))
    more = [one for rule in rules for one in ([rule] if isinstance(rule, Rule) else rule)]
    return [ping(), starting, on("DELETE", "/u", Answer(204)), *more]


def has(size: int, state: int = 1) -> Answer:
    """What a registry says that it has."""
    return Answer(204).having(Range=f"0-{size - 1}", Location=f"/u?s={state}")


def took(state: int) -> Answer:
    return Answer(202).having(Location=f"/u?s={state}")


PUT = on("PUT", "/u", Answer(201))

# ---------------------------------------------------------------------- what is there

HELD = {200: True, 404: False, 401: False, 403: False, 405: False, 416: False, 500: False}


@pytest.mark.parametrize(("status", "held"), HELD.items())
def test_what_is_there(status: int, held: bool) -> None:
    with FakeRegistry(ping(), on("HEAD", f"/v2/{NAME}/blobs/{BLOB.digest}", Answer(status))) as registry:
        assert new().holds(BLOB, target(registry.host), NO_RETRIES) is held
        assert requests_of(registry) == ["HEAD blobs/DIGEST"]


def test_a_busy_registry_is_asked_again(pauses: list[float]) -> None:
    with FakeRegistry(ping(), on("HEAD", "/v2/.+", Answer(503), Answer(200))) as registry:
        assert new().holds(BLOB, target(registry.host), RetryPolicy(1)) is True
    assert len(pauses) == 1


def test_nobody_is_there() -> None:
    with FakeRegistry() as gone:
        host = gone.host
    with pytest.raises(RegistryUnreachable):
        new().holds(BLOB, target(host), NO_RETRIES)


# ---------------------------------------------------------------------- as a whole


def test_a_blob_is_one_put() -> None:
    sizes: list[int] = []
    with FakeRegistry(uploading(PUT)) as registry:
        assert send(registry, told=sizes.append) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE]
        assert registry.requests[-1].body == DATA
        assert len({one.connection for one in registry.requests}) == 1
    assert sizes == [size * 10_000 for size in range(1, 11)]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_what_counts_as_taken(status: int) -> None:
    """As with containerd."""
    with FakeRegistry(uploading(on("PUT", "/u", Answer(status)))) as registry:
        assert send(registry) is LayerState.SENT
        assert registry.find("DELETE", ".*") == []


CONTENTS = {"nothing": b"", "a byte": b"x", "a part": DATA[:10_000], "a byte more": DATA[:10_001]}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_small_blob(content: bytes, algorithm: str) -> None:
    blob = blob_of(content, algorithm)
    with FakeRegistry(uploading(PUT)) as registry:
        assert send(registry, Lying(content, blob)) is LayerState.SENT
        put = registry.requests[-1]
    assert (put.body, put.headers["content-length"]) == (content, str(len(content)))
    assert put.query == {"s": "0", "digest": blob.digest}


MOUNT = f"{START} mount from {OTHER}"
MOUNTS: dict[str, tuple[Answer, LayerState, list[str]]] = {
    "mounted": (Answer(201), LayerState.MOUNTED, [MOUNT]),
    "an upload in its place": (opened(), LayerState.SENT, [MOUNT, WHOLE]),
    "an upload nowhere": (opened(""), LayerState.SENT, [MOUNT, START, WHOLE]),
    "an error": (Answer(500), LayerState.SENT, [MOUNT, START, WHOLE]),
    "no answer": (Answer(drop=True), LayerState.SENT, [MOUNT, START, WHOLE]),
    "not found": (Answer(404), LayerState.SENT, [MOUNT, START, WHOLE]),
    "forbidden": (Answer(403), LayerState.SENT, [MOUNT, START, WHOLE]),
    "unheard of": (Answer(405), LayerState.SENT, [MOUNT, START, WHOLE]),
}


@pytest.mark.parametrize(("answer", "found", "requests"), MOUNTS.values(), ids=MOUNTS)
def test_a_mount(answer: Answer, found: LayerState, requests: list[str]) -> None:
    with FakeRegistry(uploading(PUT, start=(answer, opened()))) as registry:
        assert send(registry, mount_from=OTHER) is found
        assert requests_of(registry) == requests


def test_the_token_for_a_mount_is_for_both_repositories() -> None:
    rules = [*guarded(wants_bearer(), uploading(start=(Answer(201),))), *token_server(OPAQUE)]
    with FakeRegistry(rules) as registry:
        assert send(registry, mount_from=OTHER, credential=somebody()) is LayerState.MOUNTED
        asked = [one.scopes for one in registry.find("GET", "/token")]
    assert asked == [(f"repository:{NAME}:pull,push", f"repository:{OTHER}:pull")]


@pytest.mark.parametrize("answer", [Answer(500), Answer(503), Answer(drop=True)], ids=["an error", "busy", "dropped"])
def test_without_a_token_for_both_there_is_no_mount(answer: Answer, pauses: list[float]) -> None:
    """A token server may fail for two repositories where it does not for one."""

    def give(request: Request) -> Answer:
        return answer if len(request.scopes) > 1 else Answer(200, {"token": OPAQUE})

    with FakeRegistry(guarded(wants_bearer(OPAQUE), uploading(PUT)), on("GET", "/token", give)) as registry:
        assert send(registry, mount_from=OTHER, credential=somebody(), retries=1) is LayerState.SENT
        assert [one for one in requests_of(registry) if "token" not in one] == [START, WHOLE]


def test_an_upload_elsewhere_gets_no_credential() -> None:
    """Nor does what is asked of it, nor a piece; and a credential is none of its business if it wants one."""
    far = [
        on("PUT", "/there", Answer(drop=True), Answer(201)),
        on("GET", "/there", has(30_000).having(Location="/there?s=1")),
        on("PATCH", "/there", Answer(202).having(Location="/there?s=2")),
    ]
    with FakeRegistry(far) as elsewhere:
        started = Answer(202).having(Location=f"{elsewhere.base}/there?a=b")
        missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
        with FakeRegistry(basic_registry([missing], upload=started)) as registry:
            assert send(registry, credential=somebody(), retries=1) is LayerState.SENT
            assert {one.authorization for one in registry.requests} == {"", basic_header("ada", "hunter2!")}
        assert [str(one) for one in elsewhere.requests] == [
            "PUT /there",
            "GET /there",
            *["PATCH /there"] * 2,
            "PUT /there",
        ]
        assert {one.authorization for one in elsewhere.requests} == {""}
        assert b"".join(one.body for one in elsewhere.find("PATCH", ".*")) == DATA[30_000:]


def test_the_challenge_of_an_upload_elsewhere_is_not_answered() -> None:
    lure = UNAUTHORIZED.having(WWW_Authenticate=bearer_challenge())
    with FakeRegistry(on("PUT", "/there", lure)) as elsewhere:
        started = Answer(202).having(Location=f"{elsewhere.base}/there?a=b")
        with FakeRegistry(basic_registry(upload=started)) as registry:
            found = send(registry, credential=somebody())
        assert elsewhere.seen() == ["PUT /there"]
    assert isinstance(found, Evidence)
    assert found.status == 401


def test_a_fragment_goes_nowhere() -> None:
    """It would keep the digest from the registry."""
    with FakeRegistry(uploading(PUT, start=(opened("/u?s=0#part"),))) as registry:
        assert send(registry) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE]


def to(place: str, status: int = 307) -> Answer:
    return Answer(status).having(Location=place)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirected_blob_goes_to_where_it_leads(status: int) -> None:
    moved = on("PUT", "/u", to(f"/moved?s=1&digest={BLOB.digest}#x", status))
    with FakeRegistry(uploading(moved, on("PUT", "/moved", to(f"/end?s=2&digest={BLOB.digest}", status)))) as registry:
        registry.rules += [on("PUT", "/end", Answer(201))]
        assert send(registry) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE, "PUT /moved?1 digest of 100000", "PUT /end?2 digest of 100000"]
        assert [one.body for one in registry.find("PUT", ".*")] == [DATA] * 3


def test_a_redirected_blob_that_is_dropped_begins_anew() -> None:
    """The address of a request that broke off is not that of an upload: it goes to the registry again."""
    small = DATA[:9_999]
    digest = Lying(small).blob.digest
    moved = on("PUT", "/u", to(f"/moved?digest={digest}"), Answer(201))
    with FakeRegistry(uploading(moved, on("PUT", "/moved", Answer(drop=True)))) as registry:
        assert send(registry, Lying(small), retries=1) is LayerState.SENT
        asked = [(one.method, one.path) for one in registry.requests if one.method in ("POST", "PUT")]
        start = ("POST", f"/v2/{NAME}/blobs/uploads/")
        assert asked == [start, ("PUT", "/u"), ("PUT", "/moved"), start, ("PUT", "/u")]


def test_a_redirected_start_and_a_redirected_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next piece goes to where the last one's answer says."""
    monkeypatch.setattr(blob_upload, "PIECES", (50_000,))
    first = on("POST", f"/v2/{NAME}/blobs/uploads/", to("/begin"), opened())
    begin = on("POST", "/begin", opened())
    pieces = [on("PATCH", "/u", to("/p?s=9"), took(2)), on("PATCH", "/p", took(1))]
    with FakeRegistry(first, begin, *uploading(on("PUT", "/u", LARGE, Answer(201)), pieces)) as registry:
        assert send(registry) is LayerState.SENT
        assert requests_of(registry) == [
            START,
            "POST /begin",
            WHOLE,
            START,
            "PATCH /u?0 0-49999 of 50000",
            "PATCH /p?9 0-49999 of 50000",
            "PATCH /u?1 50000-99999 of 50000",
            "PUT /u?2 digest of 0",
        ]


def test_a_redirect_carries_the_credential() -> None:
    moved = [on("PUT", "/u", to(f"/moved?digest={BLOB.digest}")), on("PUT", "/moved", Answer(201))]
    with FakeRegistry(basic_registry([on("HEAD", ".*", BLOB_UNKNOWN), *moved], upload=opened())) as registry:
        assert send(registry, credential=somebody()) is LayerState.SENT
        assert {one.authorization for one in registry.find("PUT", ".*")} == {basic_header("ada", "hunter2!")}


@pytest.mark.parametrize("place", ["/u?s=0", "http://localhost:{port}/u", "http://127.0.0.1:{other}/u", "http://["])
def test_a_redirect_that_is_not_followed(place: str) -> None:
    """In circles, or to another origin, for which there is a Location."""
    with FakeRegistry() as other:
        moved = on("PUT", "/u", lambda _request: to(place.format(port=registry.port, other=other.port)))
        with FakeRegistry(uploading(moved)) as registry:
            found = send(registry, retries=1)
            assert len(registry.find("PUT", ".*")) == (4 if place == "/u?s=0" else 1)
        assert other.requests == []
    assert isinstance(found, Evidence)
    assert found.status == 307


LEADING = {
    "in clear": (True, "http://127.0.0.1:{other}/u", "plain HTTP"),
    "metadata": (False, "http://169.254.169.254/u", "metadata service"),
    "dead": (False, "http://127.0.0.1:9/u", "http://127.0.0.1:9, which is not its own address: connection refused"),
}


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize(("secure", "place", "said"), LEADING.values(), ids=LEADING)
@pytest.mark.parametrize("content", [DATA, b""], ids=["a blob", "an empty one"])
def test_an_upload_that_leads_astray(content: bytes, secure: bool, place: str, said: str, signed: Certificate) -> None:
    with FakeRegistry() as other:
        rules = uploading(start=(opened(place.format(other=other.port)),))
        with FakeRegistry(rules, certificate=signed if secure else None) as registry:
            with pytest.raises(RegistryAstray, match=said):
                send(registry, Lying(content), retries=1)
            assert requests_of(registry)[-1] == START
        assert other.requests == []


@pytest.mark.parametrize("location", ["", "http://[bad", "mailto:somebody"])
def test_an_upload_nowhere(location: str) -> None:
    """The registry was reached: that it is odd is something else."""
    said = "it opens an upload, but does not say where to send it"
    with FakeRegistry(uploading(start=(opened(location),))) as registry:
        assert send(registry, retries=1) == Evidence(Stage.PUSH, said, 202, sent=False)
        assert requests_of(registry) == [START]


# ---------------------------------------------------------------------- what is refused, and what is broken

NOT_DUE = "it answers 202 to a blob that was sent whole, where 201 is due"
REFUSED = {
    "to open": ([DENIED], Answer(201), Evidence(Stage.PUSH, DENIED.body["errors"][0]["message"], 403, "DENIED")),
    "to take": ([opened()], DENIED, Evidence(Stage.PUSH, DENIED.body["errors"][0]["message"], 403, "DENIED")),
    "bad": ([opened()], refused(400, "DIGEST_INVALID", "no"), Evidence(Stage.PUSH, "no", 400, "DIGEST_INVALID")),
    "unauthorized": ([opened()], Answer(401), Evidence(Stage.PUSH, "", 401)),
    "an error": ([opened()], Answer(500), Evidence(Stage.PUSH, "", 500)),
    "busy": ([opened()], Answer(503), Evidence(Stage.PUSH, "", 503)),
    "accepted only": ([opened()], Answer(202), Evidence(Stage.PUSH, NOT_DUE, 202)),
    "moved": (
        [opened()],
        Answer(307).having(Location="https://other.test/u?secret"),
        Evidence(Stage.PUSH, "a redirect to https://other.test, which is not followed", 307),
    ),
    "moved away": (
        [opened()],
        Answer(302, "<html>").having(Location="/sign-in"),
        Evidence(Stage.PUSH, "a redirect to another path of its own, which is not followed", 302),
    ),
    "opened by a page": (
        [Answer(200, "<html>sign in</html>")],
        Answer(201),
        Evidence(Stage.PUSH, "it answers 200 to the start of an upload, where 202 is due", 200),
    ),
    "in words": ([opened()], Answer(202, {"code": "OK", "message": "taken"}), Evidence(Stage.PUSH, NOT_DUE, 202)),
}


@pytest.mark.parametrize(("start", "answer", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_refusal(start: Sequence[Answer], answer: Answer, expected: Evidence) -> None:
    with FakeRegistry(uploading(on("PUT", "/u", answer), start=start)) as registry:
        assert send(registry) == expected._replace(sent=False)
        assert len(registry.find("POST", ".*")) == 1
        assert len(registry.find("PUT", ".*")) == len(registry.find("DELETE", ".*")) == (start == [opened()])


def test_a_piece_that_is_not_taken() -> None:
    with FakeRegistry(uploading(on("PUT", "/u", LARGE), on("PATCH", "/u", Answer(200)))) as registry:
        said = "it answers 200 to a piece of a blob, where 202 is due"
        assert send(registry) == Evidence(Stage.PUSH, said, 200, sent=False)


CHANGED = DATA[:-1] + b"!"
OTHERWISE = f"its content has the digest {{}}, and not {BLOB.digest}"
BROKEN = {
    "other content": (Lying(CHANGED, BLOB), OTHERWISE.format(blob_of(CHANGED).digest)),
    "too little": (Lying(DATA[:-1], BLOB), f"it has fewer than {BLOB.size} bytes"),
    "nothing": (Lying(b"", BLOB), f"it has fewer than {BLOB.size} bytes"),
    "too much": (Lying(DATA + b"!" * 10_000, BLOB._replace(size=99_999)), "it has more than 99999 bytes"),
    "no emptiness": (Lying(b"", BLOB._replace(size=0)), OTHERWISE.format(blob_of(b"").digest)),
}


@pytest.mark.parametrize(("content", "found"), BROKEN.values(), ids=BROKEN)
def test_what_has_another_digest_is_never_sent_whole(content: Lying, found: str) -> None:
    """Nor to a registry that would take it: the request ends before its end, and the upload is cancelled."""
    with FakeRegistry(uploading(PUT)) as registry:
        with pytest.raises(ContentBroken) as broken:
            send(registry, content, retries=3)
        assert broken.value.message == f"layer.tar: {found}"
        assert all(len(one.body) < BLOB.size for one in registry.find("PUT", "/u"))
        assert len(registry.find("DELETE", "/u")) == 1
    assert content.readings == 1


def test_a_file_that_cannot_be_read() -> None:
    with FakeRegistry(uploading(PUT)) as registry:
        with pytest.raises(ContentBroken, match=r"layer\.tar cannot be read"):
            send(registry, Lying(DATA, broken=50_000), retries=3)
        assert len(registry.find("DELETE", "/u")) == 1


class _Enough(Exception):
    """Whoever waited for it has no use for it any more."""


def test_who_is_told_may_end_it() -> None:
    def stop(size: int) -> None:
        if size == 30_000:
            raise _Enough

    with FakeRegistry(uploading(PUT)) as registry:
        with pytest.raises(_Enough):
            send(registry, told=stop, retries=3)
        assert [len(one.body) for one in registry.find("PUT", "/u")] in ([], [30_000])
        assert len(registry.find("DELETE", "/u")) == 1


# ---------------------------------------------------------------------- gone on with

DROP = Answer(drop=True)
GONE = on("HEAD", "/v2/.+", BLOB_UNKNOWN)
HEAD, ASKED = "HEAD blobs/DIGEST", "GET /u?0"
PATCHES = ["PATCH /u?1 30000-69999 of 40000", "PATCH /u?2 70000-99999 of 30000", "PUT /u?3 digest of 0"]
ANEW = [START, "PATCH /u?0 0-39999 of 40000", "PATCH /u?2 40000-79999 of 40000", "PATCH /u?3 80000-99999 of 20000"]
RESUMED: dict[str, tuple[Answer, list[str]]] = {
    # what the registry says to the question what it has, and what is asked then
    "a part": (has(30_000), PATCHES),
    "a part, as bytes": (has(30_000).having(Range="bytes=0-29999"), PATCHES),
    "a part, and no other place": (
        Answer(204).having(Range="0-29999"),
        ["PATCH /u?0 30000-69999 of 40000", *PATCHES[1:]],
    ),
    "a part that ends within a part": (has(95_001), ["PATCH /u?1 95001-99999 of 4999", "PUT /u?2 digest of 0"]),
    "everything": (has(100_000), ["PUT /u?1 digest of 0"]),
    "nothing": (has(1), [*ANEW, "PUT /u?4 digest of 0"]),
    "more than there is": (has(100_001), [*ANEW, "PUT /u?4 digest of 0"]),
    "no range": (Answer(204), [*ANEW, "PUT /u?4 digest of 0"]),
    "an odd range": (Answer(204).having(Range="5-29999"), [*ANEW, "PUT /u?4 digest of 0"]),
    "not known": (UPLOAD_UNKNOWN, [*ANEW, "PUT /u?4 digest of 0"]),
    "an error": (Answer(500), [*ANEW, "PUT /u?4 digest of 0"]),
    "a web page": (Answer(200, "<html>"), [*ANEW, "PUT /u?4 digest of 0"]),
}


def pieces(*more: Answering) -> Rule:
    return on("PATCH", "/u", *(more or (took(2), took(3), took(4), took(5))))


@pytest.mark.parametrize(("answer", "requests"), RESUMED.values(), ids=RESUMED)
def test_a_dropped_connection(answer: Answer, requests: list[str]) -> None:
    """The registry is asked what it has, and only what it lacks is sent: in pieces, which a second drop spares."""
    sizes: list[int] = []
    content = Lying(DATA)
    with FakeRegistry(
        uploading(on("PUT", "/u", DROP, Answer(201)), GONE, on("GET", "/u", answer), pieces())
    ) as registry:
        assert send(registry, content, retries=1, told=sizes.append) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE, HEAD, ASKED, *requests]
        sent = [(int(one.headers["content-range"].partition("-")[0]), one.body) for one in registry.find("PATCH", "/u")]
        assert all(DATA[start : start + len(body)] == body for start, body in sent)
    assert sizes[-1] == 100_000


def test_only_the_answer_was_lost() -> None:
    with FakeRegistry(uploading(on("PUT", "/u", DROP), on("HEAD", "/v2/.+", Answer(200)))) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE, HEAD]
        assert registry.find("DELETE", "/u") == []


SIZES = {"a large one": 100_000, "a small one": 9_999, "an empty one": 0}
THERE = on("HEAD", "/v2/.+", Answer(200))


def methods_of(registry: FakeRegistry) -> list[str]:
    return [one.method for one in seen_of(registry)]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 507])
def test_it_is_there_though_the_answer_is_an_error(status: int, size: int, pauses: list[float]) -> None:
    """As behind a proxy that does not wait for as long as it takes to put a blob away."""
    with FakeRegistry(uploading(on("PUT", "/u", Answer(status)), THERE)) as registry:
        assert send(registry, Lying(DATA[:size]), retries=1) is LayerState.SENT
        assert methods_of(registry) == ["POST", "PUT", "HEAD"]
        assert registry.find("DELETE", "/u") == []
    assert len(pauses) == (status in (502, 503, 504))


def test_it_is_there_after_the_last_try(pauses: list[float]) -> None:
    looks = on("HEAD", "/v2/.+", BLOB_UNKNOWN, Answer(200))
    with FakeRegistry(uploading(on("PUT", "/u", Answer(504)), looks)) as registry:
        assert send(registry, Lying(DATA[:9_999]), retries=1) is LayerState.SENT
        assert methods_of(registry) == ["POST", "PUT", "HEAD"] * 2
    assert len(pauses) == 1


def test_it_is_there_though_the_last_piece_was_answered_by_an_error(pauses: list[float]) -> None:
    looks = on("HEAD", "/v2/.+", BLOB_UNKNOWN, Answer(200))
    rules = uploading(on("PUT", "/u", DROP, Answer(504)), looks, on("GET", "/u", has(30_000)), pieces())
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE, HEAD, ASKED, *PATCHES, HEAD]


@pytest.mark.parametrize("look", [BLOB_UNKNOWN, Answer(503), Answer(drop=True)], ids=["not there", "busy", "dropped"])
def test_an_error_that_was_one(look: Answer, pauses: list[float]) -> None:
    with FakeRegistry(uploading(on("PUT", "/u", Answer(500)), on("HEAD", "/v2/.+", look))) as registry:
        assert send(registry, retries=3) == Evidence(Stage.PUSH, "", 500, sent=False)
        assert requests_of(registry) == [START, WHOLE, HEAD]
    assert pauses == []


def test_what_was_not_sent_whole_is_not_asked_for(pauses: list[float]) -> None:
    """Nor what a registry sends away unread."""
    pieces_ = pieces(Answer(503), took(2))
    rules = uploading(on("PUT", "/u", Answer(429), Answer(201)), pieces_, on("GET", "/u", has(90_000)))
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=2) is LayerState.SENT
        assert registry.find("HEAD", ".*") == []
        assert len(registry.find("PATCH", ".*")) == 2
    assert len(pauses) == 2


SILENT: dict[str, tuple[list[Answer], int, list[str], bool]] = {
    # what is said of the blob after no answer came, the retries, the requests, and whether it is there
    "there": ([Answer(200)], 1, ["HEAD"], True),
    "there a moment later": ([BLOB_UNKNOWN, BLOB_UNKNOWN, Answer(200)], 2, ["HEAD"] * 3, True),
    "not there": ([BLOB_UNKNOWN], 2, ["HEAD"] * 3, False),
    "an error": ([Answer(500)], 1, ["HEAD"] * 2, False),
    "nobody": ([Answer(drop=True)], 1, ["HEAD"] * 2, False),
    "not asked for": ([], 0, [], False),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(("looks", "retries", "requests", "there"), SILENT.values(), ids=SILENT)
def test_no_answer_in_time(
    looks: list[Answer],
    retries: int,
    requests: list[str],
    there: bool,
    size: int,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Putting all of it away takes too long: it is not sent again, but it may be there."""
    monkeypatch.setattr(transport, "STREAM_TIMEOUT", 0.1)
    late = on("PUT", "/u", Answer(201, delay=0.4))
    with FakeRegistry(uploading(late, *([on("HEAD", "/v2/.+", *looks)] if looks else []))) as registry:
        if there:
            assert send(registry, Lying(DATA[:size]), retries=retries) is LayerState.SENT
        else:
            with pytest.raises(RegistryUnreachable, match="no answer in time"):
                send(registry, Lying(DATA[:size]), retries=retries)
        assert methods_of(registry) == ["POST", "PUT", *requests]
        assert len(registry.find("DELETE", "/u")) == (not there)


def test_no_answer_in_time_to_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "STREAM_TIMEOUT", 0.1)
    with FakeRegistry(uploading(on("PUT", "/u", LARGE), pieces(Answer(202, delay=0.4)))) as registry:
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            send(registry, retries=3)
        assert methods_of(registry) == ["POST", "PUT", "POST", "PATCH"]


def test_a_small_blob_is_begun_anew() -> None:
    """That takes no longer than to ask."""
    small = Lying(DATA[:9_999])
    with FakeRegistry(uploading(on("PUT", "/u", DROP, Answer(201)))) as registry:
        assert send(registry, small, retries=1) is LayerState.SENT
        assert [one.method for one in registry.requests if one.method != "DELETE"] == ["GET", *["POST", "PUT"] * 2]
        assert len(registry.find("DELETE", "/u")) == 1


def test_without_patience_a_drop_is_the_end() -> None:
    with FakeRegistry(uploading(on("PUT", "/u", DROP))) as registry:
        with pytest.raises(RegistryUnreachable, match="the connection was closed without an answer"):
            send(registry)
        assert requests_of(registry) == [START, WHOLE]
        assert len(registry.find("DELETE", "/u")) == 1


@pytest.mark.parametrize("retries", [1, 2])
def test_patience_ends_where_nothing_goes_on(retries: int, pauses: list[float]) -> None:
    asked = on("GET", "/u", UPLOAD_UNKNOWN)
    with FakeRegistry(uploading(on("PUT", "/u", DROP), on("PATCH", "/u", DROP), GONE, asked)) as registry:
        with pytest.raises(RegistryUnreachable):
            send(registry, retries=retries)
        assert len(registry.find("POST", ".*")) == 1 + retries
        assert len(registry.find("DELETE", "/u")) == 1 + retries


class Keeping:
    """An upload of which the registry keeps so much more each time, and says nothing."""

    def __init__(self, step: int) -> None:
        self.step, self.kept = step, 0

    def rules(self) -> list[Rule]:
        def drop(_request: Request) -> Answer:
            self.kept += self.step
            return DROP

        def tell(_request: Request) -> Answer:
            return has(self.kept)

        return [on("PUT", "/u", drop, Answer(201)), on("PATCH", "/u", drop), on("GET", "/u", tell), GONE]


def test_what_goes_on_is_tried_for_as_long_as_it_does(pauses: list[float]) -> None:
    """Every step earns the whole retry_policy again: ten drops, and one retry."""
    with FakeRegistry(uploading(Keeping(10_000).rules())) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert len(registry.find("POST", ".*")) == 1
        assert len(registry.find("PATCH", ".*")) == 9
    assert pauses == []


def test_a_crumb_is_no_progress(pauses: list[float]) -> None:
    with FakeRegistry(uploading(Keeping(2).rules())) as registry:
        with pytest.raises(RegistryUnreachable):
            send(registry, retries=2)
        assert len(registry.find("PATCH", ".*")) == 2


def test_progress_does_not_earn_patience_for_ever(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_upload, "_FRESH_TRIES", 3)
    with FakeRegistry(uploading(Keeping(10_000).rules())) as registry:
        with pytest.raises(RegistryUnreachable):
            send(registry, retries=1)
        assert len(registry.find("PATCH", ".*")) == 3


def test_a_busy_registry(pauses: list[float]) -> None:
    busy = Answer(503).having(Retry_After="7")
    rules = uploading(on("PUT", "/u", busy, Answer(201)), GONE, on("GET", "/u", has(30_000)), pieces())
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry) == [START, WHOLE, HEAD, ASKED, *PATCHES]
    assert pauses == [7.0]


def test_a_piece_that_comes_out_of_order() -> None:
    """A registry may have taken more by now than it said, or less: it is asked once more."""
    asked = on("GET", "/u", has(30_000), has(50_000, 7))
    rules = uploading(on("PUT", "/u", DROP, Answer(201)), GONE, asked, pieces(BAD_RANGE, took(8), took(9)))
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry)[4:] == [
            "PATCH /u?1 30000-69999 of 40000",
            "GET /u?1",
            "PATCH /u?7 50000-89999 of 40000",
            "PATCH /u?8 90000-99999 of 10000",
            "PUT /u?9 digest of 0",
        ]


def test_out_of_order_for_ever() -> None:
    rules = uploading(on("PUT", "/u", DROP), GONE, on("GET", "/u", has(30_000)), pieces(BAD_RANGE))
    with FakeRegistry(rules) as registry:
        found = send(registry, retries=1)
        assert len(registry.find("PATCH", "/u")) == 4
    assert found == Evidence(Stage.PUSH, "the chunk is out of order", 416, "BLOB_UPLOAD_INVALID", sent=False)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_that_takes_no_pieces(status: int) -> None:
    """What it would not go on with is begun anew, and goes as a whole from then on."""
    rules = uploading(on("PUT", "/u", DROP, Answer(201)), GONE, on("GET", "/u", has(30_000)), pieces(Answer(status)))
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry)[4:] == [PATCHES[0], START, WHOLE]


def test_what_was_gone_on_with_is_not_what_it_should_be() -> None:
    answers = on("PUT", "/u", DROP, refused(400, "DIGEST_INVALID", "no"), Answer(201))
    rules = uploading(answers, GONE, on("GET", "/u", has(30_000)), pieces())
    with FakeRegistry(rules) as registry:
        assert send(registry, retries=1) is LayerState.SENT
        assert requests_of(registry)[4:] == [*PATCHES, START, WHOLE]


# ---------------------------------------------------------------------- limits of a proxy


def limited(most: int) -> list[Rule]:
    """Bodies may have so many bytes."""
    states = iter(range(1, 1000))

    def patch(request: Request) -> Answer:
        return LARGE if len(request.body) > most else took(next(states))

    def put(request: Request) -> Answer:
        return LARGE if len(request.body) > most else Answer(201)

    return [on("PATCH", "/u", patch), on("PUT", "/u", put)]


LIMITS: dict[str, tuple[int, str, list[str]]] = {
    # bytes that pass, the registry's own smallest piece, and the sizes of all bodies
    "all of it": (100_000, "", ["PUT 100000"]),
    "most of it": (99_999, "", ["PUT 100000", "PATCH 40000", "PATCH 40000", "PATCH 20000", "PUT 0"]),
    "some of it": (20_000, "", ["PUT 100000", "PATCH 40000", *["PATCH 20000"] * 5, "PUT 0"]),
    "a bit": (5_000, "", ["PUT 100000", "PATCH 40000", "PATCH 20000", *["PATCH 5000"] * 20, "PUT 0"]),
    "not enough": (4_999, "", ["PUT 100000", "PATCH 40000", "PATCH 20000", "PATCH 5000"]),
    "larger pieces": (60_000, "50000", ["PUT 100000", "PATCH 50000", "PATCH 50000", "PUT 0"]),
    "larger pieces than pass": (40_000, "50000", ["PUT 100000", "PATCH 50000"]),
    "pieces as large as all of it": (40_000, "100000", ["PUT 100000"]),
    "no number": (40_000, "many", ["PUT 100000", "PATCH 40000", "PATCH 40000", "PATCH 20000", "PUT 0"]),
}


@pytest.mark.parametrize(("most", "least", "bodies"), LIMITS.values(), ids=LIMITS)
def test_a_proxy_that_limits_bodies(most: int, least: str, bodies: list[str]) -> None:
    start = opened(OCI_Chunk_Min_Length=least) if least else opened()
    with FakeRegistry(uploading(limited(most), start=(start,))) as registry:
        found = send(registry)
        sent = [one for one in registry.requests if one.method in ("PUT", "PATCH")]
        assert [f"{one.method} {len(one.body)}" for one in sent] == bodies
    refusal = Evidence(Stage.PUSH, "too large", 413, "SIZE_INVALID", sent=False)
    assert found == (LayerState.SENT if most >= len(sent[-1].body) else refusal)


def test_a_limit_below_every_piece_is_told() -> None:
    """In a page of the proxy's, as a rule, which says no more than the status."""
    page = Answer(413, "<html><h1>413 Request Entity Too Large</h1></html>")
    with FakeRegistry(uploading(on("PUT|PATCH", "/u", page))) as registry:
        found = send(registry)
    said = (
        "request entity too large: a body of 5000 bytes does not pass; a proxy in front of the registry usually sets "
        "the limit"
    )
    assert found == Evidence(Stage.PUSH, said, 413, sent=False)


def test_the_limit_holds_for_the_next_blob() -> None:
    with FakeRegistry(uploading(limited(20_000))) as registry, closing(new()) as asked:
        assert send(registry, asked=asked) is LayerState.SENT
        before = len(registry.requests)
        for size in (30_000, 20_000):
            assert send(registry, Lying(DATA[:size]), asked=asked) is LayerState.SENT
        sent = [one for one in registry.requests[before:] if one.method in ("PUT", "PATCH")]
        assert [f"{one.method} {len(one.body)}" for one in sent] == ["PATCH 20000", "PATCH 10000", "PUT 0", "PUT 20000"]


def test_of_two_limits_the_smaller_one_holds() -> None:
    """A blob that is under way as a whole meanwhile learns of the other one's."""
    asked = new()
    found: list[LayerState | Evidence] = []

    def one(size: int, told: Callable[[int], None] = lambda _size: None) -> None:
        found.append(asked.send(Lying(DATA[:size]), target(registry.host), "", told, NO_RETRIES))

    def meanwhile(size: int) -> None:
        if size == 10_000 and not found:
            other = threading.Thread(target=one, args=(30_000,))
            other.start()
            other.join(20)

    with FakeRegistry(uploading(limited(5_000))) as registry:
        one(100_000, meanwhile)
        one(6_000)
        sent = [f"{one.method} {len(one.body)}" for one in registry.requests if one.method in ("PUT", "PATCH")]
        asked.close()
    assert found == [LayerState.SENT] * 3
    assert sent == [
        *("PUT 30000", "PATCH 20000", *["PATCH 5000"] * 6, "PUT 0"),
        *("PUT 100000", *["PATCH 5000"] * 20, "PUT 0"),
        *("PATCH 5000", "PATCH 1000", "PUT 0"),
    ]


# ---------------------------------------------------------------------- tokens that grow old

WANTED = UNAUTHORIZED.having(WWW_Authenticate=bearer_challenge())


def expiring(taken: Sequence[str], *rules: Rule | Sequence[Rule]) -> list[Rule]:
    """Each of the tokens is taken so often as it stands in `taken`; the server gives them one after the other."""
    left = list(taken)

    def guard(request: Request) -> Answer | None:
        if request.method == "DELETE":
            return None
        if left and request.authorization == f"Bearer {left[0]}":
            left.pop(0)
            return None
        return WANTED

    given = [Answer(200, {"token": token}) for token in dict.fromkeys(taken)]
    return [ping(WANTED), *guarded(guard, uploading(*rules)[1:]), on("GET", "/token", *given)]


def test_a_token_that_is_too_old_for_the_next_piece() -> None:
    """The registry is asked what it has with the next one, and it goes on."""
    asked = on("GET", "/u", has(40_000, 9))
    with FakeRegistry(expiring([OURS] * 4 + [OPAQUE] * 4, limited(40_000), asked)) as registry:
        assert send(registry, credential=somebody()) is LayerState.SENT
        found = [(one, seen.authorization) for one, seen in zip(requests_of(registry), seen_of(registry), strict=True)]
    first, second = f"Bearer {OURS}", f"Bearer {OPAQUE}"
    assert [one for one in found if "token" not in one[0]] == [
        (START, first),
        (WHOLE, first),
        (START, first),
        ("PATCH /u?0 0-39999 of 40000", first),
        ("PATCH /u?1 40000-79999 of 40000", first),
        ("GET /u?1", second),
        ("PATCH /u?9 40000-79999 of 40000", second),
        ("PATCH /u?2 80000-99999 of 20000", second),
        ("PUT /u?3 digest of 0", second),
    ]


@pytest.mark.parametrize("challenge", ['Basic realm="r"', bearer_challenge()], ids=["Basic", "Bearer"])
def test_an_upload_that_anybody_starts_and_nobody_ends(challenge: str) -> None:
    """The login is asked for when the content comes, and not before."""
    rules = guarded(wants_login(challenge), PUT, on("PATCH", "/u", took(1)), on("GET", "/u", has(100_000)))
    with FakeRegistry(uploading(rules), on("GET", "/token", Answer(200, {"token": OURS}))) as registry:
        assert send(registry, credential=somebody(), retries=1) is LayerState.SENT
        *_, last = registry.find("PUT", "/u")
        assert {one.authorization for one in registry.find("POST", ".*")} >= {""}
    assert last.authorization == (f"Bearer {OURS}" if "Bearer" in challenge else basic_header("ada", PASSWORD))


def wants_login(challenge: str) -> Guard:
    refusal = UNAUTHORIZED.having(WWW_Authenticate=challenge)
    return lambda request: None if request.authorization else refusal


def test_a_token_that_nothing_replaces() -> None:
    rules = expiring([OURS], PUT)
    with FakeRegistry(rules) as registry:
        found = send(registry, credential=somebody(), retries=3)
        assert len(registry.find("PUT", "/u")) == 1
        assert len(registry.find("GET", "/token")) == 2
    assert isinstance(found, Evidence)
    assert (found.status, found.sent) == (401, True)


def test_a_next_token_that_is_refused_too() -> None:
    rules = expiring([OURS, OPAQUE], PUT, on("GET", "/u", UPLOAD_UNKNOWN))
    with FakeRegistry(rules) as registry:
        found = send(registry, credential=somebody(), retries=3)
        assert len(registry.find("PUT", "/u")) <= 2
    assert isinstance(found, Evidence)
    assert found.status == 401


# ---------------------------------------------------------------------- answers before the end


class _Hasty(StreamRequestHandler):
    """Answers when it has read the head of a request, and closes."""

    answer: Answer

    def handle(self) -> None:
        while head := self._head():
            if head.startswith((b"PUT", b"PATCH")):
                body = b'{"errors":[{"code":"SAID","message":"said at once"}]}'
                line = f"HTTP/1.1 {self.answer.status} No\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(line.encode() + body)
                return
            status, more = ("202 Accepted", "Location: /u\r\n") if head.startswith(b"POST") else ("200 OK", "")
            self.wfile.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n".encode())

    def _head(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines)


@contextmanager
def hasty(answer: Answer, certificate: Certificate | None = None) -> Iterator[str]:
    class _Server(ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            connection, address = super().get_request()
            if certificate is None:
                return connection, address
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            return context.wrap_socket(connection, server_side=True), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients go away."""

    server = _Server(("127.0.0.1", 0), type("_Served", (_Hasty,), {"answer": answer}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f":{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


MUCH = Lying(bytes(32 * 1024 * 1024), part=1024 * 1024)


@pytest.mark.parametrize("status", [401, 403, 413, 507])
def test_an_answer_before_the_end(status: int) -> None:
    with hasty(Answer(status)) as port:
        found = send(f"127.0.0.1{port}", MUCH, retries=1)
    assert found == Evidence(Stage.PUSH, "said at once", status, "SAID", sent=False)


@pytest.mark.parametrize("status", [401, 403, 413, 507])
def test_an_answer_before_the_end_by_tls(status: int, trusted: Certificate, names: Names) -> None:
    names("registry.test")
    with hasty(Answer(status), trusted) as port:
        found = send(f"registry.test{port}", MUCH, retries=1)
    assert found == Evidence(Stage.PUSH, "said at once", status, "SAID", sent=False)


# ---------------------------------------------------------------------- from an archive


def in_one_archive(folder: Path, count: int, size: int) -> list[StoredBlob]:
    """Blobs of one file."""
    whole = random.Random(1).randbytes(count * size)
    path = folder / "image.tar"
    path.write_bytes(whole)
    file = OpenFile(os.open(path, os.O_RDONLY), str(path))
    return [
        StoredBlob(blob_of(whole[begin : begin + size]), Stretch(file, begin, size, f"{path}: layer"))
        for begin in range(0, len(whole), size)
    ]


def side_by_side(contents: Sequence[Content], where: Repository) -> list[LayerState | Evidence]:
    asked = new()
    with ThreadPoolExecutor(len(contents)) as threads:
        try:
            send_one = functools.partial(asked.send, on_sent=lambda _size: None, retry_policy=NO_RETRIES)
            return list(threads.map(lambda content: send_one(content, where, ""), contents))
        finally:
            asked.close()


def test_blobs_of_one_archive_side_by_side(embedded: EmbeddedRegistry, tmp_path: Path) -> None:
    """Their descriptors share one position."""
    assert side_by_side(in_one_archive(tmp_path, 8, 500_000), target(embedded.host)) == [LayerState.SENT] * 8


@pytest.mark.parametrize("after", [0, 1], ids=["at once", "in the middle"])
def test_what_cannot_be_read_is_no_trouble_of_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    (content,) = in_one_archive(tmp_path, 1, 3_000_000)
    really, read = os.preadv, list[int]()

    def read_some(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if len(read) == after:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        read.append(really(descriptor, buffers, offset))
        return read[-1]

    monkeypatch.setattr(os, "preadv", read_some)
    with FakeRegistry(uploading(PUT)) as registry:
        with pytest.raises(ContentBroken, match=r"image\.tar: layer: it cannot be read: input/output error"):
            side_by_side([content], target(registry.host))
        assert len(registry.find("DELETE", "/u")) == 1


# ---------------------------------------------------------------------- to a registry that really keeps things


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path) as running:
        yield running


CUTS: dict[str, tuple[tuple[int, ...], bool, int]] = {
    # after how many bytes connections break off, whether all do, and with how many retries it comes through
    "once": ((50_000,), False, 1),
    "at once": ((1_000,), False, 1),
    "twice": ((50_000, 50_000), False, 2),
    "in the second piece": ((50_000, 60_000), False, 2),
    "every time": ((45_000,), True, 2),
}


@pytest.mark.parametrize(("after", "for_ever", "retries"), CUTS.values(), ids=CUTS)
def test_a_link_that_breaks(
    embedded: EmbeddedRegistry, after: tuple[int, ...], for_ever: bool, retries: int, pauses: list[float]
) -> None:
    """It keeps pieces that came whole."""
    port = int(embedded.host.rpartition(":")[2])
    with Cutting(port, *after, for_ever=for_ever) as link:
        assert send(link.host, retries=retries) is LayerState.SENT
    assert link.cuts >= len(after)
    assert new().holds(BLOB, target(embedded.host), NO_RETRIES) is True


class _Careful(BaseHTTPRequestHandler):
    """A registry of one upload that keeps every byte that came."""

    protocol_version = "HTTP/1.1"
    kept: bytearray

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _handle(self) -> None:
        left = int(self.headers["Content-Length"] or 0)
        if left and not self.headers.get("Content-Range", "0-").startswith(f"{len(self.kept)}-"):
            self.close_connection = True
            self.send_error(416)  # what came before the link broke was still on its way
            return
        while left:
            part = self.rfile.read1(min(left, 1000))
            if not part:
                self.close_connection = True
                return
            self.kept += part
            left -= len(part)
        status = {"HEAD": 404, "POST": 202, "PATCH": 202, "PUT": 201, "GET": 200 if self.path == "/v2/" else 204}
        self.send_response_only(status[self.command])
        for name, value in {"Location": "/u", "Range": f"0-{len(self.kept) - 1}", "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815


def test_a_link_that_breaks_before_a_registry_that_keeps_all_that_came(pauses: list[float]) -> None:
    kept = bytearray()
    handler = type("_Served", (_Careful,), {"kept": kept})
    with serving(handler) as host, Cutting(int(host.rpartition(":")[2]), 30_000, for_ever=True) as link:
        assert send(link.host, retries=3) is LayerState.SENT
    assert kept == DATA
    assert link.cuts >= 3


def test_a_link_that_takes_nothing_any_more(
    embedded: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """As a connection does that a router has forgotten."""
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(blob_upload, "PIECES", (len(MUCH.content),))
    port = int(embedded.host.rpartition(":")[2])
    with Cutting(port, 50_000, silently=True) as link:
        assert send(link.host, Lying(MUCH.content), retries=1) is LayerState.SENT
        assert link.cuts == 1


def test_a_blob_takes_no_memory(embedded: EmbeddedRegistry) -> None:
    much = Lying(MUCH.content)
    tracemalloc.start()
    try:
        assert send(embedded.host, much) is LayerState.SENT
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BODY_LIMIT


def test_a_blob_ends_with_the_run(embedded: EmbeddedRegistry) -> None:
    started = time.monotonic()
    asked = Registry(Transport(deadline=lambda: started + 0.3 - time.monotonic()))
    with pytest.raises(RegistryUnreachable, match="the time for the whole run is over"):
        send(embedded.host, told=lambda _size: time.sleep(0.1), asked=asked, retries=3)
    assert time.monotonic() - started < 3


def test_many_at_once(embedded: EmbeddedRegistry) -> None:
    asked = new()
    contents = [Lying(bytes([number]) * 100_000) for number in range(32)]
    found: list[LayerState | Evidence] = []

    def one(content: Lying) -> None:
        found.append(asked.send(content, target(embedded.host), "", lambda _size: None, NO_RETRIES))

    threads = [threading.Thread(target=one, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [LayerState.SENT] * len(contents)
    assert all(asked.holds(content.blob, target(embedded.host), NO_RETRIES) for content in contents)
    asked.close()
