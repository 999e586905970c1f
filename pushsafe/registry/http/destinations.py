"""Where a server may lead us: never from TLS to plain HTTP, and to no address nearer to us than its own.

Servers name the token server, the target of a redirect and the URL of an upload. What go-containerregistry refuses
since 0.21.6 (`pkg/v1/remote/transport/bearer.go`, `pkg/v1/remote/write.go`, `pkg/v1/remote/fetcher.go`) is refused here
for the addresses behind host names, too.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from enum import Enum
from typing import NamedTuple

import urllib3  # before any part of it: see auth.py

from pushsafe.model.errors import RegistryAstray
from pushsafe.registry.hosts import origin_of

_METADATA = (
    "fd00:ec2::254",  # Amazon EC2
    "100.100.100.200",  # Alibaba Cloud
    "168.63.129.16",  # Azure's wire server
    "192.0.0.192",  # Oracle Cloud, Classic
)
"""Cloud metadata services, which give out secrets; all others are link-local (169.254.169.254, fe80::/10)."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Reach(Enum):
    """Who can reach an address; the value is its name in messages."""

    ANYBODY = "a public address"
    NETWORK = "an address of a private network"
    MACHINE = "this machine"
    LINK = "a link-local address or a cloud's metadata service"


class Lead(NamedTuple):
    """How a server named the URL of a request: `server` is the registry that it is for, host and port as written, `by`
    the URL of the answer, and `how` its verb (`redirects to`)."""

    server: str
    by: str
    how: str


_LEADS = {
    Reach.ANYBODY: {Reach.ANYBODY},
    Reach.NETWORK: {Reach.ANYBODY, Reach.NETWORK},
    Reach.MACHINE: {Reach.ANYBODY, Reach.NETWORK, Reach.MACHINE},  # it is on its networks itself
    Reach.LINK: {Reach.ANYBODY, Reach.NETWORK, Reach.LINK},
}
"""Where a server may lead, by its own reach."""


def reach_of(address: str) -> Reach:
    """Who can reach an IP address. Raises ValueError for any other text."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = _embedded(found)
    if found.is_link_local or str(found) in _METADATA:
        return Reach.LINK
    if found.is_loopback or found.is_unspecified:
        return Reach.MACHINE
    return Reach.ANYBODY if found.is_global and not found.is_multicast else Reach.NETWORK


def reach_of_peer(connection: socket.socket) -> Reach:
    """Who can reach a connection's peer; equal addresses at both ends are this machine.

    Raises ConnectionResetError where the peer has closed it already.
    """
    try:
        peer, ours = connection.getpeername()[0], connection.getsockname()[0]
    except OSError:  # ENOTCONN, on macOS EINVAL
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None
    found = reach_of(peer)
    return Reach.MACHINE if peer == ours and found is not Reach.LINK else found


class Destinations:
    """The reach of the servers of one run, and where they may lead. Thread-safe."""

    def __init__(self) -> None:
        self._where: dict[str, Reach] = {}

    def met(self, server: str, reach: Reach) -> None:
        """Note the reach of a registry that the user has named."""
        self._where.setdefault(server, reach)

    def require(self, lead: Lead, url: str, reach: Reach | None = None) -> None:
        """Raise RegistryAstray where a lead to a URL may not be followed. `reach` is the connection's; without one
        the URL's own address counts."""
        if lead.by[:6].lower() == "https:" and url[:5].lower() == "http:":
            raise astray(lead, url, "it is plain HTTP, which anyone on the way can read and change")
        reach = reach or written(url)
        if reach is not None and reach not in _LEADS[self._server(lead.server)]:
            raise astray(lead, url, f"it is {reach.value}, where {lead.server} itself is not")

    def _server(self, server: str) -> Reach:
        """A server's reach; without a connection (behind a proxy) all addresses of its name must agree."""
        if server not in self._where:
            url = f"https://{server}"
            self._where[server] = written(url) or _looked_up(url)
        return self._where[server]


def written(url: str) -> Reach | None:
    """Who can reach a URL's host if that is an address in any notation, or `localhost`; `None` for names.

    Raises urllib3's LocationParseError for an invalid URL.
    """
    host = _host(url)
    if host == "localhost" or host.endswith(".localhost"):
        return Reach.MACHINE
    try:
        return reach_of(host)
    except ValueError:
        pass
    try:
        return reach_of(socket.inet_ntoa(socket.inet_aton(host)))  # `0x7f.1`, `2130706433`: what the system connects to
    except (OSError, ValueError):
        return None


def _looked_up(url: str) -> Reach:
    try:
        found = {reach_of(str(info[4][0])) for info in socket.getaddrinfo(_host(url), None)}
    except (OSError, ValueError):
        return Reach.ANYBODY
    return found.pop() if len(found) == 1 else Reach.ANYBODY


def _host(url: str) -> str:
    return (urllib3.util.parse_url(url).host or "").strip("[]").rstrip(".").lower()


def astray(lead: Lead, url: str, why: str) -> RegistryAstray:
    """The error for a lead that is not followed, or leads nowhere."""
    target = origin_of(url)
    reason = why.removeprefix(f"{target}: ")
    return RegistryAstray(f"{origin_of(lead.by)} {lead.how} {target}, which is not its own address: {reason}")


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address in an IPv6 address, if it holds one."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
