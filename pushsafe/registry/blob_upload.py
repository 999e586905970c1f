"""Getting blobs into a repository: mounted, or uploaded from a file or another registry and hashed on the way."""

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
from pushsafe.model.outcomes import LayerState, OnSent
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
"""Chunk sizes, in bytes; the next one is used where a chunk is too large for a proxy.

Cloudflare passes 100 MB, nginx by default 1 MiB (`client_max_body_size`).
"""
WORTH_ASKING = 4 * _MIB
"""Bytes that count as progress; fewer are sent again without asking the registry how many it has."""

_ODD_ANSWERS = 3  # tolerated without progress
_FRESH_TRIES = 100  # how often progress restores all retries


class Body(Protocol):
    """The content of a blob, and the registries that it is read from, if any.

    `parts` reads from the beginning at each call; a part is valid until the next one is read. `mismatch` makes the
    error for content of another digest or size.
    """

    @property
    def blob(self) -> Blob: ...
    @property
    def registries(self) -> tuple[str, ...]: ...
    def parts(self) -> Iterator[memoryview]: ...
    def mismatch(self, found: Checksum) -> Exception: ...


class FileBody:
    """A blob in a file."""

    registries = ()

    def __init__(self, content: Content) -> None:
        self.blob = content.blob
        self.parts = content.parts
        self._file = content.file

    def mismatch(self, found: Checksum) -> ContentBroken:
        return ContentBroken(f"{self._file}: {found.mismatch}")


class StreamBody:
    """A blob streamed from another repository. Any other answer raises SourceFailed."""

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
    """The source of a copy did not send the blob."""

    def __init__(self, said: Evidence, retry_after: str = "") -> None:
        super().__init__()
        self.evidence = said
        self.retry_after = retry_after


class Reading:
    """Reads and hashes a body from its beginning, and yields it after the first `skipped` bytes.

    The last part is yielded only if the digest is right. `on_sent` gets the number of bytes sent after each part;
    `given` includes the part being sent. Errors of the body's first part are raised by the constructor.
    """

    def __init__(self, body: Body, on_sent: OnSent, skipped: int = 0) -> None:
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
        """Close the file even while a traceback still refers to this."""
        self._parts.close()


def _checked(body: Body, skipped: int) -> Generator[memoryview, None, None]:
    """The parts after the first `skipped` bytes; the last one only if digest and size are right."""
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
    """Gets blobs into repositories. Thread-safe; all methods raise RegistryUnreachable.

    `on_sent` gets the number of bytes sent after every part, fewer than before after a restart; it may raise to abort.
    A result that is no LayerState is a registry's answer.
    """

    def __init__(self, client: AuthorizedClient, uploads: Uploads, deadline: Callable[[], float | None]) -> None:
        self._client = client
        self.uploads = uploads
        self.deadline = deadline
        self._largest: dict[str, int] = {}
        self._lock = threading.Lock()

    def largest(self, registry: str) -> int:
        """The chunk size that passes a registry's proxy, in bytes; 0 for no known limit."""
        return self._largest.get(registry, 0)

    def cut(self, registry: str, size: int) -> int:
        """Limit the chunk size, and return the limit: another thread may have set a smaller one."""
        with self._lock:
            self._largest[registry] = min(size, self._largest.get(registry, size))
            return self._largest[registry]

    def holds(self, blob: Blob, target: Repository, retry_policy: RetryPolicy) -> bool:
        """Whether the target reports a blob; an account that may not read may still upload."""
        reference, credential = target
        answer = self._client.ask("HEAD", reference, f"blobs/{blob.digest}", credential, retry_policy)
        return answer.status == HTTPStatus.OK

    def copy(
        self, blob: Blob, source: Repository, target: Repository, on_sent: OnSent, retry_policy: RetryPolicy
    ) -> LayerState | Evidence:
        """Get a blob of the source into the target: REUSED, MOUNTED or SENT.

        Evidence of stage PUSH is the target's answer, of stage VERIFY the source's.
        """
        if self.holds(blob, target, retry_policy):
            return LayerState.REUSED
        near = source.reference.registry == target.reference.registry
        body = StreamBody(self._client, blob, source, retry_policy)
        return self._upload(body, target, source.reference.repository if near else "", on_sent, retry_policy)

    def send(
        self, content: Content, target: Repository, mount_from: str, on_sent: OnSent, retry_policy: RetryPolicy
    ) -> LayerState | Evidence:
        """Get a blob from a file into the target: MOUNTED or SENT, or Evidence of stage PUSH.

        `mount_from` is a repository of the registry that may have the blob, or empty. Raises ContentBroken before the
        last part is sent.
        """
        return self._upload(FileBody(content), target, mount_from, on_sent, retry_policy)

    def _upload(
        self, body: Body, target: Repository, mount_from: str, on_sent: OnSent, retry_policy: RetryPolicy
    ) -> LayerState | Evidence:
        session = None
        if mount_from:
            mounted, session = self.uploads.mount(body.blob, mount_from, target, retry_policy)
            if mounted:
                return LayerState.MOUNTED
        return _BlobUpload(self, body, target, on_sent, retry_policy).run(session)


