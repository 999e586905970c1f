"""What we ask registries: does it want a login, what does a tag name, and what would a push meet."""

from __future__ import annotations

from pushsafe.errors import RegistryUnreachable
from pushsafe.model import (
    INDEX_TYPES,
    Access,
    Credential,
    Evidence,
    ImageConfig,
    ManifestInfo,
    Preflight,
    Reference,
    RegistryPing,
    Stage,
)
from pushsafe.registry import manifests
from pushsafe.registry.addresses import is_loopback
from pushsafe.registry.auth import parse_challenge
from pushsafe.registry.probe import Probe, evidence
from pushsafe.registry.tokens import Tokens
from pushsafe.registry.transport import Endpoint, Response, Transport
from pushsafe.sanitize import clean, remember, secrets_of

_OK, _UNAUTHORIZED = 200, 401


class Registry:
    """Every registry of one run; for any number of threads.

    All methods but `ping` and `investigate` raise RegistryUnreachable where it cannot be reached from here.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tokens = Tokens(transport)

    def close(self) -> None:
        self._transport.close()

    # ------------------------------------------------------------------ questions

    def ping(self, registry: str) -> RegistryPing:
        """Whether a registry wants a login: its `GET /v2/` without a credential."""
        try:
            endpoint = self._transport.endpoint(registry)
        except RegistryUnreachable as error:
            return RegistryPing(Access.UNKNOWN, error.message)
        cleartext = endpoint.base.startswith("http://") and not is_loopback(registry)
        status = endpoint.ping.status
        if status == _OK:
            return RegistryPing(Access.OPEN, "/v2/ answers 200 without a login", cleartext)
        if status == _UNAUTHORIZED:
            return RegistryPing(Access.LOGIN_WANTED, "/v2/ answers 401 without one", cleartext)
        return RegistryPing(Access.UNKNOWN, f"{endpoint.base}/v2/ answers {status}", cleartext)

    def investigate(self, reference: Reference, credential: Credential) -> Preflight:
        """What a push to the repository meets, asked step by step; nothing is written."""
        remember(secrets_of(credential))
        try:
            endpoint = self._transport.endpoint(reference.registry)
        except RegistryUnreachable as error:
            return Preflight(problem=error.message)
        return Probe(self._transport, self._tokens, endpoint, reference.repository, credential).run()

    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", *, whole: bool = False
    ) -> ManifestInfo | Evidence:
        """What a tag (or `digest` in the same repository) names; the refusal if that is what comes back.

        HEAD, which Docker Hub does not count as a pull; an index is fetched, for its platforms and children, and so is
        what shall be read `whole`, for its layers' sizes.
        """
        path = f"manifests/{digest or reference.tag}"
        response = None
        if not whole:
            response = self._read("HEAD", reference, path, credential)
            found, media_type = response.header("docker-content-digest"), manifests.media_type(response)
            if response.status == _OK and found and media_type not in INDEX_TYPES:
                return ManifestInfo(clean(found, limit=200), media_type)
        if response is None or response.status == _OK:
            response = self._read("GET", reference, path, credential)
        if response.status != _OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        return manifests.read_manifest(response)

    def image_config(self, reference: Reference, credential: Credential, digest: str) -> ImageConfig | Evidence:
        """What the config of an image of this repository says (`GET .../blobs/DIGEST`)."""
        response = self._read("GET", reference, f"blobs/{digest}", credential)
        if response.status != _OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        return manifests.read_config(response)

    def tags(self, reference: Reference, credential: Credential) -> tuple[str, ...] | Evidence:
        """Up to a thousand tags of the repository, the first page of its list."""
        response = self._read("GET", reference, "tags/list?n=1000", credential)
        if response.status != _OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        return manifests.read_tags(response)

    # ------------------------------------------------------------------ authorized requests

    def _read(self, method: str, reference: Reference, path: str, credential: Credential) -> Response:
        """Send a request as the challenge of `/v2/` asks; a 401 that names another challenge is answered once."""
        remember(secrets_of(credential))
        endpoint = self._transport.endpoint(reference.registry)
        challenge = parse_challenge(endpoint.ping.header("www-authenticate"))
        who = credential if credential.present else None
        repository = reference.repository
        url = f"{endpoint.base}/v2/{repository}/{path}"
        sent = self._tokens.authorization(endpoint, challenge, repository, who)
        response = self._send(method, endpoint, url, sent)
        if response.status != _UNAUTHORIZED:
            return response
        self._tokens.forget(endpoint, repository)  # if it was the one for pushing, another may do
        challenge = parse_challenge(response.header("www-authenticate"))
        answer = self._tokens.authorization(endpoint, challenge, repository, who)
        return response if answer in ({}, sent) else self._send(method, endpoint, url, answer)

    def _send(self, method: str, endpoint: Endpoint, url: str, authorization: dict[str, str]) -> Response:
        headers = {"Accept": manifests.ACCEPT} | authorization
        return self._transport.send(method, url, verify=endpoint.verify, headers=headers, follow=True)
