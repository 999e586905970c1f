"""Requests to a repository, authorized as its registry's challenge asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from pushsafe.model.credentials import Credential, secrets_of
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.reference import Reference
from pushsafe.registry.auth import PULL, PUSH, Tokens
from pushsafe.registry.http.transport import BODY_LIMIT, Endpoint, Response, Stream, Transport
from pushsafe.registry.responses import of_registry, parse_challenge
from pushsafe.runtime.redact import remember

UPLOADS = "blobs/uploads/"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class AuthorizedClient:
    """Sends requests with their authorization. Thread-safe; methods raise RegistryUnreachable.

    A 401 with another challenge than that of `/v2/` is answered once.
    """

    def __init__(self, transport: Transport, tokens: Tokens) -> None:
        self._transport = transport
        self._tokens = tokens

    def ask(
        self,
        method: str,
        reference: Reference,
        path: str,
        credential: Credential,
        retry_policy: RetryPolicy = NO_RETRIES,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
        limit: int = BODY_LIMIT,
    ) -> Response:
        """Send a request. One with a `body` needs the right to push and follows no redirect to another host. An answer
        of more than `limit` bytes is an error."""
        endpoint = self._transport.endpoint(reference.registry)
        actions = PULL if body is None else PUSH
        who = Requester(self._tokens, endpoint, reference.repository, credential, actions, retry_policy)
        return self._send(method, who, path, headers, body, limit)[0]

    def start_upload(
        self,
        reference: Reference,
        credential: Credential,
        retry_policy: RetryPolicy,
        *,
        query: str = "",
        also_from: str = "",
    ) -> tuple[Response, Requester, dict[str, str]]:
        """Start an upload (`POST .../blobs/uploads/`): the answer, the requester, and the authorization that was sent.

        `also_from` is the repository of the registry that a mount in `query` names.
        """
        endpoint = self._transport.endpoint(reference.registry)
        who = Requester(self._tokens, endpoint, reference.repository, credential, PUSH, retry_policy, also_from)
        response, sent = self._send("POST", who, f"{UPLOADS}{query}", _NO_HEADERS, b"")
        return response, who, sent

    @contextmanager
    def stream(
        self, reference: Reference, path: str, credential: Credential, retry_policy: RetryPolicy, room: int
    ) -> Iterator[Stream]:
        """Read at most `room` bytes part by part; redirects are followed."""
        endpoint = self._transport.endpoint(reference.registry)
        who = Requester(self._tokens, endpoint, reference.repository, credential, PULL, retry_policy)
        sent = who.authorization(endpoint.ping)
        stream = partial(self._transport.stream, "GET", who.url(path), verify=endpoint.verify, follow=True, room=room)
        with stream(headers=sent) as answer:
            if answer.status != HTTPStatus.UNAUTHORIZED or answer.elsewhere:
                yield answer
                return
            again = who.answering(answer.whole(), sent)
        with stream(headers=sent if again is None else again) as answer:
            yield answer

    def _send(
        self,
        method: str,
        who: Requester,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int = BODY_LIMIT,
    ) -> tuple[Response, dict[str, str]]:
        """The answer, and the authorization that was sent."""

        def send(authorized: dict[str, str]) -> tuple[Response, dict[str, str]]:
            response = self._transport.send(
                method,
                who.url(path),
                verify=who.endpoint.verify,
                headers={**headers, **authorized},
                body=body,
                follow=True,
                limit=limit,
                retry_policy=who.retry_policy,
            )
            return of_registry(who.endpoint, method, response), authorized

        response, sent = send(who.authorization(who.endpoint.ping))
        if response.status != HTTPStatus.UNAUTHORIZED or response.elsewhere:
            return response, sent  # another origin gets no credential
        again = who.answering(response, sent)
        return (response, sent) if again is None else send(again)


class Requester(NamedTuple):
    """A credential and the actions that its requests need in a repository."""

    tokens: Tokens
    endpoint: Endpoint
    repository: str
    credential: Credential
    actions: str
    retry_policy: RetryPolicy
    also_from: str = ""

    def url(self, path: str) -> str:
        return f"{self.endpoint.base}/v2/{self.repository}/{path}"

    def authorization(self, asking: Response) -> dict[str, str]:
        """The header that answers the challenge of the response `asking`."""
        remember(secrets_of(self.credential))
        challenge = parse_challenge(asking.header("www-authenticate"))
        credential = self.credential if self.credential.present else None
        return self.tokens.authorization(
            self.endpoint, challenge, self.repository, credential, self.actions, self.retry_policy, self.also_from
        )

    def answering(self, refusal: Response, sent: Mapping[str, str]) -> dict[str, str] | None:
        """The header that answers a refusal's challenge; `None` where it was sent already, or there is none."""
        self.tokens.forget(self.endpoint, self.repository, sent)
        answer = self.authorization(refusal)
        return None if answer in ({}, sent) else answer
