"""What an address says of the way there: loopback, and what the engine's list of insecure registries holds."""

from __future__ import annotations

import ipaddress
import socket

from pushsafe.registry.known import hostname


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
    if registry == "docker.io":
        return False  # it is in the engine's index of secure registries, which comes first
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
