"""A registry's answers, read into values, and told from those of whoever answers in its place."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pushsafe.model.errors import ProxyAnswers
from pushsafe.model.retry_policy import BUSY
from pushsafe.oci.document import Unusable, document_of, field
from pushsafe.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    ImageConfig,
    ManifestInfo,
    digest_of,
    info_of,
    is_manifest,
    said_by,
)
from pushsafe.registry.http.transport import Endpoint, Response, proxy_in_clear
from pushsafe.runtime.redact import clean

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_PAGES = ("text/html", "application/xhtml+xml")
_BEGIN = 16  # bytes that show a page for what it is, where its type does not


def media_type(response: Response) -> str:
    return clean(response.header("content-type").partition(";")[0], limit=200)


def putable_type(response: Response) -> str:
    """The media type under which a manifest or index can be put again; empty if it is none of those that we know.

    Where Content-Type tells another one, the document's own `mediaType` counts.
    """
    named = (media_type(response), str(field(_object(response), "mediaType")))
    return next((kind for kind in named if is_manifest(kind)), "")


def same_algorithm(digest: str, expected: str) -> bool:
    """Whether two digests can be compared; any with one that is empty."""
    return not expected or digest.partition(":")[0] == expected.partition(":")[0]


def read_manifest(response: Response, expected: str = "") -> ManifestInfo | None:
    """Digest by the content itself, so a header cannot claim another one, and by the algorithm of the `expected` one,
    if any; platforms and children of an index.

    `None` for what is no manifest of any kind, whatever its type claims: it has no digest that a tag could name.
    """
    document = _object(response)
    if not _is_manifest(document, media_type(response)):
        return None
    digest = digest_of(response.body, expected or response.header("docker-content-digest"))
    kind = putable_type(response) or media_type(response)
    return info_of(document, digest, kind)


def is_page(response: Response) -> bool:
    """Whether an answer is a web page: a site's, a sign-in's, a portal's."""
    begin = response.body.lstrip()[:_BEGIN].lower()
    return media_type(response).lower() in _PAGES or begin.startswith((b"<!doctype html", b"<html"))


def described(response: Response) -> str:
    """What an answer is that should be a manifest and is none."""
    kind = media_type(response)
    named = f" ({kind})" if kind else ""
    return f"a web page{named}" if is_page(response) else f"something else{named}"


def read_config(response: Response) -> ImageConfig:
    """An image's config; what is not one has neither platform nor version."""
    return said_by(_object(response))


def read_tags(response: Response) -> tuple[str, ...]:
    """The tags of `GET /v2/NAME/tags/list`."""
    found = _object(response).get("tags")
    return tuple(clean(tag, limit=128) for tag in found if isinstance(tag, str)) if isinstance(found, list) else ()


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; `None` for anything else."""
    try:
        return document_of(body)
    except Unusable:
        return None


def _object(response: Response) -> dict[str, Any]:
    return object_in(response.body) or {}


def _is_manifest(document: dict[str, Any], kind: str) -> bool:
    """Whether an object is one by its type, its schema's version or what it says of itself: one of them is there in
    every image, index and artifact of whichever version."""
    said = isinstance(document.get("schemaVersion"), int) or isinstance(document.get("mediaType"), str)
    return bool(document) and (said or is_manifest(kind))


_FROM_ANYBODY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.TOO_MANY_REQUESTS)
"""Statuses whose meaning, and what to do about it, is the same whoever gives them."""


def of_registry(endpoint: Endpoint, method: str, said: Response) -> Response:
    """The answer to a request to a registry's API. Raises ProxyAnswers for one that came through a proxy in clear and
    is like no registry's."""
    proxy = proxy_in_clear(endpoint.base)
    if not proxy or said.elsewhere or _is_a_registrys(method, said):
        return said
    page = "a web page with " if is_page(said) else ""
    message = f"{endpoint.base}: what answers through the proxy {proxy} sends {page}status {said.status}"
    raise ProxyAnswers(f"{message}, which is not how a registry answers")


def _is_a_registrys(method: str, said: Response) -> bool:
    """Whether it may be a registry's: errors are JSON there (distribution specification, "Error Codes")."""
    if said.header("docker-distribution-api-version") or said.header("www-authenticate"):
        return True
    if is_page(said):
        return said.status in _FROM_ANYBODY[1:]
    if said.status < HTTPStatus.BAD_REQUEST or said.status in _FROM_ANYBODY:
        return True
    if method == "HEAD":  # no answer to it has a body
        return said.status not in (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, *BUSY)
    return object_in(said.body) is not None
