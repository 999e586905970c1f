"""Blobs that lie in files sent to a repository: mounted, or sent, and gone on with where a connection broke off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from pushsafe.errors import RegistryUnreachable
from pushsafe.gateways import Content
from pushsafe.model import Blob, Evidence, LayerState, Repository, Stage
from pushsafe.patience import BUSY, Patience
from pushsafe.registry.asking import Asking
from pushsafe.registry.checked import Reading
from pushsafe.registry.opening import Opening
from pushsafe.registry.probe import evidence
from pushsafe.registry.retries import Retries
from pushsafe.registry.transport import Response
from pushsafe.registry.unreachable import Dropped
from pushsafe.registry.uploads import TAKEN, Upload

_MIB = 1024 * 1024
PIECES = (64 * _MIB, 16 * _MIB, 4 * _MIB, _MIB)
"""Bytes of the pieces of a blob that does not go as a whole, the next ones where these are too large for a proxy.

Cloudflare lets 100 MB pass, nginx 1 MiB unless it is told otherwise (`client_max_body_size`).
"""
WORTH_ASKING = 4 * _MIB
"""Bytes that are sent anew sooner than the registry is asked what it has of them; and that are some progress."""

_OK, _UNAUTHORIZED, _FORBIDDEN, _TOO_LARGE, _BAD_RANGE = 200, 401, 403, 413, 416
_DONE = (200, 201, 204)  # 201 by the specification; containerd takes all three (`core/remotes/docker/pusher.go`)
_ODD_ANSWERS = 3  # that are put up with while nothing goes on
_FRESH_TRIES = 100  # how often progress earns the whole patience anew


class Sender:
    """For any number of threads."""

    def __init__(self, asking: Asking, opening: Opening, deadline: Callable[[], float | None]) -> None:
        self._asking = asking
        self.opening = opening
        self.deadline = deadline
        self.largest: dict[str, int] = {}
        """Bytes of the pieces that pass the proxy before a registry, where a whole blob did not."""

    def holds(self, blob: Blob, target: Repository, patience: Patience) -> bool:
        """Whether the target says that it has a blob: who may not look may yet upload. Raises RegistryUnreachable."""
        reference, credential = target
        return self._asking.ask("HEAD", reference, f"blobs/{blob.digest}", credential, patience).status == _OK

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
    pieces from the outset would cost round trips, and win nothing there; it is begun anew.
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
        self._limit = sender.largest.get(self._registry, 0)  # that of a proxy, 0 for none
        self._piece = self._limit  # 0: as a whole
        self._whole_only = False
        self._kept = 0  # bytes that the registry has of this upload
        self._given = 0  # bytes of it whose sending has begun
        self._resumed = False  # whether the registry was asked what it has of it
        self._furthest = 0  # bytes that the registry ever had
        self._renewed = -1  # where a token was found to be too old

    def run(self, upload: Upload | None) -> LayerState | Evidence:
        while True:
            if upload is None:
                response, upload = self._opening.start(self._target, self._patience)
                if upload is None:
                    return self._refusal(response)
                self._kept, self._given, self._resumed = 0, 0, False
            try:
                said = self._try(upload)
            except BaseException:
                self._opening.end(upload)
                raise
            if said is None and self._kept:
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
            if self._came_through():
                return LayerState.SENT
            if not self._after_drop(upload, dropped):
                raise
            return None
        if done:
            return LayerState.SENT
        return None if self._after_answer(upload, response) else self._refusal(response)

    def _refusal(self, response: Response) -> Evidence:
        return evidence(Stage.PUSH, response, sent=self._target.credential.present)

    # ------------------------------------------------------------------ sending

    def _go_on(self, upload: Upload) -> tuple[Response, bool]:
        """Send what is missing; the answer to the last request, and whether all of it is there by that."""
        blob, piece = self._content.blob, max(self._piece, upload.least)
        with closing(Reading(self._content, self._on_sent, self._kept)) as reading:
            try:
                if not self._kept and (not self._piece or self._size <= piece):
                    response = upload.finish(blob.digest, self._size, reading.take(self._size))
                    return response, response.status in _DONE
                while (start := self._kept) < self._size:
                    size = min(piece, self._size - start)
                    response = upload.append(start, size, reading.take(size))
                    if response.status not in TAKEN:
                        return response, False
                    self._kept = start + size
                    self._note_progress()
                response = upload.finish(blob.digest, 0, ())
                return response, response.status in _DONE
            finally:
                self._given = max(self._given, reading.given)

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

    def _came_through(self) -> bool:
        """Whether only the answer was lost."""
        if not self._patience.retries or not self._given == self._size >= WORTH_ASKING:
            return False
        return self._sender.holds(self._content.blob, self._target, self._patience)

    def _after_drop(self, upload: Upload, dropped: Dropped) -> bool:
        """Whether it is worth another try."""
        if not self._patience.retries:
            return False
        self._resume(upload)
        return self._retries.after_drop(dropped)

    def _after_answer(self, upload: Upload, refusal: Response) -> bool:
        status = refusal.status
        if status == _UNAUTHORIZED:  # tokens live for a minute or a few, and a large layer may take longer
            if self._renewed == self._kept or not upload.renew(refusal):
                return False
            self._renewed = self._kept
            self._resume(upload)
            return True
        if status == _TOO_LARGE:
            return self._cut_smaller(upload.least)
        if self._retries.after_answer(status, refusal.header("retry-after")):
            self._resume(upload)
            return True
        return self._after_oddity(upload, status)

    def _after_oddity(self, upload: Upload, status: int) -> bool:
        """A registry may not take pieces, or not go on where it said itself that it was."""
        ours = self._resumed or status == _BAD_RANGE or self._piece > self._limit
        self._odd += ours
        if not ours or status in (_FORBIDDEN, *BUSY) or self._odd > _ODD_ANSWERS:
            return False
        if status == _BAD_RANGE:
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
            self._piece = self._piece or PIECES[0]

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
        self._piece = self._limit = smaller
        self._sender.largest[self._registry] = smaller
        self._kept = 0
        return True
