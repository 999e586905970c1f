"""Which image of a `docker save` is meant, and whether it is pushed as it is there or has to be packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pushsafe.archives.choosing import candidates, child_of, images_of, listed_names, normal, unlike
from pushsafe.archives.descriptors import Manifest, Named
from pushsafe.archives.image import LayoutImage, PackedImage
from pushsafe.archives.layout import INDEX, MARKER, Layout
from pushsafe.archives.saved import MANIFEST, Saved, contents_of, saved_in
from pushsafe.archives.stores import Store
from pushsafe.errors import UsageError
from pushsafe.model import Archive, Platform
from pushsafe.platforms import same
from pushsafe.sanitize import clean


class _Candidate(NamedTuple):
    """An image by what the archive says of it: the list of docker, the index of OCI, or both."""

    names: tuple[str, ...]
    saved: Saved | None = None
    entry: Named | None = None


def saved_image(
    store: Store, ref: str, archive: Archive, place: str, wanted: Sequence[Platform]
) -> LayoutImage | PackedImage:
    """The image that REF names, or the only one; `place` is the path. Raises UsageError."""
    saved = saved_in(store)
    layout = Layout(store) if store.find(MARKER) is not None and store.find(INDEX) is not None else None
    if not saved and layout is None:
        raise UsageError(
            f"{store.shown(MANIFEST)}: it is not there, so this is no file of docker save",
            "an OCI image layout in a tar file is named as oci-archive:FILE",
        )
    _, found, entry = _chosen(store, _candidates(saved, layout), ref, f"{archive.kind.value}:{clean(place)}")
    if layout is not None and entry is not None:
        root = child_of(layout, entry, wanted)
        if found is None or not _is_to_be_packed(layout, root, found):
            return LayoutImage(layout, entry, wanted)
    assert found is not None  # noqa: S101
    contents = contents_of(found, store)
    platform = contents.said.platform
    if wanted and (platform is None or not same(platform, wanted[0])):
        raise unlike(store.shown(MANIFEST), wanted[0], [platform] if platform else [])
    return PackedImage(store, contents)


# ---------------------------------------------------------------------- which


def _candidates(saved: Sequence[Saved], layout: Layout | None) -> list[_Candidate]:
    """All images: those of the list, and those of the index besides, as containerd lists no index of several."""
    found = [_Candidate(one.names, one, _entry_of(one, layout)) for one in saved]
    known = {one.entry.digest for one in found if one.entry}
    entries: dict[str, list[Named]] = {}
    for entry in candidates(layout) if layout else ():
        if entry.digest not in known:
            entries.setdefault(entry.digest, []).append(entry)
    for same_image in entries.values():
        names = tuple(name for one in same_image for name in (one.names[:1] or (one.digest,)))
        found.append(_Candidate(names, None, same_image[0]))
    return found


def _chosen(store: Store, found: Sequence[_Candidate], ref: str, form: str) -> _Candidate:
    where = store.shown(MANIFEST if any(one.saved for one in found) else INDEX)
    if not found:
        raise UsageError(f"{where}: it names no image")
    if ref.startswith("@") and ref[1:].isascii() and ref[1:].isdigit():
        # The number's length first: Python refuses to read very long ones.
        if len(ref) > 9 or int(ref[1:]) >= len(found):
            raise UsageError(f"{where}: it has {len(found)} images, counted from @0, and no {clean(ref)}")
        return found[int(ref[1:])]
    meant = [one for one in found if _is_named(one, ref)] if ref else list(found)
    if len(meant) == 1:
        return meant[0]
    numbered = [name for number, one in enumerate(found) for name in one.names or (f"@{number}",)]
    if not meant:
        raise UsageError(
            f"{where}: it has no image {clean(ref)}, but {listed_names(numbered)}", f"name one: --from {form}:REF"
        )
    what = f"{len(meant)} images {clean(ref)}" if ref else f"{len(meant)} images"
    hint = f"say which: --from {form}:REF, or by its place in the file: --from {form}:@0"
    raise UsageError(f"{where}: it has {what}: {listed_names(numbered)}", hint)


def _is_named(one: _Candidate, ref: str) -> bool:
    meant = normal(ref)
    ids = [one.saved.config_digest if one.saved else "", one.entry.digest if one.entry else ""]
    return ref in (*one.names, *filter(None, ids)) or (bool(meant) and meant in map(normal, one.names))


def _entry_of(saved: Saved, layout: Layout | None) -> Named | None:
    """The entry of the index that leads to this very config, by its name where several do."""
    if layout is None or not saved.config_digest:
        return None
    names = {normal(name) for name in saved.names}
    by_name = sorted(layout.entries, key=lambda entry: not (entry.whole_name and normal(entry.whole_name) in names))
    return next((entry for entry in by_name if saved.config_digest in _configs(layout, entry)), None)


def _configs(layout: Layout, entry: Named) -> set[str]:
    return {manifest.config.digest for manifest in _manifests(layout, entry) if manifest.config}


def _manifests(layout: Layout, root: Named) -> Iterator[Manifest]:
    """The manifests of its images, as far as they can be read: an index may name what was not saved."""
    try:
        images = list(images_of(layout, layout.manifest(root, INDEX)))
    except UsageError:
        return
    for named, _ in images:
        try:
            yield layout.manifest(named, INDEX)
        except UsageError:
            continue


# ---------------------------------------------------------------------- what of it


def _is_to_be_packed(layout: Layout, root: Named, saved: Saved) -> bool:
    """Whether its layers are there as tars only, as the classic store saves them: no registry is sent those.

    Packed is what docker's list names, and only where that is all of the image that there is.
    """
    manifests = list(_manifests(layout, root))
    if all(manifest.is_compressed for manifest in manifests):
        return False
    return all(manifest.config and manifest.config.digest == saved.config_digest for manifest in manifests)
