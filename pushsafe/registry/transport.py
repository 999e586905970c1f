"""HTTP to registries: where one answers, time limits, capped answers."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urljoin

import urllib3  # never a part of it first: see auth.py
from urllib3.util import Retry, Timeout

from pushsafe import __version__
from pushsafe.errors import RegistryUnreachable
from pushsafe.extents import Part
from pushsafe.patience import NO_PATIENCE, Patience
from pushsafe.proxies import proxy_for
from pushsafe.registry.addresses import host_of, is_insecure, is_loopback, origin_of
from pushsafe.registry.connections import Limits, limits, new_pool
from pushsafe.registry.retries import Retries
from pushsafe.registry.tls import NO_CERTIFICATES, Certificates, Contexts, certificates, certs_d
from pushsafe.registry.unreachable import Dropped, unreachable

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, TLS included."""
READ_TIMEOUT = 30.0
"""Seconds between two bytes of an answer."""
ANSWER_TIMEOUT = 60.0
"""Seconds for a request, its redirects and the whole answer."""
BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer that are read: the distribution specification's limit for a manifest."""
ERROR_LIMIT = 64 * 1024
"""Bytes of an answer with an error status that are read; the rest is left."""
STREAM_TIMEOUT = 120.0
"""Seconds between two bytes of a blob, and for a registry that has all of one to put it away."""

_HUB_HOST = "registry-1.docker.io"
_RUN_IS_OVER = "the time for the whole run is over"
_USER_AGENT = f"docker-pushsafe/{__version__}"
_BAD_REQUEST = 400
_PART = 64 * 1024  # bytes read at once: some versions of urllib3 unpack a part whole, to a thousand times its size
# Only GET and HEAD follow a redirect, and urllib3 takes the credential off when the host changes.
_REDIRECTS = Retry(total=None, connect=0, read=0, redirect=3, status=0, other=0, raise_on_redirect=False)
_ERRORS = (urllib3.exceptions.HTTPError, OSError, ValueError)
_NO_REDIRECT = Retry(total=None, connect=0, read=0, redirect=0, status=0, other=0, raise_on_redirect=False)


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """One HTTP answer: status, header names in lower case, and at most BODY_LIMIT bytes; it may hold a token.

    `elsewhere` tells that a redirect led to another scheme, host or port, where no credential went along.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elsewhere: bool = False

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True, repr=False)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Iterable[Part] | None
    follow: bool
    limit: int


class _Time(NamedTuple):
    """Seconds for a request, when they are over by `time.monotonic()`, and whether the run's are then, too."""

    whole: float
    due: float
    is_last: bool


class Stream:
    """An answer that is read part by part; what `parts` and `whole` raise is RegistryUnreachable."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, url: str, fail: Callable[[BaseException], RegistryUnreachable]
    ) -> None:
        self._response = response
        self._url = url
        self._fail = fail
        self.status = response.status
        self.elsewhere = _is_elsewhere(url, response)
        self.ended = False

    def parts(self) -> Iterator[bytes]:
        """The body, unpacked, in parts of at most 64 kB."""
        while part := self._read():
            yield part
        self.ended = True

    def whole(self) -> Response:
        """The answer as `Transport.send` has it."""
        try:
            content = _read(self._response, self._url, BODY_LIMIT)
        except _ERRORS as error:
            raise self._fail(error) from None
        self.ended = True
        headers = {key.lower(): value for key, value in self._response.headers.itermerged()}
        return Response(self.status, headers, content, self.elsewhere)

    def _read(self) -> bytes:
        try:
            return self._response.read1(_PART, decode_content=True)
        except _ERRORS as error:
            raise self._fail(error) from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry answers (`base`, no trailing slash), and what `GET /v2/` said there without a credential."""

    registry: str
    base: str
    verify: bool
    ping: Response


