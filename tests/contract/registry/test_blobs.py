"""Blobs brought to a repository: left, mounted or copied; as whom, by which requests, and what may go wrong."""

from __future__ import annotations

import hashlib
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, CredentialKind, Repository
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import Blob
from pushsafe.oci.reference import Reference
from pushsafe.registry import blob_upload
from pushsafe.registry.client import Registry
from pushsafe.registry.http import transport
from pushsafe.registry.http.transport import BODY_LIMIT, Transport
from tests.contract.registry.asking import NAME, NOBODY, OPAQUE, PULL_PUSH, new, somebody
from tests.contract.registry.conftest import Names
from tests.fakes.registry import (
    DENIED,
    UNAUTHORIZED,
    Answer,
    Answering,
    Certificate,
    FakeRegistry,
    Request,
    Rule,
    basic_header,
    basic_registry,
    guarded,
    jwt,
    on,
    open_registry,
    ping,
    redirect,
    token_server,
    wants_basic,
    wants_bearer,
)
from tests.fakes.storing import BLOB_UNKNOWN, Storing

CONTENT = b"what a layer holds" * 10_000
OTHER = "acme/other"


def blob_of(content: bytes) -> Blob:
    return Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


BLOB = blob_of(CONTENT)


def repository(registry: FakeRegistry, name: str = NAME, credential: Credential = NOBODY) -> Repository:
    return Repository(Reference("given", registry.host, name, "1"), credential)


def bring(
    source: Repository,
    target: Repository,
    blob: Blob = BLOB,
    *,
    retries: int = 0,
    told: Callable[[int], None] = lambda _size: None,
    asked: Registry | None = None,
) -> LayerState | Evidence:
    """One blob; by the end what was opened and not used is cancelled."""
    asked = asked or new()
    try:
        return asked.bring(blob, source, target, told, RetryPolicy(retries) if retries else NO_RETRIES)
    finally:
        asked.close()


def holding(*contents: bytes) -> Storing:
    store = Storing()
    store.blobs = {blob_of(content).digest: content for content in contents}
    return store


def source_of(answer: Answering, *more: Answering) -> list[Rule]:
    """A registry with one blob."""
    return open_registry([on("GET", f"/v2/.+/blobs/{BLOB.digest}", answer, *more)])


FULL = Answer(200, CONTENT)


def requests_of(registry: FakeRegistry) -> list[str]:
    """Method and place of every request but the first one, `GET /v2/`."""
    short = ((f"/v2/{NAME}/", ""), (f"/v2/{OTHER}/", "other "), (BLOB.digest, "DIGEST"))
    found = []
    for request in registry.requests[1:]:
        path = request.path
        for long, instead in short:
            path = path.replace(long, instead)
        found.append(f"{request.method} {path}{' mount' if 'mount' in request.query else ''}")
    return found


# ---------------------------------------------------------------------- on one registry


def test_what_is_there_is_left() -> None:
    with FakeRegistry(open_registry(), holding(CONTENT).rules()) as registry:
        assert bring(repository(registry, OTHER), repository(registry)) is LayerState.REUSED
        assert requests_of(registry) == ["HEAD blobs/DIGEST"]


def mounting(answer: Answer, *store: Rule) -> list[Rule]:
    """A registry that answers so to a mount, and whose source repository holds the blob."""
    other = on("GET", f"/v2/{OTHER}/blobs/.+", FULL)
    missing = on("HEAD", f"/v2/{NAME}/blobs/.+", BLOB_UNKNOWN)

    def start(request: Request) -> Answer:
        return answer if "mount" in request.query else Answer(202).having(Location="/plain?_state=s")

    return [other, missing, on("POST", f"/v2/{NAME}/blobs/uploads/", start), *store]


def test_a_blob_of_another_repository_is_mounted() -> None:
    with FakeRegistry(ping(), mounting(Answer(201))) as registry:
        assert bring(repository(registry, OTHER), repository(registry)) is LayerState.MOUNTED
        assert requests_of(registry) == ["HEAD blobs/DIGEST", "POST blobs/uploads/ mount"]
        assert dict(registry.requests[-1].query) == {"mount": BLOB.digest, "from": OTHER}


