"""Blobs brought to a repository: mounted, or uploaded from a file or from another registry, and hashed on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import ContentBroken, RegistryAstray, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import BUSY, NO_RETRIES, RetryPolicy
from pushsafe.oci.content import Checksum, Content
from pushsafe.oci.manifest import Blob
from pushsafe.registry.authorized import AuthorizedClient
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.transport import Response
from pushsafe.registry.http.unreachable import Dropped
from pushsafe.registry.responses import evidence, untaken
from pushsafe.registry.uploads import DONE, TAKEN, Uploads, UploadSession

_MIB = 1024 * 1024
PIECES = (64 * _MIB, 16 * _MIB, 4 * _MIB, _MIB)
"""Bytes of the pieces of a blob that does not go as a whole, the next ones where these are too large for a proxy.

Cloudflare lets 100 MB pass, nginx 1 MiB unless it is told otherwise (`client_max_body_size`).
"""
WORTH_ASKING = 4 * _MIB
"""Bytes that are sent anew sooner than the registry is asked what it has of them; and that are some progress."""

_ODD_ANSWERS = 3  # that are put up with while nothing goes on
_FRESH_TRIES = 100  # how often progress earns all retries anew


class Body(Protocol):
    """The bytes of a blob, and the registries that they are read from, if any.

    `parts` reads them from the beginning, as often as is wanted; each part holds until the next one is asked for.
    `mismatch` is what to raise where the digest or the size of all parts is not the blob's.
    """

    @property
    def blob(self) -> Blob: ...
    @property
    def registries(self) -> tuple[str, ...]: ...
    def parts(self) -> Iterator[memoryview]: ...
    def mismatch(self, found: Checksum) -> Exception: ...


class FileBody:
    """A file's."""

    registries = ()

    def __init__(self, content: Content) -> None:
        self.blob = content.blob
        self.parts = content.parts
        self._file = content.file

    def mismatch(self, found: Checksum) -> ContentBroken:
        return ContentBroken(f"{self._file}: {found.mismatch}")


class StreamBody:
    """Another repository's, as a stream. What it answers in place of the blob is raised as SourceFailed."""

    def __init__(self, client: AuthorizedClient, blob: Blob, source: Repository, retry_policy: RetryPolicy) -> None:
        self._client = client
        self.blob = blob
        self._source = source
        self._retry_policy = retry_policy
        self.registries = (source.reference.registry,)

    def parts(self) -> Iterator[memoryview]:
        reference, credential = self._source
        path = f"blobs/{self.blob.digest}"
        with self._client.stream(reference, path, credential, self._retry_policy, self.blob.size) as answer:
            if answer.status != HTTPStatus.OK:
                refusal = answer.whole()
                said = evidence(Stage.VERIFY, refusal, sent=credential.present)
                raise SourceFailed(said, refusal.header("retry-after"))
            yield from (memoryview(part) for part in answer.parts())

    def mismatch(self, found: Checksum) -> SourceFailed:
        size = self.blob.size
        sent = f"{found.size} bytes of {found.digest}" if found.size <= size else f"more than {size} bytes"
        said = f"asked for {self.blob.digest} of {size} bytes, it sent {sent}"
        present = self._source.credential.present
        return SourceFailed(Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, code="DIGEST_MISMATCH", sent=present))


class SourceFailed(Exception):
    """The source of a copy does not send what it was asked for."""

    def __init__(self, said: Evidence, retry_after: str = "") -> None:
        super().__init__()
        self.evidence = said
        self.retry_after = retry_after


