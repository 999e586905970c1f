"""A scripted registry, and token server, on loopback: it answers by rules, records requests, fails at a surprise."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.serving import Json

BASE = "$BASE"
"""In headers and texts of an answer: scheme, host and port of the registry that sends it."""
HOST = "$HOST"
"""The same without the scheme."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_PLAIN_TO_TLS = b"Client sent an HTTP request to an HTTPS server.\n"
_TLS_TO_PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"


# ------------------------------------------------------------------- requests, answers, rules


@dataclass(frozen=True)
class Request:
    """One request as it came; header names in lower case, of a repeated query name the last value, `scopes` all.

    `client` is the name in the client certificate that was shown, empty for none.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    connection: int = 0
    expected: bool = True
    client: str = ""
    scopes: tuple[str, ...] = ()

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """One answer. `body` as JSON unless text or bytes; `delay` is seconds before it, `pause` before each body byte.

    `reason` replaces the status line's words; `drop` closes the connection in place of an answer. A header of several
    lines is sent as several headers of that name.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    delay: float = 0.0
    pause: float = 0.0
    drop: bool = False

    def having(self, **headers: str) -> Answer:
        """The same with more headers, `_` in a name being `-`."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}})


Answering = Answer | Callable[[Request], Answer]


@dataclass
class Rule:
    """Requests of `method` (several with `|`) whose whole path matches; the first rule that fits answers.

    With several `answers` each is given once, in order, the last one for ever. With `times` the rule is used up
    after so many requests, and the script is incomplete before.
    """

    method: str
    path: str
    answers: Sequence[Answering]
    times: int | None = None
    used: int = 0

    def fits(self, request: Request) -> bool:
        open_ = self.times is None or self.used < self.times
        return open_ and request.method in self.method.split("|") and bool(re.fullmatch(self.path, request.path))

    def next(self) -> Answering:
        answer = self.answers[min(self.used, len(self.answers) - 1)]
        self.used += 1
        return answer


def on(method: str, path: str, *answers: Answering, times: int | None = None) -> Rule:
    return Rule(method, path, answers or (Answer(),), times)


# ------------------------------------------------------------------- the server


@dataclass(frozen=True)
class Certificate:
    """Files of a server's certificate, and of the authority that signed it."""

    authority: Path
    chain: Path
    key: Path