BOTH_SCOPES = (f"repository:{NAME}:pull,push", f"repository:{OTHER}:pull")


def with_tokens(tokens: Sequence[Rule], *rules: Rule | Sequence[Rule]) -> list[Rule]:
    return [*guarded(wants_bearer(), ping(), *rules), *tokens]


def test_the_token_for_a_mount_is_for_both_repositories() -> None:
    with FakeRegistry(with_tokens(token_server(OPAQUE), mounting(Answer(201)))) as registry:
        found = bring(repository(registry, OTHER, somebody()), repository(registry, NAME, somebody()))
        assert found is LayerState.MOUNTED
        assert [one.scopes for one in registry.find("GET", "/token")] == [(f"repository:{NAME}:pull",), BOTH_SCOPES]


def test_an_identity_token_asks_for_both_in_one_parameter() -> None:
    """As distribution's `spec/auth/oauth.md` has it."""
    identity = somebody(CredentialKind.IDENTITY_TOKEN, "identity", "")
    tokens = [on("POST", "/token", Answer(200, {"access_token": OPAQUE}))]
    with FakeRegistry(with_tokens(tokens, mounting(Answer(201)))) as registry:
        assert bring(repository(registry, OTHER, identity), repository(registry, NAME, identity)) is LayerState.MOUNTED
        assert registry.find("POST", "/token")[-1].form["scope"] == " ".join(BOTH_SCOPES)


def test_a_token_for_one_repository_is_none_for_a_mount() -> None:
    """The one of the questions before a push is not used for it; each is asked for once."""
    tokens = token_server(jwt(NAME, *PULL_PUSH))
    with FakeRegistry(with_tokens(tokens, mounting(Answer(201)), on("DELETE", "/plain"))) as registry:
        asked = new()
        asked.investigate(Reference("", registry.host, NAME, "1"), somebody())
        for _ in range(2):
            asked.bring(
                BLOB,
                repository(registry, OTHER, somebody()),
                repository(registry, NAME, somebody()),
                lambda _size: None,
                NO_RETRIES,
            )
        assert [one.scopes for one in registry.find("GET", "/token")] == [BOTH_SCOPES[:1], BOTH_SCOPES]
        asked.close()


INSTEAD = Answer(202).having(Location="/instead?_state=s")


def test_an_upload_in_place_of_a_mount_is_used() -> None:
    taking = on("PUT", "/instead", Answer(201))
    with FakeRegistry(ping(), mounting(INSTEAD, taking)) as registry:
        assert bring(repository(registry, OTHER), repository(registry)) is LayerState.SENT
        assert requests_of(registry)[1:] == ["POST blobs/uploads/ mount", "GET other blobs/DIGEST", "PUT /instead"]
        put = registry.requests[-1]
        assert dict(put.query) == {"_state": "s", "digest": BLOB.digest}
        assert put.headers["content-length"] == str(BLOB.size)
        assert put.headers["content-type"] == "application/octet-stream"
        assert put.body == CONTENT


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_who_may_not_mount_may_upload(status: int) -> None:
    with FakeRegistry(ping(), mounting(Answer(status), on("PUT", "/plain", Answer(201)))) as registry:
        assert bring(repository(registry, OTHER), repository(registry)) is LayerState.SENT
        assert requests_of(registry)[-3:] == ["POST blobs/uploads/", "GET other blobs/DIGEST", "PUT /plain"]


# ---------------------------------------------------------------------- from another registry


def test_what_another_registry_holds_is_copied() -> None:
    """Each is spoken to as who is logged in there."""
    theirs, ours = somebody(secret="theirs", user="bob"), somebody()
    target_store = holding()
    with FakeRegistry(basic_registry(holding(CONTENT).rules(), user="bob", password="theirs")) as source:
        with FakeRegistry(guarded(wants_basic(), ping(), target_store.rules())) as target:
            sizes: list[int] = []
            found = bring(repository(source, OTHER, theirs), repository(target, NAME, ours), told=sizes.append)
            assert found is LayerState.SENT
            assert requests_of(target) == ["HEAD blobs/DIGEST", "POST blobs/uploads/", "PUT blobs/uploads/u1"]
            assert {one.authorization for one in target.requests[1:]} == {basic_header("ada", "hunter2!")}
        assert requests_of(source) == ["GET other blobs/DIGEST"]
        assert source.requests[-1].authorization == basic_header("bob", "theirs")
    assert target_store.blobs == {BLOB.digest: CONTENT}
    assert sizes == sorted(sizes)
    assert sizes[-1] == BLOB.size


