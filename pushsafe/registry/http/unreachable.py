"""Why a request came to nothing: in one sentence without a header or a URL, and whether it was merely dropped."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import urllib3  # never a part of it first: see auth.py

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
    """A connection broke off, or takes nothing any more; `refused` tells that none was made, by a server that had
    answered before."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class NobodyThere(RegistryUnreachable):
    """No connection can be made, and trying again would not change that: refused, no such name, no way there."""


def unreachable(origin: str, error: BaseException, *, known: bool) -> RegistryUnreachable:
    """What to raise for an error of urllib3; `known` tells whether the origin has answered before in this run."""
    chain = _chain(error)
    way = "through its proxy: " if any(isinstance(link, urllib3.exceptions.ProxyError) for link in chain) else ""
    message = f"{origin}: {way}{_reason(chain)}"
    if any(isinstance(link, _DROPPED) for link in chain) or _is_stuck(chain):
        return Dropped(message)
    if known and any(isinstance(link, ConnectionRefusedError) for link in chain):
        return Dropped(message, refused=True)
    if not way and any(isinstance(link, ssl.SSLError) for link in chain):
        return TlsFailed(message, no_tls=message.endswith(_SPEAKS_NONE))
    return NobodyThere(message) if any(map(_is_nobody, chain)) else RegistryUnreachable(message)


def _is_nobody(error: BaseException) -> bool:
    """A name server that does not answer proves nothing."""
    if isinstance(error, socket.gaierror):
        return error.errno in _NO_SUCH_NAME
    return isinstance(error, OSError) and error.errno in _NO_WAY


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those within it, the innermost last."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = _inner(seen)
    return chain


def _is_stuck(chain: list[BaseException]) -> bool:
    """What is sent is not taken any more; whoever waits in vain for an answer gets a TimeoutError of urllib3's own."""
    own = any(isinstance(link, urllib3.exceptions.TimeoutError) for link in chain)
    return not own and any(isinstance(link, TimeoutError) for link in chain)


def _inner(error: BaseException) -> BaseException | None:
    # urllib3 names its cause in `reason`, or else among the arguments of an error that it never raised itself.
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    arguments = (one for one in error.args if isinstance(one, BaseException))
    return error.__cause__ or error.__context__ or next(arguments, None)


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
"""What OpenSSL calls a first answer that is no TLS record (`ssl.SSLError.reason`)."""
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


def _of_tls(error: ssl.SSLError) -> str:
    """What is wrong with TLS, where that is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(getattr(error, "verify_code", 0), "")
    return _SPEAKS_NONE if getattr(error, "reason", "") in _NO_TLS else ""


def _reason(chain: list[BaseException]) -> str:
    """What went wrong, in one sentence; in the innermost error's words where there are no better ones."""
    for link in reversed(chain):
        if isinstance(link, ssl.SSLError) and (said := _of_tls(link)):
            return said
        if isinstance(link, OSError) and link.strerror and not isinstance(link, TimeoutError | ssl.SSLError):
            return "the host name cannot be resolved" if isinstance(link, socket.gaierror) else link.strerror.lower()
    if any(isinstance(link, TimeoutError | urllib3.exceptions.TimeoutError) for link in chain):
        return "no answer in time"
    if any(isinstance(link, urllib3.exceptions.ProxySchemeUnknown) for link in chain):
        return "its proxy is of a kind that docker pushsafe does not speak to"
    if any(isinstance(link, http.client.RemoteDisconnected) for link in chain):
        return "the connection was closed without an answer"
    if any(isinstance(link, http.client.IncompleteRead) for link in chain):
        return "the answer broke off"
    for link in chain:
        if isinstance(link, http.client.BadStatusLine):
            return f"what answers there does not speak HTTP{', but TLS' if str(link).startswith(_TLS_ALERT) else ''}"
    if any(isinstance(link, urllib3.exceptions.DecodeError) for link in chain):
        return "the answer is not compressed as its header says"
    # The words of these quote what could not be read: a URL, a header.
    if any(isinstance(link, urllib3.exceptions.LocationValueError) for link in chain):
        return "the address cannot be read"
    if isinstance(chain[-1], ValueError) and not isinstance(chain[-1], OSError):
        return "the request cannot be written as HTTP"
    return clean(str(chain[-1]), limit=200) or type(chain[-1]).__name__
