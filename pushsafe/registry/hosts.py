"""Registry addresses: host, origin, loopback, and the engine's list of insecure registries."""

from __future__ import annotations

import ipaddress
import re
import socket

from pushsafe.oci.reference import DEFAULT_REGISTRY, hostname

_PLAIN_URL = re.compile(r"(\w+)://(?:[^/?#@]*@)?((?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?)(?=[/?#]|$)", re.ASCII)


def is_loopback(registry: str) -> bool:
    """Whether docker uses plain HTTP there by default (`localhost`, 127.0.0.0/8, ::1)."""
    host = hostname(registry).strip("[]")
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # From Python 3.13 on, ::ffff:127.0.0.1 is a loopback address too.
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def is_insecure(registry: str, insecure_registries: tuple[str, ...]) -> bool:
    """Whether the engine's list of insecure registries (hosts and networks) holds this one.

    As in moby's `registry/config.go`: by exact name with port, else by the addresses of the host.
    """
    if registry == DEFAULT_REGISTRY:
        return False  # the engine's index of secure registries comes first
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


def origin_of(url: str) -> str:
    """Scheme and host of a URL, without its parts that may be secret."""
    plain = _PLAIN_URL.match(url)
    return f"{plain[1]}://{plain[2]}" if plain else "an address that cannot be read"


def host_of(url: str) -> str:
    """Host and port of a URL as written; empty if it cannot be read."""
    plain = _PLAIN_URL.match(url)
    return plain[2] if plain else ""


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry) if "/" in entry else None
    except ValueError:
        return None
