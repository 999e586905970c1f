"""Text from servers and engines made fit to show: capped, without control characters, without secrets."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable

from pushsafe.model import Credential

LIMIT = 500

# Whatever a server echoes of an Authorization header or a token is masked, even if we never knew its value.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_SHORTEST_SECRET = 3


def clean(text: str, secrets: Iterable[str] = (), limit: int = LIMIT) -> str:
    """One line of at most `limit` characters that a terminal shows as text.

    Control, format (bidirectional overrides, zero-width) and surrogate characters become spaces or go; each of
    `secrets` and anything that looks like a bearer token becomes `***`.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    text = _JWT.sub("***", _AUTHORIZATION.sub(r"\1 ***", text[: limit * 8]))
    shown = "".join(_fit(character) for character in text)
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def secrets_of(credential: Credential | None) -> tuple[str, ...]:
    """Every spelling of a credential's secret that could come back: itself, and its Basic encodings."""
    if credential is None or not credential.secret:
        return ()
    secret = credential.secret.reveal()
    pair = f"{credential.username}:{secret}".encode()
    return (
        secret,
        base64.b64encode(pair).decode(),
        base64.urlsafe_b64encode(pair).decode(),
        base64.b64encode(secret.encode()).decode(),
    )


def _fit(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc" or category.startswith("Z"):
        return " "
    return "" if category in ("Cf", "Cs", "Co", "Cn") else character
