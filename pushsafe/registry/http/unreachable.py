"""Why a request failed, in one sentence without headers or URLs, and whether the connection was merely dropped."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import urllib3  # before any part of it: see auth.py

from pushsafe.model.errors import RegistryUnreachable, TlsFailed
from pushsafe.runtime.redact import clean

_DROPPED = (
    ConnectionResetError,  # and http.client.RemoteDisconnected: closed without an answer
    ConnectionAbortedError,
    BrokenPipeError,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
_NO_WAY = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


class Dropped(RegistryUnreachable):
    """A connection broke off or is stuck; `refused` if none was made, to a server that has answered before."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class NobodyThere(RegistryUnreachable):
    """No connection can be made, and a retry would not help: refused, no such name, no route."""


def unreachable(origin: str, error: BaseException, *, known: bool) -> RegistryUnreachable:
    """The exception for an error of urllib3; `known` if the origin has answered before in this run."""
    chain = _chain(error)
    way = "through its proxy: " if any(isinstance(link, urllib3.exceptions.ProxyError) for link in chain) else ""
    message = f"{origin}: {way}{_reason(chain)}"
    if any(isinstance(link, _DROPPED) for link in chain) or _is_stuck(chain):
        return Dropped(message)
    if known and any(isinstance(link, ConnectionRefusedError) for link in chain):
        return Dropped(message, refused=True)
    if not way and any(isinstance(link, ssl.SSLError) for link in chain):
        return TlsFailed(message, no_tls=message.endswith(_SPEAKS_NONE))
    return NobodyThere(message) if any(map(_is_permanent, chain)) else RegistryUnreachable(message)


def _is_permanent(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):  # other codes, such as a silent name server's, prove nothing
        return error.errno in _NO_SUCH_NAME
    return isinstance(error, OSError) and error.errno in _NO_WAY


def _chain(error: BaseException) -> list[BaseException]:
    """An error and its causes, the innermost last."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = _inner(seen)
    return chain


def _is_stuck(chain: list[BaseException]) -> bool:
    """Whether the peer stopped reading; a missing answer is a TimeoutError of urllib3's own."""
    own = any(isinstance(link, urllib3.exceptions.TimeoutError) for link in chain)
    return not own and any(isinstance(link, TimeoutError) for link in chain)


def _inner(error: BaseException) -> BaseException | None:
    # urllib3 keeps the cause in `reason`, or in the arguments of an error that it did not chain.
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    arguments = (one for one in error.args if isinstance(one, BaseException))
    return error.__cause__ or error.__context__ or next(arguments, None)


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
"""OpenSSL's reasons for a first answer that is no TLS record (`ssl.SSLError.reason`)."""
_SPEAKS_NONE = "what answers there does not speak TLS"
_TLS_ALERT = "\x15\x03"
_CERTIFICATES = {
    9: "the certificate is not valid yet, by this machine's clock",
    10: "the certificate has expired, by this machine's clock",
    18: "the certificate is self-signed, and this machine does not trust it",
    19: "the certificate comes from an authority that this machine does not trust",
    20: "the certificate comes from an authority that this machine does not trust",
    21: "the certificate comes from an authority that this machine does not trust, or is sent without intermediates",
    62: "the certificate is for another host name (only its subject alternative names count)",
    64: "the certificate is not for this IP address (only its subject alternative names count)",
}
"""By OpenSSL's X509_V_ERR numbers (`x509_vfy.h`)."""
_SENTENCES: dict[tuple[type[Exception], ...], str] = {
    (TimeoutError, urllib3.exceptions.TimeoutError): "no answer in time",
    (urllib3.exceptions.ProxySchemeUnknown,): "its proxy is of a kind that docker pushsafe does not speak to",
    (http.client.RemoteDisconnected,): "the connection was closed without an answer",
    (http.client.IncompleteRead,): "the answer broke off",
    (urllib3.exceptions.DecodeError,): "the answer is not compressed as its header says",
    (urllib3.exceptions.LocationValueError,): "the address cannot be read",
}


def _of_tls(error: ssl.SSLError) -> str:
    """The sentence for a TLS error; empty for an unknown one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(getattr(error, "verify_code", 0), "")
    return _SPEAKS_NONE if getattr(error, "reason", "") in _NO_TLS else ""


def _reason(chain: list[BaseException]) -> str:
    """What went wrong, in one sentence; the innermost error's own text where we have no better one."""
    for link in reversed(chain):
        if isinstance(link, ssl.SSLError) and (said := _of_tls(link)):
            return said
        if isinstance(link, OSError) and link.strerror and not isinstance(link, TimeoutError | ssl.SSLError):
            return "the host name cannot be resolved" if isinstance(link, socket.gaierror) else link.strerror.lower()
    for kinds, sentence in _SENTENCES.items():
        if any(isinstance(link, kinds) for link in chain):
            return sentence
    for link in chain:
        if isinstance(link, http.client.BadStatusLine):
            return f"what answers there does not speak HTTP{', but TLS' if str(link).startswith(_TLS_ALERT) else ''}"
    # The text of these errors quotes what could not be read: a URL, a header.
    if isinstance(chain[-1], ValueError) and not isinstance(chain[-1], OSError):
        return "the request cannot be written as HTTP"
    return clean(str(chain[-1]), limit=200) or type(chain[-1]).__name__
