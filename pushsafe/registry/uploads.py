"""Upload sessions: opened by a registry, content sent to where they point, asked for what is kept, or cancelled."""

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
"""Statuses of a piece that was taken: 202 by the specification; crane (`pkg/v1/remote/write.go`) knows the others."""
DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
"""Statuses of a blob that was taken: 201 by the specification; containerd takes all three
(`core/remotes/docker/pusher.go`)."""
CANCEL_TIME = 0.5
"""Seconds that there are for cancelling, at least."""
_NO_PLACE = (NobodyThere, TlsFailed)
"""What shows that an address is none for uploads, now and later."""
NOWHERE = "it opens an upload, but does not say where to send it"
_MOST_REDIRECTS = 3  # of one request
_TOLD = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


def _lengths(start: int, size: int) -> dict[str, str]:
    """Headers of a piece of `size` bytes, at least one (OCI distribution specification, "Pushing a blob in chunks")."""
    return {"Content-Length": str(size), "Content-Range": f"{start}-{start + size - 1}"}


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


@dataclass(slots=True, repr=False, eq=False)
class UploadSession:
    """One upload that `who` started at `url` with `headers`, which may hold a secret.

    `location` is what the last answer named. No piece but the last may be smaller than `least` bytes
    (`OCI-Chunk-Min-Length`). `onward` is where a redirect sends the next request instead, after so many `redirects` of
    it. For one thread at a time; for `cancel`, any.
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
        """Where the upload goes on, without a fragment, which is nobody's but ours (RFC 9110 section 10.2.2); empty
        where that cannot be read."""
        try:
            place = urldefrag(urljoin(self.url, self.location)).url
            return place if place != self.url and all(place_of(place)[:2]) else ""
        except ValueError:
            return ""

    def trouble(self) -> str:
        """Why nothing can be sent to where the upload goes on; empty where it can. To ask for that costs no request.

        The registry's own address was asked before. What is out of reach from here may yet be in that of an engine
        which is not on this machine.
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
        except _NO_PLACE as error:
            return astray(lead, place, error.message).message if self.transport.engine_is_local() else ""
        except RegistryUnreachable:
            pass  # it is slow, or away for a moment: then the push shows it
        return ""

    def finish(self, digest: str, size: int, parts: Iterable[bytes | memoryview]) -> Response:
        """Send the whole content, or nothing after pieces that were all of it (`PUT LOCATION?digest=DIGEST`).

        Another origin gets no credential, as with containerd (`core/remotes/docker/pusher.go`): a registry may point
        to any. Raises RegistryUnreachable.
        """
        place = self._needed_place()
        named = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
        return self._send("PUT", named, {"Content-Length": str(size)}, parts)

    def append(self, start: int, size: int, parts: Iterable[bytes | memoryview]) -> Response:
        """Send `size` bytes that come after the first `start` ones (`PATCH LOCATION`); where it was taken the upload
        goes on from there.

        OCI distribution specification, "Pushing a blob in chunks". Raises RegistryUnreachable.
        """
        place = self._needed_place()
        response = self._send("PATCH", place, _lengths(start, size), parts)
        if response.status in TAKEN:
            self._move(place, response)
        return response

    def follow(self, answer: Response) -> bool:
        """Whether the answer sends the same content to somewhere else at its origin (307, 308), where the next one then
        goes. Elsewhere it is not followed: that is what a Location is for."""
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
        """The answer to content that went to the registry's own address. Raises ProxyAnswers where a proxy gave it."""
        return of_registry(self.who.endpoint, "PUT", answer) if self._is_ours(self.place()) else answer

    def kept(self, retry_policy: RetryPolicy) -> int:
        """How many bytes the registry has (`GET LOCATION`); 0 if it does not know the upload, or has nothing of it.

        A range has no way to say that there is nothing: `0-0` is taken for that. Raises RegistryUnreachable.
        """
        place = self._needed_place()
        response = self._ask(place, retry_policy)
        if response.status == HTTPStatus.UNAUTHORIZED and self.renew(response):
            response = self._ask(place, retry_policy)
        found = _RANGE.fullmatch(response.header("range"))
        if response.status not in _TOLD or found is None or found[1] == "0":
            return 0
        self._move(place, response)
        return int(found[1]) + 1

    def renew(self, refusal: Response) -> bool:
        """Whether there is something else to answer a refusal with, a token younger than ours; it is then ours."""
        place = self.place()
        answer = self.who.answering(refusal, self.headers) if place and self._is_ours(place) else None
        if answer is None:
            return False
        self.headers = answer
        return True

    def cancel(self) -> None:
        """What goes wrong changes nothing: the registry drops unfinished uploads by itself. A moment for it there is
        even when the time for the run is over.

        Another origin gets neither the credential nor a DELETE, which may be anybody's to whom a registry points.
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
            begun = True  # there is a connection
            yield from parts

        try:
            with self.transport.stream(
                method, url, verify=verify, headers=sent, body=body(), registry=registry, lead=lead
            ) as answer:
                response = answer.whole()
        except _NO_PLACE as error:
            self.onward, self.redirects = "", 0
            if lead is None or begun or self.transport.has_answered(url):
                raise
            raise astray(lead, url, error.message) from None  # nobody is there, and it is the registry that said so
        except BaseException:
            self.onward, self.redirects = "", 0  # what was redirected begins anew at the registry
            raise
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
        # distribution wants a right for this that a push does not need (`registry/handlers/app.go`).
        who = self.who
        credential = who.credential if who.credential.present else None
        token = who.tokens.token(who.endpoint, challenge, who.repository, "delete", credential)
        if token.value and (token.granted is None or {"delete", "*"} & set(token.granted)):
            self.transport.send("DELETE", place, verify=verify, headers={"Authorization": f"Bearer {token.value}"})

    def _is_ours(self, place: str) -> bool:
        return place_of(place) == place_of(self.url)

    def _lead(self, place: str) -> Lead | None:
        """The registry's word for a place that is not its own."""
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
    """Opens upload sessions; for any number of threads.

    One that was opened and is not used is given to `later`, to be cancelled; those of which that is not known yet are
    what `close` leaves.
    """

    def __init__(
        self, transport: Transport, client: AuthorizedClient, later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._transport = transport
        self._client = client
        self._later = later
        self._open: set[UploadSession] = set()
        self._asked = 0  # requests for one whose answer is awaited
        self._closed = False
        self._settled = threading.Condition()

    def close(self, seconds: float) -> tuple[UploadSession, ...]:
        """Open no more, wait so long at most for the answers of those asked for; the uploads that are open then."""
        with self._settled:
            self._closed = True
            self._settled.wait_for(lambda: not self._asked, seconds)
            return tuple(self._open)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Within this an upload is asked for, and what was opened is then known. Raises RegistryUnreachable."""
        with self._settled:
            if self._closed:
                raise RegistryUnreachable("the run is over")
            self._asked += 1
        try:
            yield
        finally:
            with self._settled:
                self._asked -= 1
                self._settled.notify_all()

    def start(
        self, target: Repository, retry_policy: RetryPolicy, *, query: str = "", also_from: str = ""
    ) -> UploadSession | Evidence:
        """The upload that the target has opened, or what it said in place of that, of stage PUSH.

        Raises RegistryUnreachable.
        """
        reference, credential = target
        with self.asking():
            response, who, sent = self._client.start_upload(
                reference, credential, retry_policy, query=query, also_from=also_from
            )
            url, location = who.url(f"{UPLOADS}{query}"), response.header("location")
            least = _number(response.header("oci-chunk-min-length"))
            session = UploadSession(self._transport, who, url, location, sent, least)
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
        """Whether a blob of the repository `origin` is mounted; else the upload that a registry may open in its place.

        Any other answer settles nothing: whoever may not mount may yet upload. Nor does it that there was none: the
        token for it is one for two repositories, which a token server may fail to give while it gives others.
        """
        query = f"?{urlencode({'mount': blob.digest, 'from': origin})}"
        try:
            said = self.start(target, retry_policy, query=query, also_from=origin)
        except RegistryUnreachable:  # who cannot be reached at all says so at the upload
            return False, None
        if isinstance(said, UploadSession):
            return False, said
        return said.status == HTTPStatus.CREATED, None

    def end(self, session: UploadSession, *, used: bool = False) -> None:
        self._open.discard(session)
        if not used:
            self._later(session.cancel)