def test_a_copy_goes_by_tls_as_everything_does(trusted: Certificate, names: Names) -> None:
    names("registry.test", "other.test")
    store = holding()
    with (
        FakeRegistry(open_registry(), holding(CONTENT).rules(), certificate=trusted) as source,
        FakeRegistry(ping(), store.rules(), certificate=trusted) as target,
    ):
        hosts = (f"other.test:{source.port}", f"registry.test:{target.port}")
        assert bring(*between(*hosts)) is LayerState.SENT
    assert store.blobs == {BLOB.digest: CONTENT}


def test_a_source_that_wants_a_login_for_reading_only() -> None:
    """`/v2/` is open there, and only the blob says who is asked for."""
    rules = [ping(), *guarded(wants_basic(), source_of(FULL)[-1:])]
    with FakeRegistry(rules) as source, FakeRegistry(open_registry(), holding().rules()[1:]) as target:
        target.rules[:0] = holding().rules()
        assert bring(repository(source, OTHER, somebody()), repository(target)) is LayerState.SENT
        assert requests_of(source) == ["GET other blobs/DIGEST"] * 2


def test_an_empty_blob() -> None:
    store = holding()
    with FakeRegistry(open_registry(), holding(b"").rules()) as source, FakeRegistry(ping(), store.rules()) as target:
        source.rules.insert(0, on("GET", "/v2/.+/blobs/.+", Answer(200)))
        assert bring(repository(source, OTHER), repository(target), blob_of(b"")) is LayerState.SENT
    assert store.blobs == {blob_of(b"").digest: b""}


def test_the_storage_that_a_redirect_names_gets_no_credential() -> None:
    store = holding()
    with FakeRegistry(on("GET", "/stored", FULL)) as storage, FakeRegistry(ping(), store.rules()) as target:
        moved = [on("GET", "/v2/.+/blobs/.+", redirect(f"{storage.base}/stored"))]
        with FakeRegistry(basic_registry(moved)) as source:
            assert bring(repository(source, OTHER, somebody()), repository(target)) is LayerState.SENT
        assert storage.requests[0].authorization == ""
    assert store.blobs == {BLOB.digest: CONTENT}


def test_the_challenge_of_a_storage_is_not_answered() -> None:
    lure = UNAUTHORIZED.having(WWW_Authenticate='Bearer realm="$BASE/token"')
    with FakeRegistry(on("GET", "/.*", lure)) as storage, FakeRegistry(ping(), holding().rules()) as target:
        moved = [on("GET", "/v2/.+/blobs/.+", redirect(f"{storage.base}/stored"))]
        with FakeRegistry(basic_registry(moved)) as source:
            found = bring(repository(source, OTHER, somebody()), repository(target))
        assert storage.seen() == ["GET /stored"]
    assert isinstance(found, Evidence)
    assert (found.stage, found.status) == (Stage.VERIFY, 401)


@pytest.mark.parametrize("status", [307, 308])
def test_a_copy_follows_its_target_within_the_origin(status: int) -> None:
    """The blob is read once more for it, and sent whole."""
    moved = on("PUT", "/u", redirect(f"/moved?digest={BLOB.digest}", status))
    missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
    begin = on("POST", "/begin", Answer(202).having(Location="/u"))
    places = [missing, begin, moved, on("PUT", "/moved", Answer(201))]
    rules = basic_registry(places, upload=redirect("/begin", status))
    with FakeRegistry(source_of(FULL, FULL)) as source, FakeRegistry(rules) as target:
        assert bring(repository(source, OTHER), repository(target, NAME, somebody())) is LayerState.SENT
        asked = [one for one in target.requests if one.method in ("POST", "PUT")]
        assert len(source.find("GET", "/v2/.+/blobs/.+")) == 2
    assert [one.path for one in asked] == [f"/v2/{NAME}/blobs/uploads/", "/begin", "/u", "/moved"]
    assert [one.body for one in asked] == [b"", b"", CONTENT, CONTENT]
    assert {one.authorization for one in asked} == {basic_header("ada", "hunter2!")}


