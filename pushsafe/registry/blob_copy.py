"""Blobs brought to a repository: what is there already is left, what its registry holds is mounted, the rest copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from pushsafe.model.credentials import Repository
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import BUSY, Patience
from pushsafe.oci.content import Checksum
from pushsafe.oci.manifest import Blob
from pushsafe.registry.authorized import Asking
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.unreachable import Dropped
from pushsafe.registry.probe import evidence, untaken
from pushsafe.registry.upload_start import Opening
from pushsafe.registry.uploads import DONE, Upload


class Blobs:
    """For any number of threads."""

    def __init__(self, asking: Asking, opening: Opening, deadline: Callable[[], float | None]) -> None:
        self._asking = asking
        self._opening = opening
        self._deadline = deadline

    def bring(
        self, blob: Blob, source: Repository, target: Repository, on_sent: Callable[[int], None], patience: Patience
    ) -> LayerState | Evidence:
        """Let the target hold a blob of the source: REUSED, MOUNTED or SENT. Raises RegistryUnreachable.

        `on_sent` is told of every part that is sent, how many bytes that makes, and may end it by raising. An Evidence
        of stage PUSH is what the target said, one of stage VERIFY the source.
        """
        there = self._asking.ask("HEAD", target.reference, f"blobs/{blob.digest}", target.credential, patience)
        if there.status == HTTPStatus.OK:
            return LayerState.REUSED
        upload = None
        if target.reference.registry == source.reference.registry:
            mounted, upload = self._opening.mount(blob, source.reference.repository, target, patience)
            if mounted:
                return LayerState.MOUNTED
        return self._copy(blob, source, target, upload, on_sent, patience)

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
                opened = self._opening.start(target, patience)
                if isinstance(opened, Evidence):
                    return opened
                upload = opened
            said: LayerState | Evidence
            try:
                said, after = self._copy_once(blob, source, target, upload, on_sent, patience)
            except _Odd as odd:
                said, after = odd.evidence, ""
            except Dropped as dropped:
                self._opening.end(upload)
                if not retries.after_drop(dropped):
                    raise
                upload = None
                continue
            except BaseException:
                self._opening.end(upload)
                raise
            self._opening.end(upload, used=isinstance(said, LayerState))
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
        while True:
            with self._asking.stream(source.reference, path, source.credential, patience, blob.size) as answer:
                if answer.status != HTTPStatus.OK:
                    refusal = answer.whole()
                    said = evidence(Stage.VERIFY, refusal, sent=source.credential.present)
                    return said, refusal.header("retry-after")
                checked = _checked(blob, answer.parts(), on_sent, sent=source.credential.present)
                response = upload.finish(blob.digest, blob.size, checked)
            if not upload.follow(response):
                break
        if response.status not in DONE:
            if response.status not in BUSY:  # which is worth another try, whoever it is
                response = upload.by_registry(response)
            return untaken(response, sent=target.credential.present, size=blob.size), response.header("retry-after")
        return LayerState.SENT, ""


class _Odd(Exception):
    """What the source sends is not what it was asked for; it ends the sending before the last of it is sent."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.evidence = evidence


def _checked(blob: Blob, parts: Iterator[bytes], on_sent: Callable[[int], None], *, sent: bool) -> Iterator[bytes]:
    """The parts of a blob, the last one only when all of it was found to be what its digest says."""
    summed, held = Checksum(blob), b""
    for part in parts:
        summed.add(part)
        if summed.size > blob.size:
            break
        if held:
            yield held
            on_sent(summed.size - len(part))
        held = part
    if not summed.matches:
        size = summed.size
        wrong = f"{size} bytes of {summed.digest}" if size <= blob.size else f"more than {blob.size} bytes"
        message = f"asked for {blob.digest} of {blob.size} bytes, it sent {wrong}"
        raise _Odd(Evidence(Stage.VERIFY, message, status=HTTPStatus.OK, code="DIGEST_MISMATCH", sent=sent))
    if held:
        yield held
    on_sent(summed.size)
