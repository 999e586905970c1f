"""The little of the engine API that the lab itself needs, over its unix socket."""

import http.client
import json
import socket
from pathlib import Path

from .model import LabError


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def answers(path: Path) -> bool:
    """Whether an engine serves on this socket."""
    try:
        request(path, "GET", "/_ping", timeout=2)
    except (OSError, http.client.HTTPException, LabError):
        return False
    return True


def version(path: Path) -> str:
    return str(json.loads(request(path, "GET", "/version"))["Version"])


def load(path: Path, archive: bytes) -> None:
    """`docker load`. A failure comes inside a stream that began with 200."""
    stream = request(path, "POST", "/images/load?quiet=1", archive)
    for line in stream.splitlines():
        if line.strip() and "error" in (told := json.loads(line)):
            raise LabError(f"the engine did not load the image: {told['error']}")


def request(path: Path, method: str, target: str, body: bytes = b"", timeout: float = 60) -> bytes:
    """The answer's body. Raises LabError for a status of 400 and above, OSError without an engine."""
    connection = _Connection(path, timeout)
    try:
        connection.request(method, target, body, {"Content-Type": "application/x-tar"} if body else {})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise LabError(f"{method} {target}: {answer.status} {data.decode(errors='replace').strip()}")
    return data
