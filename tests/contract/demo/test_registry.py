"""The embedded registry, end point by end point, as the distribution specification 1.1 has them."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pushsafe.demo.registry import Account, EmbeddedRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
WRITER = Account("ada", "hunter2!", ("pull", "push", "delete"))
READER = Account("bob", "s3cret", ("pull",))
UPLOADS = "/v2/acme/app/blobs/uploads/"


def sha(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.document["errors"]]


class Client:
    """One connection that is kept alive, so that whatever one request leaves unread spoils the next."""

    def __init__(self, host: str) -> None:
        self.connection = http.client.HTTPConnection(host, timeout=20)

    def __del__(self) -> None:
        self.connection.close()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        chunked = not isinstance(body, bytes | None)
        self.connection.request(method, path, body, named, encode_chunked=chunked)
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())

    def push(self, content: bytes, repository: str = "acme/app", algorithm: str = "sha256") -> str:
        digest = sha(content, algorithm)
        assert self("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content).status == 201
        return digest

    def start(self) -> str:
        answer = self("POST", UPLOADS)
        assert answer.status == 202
        return str(answer.headers["Location"])

    def put(self, reference: str, document: object, media_type: str = MANIFEST, repository: str = "acme/app") -> Reply:
        body = json.dumps(document).encode()
        return self("PUT", f"/v2/{repository}/manifests/{reference}", body, Content_Type=media_type)

    def image(self, reference: str = "1.0", **more: object) -> str:
        """Push an image of one layer and return its digest."""
        document = {**image(self.push(b"{}"), self.push(b"layer")), **more}
        answer = self.put(reference, document)
        assert answer.status == 201, answer.body
        return str(answer.headers["Docker-Content-Digest"])


def descriptor(media_type: str, digest: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": 2, **more}


def image(config: str, *layers: str) -> dict[str, Any]:
    named = [descriptor(LAYER, layer) for layer in layers]
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": named}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path, (WRITER, READER)) as running:
        yield running


@pytest.fixture
def client(registry: EmbeddedRegistry) -> Client:
    return Client(registry.host)


# ---------------------------------------------------------------------- the registry itself


def test_it_listens_on_loopback_and_is_gone_afterwards(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # other tests' servers may still wait for who has left
    with EmbeddedRegistry(tmp_path) as registry:
        client = Client(registry.host)
        answer = client("GET", "/v2/")
        assert (answer.status, answer.headers["Docker-Distribution-Api-Version"]) == (200, "registry/2.0")
        assert registry.host.startswith("127.0.0.1:")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client("GET", "/v2/")
    assert not [thread for thread in set(threading.enumerate()) - before if "process_request" in thread.name]


def test_what_was_pushed_outlives_it_and_what_was_not_finished_does_not(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        client = Client(registry.host)
        digest = client.image()
        started = client.start()
    with EmbeddedRegistry(tmp_path) as registry:
        client = Client(registry.host)
        assert client("GET", "/v2/acme/app/manifests/1.0").headers["Docker-Content-Digest"] == digest
        assert client("GET", started).codes == ["BLOB_UPLOAD_UNKNOWN"]
        assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("module", ["docker", "urllib3", "requests", "click", "rich"])
def test_it_needs_nothing_that_is_installed(module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; import pushsafe.demo.registry"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/", 404, "UNSUPPORTED"),
        ("GET", "/v2", 404, "UNSUPPORTED"),
        ("GET", "/token", 404, "UNSUPPORTED"),
        ("GET", "/v2/_catalog", 404, "UNSUPPORTED"),
        ("GET", "/v2/Acme/app/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/acme/../app/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/%2e%2e/%2e%2e/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/acme/_tags/tags/list", 400, "NAME_INVALID"),
        ("GET", f"/v2/{'a' * 256}/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/acme/app/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/acme/app/tags/other", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/acme/app/manifests/1.0", 405, "UNSUPPORTED"),
        ("GET", "/v2/acme/app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("GET", "/v2/acme/app/manifests/1.0", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/acme/app/manifests/{sha(b'')}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/acme/app/manifests/sha256:1", 400, "DIGEST_INVALID"),
        ("GET", "/v2/acme/app/manifests/md5:%2e%2e", 400, "DIGEST_INVALID"),
        ("GET", "/v2/acme/app/manifests/..", 400, "MANIFEST_INVALID"),
        ("GET", f"/v2/acme/app/manifests/{'a' * 129}", 400, "MANIFEST_INVALID"),
        ("DELETE", "/v2/acme/app/manifests/1.0", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"/v2/acme/app/manifests/{sha(b'')}", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/acme/app/blobs/{sha(b'')}", 404, "BLOB_UNKNOWN"),
        ("DELETE", f"/v2/acme/app/blobs/{sha(b'')}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/acme/app/blobs/sha256:..%2f..%2f", 404, "UNSUPPORTED"),
        ("GET", "/v2/acme/app/blobs/sha256:..", 400, "DIGEST_INVALID"),
        ("GET", "/v2/acme/app/referrers/sha256:1", 400, "DIGEST_INVALID"),
        ("GET", f"{UPLOADS}none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", f"{UPLOADS}none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", f"{UPLOADS}none?digest={sha(b'')}", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("DELETE", f"{UPLOADS}none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", f"{UPLOADS}?digest=sha256:1", 400, "DIGEST_INVALID"),
        ("POST", f"{UPLOADS}?digest={sha(b'other')}", 400, "DIGEST_INVALID"),
        ("POST", f"{UPLOADS}?digest-algorithm=md5", 400, "DIGEST_INVALID"),
        ("POST", f"{UPLOADS}?mount=sha256:1&from=acme/base", 400, "DIGEST_INVALID"),
        ("POST", f"{UPLOADS}?mount={sha(b'')}&from=..", 400, "NAME_INVALID"),
    ],
)
def test_a_refusal_is_an_error_of_the_specification(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answer = client(method, path, b"body" if method in ("PATCH", "PUT", "POST") else None)
    assert (answer.status, answer.codes) == (status, [code])
    assert ("Allow" in answer.headers) == (status == 405)
    assert client("GET", "/v2/").status == 200


def test_a_tls_hello_is_answered_in_http(registry: EmbeddedRegistry) -> None:
    host, _, port = registry.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(b"\x16\x03\x01\x00\x05hello")
        assert raw.recv(100).startswith(b"HTTP/1.0 400 ")


# ---------------------------------------------------------------------- blobs and uploads


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["post", "put", "patch", "patch and put"])
def test_a_blob_is_pushed(client: Client, how: str, chunked: bool, algorithm: str) -> None:
    content = b"abcdefgh" * 40_000
    digest = sha(content, algorithm)

    def sent(part: bytes) -> Any:
        return iter([part[:7], part[7:]]) if chunked else part

    if how == "post":
        answer = client("POST", f"{UPLOADS}?digest={digest}", sent(content))
    else:
        location = client.start()
        if how == "put":
            answer = client("PUT", f"{location}?digest={digest}", sent(content))
        else:
            middle = len(content) if how == "patch" else 1000
            patched = client("PATCH", location, sent(content[:middle]), Content_Range=f"0-{middle - 1}")
            assert (patched.status, patched.headers["Range"]) == (202, f"0-{middle - 1}")
            answer = client("PUT", f"{patched.headers['Location']}?digest={digest}", content[middle:])
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    got = client("GET", answer.headers["Location"])
    assert (got.status, got.body, got.headers["Docker-Content-Digest"]) == (200, content, digest)
    head = client("HEAD", answer.headers["Location"])
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(content)), b"")
    assert client("DELETE", answer.headers["Location"]).status == 202
    assert client("HEAD", answer.headers["Location"]).status == 404


def test_the_empty_blob(client: Client) -> None:
    digest = client.push(b"")
    got = client("GET", f"/v2/acme/app/blobs/{digest}")
    assert (got.status, got.body) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-0", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_blob(
    client: Client, asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    digest = client.push(b"0123456789")
    answer = client("GET", f"/v2/acme/app/blobs/{digest}", Range=asked)
    assert (answer.status, answer.headers.get("Content-Range")) == (status, content_range)
    assert body is None or answer.body == body


@pytest.mark.parametrize(
    ("content_range", "status", "code"),
    [("9-11", 416, "BLOB_UPLOAD_INVALID"), ("0-2", 416, "BLOB_UPLOAD_INVALID"), ("4-5", 400, "SIZE_INVALID"),
     ("4-9", 400, "SIZE_INVALID"), ("4", 400, "BLOB_UPLOAD_INVALID"), ("bytes 4-6/7", 400, "BLOB_UPLOAD_INVALID")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_that_does_not_follow_changes_nothing(
    client: Client, method: str, content_range: str, status: int, code: str
) -> None:
    location = client.start()
    query = f"?digest={sha(b'abcdefg')}"
    assert client("GET", location).headers["Range"] == "0-0"
    assert client("PATCH", location, b"abcd", Content_Range="0-3").status == 202
    refused = client(method, location + (query if method == "PUT" else ""), b"efg", Content_Range=content_range)
    assert (refused.status, refused.codes) == (status, [code])
    now = client("GET", location)
    assert (now.status, now.headers["Range"], now.headers["Location"]) == (204, "0-3", location)
    assert client("PUT", location + query, b"efg", Content_Range="4-6").status == 201


def test_an_upload_ends_with_a_wrong_digest_or_a_cancel(client: Client, tmp_path: Path) -> None:
    for end in ("digest", "cancel"):
        location = client.start()
        assert location.endswith(client("GET", location).headers["Docker-Upload-UUID"])
        client("PATCH", location, b"abc")
        if end == "digest":
            assert client("PUT", f"{location}?digest={sha(b'other')}").codes == ["DIGEST_INVALID"]
        else:
            assert client("DELETE", location).status == 204
        assert client("GET", location).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_an_upload_without_a_digest_goes_on(client: Client) -> None:
    location = client.start()
    assert client("PUT", location, b"abc").codes == ["DIGEST_INVALID"]
    assert client("PUT", f"{location}?digest={sha(b'abc')}", b"abc").status == 201


def test_an_upload_belongs_to_its_repository(client: Client) -> None:
    location = client.start().replace("acme/app", "acme/other")
    assert client("PATCH", location, b"abc").codes == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("framing", ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                                     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                                     "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
                                     "Content-Length: many\r\n\r\nabc"])  # fmt: skip
def test_a_client_that_goes_away_leaves_no_half_chunk(
    client: Client, registry: EmbeddedRegistry, framing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    location = client.start()
    client("PATCH", location, b"01")
    host, _, port = registry.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\n{framing}".encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100) == b""
    assert client("GET", location).headers["Range"] == "0-1"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("source", ["&from=acme/base", ""], ids=["from", "anonymous"])
def test_a_blob_belongs_to_repositories_and_is_mounted(client: Client, source: str) -> None:
    digest = client.push(b"layer", "acme/base")
    place = f"/v2/acme/app/blobs/{digest}"
    assert client("HEAD", place).status == 404
    for _ in range(2):
        answer = client("POST", f"{UPLOADS}?mount={digest}{source}")
        assert (answer.status, answer.headers["Location"]) == (201, place)
    assert client("DELETE", f"/v2/acme/base/blobs/{digest}").status == 202
    assert client("GET", place).body == b"layer"


@pytest.mark.parametrize("source", ["&from=acme/base", ""], ids=["from", "anonymous"])
def test_a_mount_that_cannot_be_starts_an_upload(client: Client, source: str) -> None:
    digest = sha(b"nowhere")
    answer = client("POST", f"{UPLOADS}?mount={digest}{source}")
    assert answer.status == 202
    assert client("PUT", f"{answer.headers['Location']}?digest={digest}", b"nowhere").status == 201


# ---------------------------------------------------------------------- manifests


@pytest.mark.parametrize("reference", ["1.0", "sha256"])
def test_a_manifest_is_served_as_it_was_put(client: Client, reference: str) -> None:
    body = json.dumps(image(client.push(b"{}"), client.push(b"layer")), indent=7).encode()
    digest = sha(body)
    name = digest if reference == "sha256" else reference
    headers = {"Content_Type": f"{MANIFEST}; charset=utf-8"}
    answer = client("PUT", f"/v2/acme/app/manifests/{name}", body, **headers)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert answer.headers["Location"] == f"/v2/acme/app/manifests/{name}"
    for place in (digest, name):
        got = client("GET", f"/v2/acme/app/manifests/{place}", Accept="text/plain")
        assert (got.status, got.body, got.headers["Content-Type"]) == (200, body, MANIFEST)
        head = client("HEAD", f"/v2/acme/app/manifests/{place}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(body)))
        assert head.headers["Docker-Content-Digest"] == digest


def test_a_manifest_has_its_media_type_from_itself_where_no_header_says_it(client: Client) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    assert client("PUT", "/v2/acme/app/manifests/1.0", body).status == 201
    assert client("HEAD", "/v2/acme/app/manifests/1.0").headers["Content-Type"] == INDEX


def test_a_manifest_put_by_digest_may_bring_tags(client: Client) -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    path = f"/v2/acme/app/manifests/{sha(body, 'sha512')}?tag=a&tag=b"
    assert client("PUT", path, body).headers["OCI-Tag"] == "a, b"
    assert client("HEAD", "/v2/acme/app/manifests/b").headers["Docker-Content-Digest"] == sha(body, "sha512")


ODD: dict[str, tuple[Any, ...]] = {
    "schemaVersion": (1, 2.0, "2", True, None, [2], {}),
    "mediaType": (5, True, None, [], [MANIFEST], {}, ""),
    "artifactType": (5, False, [], ["a/b"], {"a": "b"}),
    "annotations": (5, "", "text", [], ["text"], {"a": 5}, {"a": ["b"]}),
    "config": (5, "", "text", [], {}, {"digest": 5}, {"digest": None}, {"digest": "sha256:1"}),
    "subject": (5, "", "text", [], {}, {"digest": 5}, {"digest": ["x"]}),
    "layers": (5, 0, False, "", "text", {}, {"digest": "x"}, [5], [None], ["text"], [[]], [{}]),
    "manifests": (5, 0, False, "", "text", {}, {"digest": "x"}, [5], [None], ["text"], [[]], [{}]),
}
"""Of each field of a manifest, values that it must not have."""
ODD_IN_DESCRIPTORS: dict[str, tuple[Any, ...]] = {
    "mediaType": (5, False, [], {}),
    "digest": (5, None, [], {}, "", "sha256:", f"sha256:{'A' * 64}", "\ud800"),
    "size": ("12", -1, 1.0, True, [], {}),
    "urls": (5, "https://a.example", {}, [5], [None, []]),
    "annotations": (5, "text", [], {"a": 5}),
    "artifactType": (5, []),
    "data": (5, [], {}),
    "platform": (5, "linux/amd64", [], {"os": 5}, {"architecture": ["amd64"]}, {"os.features": "x"}, {"features": [5]}),
}


@pytest.mark.parametrize("content_type", [MANIFEST, ""], ids=["typed", "untyped"])
@pytest.mark.parametrize("name", ODD)
def test_odd_fields_of_a_manifest(
    client: Client, capfd: pytest.CaptureFixture[str], name: str, content_type: str
) -> None:
    whole = image(client.push(b"{}"), client.push(b"layer"))
    for value in ODD[name]:
        answer = client.put("1.0", {**whole, name: value}, content_type)
        # An empty media type is none, which the header makes up for.
        taken = (name, value, bool(content_type)) == ("mediaType", "", True)
        assert (answer.status, taken or answer.codes == ["MANIFEST_INVALID"]) == (201 if taken else 400, True), value
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("place", ["config", "subject", "layers", "manifests"])
@pytest.mark.parametrize("name", ODD_IN_DESCRIPTORS)
def test_odd_fields_of_a_descriptor(client: Client, capfd: pytest.CaptureFixture[str], name: str, place: str) -> None:
    whole = image(client.push(b"{}"), client.push(b"layer"))
    for value in ODD_IN_DESCRIPTORS[name]:
        named = {**descriptor(CONFIG, HERE), name: value}
        answer = client.put("1.0", {**whole, place: [named] if place in ("layers", "manifests") else named})
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), value
    assert capfd.readouterr().err == ""


def test_what_go_writes_of_nothing_is_taken(client: Client) -> None:
    whole = image(client.push(b"{}"), client.push(b"layer"))
    nothing = dict.fromkeys(("manifests", "subject", "annotations", "artifactType"))
    of_layer = dict.fromkeys(("urls", "annotations", "platform", "data", "artifactType"))
    document = {**whole, **nothing, "layers": [{**whole["layers"][0], **of_layer}]}
    assert client.put("1.0", document).status == 201
    assert client.put("2.0", {**whole, "layers": None}).status == 201


HERE, GONE = sha(b"{}"), sha(b"gone")
WHOLE = image(HERE, HERE)


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        (WHOLE, []),
        (image(GONE, HERE), ["MANIFEST_BLOB_UNKNOWN"]),
        (image(HERE, GONE, sha(b"too")), ["MANIFEST_BLOB_UNKNOWN"] * 2),
        ({**WHOLE, "layers": [descriptor(LAYER, GONE, urls=["https://elsewhere.example/layer"])]}, []),
        ({**WHOLE, "layers": [descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", GONE)]}, []),
        ({**WHOLE, "layers": [descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", GONE)]}, []),
        ({"schemaVersion": 2, "manifests": [descriptor(MANIFEST, GONE)]}, ["MANIFEST_BLOB_UNKNOWN"]),
        ({"schemaVersion": 2, "manifests": [descriptor(LAYER, HERE)]}, []),
        ({**WHOLE, "subject": descriptor(MANIFEST, GONE)}, []),
        ({**WHOLE, "subject": descriptor(MANIFEST, "sha256:1")}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "subject": "x"}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "config": [HERE]}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "config": {"digest": 5}}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "config": {"digest": "sha256:../../x"}}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "layers": {"digest": HERE}}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "layers": 5}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "mediaType": INDEX}, ["MANIFEST_INVALID"]),
        ({**WHOLE, "schemaVersion": 1}, ["MANIFEST_INVALID"]),
        ({}, ["MANIFEST_INVALID"]),
        ([], ["MANIFEST_INVALID"]),
        (None, ["MANIFEST_INVALID"]),
    ],
)
def test_a_manifest_is_taken_when_all_it_names_is_there(client: Client, document: object, codes: list[str]) -> None:
    client.push(b"{}")
    answer = client.put("1.0", document)
    assert (answer.status, answer.codes if codes else []) == (400 if codes else 201, codes)
    assert client("HEAD", "/v2/acme/app/manifests/1.0").status == (404 if codes else 200)


@pytest.mark.parametrize(
    ("reference", "body", "content_type", "status", "code"),
    [
        ("1.0", b"no json", MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", b'\xef\xbb\xbf{"schemaVersion": 2}', MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", '{"schemaVersion": 2}'.encode("utf-16"), MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2, "annotations": {"a": "\xfc"}}', MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2, "x": NaN}', MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", b"[" * 100_000, MANIFEST, 400, "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2}', "nonsense", 400, "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2, "mediaType": "a/b\\nX: y"}', "", 400, "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2}' + b" " * 4 * 1024 * 1024, MANIFEST, 413, "SIZE_INVALID"),
        ("-1", b'{"schemaVersion": 2}', MANIFEST, 400, "MANIFEST_INVALID"),
        (GONE, b'{"schemaVersion": 2}', MANIFEST, 400, "DIGEST_INVALID"),
        ("sha256:1", b'{"schemaVersion": 2}', MANIFEST, 400, "DIGEST_INVALID"),
    ],
    ids=str.split("text mark utf-16 latin-1 nan deep type newline large tag digest syntax"),
)
def test_a_manifest_that_is_none(
    client: Client, reference: str, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = client("PUT", f"/v2/acme/app/manifests/{reference}", body, Content_Type=content_type)
    assert (answer.status, answer.codes) == (status, [code])
    assert client("GET", "/v2/").status == 200


def test_deleting_a_tag_leaves_the_manifest_and_deleting_the_manifest_takes_its_tags(client: Client) -> None:
    digest = client.image("a")
    assert [client.image("b"), client.image("c")] == [digest, digest]
    other = client.image("other", annotations={"a": "b"})
    assert client("DELETE", "/v2/acme/app/manifests/a").status == 202
    assert client("GET", "/v2/acme/app/manifests/a").status == 404
    assert client("GET", f"/v2/acme/app/manifests/{digest}").status == 200
    assert client("DELETE", f"/v2/acme/app/manifests/{digest}").status == 202
    assert client("GET", "/v2/acme/app/manifests/b").status == 404
    assert client("GET", "/v2/acme/app/tags/list").document == {"name": "acme/app", "tags": ["other"]}
    assert client("HEAD", "/v2/acme/app/manifests/other").headers["Docker-Content-Digest"] == other


@pytest.mark.parametrize(
    ("query", "tags", "following"),
    [
        ("", ["10", "9", "A", "_", "a"], None),
        ("?n=2", ["10", "9"], "n=2&last=9"),
        ("?n=2&last=9", ["A", "_"], "n=2&last=_"),
        ("?n=2&last=_", ["a"], None),
        ("?n=5", ["10", "9", "A", "_", "a"], None),
        ("?n=0", [], None),
        ("?last=A", ["_", "a"], None),
        ("?last=zzz", [], None),
    ],
)
def test_tags_are_listed(client: Client, query: str, tags: list[str], following: str | None) -> None:
    for tag in ("a", "A", "9", "10", "_"):
        client.image(tag)
    answer = client("GET", f"/v2/acme/app/tags/list{query}")
    assert answer.document == {"name": "acme/app", "tags": tags}
    link = f'</v2/acme/app/tags/list?{following}>; rel="next"' if following else None
    assert answer.headers.get("Link") == link


@pytest.mark.parametrize("count", ["-1", "many"])
def test_a_number_of_tags_that_is_none(client: Client, count: str) -> None:
    client.image()
    assert client("GET", f"/v2/acme/app/tags/list?n={count}").status == 400


def test_referrers(client: Client) -> None:
    subject = client.image()
    named = {"subject": descriptor(MANIFEST, subject)}
    empty = client.push(b"{}")
    signature = {**image(empty), "artifactType": "application/vnd.acme.sig", "annotations": {"by": "ada"}, **named}
    answer = client.put(sha(json.dumps(signature).encode()), signature)
    assert answer.headers["OCI-Subject"] == subject
    plain, index = {**image(empty), **named}, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], **named}
    client.put("plain", plain)
    client.put("index", index, INDEX)

    path = f"/v2/acme/app/referrers/{subject}"
    listed = client("GET", path)
    assert (listed.status, listed.headers["Content-Type"]) == (200, INDEX)
    assert "OCI-Filters-Applied" not in listed.headers
    assert (listed.document["schemaVersion"], listed.document["mediaType"]) == (2, INDEX)
    found = {one["digest"]: one for one in listed.document["manifests"]}
    expected: list[tuple[object, str, dict[str, object]]] = [
        (signature, MANIFEST, {"artifactType": "application/vnd.acme.sig", "annotations": {"by": "ada"}}),
        (plain, MANIFEST, {"artifactType": CONFIG}),
        (index, INDEX, {}),
    ]
    for document, media_type, more in expected:
        body = json.dumps(document).encode()
        assert found.pop(sha(body)) == {"mediaType": media_type, "digest": sha(body), "size": len(body), **more}
    assert found == {}

    filtered = client("GET", f"{path}?artifactType=application/vnd.acme.sig")
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert [one["annotations"] for one in filtered.document["manifests"]] == [{"by": "ada"}]
    client("DELETE", "/v2/acme/app/manifests/" + sha(json.dumps(index).encode()))
    assert len(client("GET", path).document["manifests"]) == 2
    assert client("GET", f"/v2/nobody/nothing/referrers/{subject}").document["manifests"] == []


# ---------------------------------------------------------------------- who may what


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def scope(actions: str, name: str = "acme/app") -> str:
    return f"repository:{name}:{actions}"


def bearer(client: Client, account: Account | None, *scopes: str) -> str:
    headers = {"Authorization": basic(account.name, account.password)} if account else {}
    answer = client("GET", "/token?" + urlencode([("scope", one) for one in scopes]), None, **headers)
    assert answer.status == 200
    return f"Bearer {answer.document['token']}"


def access(authorization: str) -> list[dict[str, Any]]:
    claims = json.loads(base64.urlsafe_b64decode(authorization.split(".")[1] + "=="))
    assert claims["exp"] > time.time()
    found: list[dict[str, Any]] = claims["access"]
    return found


def test_the_challenge(guarded: EmbeddedRegistry) -> None:
    client, host = Client(guarded.host), guarded.host
    start = f'Bearer realm="http://{host}/token",service="{host}"'
    asked = f'{start},scope="repository:acme/app:pull,push"'
    for method, path, headers, challenge in [
        ("GET", "/v2/", {}, start),
        ("POST", UPLOADS, {}, asked),
        ("POST", UPLOADS, {"Authorization": "Bearer x.y.z"}, f'{asked},error="invalid_token"'),
        ("POST", UPLOADS, {"Authorization": basic("ada", "hunter2!")}, f'{asked},error="invalid_token"'),
        ("POST", UPLOADS, {"Authorization": bearer(client, READER, scope("pull,push"))},
         f'{asked},error="insufficient_scope"'),
    ]:  # fmt: skip
        answer = client(method, path, None, **headers)
        assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
        assert answer.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize(
    ("account", "scopes", "granted"),
    [
        (WRITER, [scope("pull,push")], [["pull", "push"]]),
        (WRITER, [scope("*")], [["pull", "push", "delete"]]),
        (WRITER, [scope("push"), scope("pull", "acme/base")], [["push"], ["pull"]]),
        (WRITER, [f"{scope('push')} {scope('pull', 'acme/base')}"], [["push"], ["pull"]]),
        (READER, [scope("pull,push")], [["pull"]]),
        (READER, [scope("push")], []),
        (WRITER, ["registry:catalog:*", "nonsense"], []),
        (WRITER, [], []),
        (None, [scope("pull")], []),
    ],
)
def test_a_token_grants_what_was_asked_and_may_be(
    guarded: EmbeddedRegistry, account: Account | None, scopes: list[str], granted: list[list[str]]
) -> None:
    client = Client(guarded.host)
    token = bearer(client, account, *scopes)
    assert [one["actions"] for one in access(token)] == granted
    assert client("GET", "/v2/", Authorization=token).status == 200


@pytest.mark.parametrize(
    "header",
    [basic("ada", "wrong"), basic("eve", "hunter2!"), basic("bob", "hunter2!"), "Basic ?", "Bearer x", "Basic"],
)
def test_a_wrong_password(guarded: EmbeddedRegistry, header: str) -> None:
    answer = Client(guarded.host)("GET", "/token", Authorization=header)
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])


def test_the_oauth_grants(guarded: EmbeddedRegistry) -> None:
    client = Client(guarded.host)

    def post(**form: str) -> Reply:
        return client("POST", "/token", urlencode({"service": guarded.host, "client_id": "test", **form}).encode())

    password = {"grant_type": "password", "username": "ada", "password": "hunter2!", "scope": scope("pull,push")}
    first = post(**password, access_type="offline")
    assert (first.status, first.document["scope"]) == (200, scope("pull,push"))
    assert "refresh_token" not in post(**password).document
    refresh = first.document["refresh_token"]
    again = post(grant_type="refresh_token", refresh_token=refresh, scope=scope("delete"))
    assert access(again.document["access_token"])[0]["actions"] == ["delete"]
    assert client("GET", "/v2/", Authorization=f"Bearer {refresh}").status == 401

    assert post(**{**password, "password": "wrong"}).status == 401
    assert post(grant_type="refresh_token", refresh_token=first.document["access_token"]).status == 401
    assert post(grant_type="refresh_token", refresh_token="").status == 401
    assert post(grant_type="other").status == 400
    offline = client("GET", "/token?offline_token=true", Authorization=basic("ada", "hunter2!"))
    assert "refresh_token" in offline.document


def test_a_token_is_over_or_forged_or_another_registrys(
    guarded: EmbeddedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(guarded.host)
    token = bearer(client, WRITER, scope("pull"))
    header, payload, signature = token.removeprefix("Bearer ").split(".")
    rights = base64.urlsafe_b64encode(b'{"aud":"x","exp":9e9,"access":[]}').decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for forged in (
        f"{header}.{rights}.{signature}",
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}",
        "",
        "..",
        "\xff",
    ):
        assert client("GET", "/v2/", Authorization=f"Bearer {forged}").status == 401
    with EmbeddedRegistry(tmp_path / "other", (WRITER,)) as other:
        assert Client(other.host)("GET", "/v2/", Authorization=token).status == 401
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert client("GET", "/v2/", Authorization=token).status == 401


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", f"/v2/acme/app/blobs/{HERE}", "pull"),
        ("HEAD", "/v2/acme/app/manifests/1.0", "pull"),
        ("GET", "/v2/acme/app/tags/list", "pull"),
        ("GET", f"/v2/acme/app/referrers/{HERE}", "pull"),
        ("POST", UPLOADS, "pull,push"),
        ("GET", f"{UPLOADS}x", "pull,push"),
        ("PATCH", f"{UPLOADS}x", "pull,push"),
        ("PUT", f"{UPLOADS}x", "pull,push"),
        ("DELETE", f"{UPLOADS}x", "pull,push"),
        ("PUT", "/v2/acme/app/manifests/1.0", "pull,push"),
        ("DELETE", "/v2/acme/app/manifests/1.0", "delete"),
        ("DELETE", f"/v2/acme/app/blobs/{HERE}", "delete"),
    ],
)
def test_every_end_point_wants_its_actions(guarded: EmbeddedRegistry, method: str, path: str, needed: str) -> None:
    client = Client(guarded.host)
    everything = {"pull", "push", "delete"}
    without = [",".join(everything - {one}) for one in needed.split(",")]
    for actions, name, enough in [(needed, "acme/app", True), ("*", "acme/ap", False)] + [
        (actions, "acme/app", False) for actions in without
    ]:
        answer = client(method, path, None, Authorization=bearer(client, WRITER, scope(actions, name)))
        assert (answer.status != 401) == enough


def test_a_mount_needs_pull_on_the_source(guarded: EmbeddedRegistry) -> None:
    """distribution's challenge names both repositories; who follows it mounts."""
    client = Client(guarded.host)
    base = bearer(client, WRITER, scope("pull,push", "acme/base"))
    digest = sha(b"layer")
    client("POST", f"/v2/acme/base/blobs/uploads/?digest={digest}", b"layer", Authorization=base)
    target = scope("pull,push")
    path = f"{UPLOADS}?mount={digest}&from=acme/base"
    asked = 'scope="repository:acme/app:pull,push repository:acme/base:pull"'
    for sent in ({}, {"Authorization": base}, {"Authorization": bearer(client, WRITER, target)}):
        answer = client("POST", path, **sent)
        challenge = answer.headers["WWW-Authenticate"]
        assert (answer.status, asked in challenge) == (401, True)
        assert ("insufficient_scope" in challenge) is bool(sent)
    both = bearer(client, WRITER, target, scope("pull", "acme/base"))
    assert client("POST", path, Authorization=both).status == 201


