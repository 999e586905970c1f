"""Which proxy leads to a URL, by the rules of Go's programs, docker's among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The URL of the proxy that HTTP(S)_PROXY and NO_PROXY name for a URL, empty for none; ValueError if it is no URL.

    As Go's ProxyFromEnvironment (golang.org/x/net `http/httpproxy`): upper case wins, there is no ALL_PROXY, a proxy
    without a scheme speaks HTTP, and loopback never has one.
    """
    parts = urlsplit(url)
    proxy = _either(environ, f"{parts.scheme}_proxy")
    if not proxy or _goes_straight(
        parts.hostname or "", parts.port or _PORTS.get(parts.scheme), _either(environ, "no_proxy")
    ):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""


def _goes_straight(host: str, port: int | None, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, port, address) for entry in exceptions.split(","))


def _matches(entry: str, host: str, port: int | None, address: IPv4Address | IPv6Address | None) -> bool:
    """Whether an entry of NO_PROXY (`*`, network, or address or domain with or without a port) means a host."""
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    split = _WITH_PORT.fullmatch(entry)
    name, wanted = (split[1] or split[2], split[3]) if split else (entry, "")
    if not name or wanted not in ("", str(port)):
        return False
    named = _address(name)
    if named is not None:
        return named == address
    if name.startswith("*."):
        name = name[1:]
    # `.example.com` means what is below it, `example.com` itself as well.
    return f".{host}".endswith(f".{name}") if name[0] != "." else host.endswith(name)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
