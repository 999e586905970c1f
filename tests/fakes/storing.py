"""A registry's store in memory, which really takes the pushes of an engine, as rules of a FakeRegistry."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable

from tests.fakes.registry import MANIFEST_UNKNOWN, Answer, Manifest, Request, Rule, on, refused

BLOB_UNKNOWN = refused(404, "BLOB_UNKNOWN", "blob unknown to registry")
UPLOAD_UNKNOWN = refused(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
DIGEST_INVALID = refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
INCOMPLETE = refused(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")


class Storing:
    """Blobs and manifests by digest, tags by repository and name: what was pushed, or put there with `hold`.

    Who may do what is not its business: put the rules behind `guarded`.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self._uploads: dict[str, bytes] = {}
        self._names = itertools.count(1)
        self._lock = threading.Lock()

    def hold(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Let a tag be there already."""
        self.manifests[manifest.digest] = manifest
        self.tags[repository, tag] = manifest.digest

    def rules(self) -> list[Rule]:
        """The whole API behind `/v2/`, without `/v2/` itself."""
        return [
            self._on("HEAD|GET", r"/v2/.+/blobs/sha256:\w+", self._blob),
            self._on("POST", r"/v2/.+/blobs/uploads/", self._start),
            self._on("PATCH", r"/v2/.+/blobs/uploads/\w+", self._receive),
            self._on("PUT", r"/v2/.+/blobs/uploads/\w+", self._finish),
            self._on("DELETE", r"/v2/.+/blobs/uploads/\w+", self._cancel),
            self._on("HEAD|GET", r"/v2/.+/manifests/[^/]+", self._manifest),
            self._on("PUT", r"/v2/.+/manifests/[^/]+", self._put),
            self._on("GET", r"/v2/.+/tags/list", self._list),
        ]

    def answer(self, request: Request) -> Answer:
        """The same API for whoever has looked at the request before."""
        rule = next(rule for rule in self.rules() if rule.fits(request))
        answering = rule.next()
        return answering(request) if callable(answering) else answering

    def _on(self, method: str, path: str, answer: Callable[[Request], Answer]) -> Rule:
        def alone(request: Request) -> Answer:
            with self._lock:
                return answer(request)

        return on(method, path, alone)

    # ------------------------------------------------------------------- blobs

    def _blob(self, request: Request) -> Answer:
        digest = request.path.rpartition("/")[2]
        found = self.blobs.get(digest)
        return BLOB_UNKNOWN if found is None else Answer(200, found).having(Docker_Content_Digest=digest)

    def _start(self, request: Request) -> Answer:
        """A mount is answered with an upload, which a registry may always do."""
        if "digest" in request.query:
            return self._keep(request, request.body)
        name = f"u{next(self._names)}"
        self._uploads[name] = b""
        return Answer(202).having(Location=f"{request.path}{name}", Docker_Upload_UUID=name, Range="0-0")

    def _receive(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        if name not in self._uploads:
            return UPLOAD_UNKNOWN
        self._uploads[name] += request.body
        last = max(0, len(self._uploads[name]) - 1)
        return Answer(202).having(Location=request.path, Docker_Upload_UUID=name, Range=f"0-{last}")

    def _finish(self, request: Request) -> Answer:
        received = self._uploads.pop(request.path.rpartition("/")[2], None)
        return UPLOAD_UNKNOWN if received is None else self._keep(request, received + request.body)

    def _cancel(self, request: Request) -> Answer:
        return UPLOAD_UNKNOWN if self._uploads.pop(request.path.rpartition("/")[2], None) is None else Answer(204)

    def _keep(self, request: Request, content: bytes) -> Answer:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if request.query.get("digest") != digest:
            return DIGEST_INVALID
        self.blobs[digest] = content
        place = f"{request.path.partition('/uploads/')[0]}/{digest}"
        return Answer(201).having(Location=place, Docker_Content_Digest=digest)

    # ------------------------------------------------------------------- manifests and tags

    def digest(self, repository: str, name: str) -> str:
        """What a tag names, or the digest itself; empty where nothing is held."""
        digest = self.tags.get((repository, name), name)
        return digest if digest in self.manifests else ""

    def _manifest(self, request: Request) -> Answer:
        digest = self.digest(*_named(request))
        return self.manifests[digest].answer if digest else MANIFEST_UNKNOWN

    def _put(self, request: Request) -> Answer:
        content = json.loads(request.body)
        wanted = [content.get("config", {}), *content.get("layers", []), *content.get("manifests", [])]
        if any(one and one["digest"] not in self.blobs.keys() | self.manifests.keys() for one in wanted):
            return INCOMPLETE
        repository, name = _named(request)
        manifest = Manifest(content, request.headers["content-type"], sent=request.body)
        if ":" in name and name != manifest.digest:
            return DIGEST_INVALID
        self.manifests[manifest.digest] = manifest
        if ":" not in name:
            self.tags[repository, name] = manifest.digest
        return Answer(201).having(Location=request.path, Docker_Content_Digest=manifest.digest)

    def _list(self, request: Request) -> Answer:
        repository = request.path.removeprefix("/v2/").removesuffix("/tags/list")
        return Answer(200, {"name": repository, "tags": sorted(tag for name, tag in self.tags if name == repository)})


def _named(request: Request) -> tuple[str, str]:
    repository, _, name = request.path.removeprefix("/v2/").rpartition("/manifests/")
    return repository, name
