"""Reads the engine's JSON answers into our values; pure."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pushsafe.model.facts import LocalImage
from pushsafe.oci.manifest import INDEX_TYPES, VERSION, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import DEFAULT_NAMESPACE, DEFAULT_REGISTRY, Reference, parse
from pushsafe.runtime.redact import clean

LARGEST = 2**63 - 1
"""The largest number of an engine, which is a Go program."""

_MOST_DIGITS = len(str(LARGEST))
_NEAR_MISSES = 3
_ALIKE = 0.8
_COMPARED = 20
"""Neighbours of a missing word in a sorted list that are compared with it in full."""


def shown(value: object) -> str:
    """A text of the engine's, cleaned; empty for any other type."""
    return clean(value) if isinstance(value, str) else ""


def read(text: str) -> Any:
    """A JSON value with capped numbers. Raises ValueError, and RecursionError for one nested too deep."""
    return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> int:
    """A capped integer: Python raises ValueError for thousands of digits, and shows hundreds in full."""
    if len(digits) < _MOST_DIGITS:
        return int(digits)
    return -LARGEST if digits.startswith("-") else LARGEST


def number(value: object) -> int:
    """A count, from 0 to LARGEST; 0 for any other type."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return 0
    return int(min(max(value, 0), LARGEST))


def message(body: str) -> str:
    """The message of an answer: `{"message": ...}`, `{"Status": ...}` of a login, or plain text."""
    return _message(body) or body


def is_message(body: str) -> bool:
    """Whether an error has an engine's form."""
    return bool(_message(body))


