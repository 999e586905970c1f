"""Connections whose answers are limited in time and size, however a server drips or floods them."""

from __future__ import annotations

import errno
import http.client
import io
import math
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import unquote

import urllib3
import urllib3.connection  # after the package: see auth.py

from pushsafe.registry.http.destinations import Reach, reach_of_peer
from pushsafe.registry.http.tls import Contexts, context

CONNECTIONS = 32
"""Connections to one host that are kept open."""

HEADER_ROOM = 256 * 1024
"""Most bytes of an answer before its body. nginx and Apache allow a server far less, Go's clients 10 MB."""

http.client._MAXHEADERS = 1000  # type: ignore[attr-defined]  # lines; proxies add some, and the default is 100

_HOSTS = 256  # more than any run has: a host's connections that are dropped are closed while in use


class Limits(NamedTuple):
    """Limits of this thread's request: `due` by `time.monotonic()`, `room` bytes for each answer, and `more` for the
    last one. `met` gets the reach of a connection before anything is sent, and may raise."""

    due: float = math.inf
    room: int = 0
    more: int = 0
    met: Callable[[Reach], None] = lambda _reach: None


limits: ContextVar[Limits] = ContextVar("limits", default=Limits())  # noqa: B039 - a tuple


class _LimitedReader(io.RawIOBase):
    """The bytes of an answer, limited in time and number.

    A socket's own timeout restarts with every byte, in headers too, and urllib3 reads the body of a redirect without
    any limit.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes = connection.makefile("rb", buffering=0)
        self._timeout = connection.gettimeout() or math.inf
        self.room = limits.get().room
        self.part = "an answer"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = limits.get().due - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.room <= 0:
            raise OSError(errno.EMSGSIZE, f"{self.part} without end")
        self._connection.settimeout(min(self._timeout, left))
        size = self._bytes.readinto(buffer)
        self.room -= size or 0
        return size

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer read through `_LimitedReader`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._reader = _LimitedReader(sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        """Read the headers, with a limit of their own, as they are parsed more than once."""
        reader, kept = self._reader, max(0, self._reader.room - HEADER_ROOM)
        reader.room, reader.part = reader.room - kept, "headers"
        super().begin()
        reader.room, reader.part = reader.room + kept, "an answer"
        if self.status == http.client.OK:  # urllib3 holds the body of a redirect in memory
            reader.room += limits.get().more


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        try:
            self._check_peer(made)
        except BaseException:
            made.close()
            raise
        return made

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # a kept connection may have been made for a request that may go further
            self._check_peer(self.sock)
        super().putrequest(*args, **options)

    def _check_peer(self, made: socket.socket) -> None:
        if self.proxy is None:  # the user chose the proxy, which resolves names itself
            limits.get().met(reach_of_peer(made))


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    def send(self, data: Any) -> None:
        """Let urllib3 read what a server sent before it closed, as it does over plain HTTP."""
        try:
            super().send(data)
        except ssl.SSLEOFError:
            raise BrokenPipeError(errno.EPIPE, "broken pipe") from None


class Pools(urllib3.PoolManager):
    """Connection pools with our SSL contexts and limited answers."""

    contexts: Contexts

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> urllib3.HTTPConnectionPool:
        options = dict(request_context or self.connection_pool_kw)
        if scheme == "https":
            options["ssl_context"] = self.contexts.of(host, port)
        pool = super()._new_pool(scheme, host, port, options)
        pool.ConnectionCls = _SecureConnection if scheme == "https" else _Connection
        return pool


class _ProxyPools(Pools, urllib3.ProxyManager):
    """`Pools` through a proxy."""


def new_pool(verify: bool, proxy: str, contexts: Contexts) -> Pools:
    """Pools for every host that is reached through `proxy` (a URL), or directly if that is empty."""
    options: dict[str, Any] = {
        "num_pools": _HOSTS,
        "maxsize": CONNECTIONS,
        "cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE",
    }
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if proxy:
        address = urllib3.util.parse_url(proxy)
        headers = urllib3.util.make_headers(proxy_basic_auth=unquote(address.auth)) if address.auth else None
        tls = context(verify=verify) if address.scheme == "https" else None
        pools: Pools = _ProxyPools(proxy_url=proxy, proxy_headers=headers, proxy_ssl_context=tls, **options)
    else:
        pools = Pools(**options)
    pools.contexts = contexts
    return pools


def knock(url: str, contexts: Contexts, seconds: float) -> None:
    """Connect to a URL's host, TLS included, without sending. Raises OSError and urllib3's errors."""
    place = urllib3.util.parse_url(url)
    host, secure = (place.host or "").strip("[]"), place.scheme == "https"
    port = place.port or (443 if secure else 80)
    connection: _Connection = _Connection(host, port, timeout=seconds)
    if secure:
        shown = contexts.of(host, port)
        connection = _SecureConnection(host, port, timeout=seconds, cert_reqs="CERT_REQUIRED", ssl_context=shown)
    try:
        connection.connect()
    finally:
        connection.close()
