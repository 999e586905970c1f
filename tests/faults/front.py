"""The registry of one case: the embedded one, which meets the requests of one stage with a fault, and takes notes."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pushsafe.demo.registry import Account, EmbeddedRegistry
from pushsafe.demo.registry.http import Answer, Refused, Server
from pushsafe.demo.registry.server import PATH, RegistryHandler
from pushsafe.demo.registry.storage import Repository
from tests.fakes.archives import digest_of
from tests.fakes.registry import Certificate
from tests.faults.stages import Seen, Stage

REPOSITORY = "team/app"
OURS = "docker-pushsafe/"
Where = Literal["own", "port", "host", "https"]

_SENT = Answer(0)
_TAKEN = re.compile(rb"HTTP/1\.1 20[014] ")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: the connection is reset, and not closed


@dataclass(frozen=True)
class Reply:
    """What goes out in place of an answer, and what becomes of the connection; `pause` is seconds before each byte."""

    data: bytes = b""
    then: Literal["go on", "close", "reset", "hang"] = "go on"
    pause: float = 0.0


@dataclass(frozen=True)
class Put:
    """A manifest that was put under a tag, and what every tag named right after."""

    tag: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Sighting:
    """A request that came to another host, port or scheme; `credential`: it brought one."""

    where: str
    request: str
    ours: bool
    credential: bool


def wire(answer: Answer, *, head: bool = False, reason: str = "", more: Sequence[tuple[str, str]] = ()) -> bytes:
    """An answer as it goes over the wire; `head`: without its body, which is nevertheless counted."""
    body = answer.body
    if answer.file:
        with answer.file as file:
            body = file.read()[answer.start : answer.start + answer.length]
    known = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else "Odd"
    headers = [*answer.headers.items(), *more]
    if answer.status != HTTPStatus.NO_CONTENT and not {"content-length", "transfer-encoding"} & {
        name.lower() for name, _ in headers
    }:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {answer.status} {reason or known}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if head else body)


@dataclass
class Exchange:
    """One request that meets a fault, which says what is done and what is answered."""

    handler: FaultyHandler
    front: Front
    path: str
    body: Iterator[bytes]
    seen: Seen

    @property
    def head(self) -> bool:
        return self.seen.method == "HEAD"

    def wire(self, answer: Answer, **more: Any) -> bytes:
        return wire(answer, head=self.head, **more)

    def deed(self) -> Answer:
        """Do what is asked; what the registry would answer."""
        answer = self.handler.carried_out(self.path, self.body)
        self.skip()
        self.front.note(self.seen, answer, whole=False)
        return answer

    def skip(self) -> None:
        """Read what was sent, and do nothing."""
        for _ in self.body:
            pass

    def claim(self) -> Answer:
        """Do nothing; what a registry would answer that had done it."""
        uploads = f"/v2/{REPOSITORY}/blobs/uploads"
        match self.seen.method, self.seen.kind:
            case "POST", _:
                self.skip()
                name = str(uuid.uuid4())
                return Answer(202, {"Location": f"{uploads}/{name}", "Docker-Upload-UUID": name, "Range": "0-0"})
            case "PATCH", _:
                size = sum(map(len, self.body))
                return Answer(202, {"Location": self.path, "Range": f"0-{max(0, size - 1)}"})
            case "PUT", "blobs/uploads":
                self.skip()
                digest = self.handler.asked("digest")
                place = f"/v2/{REPOSITORY}/blobs/{digest}"
                return Answer(201, {"Location": place, "Docker-Content-Digest": digest})
            case "PUT", _:
                digest = digest_of(b"".join(self.body))
                return Answer(201, {"Location": self.path, "Docker-Content-Digest": digest})
        self.skip()
        return Answer(204)

    def place(self, where: Where) -> str:
        """The same request's URL at another place."""
        return self.front.place(where) + self.handler.path


Act = Callable[[Exchange], Reply]


