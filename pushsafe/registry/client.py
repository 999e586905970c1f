"""What we ask registries: does it want a login, what does a tag name, and why was a push refused."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import urllib3  # never a part of it first: see auth.py

from pushsafe.errors import RegistryUnreachable
from pushsafe.model import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Access,
    Credential,
    CredentialKind,
    Evidence,
    ManifestInfo,
    Platform,
    Reference,
    RegistryPing,
    Stage,
)
from pushsafe.registry.auth import (
    Challenge,
    Token,
    basic,
    fetch_token,
    parse_challenge,
    read_error,
    read_json,
)
from pushsafe.registry.transport import Endpoint, Response, Transport
from pushsafe.sanitize import clean, remember, secrets_of

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_OK, _ACCEPTED, _UNAUTHORIZED = 200, 202, 401
_REFUSED = (401, 403)
_TOKEN_LIFE = 45.0
"""Seconds for which a token is used again: one that names no lifetime has 60 (distribution `spec/auth/token.md`)."""


class Registry:
    """Every registry of one run. Methods raise RegistryUnreachable where it cannot be reached from here."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tokens: dict[tuple[str, str, str, bool], tuple[Token, float]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._transport.close()

    # ------------------------------------------------------------------ questions

    def ping(self, registry: str) -> RegistryPing:
        """Whether a registry wants a login: its `GET /v2/` without a credential. Never raises."""
        try:
            endpoint = self._transport.endpoint(registry)
        except RegistryUnreachable as error:
            return RegistryPing(Access.UNKNOWN, error.message)
        status = endpoint.ping.status
        if status == _OK:
            return RegistryPing(Access.OPEN, "/v2/ answers 200 without a login")
        if status == _UNAUTHORIZED:
            return RegistryPing(Access.LOGIN_WANTED, "/v2/ answers 401 without one")
        return RegistryPing(Access.UNKNOWN, f"{endpoint.base}/v2/ answers {status}")

    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", *, whole: bool = False
    ) -> ManifestInfo | Evidence:
        """What a tag (or `digest` in the same repository) names; the refusal if that is what comes back.

        HEAD, which Docker Hub does not count as a pull; an index is fetched, for its platforms and children, and so is
        what shall be read `whole`, for its layers' sizes.
        """
        remember(secrets_of(credential))
        endpoint = self._transport.endpoint(reference.registry)
        path = f"/v2/{reference.repository}/manifests/{digest or reference.tag}"
        response = None
        if not whole:
            response = self._authorized(endpoint, "HEAD", path, reference.repository, "pull", credential)
            found, media_type = response.header("docker-content-digest"), _media_type(response)
            if response.status == _OK and found and media_type not in INDEX_TYPES:
                return ManifestInfo(clean(found, limit=200), media_type)
        if response is None or response.status == _OK:
            response = self._authorized(endpoint, "GET", path, reference.repository, "pull", credential)
        if response.status != _OK:
            return self._evidence(Stage.VERIFY, response, sent=credential.present)
        return _read_manifest(response)

    def investigate(self, reference: Reference, credential: Credential) -> tuple[Evidence, ...]:
        """Ask the registry, step by step, what a push of this reference meets; the answers are the evidence.

        Challenge, login, grant, and a push probe: an upload that is started and cancelled, nothing being written.
        """
        remember(secrets_of(credential))
        endpoint = self._transport.endpoint(reference.registry)
        steps = self._steps(endpoint, reference, credential)
        # Worded last: by now every token that the registry may echo in it is known, and masked.
        return self._ping_evidence(endpoint), *steps

    # ------------------------------------------------------------------ steps of the investigation

    def _steps(self, endpoint: Endpoint, reference: Reference, credential: Credential) -> tuple[Evidence, ...]:
        found: list[Evidence] = []
        challenge = parse_challenge(endpoint.ping.header("www-authenticate"))
        if endpoint.ping.status == _OK:
            probe = self._probe(endpoint, reference, "")
            found.append(self._evidence(Stage.PROBE, probe, sent=False))
            if probe.status not in _REFUSED or not credential.present:
                return tuple(found)
            challenge = parse_challenge(probe.header("www-authenticate"))
        who = credential if credential.present else None
        authorization, evidence = self._log_in(endpoint, challenge, reference, who)
        if evidence:
            found.append(evidence)
        if found and not authorization:
            return tuple(found)  # the login failed, or there is nothing to send and nobody's probe stands
        response = self._probe(endpoint, reference, authorization)
        found.append(self._evidence(Stage.PROBE, response, sent=who is not None and bool(authorization)))
        return tuple(found)

    def _ping_evidence(self, endpoint: Endpoint) -> Evidence:
        challenge = str(parse_challenge(endpoint.ping.header("www-authenticate")))
        return Evidence(
            Stage.PING,
            f"GET {endpoint.base}/v2/ without a credential",
            status=endpoint.ping.status,
            challenge=challenge,
            sent=False,
        )

    def _log_in(
        self, endpoint: Endpoint, challenge: Challenge, reference: Reference, credential: Credential | None
    ) -> tuple[str, Evidence | None]:
        """The `Authorization` header that a credential earns (empty: none), and what the server said of it."""
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return f"Bearer {credential.secret.reveal()}", None
        if challenge.scheme == "bearer":
            token = self._token(endpoint, challenge, reference.repository, "pull,push", credential)
            evidence = Evidence(
                Stage.TOKEN,
                token.message or ("a token was given" if token.value else ""),
                status=token.status,
                code=token.code,
                sent=credential is not None,
                granted=token.granted,
            )
            return (f"Bearer {token.value}" if token.value else ""), evidence
        if credential is None or credential.kind is not CredentialKind.BASIC:
            return "", None  # docker has no user and password to send either
        response = self._transport.send(
            "GET", f"{endpoint.base}/v2/", verify=endpoint.verify, headers={"Authorization": basic(credential)}
        )
        if endpoint.ping.status == _OK and response.status == _OK:
            return basic(credential), None  # it says so to everybody, whatever the password
        evidence = self._evidence(Stage.TOKEN, response, sent=True)
        evidence = evidence._replace(message=evidence.message or f"GET {endpoint.base}/v2/ with the credential")
        return (basic(credential) if response.status != _UNAUTHORIZED else ""), evidence

    def _probe(self, endpoint: Endpoint, reference: Reference, authorization: str) -> Response:
        """Start an upload as a push would, and cancel it where the registry let us."""
        headers = {"Authorization": authorization} if authorization else {}
        url = f"{endpoint.base}/v2/{reference.repository}/blobs/uploads/"
        response = self._transport.send("POST", url, verify=endpoint.verify, headers=headers, body=b"")
        location = response.header("location")
        if response.status == _ACCEPTED and location:
            # The registry drops unfinished uploads by itself, and what was learnt stands. Another origin gets neither
            # the credential nor a DELETE, which may be anybody's to whom a registry points.
            with suppress(RegistryUnreachable, ValueError):
                upload = urljoin(url, location)
                if _origin(upload) == _origin(url):
                    self._transport.send("DELETE", upload, verify=endpoint.verify, headers=headers)
        return response

    def _evidence(self, stage: Stage, response: Response, *, sent: bool) -> Evidence:
        code, message = read_error(response)
        return Evidence(
            stage,
            message,
            status=response.status,
            code=code,
            challenge=str(parse_challenge(response.header("www-authenticate"))),
            sent=sent,
        )

    # ------------------------------------------------------------------ authorized requests

    def _authorized(
        self, endpoint: Endpoint, method: str, path: str, repository: str, actions: str, credential: Credential
    ) -> Response:
        """Send a request as the challenge of `/v2/` asks; a 401 that names another challenge is answered once."""
        who = credential if credential.present else None
        challenge = parse_challenge(endpoint.ping.header("www-authenticate"))
        headers = {"Accept": _ACCEPT} | self._authorization(endpoint, challenge, repository, actions, who)
        response = self._transport.send(
            method, f"{endpoint.base}{path}", verify=endpoint.verify, headers=headers, follow=True
        )
        if response.status == _UNAUTHORIZED and "Authorization" not in headers:
            challenge = parse_challenge(response.header("www-authenticate"))
            headers |= self._authorization(endpoint, challenge, repository, actions, who)
            if "Authorization" in headers:
                response = self._transport.send(
                    method, f"{endpoint.base}{path}", verify=endpoint.verify, headers=headers, follow=True
                )
        return response

    def _authorization(
        self, endpoint: Endpoint, challenge: Challenge, repository: str, actions: str, credential: Credential | None
    ) -> dict[str, str]:
        if credential is not None and credential.kind is CredentialKind.REGISTRY_TOKEN:
            return {"Authorization": f"Bearer {credential.secret.reveal()}"}
        if challenge.scheme == "bearer":
            token = self._token(endpoint, challenge, repository, actions, credential)
            return {"Authorization": f"Bearer {token.value}"} if token.value else {}
        if challenge.scheme == "basic" and credential is not None and credential.kind is CredentialKind.BASIC:
            return {"Authorization": basic(credential)}
        return {}

    def _token(
        self, endpoint: Endpoint, challenge: Challenge, repository: str, actions: str, credential: Credential | None
    ) -> Token:
        key = (endpoint.registry, repository, actions, credential is not None)
        with self._lock:
            token, fetched = self._tokens.get(key, (None, 0.0))
        if token is None or time.monotonic() - fetched > _TOKEN_LIFE:
            scope = f"repository:{repository}:{actions}"
            token = fetch_token(self._transport, endpoint, challenge, scope, repository, credential)
            remember((token.value,))
            with self._lock:
                self._tokens[key] = token, time.monotonic()
        return token


