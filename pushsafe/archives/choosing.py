"""Which image of a layout is meant: by its name, or by its being the only one; and which platform of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence

from pushsafe.archives.descriptors import Manifest, Named
from pushsafe.archives.layout import INDEX, Layout, name_of
from pushsafe.errors import UsageError
from pushsafe.model import MANIFEST_TYPES, Archive, BadReference, Platform
from pushsafe.platforms import listed, same
from pushsafe.reference import parse
from pushsafe.sanitize import clean

FALLBACK = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(\.[a-z0-9.]+)?")
"""Tags of what refers to another image (OCI distribution specification, `spec.md`, Referrers Tag Schema); with a suffix
it is what cosign calls its signatures and attestations."""
_SHOWN = 10
_DEPTH = 8
"""Indexes within indexes: nobody has more than two."""


def entry_of(layout: Layout, ref: str, archive: Archive, place: str) -> Named:
    """The entry of `index.json` that REF names, or the only one; `place` is the path. Raises UsageError."""
    found = list(_named(layout.entries, ref)) if ref else candidates(layout)
    digests = {one.digest for one in found}
    if len(digests) == 1:
        return found[0]
    where = layout.store.shown(INDEX)
    if not layout.entries:
        raise UsageError(f"{where}: it names no image")
    form = f"--from {archive.kind.value}:{clean(place)}:REF"
    if not found:
        raise UsageError(
            f"{where}: it has no image {clean(ref)}, but {listed_names(_names(layout.entries))}", f"name one: {form}"
        )
    what = f"{len(digests)} images {clean(ref)}" if ref else f"{len(digests)} images"
    raise UsageError(f"{where}: it has {what}: {listed_names(_names(found))}", f"say which: {form}")


def child_of(layout: Layout, root: Named, wanted: Sequence[Platform]) -> Named:
    """The image of that platform (one at most), where there are several; what is in the others nobody needs then.

    Raises UsageError, which lists the platforms there are.
    """
    if not wanted:
        return root
    where = layout.store.shown(INDEX)
    manifest = layout.manifest(root, INDEX)
    there = list(images_of(layout, manifest))
    matching = {named.digest: named for named, platform in there if platform and same(platform, wanted[0])}
    if len(matching) == 1:
        return next(iter(matching.values()))
    platforms = tuple(dict.fromkeys(platform for _, platform in there if platform))
    if matching:
        raise UsageError(
            f"{where}: it has {len(matching)} images for {listed(wanted)}: {', '.join(matching)}",
            "leave --platform out to push all of them",
        )
    raise unlike(where, wanted[0], platforms)


def unlike(where: str, wanted: Platform, there: Sequence[Platform]) -> UsageError:
    """What is said where an image is asked for a platform that it is not for."""
    said = f"it is for {listed(there)}" if there else "it tells no platform"
    return UsageError(
        f"{where}: the image is not for {listed([wanted])}; {said}", "name one of those, or leave --platform out"
    )


def images_of(layout: Layout, manifest: Manifest) -> Iterator[tuple[Named, Platform | None]]:
    """The images that an index leads to, each with its platform; an image alone is its own. Raises UsageError.

    Nothing but indexes is read where they say all that is asked.
    """
    seen: set[str] = set()
    waiting = deque([(manifest, 0)])
    while waiting:
        manifest, depth = waiting.popleft()
        if not manifest.is_index:
            content = manifest.content
            named = Named(content.digest, len(content.body), content.media_type)
            yield named, layout.config(manifest).platform
            continue
        check_depth(layout, depth)
        for child in manifest.children:
            if is_attestation(child) or child.digest in seen:
                continue
            seen.add(child.digest)
            if child.platform and child.media_type in MANIFEST_TYPES:
                yield child, child.platform
            else:
                waiting.append((layout.manifest(child, name_of(manifest)), depth + 1))


def attestations_in(layout: Layout, root: Named) -> int:
    """How many an index names; 0 for an image alone. Raises UsageError."""
    return sum(map(is_attestation, layout.manifest(root, INDEX).children))


def is_attestation(child: Named) -> bool:
    """Whether an index says of it that it is for no platform, as buildx does (`attestation-storage.md`)."""
    return child.stated and not child.platform


def check_depth(layout: Layout, depth: int) -> None:
    """Raises UsageError for an index within too many others."""
    if depth >= _DEPTH:
        raise UsageError(f"{layout.store.shown(INDEX)}: it leads to more than {_DEPTH} indexes within each other")


def _named(entries: Sequence[Named], ref: str) -> Iterator[Named]:
    meant = normal(ref)
    for one in entries:
        if ref in (one.digest, *one.names) or (one.whole_name and meant and normal(one.whole_name) == meant):
            yield one


def candidates(layout: Layout) -> list[Named]:
    """What may be meant where nothing is said: what refers to another image is not, if there is anything else."""
    entries = list(layout.entries)
    if len({one.digest for one in entries}) < 2:
        return entries
    return [one for one in entries if not FALLBACK.fullmatch(one.name) and not _refers(layout, one)] or entries


def _refers(layout: Layout, named: Named) -> bool:
    try:
        return bool(layout.manifest(named, INDEX).subject)
    except UsageError:
        return False  # It may be meant, and the message of that is for who means it.


def normal(name: str) -> str:
    """A name written out as docker means it; empty if it is none."""
    found = parse(name)
    return "" if isinstance(found, BadReference) else str(found)


def listed_names(names: Sequence[str]) -> str:
    """Some names for a sentence, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*(clean(name, limit=200) for name in names[:_SHOWN]), *more])


def _names(entries: Sequence[Named]) -> list[str]:
    return [one.names[0] if one.names else one.digest for one in entries]
