"""What an index of a layout leads to: its images, each with its platform."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pushsafe.archives.descriptors import Manifest, Named
from pushsafe.archives.layout import INDEX, Layout, name_of
from pushsafe.archives.repairs import BY_DIGEST
from pushsafe.errors import UsageError
from pushsafe.model import MANIFEST_TYPES, Platform

_DEPTH = 8
"""Indexes within indexes: nobody has more than two."""


def images_of(layout: Layout, manifest: Manifest) -> Iterator[tuple[Named, Platform | None]]:
    """The images that an index leads to, each with its platform; an image alone is its own. Raises UsageError.

    Nothing but indexes is read where they say all that is asked. One that is named for two platforms comes twice.
    """
    if not manifest.is_index:
        yield _named(manifest), layout.config(manifest).platform
        return
    seen: set[tuple[str, Platform | None]] = set()
    for index in indexes_of(layout, manifest):
        for child in index.children:
            key = child.digest, child.platform if child.says_all else None
            if child.attestation or key in seen:
                continue
            seen.add(key)
            if child.says_all:
                yield child, child.platform
                continue
            found = layout.manifest(child, name_of(index))
            if not found.is_index:
                yield _named(found), layout.config(found).platform


def indexes_of(layout: Layout, root: Manifest) -> Iterator[Manifest]:
    """An index and all that it leads to, each once, the outer ones first. Raises UsageError."""
    seen = {root.content.digest}
    waiting = deque([(root, 0)])
    while waiting:
        index, depth = waiting.popleft()
        check_depth(layout, depth)
        yield index
        for child in index.children:
            if child.attestation or child.media_type in MANIFEST_TYPES or child.digest in seen:
                continue
            seen.add(child.digest)
            found = layout.manifest(child, name_of(index))
            if found.is_index:
                waiting.append((found, depth + 1))


def parts_of(layout: Layout) -> set[str]:
    """The digests of all that indexes among the entries lead to, as far as those are there. Raises UsageError."""
    found: set[str] = set()
    waiting = [(entry, INDEX) for entry in layout.entries]
    while waiting:
        named, by = waiting.pop()
        if named.media_type in MANIFEST_TYPES or not layout.holds_manifest(named):
            continue
        manifest = layout.manifest(named, by)
        new = [child for child in manifest.children if child.digest not in found]
        found.update(child.digest for child in new)
        waiting.extend((child, name_of(manifest)) for child in new)
    return found


def _named(manifest: Manifest) -> Named:
    content = manifest.content
    return Named(content.digest, len(content.body), content.media_type)


def only_image(layout: Layout, entry: Named) -> Manifest | None:
    """The manifest that an entry names, or its index alone does; None where that names more. Raises UsageError."""
    manifest, depth = layout.manifest(entry, INDEX), 0
    while manifest.is_index:
        check_depth(layout, depth)
        if len(manifest.children) != 1:
            return None
        manifest, depth = layout.manifest(manifest.children[0], name_of(manifest)), depth + 1
    return manifest


def check_depth(layout: Layout, depth: int) -> None:
    """Raises UsageError for an index within too many others."""
    if depth >= _DEPTH:
        raise UsageError(
            f"{layout.store.shown(INDEX)}: it leads to more than {_DEPTH} indexes within each other", BY_DIGEST
        )