class Transport:
    """Connections to every registry of one run, shared by all threads.

    `insecure_registries` is asked only when HTTPS fails: the engine's own list says where docker would go on without
    it. `engine_is_local` tells whether the engine's loopback, and its certificates below `certificate_folders` (the
    real ones if not given), are this machine's. `deadline` tells the seconds left for the whole run, None for any.
    """

    def __init__(
        self,
        insecure_registries: Callable[[], tuple[str, ...]] = tuple,
        engine_is_local: Callable[[], bool] = lambda: True,
        deadline: Callable[[], float | None] = lambda: None,
        certificate_folders: Sequence[Path] | None = None,
    ) -> None:
        self._insecure_registries = insecure_registries
        self._engine_is_local = engine_is_local
        self.left = deadline
        self._folders = certs_d(os.environ) if certificate_folders is None else certificate_folders
        self._pools: dict[tuple[bool, str, Certificates], urllib3.PoolManager] = {}
        self._endpoints: dict[str, Endpoint | RegistryUnreachable] = {}
        self._held: dict[str, Certificates] = {}
        self._answered: set[str] = set()
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def endpoint(self, registry: str) -> Endpoint:
        """Find where a registry answers; asked once a run. Raises RegistryUnreachable."""
        with self._lock:
            lock = self._locks.setdefault(registry, threading.Lock())
        with lock:
            if registry not in self._endpoints:
                try:
                    self._endpoints[registry] = self._discover(registry)
                except RegistryUnreachable as error:
                    self._endpoints[registry] = error
            found = self._endpoints[registry]
        if isinstance(found, RegistryUnreachable):
            raise found
        return found

    def send(
        self,
        method: str,
        url: str,
        *,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        follow: bool = False,
        limit: int = BODY_LIMIT,
        registry: str = "",
        patience: Patience = NO_PATIENCE,
    ) -> Response:
        """Send one request, and again where that can succeed. Raises RegistryUnreachable, which never holds a header.

        `registry` is the one on whose behalf another host is asked, whose certificates then hold; it is the URL's own
        host if not given. An answer that is larger than `limit` is none; what a refusal says is cut at ERROR_LIMIT.
        """
        request = _Request(method, url, {"User-Agent": _USER_AGENT, **(headers or {})}, body, follow, limit)
        pool = partial(self._pool, url, verify, registry)
        retries = Retries(host_of(url), patience, self.left)
        while True:
            try:
                response = self._send_once(request, pool)
            except Dropped as dropped:
                if not retries.after_drop(dropped):
                    raise
            else:
                if not retries.after_answer(response.status, response.header("retry-after")):
                    return response

    def _send_once(self, request: _Request, pool: Callable[[], urllib3.PoolManager]) -> Response:
        """One request and its whole answer, in a time of its own."""
        time_ = self._time_for(request.url, ANSWER_TIMEOUT)
        limits.set(Limits(time_.due, 2 * BODY_LIMIT))
        timeout = Timeout(connect=min(CONNECT_TIMEOUT, time_.whole), read=READ_TIMEOUT)
        try:
            response = self._open(request, pool(), timeout)
            content = _read(response, request.url, request.limit)
            response.release_conn()
        except _ERRORS as error:
            raise self._failure(request.url, error, time_) from None
        self._answered.add(origin_of(request.url))
        headers = {key.lower(): value for key, value in response.headers.itermerged()}
        return Response(response.status, headers, content, _is_elsewhere(request.url, response))

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
        body: Iterable[Part] | None = None,
        follow: bool = False,
        room: int = 0,
        registry: str = "",
    ) -> Iterator[Stream]:
        """Send one request, once, whose body or answer may take as long as bytes go on coming; `body` part by part.

        `room` is how many bytes of an answer there may be. Raises RegistryUnreachable as `send` does.
        """
        request = _Request(method, url, {"User-Agent": _USER_AGENT, **(headers or {})}, body, follow, BODY_LIMIT)
        time_ = self._time_for(url, math.inf)
        limits.set(Limits(time_.due, 2 * BODY_LIMIT, room))
        # urllib3 takes the time for connecting for each part of the body, too.
        timeout = Timeout(connect=min(READ_TIMEOUT, time_.whole), read=STREAM_TIMEOUT)
        fail = partial(self._failure, url, time_=time_)
        try:
            response = self._open(request, self._pool(url, verify, registry), timeout)
        except _ERRORS as error:
            raise fail(error) from None
        self._answered.add(origin_of(url))
        answer = Stream(response, url, fail)
        try:
            yield answer
        finally:
            if not answer.ended:
                response.close()  # what was not read must not be taken for the next answer
            response.release_conn()

    def _open(self, request: _Request, pool: urllib3.PoolManager, timeout: Timeout) -> urllib3.BaseHTTPResponse:
        return pool.request(
            request.method,
            request.url,
            headers=request.headers,
            body=cast(Iterable[bytes], request.body),  # each part goes to the connection as it is
            redirect=request.follow,
            retries=_REDIRECTS if request.follow else _NO_REDIRECT,
            timeout=timeout,
            preload_content=False,
        )

    def _time_for(self, url: str, most: float) -> _Time:
        left = self.left()
        if left is not None and left <= 0:
            raise RegistryUnreachable(f"{origin_of(url)}: {_RUN_IS_OVER}")
        whole = min(most, math.inf if left is None else left)
        return _Time(whole, time.monotonic() + whole, whole == left)

    def _failure(self, url: str, error: BaseException, time_: _Time) -> RegistryUnreachable:
        """What to raise for an error, without its cause, whose words may hold a header or a URL."""
        if time.monotonic() < time_.due:
            return unreachable(origin_of(url), error, known=origin_of(url) in self._answered)
        reason = _RUN_IS_OVER if time_.is_last else f"no whole answer within {ANSWER_TIMEOUT:g} seconds"
        return RegistryUnreachable(f"{origin_of(url)}: {reason}")

    # ------------------------------------------------------------------ which address

    def _discover(self, registry: str) -> Endpoint:
        host = _HUB_HOST if registry == "docker.io" else registry
        loopback = is_loopback(registry)
        if loopback and not self._engine_is_local():
            raise RegistryUnreachable(f"{registry} is on the engine's machine, which is not this one")
        if loopback:
            # docker takes plain HTTP on loopback; asked first, it saves a failed TLS handshake.
            return self._first(registry, ((f"http://{host}", False), (f"https://{host}", False)))
        try:
            return self._ask(registry, f"https://{host}", verify=True)
        except RegistryUnreachable:
            if not is_insecure(registry, self._insecure_registries()):
                raise
        return self._first(registry, ((f"https://{host}", False), (f"http://{host}", False)))

    def _first(self, registry: str, candidates: tuple[tuple[str, bool], ...]) -> Endpoint:
        """The first candidate that speaks our protocol; a 400 to plain HTTP is how a TLS server answers it."""
        failure: RegistryUnreachable | None = None
        refused: Endpoint | None = None
        for base, verify in candidates:
            try:
                endpoint = self._ask(registry, base, verify=verify)
            except RegistryUnreachable as error:
                failure = failure or error
                continue
            if endpoint.ping.status != _BAD_REQUEST:
                return endpoint
            refused = endpoint
        if refused:
            return refused
        raise failure or RegistryUnreachable(f"{registry} does not answer")

    def _ask(self, registry: str, base: str, *, verify: bool) -> Endpoint:
        return Endpoint(registry, base, verify, self.send("GET", f"{base}/v2/", verify=verify, follow=True))

    # ------------------------------------------------------------------ connections

    def _pool(self, url: str, verify: bool, registry: str) -> urllib3.PoolManager:
        proxy = proxy_for(url, os.environ)
        name = registry or host_of(url)
        name = "docker.io" if name == _HUB_HOST else name
        with self._lock:
            held = self._certificates(name) if url[:6].lower() == "https:" else NO_CERTIFICATES
            key = (verify, proxy, held)
            if key not in self._pools:
                owner = urllib3.util.parse_url(f"https://{_HUB_HOST if name == 'docker.io' else name}")
                contexts = Contexts(verify=verify, certificates=held, owner=(owner.host or "", owner.port or 443))
                self._pools[key] = new_pool(verify, proxy, contexts)
            return self._pools[key]

    def _certificates(self, registry: str) -> Certificates:
        """What an engine on this machine has for a registry; looked up once."""
        if registry not in self._held:
            known = any(os.path.isdir(folder / registry) for folder in self._folders)  # noqa: PTH112  Path's raises
            here = known and self._engine_is_local()
            self._held[registry] = certificates(registry, self._folders) if here else NO_CERTIFICATES
        return self._held[registry]


def _read(response: urllib3.BaseHTTPResponse, url: str, limit: int) -> bytes:
    """The body within its limit of size, counted as it is unpacked.

    What was not read must not be taken for the next answer, so its connection is closed.
    """
    refused = response.status >= _BAD_REQUEST
    limit = ERROR_LIMIT if refused else limit
    content = bytearray()
    try:
        while part := response.read1(min(_PART, limit + 1 - len(content)), decode_content=True):
            content += part
            if len(content) > limit:
                if not refused:
                    raise RegistryUnreachable(f"{origin_of(url)}: an answer of more than {limit} bytes")
                response.close()
                break
    except BaseException:
        response.close()
        raise
    return bytes(content[:limit])


def place_of(url: str) -> tuple[str | None, str | None, int | None]:
    """Scheme, host and port, as urllib3 compares them before it sends a credential along."""
    parts = urllib3.util.parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")


def _is_elsewhere(url: str, response: urllib3.BaseHTTPResponse) -> bool:
    """Whether one of the redirects that were followed left the place that was asked."""
    asked = place_of(url)
    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
        if place_of(url) != asked:
            return True
    return False
