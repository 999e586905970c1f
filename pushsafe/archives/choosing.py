"""Which image of a layout is meant: by its name, or by its being the only one; and which platform of it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pushsafe.archives.companions import is_kept_beside, tells_of_another
from pushsafe.archives.descriptors import Named
from pushsafe.archives.layout import INDEX, Layout
from pushsafe.archives.repairs import AGAIN
from pushsafe.archives.walking import parts_of
from pushsafe.errors import UsageError
from pushsafe.image_index import clash, index_of
from pushsafe.model import MANIFEST_TYPES, Archive, BadReference, Descriptor, Platform
from pushsafe.platforms import same
from pushsafe.reference import parse
from pushsafe.sanitize import clean

_SHOWN = 10


def entry_of(layout: Layout, ref: str, archive: Archive, place: str, wanted: Sequence[Platform] = ()) -> Named:
    """The entry of `index.json` that REF names, or the only one; `place` is the path. Raises UsageError.

    Of several it is what serves the `wanted` platforms, where the entries themselves say for which they are.
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


def _together(layout: Layout, found: Sequence[Named], wanted: Sequence[Platform]) -> Named | None:
    """The entry for the one platform that is wanted, or an index of those for several; None where that is not clear."""
    parts: dict[str, Named] = {}
    for platform in wanted:
        matching = {one.digest: one for one in found if one.platform and same(one.platform, platform)}
        if len(matching) != 1:
            return None
        parts.update(matching)
    if len(parts) < 2:
        return next(iter(parts.values()), None)
    rows = {one.digest: one for one in layout.entries if one.digest in parts or one.attests in parts}
    index = index_of([Descriptor(one.digest, one.media_type, layout.written(one)) for one in rows.values()])
    return layout.taken(index.body, index.media_type)


def _whole(layout: Layout) -> Named | None:
    """`index.json` itself where it is the index of an image for several platforms: none of its entries has a name, and
    each is for a platform of its own, or attests one (go-containerregistry `pkg/v1/layout/write.go` writes it so).
    """
    images = [one for one in layout.entries if not one.attestation]
    known = [(one.digest, one.platform) for one in images if one.platform and one.media_type in MANIFEST_TYPES]
    several = len(layout.entries) > 1 and bool(images)
    if not several or len(known) < len(images) or any(one.names or one.kind for one in layout.entries) or clash(known):
        return None
    return layout.whole()


def form_of(archive: Archive, place: str, ref: str = "REF") -> str:
    """How an image of it is named, fit for a shell."""
    return f"--from {shlex.quote(f'{archive.kind.value}:{clean(place)}:{ref}')}"


def _named(entries: Sequence[Named], ref: str) -> Iterator[Named]:
    meant = normal(ref)
    for one in entries:
        called = not is_kept_beside(one) and (ref in one.names or (meant and meant in whole_names(one)))
        if called or ref == one.digest:
            yield one


def whole_names(one: Named) -> set[str]:
    """What it is called in full, as docker means it: podman writes that where others write the tag."""
    whole = [one.whole_name, one.name if "/" in one.name else ""]
    return {normal(name) for name in whole if name} - {""}


def candidates(layout: Layout) -> list[Named]:
    """What may be meant where nothing is said: what refers to another image is not, if there is anything else, and
    neither is what another entry leads to, unless somebody gave it a name (oras lists every manifest that it copies).
    """
    entries = list(layout.entries)
    if len({one.digest for one in entries}) < 2:
        return entries
    own = [one for one in entries if not tells_of_another(one) and not _refers(layout, one)] or entries
    parts = parts_of(layout)
    return [one for one in own if one.names or one.digest not in parts] or own


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


def _names(entries: Iterable[Named]) -> list[str]:
    return [one.names[0] if one.names else one.digest for one in entries]


def _told_apart(entries: Sequence[Named]) -> list[str]:
    """Their names, and the digests of those that share one."""
    named = {one.digest: one for one in reversed(entries)}
    often = Counter(_names(named.values()))
    return [f"{name} ({one.digest})" if often[name] > 1 else name for one in entries for name in _names([one])]


def _ways(found: Sequence[Named], archive: Archive, place: str) -> str:
    """How to say which of several is meant, or that all of them are."""
    named = {one.digest: one for one in found}
    shared = len(set(_names(named.values()))) < len(named)
    ways = f"say which{', by its digest' if shared else ''}: {form_of(archive, place, 'DIGEST' if shared else 'REF')}"
    known = [(one.digest, one.platform) for one in named.values() if one.platform and one.says_all]
    if len(known) < len(named) or clash(known):
        return ways
    return f"{ways}, or push all as one index: --platform {shlex.quote(','.join(one.written for _, one in known))}"
