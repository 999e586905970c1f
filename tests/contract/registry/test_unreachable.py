"""Which errors of the way there are dropped connections, and the one sentence that each becomes."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import zlib

import pytest
import urllib3
from urllib3 import exceptions

from pushsafe.model.errors import TlsFailed
from pushsafe.registry.http.unreachable import Dropped, NobodyThere, unreachable

ORIGIN = "https://registry.test"
_POOL = urllib3.HTTPSConnectionPool("registry.test")
_CONNECTION = urllib3.connection.HTTPSConnection("registry.test")


def exhausted(error: Exception) -> exceptions.MaxRetryError:
    """As urllib3 hands it out after its only try."""
    return exceptions.MaxRetryError(_POOL, "/v2/?secret", error)


def aborted(error: Exception) -> exceptions.MaxRetryError:
    return exhausted(exceptions.ProtocolError("Connection aborted.", error))


RESET = ConnectionResetError(104, "Connection reset by peer")
CLOSED = http.client.RemoteDisconnected("Remote end closed connection without response")
REFUSED = ConnectionRefusedError(111, "Connection refused")
TLS_EOF = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")


def tls(reason: str, words: str = "wrong version number") -> ssl.SSLError:
    error = ssl.SSLError(1, words)
    error.reason = reason
    return error


def certificate(code: int, words: str = "certificate verify failed") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, words)
    error.verify_code = code
    return error


def not_made(error: OSError) -> exceptions.MaxRetryError:
    failed = exceptions.NewConnectionError(_CONNECTION, "Failed to establish a new connection")
    failed.__cause__ = error
    return exhausted(failed)


# The error, whether it is a dropped connection (to a registry that answered before, too), and what is said.
ERRORS: dict[str, tuple[BaseException, str, str]] = {
    "reset": (aborted(RESET), "dropped", "connection reset by peer"),
    "reset while a body is sent": (
        exceptions.ProtocolError("Connection aborted.", RESET),
        "dropped",
        "connection reset by peer",
    ),
    "closed": (aborted(CLOSED), "dropped", "the connection was closed without an answer"),
    "broken pipe": (aborted(BrokenPipeError(32, "Broken pipe")), "dropped", "broken pipe"),
    "aborted": (
        aborted(ConnectionAbortedError(103, "Software caused connection abort")),
        "dropped",
        "software caused connection abort",
    ),
    "cut off": (
        exceptions.ProtocolError("Connection broken", exceptions.IncompleteRead(3, 7)),
        "dropped",
        "the answer broke off",
    ),
    "a chunk cut off": (
        exceptions.ProtocolError("Connection broken", http.client.IncompleteRead(b"")),
        "dropped",
        "the answer broke off",
    ),
    "TLS closed": (exhausted(exceptions.SSLError(TLS_EOF)), "dropped", "EOF occurred in violation of protocol"),
    "refused": (not_made(REFUSED), "refused", "connection refused"),
    "refused by the proxy": (
        exhausted(exceptions.ProxyError("Unable to connect to proxy", not_made(REFUSED))),
        "refused",
        "through its proxy: connection refused",
    ),
    "no route": (not_made(OSError(113, "No route to host")), "no", "no route to host"),
    "no name": (not_made(socket.gaierror(-2, "Name or service not known")), "no", "the host name cannot be resolved"),
    "timed out": (exhausted(exceptions.ReadTimeoutError(_POOL, "/", "Read timed out.")), "no", "no answer in time"),
    "nothing taken any more": (aborted(TimeoutError("timed out")), "dropped", "no answer in time"),
    "timed out by the system": (not_made(TimeoutError(110, "Connection timed out")), "no", "no answer in time"),
    "untrusted": (
        exhausted(exceptions.SSLError(UNTRUSTED)),
        "no",
        "certificate verify failed: self-signed certificate",
    ),
    "no HTTP": (
        aborted(http.client.BadStatusLine("SSH-2.0-OpenSSH_9.2")),
        "no",
        "what answers there does not speak HTTP",
    ),
    "a TLS alert": (
        aborted(http.client.BadStatusLine("\x15\x03\x01\x00\x02\x02F")),
        "no",
        "what answers there does not speak HTTP, but TLS",
    ),
    "no TLS": (
        exhausted(exceptions.SSLError(tls("WRONG_VERSION_NUMBER"))),
        "no",
        "what answers there does not speak TLS",
    ),
    "other words of TLS": (
        exhausted(exceptions.SSLError(tls("SSLV3_ALERT_HANDSHAKE_FAILURE", "handshake failure"))),
        "no",
        "handshake failure",
    ),
    "badly compressed": (
        exceptions.DecodeError("Received response with content-encoding: gzip", zlib.error("Error -3 while")),
        "no",
        "the answer is not compressed as its header says",
    ),
    "expired": (
        exhausted(exceptions.SSLError(certificate(10))),
        "no",
        "the certificate has expired, by this machine's clock",
    ),
    "an unknown authority": (
        exhausted(exceptions.SSLError(certificate(20))),
        "no",
        "the certificate comes from an authority that this machine does not trust",
    ),
    "another host's": (
        exhausted(exceptions.SSLError(certificate(62))),
        "no",
        "the certificate is for another host name (only its subject alternative names count)",
    ),
    "another fault of it": (
        exhausted(exceptions.SSLError(certificate(26, "unsuitable purpose"))),
        "no",
        "unsuitable purpose",
    ),
    "no URL": (exceptions.LocationParseError("http://secret@"), "no", "the address cannot be read"),
    "no header": (ValueError("Invalid header value b'secret'"), "no", "the request cannot be written as HTTP"),
}


@pytest.mark.parametrize(
    ("error", "nobody"),
    [
        (REFUSED, True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (TimeoutError("timed out"), False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
    ],
    ids=str,
)
def test_what_shows_that_nobody_is_there(error: OSError, nobody: bool) -> None:
    """What may be over in a moment shows nothing."""
    assert isinstance(unreachable(ORIGIN, not_made(error), known=False), NobodyThere) is nobody


@pytest.mark.parametrize(("error", "kind", "said"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("known", [True, False])
def test_errors(error: BaseException, kind: str, said: str, known: bool) -> None:
    found = unreachable(ORIGIN, error, known=known)
    assert isinstance(found, Dropped) is (kind == "dropped" or (kind == "refused" and known))
    assert getattr(found, "refused", False) is (kind == "refused" and known)
    assert found.message == f"{ORIGIN}: {said}"
    tls = "TLS" in said or "certificate" in said or said in ("handshake failure", "unsuitable purpose")
    assert isinstance(found, TlsFailed) is (tls and kind == "no" and "HTTP" not in said)
    assert "secret" not in found.message
