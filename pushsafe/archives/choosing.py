"""Which image of a layout is meant: by its name, or by its being the only one; and which platform of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pushsafe.archives.descriptors import Named
from pushsafe.archives.layout import INDEX, Layout
from pushsafe.archives.repairs import AGAIN
from pushsafe.archives.walking import FALLBACK, images_of
from pushsafe.errors import UsageError
from pushsafe.model import Archive, BadReference, Platform
from pushsafe.platforms import listed, same
from pushsafe.reference import parse
from pushsafe.sanitize import clean

_SHOWN = 10


def entry_of(layout: Layout, ref: str, archive: Archive, place: str, wanted: Sequence[Platform] = ()) -> Named:
    """The entry of `index.json` that REF names, or the only one; `place` is the path. Raises UsageError.

    Of several it is the one for the `wanted` platform, where the index itself says for which they are.
    """
    found = list(_named(layout.entries, ref)) if ref else candidates(layout)
    digests = {one.digest for one in found}
    if len(digests) > 1 and wanted:
        matching = [one for one in found if one.platform and same(one.platform, wanted[0])]
        if len({one.digest for one in matching}) == 1:
            return matching[0]
    if len(digests) == 1:
        return found[0]
    where = layout.store.shown(INDEX)
    if not layout.entries:
        raise UsageError(f"{where}: it names no image", AGAIN)
    form = form_of(archive, place)
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


def form_of(archive: Archive, place: str, ref: str = "REF") -> str:
    """How an image of it is named, fit for a shell."""
    return f"--from {shlex.quote(f'{archive.kind.value}:{clean(place)}:{ref}')}"


def unlike(where: str, wanted: Platform, there: Sequence[Platform]) -> UsageError:
    """What is said where an image is asked for a platform that it is not for."""
    said = f"it is for {listed(there)}" if there else "it tells no platform"
    return UsageError(
        f"{where}: the image is not for {listed([wanted])}; {said}", "name one of those, or leave --platform out"
    )


def _named(entries: Sequence[Named], ref: str) -> Iterator[Named]:
    meant = normal(ref)
    for one in entries:
        if ref in (one.digest, *one.names) or (meant and meant in whole_names(one)):
            yield one


def whole_names(one: Named) -> set[str]:
    """What it is called in full, as docker means it: podman writes that where others write the tag."""
    whole = [one.whole_name, one.name if "/" in one.name else ""]
    return {normal(name) for name in whole if name} - {""}


def candidates(layout: Layout) -> list[Named]:
    """What may be meant where nothing is said: what refers to another image is not, if there is anything else."""
    entries = list(layout.entries)
    if len({one.digest for one in entries}) < 2:
        return entries
    return [one for one in entries if not FALLBACK.fullmatch(one.name) and not _refers(layout, one)] or entries


def _refers(layout: Layout, named: Named) -> bool:
    """What is not there may be meant, and the message of that is for who means it. Raises UsageError if damaged."""
    return layout.holds_manifest(named) and bool(layout.manifest(named, INDEX).subject)


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
