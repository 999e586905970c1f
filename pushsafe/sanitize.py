"""Text from servers and engines made fit to show: capped, without control characters, without secrets."""

from __future__ import annotations

import base64
import json
import re
import threading
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from pushsafe.model import Credential

LIMIT = 500

# Whatever a server echoes of an Authorization header or a token is masked, even if we never knew its value.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# `eyJ` is base64 of `{"`: a JWT, or an X-Registry-Auth header.
_JWT = re.compile(r"\beyJ(?:[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_+/-]{20,}={0,2})")
# Masking one or two characters wherever they occur would garble every message, and so tell the secret.
_SHORTEST_SECRET = 3
_SECRET_FIELDS = ("password", "identitytoken", "registrytoken")


class _Secrets(NamedTuple):
    """What is masked, the longest first: as it is, and as it looks on one line. Made once, as every text needs it."""

    as_they_are: tuple[str, ...] = ()
    on_one_line: tuple[str, ...] = ()

    def with_more(self, secrets: Iterable[str]) -> _Secrets:
        new = {one for one in secrets if len(one) >= _SHORTEST_SECRET}.difference(self.as_they_are)
        if not new:
            return self
        return _Secrets(
            _longest_first((*self.as_they_are, *new)), _longest_first((*self.on_one_line, *map(_one_line, new)))
        )


_remembered = _Secrets()
_lock = threading.Lock()


def remember(secrets: Iterable[str]) -> None:
    """From now on `clean` masks these in whatever text, wherever in this program it comes from."""
    global _remembered
    with _lock:
        _remembered = _remembered.with_more(secrets)


def forget() -> None:
    """Forget what was remembered: for tests, which are many runs in one process."""
    global _remembered
    with _lock:
        _remembered = _Secrets()


def clean(text: str, secrets: Iterable[str] = (), limit: int = LIMIT) -> str:
    """One line of at most `limit` characters that a terminal shows as text.

    Control, format (bidirectional overrides, zero-width) and surrogate characters become spaces or go; each of
    `secrets`, of those remembered, and anything that looks like a bearer token becomes `***`. A secret of fewer than
    3 characters is not masked by itself, only in its encodings.
    """
    if not text:
        return ""
    known = _remembered.with_more(secrets)
    # Twice: as it came, and as it will be seen, for a secret that invisible characters are strewn into.
    line = _one_line(_masked(text, known.as_they_are)[: limit * 8])
    line = _masked(line, known.on_one_line)
    line = _JWT.sub("***", _AUTHORIZATION.sub(r"\1 ***", line))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean_line(text: str, limit: int = LIMIT * 8) -> str:
    """A line of a program's own output with its indentation, made fit to show as `clean` does."""
    known = _remembered
    line = _masked(_fitting(_masked(text, known.as_they_are)[: limit * 8]), known.on_one_line).rstrip()
    line = _JWT.sub("***", _AUTHORIZATION.sub(r"\1 ***", line))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def secrets_of(credential: Credential | None) -> tuple[str, ...]:
    """Every spelling of a credential's secret that could come back: itself, and its encodings in headers and forms."""
    if credential is None:
        return ()
    also = (value for name, value in credential.sent if name in _SECRET_FIELDS)
    secrets = {value.reveal() for value in (credential.secret, *also) if value}
    return tuple(spelling for secret in secrets for spelling in _spellings(credential.username, secret))


def _spellings(username: str, secret: str) -> tuple[str, ...]:
    encoded = tuple(
        encode(text.encode()).decode()
        for text in (f"{username}:{secret}", secret)
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
    )
    unpadded = (text.rstrip("=") for text in encoded)
    return secret, *encoded, *unpadded, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """So that none is masked in part only, because another is its beginning."""
    return tuple(sorted({one for one in secrets if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True))


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _one_line(text: str) -> str:
    return " ".join(_fitting(text).split())


def _fitting(text: str) -> str:
    return text if text.isprintable() else "".join(map(_fit, text))


def _fit(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc" or category.startswith("Z"):
        return " "
    return "" if category in ("Cf", "Cs", "Co", "Cn") else character
