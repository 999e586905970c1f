"""Answers of an engine, limited in size and time, and the causes of their failures."""

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
"""Most bytes of an answer. The list of ten thousand images is a third of it."""
BEGINNING = 1 << 16
"""Most bytes read of a refusal."""

ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""Errors of a request and of reading its answer; requests does not wrap all of urllib3's."""

_PART = 1 << 16


class OutOfBounds(Exception):
    """An answer is too large or too slow; the message ends a sentence about it."""


def parts(response: requests.Response, most: float = math.inf) -> Iterator[bytes]:
    """The body of an answer, in parts of at most 64 KiB. Raises ERRORS, and OutOfBounds after `most` seconds."""
    end = time.monotonic() + most
    # Not iter_content: it does not limit the line with a chunk's length (urllib3 `read_chunked`).
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
    """The first BEGINNING bytes of an answer, without waiting for the rest. Raises OutOfBounds and ERRORS."""
    content = bytearray()
    for part in parts(response, most):
        content += part
        if len(content) >= BEGINNING:
            break
    return content[:BEGINNING].decode("utf-8", "replace")


class Listening:
    """Ends a push after `limit` seconds without news; `None` is no limit.

    The containerd store reports each layer ten times a second, changed or not; only `new` lines count. Complete silence
    is left to the connection's timeout, of as many seconds.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._heard = time.monotonic()

    def new(self) -> None:
        self._heard = time.monotonic()

    def through(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Pass lines on. Raises TimeoutError if no line was new for the limit."""
        for line in lines:
            yield line
            if self._limit is not None and time.monotonic() - self._heard > self._limit:
                raise TimeoutError


def is_silence(error: BaseException) -> bool:
    """Whether an error is a timeout."""
    return any(isinstance(one, TimeoutError) and not one.strerror for one in _chain(error))


def cause(error: BaseException, seconds: float) -> str:
    """The end of a sentence about the engine, for an error of docker-py, which nests up to four exceptions.

    `seconds` is the timeout. The system's own message is used if there is one.
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
