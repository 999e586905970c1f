"""Connections whose answers end in time and in size, however a server drips or floods them."""

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
import urllib3.connection  # parts after the whole: see auth.py

from pushsafe.registry.http.destinations import Reach, reach_of_peer
from pushsafe.registry.http.tls import Contexts, context

CONNECTIONS = 32
"""Connections to one host that are kept for the next request."""

HEADER_ROOM = 256 * 1024
"""Bytes of an answer before its body. nginx and Apache let a server say far less; Go's clients take 10 MB."""

http.client._MAXHEADERS = 1000  # type: ignore[attr-defined]  # lines; proxies add to the 100 that are read by default

_HOSTS = 256  # more than a run speaks to: the connections of a host that is dropped are closed under those who use them


def _anywhere(_reach: Reach) -> None:
    """Nobody minds."""


class Limits(NamedTuple):
    """What the answers to this thread's request may take: `due` by `time.monotonic()`, `room` in bytes, and `more` for
    the one that was asked for. `met` is told where a connection leads before anything is sent, and may raise."""

    due: float = math.inf
    room: int = 0
    more: int = 0
    met: Callable[[Reach], None] = _anywhere


limits: ContextVar[Limits] = ContextVar("limits", default=Limits())  # noqa: B039 - a tuple


class _Timely(io.RawIOBase):
    """The bytes of an answer: each read has what is left of the time for the whole, so that drops end as silence does.

    A socket's own time limit begins anew with every byte, in the headers as well. Nor does it end with too many bytes
    where urllib3 reads on by itself: through the body of a redirect.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes = connection.makefile("rb", buffering=0)
        self._retry_policy = connection.gettimeout() or math.inf
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
        self._connection.settimeout(min(self._retry_policy, left))
        size = self._bytes.readinto(buffer)
        self.room -= size or 0
        return size

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer read by _Timely."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._timely = _Timely(sock)
        self.fp = io.BufferedReader(self._timely)

    def begin(self) -> None:
        """Headers have little room, as they are read more than once."""
        timely, kept = self._timely, max(0, self._timely.room - HEADER_ROOM)
        timely.room, timely.part = timely.room - kept, "headers"
        super().begin()
        timely.room, timely.part = timely.room + kept, "an answer"
        if self.status == http.client.OK:  # no redirect, whose body urllib3 holds in memory
            self._timely.room += limits.get().more


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        try:
            self._look(made)
        except BaseException:
            made.close()
            raise
        return made

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # one that was kept may have been made for somebody who may go further
            self._look(self.sock)
        super().putrequest(*args, **options)

    def _look(self, made: socket.socket) -> None:
        """A proxy looks names up itself, and is where the user put it."""
        if self.proxy is None:
            limits.get().met(reach_of_peer(made))


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    def send(self, data: Any) -> None:
        """What a server said before it closed is read all the same, as urllib3 does where this goes in clear."""
        try:
            super().send(data)
        except ssl.SSLEOFError:
            raise BrokenPipeError(errno.EPIPE, "broken pipe") from None


class Pools(urllib3.PoolManager):
    """Connections with SSL contexts and answers of ours."""

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
    """The same through a proxy."""


def new_pool(verify: bool, proxy: str, contexts: Contexts) -> Pools:
    """Connections to every host that is reached in one way: through `proxy` (a URL, empty for none), or directly."""
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
    """Make a connection to a URL's host, TLS included, and send nothing. Raises OSError and urllib3's errors."""
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
