"""The same answer in every way in which HTTP/1 lets a registry, or a proxy before it, write it down."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pushsafe.oci.manifest import ManifestInfo
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Transport
from tests.contract.registry.asking import NAME, NOBODY
from tests.fakes.registry import OCI_MANIFEST, image
from tests.values import ref

pytestmark = pytest.mark.usefixtures("no_proxy")

ONE = image()
BODY = ONE.body
TYPE = f"Content-Type: {OCI_MANIFEST}"


def chunked(body: bytes, size: int = 7, extension: str = "", trailer: str = "") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension.encode(), one) for one in pieces)
    return chunks + b"0\r\n" + trailer.encode() + b"\r\n"


def answer(*headers: str, body: bytes = BODY, status: str = "HTTP/1.1 200 OK", end: str = "\r\n") -> bytes:
    return end.join((status, *headers, "", "")).encode() + body


LENGTH, CHUNKED = f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"
GZIP, RAW_DEFLATE = gzip.compress(BODY), zlib.compress(BODY, wbits=-15)
WAYS = {
    "a length": answer(TYPE, LENGTH),
    "HTTP/1.0, a length": answer(TYPE, LENGTH, status="HTTP/1.0 200 OK"),
    "HTTP/1.0, until it closes": answer(TYPE, status="HTTP/1.0 200 OK"),
    "HTTP/1.0, kept alive": answer(TYPE, LENGTH, "Connection: keep-alive", status="HTTP/1.0 200 OK"),
    "until it closes": answer(TYPE, "Connection: close"),
    "chunks": answer(TYPE, CHUNKED, body=chunked(BODY)),
    "one chunk": answer(TYPE, CHUNKED, body=chunked(BODY, len(BODY))),
    "chunks with extensions": answer(TYPE, CHUNKED, body=chunked(BODY, extension=";a=b")),
    "chunks with a trailer": answer(TYPE, CHUNKED, body=chunked(BODY, trailer="Docker-Content-Digest: x\r\n")),
    "gzip": answer(TYPE, "Content-Encoding: gzip", f"Content-Length: {len(GZIP)}", body=GZIP),
    "gzip, its old name": answer(TYPE, "Content-Encoding: x-gzip", f"Content-Length: {len(GZIP)}", body=GZIP),
    "gzip in chunks": answer(TYPE, "Content-Encoding: gzip", CHUNKED, body=chunked(GZIP)),
    "gzip in two members": answer(
        TYPE, "Content-Encoding: gzip", "Connection: close", body=gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])
    ),
    "deflate": answer(TYPE, "Content-Encoding: deflate", "Connection: close", body=zlib.compress(BODY)),
    "deflate without a head": answer(TYPE, "Content-Encoding: deflate", "Connection: close", body=RAW_DEFLATE),
    "an encoding that is none": answer(TYPE, LENGTH, "Content-Encoding: identity"),
    "names in lower case": answer(TYPE.lower(), LENGTH.lower()),
    "no space after a colon": answer(TYPE.replace(": ", ":"), LENGTH.replace(": ", ":")),
    "much space after a colon": answer(TYPE.replace(": ", ": \t "), LENGTH.replace(": ", ":   ")),
    "no words after the status": answer(TYPE, LENGTH, status="HTTP/1.1 200"),
    "other words after the status": answer(TYPE, LENGTH, status="HTTP/1.1 200 Very Well"),
    "lines that end in a line feed": answer(TYPE, LENGTH, end="\n"),
    "a word in between": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(TYPE, LENGTH),
    "eighty more headers": answer(TYPE, LENGTH, *(f"X-{number}: {number}" for number in range(80))),
    "a header of 20 kB": answer(TYPE, LENGTH, f"X-Long: {'x' * 20_000}"),
    "a parameter of the type": answer(f"{TYPE}; charset=utf-8", LENGTH),
}


@contextmanager
def answering(text: bytes) -> Iterator[str]:
    """A server whose every answer is this text: `/v2/` gets a plain one, and HEAD no body. Its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    asked = lines.readline()
                    while lines.readline().strip():
                        pass
                    head, separator, _ = text.partition(b"\r\n\r\n" if b"\r\n" in text else b"\n\n")
                    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"  # as it is
                    full = empty if b" /v2/ " in asked else text
                    connection.sendall(head + separator if asked.startswith(b"HEAD") else full)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_a_manifest_is_read_however_it_is_written_down(text: bytes) -> None:
    with answering(text) as host:
        found = Registry(Transport()).manifest(ref(f"{host}/{NAME}:1"), NOBODY, whole=True)
    assert isinstance(found, ManifestInfo)
    assert (found.digest, found.media_type) == (ONE.digest, OCI_MANIFEST)
