"""An engine, or what stands in its place, that sends bytes as they are scripted, right or wrong."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

Sent = bytes | Iterable[bytes]
"""What is sent before the connection is closed; the parts of an iterable each by themselves."""

PONG = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


def answer(body: bytes, *, status: str = "200 OK", media_type: str = "application/json", whole: bool = True) -> bytes:
    """An answer with a length; without `whole` it breaks off in the middle."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if whole else body[: len(body) // 2])


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


class BluntEngine:
    """Within `with` it takes one request on each connection, and closes that after the answer.

    `answers` by what the path of a request ends with; anything that `/_ping` is not scripted for is a good pong.
    """

    def __init__(self, answers: Mapping[str, Callable[[], Sent] | Sent]) -> None:
        self._answers = {"/_ping": PONG, **answers}
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="blunt-")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(Path(self._folder.name, "s")))
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.close()
        self._folder.cleanup()

    @property
    def host(self) -> str:
        return f"unix://{self._folder.name}/s"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
                request += part
            self.requests.append(request)
            path = request.split(b" ")[1].partition(b"?")[0].decode() if request else ""
            scripted = next((sent for end, sent in self._answers.items() if path.endswith(end)), b"")
            sent = scripted() if callable(scripted) else scripted
            try:
                for one in (sent,) if isinstance(sent, bytes) else sent:
                    connection.sendall(one)
            except OSError:
                return  # who asked has read enough
