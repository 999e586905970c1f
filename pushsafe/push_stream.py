"""The engine's push stream read into one answer: layers by what became of them, the digest, or the error.

Both image stores speak it (`POST /images/NAME/push`, moby `pkg/streamformatter`); the classic one
names the digest in an `aux` line, the containerd one only in a line of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pushsafe.model import (
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    Evidence,
    LayerEvent,
    Layers,
    LayerState,
    Reference,
    Stage,
)
from pushsafe.sanitize import clean

_DIGEST_LINE = re.compile(r"(?P<tag>\S+): digest: (?P<digest>sha256:[0-9a-f]{64}) size: \d+")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
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


def read_push_stream(
    reference: Reference,
    lines: Iterable[Mapping[str, Any]],
    on_layer: Callable[[LayerEvent], None],
    secrets: Iterable[str] = (),
) -> EngineAnswer:
    """Read the stream of one tag's push to its end. `secrets` are masked in whatever message comes back."""
    layers: dict[str, LayerEvent] = {}
    digest = ""
    reduced: EngineReduced | None = None
    secrets = tuple(secrets)
    for line in lines:
        if error := _error(line):
            unsent = any(event.state in _UNSENT for event in layers.values())
            return EngineRefused(Evidence(Stage.PUSH, clean(error, secrets)), unsent)
        aux = line.get("aux")
        if isinstance(aux, Mapping):
            digest = _aux_digest(aux, reference) or digest
            reduced = _reduction(aux) or reduced
        elif layer := line.get("id"):
            if event := _layer_event(reference, str(layer), line, layers.get(str(layer))):
                layers[event.layer] = event
                on_layer(event)
        elif (match := _DIGEST_LINE.fullmatch(str(line.get("status", "")))) and match["tag"] == reference.tag:
            digest = match["digest"]
    if reduced:
        return reduced
    if not digest:
        return EngineRefused(Evidence(Stage.PUSH, "the engine ended the push without naming a digest"))
    return EngineAccepted(digest, _count(layers.values()))


def _error(line: Mapping[str, Any]) -> str:
    """The words of an error line, which is one even without words; empty for every other line."""
    if line.get("error") is None and line.get("errorDetail") is None:
        return ""
    found = _object(line.get("errorDetail")).get("message") or line.get("error") or line.get("errorDetail")
    return str(found or "the engine reports an error without words")


def _aux_digest(aux: Mapping[str, Any], reference: Reference) -> str:
    digest = str(aux.get("Digest") or "")
    return digest if aux.get("Tag") == reference.tag and _DIGEST.fullmatch(digest) else ""


def _reduction(aux: Mapping[str, Any]) -> EngineReduced | None:
    """moby's note that an index was quietly reduced (`api/types/auxprogress/push.go`)."""
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
    current, total = _bytes(detail.get("current")), _bytes(detail.get("total"))
    if before:
        current, total = max(current, before.current), max(total, before.total)
    if state is LayerState.SENT:
        # Small layers skip the last progress line: what is in place has travelled whole.
        current = total = max(current, total)
    return LayerEvent(reference, clean(layer, limit=64), state, current, total)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _bytes(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0


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
    )
