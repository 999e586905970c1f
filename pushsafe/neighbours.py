"""Why a person may take the login of one registry for another's."""

from __future__ import annotations

from pushsafe.model import Credential
from pushsafe.registry.known import KNOWN, hostname, known

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = {"docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com"}
_READ_FROM_THE_HUB_KEY = {"docker.io", "index.docker.io"}
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_LONG = 8
"""Characters of a host beyond which one letter more or less is rather a slip than another host."""


def near_miss(credential: Credential) -> str:
    """One sentence, without a full stop, on the nearest login that docker does not use; empty where there is none."""
    registry = credential.registry
    if credential.callers_config:
        return (
            f"{credential.callers_config} has a login for {registry}, and docker does not read it: "
            "sudo changed the home folder"
        )
    for key in credential.elsewhere:
        if why := neighbour(registry, key):
            return f"there is a credential for {key}, and docker does not use it for {registry}: {why}"
    return ""


def neighbour(registry: str, key: str) -> str:
    """Why a person may take the login under `key` of config.json for `registry`'s; empty where nobody would."""
    other = _server(key)
    mine, theirs = hostname(registry).lower(), hostname(other).lower()
    if key == (_HUB_KEY if registry in _READ_FROM_THE_HUB_KEY else registry):
        return ""
    if {mine, theirs} <= _HUB_NAMES:
        return f"docker keeps Docker Hub's login under {_HUB_KEY}"
    if registry == other:
        return ""
    if registry.lower() == other.lower():
        return "docker compares names letter by letter, capitals too"
    if mine == theirs and {registry.lower(), other.lower()} == {mine, f"{mine}:443"}:
        return "docker compares names, with and without :443"
    if mine == theirs:
        return "another port is another registry"
    if {mine, theirs} <= _LOOPBACK:
        return "docker compares names, not addresses"
    row = known(registry)
    if row in KNOWN and row is known(other):
        return f"each {row.name} host (region, account) has a login of its own"
    if mine.endswith(f".{theirs}") or theirs.endswith(f".{mine}"):
        return "another host is another registry"
    if min(len(mine), len(theirs)) > _LONG and _is_slip(mine, theirs):
        return "one letter is another"
    return ""


def _server(key: str) -> str:
    """The host and port of a key of config.json, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _is_slip(one: str, other: str) -> bool:
    """Whether one letter is wrong, missing or too much, or two are swapped; digits count servers, and are meant."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    if any(letter.isdigit() for letter in one + other):
        return False
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])
