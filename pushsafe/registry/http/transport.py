"""HTTP to registries: discovery, retries, redirects, and limits of time and size."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urljoin

import urllib3  # before any part of it: see auth.py
from urllib3.util import Retry, Timeout

from pushsafe import __version__
from pushsafe.model.errors import ProxyAnswers, RegistryAstray, RegistryUnreachable, TlsFailed
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.reference import DEFAULT_REGISTRY, HUB_SERVER, server_of
from pushsafe.registry.hosts import host_of, is_insecure, is_loopback, origin_of
from pushsafe.registry.http.connection import Limits, Pools, knock, limits, new_pool
from pushsafe.registry.http.destinations import Destinations, Lead, Reach
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.tls import NO_CERTIFICATES, Certificates, Contexts, certificates, certs_d
from pushsafe.registry.http.unreachable import Dropped, unreachable
from pushsafe.runtime.proxy import proxy_for

CONNECT_TIMEOUT = 10.0
"""Seconds for connecting, TLS included."""
KNOCK_TIMEOUT = 5.0
"""Seconds for a connection that is only a test."""
READ_TIMEOUT = 30.0
"""Seconds between two bytes of an answer."""
ANSWER_TIMEOUT = 60.0
"""Seconds for a request, its redirects and the whole answer."""
BODY_LIMIT = 4 * 1024 * 1024
"""Most bytes of an answer: the distribution specification's limit for a manifest."""
ERROR_LIMIT = 64 * 1024
"""Most bytes read of an error answer; the rest is dropped."""
STREAM_TIMEOUT = 120.0
"""Seconds between two bytes of a blob, and for a registry to store one."""

_RUN_IS_OVER = "the time for the whole run is over"
_USER_AGENT = f"docker-pushsafe/{__version__}"
_LISTS = ("www-authenticate", "oci-tag")  # headers that may come in several lines
_MOST_LINES = 16  # of one such header
_PART = 64 * 1024  # bytes per read: some versions of urllib3 unpack a part at once, to a thousand times its size
_MOST_REDIRECTS = 3
SAME_AGAIN = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
"""Redirects that keep method and body (RFC 9110 section 15.4)."""
REDIRECTS = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, *SAME_AGAIN)
_ERRORS = (urllib3.exceptions.HTTPError, OSError, ValueError)
_NO_RETRY = Retry(total=None, connect=0, read=0, redirect=0, status=0, other=0, raise_on_redirect=False)


_grace: ContextVar[float] = ContextVar("grace", default=-math.inf)
"""Until when, by `time.monotonic()`, this thread may send requests even after the run's deadline."""


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """An HTTP answer: status, headers (names in lower case), and body; it may hold a token.

    `elsewhere` if a redirect led to another origin, which got no credential. Of a repeated header it has the first
    value, as in Go's clients, but all challenges.
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
    registry: str
    headers: Mapping[str, str] | None = None
    body: bytes | Iterable[bytes | memoryview] | None = None
    follow: bool = False
    limit: int = BODY_LIMIT
    verify: bool = True
    lead: Lead | None = None
    elsewhere: bool = False

    @property
    def server(self) -> str:
        """The name of the registry that the request is for."""
        return DEFAULT_REGISTRY if self.registry == HUB_SERVER else self.registry


class _Time(NamedTuple):
    """Seconds for a request, when they end by `time.monotonic()`, and whether the run ends then, too."""

    whole: float
    due: float
    is_last: bool


class Stream:
    """An answer read part by part; `parts` and `whole` raise RegistryUnreachable."""

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        request: _Request,
        fail: Callable[[BaseException], RegistryUnreachable],
    ) -> None:
        self._response = response
        self._url = request.url
        self._fail = fail
        self.status = response.status
        self.elsewhere = request.elsewhere
        self.ended = False

    def parts(self) -> Iterator[bytes]:
        """The decompressed body, in parts of at most 64 KiB."""
        while True:
            try:
                part = self._response.read1(_PART, decode_content=True)
            except _ERRORS as error:
                raise self._fail(error) from None
            if not part:
                break
            yield part
        self.ended = True

    def whole(self) -> Response:
        """The whole answer, as `Transport.send` returns it."""
        try:
            content = _read(self._response, self._url, BODY_LIMIT)
        except _ERRORS as error:
            raise self._fail(error) from None
        self.ended = True
        return Response(self.status, _headers(self._response), content, self.elsewhere)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry's base URL (no trailing slash), and its answer to `GET /v2/` without a credential."""

    registry: str
    base: str
    verify: bool
    ping: Response


