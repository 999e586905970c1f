"""Reads the engine's push stream into one answer: the layers' states and the digest, or the error.

Both image stores write it (`POST /images/NAME/push`, moby `pkg/streamformatter`); the classic one names the digest in
an `aux` line, the containerd one only in a line of text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pushsafe.engine import payloads as answers
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import (
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    LayerEvent,
    Layers,
    LayerState,
)
from pushsafe.oci.reference import Reference
from pushsafe.runtime.redact import clean

LONGEST_LINE = 1 << 20
"""Bytes kept of a line. Engines write a few hundred, but an error may quote any answer of a registry."""
MOST_LAYERS = 10_000
"""An engine's image has at most 127; an index has some for each platform."""

_ERROR_SAID = 1 << 14
_DIGEST_LINE = re.compile(r"(?P<tag>\S+): digest: (?P<digest>sha256:[0-9a-f]{64}) size: \d+")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
_CUT_ERROR = re.compile(r'\{\s*(?:"errorDetail"\s*:\s*\{\s*(?:"code"\s*:\s*-?\d+\s*,\s*)?"message"|"error")\s*:\s*"')
_STATES = {
    "Preparing": LayerState.WAITING,
    "Waiting": LayerState.WAITING,
    "Pushing": LayerState.PUSHING,
    "Retrying": LayerState.PUSHING,
    "Pushed": LayerState.SENT,
    "Layer already exists": LayerState.REUSED,
    "Already exists": LayerState.REUSED,
    "Mounted": LayerState.MOUNTED,
}

_UNSENT = (LayerState.WAITING, LayerState.PUSHING)


class Line(NamedTuple):
    """A line of `length` bytes, of which `content` has the first; `ended` if its line end was received."""

    content: bytes
    length: int
    ended: bool = True


class Garbled(Exception):
    """The stream is not an engine's; the message quotes it."""


class BrokenOff(Exception):
    """The stream ends in the middle of a line."""


def lines(parts: Iterable[bytes]) -> Iterator[Line]:
    """Split a stream into lines, in linear time and with memory for one line of LONGEST_LINE."""
    kept, length = bytearray(), 0
    for part in parts:
        first, *others = part.split(b"\n")
        kept += first[: LONGEST_LINE - len(kept)]
        length += len(first)
        for other in others:
            yield Line(bytes(kept), length)
            kept, length = bytearray(other[:LONGEST_LINE]), len(other)
    if length:
        yield Line(bytes(kept), length, ended=False)


def read_push_stream(
    reference: Reference,
    lines: Iterable[Line],
    on_layer: Callable[[LayerEvent], None],
    secrets: Iterable[str] = (),
    new: Callable[[], None] = lambda: None,
) -> EngineAnswer:
    """Read the stream of one tag's push to its end. `secrets` are masked in messages.

    `new` is called for every line that differs from the last one about its layer. Raises Garbled, and BrokenOff.
    """
    layers: dict[str, LayerEvent] = {}
    latest: dict[str, int] = {}
    digest = cut = ""
    reduced: EngineReduced | None = None
    secrets = tuple(secrets)
    for raw in lines:
        line = _decoded(raw)
        if error := _error(line):
            unsent = any(event.state in _UNSENT for event in layers.values())
            return EngineRefused(Evidence(Stage.PUSH, clean(error, secrets)), unsent)
        name, aux = clean(_text(line.get("id")), limit=64), line.get("aux")
        if (name in latest or len(latest) < MOST_LAYERS) and latest.get(name) != (said := _said(raw, line)):
            latest[name] = said
            new()
        if raw.length > LONGEST_LINE:
            cut = f"; a line of {raw.length} bytes was not read to its end"
        elif isinstance(aux, Mapping):
            digest = _aux_digest(aux, reference) or digest
            reduced = _reduction(aux) or reduced
        elif name:
            event = _layer_event(reference, name, line, layers.get(name)) if name in latest else None
            if event:
                layers[name] = event
                on_layer(event)
        elif (match := _DIGEST_LINE.fullmatch(str(line.get("status", "")))) and match["tag"] == reference.tag:
            digest = match["digest"]
    if reduced:
        return reduced
    if not digest:
        return EngineRefused(Evidence(Stage.PUSH, f"the engine ended the push without naming a digest{cut}"))
    return EngineAccepted(digest, _count(layers.values()))


