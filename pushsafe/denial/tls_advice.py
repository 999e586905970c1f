"""TLS errors explained by their text, with a fix: adding an authority's certificate seldom helps; pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from pushsafe.oci.reference import server_of


class TlsAdvice(NamedTuple):
    """A sentence on the cause, and the fix."""

    said: str
    next: str


class _Row(NamedTuple):
    pattern: str
    said: str
    next: str


# The words of Go (net/http, crypto/x509, crypto/tls), of OpenSSL and of registry/http/unreachable.py; the first match
# counts.
_ROWS = (
    _Row(
        r"gave http response to https client|first record does not look like a tls handshake|does not speak tls"
        r"|wrong.version.number",
        "The registry speaks plain HTTP, and was asked over HTTPS: no certificate is at fault; no login was checked.",
        'add "{host}" to insecure-registries in the engine\'s daemon.json and restart it, or give the registry TLS',
    ),
    _Row(
        r"http request to an https server|http request was sent to https port|does not speak http, but tls",
        "The registry speaks TLS, and was asked over plain HTTP: no login was checked.",
        'take "{host}" out of insecure-registries in the engine\'s daemon.json and restart it',
    ),
    _Row(
        r"has expired|not yet valid|not valid yet",
        "The registry's certificate has expired or is not valid yet, or this machine's clock is wrong. Trusting "
        "another authority does not fix that.",
        "date; openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -dates   (then renew "
        "the certificate at the registry)",
    ),
    _Row(
        r"legacy common name|doesn't contain any ip sans|not valid for any names",
        "The registry's certificate names its host as Common Name only, which Go no longer accepts.",
        "reissue the registry's certificate with {name} among its subject alternative names",
    ),
    _Row(
        r"certificate is (?:not )?valid for|is for another host name|is not for this ip address|hostname mismatch"
        r"|ip address mismatch",
        "The registry's certificate is for another host.",
        "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName   "
        "(push to a name that is in it)",
    ),
    _Row(
        r"remote error: tls: (?:bad certificate|certificate required|unknown certificate|unknown certificate authority)"
        r"|alert (?:bad certificate|certificate required|unknown ca)",
        "The registry wants a client certificate, and got none or one that it does not accept.",
        "sudo ls /etc/docker/certs.d/{host}/   (client.cert and client.key belong there)",
    ),
    _Row(
        r"unknown authority|self.signed|does not trust|no authority that this machine trusts|local issuer certificate",
        "The registry's certificate comes from an authority that is not trusted. No login fixes that.",
        "sudo ls /etc/docker/certs.d/{host}/   (the CA that signed the certificate belongs there, as ca.crt)",
    ),
)
_OTHER = TlsAdvice("The TLS connection failed. No login fixes that.", "openssl s_client -connect {address} </dev/null")


def tls_advice(text: str, registry: str) -> TlsAdvice:
    """The meaning of a TLS error of `registry`, `HOST[:PORT]`; empty if unknown."""
    host = registry or "REGISTRY"
    row = next((row for row in _ROWS if re.search(row.pattern, text, re.IGNORECASE)), None)
    said, command = (row.said, row.next) if row else _OTHER
    name = re.sub(r":\d+$", "", host)
    server = server_of(host)
    address = server if re.search(r":\d+$", server) else f"{server}:443"
    return TlsAdvice(said, command.format(host=host, address=address, name=name))


def speaks_plain_http(text: str) -> bool:
    """Whether a text reports a server that was asked over HTTPS and does not speak it."""
    return bool(re.search(_ROWS[0].pattern, text, re.IGNORECASE))
