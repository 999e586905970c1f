"""Where a server may lead us: never from TLS into the clear, and to no address that is nearer to us than its own.

A token server, a redirect and the place of an upload are named by whoever answers. What go-containerregistry refuses
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

import urllib3  # never a part of it first: see auth.py

from pushsafe.model.errors import RegistryAstray
from pushsafe.registry.hosts import origin_of

_METADATA = tuple(
    map(
        ipaddress.ip_address,
        (
            "fd00:ec2::254",  # Amazon EC2
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure's wire server
            "192.0.0.192",  # Oracle Cloud, Classic
        ),
    )
)
"""Services that tell a cloud's machine its secrets; all others are link-local (169.254.169.254, fe80::/10)."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(Enum):
    """Who can speak to an address; the value is what it is called."""

    ANYBODY = "a public address"
    NETWORK = "an address of a private network"
    MACHINE = "this machine"
    LINK = "a link-local address or a cloud's metadata service"


class Lead(NamedTuple):
    """Somebody else's word for where a request goes: `server` is the registry on whose behalf, host and port as they
    are written; `by` is the URL that the word came from, and `how` what it did (`redirects to`)."""

    server: str
    by: str
    how: str


_LEADS = {
    Reach.ANYBODY: {Reach.ANYBODY},
    Reach.NETWORK: {Reach.ANYBODY, Reach.NETWORK},
    Reach.MACHINE: {Reach.ANYBODY, Reach.NETWORK, Reach.MACHINE},  # which is on its networks itself
    Reach.LINK: {Reach.ANYBODY, Reach.NETWORK, Reach.LINK},
}
"""Where a server may lead by where it is itself."""


def reach_of(address: str) -> Reach:
    """Who can speak to an IP address. Raises ValueError for what is none."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = _embedded(found)
    if found.is_link_local or found in _METADATA:
        return Reach.LINK
    if found.is_loopback or found.is_unspecified:
        return Reach.MACHINE
    return Reach.ANYBODY if found.is_global and not found.is_multicast else Reach.NETWORK


def reach_of_peer(connection: socket.socket) -> Reach:
    """Who can speak to the other end of a connection; one whose ends have the same address stays on this machine.

    Raises ConnectionResetError where the other end has closed it already.
    """
    try:
        peer, ours = connection.getpeername()[0], connection.getsockname()[0]
    except OSError:  # ENOTCONN, on macOS EINVAL
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None
    found = reach_of(peer)
    return Reach.MACHINE if peer == ours and found is not Reach.LINK else found


class Destinations:
    """Where the servers of one run are, as far as that is known, and where they may lead; for any number of threads."""

    def __init__(self) -> None:
        self._where: dict[str, Reach] = {}

    def met(self, server: str, reach: Reach) -> None:
        """A registry that the user has named is there."""
        self._where.setdefault(server, reach)

    def require(self, lead: Lead, url: str, reach: Reach | None = None) -> None:
        """Raise RegistryAstray where a lead to a URL may not be followed. `reach` is where a connection got to; without
        one it is told by what the URL says itself."""
        if lead.by[:6].lower() == "https:" and url[:5].lower() == "http:":
            raise astray(lead, url, "it is plain HTTP, which everybody on the way can read and change")
        reach = reach or written(url)
        if reach is not None and reach not in _LEADS[self._server(lead.server)]:
            raise astray(lead, url, f"it is {reach.value}, where {lead.server} itself is not")

    def _server(self, server: str) -> Reach:
        """One that was never connected to is behind a proxy; all that its name stands for has to agree."""
        if server not in self._where:
            url = f"https://{server}"
            self._where[server] = written(url) or _looked_up(url)
        return self._where[server]


def written(url: str) -> Reach | None:
    """Who can speak to a URL's host where that is an address, however it is written, or `localhost`; `None` for names.

    Raises urllib3's LocationParseError for what is no URL.
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
    """What to raise where a lead is not followed, or leads nowhere."""
    target = origin_of(url)
    reason = why.removeprefix(f"{target}: ")
    return RegistryAstray(f"{origin_of(lead.by)} {lead.how} {target}, which is not its own address: {reason}")


def _embedded(address: ipaddress.IPv6Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
