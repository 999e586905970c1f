"""A registry's answers, read into values, and told from those of whoever answers in its place."""

from __future__ import annotations

import dataclasses
import json
import re
from http import HTTPStatus
from typing import Any

from pushsafe.model.errors import ProxyAnswers
from pushsafe.model.evidence import Evidence, Stage
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
from pushsafe.registry.hosts import origin_of
from pushsafe.registry.http.transport import REDIRECTS, Endpoint, Response, proxy_in_clear
from pushsafe.runtime.redact import clean

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_PAGES = ("text/html", "application/xhtml+xml")
_BEGIN = 16  # bytes that show a page for what it is, where its type does not

_LONGEST_CHALLENGE = 8 * 1024
"""Characters of a header that are read: as much as nginx takes of one."""
_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|(?=,)|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|$)")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?')


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """A `WWW-Authenticate` header's first challenge that we can answer; `scheme` is lower case, empty if none."""

    scheme: str = ""
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        shown = " ".join(
            f'{key}="{clean(value, limit=120)}"' for key, value in self.parameters.items() if key in ("realm", "error")
        )
        return clean(f"{self.scheme.capitalize()} {shown}".strip(), limit=300)


def parse_challenge(header: str) -> Challenge:
    """Read `WWW-Authenticate` (RFC 9110 section 11.6.1); Bearer is preferred where both are offered."""
    challenges = []
    header, at = header[:_LONGEST_CHALLENGE], 0
    while match := _SCHEME.match(header, at):
        at = match.end()
        if token := _TOKEN68.match(header, at):  # what Negotiate has for parameters
            at = token.end()
        parameters = {}
        while parameter := _PARAMETER.match(header, at):
            name, quoted, bare = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            at = parameter.end()
        challenges.append(Challenge(match.group(1).lower(), parameters))
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return Challenge()


def read_json(body: bytes) -> Any:
    """A JSON document. Raises ValueError for whatever is none, also where it is nested too deep to be read."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_error(response: Response) -> tuple[str, str]:
    """Code and message of an error answer: the registry's `{"errors": [...]}`, OAuth's, or the bare text."""
    try:
        answer = read_json(response.body)
    except ValueError:
        text = response.body.decode("utf-8", "replace")
        return "", "" if "<html" in text.lower() else clean(text, limit=300)
    if not isinstance(answer, dict):
        return "", _text(answer, 300)
    errors = answer.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        first = errors[0]
        return _text(first.get("code"), 60), _text(first.get("message"), 300)
    message = answer.get("details") or answer.get("error_description") or answer.get("message") or answer.get("error")
    return _text(answer.get("code") or answer.get("error"), 60), _text(message, 300)


def _text(value: object, limit: int) -> str:
    """A value as the server wrote it; empty for nothing."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean(said, limit=limit) if value else ""


def evidence(stage: Stage, response: Response, *, sent: bool, size: int = 0) -> Evidence:
    """An answer as evidence; its words are the server's, made fit to show, or what is known of an answer without any.

    `size` is how many bytes it was sent.
    """
    code, message = read_error(response)
    return Evidence(
        stage,
        message or _unsaid(response, size),
        status=response.status,
        code=code,
        challenge=str(parse_challenge(response.header("www-authenticate"))),
        sent=sent,
    )


def _unsaid(response: Response, size: int) -> str:
    """What an answer without words is; empty where its status says as much."""
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = "a proxy in front of the registry usually sets the limit"
        return f"request entity too large: a body of {size} bytes does not pass; {limit}"
    location = response.header("location")
    if response.status not in REDIRECTS or not location:
        return ""
    there = origin_of(location) if "://" in location[:9] else "another path of its own"
    return f"a redirect to {there}, which is not followed"


def untaken(response: Response, *, sent: bool, whole: bool = True, size: int = 0) -> Evidence:
    """The answer to a blob, or to a piece of one, that did not take it: a yes that is none has no words for that."""
    said = evidence(Stage.PUSH, response, sent=sent, size=size)
    if whole:
        return undue(said, "a blob that was sent whole", HTTPStatus.CREATED)
    return undue(said, "a piece of a blob", HTTPStatus.ACCEPTED)


def undue(said: Evidence, what: str, due: int) -> Evidence:
    """An answer that is a yes, and not the one that is due."""
    if not said.accepted:
        return said
    return said._replace(code="", message=f"it answers {said.status} to {what}, where {due} is due")


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
