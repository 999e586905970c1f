"""The registry adapter: login checks, push probes, manifests, tags and blobs."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus

from pushsafe.model.credentials import Credential, Repository, secrets_of
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable, TlsFailed
from pushsafe.model.evidence import NO_MANIFEST, WRONG_ADDRESS, Access, Evidence, Preflight, RegistryPing, Stage
from pushsafe.model.retry_policy import BUSY, NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import MANIFEST_TYPES, ImageConfig, ManifestContent, ManifestInfo, digest_of
from pushsafe.oci.reference import Reference
from pushsafe.registry import responses
from pushsafe.registry.auth import Tokens
from pushsafe.registry.authorized import AuthorizedClient
from pushsafe.registry.blob_upload import BlobUploader
from pushsafe.registry.hosts import is_loopback
from pushsafe.registry.http.transport import Response, Transport
from pushsafe.registry.manifests import ManifestWriter
from pushsafe.registry.probe import Probe
from pushsafe.registry.responses import evidence
from pushsafe.registry.uploads import CANCEL_TIME, Uploads
from pushsafe.runtime.redact import clean, remember

_MISMATCH = "DIGEST_MISMATCH"
_ACCEPT = {"Accept": responses.ACCEPT}
CONFIG_LIMIT = 32 * 1024 * 1024
"""Most bytes read of an image config: no specification sets a limit, and labels of several MiB exist."""
_ANSWER_WAIT = 0.25  # seconds to wait, after an interrupted run, for answers to requests for an upload
_CANCEL_WAIT = 2.0  # seconds to wait, at the end of a run, for uploads to be cancelled
_CANCEL_THREADS = 16


class Registry:
    """Every registry of one run. Thread-safe.

    All methods but `ping` and `investigate` raise RegistryUnreachable.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tokens = Tokens(transport)
        self._client = AuthorizedClient(transport, self._tokens)
        self._unfinished: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._uploads = Uploads(transport, self._client, self._unfinished.put)
        uploader = BlobUploader(self._client, self._uploads, transport.left)
        self.bring, self.holds, self.send = uploader.copy, uploader.holds, uploader.send
        self._manifests = ManifestWriter(self._client)
        self.refer = self._manifests.refer
        self._without_head: set[str] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._cancelling: list[Future[None]] = []

    def close(self) -> None:
        """Cancel unfinished uploads, wait briefly for that, and drop all connections."""
        for upload in self._uploads.close(_ANSWER_WAIT):  # of an interrupted run
            self._unfinished.put(upload.cancel)
        self.tidy()
        if self._threads is not None:
            left = self._transport.left()
            wait(self._cancelling, timeout=_CANCEL_WAIT if left is None else max(CANCEL_TIME, min(left, _CANCEL_WAIT)))
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def tidy(self) -> None:
        """Cancel, in the background, the uploads that were started as probes."""
        while not self._unfinished.empty():
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_CANCEL_THREADS, thread_name_prefix="pushsafe-tidy")
            self._cancelling.append(self._threads.submit(self._unfinished.get()))

    def ping(self, registry: str) -> RegistryPing:
        """Whether a registry requires a login, by its `GET /v2/` without a credential."""
        try:
            endpoint = self._transport.endpoint(registry)
        except RegistryUnreachable as error:
            return RegistryPing(Access.UNKNOWN, error.message, untrusted=isinstance(error, TlsFailed))
        plain = endpoint.base.startswith("http://")
        cleartext = plain and not is_loopback(registry)
        status = endpoint.ping.status
        if status == HTTPStatus.OK:
            page = responses.described(endpoint.ping) if responses.is_page(endpoint.ping) else ""
            return RegistryPing(Access.OPEN, "/v2/ answers 200 without a login", cleartext, page, plain)
        if status == HTTPStatus.UNAUTHORIZED:
            return RegistryPing(Access.LOGIN_WANTED, "/v2/ answers 401 without one", cleartext, plain=plain)
        return RegistryPing(Access.UNKNOWN, f"{endpoint.base}/v2/ answers {status}", cleartext, plain=plain)

    def investigate(self, reference: Reference, credential: Credential, reads: str = "") -> Preflight:
        """Probe step by step what a push to the repository would meet; `tidy` cancels the upload that this starts.

        With `reads`, a tag or digest, probe the reading of that manifest instead, and start no upload.
        """
        remember(secrets_of(credential))
        try:
            endpoint = self._transport.endpoint(reference.registry)
        except RegistryAstray as error:
            misled = Evidence(Stage.PING, error.message, code=WRONG_ADDRESS, sent=False)
            return Preflight((misled,) if credential.present else (), error.message)
        except RegistryUnreachable as error:
            return Preflight(problem=error.message)
        target = (self._transport, self._tokens, endpoint, reference.repository, credential)
        return Probe(*target, self._unfinished.put, self._uploads.asking, reads).run()

    def manifest(
        self,
        reference: Reference,
        credential: Credential,
        digest: str = "",
        *,
        whole: bool = False,
        known: ManifestInfo | None = None,
        expected: str = "",
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> ManifestInfo | Evidence:
        """The manifest that the tag (or `digest`) names, or the refusal.

        HEAD comes first, as Docker Hub does not count it as a pull. GET follows for an index (its platforms and
        children) and for a manifest read `whole` (its layers' sizes), unless HEAD names the digest of `known`, which is
        then the answer. A registry may report a digest of another algorithm than the `expected` one (default:
        `digest`): GET then gets the content, to compute it. Where HEAD is refused, GET decides, as in docker's clients
        (distribution `internal/client/repository.go`): some registries and proxies answer HEAD with 403, 404, 405 or
        501. If GET then succeeds, the registry gets no HEAD again.
        """
        expected = expected or digest
        path = f"manifests/{digest or reference.tag}"
        refused = 0
        if (known is not None or not whole) and reference.registry not in self._without_head:
            response = self._client.ask("HEAD", reference, path, credential, retry_policy, headers=_ACCEPT)
            if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                return evidence(Stage.VERIFY, response, sent=credential.present)
            if response.status == HTTPStatus.OK:
                found, media_type = response.header("docker-content-digest"), responses.media_type(response)
                if known is not None and found == known.digest:
                    return known
                named = found and responses.same_algorithm(found, expected)
                if named and not whole and media_type in MANIFEST_TYPES:
                    return ManifestInfo(clean(found, limit=200), media_type)
            else:
                refused = response.status
        retry_policy = NO_RETRIES if refused in BUSY else retry_policy  # HEAD has used up the retries
        response = self._client.ask("GET", reference, path, credential, retry_policy, headers=_ACCEPT)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        if refused:
            self._without_head.add(reference.registry)
        return responses.read_manifest(response, expected) or _no_manifest(response, credential)

    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence:
        """An image's config (`GET .../blobs/DIGEST`); the refusal, or a DIGEST_MISMATCH, as Evidence."""
        response = self._client.ask("GET", reference, f"blobs/{digest}", credential, retry_policy, limit=CONFIG_LIMIT)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        found = digest_of(response.body, digest)
        return responses.read_config(response) if found == digest else _mismatch(digest, found, credential)

    def tags(self, reference: Reference, credential: Credential) -> tuple[str, ...] | Evidence:
        """Up to a thousand tags of the repository: the first page of its list."""
        response = self._client.ask("GET", reference, "tags/list?n=1000", credential)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        return responses.read_tags(response)

    def content(
        self, reference: Reference, credential: Credential, digest: str = "", retry_policy: RetryPolicy = NO_RETRIES
    ) -> ManifestContent | Evidence:
        """The bytes of the manifest or index that `digest`, or else the tag, names (`GET .../manifests/DIGEST`).

        Evidence is the refusal, a DIGEST_MISMATCH, or a media type that cannot be pushed again.
        """
        path = f"manifests/{digest or reference.tag}"
        response = self._client.ask("GET", reference, path, credential, retry_policy, headers=_ACCEPT)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        digest = digest or digest_of(response.body, response.header("docker-content-digest"))
        found = digest_of(response.body, digest)
        if found != digest:
            return _mismatch(digest, found, credential)
        media_type = responses.putable_type(response)
        if responses.read_manifest(response) is None:
            return _no_manifest(response, credential)
        if not media_type:
            named = responses.media_type(response) or "nothing"
            said = f"what {digest} names is not an image or index: its type is {named}"
            return Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, sent=credential.present)
        return ManifestContent(digest, media_type, response.body)

    def put(
        self,
        reference: Reference,
        credential: Credential,
        content: ManifestContent,
        retry_policy: RetryPolicy = NO_RETRIES,
        *,
        tagged: bool = True,
    ) -> Evidence:
        """Push a manifest whose parts the repository holds, under the reference's tag, or by digest if not `tagged`.

        It has succeeded only if the Evidence has a 2xx status and an empty code; see `ManifestWriter.put`.
        """
        tag = reference.tag if tagged else ""
        return self._manifests.put(tag, Repository(reference, credential), content, retry_policy)[0]


def _no_manifest(response: Response, credential: Credential) -> Evidence:
    said = f"{responses.described(response)} in place of a manifest"
    return Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, code=NO_MANIFEST, sent=credential.present)


def _mismatch(digest: str, found: str, credential: Credential) -> Evidence:
    said = f"asked for {clean(digest, limit=200)}, it sent {found}"
    return Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, code=_MISMATCH, sent=credential.present)
