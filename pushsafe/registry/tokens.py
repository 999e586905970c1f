"""The tokens of a run, each asked for once, and the `Authorization` header that a credential earns."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from pushsafe.errors import RegistryFailed, RegistryUnreachable
from pushsafe.model import Credential, CredentialKind
from pushsafe.patience import NO_PATIENCE, Patience
from pushsafe.registry.addresses import origin_of
from pushsafe.registry.auth import Challenge, Token, basic, fetch_token
from pushsafe.registry.transport import Endpoint, Transport
from pushsafe.sanitize import remember

PULL, PUSH = "pull", "pull,push"
"""The actions of a token's scope (distribution `spec/auth/scope.md`)."""
_REFUSED = (401, 403)
_TOO_MANY, _SERVER_ERROR = 429, 500
_LIFE = 45.0
"""Seconds for which a token is used again: one that names no lifetime has 60 (distribution `spec/auth/token.md`)."""

_Key = tuple[str, str, str, bool, str]


class Tokens:
    """For any number of threads. Methods raise RegistryUnreachable where the token server cannot be used."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._answers: dict[_Key, tuple[Token | RegistryUnreachable, float]] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def token(
        self,
        endpoint: Endpoint,
        challenge: Challenge,
        repository: str,
        actions: str,
        credential: Credential | None,
        patience: Patience = NO_PATIENCE,
        also_from: str = "",
    ) -> Token:
        """The token for `actions` in a repository, or the server's refusal; without actions, what `docker login` asks
        for: a token of no scope. `also_from` is a repository of the registry that it shall let us read besides."""
        key = (endpoint.registry, repository, actions, credential is not None, also_from)
        asked = time.monotonic()
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            answer = self._answer_since(asked, key) or self._kept(key)
            if answer is None:
                wanted = ((repository, actions), (also_from, PULL))
                scopes = [f"repository:{name}:{rights}" for name, rights in wanted if name and rights]
                try:
                    answer = fetch_token(self._transport, endpoint, challenge, scopes, repository, credential, patience)
                    remember((answer.value,))
                except RegistryUnreachable as error:
                    answer = error
                with self._lock:
                    self._answers[key] = answer, time.monotonic()
        if isinstance(answer, RegistryUnreachable):
            raise answer
        return answer

    def authorization(
        self,
        endpoint: Endpoint,
        challenge: Challenge,
        repository: str,
        credential: Credential | None,
        actions: str = PULL,
        patience: Patience = NO_PATIENCE,
        also_from: str = "",
    ) -> dict[str, str]:
        """The header for PULL or PUSH in a repository, `also_from` being another one to read; empty where there is
        nothing to send.

        Raises RegistryUnreachable as well where the token server is busy or odd: a request without its token would be
        refused, which says nothing of the credential.
        """
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return {"Authorization": f"Bearer {credential.secret.reveal()}"}
        if challenge.scheme == "bearer":
            token = self._able_to_pull(endpoint, repository, credential is not None) if actions == PULL else None
            token = token or self.token(endpoint, challenge, repository, actions, credential, patience, also_from)
            said = (
                f"{origin_of(challenge.parameters.get('realm', ''))} answers {token.status} to the request for a token"
            )
            if token.odd:
                raise RegistryFailed(f"{said}: {token.message}")
            if not token.value and (token.status == _TOO_MANY or token.status >= _SERVER_ERROR):
                raise RegistryUnreachable(said)
            return {"Authorization": f"Bearer {token.value}"} if token.value else {}
        if challenge.scheme == "basic" and credential is not None and credential.kind is CredentialKind.BASIC:
            return {"Authorization": basic(credential)}
        return {}

    def forget(self, endpoint: Endpoint, repository: str, refused: Mapping[str, str]) -> None:
        """Drop the token for pushing if it is the one that the registry has just refused.

        Another one stays: of several who were refused at the same time, one has fetched it already.
        """
        with self._lock:
            for key, (token, _) in tuple(self._answers.items()):
                same = isinstance(token, Token) and refused.get("Authorization") == f"Bearer {token.value}"
                if key[:3] == (endpoint.registry, repository, PUSH) and same:
                    del self._answers[key]

    def _able_to_pull(self, endpoint: Endpoint, repository: str, sent: bool) -> Token | None:
        """The token for pushing, where there is one: asking for another costs a round trip."""
        token = self._kept((endpoint.registry, repository, PUSH, sent, ""))
        readable = token is not None and bool(token.value) and (token.granted is None or "pull" in token.granted)
        return token if readable else None

    def _kept(self, key: _Key) -> Token | None:
        """A token, or a refusal, while it is young; a server that was busy may answer the next time."""
        with self._lock:
            answer, fetched = self._answers.get(key, (None, 0.0))
        if not isinstance(answer, Token) or not (answer.value or answer.status in _REFUSED):
            return None
        return answer if time.monotonic() - fetched < _LIFE else None

    def _answer_since(self, asked: float, key: _Key) -> Token | RegistryUnreachable | None:
        """Whatever came for another thread while this one waited for it: a busy server's pauses are waited for once."""
        with self._lock:
            answer, fetched = self._answers.get(key, (None, 0.0))
        return answer if fetched > asked else None