class FaultyHandler(RegistryHandler):
    """Answers as the embedded registry does, but for the one stage."""

    @property
    def _front(self) -> Front:
        front = self.server.registry
        assert isinstance(front, Front)
        return front

    def answer(self, path: str, body: Iterator[bytes]) -> Answer:
        front = self._front
        if self.headers.get("Host") != front.host:
            front.sighted("host" if "localhost" in self.headers.get("Host", "") else "port", self)
            return super().answer(path, body)
        seen = front.seen(self.command, path, self.headers.get("User-Agent", ""))
        act = front.fault_for(seen)
        if act is None:
            answer = self.carried_out(path, body)
            front.note(seen, answer)
            return answer
        reply = act(Exchange(self, front, path, body, seen))
        if seen.method == "PUT" and seen.kind == "blobs/uploads" and _TAKEN.match(reply.data):
            front.known.ended.add(seen.reference)
        self._reply(reply)
        return _SENT

    def carried_out(self, path: str, body: Iterator[bytes]) -> Answer:
        """What the embedded registry answers."""
        try:
            return super().answer(path, body)
        except Refused as refused:
            return refused.answer

    def _may(self, name: str, *actions: str) -> bool:
        """Whoever was led elsewhere finds an open registry there, so that all goes on if it is followed."""
        return self.headers.get("Host") != self._front.host or super()._may(name, *actions)

    def _reply(self, reply: Reply) -> None:
        front = self._front
        if reply.pause:
            for byte in reply.data:
                if front.ended.wait(reply.pause):
                    raise ConnectionAbortedError
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(reply.data)
        self.wfile.flush()
        if reply.then == "go on":
            return
        if reply.then == "hang":
            front.ended.wait()
        if reply.then == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise ConnectionAbortedError

    def _send(self, answer: Answer) -> None:
        if answer is not _SENT:
            super()._send(answer)


@dataclass
class Known:
    """What the front has written down."""

    met: int = 0
    requests: int = 0
    puts: list[Put] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    """This program's uploads whose place it was told."""
    ended: set[str] = field(default_factory=set)
    """Uploads that it has asked to cancel, or was told are blobs now."""
    posts: int = 0
    probe: str = ""
    named: list[str] = field(default_factory=list)


