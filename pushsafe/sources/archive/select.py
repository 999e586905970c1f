"""Selects the image of an OCI layout to push, and its platforms."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pushsafe.model.errors import UsageError
from pushsafe.model.request import Archive
from pushsafe.oci.document import document_of, without
from pushsafe.oci.manifest import MANIFEST_TYPES, Descriptor, Manifest, clash, index_of, platform_said
from pushsafe.oci.platform import Platform, listed, same
from pushsafe.oci.reference import BadReference, parse
from pushsafe.runtime.redact import clean
from pushsafe.sources.archive.files import AGAIN
from pushsafe.sources.archive.graph import is_kept_beside, tells_of_another
from pushsafe.sources.archive.layout import INDEX, Layout, images_of, indexes_of, name_of, parts_of

_SHOWN = 10


def entry_of(layout: Layout, ref: str, archive: Archive, place: str, wanted: Sequence[Platform] = ()) -> Descriptor:
    """The entry of `index.json` that REF names, or the only one; `place` is the path. Raises UsageError.

    Several entries are narrowed to the `wanted` platforms, by the platforms that the entries name.
    """
    found = list(_named(layout.entries, ref)) if ref else candidates(layout)
    if not ref and (whole := _whole(layout)):
        return whole
    digests = {one.digest for one in found}
    if len(digests) == 1:
        return found[0]
    if together := _together(layout, found, wanted):
        return together
    where = layout.store.shown(INDEX)
    if not layout.entries:
        raise UsageError(f"{where}: it names no image", AGAIN)
    form = form_of(archive, place)
    if not found:
        raise UsageError(
            f"{where}: it has no image {clean(ref)}, but {listed_names(_names(layout.entries))}", f"name one: {form}"
        )
    what = f"{len(digests)} images {clean(ref)}" if ref else f"{len(digests)} images"
    raise UsageError(f"{where}: it has {what}: {listed_names(_told_apart(found))}", _ways(found, archive, place))


def _together(layout: Layout, found: Sequence[Descriptor], wanted: Sequence[Platform]) -> Descriptor | None:
    """The entry for the one wanted platform, or an index for several; None if ambiguous."""
    parts: dict[str, Descriptor] = {}
    for platform in wanted:
        matching = {one.digest: one for one in found if one.platform and same(one.platform, platform)}
        if len(matching) != 1:
            return None
        parts.update(matching)
    if len(parts) < 2:
        return next(iter(parts.values()), None)
    rows = {one.digest: one.unnamed for one in layout.entries if one.digest in parts or one.attests in parts}
    index = index_of(list(rows.values()))
    return layout.taken(index.body, index.media_type)


def _whole(layout: Layout) -> Descriptor | None:
    """`index.json` itself if it is the index of a multi-platform image: its entries have no names, and each is for a
    platform of its own or an attestation (as go-containerregistry `pkg/v1/layout/write.go` writes it).
    """
    images = [one for one in layout.entries if not one.attestation]
    known = [(one.digest, one.platform) for one in images if one.platform and one.media_type in MANIFEST_TYPES]
    several = len(layout.entries) > 1 and bool(images)
    if not several or len(known) < len(images) or any(one.names or one.kind for one in layout.entries) or clash(known):
        return None
    return layout.whole()


def form_of(archive: Archive, place: str, ref: str = "REF") -> str:
    """The option that names an image of an archive, quoted for a shell."""
    return f"--from {shlex.quote(f'{archive.kind}:{clean(place)}:{ref}')}"


def _named(entries: Sequence[Descriptor], ref: str) -> Iterator[Descriptor]:
    meant = normal(ref)
    for one in entries:
        called = not is_kept_beside(one) and (ref in one.names or (meant and meant in whole_names(one)))
        if called or ref == one.digest:
            yield one


def whole_names(one: Descriptor) -> set[str]:
    """An entry's full names, as docker reads them; podman writes one where others write the tag."""
    whole = [one.whole_name, one.name if "/" in one.name else ""]
    return {normal(name) for name in whole if name} - {""}