def test_a_mount_that_names_no_other_source_needs_the_target_alone(guarded: EmbeddedRegistry) -> None:
    client = Client(guarded.host)
    base = bearer(client, WRITER, scope("pull,push", "acme/base"))
    digest = sha(b"layer")
    client("POST", f"/v2/acme/base/blobs/uploads/?digest={digest}", b"layer", Authorization=base)
    target = bearer(client, WRITER, scope("pull,push"))
    for source in ("", "&from=", "&from=acme/app"):
        assert client("POST", f"{UPLOADS}?mount={digest}{source}", Authorization=target).status == 202
    for source in ("&from=acme/app", "&from=", ""):
        challenge = client("POST", f"{UPLOADS}?mount={digest}{source}").headers["WWW-Authenticate"]
        assert challenge.endswith('scope="repository:acme/app:pull,push"')
    odd = client("POST", f"{UPLOADS}?{urlencode({'mount': digest, 'from': 'a b'})}", Authorization=target)
    assert (odd.status, odd.codes) == (400, ["NAME_INVALID"])


def test_secrets_are_not_shown(guarded: EmbeddedRegistry, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    client = Client(guarded.host)
    client("GET", "/v2/", Authorization=bearer(client, WRITER, scope("pull")))
    client("GET", "/token", Authorization=basic("ada", "wrong"))
    shown = "".join(capfd.readouterr()) + repr((guarded, guarded.accounts, guarded.tokens, vars(guarded)))
    assert "hunter2!" not in shown
    assert "s3cret" not in shown
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


# ---------------------------------------------------------------------- many, and much


def test_many_push_the_same_at_once(registry: EmbeddedRegistry, capfd: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(16)

    def push(number: int) -> str:
        client = Client(registry.host)
        together.wait(20)
        digests = {client.image("shared") for _ in range(5)} | {client.image(f"own-{number}")}
        assert client("GET", "/v2/acme/app/tags/list").status == 200
        assert client("POST", f"/v2/acme/other/blobs/uploads/?mount={HERE}&from=acme/app").status == 201
        assert len(digests) == 1
        return digests.pop()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(push, range(16)))) == 1
    assert len(Client(registry.host)("GET", "/v2/acme/app/tags/list").document["tags"]) == 17
    assert capfd.readouterr().err == ""


def test_one_upload_takes_one_chunk_at_a_time(registry: EmbeddedRegistry) -> None:
    location = Client(registry.host).start()

    def patch(number: int) -> int:
        return Client(registry.host)("PATCH", location, b"%d" % number * 100_000, Content_Range="0-99999").status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(patch, range(8))) == [202] + [416] * 7


def test_a_large_blob_is_never_in_memory(registry: EmbeddedRegistry) -> None:
    piece, count = bytes(range(256)) * 4096, 64
    hashed = hashlib.sha256()
    for _ in range(count):
        hashed.update(piece)
    digest = f"sha256:{hashed.hexdigest()}"
    client = Client(registry.host)
    tracemalloc.start()
    try:
        place = client("PUT", f"{client.start()}?digest={digest}", (piece for _ in range(count))).headers["Location"]
        client.connection.request("GET", place)
        answer, got = client.connection.getresponse(), hashlib.sha256()
        while part := answer.read(len(piece)):
            got.update(part)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert got.hexdigest() == hashed.hexdigest()