@dataclass(slots=True)
class _Progress:
    """The state of one upload session: bytes `kept` by the registry, and bytes `given` to the connection.

    It is `in_pieces` once a chunk was sent, and `resumed` if it goes on from what the registry reported. The body of
    the last request had `last` bytes; a `finishing` request completes the blob.
    """

    kept: int = 0
    given: int = 0
    in_pieces: bool = False
    resumed: bool = False
    last: int = 0
    finishing: bool = False


class _Budget:
    """The retries of one blob. Progress restores them, but not without end."""

    def __init__(self, new: Callable[[], Retries]) -> None:
        self._new = new
        self.retries = new()
        self.odd = 0
        self._fresh = _FRESH_TRIES
        self._furthest = 0

    def progressed(self, kept: int) -> None:
        """Note that the registry has `kept` bytes."""
        if kept < self._furthest + WORTH_ASKING:
            return
        self._furthest, self.odd = kept, 0
        if self._fresh:
            self._fresh -= 1
            self.retries = self._new()


class _BlobUpload:
    """The upload of one blob.

    The first try is a single PUT, as in containerd: it takes the fewest round trips, and every registry accepts it.

    If that breaks off, the registry is asked how many bytes it has, and the rest is sent in chunks: some registries
    keep all that arrived, others (and any behind a proxy that buffers requests) only whole chunks. distribution keeps
    nothing of a PUT or PATCH that broke off (tried with 2.8.1): an upload with more bytes than its `_state` says is an
    error, even for a status request or a cancellation. Chunks from the start would not help there, and would cost round
    trips, so the upload restarts.
    """

    def __init__(
        self, uploader: BlobUploader, body: Body, target: Repository, on_sent: OnSent, retry_policy: RetryPolicy
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
        self._limit = uploader.largest(self._registry)  # a proxy's, 0 for none
        self._piece = self._limit  # 0: one PUT
        self._whole_only = False
        self._renewed = -1  # bytes kept when a token had expired

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
        """The result; `None` to go on from what the registry has, or to restart if that is nothing."""
        try:
            response, done = self._go_on(session)
        except SourceFailed as failed:
            if not self._budget.retries.after_answer(failed.evidence.status or 0, failed.retry_after):
                return failed.evidence
            self._resume(session)
            return None
        except Dropped as dropped:
            if self._size >= WORTH_ASKING and self._arrived(self._retry_policy):
                return LayerState.SENT
            if not self._retry_policy.retries:
                raise
            self._resume(session)
            if not self._budget.retries.after_drop(dropped):
                raise
            return None
        except RegistryAstray:
            raise
        except RegistryUnreachable:
            if self._arrived_late():
                return LayerState.SENT
            raise
        return LayerState.SENT if done else self._after_answer(session, response)

    def _go_on(self, session: UploadSession) -> tuple[Response, bool]:
        """Send the missing bytes: the answer to the last request, and whether it completed the blob."""
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
        """The size of the next chunk; 0 if the finishing request takes all missing bytes."""
        piece, missing = max(self._piece, least), self._size - self._progress.kept
        whole = not self._progress.kept and (not self._piece or missing <= piece)
        return 0 if whole else min(piece, missing)

    def _new_retries(self) -> Retries:
        who = dict.fromkeys((self._registry, *self._body.registries))
        return Retries(" or ".join(who), self._retry_policy, self._uploader.deadline)

    def _may_have_arrived(self) -> bool:
        """Whether only the answer may be lost or late, and retries are allowed."""
        progress = self._progress
        return bool(self._retry_policy.retries) and progress.finishing and progress.given >= self._size

    def _arrived(self, retry_policy: RetryPolicy) -> bool:
        return self._may_have_arrived() and self._uploader.holds(self._body.blob, self._target, retry_policy)

    def _arrived_late(self) -> bool:
        """Whether the blob appears, now or after a while, though no answer came in time: storing it may take long.

        If it does not, it is not sent again, which would take as long.
        """
        retries = self._new_retries()
        with suppress(RegistryUnreachable):  # the first one is reported
            while self._may_have_arrived():
                if self._arrived(self._retry_policy):
                    return True
                if not retries.after_silence():
                    break
        return False

    def _after_answer(self, session: UploadSession, refusal: Response) -> LayerState | Evidence | None:
        """The result after an answer that did not accept the bytes; `None` to try again."""
        again = self._budget.retries.after_answer(refusal.status, refusal.header("retry-after"))
        # A failing server may have stored the blob before, or its proxy did not wait for it.
        if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            with suppress(RegistryUnreachable):  # the retry meets it as well, or the refusal is reported
                if self._arrived(NO_RETRIES):  # the caller retries
                    return LayerState.SENT
        if again:
            self._resume(session)
        if again or self._recovered(session, refusal):
            return None
        refusal, progress = session.by_registry(refusal), self._progress
        return untaken(refusal, sent=self._target.credential.present, whole=progress.finishing, size=progress.last)

    def _recovered(self, session: UploadSession, refusal: Response) -> bool:
        """Whether the upload can go on after a refusal."""
        if session.follow(refusal):
            return True
        if refusal.status == HTTPStatus.UNAUTHORIZED:  # tokens live for minutes, a large layer may take longer
            if self._renewed == self._progress.kept or not session.renew(refusal):
                return False
            self._renewed = self._progress.kept
            self._resume(session)
            return True
        if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self._cut_smaller(session.least)
        return self._after_oddity(session, refusal.status)

    def _after_oddity(self, session: UploadSession, status: int) -> bool:
        """Whether to go on with a registry that takes no chunks, or does not resume at the offset it reported."""
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
        """Ask how many bytes the registry has; none, or an impossible number, restarts the upload."""
        progress, kept = self._progress, 0
        if progress.given >= WORTH_ASKING:
            try:
                kept = session.kept(self._retry_policy)
            except Dropped:
                raise
            except RegistryUnreachable:
                pass  # some registries do not answer while they wait for the rest of what broke off
        progress.kept = kept if kept <= progress.given else 0
        progress.resumed = bool(progress.kept)
        self._budget.progressed(progress.kept)
        if not self._whole_only or progress.kept:
            self._piece = min(self._piece or PIECES[0], PIECES[0])

    def _cut_smaller(self, least: int) -> bool:
        """Restart with smaller chunks, from now on for all blobs of this registry; false if there are none."""
        most = min(self._piece or self._size, self._size)
        smaller = next((size for size in PIECES if max(size, least) < most), 0)
        if not smaller:
            return False
        self._piece = self._limit = self._uploader.cut(self._registry, smaller)
        self._progress.kept = 0
        return True
