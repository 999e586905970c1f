"""Versions in tags: which tags are versions, the version of an image, and which versions are higher.

A text is a version if `packaging` parses it (a leading v is fine), unless it looks like a commit ID or a date: seven to
forty hexadecimal digits without a dot. `latest`, `2024-edge` and `1.4.2-alpine` are no versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pushsafe.model.facts import Facts, LocalImage, Upcoming

if TYPE_CHECKING:
    from packaging.version import Version


_COMMIT_OR_DATE = re.compile(r"[0-9a-fA-F]{7,40}")
_BEGINNING = re.compile(r"\s*[vV]?[0-9]")
_LONGEST = 128
"""The longest tag (distribution specification); a longer label is no version."""


def version_of(text: str) -> Version | None:
    if len(text) > _LONGEST or not _BEGINNING.match(text) or _COMMIT_OR_DATE.fullmatch(text):
        return None
    from packaging.version import InvalidVersion, Version  # imported here: it costs a start 10 ms

    try:
        return Version(text)
    except InvalidVersion:
        return None


def at_least(version: str, least: str) -> bool:
    """Whether the version of an API or a program is `least` or higher."""
    from packaging.version import Version

    return Version(version) >= Version(least)


def local_version(fact: Facts, facts: Iterable[Facts]) -> str:
    """The version of an image as written, else an empty string.

    It is the highest among the tags that `facts` have for the same image in the same repository, else the image's
    label.
    """
    image, name = fact.image, fact.reference.name
    if not isinstance(image, LocalImage | Upcoming):
        return ""
    tags = (one.reference.tag for one in facts if one.reference.name == name and _is_same(one.image, image))
    found = [(not _is_number(version), version, len(version.release), tag) for tag, version in _versions(tags)]
    if found:
        return max(found)[-1]
    return image.version if version_of(image.version) else ""


def _is_same(one: object, other: LocalImage | Upcoming) -> bool:
    if isinstance(one, LocalImage) and isinstance(other, LocalImage):
        return one.id == other.id
    return one == other


def higher(candidates: Iterable[str], than: str) -> tuple[str, ...]:
    """The `candidates` that are certainly higher versions, highest first; none if `than` is no version.

    `1.4` often names the newest of its line, so `1.4.2` is not higher. A bare number may be a build count, and is
    compared only with other bare numbers.
    """
    base = version_of(than)
    if base is None:
        return ()
    found = [(version, text) for text, version in _versions(candidates) if _is_higher(version, base)]
    return tuple(text for _, text in sorted(found, reverse=True))


def _versions(texts: Iterable[str]) -> Sequence[tuple[str, Version]]:
    return [(text, version) for text in dict.fromkeys(texts) if (version := version_of(text))]


def _is_higher(version: Version, base: Version) -> bool:
    if _is_number(version) != _is_number(base):
        return False
    length = len(base.release)
    is_line = length < 3 and str(base) == base.base_version  # neither a pre-release nor a post-release
    if is_line and len(version.release) > length and version.release[:length] == base.release:
        return False
    return version > base


def _is_number(version: Version) -> bool:
    return len(version.release) == 1
