"""What we ask registries: does it want a login, what does a tag name, what would a push meet; and one more tag."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus

from pushsafe.model.credentials import Credential, Repository, secrets_of
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable, TlsFailed
from pushsafe.model.evidence import NO_MANIFEST, WRONG_ADDRESS, Access, Evidence, Preflight, RegistryPing, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import BUSY, NO_RETRIES, RetryPolicy
from pushsafe.oci.content import Content, Referrer
from pushsafe.oci.manifest import MANIFEST_TYPES, Blob, ImageConfig, ManifestContent, ManifestInfo, digest_of
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
"""Bytes of an image's config that are read: no specification has a limit, and labels of several MiB are known."""
_LAST_ANSWERS = 0.25  # seconds that the end of an interrupted run waits for uploads that were asked for
_LAST_CANCELS = 2.0  # seconds that the end of a run waits for them
_TIDYING = 16  # uploads that are cancelled at a time


class Registry:
    """Every registry of one run; for any number of threads.

    All methods but `ping` and `investigate` raise RegistryUnreachable where it cannot be reached from here.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._tokens = Tokens(transport)
        self._client = AuthorizedClient(transport, self._tokens)
        self._unfinished: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._uploads = Uploads(transport, self._client, self._unfinished.put)
        self._uploader = BlobUploader(self._client, self._uploads, transport.left)
        self._manifests = ManifestWriter(self._client)
        self._without_head: set[str] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._tidying: list[Future[None]] = []

    def close(self) -> None:
        """Cancel what is unfinished still, wait for that a moment, and drop all connections."""
        for upload in self._uploads.close(_LAST_ANSWERS):  # of an interrupted run
            self._unfinished.put(upload.cancel)
        self.tidy()
        if self._threads is not None:
            left = self._transport.left()
            wait(self._tidying, timeout=_LAST_CANCELS if left is None else max(CANCEL_TIME, min(left, _LAST_CANCELS)))
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def tidy(self) -> None:
        """Cancel, beside whatever comes next, the uploads that were started to ask what a push would meet."""
        while not self._unfinished.empty():
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_TIDYING, thread_name_prefix="pushsafe-tidy")
            self._tidying.append(self._threads.submit(self._unfinished.get()))

    # ------------------------------------------------------------------ questions

    def ping(self, registry: str) -> RegistryPing:
        """Whether a registry wants a login: its `GET /v2/` without a credential."""
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
        """What a push to the repository meets, asked step by step; the upload that it starts is `tidy`'s to cancel.

        Or what meets who `reads` a manifest there, by its tag or digest; then no upload is started.
        """
        remember(secrets_of(credential))
        try:
            endpoint = self._transport.endpoint(reference.registry)
        except RegistryAstray as error:
            led = Evidence(Stage.PING, error.message, code=WRONG_ADDRESS, sent=False)
            return Preflight((led,) if credential.present else (), error.message)
        except RegistryUnreachable as error:
            return Preflight(problem=error.message)
        who = (self._transport, self._tokens, endpoint, reference.repository, credential)
        return Probe(*who, self._unfinished.put, self._uploads.asking, reads).run()

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
        """What a tag (or `digest` in the same repository) names; the refusal if that is what comes back.

        HEAD, which Docker Hub does not count as a pull; an index is fetched, for its platforms and children, and so is
        what shall be read `whole`, for its layers' sizes. Neither is fetched where HEAD names the digest of `known`:
        that is then the answer. Where HEAD is refused, GET decides, as for docker's own clients (distribution
        `internal/client/repository.go`): some registries, and proxies before them, answer HEAD with 403, 404, 405 or
        501. One that has shown that is asked with GET alone from then on. A registry may name by another algorithm what
        has the `expected` digest (that which was asked for, if any): then it is fetched, and its digest computed.
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
        # Who was busy for HEAD was given time enough.
        retry_policy = NO_RETRIES if refused in BUSY else retry_policy
        response = self._client.ask("GET", reference, path, credential, retry_policy, headers=_ACCEPT)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        if refused:
            self._without_head.add(reference.registry)
        return responses.read_manifest(response, expected) or _no_manifest(response, credential)

    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence:
        """What the config of an image of this repository says (`GET .../blobs/DIGEST`).

        An Evidence is the refusal, or tells that what came has another digest (its code is DIGEST_MISMATCH).
        """
        response = self._client.ask("GET", reference, f"blobs/{digest}", credential, retry_policy, limit=CONFIG_LIMIT)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        found = digest_of(response.body, digest)
        return responses.read_config(response) if found == digest else _mismatch(digest, found, credential)

    def tags(self, reference: Reference, credential: Credential) -> tuple[str, ...] | Evidence:
        """Up to a thousand tags of the repository, the first page of its list."""
        response = self._client.ask("GET", reference, "tags/list?n=1000", credential)
        if response.status != HTTPStatus.OK:
            return evidence(Stage.VERIFY, response, sent=credential.present)
        return responses.read_tags(response)

    # ------------------------------------------------------------------ one manifest under several tags

    def content(
        self, reference: Reference, credential: Credential, digest: str = "", retry_policy: RetryPolicy = NO_RETRIES
    ) -> ManifestContent | Evidence:
        """A manifest or index of the repository byte for byte (`GET .../manifests/DIGEST`); without a digest what the
        tag names.

        An Evidence is the refusal, or tells that what came has another digest (its code is DIGEST_MISMATCH) or is of no
        type that could be put again.
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
        """Let a tag name a manifest whose parts the repository holds (`PUT .../manifests/TAG`); without `tagged` the
        repository holds it by its digest alone.

        It does if the Evidence is a yes, which is any 2xx, and its code is empty, and only then; see `ManifestWriter`.
        """
        tag = reference.tag if tagged else ""
        return self._manifests.put(tag, Repository(reference, credential), content, retry_policy)[0]

    def refer(self, referrer: Referrer, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        """Let a repository hold a manifest about another one, and list it as that; see `ManifestWriter`."""
        return self._manifests.refer(referrer, target, retry_policy)

    def bring(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        """Let the target hold a blob of the source; see `BlobUploader`."""
        return self._uploader.copy(blob, source, target, on_sent, retry_policy)

    def holds(self, blob: Blob, target: Repository, retry_policy: RetryPolicy) -> bool:
        """Whether the target says that it has a blob."""
        return self._uploader.holds(blob, target, retry_policy)

    def send(
        self,
        content: Content,
        target: Repository,
        mount_from: str,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        """Let the target have a blob that lies in a file; see `BlobUploader`."""
        return self._uploader.send(content, target, mount_from, on_sent, retry_policy)


def _no_manifest(response: Response, credential: Credential) -> Evidence:
    said = f"{responses.described(response)} in place of a manifest"
    return Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, code=NO_MANIFEST, sent=credential.present)


def _mismatch(digest: str, found: str, credential: Credential) -> Evidence:
    said = f"asked for {clean(digest, limit=200)}, it sent {found}"
    return Evidence(Stage.VERIFY, said, status=HTTPStatus.OK, code=_MISMATCH, sent=credential.present)
