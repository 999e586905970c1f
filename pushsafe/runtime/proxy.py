"""Finds the proxy for a URL, by the rules of Go, as docker does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL by HTTP(S)_PROXY and NO_PROXY, empty for none. Raises ValueError for an invalid URL.

    As Go's ProxyFromEnvironment (golang.org/x/net `http/httpproxy`): upper case wins, there is no ALL_PROXY, a proxy
    without a scheme speaks HTTP, and loopback never has one.
    """
    parts = urlsplit(url)
    proxy = _either(environ, f"{parts.scheme}_proxy")
    port = parts.port or _PORTS.get(parts.scheme)
    if not proxy or _is_exempt(parts.hostname or "", port, _either(environ, "no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""


def _is_exempt(host: str, port: int | None, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, port, address) for entry in exceptions.split(","))


def _matches(entry: str, host: str, port: int | None, address: IPv4Address | IPv6Address | None) -> bool:
    """Whether an entry of NO_PROXY (`*`, a network, or an address or domain, maybe with port) matches a host."""
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
    # `.example.com` matches subdomains only, `example.com` itself as well.
    return f".{host}".endswith(f".{name}") if name[0] != "." else host.endswith(name)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