def test_a_copy_follows_its_target_nowhere_else() -> None:
    missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
    with FakeRegistry() as other, FakeRegistry(source_of(FULL)) as source:
        leading = on("PUT", "/u", Answer(307).having(Location=f"{other.base}/u"))
        moved = [missing, leading, on("DELETE", "/u", Answer(204))]
        started = Answer(202).having(Location="/u")
        with FakeRegistry(basic_registry(moved, upload=started)) as target:
            found = bring(repository(source, OTHER), repository(target, NAME, somebody()))
        assert other.requests == []
    assert isinstance(found, Evidence)
    assert (found.status, found.message) == (307, f"a redirect to {other.base}, which is not followed")


def test_an_upload_elsewhere_gets_no_credential() -> None:
    """As with containerd; a registry may name any host."""
    with FakeRegistry(on("PUT", "/there", Answer(201))) as elsewhere, FakeRegistry(source_of(FULL)) as source:
        started = Answer(202).having(Location=f"{elsewhere.base}/there?a=b")
        missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
        with FakeRegistry(basic_registry([missing], upload=started)) as target:
            assert bring(repository(source, OTHER), repository(target, NAME, somebody())) is LayerState.SENT
        assert elsewhere.requests[0].authorization == ""
        assert elsewhere.requests[0].body == CONTENT


@pytest.mark.parametrize("location", ["", "http://[bad", "mailto:somebody"])
def test_an_upload_nowhere(location: str) -> None:
    started = Answer(202).having(Location=location)
    missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
    said = "it opens an upload, but does not say where to send it"
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(open_registry([missing], started)) as target:
        found = bring(repository(source, OTHER), repository(target))
        assert source.requests == []
    assert found == Evidence(Stage.PUSH, said, 202, sent=False)


# ---------------------------------------------------------------------- what goes wrong

CHANGED = CONTENT[:-1] + b"!"
ODD: dict[str, tuple[bytes, str]] = {
    "other content": (CHANGED, f"{BLOB.size} bytes of {blob_of(CHANGED).digest}"),
    "too little": (CONTENT[:-1], f"{BLOB.size - 1} bytes of {blob_of(CONTENT[:-1]).digest}"),
    "nothing": (b"", f"0 bytes of {blob_of(b'').digest}"),
    "too much": (CONTENT + b"!", f"more than {BLOB.size} bytes"),
}


@pytest.mark.parametrize(("sent", "said"), ODD.values(), ids=ODD)
def test_what_has_another_digest_is_never_sent_whole(sent: bytes, said: str) -> None:
    """Nor by a registry that would take it: the request ends before its end, and the upload is cancelled."""
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    taking = on("PUT", "/plain", Answer(201))
    with (
        FakeRegistry(source_of(Answer(200, sent))) as source,
        FakeRegistry(ping(), mounting(INSTEAD, taking), cancelled) as target,
    ):
        found = bring(repository(source, OTHER), repository(target))
        assert all(len(one.body) < BLOB.size for one in target.find("PUT", "/plain"))
    message = f"asked for {BLOB.digest} of {BLOB.size} bytes, it sent {said}"
    assert found == Evidence(Stage.VERIFY, message, status=200, code="DIGEST_MISMATCH", sent=False)


REFUSED: dict[str, tuple[Sequence[Rule], Stage, int]] = {
    "the source does not have it": ([on("GET", "/v2/.+/blobs/.+", BLOB_UNKNOWN)], Stage.VERIFY, 404),
    "the source does not show it": ([on("GET", "/v2/.+/blobs/.+", DENIED)], Stage.VERIFY, 403),
}


@pytest.mark.parametrize(("rules", "stage", "status"), REFUSED.values(), ids=REFUSED)
def test_a_source_that_refuses(rules: Sequence[Rule], stage: Stage, status: int) -> None:
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    with FakeRegistry(ping(), rules) as source, FakeRegistry(ping(), mounting(INSTEAD), cancelled) as target:
        found = bring(repository(source, OTHER), repository(target))
    assert isinstance(found, Evidence)
    assert (found.stage, found.status) == (stage, status)


