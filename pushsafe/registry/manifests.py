"""Manifests put into a repository; and of those about another one a list, where the registry keeps none itself."""

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
"""How a registry names what is put under a tag, whatever else it could be named by."""
_WRITE_IT = "to push it there, write the image with sha256 digests"
_LONGEST_ALGORITHM, _LONGEST_HASH = 32, 64

_Entry = dict[str, Any]


class ManifestWriter:
    """Puts manifests; for any number of threads. Methods raise RegistryUnreachable."""

    def __init__(self, client: AuthorizedClient) -> None:
        self._client = client
        self._listing: defaultdict[tuple[str, str, str], threading.Lock] = defaultdict(threading.Lock)

    def put(
        self, tag: str, target: Repository, content: ManifestContent, retry_policy: RetryPolicy
    ) -> tuple[Evidence, bool]:
        """What the registry says to a manifest under a tag, or by its digest alone where that is empty, and whether it
        lists it by itself.

        It holds it if it said yes and the code is empty, and only then. 201 is the specification's yes; a registry or
        a proxy that says another 2xx has taken it, too. One that names another digest has kept something else: the code
        is then DIGEST_MISMATCH. It is NOT_TAGGED where the digest is not of sha256, and the registry can hold the
        manifest by it, but let no tag name it so (OCI distribution specification after 1.1.1, end-7b and `OCI-Tag`).
        """
        headers = {"Content-Type": content.media_type}
        path = f"manifests/{_address(tag, content)}"
        reference, credential = target
        response = self._client.ask(
            "PUT", reference, path, credential, retry_policy, headers=headers, body=content.body
        )
        said = evidence(Stage.PUSH, response, sent=credential.present, size=len(content.body))
        if not said.accepted:
            return _refused(said, content), False
        # What the body of a success says is no error, whatever it looks like.
        said = Evidence(Stage.PUSH, "", status=response.status, sent=credential.present)
        code, message = _kept(response, tag, content)
        return said._replace(code=code, message=message), not code and bool(response.header("oci-subject"))

    def refer(self, referrer: Referrer, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        """Let a repository hold a manifest about another one, and list it as that.

        A registry that does not say `OCI-Subject` keeps no list: then an index under a tag of the subject's digest is
        that list (OCI distribution specification, "Referrers Tag Schema"). What is no index there is left as it is: the
        code is then NO_REFERRERS_LIST. It is held and listed if the Evidence is a yes whose code is empty.
        """
        said, listed = self.put("", target, referrer.content, retry_policy)
        if not said.succeeded or listed:
            return said
        tag = tag_of(referrer.subject)
        reference = target.reference
        with self._listing[reference.registry, reference.repository, tag]:
            return self._list(referrer, tag, target, retry_policy)

    def _list(self, referrer: Referrer, tag: str, target: Repository, retry_policy: RetryPolicy) -> Evidence:
        """Others may write the same list; the specification knows no way to keep what two write at the same time."""
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


def _address(tag: str, content: ManifestContent) -> str:
    """Where a manifest is put: by a digest of another algorithm than its tag would be given, the tag is asked for."""
    if not tag or content.digest.startswith(_CANONICAL):
        return tag or content.digest
    return f"{content.digest}?tag={tag}"


def _kept(response: Response, tag: str, content: ManifestContent) -> tuple[str, str]:
    """The code and message of a yes that is none."""
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
    """A refusal; that of a digest which is right means that the registry computes those of sha256 alone."""
    if said.code != _DIGEST_INVALID or content.digest.startswith(_CANONICAL):
        return said
    return said._replace(
        message=f"the registry accepts no {_algorithm(content)} digest for a manifest ({said.message}); {_WRITE_IT}"
    )


def _algorithm(content: ManifestContent) -> str:
    return content.digest.partition(":")[0]


def tag_of(digest: str) -> str:
    """The tag of the list of what refers to a digest: 32 and 64 letters of its halves, dashes for what no tag has."""
    algorithm, _, value = digest.partition(":")
    return re.sub(r"[^\w.-]", "-", f"{algorithm[:_LONGEST_ALGORITHM]}-{value[:_LONGEST_HASH]}", flags=re.ASCII)


def _entry_of(content: ManifestContent) -> _Entry:
    """As the specification wants it: `artifactType` is the manifest's own, or else its config's media type."""
    document = responses.object_in(content.body) or {}
    config = field(document, "config")
    kind = field(document, "artifactType") or (field(config, "mediaType") if isinstance(config, dict) else None)
    annotations = field(document, "annotations")
    entry = content.descriptor.said
    return entry | ({"artifactType": kind} if kind else {}) | ({"annotations": annotations} if annotations else {})


def _with(entry: _Entry, known: bytes | None) -> bytes | None:
    """The list with the entry; as it is where that is there already, `None` where it is no OCI index."""
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
