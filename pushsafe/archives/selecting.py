"""Some platforms of an image: the one image that is for them, or an index of those alone, made here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pushsafe.archives.descriptors import Manifest, Named
from pushsafe.archives.layout import INDEX, Layout, name_of
from pushsafe.archives.walking import images_of, indexes_of
from pushsafe.documents import document_of, without
from pushsafe.errors import UsageError
from pushsafe.image_index import entries_of, platform_said
from pushsafe.model import Platform
from pushsafe.platforms import listed, same

_Key = tuple[str, Platform | None]
"""What tells the images of an index apart: one may be named for several platforms."""


def selected(layout: Layout, root: Named, wanted: Sequence[Platform]) -> Named:
    """What a push of the `wanted` platforms is of; what only the others need is not read.

    It is the root where no platform is named or all that it has are, the image itself where it is one, else an index
    made here. Raises UsageError, which lists the platforms there are.
    """
    if not wanted:
        return root
    manifest = layout.manifest(root, INDEX)
    there = {(named.digest, platform): named for named, platform in images_of(layout, manifest)}
    chosen = _chosen(layout, there, wanted)
    if len(chosen) == 1:
        return there[chosen[0]]
    if len(chosen) == len(there):
        return root
    return layout.made(_part_of(layout, manifest, frozenset(chosen)), manifest.content.media_type)


def unlike(where: str, wanted: Iterable[Platform], there: Iterable[Platform]) -> UsageError:
    """What is said where an image is asked for platforms that it is not for."""
    held = listed(there)
    said = f"it is for {held}" if held else "it names no platform"
    return UsageError(
        f"{where}: the image is not for {listed(wanted)}; {said}", "name one of those, or leave --platform out"
    )


def _chosen(layout: Layout, there: Iterable[_Key], wanted: Sequence[Platform]) -> list[_Key]:
    """One image for each platform, each once."""
    where = layout.store.shown(INDEX)
    told = [(digest, platform) for digest, platform in there if platform]
    found: dict[_Key, None] = {}
    lacking: list[Platform] = []
    for one in wanted:
        matching = [(digest, platform) for digest, platform in told if same(platform, one)]
        if len(digests := dict.fromkeys(digest for digest, _ in matching)) > 1:
            raise UsageError(
                f"{where}: it has {len(digests)} images for {listed([one])}: {', '.join(digests)}",
                "leave --platform out to push all of them",
            )
        if matching:
            found[matching[0]] = None
        else:
            lacking.append(one)
    if lacking:
        raise unlike(where, lacking, dict.fromkeys(platform for _, platform in told))
    return list(found)


def _part_of(layout: Layout, root: Manifest, chosen: frozenset[_Key]) -> dict[str, Any]:
    """The root's document with the chosen images alone and what attests them, in their order.

    Nothing goes into it but what the indexes and configs say: the same files make the same index.
    """
    digests = {digest for digest, _ in chosen}
    rows = {
        key: entry
        for index in indexes_of(layout, root)
        for key, child, entry in _rows(layout, index)
        if (child.attests in digests if child.attestation else key in chosen)
    }
    said = {"schemaVersion": 2, "mediaType": root.content.media_type, "manifests": list(rows.values())}
    return {**said, **without(document_of(root.content.body), *said)}


def _rows(layout: Layout, index: Manifest) -> Iterator[tuple[_Key, Named, dict[str, Any]]]:
    """What an index names, and how; completed by what the image says of itself where the index does not say it all."""
    written = entries_of(document_of(index.content.body), "manifests")
    for child, entry in zip(index.children, written, strict=True):
        if child.attestation or child.says_all:
            yield (child.digest, child.platform), child, entry
            continue
        found = layout.manifest(child, name_of(index))
        config = layout.config(found)
        if config.platform:
            said = {"mediaType": found.content.media_type, "platform": platform_said(config.platform, config)}
            yield (child.digest, config.platform), child, {**said, **without(entry, *said)}