class Front(EmbeddedRegistry):
    """The registry of one case; `always`: the fault is met at every request of the stage, else at the first alone."""

    handler = FaultyHandler

    def __init__(
        self, folder: Path, account: Account, stage: Stage, act: Act, *, always: bool, tls: Certificate | None = None
    ) -> None:
        super().__init__(folder, (account,))
        self.known = Known()
        self.on_request: Callable[[int], None] = lambda _number: None
        """Called with the number of each request, before anything is done."""
        self.ended = threading.Event()
        self._password = account.password.encode()
        self._stage, self._act, self._always = stage, act, always
        self._tls = tls
        self._noting = threading.Lock()

    def __enter__(self) -> Self:
        super().__enter__()
        self._other = _OtherPort(self)
        threading.Thread(target=self._other.serve_forever, args=(0.02,), daemon=True).start()
        self._secure = socket.create_server(("127.0.0.1", 0))
        if self._tls:
            threading.Thread(target=self._listen, args=(self._tls,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        with suppress(OSError):
            self._secure.shutdown(socket.SHUT_RDWR)
        self._secure.close()
        self._other.shutdown()
        self._other.server_close()
        super().__exit__(kind, error, at)

    def place(self, where: Where) -> str:
        """Scheme and host of this registry, or of what stands elsewhere."""
        port = self.host.rpartition(":")[2]
        return {
            "own": f"http://{self.host}",
            "host": f"http://localhost:{port}",
            "port": f"http://127.0.0.1:{self._other.server_port}",
            "https": f"https://127.0.0.1:{self._secure.getsockname()[1]}",
        }[where]

    # ------------------------------------------------------------------ what is written down

    def seen(self, method: str, path: str, agent: str) -> Seen:
        found = PATH.fullmatch(path)
        kind, reference = (found["kind"], found["reference"]) if found else ("", "")
        ours = agent.startswith(OURS)
        with self._noting:
            known = self.known
            probe = bool(reference) and reference == known.probe
            seen = Seen(method, path, kind, reference, ours, known.posts, probe, tuple(known.named))
            if ours and method == "POST" and kind == "blobs/uploads":
                known.posts += 1
            if ours and method == "DELETE":
                known.ended.add(reference)
            known.requests += 1
            number = known.requests
            if method == "PUT" and kind == "manifests" and reference not in known.named:
                known.named.append(reference)
        self.on_request(number)
        return seen

    def fault_for(self, seen: Seen) -> Act | None:
        if not self._stage.fits(seen):
            return None
        with self._noting:
            self.known.met += 1
            return self._act if self._always or self.known.met == 1 else None

    def note(self, seen: Seen, answer: Answer, *, whole: bool = True) -> None:
        """What was done; `whole`: the answer goes out as it is."""
        with self._noting:
            name = answer.headers.get("Docker-Upload-UUID", "")
            if seen.ours and seen.method == "POST" and answer.status == HTTPStatus.ACCEPTED:
                self.known.probe = self.known.probe or name
                if whole:
                    self.known.opened.add(name)
            if seen.by_tag and seen.method == "PUT" and answer.status == HTTPStatus.CREATED:
                self.known.puts.append(Put(seen.reference, self.tags()))

    def sighted(self, where: str, handler: RegistryHandler) -> None:
        ours = handler.headers.get("User-Agent", "").startswith(OURS)
        credential = "Authorization" in handler.headers
        with self._noting:
            self.known.sightings.append(Sighting(where, f"{handler.command} {handler.path}", ours, credential))

    def _listen(self, tls: Certificate) -> None:
        """Whoever comes by TLS is written down, and is answered that there is nothing."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.chain, tls.key)
        while True:
            try:
                connection, _ = self._secure.accept()
            except OSError:  # the end
                return
            connection.settimeout(5)
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                head = b""
                while b"\r\n\r\n" not in head and (part := secure.recv(65536)):
                    head += part
                ours = OURS.encode().lower() in head.lower()
                credential = b"authorization:" in head.lower() or self._password in head
                line = head.partition(b"\r\n")[0].decode(errors="replace")
                with self._noting:
                    self.known.sightings.append(Sighting("https", line, ours, credential))
                secure.sendall(wire(Answer(404, {"Connection": "close"})))

    # ------------------------------------------------------------------ what it holds

    @property
    def repository(self) -> Repository:
        return Repository(self.repositories, REPOSITORY)

    def tags(self) -> dict[str, str]:
        try:
            return self.repository.tags()
        except Refused:
            return {}

    def open_uploads(self) -> set[str]:
        return set(self._uploads)

    def hold(self, tag: str, contents: Sequence[bytes], manifest: bytes, media_type: str) -> None:
        """Let a tag name an image before the run."""
        for content in contents:
            self.write(self.repository.blob(digest_of(content)), content)
        digest = digest_of(manifest)
        self.write(self.repository.manifest(digest), media_type.encode() + b"\n" + manifest)
        self.write(self.repository.tag(tag), digest.encode())

    def lacks(self, digest: str) -> Iterator[str]:
        """What a manifest leads to and is not there, or is not what its digest says; digests are computed anew."""
        try:
            _, content = self.repository.read(digest)
        except Refused:
            yield f"{digest} is not there"
            return
        if digest_of(content) != digest:
            yield f"{digest} is {digest_of(content)}"
        document = json.loads(content)
        for child in document.get("manifests", []):
            yield from self.lacks(child["digest"])
        for one in (document.get("config"), *document.get("layers", [])):
            if one is None:
                continue
            file = self.repository.blob(one["digest"])
            if not file.exists():
                yield f"{one['digest']} is not there"
            elif f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" != one["digest"]:
                yield f"{one['digest']} is something else"

    def config_of(self, digest: str) -> str:
        """The digest of the config that a manifest names: it says which image it is, whoever made the manifest."""
        try:
            document = json.loads(self.repository.read(digest)[1])
        except Refused:
            return ""
        return str((document.get("config") or {}).get("digest", ""))


class _OtherPort(Server):
    """The same registry at another port of this machine."""

    def __init__(self, front: Front) -> None:
        self.registry = front
        super().__init__(FaultyHandler)