# ---------------------------------------------------------------------- reading manifests


def _origin(url: str) -> tuple[str | None, str | None, int | None]:
    """Scheme, host and port, read by the very parser that later chooses where to connect; raises ValueError."""
    parts = urllib3.util.parse_url(url)
    return parts.scheme, parts.host, parts.port


def _media_type(response: Response) -> str:
    return clean(response.header("content-type").partition(";")[0], limit=200)


def _read_manifest(response: Response) -> ManifestInfo:
    """Digest by the content itself, so a header cannot claim another one; platforms and children of an index."""
    digest = f"sha256:{hashlib.sha256(response.body).hexdigest()}"
    claimed = response.header("docker-content-digest")
    if claimed.startswith("sha512:"):
        digest = f"sha512:{hashlib.sha512(response.body).hexdigest()}"
    media_type = _media_type(response)
    if media_type not in INDEX_TYPES:
        layers = tuple(
            (clean(str(entry.get("digest")), limit=200), _size(entry)) for entry in _entries(response, "layers")
        )
        return ManifestInfo(digest, media_type, layers=layers)
    children = _entries(response, "manifests")
    return ManifestInfo(
        digest,
        media_type,
        platforms=tuple(platform for entry in children if (platform := _platform(entry))),
        children=tuple(clean(str(entry.get("digest") or ""), limit=200) for entry in children),
    )


def _entries(response: Response, name: str) -> list[dict[str, Any]]:
    try:
        found = read_json(response.body).get(name)
    except (ValueError, AttributeError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _size(entry: dict[str, Any]) -> int:
    size = entry.get("size")
    return size if isinstance(size, int) else 0


def _platform(entry: dict[str, Any]) -> Platform | None:
    """The platform of an index's entry; attestations name `unknown/unknown` and are none."""
    found = entry.get("platform")
    if not isinstance(found, dict) or found.get("os") in (None, "unknown"):
        return None
    parts = [clean(str(found.get(key) or ""), limit=60) for key in ("os", "architecture", "variant", "os.version")]
    return Platform(*parts)