def _said(raw: Line, line: Mapping[str, Any]) -> int:
    """A hash of a line's state: the containerd store repeats each layer's ten times a second."""
    current = answers.number(_object(line.get("progressDetail")).get("current"))
    return hash((str(line.get("status")), current) if line.get("id") else raw.content)


def _decoded(line: Line) -> Mapping[str, Any]:
    """A parsed line; empty for an empty line, and for an overlong one that is no error."""
    text = line.content.decode("utf-8", "replace").strip()
    if not text:
        return {}
    if line.length > LONGEST_LINE:
        return _of_cut(text)
    try:
        value = answers.read(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, Mapping):
        return value
    if not line.ended:
        raise BrokenOff
    raise Garbled(clean(text, limit=300))


def _of_cut(text: str) -> Mapping[str, Any]:
    """The error in the beginning of an overlong line, if it is one (moby writes `errorDetail` before `error`)."""
    found = _CUT_ERROR.match(text)
    if not found:
        return {}
    said = text[found.end() : found.end() + _ERROR_SAID]
    whole = re.match(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*', said)
    return {"error": json.loads(f'"{whole[0]}"', strict=False) if whole else ""}


def _error(line: Mapping[str, Any]) -> str:
    """The message of an error line, or a default one; empty for every other line."""
    if line.get("error") is None and line.get("errorDetail") is None:
        return ""
    found = _object(line.get("errorDetail")).get("message") or line.get("error") or line.get("errorDetail")
    return _text(found) or "the engine reports an error without words"


def _aux_digest(aux: Mapping[str, Any], reference: Reference) -> str:
    digest = str(aux.get("Digest") or "")
    return digest if aux.get("Tag") == reference.tag and _DIGEST.fullmatch(digest) else ""


def _reduction(aux: Mapping[str, Any]) -> EngineReduced | None:
    """moby's note that it pushed one manifest in place of the index (`api/types/auxprogress/push.go`)."""
    if not aux.get("manifestPushedInsteadOfIndex"):
        return None
    index, chosen = _object(aux.get("originalIndex")), _object(aux.get("selectedManifest"))
    platform = _object(chosen.get("platform"))
    name = "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key))
    return EngineReduced(clean(str(index.get("digest", ""))), clean(str(chosen.get("digest", ""))), clean(name))


def _layer_event(
    reference: Reference, layer: str, line: Mapping[str, Any], before: LayerEvent | None
) -> LayerEvent | None:
    status = str(line.get("status", ""))
    state = _STATES.get(status) or next((found for words, found in _STATES.items() if status.startswith(words)), None)
    if state is None:
        return None
    detail = _object(line.get("progressDetail"))
    current, total = answers.number(detail.get("current")), answers.number(detail.get("total"))
    if before:
        current, total = max(current, before.current), max(total, before.total)
    if state is LayerState.SENT:
        # Small layers have no last progress line, but were sent whole.
        current = total = max(current, total)
    return LayerEvent(reference, layer, state, current, total)


def _text(value: object) -> str:
    """A text unchanged, any other true value as JSON."""
    return value if isinstance(value, str) else json.dumps(value) if value else ""


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(events: Iterable[LayerEvent]) -> Layers:
    counted = list(events)

    def number(state: LayerState) -> int:
        return sum(event.state is state for event in counted)

    return Layers(
        reused=number(LayerState.REUSED),
        mounted=number(LayerState.MOUNTED),
        sent=number(LayerState.SENT),
        bytes_sent=sum(event.total for event in counted if event.state is LayerState.SENT),
        unsized=tuple(event.layer for event in counted if event.state is LayerState.SENT and not event.total),
        reported=bool(counted),
    )