class Reading:
    """One reading of a body from its beginning, of which the first `skipped` bytes are not given out.

    All of it is hashed, and its last part given out only where the digest was right. `on_sent` is called after each
    part with how many bytes of the blob are sent by then; `given` counts them when their sending begins. It raises what
    the body does, when it is made if that shows in the first part already.
    """

    def __init__(self, body: Body, on_sent: Callable[[int], None], skipped: int = 0) -> None:
        self._on_sent = on_sent
        self._parts = _checked(body, skipped)
        self._rest = memoryview(b"")
        self.given = skipped
        if not skipped:
            self._rest = next(self._parts, self._rest)

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes."""
        end = self.given + size
        while self.given < end:
            rest = self._rest or next(self._parts)
            part, self._rest = rest[: end - self.given], rest[end - self.given :]
            self.given += len(part)
            yield part
            self._on_sent(self.given)

    def close(self) -> None:
        """The file is not kept open by whoever holds an exception."""
        self._parts.close()


def _checked(body: Body, skipped: int) -> Generator[memoryview, None, None]:
    """What comes after the first `skipped` bytes, its last part only when all of it was right."""
    size, seen, last = body.blob.size, Checksum(body.blob), b""
    for part in body.parts():
        seen.add(part)
        if seen.size > size:
            break
        wanted = part[max(0, skipped + len(part) - seen.size) :]
        if seen.size == size:
            last += wanted
        elif wanted:
            yield wanted
    if not seen.matches:
        raise body.mismatch(seen)
    if last:
        yield memoryview(last)


class BlobUploader:
    """Lets repositories hold blobs; for any number of threads.

    `on_sent` is told after every part how many bytes are sent, less than before where it had to be begun anew; it may
    raise to end it. All methods raise RegistryUnreachable; what is not LayerState is what a registry said.
    """

    def __init__(self, client: AuthorizedClient, uploads: Uploads, deadline: Callable[[], float | None]) -> None:
        self._client = client
        self.uploads = uploads
        self.deadline = deadline
        self._largest: dict[str, int] = {}
        self._lock = threading.Lock()

    def largest(self, registry: str) -> int:
        """Bytes of the pieces that pass the proxy in front of a registry, where a whole blob did not; 0 for any."""
        return self._largest.get(registry, 0)

    def cut(self, registry: str, size: int) -> int:
        """Let pieces be no larger; another blob may have met a smaller limit meanwhile, which is then the answer."""
        with self._lock:
            self._largest[registry] = min(size, self._largest.get(registry, size))
            return self._largest[registry]

    def holds(self, blob: Blob, target: Repository, retry_policy: RetryPolicy) -> bool:
        """Whether the target says that it has a blob: who may not look may yet upload."""
        reference, credential = target
        answer = self._client.ask("HEAD", reference, f"blobs/{blob.digest}", credential, retry_policy)
        return answer.status == HTTPStatus.OK

    def copy(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        """Let the target hold a blob of the source: REUSED, MOUNTED or SENT.

        An Evidence of stage PUSH is what the target said, one of stage VERIFY the source.
        """
        if self.holds(blob, target, retry_policy):
            return LayerState.REUSED
        near = source.reference.registry == target.reference.registry
        body = StreamBody(self._client, blob, source, retry_policy)
        return self._upload(body, target, source.reference.repository if near else "", on_sent, retry_policy)

    def send(
        self,
        content: Content,
        target: Repository,
        mount_from: str,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        """Let the target have a blob that lies in a file: MOUNTED or SENT, or an Evidence of stage PUSH.

        `mount_from` is another repository of the registry, which may have it; empty for none. Raises ContentBroken,
        before the last of the blob is sent.
        """
        return self._upload(FileBody(content), target, mount_from, on_sent, retry_policy)

    def _upload(
        self, body: Body, target: Repository, mount_from: str, on_sent: Callable[[int], None], retry_policy: RetryPolicy
    ) -> LayerState | Evidence:
        session = None
        if mount_from:
            mounted, session = self.uploads.mount(body.blob, mount_from, target, retry_policy)
            if mounted:
                return LayerState.MOUNTED
        return _BlobUpload(self, body, target, on_sent, retry_policy).run(session)


@dataclass(slots=True)
class _Progress:
    """How far one upload session is: bytes that the registry has `kept`, and bytes whose sending has begun (`given`).

    It is `in_pieces` once a piece was sent, and `resumed` once the registry was asked what it has. The last request had
    a body of `last` bytes, and was `finishing` if it makes it a blob.
    """

    kept: int = 0
    given: int = 0
    in_pieces: bool = False
    resumed: bool = False
    last: int = 0
    finishing: bool = False


class _Budget:
    """The retries of one blob. They are for a connection that does not get on; but for ever they are not."""

    def __init__(self, new: Callable[[], Retries]) -> None:
        self._new = new
        self.retries = new()
        self.odd = 0
        self._fresh = _FRESH_TRIES
        self._furthest = 0

    def progressed(self, kept: int) -> None:
        """The registry has so many bytes."""
        if kept < self._furthest + WORTH_ASKING:
            return
        self._furthest, self.odd = kept, 0
        if self._fresh:
            self._fresh -= 1
            self.retries = self._new()


class _BlobUpload:
    """One blob on its way.

    It goes as one PUT first: that takes the fewest round trips, and containerd does it, so every registry takes it.

    Where that breaks off, the registry is asked what it has, and the rest goes in pieces: some registries keep all that
    came, others only pieces that came whole, as does every one behind a proxy that holds a request back until all of it
    is there. distribution keeps neither of a PUT nor of a PATCH that broke off (2.8.1 was tried): the `_state` of an
    upload says how much it has, and one that has more is an error, also where it is only asked for or cancelled. So
    pieces from the outset would win nothing of that, and cost round trips; it is begun anew.
    """

    def __init__(
        self,
        uploader: BlobUploader,
        body: Body,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> None:
        self._uploader = uploader
        self._body = body
        self._size = body.blob.size
        self._target = target
        self._registry = target.reference.registry
        self._on_sent = on_sent
        self._retry_policy = retry_policy
        self._budget = _Budget(self._new_retries)
        self._progress = _Progress()
        self._limit = uploader.largest(self._registry)  # that of a proxy, 0 for none
        self._piece = self._limit  # 0: as a whole
        self._whole_only = False
        self._renewed = -1  # where a token was found to be too old

    def run(self, session: UploadSession | None) -> LayerState | Evidence:
        uploads = self._uploader.uploads
        while True:
            if session is None:
                opened = uploads.start(self._target, self._retry_policy)
                if isinstance(opened, Evidence):
                    return opened
                session, self._progress = opened, _Progress()
            try:
                said = self._try(session)
            except BaseException:
                uploads.end(session)
                raise
            if said is None and (self._progress.kept or session.onward):
                continue
            uploads.end(session, used=isinstance(said, LayerState))
            if said is not None:
                return said
            session = None

    def _try(self, session: UploadSession) -> LayerState | Evidence | None:
        """How it ended; `None` where it is to go on from what the registry has, or to begin anew if that is nothing."""
        try:
            response, done = self._go_on(session)
        except SourceFailed as failed:
            if not self._budget.retries.after_answer(failed.evidence.status or 0, failed.retry_after):
                return failed.evidence
            self._resume(session)
            return None
        except Dropped as dropped:
            if self._size >= WORTH_ASKING and self._came_through(self._retry_policy):
                return LayerState.SENT
            if not self._after_drop(session, dropped):
                raise
            return None
        except RegistryAstray:
            raise
        except RegistryUnreachable:
            if self._came_through_late():
                return LayerState.SENT
            raise
        return LayerState.SENT if done else self._after_answer(session, response)

    # ------------------------------------------------------------------ sending

    def _go_on(self, session: UploadSession) -> tuple[Response, bool]:
        """Send what is missing; the answer to the last request, and whether all of it is there by that."""
        progress = self._progress
        progress.finishing = False
        with closing(Reading(self._body, self._on_sent, progress.kept)) as reading:
            try:
                while size := self._next_piece(session.least):
                    progress.in_pieces, progress.last = True, size
                    response = session.append(progress.kept, size, reading.take(size))
                    if response.status not in TAKEN:
                        return response, False
                    progress.kept += size
                    self._budget.progressed(progress.kept)
                progress.finishing = True
                progress.last = size = self._size - progress.kept
                response = session.finish(self._body.blob.digest, size, reading.take(size))
                return response, response.status in DONE
            finally:
                progress.given = max(progress.given, reading.given)

    def _next_piece(self, least: int) -> int:
        """Bytes of the next piece; 0 where the request that makes it a blob takes all that is missing."""
        piece, missing = max(self._piece, least), self._size - self._progress.kept
        whole = not self._progress.kept and (not self._piece or missing <= piece)
        return 0 if whole else min(piece, missing)

    def _new_retries(self) -> Retries:
        who = dict.fromkeys((self._registry, *self._body.registries))
        return Retries(" or ".join(who), self._retry_policy, self._uploader.deadline)

    # ------------------------------------------------------------------ going on

    def _may_be_there(self) -> bool:
        """Whether it may be the answer alone that was lost, or came too late, and whether to ask for that."""
        progress = self._progress
        return bool(self._retry_policy.retries) and progress.finishing and progress.given >= self._size

    def _came_through(self, retry_policy: RetryPolicy) -> bool:
        return self._may_be_there() and self._uploader.holds(self._body.blob, self._target, retry_policy)

    def _came_through_late(self) -> bool:
        """Whether it is there, at once or after a while, though nobody said so in time: putting it away may take long.

        If it is not, it is not sent again, which would only take as long.
        """
        retries = self._new_retries()
        with suppress(RegistryUnreachable):  # the first one is the one to tell of
            while self._may_be_there():
                if self._came_through(self._retry_policy):
                    return True
                if not retries.after_silence():
                    break
        return False

    def _after_drop(self, session: UploadSession, dropped: Dropped) -> bool:
        """Whether it is worth another try."""
        if not self._retry_policy.retries:
            return False
        self._resume(session)
        return self._budget.retries.after_drop(dropped)

    def _after_answer(self, session: UploadSession, refusal: Response) -> LayerState | Evidence | None:
        """A server that fails may have put the blob away before; or its proxy did not wait for it."""
        again = self._budget.retries.after_answer(refusal.status, refusal.header("retry-after"))
        if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            with suppress(RegistryUnreachable):  # what comes next meets that as well, or the refusal is told
                if self._came_through(NO_RETRIES):  # the caller has retries of its own
                    return LayerState.SENT
        if again:
            self._resume(session)
        if again or self._mended(session, refusal):
            return None
        refusal, progress = session.by_registry(refusal), self._progress
        return untaken(refusal, sent=self._target.credential.present, whole=progress.finishing, size=progress.last)

    def _mended(self, session: UploadSession, refusal: Response) -> bool:
        """Whether there is something to do about a refusal."""
        if session.follow(refusal):
            return True
        if refusal.status == HTTPStatus.UNAUTHORIZED:  # tokens live for minutes, and a large layer may take longer
            if self._renewed == self._progress.kept or not session.renew(refusal):
                return False
            self._renewed = self._progress.kept
            self._resume(session)
            return True
        if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self._cut_smaller(session.least)
        return self._after_oddity(session, refusal.status)

    def _after_oddity(self, session: UploadSession, status: int) -> bool:
        """A registry may not take pieces, or not go on where it said itself that it was."""
        progress, out_of_order = self._progress, status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        ours = progress.resumed or out_of_order or (progress.in_pieces and self._limit < self._piece)
        self._budget.odd += ours
        if not ours or status in (HTTPStatus.FORBIDDEN, *BUSY) or self._budget.odd > _ODD_ANSWERS:
            return False
        if out_of_order:
            self._resume(session)
            return True
        progress.kept = 0
        self._whole_only = True
        self._piece = self._limit
        return True

    def _resume(self, session: UploadSession) -> None:
        """Find out what the registry has; if that is nothing, or cannot be, it is begun anew."""
        progress = self._progress
        kept = self._ask(session) if progress.given >= WORTH_ASKING else 0
        progress.kept = kept if kept <= progress.given else 0
        progress.resumed = bool(progress.kept)
        self._budget.progressed(progress.kept)
        if not self._whole_only or progress.kept:
            self._piece = min(self._piece or PIECES[0], PIECES[0])

    def _ask(self, session: UploadSession) -> int:
        try:
            return session.kept(self._retry_policy)
        except Dropped:
            raise
        except RegistryUnreachable:  # some wait, and let us wait, for the rest of what has broken off
            return 0

    def _cut_smaller(self, least: int) -> bool:
        """Begin anew with smaller pieces, if there are any; all blobs for this registry do from now on."""
        most = min(self._piece or self._size, self._size)
        smaller = next((size for size in PIECES if max(size, least) < most), 0)
        if not smaller:
            return False
        self._piece = self._limit = self._uploader.cut(self._registry, smaller)
        self._progress.kept = 0
        return True
