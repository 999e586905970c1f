"""Blobs brought to a repository: what is there already is left, what its registry holds is mounted, the rest copied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from pushsafe.model import Blob, Evidence, LayerState, Repository, Stage
from pushsafe.patience import Patience
from pushsafe.registry.asking import Asking
from pushsafe.registry.probe import evidence
from pushsafe.registry.retries import Retries
from pushsafe.registry.transport import Response
from pushsafe.registry.unreachable import Dropped
from pushsafe.registry.uploads import Upload

_OK, _CREATED, _ACCEPTED = 200, 201, 202


class Blobs:
    """For any number of threads. An upload that was opened and is not used is given to `later`, to be cancelled; those
    of which that is not known yet are `open`."""

    def __init__(
        self,
        asking: Asking,
        deadline: Callable[[], float | None],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._asking = asking
        self._deadline = deadline
        self._later = later
        self._open: set[Upload] = set()

    @property
    def open(self) -> tuple[Upload, ...]:
        return tuple(self._open)

    def bring(
        self, blob: Blob, source: Repository, target: Repository, on_sent: Callable[[int], None], patience: Patience
    ) -> LayerState | Evidence:
        """Let the target hold a blob of the source: REUSED, MOUNTED or SENT. Raises RegistryUnreachable.

        `on_sent` is told of every part that is sent, how many bytes that makes, and may end it by raising. An Evidence
        of stage PUSH is what the target said, one of stage VERIFY the source.
        """
        there = self._asking.ask("HEAD", target.reference, f"blobs/{blob.digest}", target.credential, patience)
        if there.status == _OK:
            return LayerState.REUSED
        upload = None
        if target.reference.registry == source.reference.registry:
            mounted, upload = self._mount(blob, source, target, patience)
            if mounted:
                return LayerState.MOUNTED
        return self._copy(blob, source, target, upload, on_sent, patience)

    def _mount(
        self, blob: Blob, source: Repository, target: Repository, patience: Patience
    ) -> tuple[bool, Upload | None]:
        """Whether it is mounted; else the upload that a registry may open in its place.

        Any other answer settles nothing: whoever may not mount may yet upload.
        """
        origin = source.reference.repository
        query = f"?{urlencode({'mount': blob.digest, 'from': origin})}"
        response, upload = self._start(target, patience, query=query, also_from=origin)
        return response.status == _CREATED, upload

    def _start(
        self, target: Repository, patience: Patience, *, query: str = "", also_from: str = ""
    ) -> tuple[Response, Upload | None]:
        """What the target says to an upload, and the one that it has opened."""
        reference, credential = target
        response, upload = self._asking.start_upload(reference, credential, patience, query=query, also_from=also_from)
        if response.status != _ACCEPTED:
            return response, None
        self._open.add(upload)
        return response, upload

    def _end(self, upload: Upload, *, used: bool = False) -> None:
        self._open.discard(upload)
        if not used:
            self._later(upload.cancel)

    def _copy(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        upload: Upload | None,
        on_sent: Callable[[int], None],
        patience: Patience,
    ) -> LayerState | Evidence:
        """Send it part by part as it comes; from the beginning again where that can succeed."""
        who = " or ".join(dict.fromkeys((target.reference.registry, source.reference.registry)))
        retries = Retries(who, patience, self._deadline)
        while True:
            if upload is None:
                response, upload = self._start(target, patience)
                if upload is None:
                    return evidence(Stage.PUSH, response, sent=target.credential.present)
            said: LayerState | Evidence
            try:
                said, after = self._copy_once(blob, source, target, upload, on_sent, patience)
            except _Odd as odd:
                said, after = odd.evidence, ""
            except Dropped as dropped:
                self._end(upload)
                if not retries.after_drop(dropped):
                    raise
                upload = None
                continue
            except BaseException:
                self._end(upload)
                raise
            self._end(upload, used=isinstance(said, LayerState))
            if isinstance(said, LayerState) or not retries.after_answer(said.status or 0, after):
                return said
            upload = None

    def _copy_once(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        upload: Upload,
        on_sent: Callable[[int], None],
        patience: Patience,
    ) -> tuple[LayerState | Evidence, str]:
        """What it comes to, and the Retry-After of a refusal."""
        path = f"blobs/{blob.digest}"
        with self._asking.stream(source.reference, path, source.credential, patience, blob.size) as answer:
            if answer.status != _OK:
                refusal = answer.whole()
                said = evidence(Stage.VERIFY, refusal, sent=source.credential.present)
                return said, refusal.header("retry-after")
            checked = _checked(blob, answer.parts(), on_sent, sent=source.credential.present)
            response = upload.finish(blob.digest, blob.size, checked)
        if response.status != _CREATED:
            said = evidence(Stage.PUSH, response, sent=target.credential.present)
            return said, response.header("retry-after")
        return LayerState.SENT, ""


class _Odd(Exception):
    """What the source sends is not what it was asked for; it ends the sending before the last of it is sent."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.evidence = evidence


def _checked(blob: Blob, parts: Iterator[bytes], on_sent: Callable[[int], None], *, sent: bool) -> Iterator[bytes]:
    """The parts of a blob, the last one only when all of it was found to be what its digest says."""
    algorithm = "sha512" if blob.digest.startswith("sha512:") else "sha256"
    summed, size, held = hashlib.new(algorithm), 0, b""
    for part in parts:
        summed.update(part)
        size += len(part)
        if size > blob.size:
            break
        if held:
            yield held
            on_sent(size - len(part))
        held = part
    found = f"{algorithm}:{summed.hexdigest()}"
    if size != blob.size or found != blob.digest:
        said = f"{size} bytes of {found}" if size <= blob.size else f"more than {blob.size} bytes"
        message = f"asked for {blob.digest} of {blob.size} bytes, it sent {said}"
        raise _Odd(Evidence(Stage.VERIFY, message, status=_OK, code="DIGEST_MISMATCH", sent=sent))
    if held:
        yield held
    on_sent(size)