def test_a_target_that_refuses_an_upload() -> None:
    missing = on("HEAD", "/v2/.+/blobs/.+", BLOB_UNKNOWN)
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(open_registry([missing], DENIED)) as target:
        found = bring(repository(source, OTHER), repository(target))
        assert source.requests == []  # nothing is read that nobody takes
    assert isinstance(found, Evidence)
    assert (found.stage, found.status, found.code) == (Stage.PUSH, 403, "DENIED")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_what_counts_as_taken(status: int) -> None:
    """As with containerd."""
    rules = (ping(), mounting(INSTEAD, on("PUT", "/plain", Answer(status))))
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(*rules) as target:
        assert bring(repository(source, OTHER), repository(target)) is LayerState.SENT


def test_a_target_that_only_accepts_the_content() -> None:
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    rules = (ping(), mounting(INSTEAD, on("PUT", "/plain", Answer(202))), cancelled)
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(*rules) as target:
        found = bring(repository(source, OTHER), repository(target))
    said = "it answers 202 to a blob that was sent whole, where 201 is due"
    assert found == Evidence(Stage.PUSH, said, 202, sent=False)


def test_a_target_that_refuses_the_content() -> None:
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    refusing = on("PUT", "/plain", Answer(413, {"errors": [{"code": "SIZE_INVALID", "message": "too large"}]}))
    rules = (ping(), mounting(INSTEAD, refusing), cancelled)
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(*rules) as target:
        found = bring(repository(source, OTHER), repository(target))
    assert found == Evidence(Stage.PUSH, "too large", 413, "SIZE_INVALID", sent=False)


TWICE: dict[str, tuple[list[Answering], list[Answering]]] = {
    # what the source answers, and the target to the content
    "the source drops it": ([Answer(drop=True), FULL], [Answer(201)]),
    "the source breaks off": (
        [FULL.having(Content_Length=str(BLOB.size + 1), Connection="close"), FULL],
        [Answer(201)],
    ),
    "the target drops it": ([FULL], [Answer(drop=True), Answer(201)]),
    "the source is busy": ([Answer(503), FULL], [Answer(201)]),
    "the target is busy": ([FULL], [Answer(429), Answer(201)]),
}


@pytest.mark.parametrize(("source_says", "target_says"), TWICE.values(), ids=TWICE)
def test_it_is_sent_again_from_the_beginning(
    source_says: list[Answering], target_says: list[Answering], pauses: list[float]
) -> None:
    """In an upload of its own; the one before is cancelled."""
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    taking = on("PUT", "/plain", *target_says)
    rules = (ping(), mounting(INSTEAD, taking), cancelled)
    with FakeRegistry(source_of(*source_says)) as source, FakeRegistry(*rules) as target:
        found = bring(repository(source, OTHER), repository(target), retries=1)
        assert target.find("PUT", "/plain")[-1].body == CONTENT
        assert len(target.find("POST", ".*")) == 2
    assert found is LayerState.SENT
    assert len(pauses) <= 1


def test_a_copy_goes_through_a_proxy_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_upload, "PIECES", (100_000,))
    large = Answer(413, {"errors": [{"code": "SIZE_INVALID", "message": "too large"}]})
    taking = [on("PUT", "/plain", large, Answer(201)), on("PUT", "/end", Answer(201))]
    pieces = [
        on("PATCH", "/plain", Answer(202).having(Location="/more")),
        on("PATCH", "/more", Answer(202).having(Location="/end")),
    ]
    rules = (ping(), mounting(Answer(404), *taking, *pieces), on("DELETE", "/plain", Answer(204), times=1))
    with FakeRegistry(source_of(FULL, FULL)) as source, FakeRegistry(*rules) as target:
        assert bring(repository(source, OTHER), repository(target)) is LayerState.SENT
        assert b"".join(one.body for one in target.find("PATCH", ".*")) == CONTENT
        assert [len(one.body) for one in target.find("PUT", "/end")] == [0]


