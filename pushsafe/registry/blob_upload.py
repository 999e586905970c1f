"""Blobs that lie in files sent to a repository: mounted, or sent, and gone on with where a connection broke off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from http import HTTPStatus

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import BUSY, NO_PATIENCE, Patience
from pushsafe.oci.content import Content
from pushsafe.oci.manifest import Blob
from pushsafe.registry.authorized import Asking
from pushsafe.registry.checksum import Reading
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.transport import Response
from pushsafe.registry.http.unreachable import Dropped
from pushsafe.registry.probe import untaken
from pushsafe.registry.upload_start import Opening
from pushsafe.registry.uploads import DONE, TAKEN, Upload

_MIB = 1024 * 1024
PIECES = (64 * _MIB, 16 * _MIB, 4 * _MIB, _MIB)
"""Bytes of the pieces of a blob that does not go as a whole, the next ones where these are too large for a proxy.

Cloudflare lets 100 MB pass, nginx 1 MiB unless it is told otherwise (`client_max_body_size`).
"""
WORTH_ASKING = 4 * _MIB
"""Bytes that are sent anew sooner than the registry is asked what it has of them; and that are some progress."""

_ODD_ANSWERS = 3  # that are put up with while nothing goes on
_FRESH_TRIES = 100  # how often progress earns the whole patience anew


class Sender:
    """For any number of threads."""

    def __init__(self, asking: Asking, opening: Opening, deadline: Callable[[], float | None]) -> None:
        self._asking = asking
        self.opening = opening
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

    def holds(self, blob: Blob, target: Repository, patience: Patience) -> bool:
        """Whether the target says that it has a blob: who may not look may yet upload. Raises RegistryUnreachable."""
        reference, credential = target
        return self._asking.ask("HEAD", reference, f"blobs/{blob.digest}", credential, patience).status == HTTPStatus.OK

    def send(
        self,
        content: Content,
        target: Repository,
        mount_from: str,
        on_sent: Callable[[int], None],
        patience: Patience,
    ) -> LayerState | Evidence:
        """Let the target have a blob: MOUNTED or SENT, or what it said in place of that, of stage PUSH.

        `mount_from` is another repository of the registry, which may have it; empty for none. `on_sent` is told after
        every part how many bytes are sent, less than before where it had to be begun anew; it may raise to end it.
        Raises RegistryUnreachable, and ContentBroken before the last of the blob is sent.
        """
        upload = None
        if mount_from:
            mounted, upload = self.opening.mount(content.blob, mount_from, target, patience)
            if mounted:
                return LayerState.MOUNTED
        return _Sending(self, content, target, on_sent, patience).run(upload)


class _Sending:
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
        sender: Sender,
        content: Content,
        target: Repository,
        on_sent: Callable[[int], None],
        patience: Patience,
    ) -> None:
        self._sender = sender
        self._opening = sender.opening
        self._content = content
        self._size = content.blob.size
        self._target = target
        self._registry = target.reference.registry
        self._on_sent = on_sent
        self._patience = patience
        self._retries = self._new_retries()
        self._fresh = _FRESH_TRIES
        self._odd = 0
        self._limit = sender.largest(self._registry)  # that of a proxy, 0 for none
        self._piece = self._limit  # 0: as a whole
        self._whole_only = False
        self._kept = 0  # bytes that the registry has of this upload
        self._given = 0  # bytes of it whose sending has begun
        self._last = 0  # bytes of the last request
        self._in_pieces = False  # whether a piece of this upload was sent
        self._finishing = False  # whether the last request was the one that makes it a blob
        self._resumed = False  # whether the registry was asked what it has of it
        self._furthest = 0  # bytes that the registry ever had
        self._renewed = -1  # where a token was found to be too old

    def run(self, upload: Upload | None) -> LayerState | Evidence:
        while True:
            if upload is None:
                opened = self._opening.start(self._target, self._patience)
                if isinstance(opened, Evidence):
                    return opened
                upload = opened
                self._kept, self._given, self._resumed, self._in_pieces = 0, 0, False, False
            try:
                said = self._try(upload)
            except BaseException:
                self._opening.end(upload)
                raise
            if said is None and (self._kept or upload.onward):
                continue
            self._opening.end(upload, used=isinstance(said, LayerState))
            if said is not None:
                return said
            upload = None

    def _try(self, upload: Upload) -> LayerState | Evidence | None:
        """How it ended; `None` where it is to go on from what the registry has, or to begin anew if that is nothing."""
        try:
            response, done = self._go_on(upload)
        except Dropped as dropped:
            if self._size >= WORTH_ASKING and self._came_through(self._patience):
                return LayerState.SENT
            if not self._after_drop(upload, dropped):
                raise
            return None
        except RegistryAstray:
            raise
        except RegistryUnreachable:
            if self._came_through_late():
                return LayerState.SENT
            raise
        return LayerState.SENT if done else self._after_answer(upload, response)

    # ------------------------------------------------------------------ sending

    def _go_on(self, upload: Upload) -> tuple[Response, bool]:
        """Send what is missing; the answer to the last request, and whether all of it is there by that."""
        self._finishing = False
        with closing(Reading(self._content, self._on_sent, self._kept)) as reading:
            try:
                while size := self._next_piece(upload.least):
                    self._in_pieces, self._last = True, size
                    response = upload.append(self._kept, size, reading.take(size))
                    if response.status not in TAKEN:
                        return response, False
                    self._kept += size
                    self._note_progress()
                self._finishing = True
                self._last = size = self._size - self._kept
                response = upload.finish(self._content.blob.digest, size, reading.take(size))
                return response, response.status in DONE
            finally:
                self._given = max(self._given, reading.given)

    def _next_piece(self, least: int) -> int:
        """Bytes of the next piece; 0 where the request that makes it a blob takes all that is missing."""
        piece, missing = max(self._piece, least), self._size - self._kept
        whole = not self._kept and (not self._piece or missing <= piece)
        return 0 if whole else min(piece, missing)

    def _note_progress(self) -> None:
        """The patience is for a connection that does not get on; but for ever it is not."""
        if self._kept < self._furthest + WORTH_ASKING:
            return
        self._furthest, self._odd = self._kept, 0
        if self._fresh:
            self._fresh -= 1
            self._retries = self._new_retries()

    def _new_retries(self) -> Retries:
        return Retries(self._registry, self._patience, self._sender.deadline)

    # ------------------------------------------------------------------ going on

    def _may_be_there(self) -> bool:
        """Whether it may be the answer alone that was lost, or came too late, and whether to ask for that."""
        return bool(self._patience.retries) and self._finishing and self._given >= self._size

    def _came_through(self, patience: Patience) -> bool:
        return self._may_be_there() and self._sender.holds(self._content.blob, self._target, patience)

    def _came_through_late(self) -> bool:
        """Whether it is there, at once or after a while, though nobody said so in time: putting it away may take long.

        If it is not, it is not sent again, which would only take as long.
        """
        retries = self._new_retries()
        with suppress(RegistryUnreachable):  # the first one is the one to tell of
            while self._may_be_there():
                if self._came_through(self._patience):
                    return True
                if not retries.after_silence():
                    break
        return False

    def _after_drop(self, upload: Upload, dropped: Dropped) -> bool:
        """Whether it is worth another try."""
        if not self._patience.retries:
            return False
        self._resume(upload)
        return self._retries.after_drop(dropped)

    def _after_answer(self, upload: Upload, refusal: Response) -> LayerState | Evidence | None:
        """A server that fails may have put the blob away before; or its proxy did not wait for it."""
        again = self._retries.after_answer(refusal.status, refusal.header("retry-after"))
        if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            with suppress(RegistryUnreachable):  # what comes next meets that as well, or the refusal is told
                if self._came_through(NO_PATIENCE):  # there is a patience around it
                    return LayerState.SENT
        if again:
            self._resume(upload)
        if again or self._mended(upload, refusal):
            return None
        refusal = upload.by_registry(refusal)
        return untaken(refusal, sent=self._target.credential.present, whole=self._finishing, size=self._last)

    def _mended(self, upload: Upload, refusal: Response) -> bool:
        """Whether there is something to do about a refusal."""
        status = refusal.status
        if upload.follow(refusal):
            return True
        if status == HTTPStatus.UNAUTHORIZED:  # tokens live for a minute or a few, and a large layer may take longer
            if self._renewed == self._kept or not upload.renew(refusal):
                return False
            self._renewed = self._kept
            self._resume(upload)
            return True
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self._cut_smaller(upload.least)
        return self._after_oddity(upload, status)

    def _after_oddity(self, upload: Upload, status: int) -> bool:
        """A registry may not take pieces, or not go on where it said itself that it was."""
        ours = (
            self._resumed
            or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            or (self._in_pieces and self._limit < self._piece)
        )
        self._odd += ours
        if not ours or status in (HTTPStatus.FORBIDDEN, *BUSY) or self._odd > _ODD_ANSWERS:
            return False
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._resume(upload)
            return True
        self._kept = 0
        self._whole_only = True
        self._piece = self._limit
        return True

    def _resume(self, upload: Upload) -> None:
        """Find out what the registry has; if that is nothing, or cannot be, it is begun anew."""
        kept = self._ask(upload) if self._given >= WORTH_ASKING else 0
        self._kept = kept if kept <= self._given else 0
        self._resumed = bool(self._kept)
        self._note_progress()
        if not self._whole_only or self._kept:
            self._piece = min(self._piece or PIECES[0], PIECES[0])

    def _ask(self, upload: Upload) -> int:
        try:
            return upload.kept(self._patience)
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
        self._piece = self._limit = self._sender.cut(self._registry, smaller)
        self._kept = 0
        return True
