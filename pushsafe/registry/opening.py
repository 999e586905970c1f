"""Uploads that registries have opened for us: what came of the request for one, and which are not used up yet."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from pushsafe.model import Blob, Repository
from pushsafe.patience import Patience
from pushsafe.registry.asking import Asking
from pushsafe.registry.transport import Response
from pushsafe.registry.uploads import Upload

_CREATED, _ACCEPTED = 201, 202


class Opening:
    """For any number of threads. An upload that was opened and is not used is given to `later`, to be cancelled; those
    of which that is not known yet are `open`. Methods raise RegistryUnreachable."""

    def __init__(self, asking: Asking, later: Callable[[Callable[[], None]], None]) -> None:
        self._asking = asking
        self._later = later
        self._open: set[Upload] = set()

    @property
    def open(self) -> tuple[Upload, ...]:
        return tuple(self._open)

    def start(
        self, target: Repository, patience: Patience, *, query: str = "", also_from: str = ""
    ) -> tuple[Response, Upload | None]:
        """What the target says to an upload, and the one that it has opened."""
        reference, credential = target
        response, upload = self._asking.start_upload(reference, credential, patience, query=query, also_from=also_from)
        if response.status != _ACCEPTED:
            return response, None
        self._open.add(upload)
        return response, upload

    def mount(self, blob: Blob, origin: str, target: Repository, patience: Patience) -> tuple[bool, Upload | None]:
        """Whether a blob of the repository `origin` is mounted; else the upload that a registry may open in its place.

        Any other answer settles nothing: whoever may not mount may yet upload.
        """
        query = f"?{urlencode({'mount': blob.digest, 'from': origin})}"
        response, upload = self.start(target, patience, query=query, also_from=origin)
        return response.status == _CREATED, upload

    def end(self, upload: Upload, *, used: bool = False) -> None:
        self._open.discard(upload)
        if not used:
            self._later(upload.cancel)
