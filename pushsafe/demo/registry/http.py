"""HTTP as the embedded registry speaks it: bodies as streams both ways, refusals in the spec's words."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote

PIECE = 64 * 1024
SILENCE_SECONDS = 60
TLS_HANDSHAKE = b"\x16"

MESSAGES = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "MANIFEST_BLOB_UNKNOWN": "manifest references a manifest or blob unknown to registry",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNKNOWN": "manifest unknown to registry",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "SIZE_INVALID": "provided length did not match content length",
    "UNAUTHORIZED": "authentication required",
    "UNSUPPORTED": "the operation is unsupported",
}
"""The spec's error codes that are used here, as it describes them."""


@dataclass(frozen=True)
class Answer:
    """A response; its body is `body`, or `length` bytes of `file` from `start` on."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: BinaryIO | None = None
    start: int = 0
    length: int = 0


def json_answer(status: int, document: object, **headers: str) -> Answer:
    body = json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json", **named}, body)


class Refused(Exception):
    """A request is refused; one error for each of `details`, without which classic engines try again for a minute."""

    def __init__(self, status: int, code: str, message: str = "", *details: object, **headers: str) -> None:
        told = {"code": code, "message": message or MESSAGES.get(code, "")}
        self.answer = json_answer(status, {"errors": [{**told, "detail": one} for one in details or [{}]]}, **headers)


def _number(text: str, base: int) -> int:
    if not re.fullmatch("[0-9a-fA-F]{1,15}" if base == 16 else "[0-9]{1,18}", text):
        raise ConnectionAbortedError
    return int(text, base)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, has `answer` answer it, and sends what that returns or raises."""

    protocol_version = "HTTP/1.1"
    server_version = "pushsafe"
    timeout = SILENCE_SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a header may hold a secret."""

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        self.query = parse_qs(query, keep_blank_values=True)
        body = self._pieces()
        try:
            answer = self.answer(unquote(path), body)
        except Refused as refused:
            answer = refused.answer
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:  # a full disk, say
            answer = Refused(500, "UNKNOWN", error.strerror or "").answer
        for _ in body:  # what is left unread would be taken for the next request
            pass
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def answer(self, path: str, body: Iterator[bytes]) -> Answer:
        """May raise Refused."""
        raise NotImplementedError

    def asked(self, name: str) -> str:
        """The last value that the query has of a name, or nothing."""
        return self.query.get(name, [""])[-1]

    def _pieces(self) -> Iterator[bytes]:
        """The request's body; ConnectionError where the client goes away in the middle or breaks the framing."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._counted(_number(self.headers.get("Content-Length") or "0", 10))
            return
        while size := _number(self.rfile.readline(PIECE).partition(b";")[0].strip().decode("latin-1"), 16):
            yield from self._counted(size)
            self.rfile.readline(PIECE)
        while self.rfile.readline(PIECE).strip():  # trailers, which nobody sends
            pass

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionAbortedError
            left -= len(piece)
            yield piece

    def whole(self, body: Iterator[bytes], limit: int) -> bytes:
        content = bytearray()
        for piece in body:
            content += piece
            if len(content) > limit:
                raise Refused(413, "SIZE_INVALID", f"more than {limit} bytes")
        return bytes(content)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = answer.length if answer.file else len(answer.body)
        for name, value in {"Docker-Distribution-Api-Version": "registry/2.0", **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD" and not answer.file:
            self.wfile.write(answer.body)
        if answer.file:
            with answer.file as file:
                if self.command != "HEAD" and length:
                    self.connection.sendfile(file, answer.start, length)


class Server(ThreadingHTTPServer):
    """A thread for each connection; closing it ends them all."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, handler: type[Handler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Engines begin with a TLS hello, and the containerd store goes on in clear only where the answer is HTTP."""
        request.settimeout(SILENCE_SECONDS)
        if request.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE:
            super().finish_request(request, client_address)
            return
        request.recv(PIECE)
        request.sendall(b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away or fall silent in the middle; anything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