class Transport:
    """Connections to every registry of one run. Thread-safe.

    `insecure_registries`, the engine's list, is asked only when HTTPS fails. `engine_is_local` is whether the engine's
    loopback and its certificates below `certificate_folders` (default: docker's) are this machine's. `deadline` returns
    the seconds left for the run, None for no limit.
    """

    def __init__(
        self,
        insecure_registries: Callable[[], tuple[str, ...]] = tuple,
        engine_is_local: Callable[[], bool] = lambda: True,
        deadline: Callable[[], float | None] = lambda: None,
        certificate_folders: Sequence[Path] | None = None,
    ) -> None:
        self._insecure_registries = insecure_registries
        self.engine_is_local = engine_is_local
        self.left = deadline
        self._folders = certs_d(os.environ) if certificate_folders is None else certificate_folders
        self._pools: dict[tuple[bool, str, Certificates], Pools] = {}
        self._endpoints: dict[str, Endpoint | RegistryUnreachable] = {}
        self._held: dict[str, Certificates] = {}
        self._answered: set[str] = set()
        self._destinations = Destinations()
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def endpoint(self, registry: str) -> Endpoint:
        """A registry's endpoint, found once a run. Raises RegistryUnreachable."""
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
        lead: Lead | None = None,
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> Response:
        """Send a request, with retries. Raises RegistryUnreachable, whose message never holds a header.

        `registry` (default: the URL's host) is the one that the request is for; its certificates apply. `lead` is the
        server that named the URL, if any; `Destinations` may refuse that URL. An answer larger than `limit` is an
        error; error answers are cut at ERROR_LIMIT.

        With `follow`, a request without a body follows redirects, and loses its credential where they leave the origin.
        One with a `body` is repeated where 307 or 308 stay at the origin; any other redirect is the answer.
        """
        request = _Request(method, url, registry or host_of(url), headers, body, follow, limit, verify, lead)
        proxy = proxy_in_clear(url)
        who = f"{host_of(url)} (or the proxy {proxy})" if proxy else host_of(url)
        retries = Retries(who, retry_policy, self.left)
        while True:
            try:
                response = self._send_once(request)
            except Dropped as dropped:
                if not retries.after_drop(dropped):
                    raise
            else:
                if not retries.after_answer(response.status, response.header("retry-after")):
                    return response

    def _send_once(self, request: _Request) -> Response:
        """One request and its whole answer, within ANSWER_TIMEOUT."""
        time_ = self._time_for(request.url, ANSWER_TIMEOUT)
        timeout = Timeout(connect=min(CONNECT_TIMEOUT, time_.whole), read=READ_TIMEOUT)
        response, request = self._follow(request, time_, timeout)
        try:
            content = _read(response, request.url, request.limit)
        except _ERRORS as error:
            raise self._failure(request.url, error, time_) from None
        response.release_conn()
        return Response(response.status, _headers(response), content, request.elsewhere)

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes | memoryview] | None = None,
        follow: bool = False,
        room: int = 0,
        registry: str = "",
        lead: Lead | None = None,
    ) -> Iterator[Stream]:
        """Send a request once; `body` and answer may take as long as their bytes keep coming.

        `room` is the most bytes of the answer. A request with a body follows no redirect. Raises RegistryUnreachable as
        `send` does.
        """
        request = _Request(method, url, registry or host_of(url), headers, body, follow, verify=verify, lead=lead)
        time_ = self._time_for(url, math.inf)
        # urllib3 uses the connect timeout for each part of the body, too.
        timeout = Timeout(connect=min(READ_TIMEOUT, time_.whole), read=STREAM_TIMEOUT)
        response, request = self._follow(request, time_, timeout, room)
        answer = Stream(response, request, partial(self._failure, request.url, time_=time_))
        try:
            yield answer
        finally:
            if not answer.ended:
                response.close()  # unread bytes must not become the next answer
            response.release_conn()

    def knock(self, url: str, *, registry: str, lead: Lead) -> None:
        """Connect to where a registry leads, without sending; through a proxy nothing is tested.

        Raises RegistryAstray where the lead may not be followed, and RegistryUnreachable where connecting fails.
        """
        request = _Request("HEAD", url, registry, lead=lead)
        time_ = self._time_for(url, KNOCK_TIMEOUT)
        limits.set(Limits(time_.due, met=partial(self._met, request)))
        self._destinations.require(lead, url)
        try:
            if not proxy_for(url, os.environ):
                knock(url, self._pool(request).contexts, time_.whole)
        except _ERRORS as error:
            raise self._failure(url, error, time_) from None

    def has_answered(self, url: str) -> bool:
        """Whether the origin of a URL has answered in this run."""
        return origin_of(url) in self._answered

    def _follow(
        self, request: _Request, time_: _Time, timeout: Timeout, room: int = 0
    ) -> tuple[urllib3.BaseHTTPResponse, _Request]:
        """The answer after redirects, and the request that it answers."""
        for _ in range(_MOST_REDIRECTS):
            response = self._open(request, time_, timeout, room)
            onward = self._onward(request, response)
            if onward is None:
                return response, request
            response.drain_conn()
            response.release_conn()
            request = onward
        return self._open(request, time_, timeout, room), request

    def _open(self, request: _Request, time_: _Time, timeout: Timeout, room: int) -> urllib3.BaseHTTPResponse:
        met = partial(self._met, request)
        limits.set(Limits(time_.due, 2 * max(BODY_LIMIT, request.limit), room, met))
        try:
            if request.lead is not None:
                self._destinations.require(request.lead, request.url)
            response = self._pool(request).urlopen(
                request.method,
                request.url,
                headers={"User-Agent": _USER_AGENT, **(request.headers or {})},
                body=cast(Iterable[bytes], request.body),  # urllib3 passes parts on unchanged
                redirect=False,
                retries=_NO_RETRY,
                timeout=timeout,
                preload_content=False,
            )
        except _ERRORS as error:
            raise self._failure(request.url, error, time_) from None
        self._answered.add(origin_of(request.url))
        return response

    def _met(self, request: _Request, reach: Reach) -> None:
        if request.lead is None:
            self._destinations.met(request.server, reach)
        else:
            self._destinations.require(request.lead, request.url, reach)

    def _onward(self, request: _Request, response: urllib3.BaseHTTPResponse) -> _Request | None:
        """The next request for a redirect that is followed, or `None`. Raises RegistryUnreachable for an unreadable
        location."""
        location = _headers(response).get("location", "")
        if not request.follow or response.status not in REDIRECTS or not location:
            return None
        try:
            url = urljoin(request.url, location)
            leaves = place_of(url) != place_of(request.url)
        except _ERRORS as error:
            raise unreachable(origin_of(request.url), error, known=True) from None
        if request.body is not None:
            again = response.status in SAME_AGAIN and isinstance(request.body, bytes) and not leaves
            return replace(request, url=url) if again else None
        lead = Lead(request.server, request.url, "redirects to") if leaves else request.lead
        kept = {name: value for name, value in (request.headers or {}).items() if not leaves or name != "Authorization"}
        return replace(request, url=url, headers=kept, lead=lead, elsewhere=request.elsewhere or leaves)

    @contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        """Allow this thread's requests so many seconds, even after the run's deadline."""
        before = _grace.set(time.monotonic() + seconds)
        try:
            yield
        finally:
            _grace.reset(before)

    def _time_for(self, url: str, most: float) -> _Time:
        left = self.left()
        if left is not None:
            left = max(left, _grace.get() - time.monotonic())
        if left is not None and left <= 0:
            raise RegistryUnreachable(f"{origin_of(url)}: {_RUN_IS_OVER}")
        whole = min(most, math.inf if left is None else left)
        return _Time(whole, time.monotonic() + whole, whole == left)

    def _failure(self, url: str, error: BaseException, time_: _Time) -> RegistryUnreachable:
        """The exception for an error, without its cause, whose text may hold a header or a URL."""
        if time.monotonic() < time_.due:
            return unreachable(origin_of(url), error, known=origin_of(url) in self._answered)
        reason = _RUN_IS_OVER if time_.is_last else f"no whole answer within {time_.whole:g} seconds"
        return RegistryUnreachable(f"{origin_of(url)}: {reason}")

    def _discover(self, registry: str) -> Endpoint:
        host = server_of(registry)
        loopback = is_loopback(registry)
        if loopback and not self.engine_is_local():
            raise RegistryUnreachable(f"{registry} is on the engine's machine, which is not this one")
        if loopback:
            # docker uses plain HTTP on loopback; trying it first saves a failed TLS handshake.
            return self._first_answering(registry, ((f"http://{host}", False), (f"https://{host}", False)))
        try:
            return self._ask(registry, f"https://{host}", verify=True)
        except RegistryUnreachable as error:
            if not is_insecure(registry, self._insecure_registries()):
                raise self._explained(registry, host, error) from None
        return self._first_answering(registry, ((f"https://{host}", False), (f"http://{host}", False)))

    def _explained(self, registry: str, host: str, error: RegistryUnreachable) -> RegistryUnreachable:
        """The error of HTTPS, or a better one if the registry turns out to speak plain HTTP."""
        clear = f"http://{host}/v2/"
        if not isinstance(error, TlsFailed) or not error.no_tls or proxy_for(clear, os.environ):
            return error
        try:
            self.send("GET", clear)
        except RegistryUnreachable:
            return error
        said = f"{registry} speaks plain HTTP, and is not one of the engine's insecure registries"
        return TlsFailed(said, no_tls=True)

    def _first_answering(self, registry: str, candidates: tuple[tuple[str, bool], ...]) -> Endpoint:
        """The first candidate that answers; 400 comes last, as a TLS server gives it to plain HTTP."""
        failure: RegistryUnreachable | None = None
        refused: Endpoint | None = None
        for base, verify in candidates:
            try:
                endpoint = self._ask(registry, base, verify=verify)
            except (RegistryAstray, ProxyAnswers) as error:
                failure, refused = error, None
                continue
            except RegistryUnreachable as error:
                failure = failure or error
                continue
            if endpoint.ping.status != HTTPStatus.BAD_REQUEST:
                return endpoint
            refused = endpoint
        if refused:
            return refused
        raise failure or RegistryUnreachable(f"{registry} does not answer")

    def _ask(self, registry: str, base: str, *, verify: bool) -> Endpoint:
        said = self.send("GET", f"{base}/v2/", verify=verify, follow=True)
        proxy = proxy_in_clear(base)
        if proxy and not _is_registry(said):
            raise ProxyAnswers(f"{base}: the proxy {proxy} answers {said.status} in its place")
        return Endpoint(registry, base, verify, said)

    def _pool(self, request: _Request) -> Pools:
        proxy = proxy_for(request.url, os.environ)
        name = request.server
        with self._lock:
            held = self._certificates(name) if request.url[:6].lower() == "https:" else NO_CERTIFICATES
            key = (request.verify, proxy, held)
            if key not in self._pools:
                owner = urllib3.util.parse_url(f"https://{server_of(name)}")
                contexts = Contexts(
                    verify=request.verify, certificates=held, owner=(owner.host or "", owner.port or 443)
                )
                self._pools[key] = new_pool(request.verify, proxy, contexts)
            return self._pools[key]

    def _certificates(self, registry: str) -> Certificates:
        """The certificates of an engine on this machine for a registry; looked up once."""
        if registry not in self._held:
            known = any(os.path.isdir(folder / registry) for folder in self._folders)  # noqa: PTH112  Path's raises
            here = known and self.engine_is_local()
            self._held[registry] = certificates(registry, self._folders) if here else NO_CERTIFICATES
        return self._held[registry]


