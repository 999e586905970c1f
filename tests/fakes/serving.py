"""HTTP on a unix socket as a docker engine speaks it: every request is recorded, bodies are read, pushes stream."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

Json = Mapping[str, Any]


class Drop:
    """In a push script: close the connection here, in the middle of the chunked answer."""


@dataclass(frozen=True)
class Refusal:
    """An answer with an error status, as the engine words it: `{"message": ...}`."""

    status: int
    message: str


# One push answer: a JSON line each; a number is a pause in seconds; text and bytes are sent as they are.
PushScript = Sequence[Json | float | str | bytes | Drop] | Refusal


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came: `path` without the API version, `query` with the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    api_version: str = ""
    expected: bool = True

    @property
    def auth_header(self) -> str | None:
        """`X-Registry-Auth` as it was sent, or None if there was no such header."""
        return self.headers.get("x-registry-auth")

    @property
    def auth(self) -> dict[str, str] | None:
        """`X-Registry-Auth` decoded, or None if there was no such header."""
        if self.auth_header is None:
            return None
        decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(self.auth_header))
        return decoded


class Answering(Protocol):
    """What a server needs to know of its engine."""

    os: str
    api_version: str

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> Any: ...
    def record(self, request: RecordedRequest) -> None: ...
    def fault(self, what: str) -> None: ...


@dataclass(frozen=True)
class Stream:
    """A chunked answer."""

    script: Sequence[Json | float | str | bytes | Drop]


class Server(ThreadingMixIn, UnixStreamServer):
    """Serves one engine on one socket, a thread for each connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, socket: Path, engine: Answering) -> None:
        self.engine = engine
        super().__init__(str(socket), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away in the middle; anything else is a fault of the script or of this server."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.engine.fault(repr(error))


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not printed."""

    def address_string(self) -> str:
        return "unix"

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        found = re.match(r"/v(\d+\.\d+)(?=/)", parts.path)
        path = unquote(parts.path[found.end() :] if found else parts.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        answer = self.server.engine.answer(self.command, path, query)
        self.server.engine.record(
            RecordedRequest(
                method=self.command,
                path=path,
                query=query,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                api_version=found[1] if found else "",
                expected=answer is not NotImplemented,
            )
        )
        if answer is NotImplemented:
            answer = Refusal(500, f"the fake engine is not scripted for {self.command} {path}")
        self._send(answer)

    def _body(self) -> bytes:
        """All of it: what is left unread would be taken for the next request on the connection."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _send(self, answer: Any) -> None:
        if isinstance(answer, Stream):
            self._send_stream(answer)
            return
        status = answer.status if isinstance(answer, Refusal) else 200
        value = {"message": answer.message} if isinstance(answer, Refusal) else answer
        text = isinstance(value, str)
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self._send_common("text/plain; charset=utf-8" if text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_common(self, content_type: str) -> None:
        """Headers from which clients learn the API version and the platform before anything else."""
        engine = self.server.engine
        self.send_header("Api-Version", engine.api_version)
        self.send_header("Docker-Experimental", "false")
        self.send_header("Ostype", engine.os)
        self.send_header("Builder-Version", "2")
        self.send_header("Content-Type", content_type)

    def _send_stream(self, answer: Stream) -> None:
        self.send_response(200)
        self._send_common("application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for item in answer.script:
            if isinstance(item, Drop):
                self.close_connection = True
                return
            if isinstance(item, int | float):
                time.sleep(item)
                continue
            raw = item if isinstance(item, bytes) else item.encode() if isinstance(item, str) else None
            chunk = raw if raw is not None else json.dumps(item).encode() + b"\r\n"
            if chunk:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
