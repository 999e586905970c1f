"""Pushing manifests, and the list of referrers where the registry keeps none itself."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from http import HTTPStatus
from typing import Any

from pushsafe.model.credentials import Repository
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.oci.content import Referrer
from pushsafe.oci.document import field
from pushsafe.oci.manifest import OCI_INDEX, ManifestContent, digest_of
from pushsafe.registry import responses
from pushsafe.registry.authorized import AuthorizedClient
from pushsafe.registry.http.transport import BODY_LIMIT, Response
from pushsafe.registry.responses import evidence
from pushsafe.runtime.redact import clean

_MISMATCH, _NO_LIST, _UNTAGGED = "DIGEST_MISMATCH", "NO_REFERRERS_LIST", "NOT_TAGGED"
_DIGEST_INVALID = "DIGEST_INVALID"
_CANONICAL = "sha256:"
"""The algorithm by which a registry names a manifest that is pushed under a tag."""
_WRITE_IT = "to push it there, write the image with sha256 digests"
_LONGEST_ALGORITHM, _LONGEST_HASH = 32, 64

_Entry = dict[str, Any]


class ManifestWriter:
    """Pushes manifests. Thread-safe; methods raise RegistryUnreachable."""

    def __init__(self, client: AuthorizedClient) -> None:
        self._client = client
        self._list_locks: defaultdict[tuple[str, str, str], threading.Lock] = defaultdict(threading.Lock)

    def put(
        self, tag: str, target: Repository, content: ManifestContent, retry_policy: RetryPolicy
    ) -> tuple[Evidence, bool]:
        """Push a manifest under a tag, or by digest if that is empty: the answer, and whether the registry itself lists
        the manifest as a referrer.

        Success is a 2xx status (the specification's is 201; some registries and proxies send others) with an empty
        code. The code is DIGEST_MISMATCH where the registry reports another digest, and NOT_TAGGED where it stores a
        manifest by a digest other than sha256 but cannot tag it (OCI distribution specification after 1.1.1, end-7b and
        `OCI-Tag`).
        """
        headers = {"Content-Type": content.media_type}
        named = tag or content.digest
        if tag and not content.digest.startswith(_CANONICAL):
            named = f"{content.digest}?tag={tag}"  # under the tag alone the registry would compute sha256
        reference, credential = target
        response = self._client.ask(
            "PUT", reference, f"manifests/{named}", credential, retry_policy, headers=headers, body=content.body
        )
        said = evidence(Stage.PUSH, response, sent=credential.present, size=len(content.body))
        if not said.accepted:
            return _refused(said, content), False
        # The body of a success is no error, whatever it looks like.
        said = Evidence(Stage.PUSH, "", status=response.status, sent=credential.present)
        code, message = _kept(response, tag, content)
        return said._replace(code=code, message=message), not code and bool(response.header("oci-subject"))

    def refer(self, referrer: Referrer, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        """Push a manifest that refers to another one, and list it as a referrer. Success is as for `put`.

        A registry that does not answer with `OCI-Subject` keeps no list: an index under a tag made of the subject's
        digest is then the list (OCI distribution specification, "Referrers Tag Schema"). If that tag names no index, it
        is left alone, and the code is NO_REFERRERS_LIST.
        """
        said, listed = self.put("", target, referrer.content, retry_policy)
        if not said.succeeded or listed:
            return said
        tag = tag_of(referrer.subject)
        reference = target.reference
        with self._list_locks[reference.registry, reference.repository, tag]:
            return self._list(referrer, tag, target, retry_policy)

    def _list(self, referrer: Referrer, tag: str, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        """Other clients may write the list too; the specification has no protection against lost updates."""
        reference, credential = target
        headers = {"Accept": responses.ACCEPT}
        response = self._client.ask("GET", reference, f"manifests/{tag}", credential, retry_policy, headers=headers)
        if response.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return evidence(Stage.PUSH, response, sent=credential.present)
        known = response.body if response.status == HTTPStatus.OK else None
        is_index = known is None or responses.putable_type(response) == OCI_INDEX
        index = _with(_entry_of(referrer.content), known) if is_index else None
        if index is None or len(index) > BODY_LIMIT:
            kept = "is no OCI index" if index is None else "would get too large"
            said = f"the tag {tag} has to list what refers to {referrer.subject}, and what it names {kept}"
            return Evidence(Stage.PUSH, said, status=HTTPStatus.OK, code=_NO_LIST, sent=credential.present)
        if index == known:
            return Evidence(Stage.PUSH, "", status=HTTPStatus.CREATED, sent=credential.present)
        content = ManifestContent(digest_of(index), OCI_INDEX, index)
        return self.put(tag, target, content, retry_policy)[0]


def _kept(response: Response, tag: str, content: ManifestContent) -> tuple[str, str]:
    """Code and message of a 2xx answer that is no success; empty for a success."""
    found = response.header("docker-content-digest")
    if found and digest_of(content.body, found) != found:
        return _MISMATCH, f"it was sent {content.digest} and says that it holds {clean(found, limit=200)}"
    tagged = [one.strip() for one in response.header("oci-tag").split(",")]
    if not tag or content.digest.startswith(_CANONICAL) or tag in tagged:
        return "", ""
    return (
        _UNTAGGED,
        f"the registry holds the manifest by its {_algorithm(content)} digest, but accepts no tag for it; {_WRITE_IT}",
    )


def _refused(said: Evidence, content: ManifestContent) -> Evidence:
    """A refusal; DIGEST_INVALID for a correct digest means that the registry computes sha256 only."""
    if said.code != _DIGEST_INVALID or content.digest.startswith(_CANONICAL):
        return said
    return said._replace(
        message=f"the registry accepts no {_algorithm(content)} digest for a manifest ({said.message}); {_WRITE_IT}"
    )


def _algorithm(content: ManifestContent) -> str:
    return content.digest.partition(":")[0]


def tag_of(digest: str) -> str:
    """The tag of a digest's list of referrers: 32 and 64 letters of its halves, dashes for what a tag cannot hold."""
    algorithm, _, value = digest.partition(":")
    return re.sub(r"[^\w.-]", "-", f"{algorithm[:_LONGEST_ALGORITHM]}-{value[:_LONGEST_HASH]}", flags=re.ASCII)


def _entry_of(content: ManifestContent) -> _Entry:
    """A manifest's entry in the list: `artifactType` is its own, or else its config's media type."""
    document = responses.object_in(content.body) or {}
    config = field(document, "config")
    kind = field(document, "artifactType") or (field(config, "mediaType") if isinstance(config, dict) else None)
    annotations = field(document, "annotations")
    entry = content.descriptor.said
    return entry | ({"artifactType": kind} if kind else {}) | ({"annotations": annotations} if annotations else {})


def _with(entry: _Entry, known: bytes | None) -> bytes | None:
    """The list with the entry added if it is missing; `None` where the list is no OCI index."""
    new = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    document = new if known is None else responses.object_in(known)
    if document is None or document.get("mediaType", OCI_INDEX) != OCI_INDEX:
        return None
    entries = document.get("manifests")
    if not isinstance(entries, list):
        return None
    if known is not None and any(isinstance(one, dict) and one.get("digest") == entry["digest"] for one in entries):
        return known
    return json.dumps({**document, "manifests": [*entries, entry]}, separators=(",", ":")).encode()
