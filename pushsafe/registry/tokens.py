"""The tokens of a run, each asked for once, and the `Authorization` header that a credential earns."""

from __future__ import annotations

import threading
import time

from pushsafe.model import Credential, CredentialKind
from pushsafe.registry.auth import Challenge, Token, basic, fetch_token
from pushsafe.registry.transport import Endpoint, Transport
from pushsafe.sanitize import remember

PULL, PUSH = "pull", "pull,push"
"""The actions of a token's scope (distribution `spec/auth/scope.md`)."""
_REFUSED = (401, 403)
_LIFE = 45.0
"""Seconds for which a token is used again: one that names no lifetime has 60 (distribution `spec/auth/token.md`)."""


class Tokens:
    """For any number of threads. Methods raise RegistryUnreachable where the token server cannot be used."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tokens: dict[tuple[str, str, str, bool], tuple[Token, float]] = {}
        self._locks: dict[tuple[str, str, str, bool], threading.Lock] = {}
        self._lock = threading.Lock()

    def token(
        self, endpoint: Endpoint, challenge: Challenge, repository: str, actions: str, credential: Credential | None
    ) -> Token:
        """The token for `actions` in a repository, or the server's refusal; without actions, what `docker login` asks
        for: a token of no scope."""
        key = (endpoint.registry, repository, actions, credential is not None)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            token = self._kept(key)
            if token is None:
                scope = f"repository:{repository}:{actions}" if actions else ""
                token = fetch_token(self._transport, endpoint, challenge, scope, repository, credential)
                remember((token.value,))
                if token.value or token.status in _REFUSED:  # a server that is busy may answer the next time
                    with self._lock:
                        self._tokens[key] = token, time.monotonic()
        return token

    def authorization(
        self, endpoint: Endpoint, challenge: Challenge, repository: str, credential: Credential | None
    ) -> dict[str, str]:
        """The header for reading in a repository; empty where there is nothing to send."""
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return {"Authorization": f"Bearer {credential.secret.reveal()}"}
        if challenge.scheme == "bearer":
            token = self._able_to_pull(endpoint, repository, credential is not None)
            token = token or self.token(endpoint, challenge, repository, PULL, credential)
            return {"Authorization": f"Bearer {token.value}"} if token.value else {}
        if challenge.scheme == "basic" and credential is not None and credential.kind is CredentialKind.BASIC:
            return {"Authorization": basic(credential)}
        return {}

    def forget(self, endpoint: Endpoint, repository: str) -> None:
        """Drop the token for pushing, which a registry did not take for reading."""
        with self._lock:
            for sent in (True, False):
                self._tokens.pop((endpoint.registry, repository, PUSH, sent), None)

    def _able_to_pull(self, endpoint: Endpoint, repository: str, sent: bool) -> Token | None:
        """The token for pushing, where there is one: asking for another costs a round trip."""
        token = self._kept((endpoint.registry, repository, PUSH, sent))
        readable = token is not None and bool(token.value) and (token.granted is None or "pull" in token.granted)
        return token if readable else None

    def _kept(self, key: tuple[str, str, str, bool]) -> Token | None:
        with self._lock:
            token, fetched = self._tokens.get(key, (None, 0.0))
        return token if token is not None and time.monotonic() - fetched < _LIFE else None
