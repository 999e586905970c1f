"""Authentication at a registry: token servers and their tokens."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

# The package before any part of it: two threads import it, and locks taken in two orders are a deadlock.
import urllib3

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import RegistryFailed, RegistryUnreachable, UnsafeRealm
from pushsafe.model.evidence import NO_TOKEN, REFUSED
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.registry.hosts import host_of, is_loopback, origin_of
from pushsafe.registry.http.destinations import Lead
from pushsafe.registry.http.transport import Endpoint, Response, Transport, place_of
from pushsafe.registry.responses import Challenge, read_error, read_json
from pushsafe.runtime.redact import clean, remember

TOKEN_LIMIT = 1024 * 1024
"""Most bytes read of a token server's answer."""
PULL, PUSH = "pull", "pull,push"
"""The actions of a token's scope (distribution `spec/auth/scope.md`)."""
_LIFE = 45.0
"""Seconds for which a token is reused: one without a lifetime has 60 (distribution `spec/auth/token.md`)."""

_OAUTH_REFUSES = ("invalid_client", "invalid_grant", "unauthorized_client", "access_denied")
"""Refusals that come with status 400 (RFC 6749 sections 4.1.2.1 and 5.2)."""
_HOLDS_NONE = "the token server's answer holds no token"


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token server's answer: `value` is empty for a refusal, `granted` is `None` for an opaque token, and an `odd`
    answer is neither a token nor a refusal."""

    status: int
    value: str = ""
    granted: tuple[str, ...] | None = None
    code: str = ""
    message: str = ""
    odd: bool = False


def basic(credential: Credential) -> str:
    """The `Authorization` header of HTTP Basic."""
    pair = f"{credential.username}:{credential.secret.reveal()}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def fetch_token(
    transport: Transport,
    endpoint: Endpoint,
    challenge: Challenge,
    scopes: Sequence[str],
    repository: str,
    credential: Credential | None,
    retry_policy: RetryPolicy = NO_RETRIES,
) -> Token:
    """Request `scopes` from the token server that a challenge names, with a credential or anonymously.

    Raises RegistryUnreachable where the server does not answer or may not get the credential: a realm must be HTTPS, or
    the registry's own host if that speaks plain HTTP itself. `Destinations` limits anonymous requests as well, because
    their answer is sent to the registry.
    """
    realm = challenge.parameters.get("realm", "")
    address = _address(realm)
    if address is None:
        raise RegistryUnreachable(f"{endpoint.registry} names no usable token server ({clean(realm, limit=100)!r})")
    if credential is not None:
        _require_safe_realm(address, endpoint)
    lead = None if _is_near(address, endpoint) else Lead(endpoint.registry, endpoint.base, "names the token server")
    # TLS that is not verified at the registry is verified at a token server elsewhere.
    verify = endpoint.verify or not (_same_host(address, endpoint) or is_loopback(address.netloc or ""))
    send = partial(
        transport.send,
        verify=verify,
        limit=TOKEN_LIMIT,
        registry=endpoint.registry,
        lead=lead,
        retry_policy=retry_policy,
    )
    query = {"service": challenge.parameters.get("service", "")}
    if credential is not None and credential.kind is CredentialKind.IDENTITY_TOKEN:
        form = {
            "grant_type": "refresh_token",
            "client_id": "docker-pushsafe",
            "refresh_token": credential.secret.reveal(),
            **query,
            "scope": " ".join(scopes),  # `oauth.md`: separated by spaces, where a query repeats the parameter
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        # The body holds the secret itself, so no redirect is followed.
        response = send("POST", realm, headers=headers, body=urlencode(form).encode())
    else:
        if credential is not None and credential.username:
            query["account"] = credential.username
        separator = "&" if address.query else "?"
        headers = {"Authorization": basic(credential)} if credential is not None else {}
        asked = [*((key, value) for key, value in query.items() if value), *(("scope", scope) for scope in scopes)]
        response = send("GET", f"{realm}{separator}{urlencode(asked)}", headers=headers, follow=True)
        if credential is not None and response.elsewhere:
            # The answer is to an anonymous request, and proves nothing about the credential.
            host = clean(address.netloc or "", limit=100)
            raise RegistryUnreachable(f"the token server {host} redirects to another host, where no credential goes")
    return _read_token(response, repository)


def granted_actions(token: str, repository: str) -> tuple[str, ...] | None:
    """The actions that a JWT's `access` claim names for a repository; `None` where it cannot be read.

    The signature is not checked: the claim is only evidence of what the server granted.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = read_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    if not isinstance(payload, dict) or "access" not in payload:
        return None
    access = payload["access"] or []
    if not isinstance(access, list):
        return None
    actions: set[str] = set()
    for entry in access:
        if isinstance(entry, dict) and entry.get("type") == "repository" and entry.get("name") == repository:
            named = entry.get("actions")
            if not isinstance(named, list | None):
                return None
            actions.update(clean(str(action), limit=40) for action in named or ())
    return tuple(sorted(actions))


def _address(realm: str) -> urllib3.util.Url | None:
    """A realm's parts, from the same parser that later chooses where to connect."""
    try:
        address = urllib3.util.parse_url(realm)
    except urllib3.exceptions.LocationParseError:
        return None
    return address if address.scheme in ("https", "http") and address.host else None