def _message(body: str) -> str:
    try:
        answer = read(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    return str(answer.get("message") or answer.get("Status") or answer.get("error") or "")


def refusal(stream: str) -> str:
    """The error in a streamed answer, which began with status 200; empty for success."""
    return next(filter(None, map(_error, filter(str.strip, stream.splitlines()))), "")


def _error(line: str) -> str:
    try:
        value = read(line)
    except (ValueError, RecursionError):
        return f"it answers with what is not JSON: {line}"
    return str(value.get("error") or "") if isinstance(value, dict) else f"it answers {line}"


def image(answer: Mapping[str, Any]) -> LocalImage:
    """The answer of `GET /images/NAME/json`. Invalid answers raise TypeError and the like."""
    present, missing = platforms(answer)
    labels = (answer.get("Config") or {}).get("Labels") or {}
    return LocalImage(
        id=shown(answer.get("Id")),
        platforms=present,
        missing=missing,
        repo_digests=tuple(map(shown, answer.get("RepoDigests") or ())),
        size=_size(answer.get("Size") or 0),
        children=children(answer),
        version=shown(labels.get(VERSION)),
        names=tuple(str(name) for name in map(parse, answer.get("RepoTags") or ()) if isinstance(name, Reference)),
        attestations=sum(entry.get("Kind") == "attestation" for entry in answer.get("Manifests") or ()),
    )


def _size(value: Any) -> int:
    if not math.isfinite(value):
        raise ValueError("not a size")
    return number(value)


def platforms(answer: Mapping[str, Any]) -> tuple[tuple[Platform, ...], tuple[Platform, ...]]:
    """The platforms present and missing: the classic store has one, the containerd store lists manifests."""
    images = [entry for entry in answer.get("Manifests") or () if entry.get("Kind") == "image"]
    descriptor = answer.get("Descriptor") or {}
    if images and descriptor.get("mediaType") in INDEX_TYPES:
        present = [entry for entry in images if entry.get("Available")]
        missing = [entry for entry in images if not entry.get("Available")]
        return tuple(map(_manifest_platform, present)), tuple(map(_manifest_platform, missing))
    return (platform({str(key).lower(): value for key, value in answer.items()}),), ()


def children(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The digests of all manifests of an index, attestations included, present or not."""
    if (answer.get("Descriptor") or {}).get("mediaType") not in INDEX_TYPES:
        return ()
    entries = answer.get("Manifests") or ()
    return tuple(digest for entry in entries if (digest := shown((entry.get("Descriptor") or {}).get("digest"))))


def _manifest_platform(entry: Mapping[str, Any]) -> Platform:
    found = (entry.get("ImageData") or {}).get("Platform") or (entry.get("Descriptor") or {}).get("platform") or {}
    return platform(found)


def platform(entry: Mapping[str, Any]) -> Platform:
    return Platform(
        os=shown(entry.get("os")),
        architecture=shown(entry.get("architecture")),
        variant=shown(entry.get("variant")),
        os_version=shown(entry.get("os.version") or entry.get("osversion")),
    )


def manifest(answer: Mapping[str, Any]) -> ManifestInfo | None:
    """The answer of `GET /distribution/NAME/json`, if it names a digest."""
    descriptor = answer.get("Descriptor") or {}
    if not descriptor.get("digest"):
        return None
    named = (platform(entry) for entry in answer.get("Platforms") or ())
    platforms = tuple(one for one in named if one.os != "unknown")  # attestations are for no platform
    return ManifestInfo(shown(descriptor.get("digest")), shown(descriptor.get("mediaType")), platforms)


def names(listed: Any) -> tuple[str, ...]:
    """The `name:tag`s in an answer of `GET /images/json`. Raises TypeError for anything but a list."""
    if not isinstance(listed, list):
        raise TypeError("not a list")
    return tuple(tag for image in listed for tag in image.get("RepoTags") or () if "<none>" not in tag)


def oci_platform(platform: Platform) -> dict[str, str]:
    parts = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    return {key: value for key, value in parts.items() if value}


def product(answer: Mapping[str, Any]) -> str:
    """The engine's product name, the first component in `GET /version`; empty for docker's own."""
    name = next((shown(one.get("Name")) for one in answer.get("Components") or ()), "")
    return "" if name == "Engine" else name


def architecture(machine: str) -> str:
    """Go's name of an architecture, as in images; `/info` has the kernel's."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)


def insecure_registries(config: Mapping[str, Any]) -> tuple[str, ...]:
    networks = map(shown, config.get("InsecureRegistryCIDRs") or ())
    indexes = config.get("IndexConfigs") or {}
    hosts = (shown(name) for name, index in indexes.items() if not (index or {}).get("Secure", True))
    return (*networks, *hosts)


def familiar(name: str) -> str:
    hubs = f"{DEFAULT_REGISTRY}/"
    return name.removeprefix(hubs).removeprefix(f"{DEFAULT_NAMESPACE}/") if name.startswith(hubs) else name


class Names:
    """An engine's `name:tag`s, indexed to find similar names fast."""

    def __init__(self, listed: Iterable[str]) -> None:
        tags: dict[str, list[str]] = {}
        for path, _, tag in (one.rpartition(":") for one in listed):
            tags.setdefault(path, []).append(tag)
        named: dict[str, list[str]] = {}
        for path in tags:
            named.setdefault(_last(path), []).append(path)
        self._paths = _Words(tags)
        self._named = {last: _Words(paths) for last, paths in named.items()}
        self._tags = {path: _Words(of_path) for path, of_path in tags.items()}

    def near(self, reference: Reference) -> tuple[str, ...]:
        """Similar names: the same last component first, the same tag before others, then similar spelling."""
        wanted, tag = familiar(reference.name), reference.tag
        same = self._named[_last(wanted)].closest(wanted) if _last(wanted) in self._named else []
        tags = {path: self._tags[path].closest(tag) for path in same}
        found = [f"{path}:{tag}" for path in same if tag in tags[path]]
        found += [f"{path}:{one}" for path in same for one in tags[path]]
        if len(found) < _NEAR_MISSES:
            alike = self._paths.closest(wanted, _ALIKE)
            found += [f"{path}:{one}" for path in alike for one in self._tags[path].closest(tag)[:1]]
        return tuple(dict.fromkeys(found))[:_NEAR_MISSES]


class _Words:
    """Words sorted forwards and backwards: with one wrong letter, a word is next to the right one in one of the two."""

    def __init__(self, words: Iterable[str]) -> None:
        self._forward = sorted(words)
        self._backward = sorted(word[::-1] for word in self._forward)

    def closest(self, wanted: str, likeness: float = 0) -> list[str]:
        """The words most similar to `wanted`, best first; `likeness` is difflib's least ratio, 0 to 1."""
        import difflib  # only where an image is missing

        matcher = difflib.SequenceMatcher(b=wanted)
        found: list[tuple[float, str]] = []
        backward = (word[::-1] for word in _around(wanted[::-1], self._backward))
        for word in {*_around(wanted, self._forward), *backward}:
            matcher.set_seq1(word)
            if matcher.real_quick_ratio() >= likeness and matcher.quick_ratio() >= likeness:
                found.append((-matcher.ratio(), word))
        return [word for ratio, word in sorted(found)[:_NEAR_MISSES] if -ratio >= likeness]


def _around(wanted: str, ordered: Sequence[str]) -> Sequence[str]:
    start = max(bisect_left(ordered, wanted) - _COMPARED // 2, 0)
    return ordered[start : start + _COMPARED]


def _last(path: str) -> str:
    return path.rpartition("/")[2]