class FakeRegistry:
    """A registry, started by `with`; plain HTTP unless there is a `certificate`.

    With `clients`, the file of an authority, it asks for a client certificate of it, and takes none as well.
    A request that no rule fits is answered 500 and makes `check()` fail, as does a rule with `times` that was not
    used up; leaving `with` calls it.
    """

    def __init__(
        self, *rules: Rule | Sequence[Rule], certificate: Certificate | None = None, clients: Path | None = None
    ) -> None:
        self.rules = [one for rule in rules for one in ([rule] if isinstance(rule, Rule) else rule)]
        self.certificate = certificate
        self.clients = clients
        self._requests: list[Request] = []
        self._faults: list[str] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        if kind is None:
            self.check()

    @property
    def port(self) -> int:
        assert self._server is not None, "the registry is not started: use `with`"
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        """The registry's name in references."""
        return f"127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    def seen(self) -> list[str]:
        """Method and path of every request, in the order of arrival."""
        return [str(request) for request in self.requests]

    def find(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and re.fullmatch(path, one.path)]

    def check(self) -> None:
        """Raises AssertionError after a surprise, or if something scripted never came."""
        surprises = [f"{one} {dict(one.query)}" for one in self.requests if not one.expected]
        assert not surprises, f"the fake registry did not expect: {'; '.join(surprises)}"
        assert not self._faults, f"the fake registry failed: {'; '.join(self._faults)}"
        waiting = [f"{rule.method} {rule.path}" for rule in self.rules if rule.times and rule.used < rule.times]
        assert not waiting, f"the fake registry still waits for: {'; '.join(waiting)}"

    def answer(self, request: Request) -> Answer:
        with self._lock:
            rule = next((rule for rule in self.rules if rule.fits(request)), None)
            self._requests.append(replace(request, expected=rule is not None))
            if rule is None:
                return Answer(500, f"the fake registry is not scripted for {request}")
            answer = rule.next()
        return answer(request) if callable(answer) else answer

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def fault(self, what: str) -> None:
        with self._lock:
            self._faults.append(what)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self._context: ssl.SSLContext | None = None
        if registry.certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(registry.certificate.chain, registry.certificate.key)
        if self._context and registry.clients:
            self._context.load_verify_locations(registry.clients)
            self._context.verify_mode = ssl.CERT_OPTIONAL
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        socket.socket.bind(self.socket, self.server_address)  # without asking for a host name, which may take seconds
        self.server_address = self.socket.getsockname()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS begins here, in the connection's own thread; who speaks the other one is told so, as Go's servers do.

        A TLS hello to plain HTTP is no request: engines send it first, and the containerd store goes on in clear only
        where the answer looks like HTTP.
        """
        hello = request.recv(1, socket.MSG_PEEK) == b"\x16"
        if self._context is None and hello:
            request.recv(65536)
            request.sendall(_TLS_TO_PLAIN)
            return
        if self._context is None:
            super().finish_request(request, client_address)
            return
        if not hello:
            self.registry.record(Request("(plain)", "", {}, {}))
            request.recv(65536)
            head = f"HTTP/1.0 400 Bad Request\r\nContent-Length: {len(_PLAIN_TO_TLS)}\r\n\r\n"
            request.sendall(head.encode() + _PLAIN_TO_TLS)
            return
        with self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away or dislike the certificate; anything else is a fault of the script or of this server."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | ssl.SSLError | TimeoutError):
            self.registry.fault(repr(error))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes, and the second one would wait 40 ms

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not printed."""

    def _handle(self) -> None:
        body = self._received()
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            query={name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            connection=self.client_address[1],
            client=self._client(),
            scopes=tuple(parse_qs(parts.query).get("scope", ())),
        )
        self._send(self.server.registry.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _client(self) -> str:
        """The subject's common name: `getpeercert()["subject"]` is a tuple of names, each of pairs."""
        shown: Any = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        return dict(pair for name in shown["subject"] for pair in name).get("commonName", "") if shown else ""

    def _received(self) -> bytes:
        """The request's body; engines send layers in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := self._chunk_size():
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _chunk_size(self) -> int:
        line = self.rfile.readline()
        if not line:  # an engine that was refused elsewhere gives its other uploads up
            raise ConnectionResetError("the client went away in the middle of its body")
        return int(line.partition(b";")[0], 16)

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        if answer.drop:
            self.close_connection = True
            return
        body, kind = self._body(answer.body)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}
        self.send_response_only(answer.status, answer.reason or None)
        for name, value in headers.items():
            for line in self._filled(value).split("\n"):
                self.send_header(name, line)
        self.end_headers()
        if self.command == "HEAD":
            return
        if not answer.pause:
            self.wfile.write(body)
        for byte in body if answer.pause else b"":
            time.sleep(answer.pause)
            self.wfile.write(bytes([byte]))

    def _body(self, body: Any) -> tuple[bytes, str]:
        if isinstance(body, bytes):
            return body, "application/octet-stream"
        if isinstance(body, str):
            return self._filled(body).encode(), "text/plain; charset=utf-8"
        return self._filled(json.dumps(body)).encode(), "application/json"

    def _filled(self, text: str) -> str:
        registry = self.server.registry
        return text.replace(BASE, registry.base).replace(HOST, registry.host)


# ------------------------------------------------------------------- answers that real registries give


def refused(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as the distribution specification words it.

    Without a `detail` the classic engine takes some for new ones each time, and retries for a minute.
    """
    return Answer(status, {"errors": [{"code": code, "message": message, "detail": {}}]}).having(**headers)


OK = Answer(200, {})
DENIED = refused(403, "DENIED", "requested access to the resource is denied")
UNAUTHORIZED = refused(401, "UNAUTHORIZED", "authentication required")
NAME_UNKNOWN = refused(404, "NAME_UNKNOWN", "repository name not known to registry")
MANIFEST_UNKNOWN = refused(404, "MANIFEST_UNKNOWN", "manifest unknown")
TOO_MANY = refused(429, "TOOMANYREQUESTS", "too many requests", Retry_After="1")
SERVER_ERROR = refused(500, "UNKNOWN", "unknown error")
HTML_ERROR = Answer(502, "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>").having(
    Content_Type="text/html"
)
WRONG_LOGIN = refused(401, "UNAUTHORIZED", "incorrect username or password")
UPLOAD_STARTED = Answer(202).having(Location="/v2/$NAME/blobs/uploads/4a1f?_state=s")


def redirect(to: str, status: int = 307) -> Answer:
    return Answer(status, "moved").having(Location=to)


# ------------------------------------------------------------------- what stands at /v2/


def ping(answer: Answering = OK) -> Rule:
    return on("GET", "/v2/", answer)


def uploads(answer: Answer = UPLOAD_STARTED) -> list[Rule]:
    """Starting an upload, and cancelling it."""

    def start(request: Request) -> Answer:
        name = request.path.removeprefix("/v2/").removesuffix("/blobs/uploads/")
        headers = {key: value.replace("$NAME", name) for key, value in answer.headers.items()}
        return replace(answer, headers=headers)

    return [on("POST", r"/v2/.+/blobs/uploads/", start), on("DELETE", r"/v2/.+/blobs/uploads/\w+", Answer(204))]


@dataclass(frozen=True)
class Manifest:
    """A manifest or index under a tag and under its digest; `header` replaces Docker-Content-Digest, "" leaves it out.

    `look` is at which look the tag is there for the first time. `sent` are the very bytes, where somebody pushed it.
    """

    content: Json
    media_type: str = OCI_MANIFEST
    header: str | None = None
    look: int = 1
    sent: bytes = b""

    @property
    def body(self) -> bytes:
        return self.sent or json.dumps(self.content).encode()

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def answer(self) -> Answer:
        header = self.digest if self.header is None else self.header
        digest = {"Docker-Content-Digest": header} if header else {}
        return Answer(200, self.body, {"Content-Type": self.media_type, **digest})


def image(layer: str = "1", size: int = 100, **quirks: Any) -> Manifest:
    """A manifest of one layer."""
    layers = [{"digest": f"sha256:{layer * 64}", "size": size}]
    return Manifest({"schemaVersion": 2, "layers": layers}, **quirks)


def index(children: Mapping[str, Manifest], **quirks: Any) -> Manifest:
    """An index of images by `os/architecture`."""
    entries = [
        {"digest": child.digest, "platform": dict(zip(("os", "architecture"), name.split("/"), strict=True))}
        for name, child in children.items()
    ]
    return Manifest({"schemaVersion": 2, "manifests": entries}, OCI_INDEX, **quirks)


def manifests(repository: str, tags: Mapping[str, Manifest], untagged: Sequence[Manifest] = ()) -> list[Rule]:
    """HEAD and GET of manifests; an index's children must be listed in `untagged` to be there."""
    rules = []
    for name, manifest in tags.items():
        early = [MANIFEST_UNKNOWN] * (manifest.look - 1)
        rules.append(on("HEAD|GET", f"/v2/{re.escape(repository)}/manifests/{name}", *early, manifest.answer))
    for manifest in (*tags.values(), *untagged):
        rules.append(on("HEAD|GET", f"/v2/{re.escape(repository)}/manifests/{manifest.digest}", manifest.answer))
    return [*rules, on("HEAD|GET", f"/v2/{re.escape(repository)}/manifests/[^/]+", MANIFEST_UNKNOWN)]


# ------------------------------------------------------------------- who may


Guard = Callable[[Request], Answer | None]


def guarded(guard: Guard, *rules: Rule | Sequence[Rule]) -> list[Rule]:
    """The same rules behind a guard: what it answers goes first."""

    def behind(answering: Answering) -> Answering:
        def answer(request: Request) -> Answer:
            return guard(request) or (answering(request) if callable(answering) else answering)

        return answer

    flat = [one for rule in rules for one in ([rule] if isinstance(rule, Rule) else rule)]
    return [replace(rule, answers=[behind(one) for one in rule.answers]) for rule in flat]


def basic_header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def wants_basic(user: str = "ada", password: str = "hunter2!", challenge: str = 'Basic realm="registry"') -> Guard:
    wanted = basic_header(user, password)
    refusal = UNAUTHORIZED.having(WWW_Authenticate=challenge)
    return lambda request: None if request.authorization == wanted else refusal


def bearer_challenge(realm: str = f"{BASE}/token", service: str = "registry.test") -> str:
    return f'Bearer realm="{realm}",service="{service}"'


def wants_bearer(*tokens: str, challenge: str = bearer_challenge()) -> Guard:
    """Lets every request with one of `tokens` pass; without tokens, with any."""
    refusal = UNAUTHORIZED.having(WWW_Authenticate=challenge)

    def guard(request: Request) -> Answer | None:
        scheme, _, token = request.authorization.partition(" ")
        return None if scheme == "Bearer" and (token in tokens or not tokens) else refusal

    return guard


# ------------------------------------------------------------------- the token server


def jwt(repository: str = "acme/app", *actions: str, **claims: Any) -> str:
    """A token whose `access` claim grants `actions`; without actions the claim is empty. Its signature is not one."""
    access = [{"type": "repository", "name": repository, "actions": list(actions)}] if actions else []
    parts = [{"alg": "ES256", "typ": "JWT"}, {"iss": "fake", "access": access, **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "c2lnbmF0dXJl"))


def token_server(
    granted: str,
    *,
    user: str = "ada",
    password: str = "hunter2!",
    anonymous: Answer | None = None,
    path: str = "/token",
) -> list[Rule]:
    """GET with the right login gives `granted`, a wrong one 401; without a login an empty grant, or `anonymous`."""

    def answer(request: Request) -> Answer:
        if not request.authorization:
            return anonymous or Answer(200, {"token": jwt()})
        if request.authorization != basic_header(user, password):
            return WRONG_LOGIN
        return Answer(200, {"token": granted, "expires_in": 300})

    return [on("GET", path, answer)]


# ------------------------------------------------------------------- whole registries


Store = Sequence[Rule]


def open_registry(store: Store = (), upload: Answer = UPLOAD_STARTED) -> list[Rule]:
    """Everybody may do everything."""
    return [ping(), *uploads(upload), *store]


def basic_registry(
    store: Store = (), upload: Answer = UPLOAD_STARTED, user: str = "ada", password: str = "hunter2!"
) -> list[Rule]:
    """htpasswd-like: one login for everything. `upload=UNAUTHORIZED`: Gitea's 401 after an accepted login."""
    return guarded(wants_basic(user, password), ping(), uploads(upload), list(store))


def bearer_registry(
    store: Store = (),
    upload: Answer = UPLOAD_STARTED,
    token: str = "",
    tokens: Sequence[Rule] | None = None,
    realm: str = f"{BASE}/token",
) -> list[Rule]:
    """Token authentication: `token` is granted to the right login (a JWT for pull and push without one).

    `tokens` replaces the token server, `realm` its address.
    """
    server = token_server(token or jwt("acme/app", "pull", "push")) if tokens is None else tokens
    return [*guarded(wants_bearer(challenge=bearer_challenge(realm)), ping(), uploads(upload), list(store)), *server]


def half_open_registry(store: Store = (), user: str = "ada", password: str = "hunter2!") -> list[Rule]:
    """`/v2/` answers 200 to everybody and an upload 401: the classic image store then sends no credential."""
    return [ping(), *store, *guarded(wants_basic(user, password), uploads())]


# ------------------------------------------------------------------- certificates


def certificate(folder: Path, *names: str, strict: bool = True, subject: str = "fake registry") -> Certificate:
    """A certificate for `names` (127.0.0.1 besides) or for a client, signed by an authority of its own.

    Without `strict` it is one that Go takes, and that `ssl.VERIFY_X509_STRICT` refuses: it names no key identifiers.
    """
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def start(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("fake authority"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=1)
        )

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def identified(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        """With what RFC 5280 wants of the authority and of what it signs."""
        if not strict:
            return builder
        uses = ("digital_signature", "key_cert_sign", "crl_sign", "content_commitment", "key_encipherment",
                "data_encipherment", "key_agreement", "encipher_only", "decipher_only")  # fmt: skip
        ours = ("key_cert_sign", "crl_sign") if key is authority_key else ("digital_signature",)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        return (
            builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(signer, critical=False)
            .add_extension(x509.KeyUsage(**{use: use in ours for use in uses}), critical=True)
        )

    authority = (
        identified(start("fake authority", authority_key), authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives = [*map(x509.DNSName, names), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = (
        identified(start(subject, server_key), server_key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    files = Certificate(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.chain.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