def _require_safe_realm(realm: urllib3.util.Url, endpoint: Endpoint) -> None:
    same_clear_host = endpoint.base.startswith("http:") and _same_host(realm, endpoint)
    if not (realm.scheme == "https" or _both_loopback(realm, endpoint) or same_clear_host):
        host = clean(realm.netloc or "", limit=100)
        raise UnsafeRealm(
            f"{endpoint.registry} wants the credential sent to {host} over plain HTTP, "
            "which would show it to anyone on the way",
            host,
        )


def _is_near(realm: urllib3.util.Url, endpoint: Endpoint) -> bool:
    """Whether the realm is at the registry's own origin, or both are on this machine."""
    return place_of(realm.url) == place_of(endpoint.base) or _both_loopback(realm, endpoint)


def _both_loopback(realm: urllib3.util.Url, endpoint: Endpoint) -> bool:
    return is_loopback(realm.netloc or "") and is_loopback(host_of(endpoint.base))


def _same_host(realm: urllib3.util.Url, endpoint: Endpoint) -> bool:
    return realm.host == urllib3.util.parse_url(endpoint.base).host


def _read_token(response: Response, repository: str) -> Token:
    try:
        answer = read_json(response.body)
    except ValueError:
        answer = None
    success = 200 <= response.status < 300
    code, message = ("", "") if success else read_error(response)
    refused = response.status in REFUSED or code in _OAUTH_REFUSES
    if refused or _out_of_service(response.status):
        return Token(response.status, code=code, message=message)
    value = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not success or not isinstance(value, str) or not value:
        said = f"{_HOLDS_NONE} ({message})" if message else _HOLDS_NONE
        return Token(response.status, code=code or NO_TOKEN, message=said, odd=True)
    return Token(response.status, value, granted_actions(value, repository))


def _out_of_service(status: int) -> bool:
    """Whether a status says nothing about the credential."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


_Key = tuple[str, str, str, bool, str]


class Tokens:
    """The tokens of one run. Thread-safe; methods raise RegistryUnreachable."""

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
        retry_policy: RetryPolicy = NO_RETRIES,
        also_from: str = "",
    ) -> Token:
        """The token for `actions` in a repository, or the server's refusal. Without actions the token has no scope, as
        for `docker login`. `also_from` is another repository of the registry to read from."""
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
                    answer = fetch_token(
                        self._transport, endpoint, challenge, scopes, repository, credential, retry_policy
                    )
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
        retry_policy: RetryPolicy = NO_RETRIES,
        also_from: str = "",
    ) -> dict[str, str]:
        """The header for PULL or PUSH in a repository and reading `also_from`; empty where there is none to send.

        Raises RegistryUnreachable also where the token server is busy or its answer odd: the registry would refuse a
        request without the token, and that would prove nothing about the credential.
        """
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return {"Authorization": f"Bearer {credential.secret.reveal()}"}
        if challenge.scheme == "bearer":
            token = self._able_to_pull(endpoint, repository, credential is not None) if actions == PULL else None
            token = token or self.token(endpoint, challenge, repository, actions, credential, retry_policy, also_from)
            server = origin_of(challenge.parameters.get("realm", ""))
            said = f"{server} answers {token.status} to the request for a token"
            if token.odd:
                raise RegistryFailed(f"{said}: {token.message}")
            if not token.value and _out_of_service(token.status):
                raise RegistryUnreachable(said)
            return {"Authorization": f"Bearer {token.value}"} if token.value else {}
        if challenge.scheme == "basic" and credential is not None and credential.kind is CredentialKind.BASIC:
            return {"Authorization": basic(credential)}
        return {}

    def forget(self, endpoint: Endpoint, repository: str, refused: Mapping[str, str]) -> None:
        """Drop the push token if the registry has just refused it; another thread may have replaced it already."""
        with self._lock:
            for key, (token, _) in tuple(self._answers.items()):
                same = isinstance(token, Token) and refused.get("Authorization") == f"Bearer {token.value}"
                if key[:3] == (endpoint.registry, repository, PUSH) and same:
                    del self._answers[key]

    def _able_to_pull(self, endpoint: Endpoint, repository: str, sent: bool) -> Token | None:
        """The push token, if it can read: another request would cost a round trip."""
        token = self._kept((endpoint.registry, repository, PUSH, sent, ""))
        readable = token is not None and bool(token.value) and (token.granted is None or "pull" in token.granted)
        return token if readable else None

    def _kept(self, key: _Key) -> Token | None:
        """A young token or refusal; a busy server's answer is not reused."""
        with self._lock:
            answer, fetched = self._answers.get(key, (None, 0.0))
        if not isinstance(answer, Token) or not (answer.value or answer.status in REFUSED):
            return None
        return answer if time.monotonic() - fetched < _LIFE else None

    def _answer_since(self, asked: float, key: _Key) -> Token | RegistryUnreachable | None:
        """The answer to another thread's request while this one waited, so a busy server's pauses are waited once."""
        with self._lock:
            answer, fetched = self._answers.get(key, (None, 0.0))
        return answer if fetched > asked else None
