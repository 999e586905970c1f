"""An upload that a registry has opened: its content sent to where it points, or the upload cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from pushsafe.errors import RegistryUnreachable
from pushsafe.model import Credential
from pushsafe.registry.auth import parse_challenge
from pushsafe.registry.tokens import Tokens
from pushsafe.registry.transport import Endpoint, Response, Transport, place_of

_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Upload:
    """One upload, started at `url` with `headers`, which may hold a secret; `location` is what the answer named."""

    transport: Transport
    tokens: Tokens
    endpoint: Endpoint
    repository: str
    credential: Credential | None
    url: str
    location: str
    headers: Mapping[str, str]

    def finish(self, digest: str, size: int, parts: Iterable[bytes]) -> Response:
        """Send the whole content, `size` bytes (`PUT LOCATION?digest=DIGEST`). Raises RegistryUnreachable.

        Another origin gets no credential, as with containerd (`core/remotes/docker/pusher.go`): a registry may point
        to any.
        """
        place = self._place()
        if not place:
            raise RegistryUnreachable(f"{self.endpoint.registry} opens an upload, and names no place for it")
        ours = place_of(place) == place_of(self.url)
        named = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        sent = {**headers, **self.headers} if ours else headers
        verify = self.endpoint.verify or not ours
        registry = self.endpoint.registry
        with self.transport.stream("PUT", named, verify=verify, headers=sent, body=parts, registry=registry) as answer:
            return answer.whole()

    def cancel(self) -> None:
        """What goes wrong changes nothing: the registry drops unfinished uploads by itself.

        Another origin gets neither the credential nor a DELETE, which may be anybody's to whom a registry points.
        """
        with suppress(RegistryUnreachable):
            place = self._place()
            if place and place_of(place) == place_of(self.url):
                self._delete(place)

    def _delete(self, place: str) -> None:
        verify = self.endpoint.verify
        response = self.transport.send("DELETE", place, verify=verify, headers=self.headers)
        challenge = parse_challenge(response.header("www-authenticate"))
        if response.status not in _REFUSED or not self.headers or "delete" not in challenge.parameters.get("scope", ""):
            return
        # distribution wants a right for this that a push does not need (`registry/handlers/app.go`).
        token = self.tokens.token(self.endpoint, challenge, self.repository, "delete", self.credential)
        if token.value and (token.granted is None or {"delete", "*"} & set(token.granted)):
            self.transport.send("DELETE", place, verify=verify, headers={"Authorization": f"Bearer {token.value}"})

    def _place(self) -> str:
        """Where the upload goes on; empty where that cannot be read."""
        try:
            place = urljoin(self.url, self.location)
            return place if place != self.url and all(place_of(place)[:2]) else ""
        except ValueError:
            return ""
