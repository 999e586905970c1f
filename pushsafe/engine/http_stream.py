"""What comes over the connection to an engine, within bounds of size and time, and in words where it breaks off."""

from __future__ import annotations

import http.client
import math
import ssl
import time
from collections.abc import Iterable, Iterator

import requests
import urllib3

from pushsafe.engine.push_stream import Line
from pushsafe.runtime.redact import clean

LARGEST_ANSWER = 32 << 20
"""Bytes of one answer. The list of ten thousand images is a third of it."""
BEGINNING = 1 << 16
"""Bytes that are read of a refusal."""

ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a request, or reading its answer, may raise: requests passes some of urllib3's errors on as they are."""

_PART = 1 << 16


class OutOfBounds(Exception):
    """An answer that is too large, or takes too long; the message says which, as the end of a sentence about it."""


def parts(response: requests.Response, most: float = math.inf) -> Iterator[bytes]:
    """The body of an answer as it arrives, in parts of at most 64 kB.

    Raises ERRORS, and OutOfBounds when it is not complete after `most` seconds.
    """
    end = time.monotonic() + most
    # Not iter_content: there the line that tells the length of a chunk may be of any length (urllib3 `read_chunked`).
    while part := response.raw.read1(_PART, decode_content=False):
        if time.monotonic() > end:
            raise OutOfBounds(f"is not complete after {most:g} seconds")
        yield part


def whole(response: requests.Response, most: float) -> str:
    """An answer of at most LARGEST_ANSWER bytes and `most` seconds. Raises OutOfBounds and ERRORS."""
    content = bytearray()
    for part in parts(response, most):
        content += part
        if len(content) > LARGEST_ANSWER:
            raise OutOfBounds(f"is larger than {LARGEST_ANSWER >> 20} MB")
    return content.decode("utf-8", "replace")


def beginning(response: requests.Response, most: float) -> str:
    """The first BEGINNING bytes of an answer; the rest is not waited for. Raises OutOfBounds and ERRORS."""
    content = bytearray()
    for part in parts(response, most):
        content += part
        if len(content) >= BEGINNING:
            break
    return content[:BEGINNING].decode("utf-8", "replace")


class Listening:
    """How long an engine has said nothing new, by `time.monotonic()`.

    The containerd store says ten times a second how each layer stands, whether that has changed or not; only what is
    `new` counts. Silence itself is the connection's to notice, by a timeout of as many seconds.
    """

    def __init__(self, limit: float | None) -> None:
        """`limit` is in seconds; `None` is no limit."""
        self._limit = limit
        self._heard = time.monotonic()

    def new(self) -> None:
        self._heard = time.monotonic()

    def through(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Pass lines on. Raises TimeoutError where for longer than the limit none of them was new."""
        for line in lines:
            yield line
            if self._limit is not None and time.monotonic() - self._heard > self._limit:
                raise TimeoutError


# ---------------------------------------------------------------------- in words


def is_silence(error: BaseException) -> bool:
    """Whether it says that nothing came for too long."""
    return any(isinstance(one, TimeoutError) and not one.strerror for one in _chain(error))


def cause(error: BaseException, seconds: float) -> str:
    """What happened, for the end of a sentence about the engine: docker-py's errors nest four exceptions deep.

    `seconds` is how long was waited for a word. The system's own words where there are any.
    """
    chain = tuple(_chain(error))
    said = (words for one in chain if (words := _words(one, seconds)))
    return next(said, "") or clean(str(chain[-1]), limit=300)


def _words(error: BaseException, seconds: float) -> str:
    match error:
        case http.client.RemoteDisconnected():
            return "the connection was closed without an answer"
        case http.client.IncompleteRead():
            return "the connection was closed in the middle of an answer"
        case http.client.HTTPException():
            return "what answers there is not HTTP"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case ssl.SSLError() if error.reason == "WRONG_VERSION_NUMBER":
            return "what answers there is not TLS"
        case TimeoutError() if not error.strerror:
            return f"timed out: not a word for {seconds:g} seconds"
        case OSError() if error.strerror:
            return error.strerror.lower()
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