def _read(response: urllib3.BaseHTTPResponse, url: str, limit: int) -> bytes:
    """The decompressed body, up to `limit`. A connection with unread bytes is closed."""
    refused = response.status >= HTTPStatus.BAD_REQUEST
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


def proxy_in_clear(url: str) -> str:
    """The origin of the proxy that can answer a plain HTTP URL in place of its server; empty for none, or no URL."""
    try:
        proxy = proxy_for(url, os.environ) if url[:5].lower() == "http:" else ""
    except ValueError:
        return ""
    return origin_of(proxy) if proxy else ""


def place_of(url: str) -> tuple[str | None, str | None, int | None]:
    """Scheme, host and port, as urllib3 compares them before it forwards a credential."""
    parts = urllib3.util.parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")


def _is_registry(said: Response) -> bool:
    """Whether this is a registry's answer to `GET /v2/` (distribution specification, "Determining support")."""
    page = "html" in said.header("content-type").lower()
    return bool(said.header("docker-distribution-api-version")) or (said.status in (200, 401) and not page)


def _headers(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """The headers by lower-case name; a list may come in several lines (RFC 9110 section 5.3)."""
    lines = response.headers
    found = {name.lower(): lines.getlist(name)[0] for name in lines}
    return found | {name: ", ".join(lines.getlist(name)[:_MOST_LINES]) for name in _LISTS if name in found}
