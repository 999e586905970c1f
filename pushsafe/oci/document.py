"""JSON documents of images, read as the Go programs read them that write, push and serve images."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


class Unusable(ValueError):
    """A document that is not what it should be, and why: a sentence without a subject."""


def field(document: dict[str, Any], name: str, default: Any = None) -> Any:
    """What an object has under a name, whatever the case it is written in; of several spellings the last counts.

    So does Go's `encoding/json`, and with it docker, skopeo, crane and most registries. The keys of a map, such as
    annotations and labels, are no such names.
    """
    wanted = name.lower()
    return next((value for key, value in reversed(document.items()) if key.lower() == wanted), default)


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """An object without what it has under these names, whatever the case."""
    left = {name.lower() for name in names}
    return {key: value for key, value in document.items() if key.lower() not in left}


def document_of(body: bytes) -> dict[str, Any]:
    """A document's JSON object. Raises Unusable."""
    found = json_of(body)
    if not isinstance(found, dict):
        raise Unusable("is not a JSON object")
    return found


def json_of(body: bytes) -> Any:
    """Any JSON of which every number can be written out again. Raises Unusable.

    It is UTF-8 without a byte order mark (RFC 8259, 8.1): for Go, whatever else Python would guess is no JSON.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Unusable("is not JSON: it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Unusable("is not JSON: it begins with a byte order mark")
    try:
        return json.loads(text, parse_constant=_no_json, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Unusable("is not JSON") from None


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_json(text)