def test_a_copy_that_breaks_off_goes_on(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    """The blob is read again from its beginning, and only what is missing is sent."""
    monkeypatch.setattr(blob_upload, "WORTH_ASKING", 10_000)
    kept = Answer(204).having(Range="0-49999", Location="/rest")
    rest = [on("PATCH", "/rest", Answer(202).having(Location="/end")), on("PUT", "/end", Answer(201))]
    dropping = [on("PUT", "/plain", Answer(drop=True)), on("GET", "/plain", kept)]
    with (
        FakeRegistry(source_of(FULL, FULL)) as source,
        FakeRegistry(ping(), mounting(Answer(404), *dropping, *rest)) as target,
    ):
        assert bring(repository(source, OTHER), repository(target), retries=1) is LayerState.SENT
        assert len(source.find("GET", "/v2/.+/blobs/.+")) == 2
        assert [one.body for one in target.find("PATCH", "/rest")] == [CONTENT[50_000:]]


@pytest.mark.parametrize("who", ["the source", "the target"])
def test_who_is_busy_says_for_how_long(who: str, pauses: list[float]) -> None:
    busy = Answer(429).having(Retry_After="7")
    reading, taking = ([busy, FULL], [Answer(201)]) if who == "the source" else ([FULL], [busy, Answer(201)])
    rules = (ping(), mounting(INSTEAD, on("PUT", "/plain", *taking)), on("DELETE", "/plain", Answer(204), times=1))
    with FakeRegistry(source_of(*reading)) as source, FakeRegistry(*rules) as target:
        assert bring(repository(source, OTHER), repository(target), retries=1) is LayerState.SENT
    assert [int(seconds) for seconds in pauses] == [7]


def test_without_patience_a_drop_is_the_end() -> None:
    cancelled = on("DELETE", "/plain", Answer(204), times=1)
    with (
        FakeRegistry(source_of(Answer(drop=True))) as source,
        FakeRegistry(ping(), mounting(INSTEAD), cancelled) as target,
        pytest.raises(RegistryUnreachable, match=f"http://{source.host}: the connection was closed"),
    ):
        bring(repository(source, OTHER), repository(target))


class _Enough(Exception):
    """Whoever waited for it has no use for it any more."""


def test_who_is_told_may_end_it() -> None:
    cancelled = on("DELETE", "/plain", Answer(204), times=1)

    def stop(_size: int) -> None:
        raise _Enough

    rules = (ping(), mounting(INSTEAD, on("PUT", "/plain", Answer(201))), cancelled)
    with FakeRegistry(source_of(FULL)) as source, FakeRegistry(*rules) as target:
        with pytest.raises(_Enough):
            bring(repository(source, OTHER), repository(target), told=stop)
        assert all(len(one.body) < BLOB.size for one in target.find("PUT", "/plain"))


# ---------------------------------------------------------------------- long ones


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients go away
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Long(BaseHTTPRequestHandler):
    """Source and target in one, which hold nothing: zeros go out, and are summed as they come in."""

    protocol_version = "HTTP/1.1"
    size = 8 * BODY_LIMIT
    part = bytes(64 * 1024)
    seen: dict[str, Any]
    wait: Callable[[int], None] = staticmethod(lambda _sent: None)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def answer(self, status: int, length: int = 0, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self.answer(200)
            return
        self.answer(200, self.size)
        for sent in range(0, self.size, len(self.part)):
            self.wait(sent)
            self.wfile.write(self.part)

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_POST(self) -> None:
        self.answer(202, Location="/upload")

    def do_PUT(self) -> None:
        self.close_connection = True
        left, summed = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            part = self.rfile.read(min(len(self.part), left))
            if not part:  # the client has given it up
                return
            summed.update(part)
            left -= len(part)
            self.seen["started"].set()
        self.seen["digest"] = f"sha256:{summed.hexdigest()}"
        self.answer(201)

    def do_DELETE(self) -> None:
        self.answer(204)


def zeros(size: int) -> Blob:
    return blob_of(bytes(size))


def long(**attributes: Any) -> type[_Long]:
    return type("_Served", (_Long,), {"seen": {"started": threading.Event()}, **attributes})


def between(source: str, target: str) -> tuple[Repository, Repository]:
    repositories = (Repository(Reference("", host, NAME, "1"), NOBODY) for host in (source, target))
    first, second = repositories
    return first, second


def test_a_blob_is_on_its_way_before_it_has_come() -> None:
    """The source sends the second half when the target has some of the first."""
    target = long()

    def wait(sent: int) -> None:
        if sent >= _Long.size // 2:
            assert target.seen["started"].wait(10)

    with serving(long(wait=staticmethod(wait))) as source, serving(target) as other:
        assert bring(*between(source, other), zeros(_Long.size)) is LayerState.SENT
    assert target.seen["digest"] == zeros(_Long.size).digest


def test_a_blob_takes_no_memory() -> None:
    size = 16 * BODY_LIMIT
    blob = zeros(size)
    with serving(long(size=size)) as source, serving(long()) as target:
        tracemalloc.start()
        try:
            assert bring(*between(source, target), blob) is LayerState.SENT
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < BODY_LIMIT


def test_the_body_of_a_redirect_takes_no_memory() -> None:
    """Whatever size the manifest claims: urllib3 reads it to its end, which need not come."""

    class Redirecting(_Long):
        def do_GET(self) -> None:
            if self.path == "/v2/":
                self.answer(200)
            elif self.path == "/stored":
                super().do_GET()
            else:
                self.answer(307, self.size, Location="/stored")
                for _ in range(0, self.size, len(self.part)):
                    self.wfile.write(self.part)

    size = 16 * BODY_LIMIT
    with serving(type("_Served", (Redirecting,), {"seen": {}, "size": size})) as source, serving(long()) as target:
        blob = zeros(size)
        tracemalloc.start()
        try:
            assert bring(*between(source, target), blob) is LayerState.SENT
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 6 * BODY_LIMIT


def test_a_blob_may_take_longer_than_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT", 0.2)
    size = 8 * len(_Long.part)
    with (
        serving(long(size=size, wait=staticmethod(lambda _sent: time.sleep(0.1)))) as source,
        serving(long()) as target,
    ):
        assert bring(*between(source, target), zeros(size)) is LayerState.SENT


def test_a_source_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "STREAM_TIMEOUT", 0.2)
    over = threading.Event()
    silent = long(wait=staticmethod(lambda sent: over.wait(10 if sent else 0)))
    with serving(silent) as source, serving(long()) as target:
        with pytest.raises(RegistryUnreachable, match=f"http://{source}: no answer in time"):
            bring(*between(source, target), zeros(_Long.size))
        over.set()


def test_what_is_under_way_at_the_end_is_cancelled() -> None:
    """Whoever sends it may wait for its source still."""
    cancelled, over = threading.Event(), threading.Event()

    class Cancelling(_Long):
        def do_DELETE(self) -> None:
            cancelled.set()
            super().do_DELETE()

        seen = {"started": threading.Event()}  # noqa: RUF012 - of this one class

    silent = long(wait=staticmethod(lambda sent: over.wait(10 if sent > _Long.size // 2 else 0)))
    asked = Registry(Transport())

    def send(source: str, other: str) -> None:
        with suppress(RegistryUnreachable):
            asked.bring(zeros(_Long.size), *between(source, other), lambda _size: None, NO_RETRIES)

    with serving(silent) as source, serving(Cancelling) as other:
        thread = threading.Thread(target=send, args=(source, other))
        thread.start()
        assert Cancelling.seen["started"].wait(10)
        asked.close()
        assert cancelled.is_set()
        over.set()
        thread.join(10)


def test_a_blob_ends_with_the_run() -> None:
    started = time.monotonic()
    asked = Registry(Transport(deadline=lambda: started + 0.5 - time.monotonic()))
    size = 100 * len(_Long.part)
    slow = long(size=size, wait=staticmethod(lambda _sent: time.sleep(0.05)))
    with serving(slow) as source, serving(long()) as target:
        with pytest.raises(RegistryUnreachable, match="the time for the whole run is over"):
            bring(*between(source, target), zeros(size), asked=asked)
        assert time.monotonic() - started < 3
