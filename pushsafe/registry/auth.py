"""Authentication at a registry: challenges, token servers, and the tokens that were given."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

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
"""Bytes of a token answer that are read."""

_OAUTH_REFUSES = ("invalid_client", "invalid_grant", "unauthorized_client", "access_denied")
"""With status 400 (RFC 6749 sections 4.1.2.1 and 5.2)."""
_HOLDS_NONE = "the token server's answer holds no token"


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token server's answer. `value` is empty if it refused; `granted` is `None` for an opaque token. An `odd` one
    gives no token, and refuses nobody."""

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
    """Ask the token server that a challenge names for `scopes`, as `credential` or as nobody.

    Raises RegistryUnreachable where the server does not answer, or where it is one that no credential may
    be sent to: a realm must be HTTPS, or the registry's own host where that speaks plain HTTP itself. As nobody, too,
    only some are asked (see `Destinations`): what comes back is sent to the registry.
    """
    realm = challenge.parameters.get("realm", "")
    address = _address(realm)
    if address is None:
        raise RegistryUnreachable(f"{endpoint.registry} names no usable token server ({clean(realm, limit=100)!r})")
    if credential is not None:
        _require_safe_realm(address, endpoint)
    lead = None if _is_near(address, endpoint) else Lead(endpoint.registry, endpoint.base, "names the token server")
    # An unverified registry says nothing of a token server elsewhere.
    verify = endpoint.verify or not (_same_host(address, endpoint) or is_loopback(address.netloc or ""))
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
        response = transport.send(
            "POST",
            realm,
            verify=verify,
            headers=headers,
            body=urlencode(form).encode(),  # the secret itself: no redirect is followed
            limit=TOKEN_LIMIT,
            registry=endpoint.registry,
            lead=lead,
            retry_policy=retry_policy,
        )
    else:
        if credential is not None and credential.username:
            query["account"] = credential.username
        separator = "&" if address.query else "?"
        headers = {"Authorization": basic(credential)} if credential is not None else {}
        asked = [*((key, value) for key, value in query.items() if value), *(("scope", scope) for scope in scopes)]
        url = f"{realm}{separator}{urlencode(asked)}"
        response = transport.send(
            "GET",
            url,
            verify=verify,
            headers=headers,
            follow=True,
            limit=TOKEN_LIMIT,
            registry=endpoint.registry,
            lead=lead,
            retry_policy=retry_policy,
        )
        if credential is not None and response.elsewhere:
            # What comes back is nobody's token, and says nothing of the credential.
            host = clean(address.netloc or "", limit=100)
            raise RegistryUnreachable(f"the token server {host} redirects to another host, where no credential goes")
    return _read_token(response, repository)


def granted_actions(token: str, repository: str) -> tuple[str, ...] | None:
    """The actions that a JWT's own `access` claim names for a repository; `None` where it cannot be read.

    The signature is not checked: this is read as evidence of what the server meant, and nothing is trusted to it.
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
    """The parts of a realm, read by the very parser that later chooses where to connect."""
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
            "which would show it to everybody on the way",
            host,
        )


def _is_near(realm: urllib3.util.Url, endpoint: Endpoint) -> bool:
    """Whether it is the registry itself, or on this machine as the registry is."""
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
    """Whether an answer says nothing of who asked."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


PULL, PUSH = "pull", "pull,push"
"""The actions of a token's scope (distribution `spec/auth/scope.md`)."""
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
        retry_policy: RetryPolicy = NO_RETRIES,
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
        """The header for PULL or PUSH in a repository, `also_from` being another one to read; empty where there is
        nothing to send.

        Raises RegistryUnreachable as well where the token server is busy or odd: a request without its token would be
        refused, which says nothing of the credential.
        """
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return {"Authorization": f"Bearer {credential.secret.reveal()}"}
        if challenge.scheme == "bearer":
            token = self._able_to_pull(endpoint, repository, credential is not None) if actions == PULL else None
            token = token or self.token(endpoint, challenge, repository, actions, credential, retry_policy, also_from)
            said = (
                f"{origin_of(challenge.parameters.get('realm', ''))} answers {token.status} to the request for a token"
            )
            if token.odd:
                raise RegistryFailed(f"{said}: {token.message}")
            if not token.value and _out_of_service(token.status):
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
        if not isinstance(answer, Token) or not (answer.value or answer.status in REFUSED):
            return None
        return answer if time.monotonic() - fetched < _LIFE else None

    def _answer_since(self, asked: float, key: _Key) -> Token | RegistryUnreachable | None:
        """Whatever came for another thread while this one waited for it: a busy server's pauses are waited for once."""
        with self._lock:
            answer, fetched = self._answers.get(key, (None, 0.0))
        return answer if fetched > asked else None
