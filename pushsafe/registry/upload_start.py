"""Uploads that registries have opened for us: what came of the request for one, and which are not used up yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlencode

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.retry_policy import Patience
from pushsafe.oci.manifest import Blob
from pushsafe.registry.authorized import Asking
from pushsafe.registry.probe import evidence, undue
from pushsafe.registry.uploads import NOWHERE, Upload


class Opening:
    """For any number of threads. An upload that was opened and is not used is given to `later`, to be cancelled; those
    of which that is not known yet are what `close` leaves."""

    def __init__(self, asking: Asking, later: Callable[[Callable[[], None]], None]) -> None:
        self._asking = asking
        self._later = later
        self._open: set[Upload] = set()
        self._asked = 0  # requests for one whose answer is awaited
        self._closed = False
        self._settled = threading.Condition()

    def close(self, seconds: float) -> tuple[Upload, ...]:
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
        self, target: Repository, patience: Patience, *, query: str = "", also_from: str = ""
    ) -> Upload | Evidence:
        """The upload that the target has opened, or what it said in place of that, of stage PUSH.

        Raises RegistryUnreachable.
        """
        reference, credential = target
        with self.asking():
            response, upload = self._asking.start_upload(
                reference, credential, patience, query=query, also_from=also_from
            )
            if response.status == HTTPStatus.ACCEPTED and upload.place():
                self._open.add(upload)
                return upload
        said = evidence(Stage.PUSH, response, sent=credential.present)
        if response.status == HTTPStatus.ACCEPTED:
            return said._replace(code="", message=NOWHERE)
        return said if query else undue(said, "the start of an upload", HTTPStatus.ACCEPTED)

    def mount(self, blob: Blob, origin: str, target: Repository, patience: Patience) -> tuple[bool, Upload | None]:
        """Whether a blob of the repository `origin` is mounted; else the upload that a registry may open in its place.

        Any other answer settles nothing: whoever may not mount may yet upload. Nor does it that there was none: the
        token for it is one for two repositories, which a token server may fail to give while it gives others.
        """
        query = f"?{urlencode({'mount': blob.digest, 'from': origin})}"
        try:
            said = self.start(target, patience, query=query, also_from=origin)
        except RegistryUnreachable:  # who cannot be reached at all says so at the upload
            return False, None
        if isinstance(said, Upload):
            return False, said
        return said.status == HTTPStatus.CREATED, None

    def end(self, upload: Upload, *, used: bool = False) -> None:
        self._open.discard(upload)
        if not used:
            self._later(upload.cancel)