def candidates(layout: Layout) -> list[Descriptor]:
    """The entries that may be meant without a REF: none that refer to another image, if there are others, and no parts
    of other entries unless they have a name (oras lists every manifest that it copies).
    """
    entries = list(layout.entries)
    if len({one.digest for one in entries}) < 2:
        return entries
    own = [one for one in entries if not tells_of_another(one) and not _refers(layout, one)] or entries
    parts = parts_of(layout)
    return [one for one in own if one.names or one.digest not in parts] or own


def _refers(layout: Layout, named: Descriptor) -> bool:
    """Whether an entry refers to another image. A missing one stays a candidate, to be reported if it is meant."""
    return layout.holds_manifest(named) and bool(layout.manifest(named, INDEX).subject)


def normal(name: str) -> str:
    """A name written out as docker reads it; empty for an invalid one."""
    found = parse(name)
    return "" if isinstance(found, BadReference) else str(found)


def listed_names(names: Sequence[str]) -> str:
    """Up to ten names for a sentence, and the number of the others."""
    names = list(dict.fromkeys(names))
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*(clean(name, limit=200) for name in names[:_SHOWN]), *more])


def _names(entries: Iterable[Descriptor]) -> list[str]:
    return [one.names[0] if one.names else one.digest for one in entries]


def _told_apart(entries: Sequence[Descriptor]) -> list[str]:
    """The entries' names, with digests where names are shared."""
    named = {one.digest: one for one in reversed(entries)}
    often = Counter(_names(named.values()))
    return [f"{name} ({one.digest})" if often[name] > 1 else name for one in entries for name in _names([one])]


def _ways(found: Sequence[Descriptor], archive: Archive, place: str) -> str:
    """How to name one of several images, or all of them."""
    named = {one.digest: one for one in found}
    shared = len(set(_names(named.values()))) < len(named)
    ways = f"say which{', by its digest' if shared else ''}: {form_of(archive, place, 'DIGEST' if shared else 'REF')}"
    known = [(one.digest, one.platform) for one in named.values() if one.platform and one.says_all]
    if len(known) < len(named) or clash(known):
        return ways
    return f"{ways}, or push all as one index: --platform {shlex.quote(','.join(one.written for _, one in known))}"


_Key = tuple[str, Platform | None]
"""The identity of an image in an index: one digest may be named for several platforms."""


def selected(layout: Layout, root: Descriptor, wanted: Sequence[Platform]) -> Descriptor:
    """The part of the root for the `wanted` platforms; the other platforms are not read.

    It is the root for no or for all platforms, an image for a single one, else an index made here. Raises UsageError,
    which lists the platforms there are.
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
    """The error for platforms that an image does not have."""
    held = listed(there)
    said = f"it is for {held}" if held else "it names no platform"
    return UsageError(
        f"{where}: the image is not for {listed(wanted)}; {said}", "name one of those, or leave --platform out"
    )


def _chosen(layout: Layout, there: Iterable[_Key], wanted: Sequence[Platform]) -> list[_Key]:
    """One image for each wanted platform."""
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
    """The root's document with only the chosen images and their attestations, in their order.

    It depends on the files only: the same files make the same index.
    """
    digests = {digest for digest, _ in chosen}
    rows = {
        key: child.said
        for index in indexes_of(layout, root)
        for key, child in _rows(layout, index)
        if (child.attests in digests if child.attestation else key in chosen)
    }
    said = {"schemaVersion": 2, "mediaType": root.content.media_type, "manifests": list(rows.values())}
    return {**said, **without(document_of(root.content.body), *said)}


def _rows(layout: Layout, index: Manifest) -> Iterator[tuple[_Key, Descriptor]]:
    """The rows of an index; an incomplete one is completed from its image."""
    for child in index.children:
        if child.attestation or child.says_all:
            yield (child.digest, child.platform), child
            continue
        found = layout.manifest(child, name_of(index))
        config = layout.config(found)
        if config.platform:
            said = {"mediaType": found.content.media_type, "platform": platform_said(config.platform, config)}
            yield (child.digest, config.platform), child._replace(said={**said, **without(child.said, *said)})
