"""HTTP to registries: which address to speak to, time limits, capped answers, and errors in one sentence."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.util import Retry, Timeout  # after the whole: see auth.py

from pushsafe import __version__
from pushsafe.errors import RegistryUnreachable
from pushsafe.registry.known import hostname
from pushsafe.sanitize import clean

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, TLS included."""
READ_TIMEOUT = 30.0
"""Seconds between two bytes of an answer."""
ANSWER_TIMEOUT = 60.0
"""Seconds for the whole body of an answer."""
BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer that are read: the distribution specification's limit for a manifest."""

_HUB_HOST = "registry-1.docker.io"
_USER_AGENT = f"docker-pushsafe/{__version__}"
_BAD_REQUEST = 400
_PLAIN_URL = re.compile(r"(\w+)://(?:[^/?#@]*@)?((?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?)(?=[/?#]|$)", re.ASCII)
# Only GET and HEAD follow a redirect, and urllib3 takes the credential off when the host changes.
_REDIRECTS = Retry(total=None, connect=0, read=0, redirect=3, status=0, other=0, raise_on_redirect=False)
_NO_REDIRECT = Retry(total=None, connect=0, read=0, redirect=0, status=0, other=0, raise_on_redirect=False)


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """One HTTP answer: status, header names in lower case, and at most BODY_LIMIT bytes; it may hold a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


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
    it. `engine_is_local` tells whether the engine's loopback is this machine's.
    """

    def __init__(
        self,
        insecure_registries: Callable[[], tuple[str, ...]] = tuple,
        engine_is_local: Callable[[], bool] = lambda: True,
    ) -> None:
        self._insecure_registries = insecure_registries
        self._engine_is_local = engine_is_local
        self._pools: dict[tuple[bool, str], urllib3.PoolManager] = {}
        self._endpoints: dict[str, Endpoint | RegistryUnreachable] = {}
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
    ) -> Response:
        """Send one request. Raises RegistryUnreachable, whose message never holds a header."""
        try:
            response = self._pool(url, verify).request(
                method,
                url,
                headers={"User-Agent": _USER_AGENT, **(headers or {})},
                body=body,
                redirect=follow,
                retries=_REDIRECTS if follow else _NO_REDIRECT,
                timeout=Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
                preload_content=False,
            )
            try:
                content = _read(response, url, limit)
            except BaseException:
                response.close()  # what was not read must not be taken for the next answer
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Without its cause, whose words may hold a header or a URL.
            raise RegistryUnreachable(f"{_origin(url)}: {_reason(error)}") from None
        headers = {key.lower(): value for key, value in response.headers.itermerged()}
        return Response(response.status, headers, content)

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

    def _pool(self, url: str, verify: bool) -> urllib3.PoolManager:
        proxy = _proxy_for(url)
        with self._lock:
            pool = self._pools.get((verify, proxy))
            if pool is None:
                pool = self._pools[verify, proxy] = _new_pool(verify, proxy)
            return pool


def _read(response: urllib3.BaseHTTPResponse, url: str, limit: int) -> bytes:
    """The body, within its limits of size and time."""
    content = bytearray()
    end = time.monotonic() + ANSWER_TIMEOUT
    while part := response.read1(limit + 1 - len(content), decode_content=True):
        content += part
        if len(content) > limit:
            raise RegistryUnreachable(f"{_origin(url)}: an answer of more than {limit} bytes")
        if time.monotonic() > end:
            raise RegistryUnreachable(f"{_origin(url)}: no whole answer within {ANSWER_TIMEOUT:g} seconds")
    return bytes(content)


class _Pools(urllib3.PoolManager):
    """Connections with an SSL context of ours, made when HTTPS is first spoken: it reads every authority there is."""

    _tls: ssl.SSLContext | None = None

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> urllib3.HTTPConnectionPool:
        options = dict(request_context or self.connection_pool_kw)
        if scheme == "https":
            self._tls = self._tls or _tls_context(verify=options["cert_reqs"] == "CERT_REQUIRED")
            options["ssl_context"] = self._tls
        return super()._new_pool(scheme, host, port, options)


class _ProxyPools(_Pools, urllib3.ProxyManager):
    """The same through a proxy."""


def _new_pool(verify: bool, proxy: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": 16, "cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE"}
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if not proxy:
        return _Pools(**options)
    address = urllib3.util.parse_url(proxy)
    headers = urllib3.util.make_headers(proxy_basic_auth=unquote(address.auth)) if address.auth else None
    tls = _tls_context(verify) if address.scheme == "https" else None
    return _ProxyPools(proxy_url=proxy, proxy_headers=headers, proxy_ssl_context=tls, **options)


def _tls_context(verify: bool) -> ssl.SSLContext:
    """What docker takes: Python's own context without the strictness that Go does not know."""
    context = ssl.create_default_context()
    # Set by default since Python 3.13. It refuses private authorities that docker pushes to, e.g. those whose
    # certificates lack an authority key identifier, and a registry must not be out of reach from here only.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_for(url: str) -> str:
    """The proxy that HTTP(S)_PROXY and NO_PROXY name for a URL; loopback never has one."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if is_loopback(parts.netloc) or proxy_bypass(parts.netloc):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    # As Go's ProxyFromEnvironment: a proxy without a scheme speaks HTTP.
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


# ---------------------------------------------------------------------- addresses


def is_loopback(registry: str) -> bool:
    """Whether docker would take plain HTTP there without being told (`localhost`, 127.0.0.0/8, ::1)."""
    host = hostname(registry).strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_insecure(registry: str, insecure_registries: tuple[str, ...]) -> bool:
    """Whether the engine's list of insecure registries (hosts and networks) holds this one.

    As moby's `registry/config.go` does: by exact name with its port, else by the addresses the host name stands for.
    """
    if is_loopback(registry) or registry in insecure_registries:
        return True
    networks = [network for entry in insecure_registries if (network := _network(entry)) and not network.is_loopback]
    if not networks:
        return False
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(hostname(registry).strip("[]"), None)}
    except OSError:
        return False
    return any(
        ipaddress.ip_address(address.partition("%")[0]) in network for address in addresses for network in networks
    )


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry) if "/" in entry else None
    except ValueError:
        return None


# ---------------------------------------------------------------------- errors


def _origin(url: str) -> str:
    """Scheme and host of a URL: what comes before and after may be what nobody should read."""
    plain = _PLAIN_URL.match(url)
    return f"{plain[1]}://{plain[2]}" if plain else "an address that cannot be read"


def _reason(error: BaseException) -> str:
    """What went wrong, in one sentence of the innermost error's words."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = getattr(seen, "reason", None) if isinstance(getattr(seen, "reason", None), BaseException) else None
        seen = seen or chain[-1].__cause__ or chain[-1].__context__
    for link in reversed(chain):
        if isinstance(link, OSError) and link.strerror and not isinstance(link, TimeoutError | socket.gaierror):
            return link.strerror.lower()
    if any(isinstance(link, socket.gaierror) for link in chain):
        return "the host name cannot be resolved"
    if any(isinstance(link, TimeoutError | urllib3.exceptions.TimeoutError) for link in chain):
        return "no answer in time"
    # The words of these quote what could not be read: a URL, a header.
    if any(isinstance(link, urllib3.exceptions.LocationValueError) for link in chain):
        return "the address cannot be read"
    if isinstance(chain[-1], ValueError) and not isinstance(chain[-1], OSError):
        return "the request cannot be written as HTTP"
    return clean(str(chain[-1]), limit=200) or type(chain[-1]).__name__
