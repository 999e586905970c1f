"""Why a request came to nothing: in one sentence without a header or a URL, and whether it was merely dropped."""

from __future__ import annotations

import http.client
import socket
import ssl

import urllib3  # never a part of it first: see auth.py

from pushsafe.errors import RegistryUnreachable
from pushsafe.sanitize import clean

_DROPPED = (
    ConnectionResetError,  # and http.client.RemoteDisconnected: closed without an answer
    ConnectionAbortedError,
    BrokenPipeError,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


class Dropped(RegistryUnreachable):
    """A connection broke off, or takes nothing any more; `refused` tells that none was made, by a server that had
    answered before."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def unreachable(origin: str, error: BaseException, *, known: bool) -> RegistryUnreachable:
    """What to raise for an error of urllib3; `known` tells whether the origin has answered before in this run."""
    chain = _chain(error)
    way = "through its proxy: " if any(isinstance(link, urllib3.exceptions.ProxyError) for link in chain) else ""
    message = f"{origin}: {way}{_reason(chain)}"
    if any(isinstance(link, _DROPPED) for link in chain) or _is_stuck(chain):
        return Dropped(message)
    if known and any(isinstance(link, ConnectionRefusedError) for link in chain):
        return Dropped(message, refused=True)
    return RegistryUnreachable(message)


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


def _reason(chain: list[BaseException]) -> str:
    """What went wrong, in one sentence of the innermost error's words."""
    for link in reversed(chain):
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
    # The words of these quote what could not be read: a URL, a header.
    if any(isinstance(link, urllib3.exceptions.LocationValueError) for link in chain):
        return "the address cannot be read"
    if isinstance(chain[-1], ValueError) and not isinstance(chain[-1], OSError):
        return "the request cannot be written as HTTP"
    return clean(str(chain[-1]), limit=200) or type(chain[-1]).__name__
