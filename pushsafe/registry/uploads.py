"""Upload sessions: opened, sent to, asked for their state, and cancelled."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urldefrag, urlencode, urljoin

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable, TlsFailed
from pushsafe.model.evidence import REFUSED, Evidence, Stage
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.oci.manifest import Blob
from pushsafe.registry.authorized import UPLOADS, AuthorizedClient, Requester
from pushsafe.registry.http.destinations import Lead, astray
from pushsafe.registry.http.transport import SAME_AGAIN, Response, Transport, place_of
from pushsafe.registry.http.unreachable import NobodyThere
from pushsafe.registry.responses import evidence, of_registry, parse_challenge, undue

TAKEN = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
"""Statuses of an accepted chunk: 202 by the specification; crane (`pkg/v1/remote/write.go`) knows the others."""
DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
"""Statuses of an accepted blob: 201 by the specification; containerd accepts all three
(`core/remotes/docker/pusher.go`)."""
CANCEL_TIME = 0.5
"""Least seconds for a cancellation."""
_UNUSABLE = (NobodyThere, TlsFailed)
"""Errors after which an address cannot take uploads, now or later."""
NOWHERE = "it opens an upload, but does not say where to send it"
_MOST_REDIRECTS = 3  # of one request
_STATE_KNOWN = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


@dataclass(slots=True, repr=False, eq=False)
class UploadSession:
    """An upload that `who` started at `url` with `headers`, which may hold a secret.

    `location` is that of the last answer. No chunk but the last may be smaller than `least` bytes
    (`OCI-Chunk-Min-Length`). `onward` is where a redirect sends the next request, after so many `redirects`. Only
    `cancel` is thread-safe.
    """

    transport: Transport
    who: Requester
    url: str
    location: str
    headers: Mapping[str, str]
    least: int = 0
    onward: str = ""
    redirects: int = 0

    def place(self) -> str:
        """The URL of the upload, without a fragment (RFC 9110 section 10.2.2); empty where it cannot be read."""
        try:
            place = urldefrag(urljoin(self.url, self.location)).url
            return place if place != self.url and all(place_of(place)[:2]) else ""
        except ValueError:
            return ""

    def trouble(self) -> str:
        """Why the upload's URL cannot be sent to; empty where it can. Costs no request.

        The registry's own address has answered already. Another one may be within reach of a remote engine only.
        """
        place = self.place()
        if not place:
            return NOWHERE
        lead = self._lead(place)
        if lead is None:
            return ""
        try:
            self.transport.knock(place, registry=self.who.endpoint.registry, lead=lead)
        except RegistryAstray as error:
            return error.message
        except _UNUSABLE as error:
            return astray(lead, place, error.message).message if self.transport.engine_is_local() else ""
        except RegistryUnreachable:
            pass  # slow, or briefly away: the push will show
        return ""

    def finish(self, digest: str, size: int, parts: Iterable[bytes | memoryview]) -> Response:
        """Complete the blob with its last `size` bytes, all of it or none (`PUT LOCATION?digest=DIGEST`).

        A registry may name any origin; another than its own gets no credential, as with containerd
        (`core/remotes/docker/pusher.go`). Raises RegistryUnreachable.
        """
        place = self._needed_place()
        named = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
        return self._send("PUT", named, {"Content-Length": str(size)}, parts)

    def append(self, start: int, size: int, parts: Iterable[bytes | memoryview]) -> Response:
        """Send a chunk of `size` bytes, at least one, at offset `start` (`PATCH LOCATION`).

        OCI distribution specification, "Pushing a blob in chunks". Raises RegistryUnreachable.
        """
        place = self._needed_place()
        headers = {"Content-Length": str(size), "Content-Range": f"{start}-{start + size - 1}"}
        response = self._send("PATCH", place, headers, parts)
        if response.status in TAKEN:
            self._move(place, response)
        return response

    def follow(self, answer: Response) -> bool:
        """Whether the answer redirects the same content within the origin (307, 308): the next request then goes there.

        A redirect to another origin is not followed: a registry names those in an upload's Location.
        """
        asked, location = self.onward or self.place(), answer.header("location")
        self.onward = ""
        if answer.status not in SAME_AGAIN or not location or self.redirects == _MOST_REDIRECTS:
            return False
        with suppress(ValueError):
            onward = urldefrag(urljoin(asked, location)).url
            if place_of(onward) == place_of(asked):
                self.onward = onward
                self.redirects += 1
        return bool(self.onward)

    def by_registry(self, answer: Response) -> Response:
        """The answer. Raises ProxyAnswers where a proxy gave it in place of the registry."""
        return of_registry(self.who.endpoint, "PUT", answer) if self._is_ours(self.place()) else answer

    def kept(self, retry_policy: RetryPolicy) -> int:
        """How many bytes the registry has (`GET LOCATION`); 0 if it has none or does not know the upload.

        A range cannot express nothing: `0-0` counts as that. Raises RegistryUnreachable.
        """
        place = self._needed_place()
        response = self._ask(place, retry_policy)
        if response.status == HTTPStatus.UNAUTHORIZED and self.renew(response):
            response = self._ask(place, retry_policy)
        found = _RANGE.fullmatch(response.header("range"))
        if response.status not in _STATE_KNOWN or found is None or found[1] == "0":
            return 0
        self._move(place, response)
        return int(found[1]) + 1

    def renew(self, refusal: Response) -> bool:
        """Whether there is another authorization after a refusal, such as a younger token; it is then used."""
        place = self.place()
        answer = self.who.answering(refusal, self.headers) if place and self._is_ours(place) else None
        if answer is None:
            return False
        self.headers = answer
        return True

    def cancel(self) -> None:
        """Cancel the upload, also when the run's time is over. Errors are ignored: registries expire uploads.

        Another origin gets neither the credential nor a DELETE: a registry may name any server.
        """
        with suppress(RegistryUnreachable), self.transport.lasting(CANCEL_TIME):
            place = self.place()
            if place and self._is_ours(place):
                self._delete(place)

    def _send(self, method: str, url: str, headers: Mapping[str, str], parts: Iterable[bytes | memoryview]) -> Response:
        url = self.onward or url
        ours = self._is_ours(url)
        sent = {"Content-Type": "application/octet-stream", **headers, **(self.headers if ours else {})}
        verify, registry = self.who.endpoint.verify or not ours, self.who.endpoint.registry
        lead, begun = self._lead(url), False

        def body() -> Iterator[bytes | memoryview]:
            nonlocal begun
            begun = True  # connected
            yield from parts

        try:
            with self.transport.stream(
                method, url, verify=verify, headers=sent, body=body(), registry=registry, lead=lead
            ) as answer:
                response = answer.whole()
        except BaseException as error:
            self.onward, self.redirects = "", 0  # a retry starts at the registry again
            if not isinstance(error, _UNUSABLE) or lead is None or begun or self.transport.has_answered(url):
                raise
            raise astray(lead, url, error.message) from None  # the registry named an address without a server
        if response.status not in SAME_AGAIN:
            self.onward, self.redirects = "", 0
        return response

    def _ask(self, url: str, retry_policy: RetryPolicy) -> Response:
        ours = self._is_ours(url)
        headers = self.headers if ours else {}
        verify, registry, lead = self.who.endpoint.verify or not ours, self.who.endpoint.registry, self._lead(url)
        return self.transport.send(
            "GET", url, verify=verify, headers=headers, registry=registry, lead=lead, retry_policy=retry_policy
        )

    def _delete(self, place: str) -> None:
        verify = self.who.endpoint.verify
        response = self.transport.send("DELETE", place, verify=verify, headers=self.headers)
        challenge = parse_challenge(response.header("www-authenticate"))
        if response.status not in REFUSED or not self.headers or "delete" not in challenge.parameters.get("scope", ""):
            return
        # distribution requires the `delete` action, which a push does not need (`registry/handlers/app.go`).
        who = self.who
        credential = who.credential if who.credential.present else None
        token = who.tokens.token(who.endpoint, challenge, who.repository, "delete", credential)
        if token.value and (token.granted is None or {"delete", "*"} & set(token.granted)):
            self.transport.send("DELETE", place, verify=verify, headers={"Authorization": f"Bearer {token.value}"})

    def _is_ours(self, place: str) -> bool:
        return place_of(place) == place_of(self.url)

    def _lead(self, place: str) -> Lead | None:
        """The registry's lead to another origin; `None` for its own."""
        return None if self._is_ours(place) else Lead(self.who.endpoint.registry, self.url, "sends uploads to")

    def _move(self, asked: str, response: Response) -> None:
        with suppress(ValueError):
            self.location = urljoin(asked, response.header("location"))

    def _needed_place(self) -> str:
        place = self.place()
        if not place:
            raise RegistryUnreachable(f"{self.who.endpoint.registry}: {NOWHERE}")
        return place


