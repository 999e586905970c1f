"""A registry's answers read into values, and told apart from those of a proxy."""

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
_BEGIN = 16  # bytes that identify a web page where its media type does not

_LONGEST_CHALLENGE = 8 * 1024
"""Most characters read of a header: as many as nginx accepts."""
_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|(?=,)|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|$)")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?')


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """The first challenge of `WWW-Authenticate` that we can answer; `scheme` is lower case, empty for none."""

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
        if token := _TOKEN68.match(header, at):  # Negotiate has it in place of parameters
            at = token.end()
        parameters = {}
        while parameter := _PARAMETER.match(header, at):
            name, quoted, bare = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            at = parameter.end()
        challenges.append(Challenge(match.group(1).lower(), parameters))
    wanted = (challenge for scheme in ("bearer", "basic") for challenge in challenges if challenge.scheme == scheme)
    return next(wanted, Challenge())


def read_json(body: bytes) -> Any:
    """A JSON document. Raises ValueError for anything else, and for one nested too deep."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_error(response: Response) -> tuple[str, str]:
    """Code and message of an error answer: a registry's `{"errors": [...]}`, OAuth's, or plain text."""
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
    """A JSON value as text; empty for a false one."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean(said, limit=limit) if value else ""


def evidence(stage: Stage, response: Response, *, sent: bool, size: int = 0) -> Evidence:
    """An answer as evidence, with the server's cleaned message, or else our own. `size` is that of the request body."""
    code, message = read_error(response)
    return Evidence(
        stage,
        message or _default_message(response, size),
        status=response.status,
        code=code,
        challenge=str(parse_challenge(response.header("www-authenticate"))),
        sent=sent,
    )


def _default_message(response: Response, size: int) -> str:
    """The message for an answer without one; empty where the status says it all."""
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = "a proxy in front of the registry usually sets the limit"
        return f"request entity too large: a body of {size} bytes does not pass; {limit}"
    location = response.header("location")
    if response.status not in REDIRECTS or not location:
        return ""
    there = origin_of(location) if "://" in location[:9] else "another path of its own"
    return f"a redirect to {there}, which is not followed"


def untaken(response: Response, *, sent: bool, whole: bool = True, size: int = 0) -> Evidence:
    """The answer that did not accept a blob, or a piece of one; a 2xx of the wrong kind gets a message."""
    said = evidence(Stage.PUSH, response, sent=sent, size=size)
    if whole:
        return undue(said, "a blob that was sent whole", HTTPStatus.CREATED)
    return undue(said, "a piece of a blob", HTTPStatus.ACCEPTED)


def undue(said: Evidence, what: str, due: int) -> Evidence:
    """An answer with a message where it is a 2xx other than the one that is `due`."""
    if not said.accepted:
        return said
    return said._replace(code="", message=f"it answers {said.status} to {what}, where {due} is due")


def media_type(response: Response) -> str:
    return clean(response.header("content-type").partition(";")[0], limit=200)


def putable_type(response: Response) -> str:
    """The media type for pushing a manifest or index again; empty for an unknown one.

    The document's own `mediaType` counts where Content-Type is no manifest's.
    """
    named = (media_type(response), str(field(_object(response), "mediaType")))
    return next((kind for kind in named if is_manifest(kind)), "")


def same_algorithm(digest: str, expected: str) -> bool:
    """Whether two digests can be compared; an empty `expected` fits any."""
    return not expected or digest.partition(":")[0] == expected.partition(":")[0]


def read_manifest(response: Response, expected: str = "") -> ManifestInfo | None:
    """The manifest or index of an answer; `None` for any other content, whatever its type claims.

    The digest is computed, so that a header cannot claim another one, by the algorithm of `expected`, if any.
    """
    document, kind = _object(response), media_type(response)
    # Every image, index and artifact of any version has a known type, a schema version, or names its own type.
    typed = isinstance(document.get("schemaVersion"), int) or isinstance(document.get("mediaType"), str)
    if not document or not (typed or is_manifest(kind)):
        return None
    digest = digest_of(response.body, expected or response.header("docker-content-digest"))
    return info_of(document, digest, putable_type(response) or kind)


def is_page(response: Response) -> bool:
    """Whether an answer is a web page."""
    begin = response.body.lstrip()[:_BEGIN].lower()
    return media_type(response).lower() in _PAGES or begin.startswith((b"<!doctype html", b"<html"))


def described(response: Response) -> str:
    """What an answer is that is no manifest."""
    kind = media_type(response)
    named = f" ({kind})" if kind else ""
    return f"a web page{named}" if is_page(response) else f"something else{named}"


def read_config(response: Response) -> ImageConfig:
    """An image's config; other content has neither platform nor version."""
    return said_by(_object(response))


def read_tags(response: Response) -> tuple[str, ...]:
    """The tags of `GET /v2/NAME/tags/list`."""
    found = _object(response).get("tags")
    return tuple(clean(tag, limit=128) for tag in found if isinstance(tag, str)) if isinstance(found, list) else ()


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; `None` for anything else."""
    try:
        return document_of(body)
    except Unusable:
        return None


def _object(response: Response) -> dict[str, Any]:
    return object_in(response.body) or {}


_FROM_ANY_SERVER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.TOO_MANY_REQUESTS)
"""Statuses that mean the same from a registry and from a proxy."""


def of_registry(endpoint: Endpoint, method: str, said: Response) -> Response:
    """The answer to a request to a registry's API. Raises ProxyAnswers where a proxy over plain HTTP gave it."""
    proxy = proxy_in_clear(endpoint.base)
    if not proxy or said.elsewhere or _may_be_registry(method, said):
        return said
    page = "a web page with " if is_page(said) else ""
    message = f"{endpoint.base}: what answers through the proxy {proxy} sends {page}status {said.status}"
    raise ProxyAnswers(f"{message}, which is not how a registry answers")


def _may_be_registry(method: str, said: Response) -> bool:
    """Whether a registry may answer so: its errors are JSON (distribution specification, "Error Codes")."""
    if said.header("docker-distribution-api-version") or said.header("www-authenticate"):
        return True
    if is_page(said):
        return said.status in _FROM_ANY_SERVER[1:]
    if said.status < HTTPStatus.BAD_REQUEST or said.status in _FROM_ANY_SERVER:
        return True
    if method == "HEAD":  # its answers have no body
        return said.status not in (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, *BUSY)
    return object_in(said.body) is not None