class Uploads:
    """Opens upload sessions. Thread-safe.

    The cancellation of a session that ends unused is passed to `later`; `close` returns those still open.
    """

    def __init__(
        self, transport: Transport, client: AuthorizedClient, later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._transport = transport
        self._client = client
        self._later = later
        self._open: set[UploadSession] = set()
        self._pending = 0  # requests for a session without an answer yet
        self._closed = False
        self._settled = threading.Condition()

    def close(self, seconds: float) -> tuple[UploadSession, ...]:
        """Open no more sessions, wait up to `seconds` for pending ones, and return those that are open then."""
        with self._settled:
            self._closed = True
            self._settled.wait_for(lambda: not self._pending, seconds)
            return tuple(self._open)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Covers a request for an upload, until its session is known. Raises RegistryUnreachable."""
        with self._settled:
            if self._closed:
                raise RegistryUnreachable("the run is over")
            self._pending += 1
        try:
            yield
        finally:
            with self._settled:
                self._pending -= 1
                self._settled.notify_all()

    def start(
        self, target: Repository, retry_policy: RetryPolicy, *, query: str = "", also_from: str = ""
    ) -> UploadSession | Evidence:
        """A new upload session, or the target's answer, of stage PUSH. Raises RegistryUnreachable."""
        reference, credential = target
        with self.asking():
            response, who, sent = self._client.start_upload(
                reference, credential, retry_policy, query=query, also_from=also_from
            )
            url, location = who.url(f"{UPLOADS}{query}"), response.header("location")
            least = response.header("oci-chunk-min-length")
            least_bytes = int(least) if re.fullmatch(r"[0-9]{1,18}", least) else 0
            session = UploadSession(self._transport, who, url, location, sent, least_bytes)
            if response.status == HTTPStatus.ACCEPTED and session.place():
                self._open.add(session)
                return session
        said = evidence(Stage.PUSH, response, sent=credential.present)
        if response.status == HTTPStatus.ACCEPTED:
            return said._replace(code="", message=NOWHERE)
        return said if query else undue(said, "the start of an upload", HTTPStatus.ACCEPTED)

    def mount(
        self, blob: Blob, origin: str, target: Repository, retry_policy: RetryPolicy
    ) -> tuple[bool, UploadSession | None]:
        """Whether a blob of the repository `origin` was mounted; else the session that the registry may have opened.

        Other answers and errors are ignored: an account that may not mount may still upload, and a token server may
        fail to give the token for two repositories and yet give others.
        """
        query = f"?{urlencode({'mount': blob.digest, 'from': origin})}"
        try:
            said = self.start(target, retry_policy, query=query, also_from=origin)
        except RegistryUnreachable:  # an unreachable registry fails the upload, too
            return False, None
        if isinstance(said, UploadSession):
            return False, said
        return said.status == HTTPStatus.CREATED, None

    def end(self, session: UploadSession, *, used: bool = False) -> None:
        self._open.discard(session)
        if not used:
            self._later(session.cancel)
