"""Opens the image that a path and a reference name, in a layout or a file of `docker save`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pushsafe.model.errors import UsageError, reason
from pushsafe.model.request import Archive
from pushsafe.oci.manifest import Descriptor
from pushsafe.oci.platform import Platform, lacking
from pushsafe.push.ports import StoredImage
from pushsafe.runtime.redact import clean
from pushsafe.sources.archive.docker_save import MANIFEST, Saved, config_digest_of, contents_of, saved_in
from pushsafe.sources.archive.files import SAVE_AGAIN, Folder, Store, shown
from pushsafe.sources.archive.graph import package_of
from pushsafe.sources.archive.image import LayoutImage, PackedImage
from pushsafe.sources.archive.layout import INDEX, MARKER, Layout, name_of, only_image
from pushsafe.sources.archive.select import candidates, entry_of, form_of, listed_names, normal, unlike, whole_names

_OF_SKOPEO = ("version", "manifest.json")
"""Files of skopeo's `dir:` (containers/image `directory/directory_dest.go`)."""


def open_folder(archive: Archive, platforms: tuple[Platform, ...], hint: str) -> StoredImage:
    """An image of an OCI image layout. `hint` shows the syntax of a place."""
    return _opened(archive, platforms, hint, _folder, _layout_image)


def open_tar(archive: Archive, platforms: tuple[Platform, ...], hint: str) -> StoredImage:
    """An image of a layout in a tar file."""
    return _opened(archive, platforms, hint, _tar, _layout_image)


def open_saved(archive: Archive, platforms: tuple[Platform, ...], hint: str) -> StoredImage:
    """An image of a `docker save` file."""
    return _opened(archive, platforms, hint, _tar, saved_image)


def _opened(
    archive: Archive,
    platforms: tuple[Platform, ...],
    hint: str,
    store_at: Callable[[Path], Store],
    image_in: Callable[[Store, str, Archive, str, Sequence[Platform]], StoredImage],
) -> StoredImage:
    path, ref = split(archive, hint)
    _refuse_skopeos(path)
    store = store_at(path)
    try:
        return image_in(store, ref, archive, str(path), platforms)
    except BaseException:
        store.close()
        raise


def _refuse_skopeos(path: Path) -> None:
    if all((path / name).is_file() for name in _OF_SKOPEO) and not (path / MARKER).exists():
        layout = shlex.quote(f"oci:{clean(str(path))}-layout:latest")
        raise UsageError(
            f"{shown(path)}: it is a folder as skopeo's dir: transport writes it, not an OCI image layout",
            f"skopeo copy {shlex.quote(f'dir:{clean(str(path))}')} {layout}   (then push --from {layout})",
        )


def _folder(path: Path) -> Store:
    if not path.is_dir():
        raise UsageError(
            f"{shown(path)}: it is no folder",
            "a layout in a tar file is named as oci-archive:FILE, what docker save wrote as docker-archive:FILE",
        )
    return Folder(path)


def _tar(path: Path) -> Store:
    from pushsafe.sources.archive.tar import Tar

    return Tar(path)


def split(archive: Archive, hint: str) -> tuple[Path, str]:
    """The longest existing path, and the REF after it, which may be empty. Raises UsageError."""
    kind, place = archive
    if not place.strip():
        raise UsageError(f"{kind}: names no file", hint)
    denied = ""
    for path, ref in _ways(place):
        try:
            if path and os.stat(path):  # noqa: PTH116
                return Path(path), ref
        except PermissionError as error:
            denied = denied or reason(error)
        except (OSError, ValueError):
            continue  # missing, or no possible file name
    if denied:
        raise UsageError(f"{shown(place)}: it cannot be read: {denied}", "let this user read it, and its folders")
    raise UsageError(f"{shown(place)}: there is no such file or folder", hint)


def _ways(place: str) -> Iterator[tuple[str, str]]:
    """Every way to split a place, the longest path first: a REF may hold colons and slashes."""
    yield place, ""
    end = len(place)
    while (end := place.rfind(":", 0, end)) >= 0:
        yield place[:end], place[end + 1 :]


def _layout_image(store: Store, ref: str, archive: Archive, place: str, wanted: Sequence[Platform]) -> LayoutImage:
    layout = Layout(store)
    return LayoutImage(layout, entry_of(layout, ref, archive, place, wanted), wanted)


class _Indexed(NamedTuple):
    """An image of the OCI index."""

    names: tuple[str, ...]
    layout: Layout
    entry: Descriptor

    @property
    def digests(self) -> tuple[str, ...]:
        return (self.entry.digest,)


class _Listed(NamedTuple):
    """An image of docker's list, and its entry in the OCI index, if any."""

    names: tuple[str, ...]
    saved: Saved
    config_digest: str
    indexed: _Indexed | None = None

    @property
    def digests(self) -> tuple[str, ...]:
        return (*filter(None, [self.config_digest]), *(self.indexed.digests if self.indexed else ()))


_Candidate = _Listed | _Indexed


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
    where = store.shown(MANIFEST if saved else INDEX)
    chosen = _chosen(_candidates(saved, store, layout), ref, where, archive, place)
    if isinstance(chosen, _Indexed):
        return LayoutImage(chosen.layout, chosen.entry, wanted)
    if chosen.indexed is not None and not _is_to_be_packed(chosen.indexed, chosen.config_digest):
        return LayoutImage(chosen.indexed.layout, chosen.indexed.entry, wanted)
    contents = contents_of(chosen.saved, store)
    held = [contents.said.platform] if contents.said.platform else []
    if lost := lacking(wanted, held):
        raise unlike(store.shown(MANIFEST), lost, held)
    return PackedImage(store, contents)


def _candidates(saved: Sequence[Saved], store: Store, layout: Layout | None) -> list[_Candidate]:
    """All images of list and index, each once.

    containerd does not list an index of several images, and other tools list an image once for each name.
    """
    listed = _listed(saved, store)
    if layout is None:
        return list(listed)
    by_config = _by_config(layout)
    listed = [one._replace(indexed=_indexed_as(one, by_config.get(one.config_digest, ()), layout)) for one in listed]
    known = {one.indexed.entry.digest for one in listed if one.indexed}
    entries: dict[str, list[Descriptor]] = {}
    for entry in candidates(layout):
        if entry.digest not in known:
            entries.setdefault(entry.digest, []).append(entry)
    # An entry that matches no listed image by config may match one by name.
    unmatched = {normal(name): number for number, one in enumerate(listed) if not one.indexed for name in one.names}
    unmatched.pop("", None)
    others: list[_Candidate] = []
    for same_image in entries.values():
        names = tuple(name for one in same_image for name in (one.names[:1] or (one.digest,)))
        indexed = _Indexed(names, layout, same_image[0])
        called = set().union(*map(whole_names, same_image))
        number = next((unmatched[name] for name in sorted(called) if name in unmatched), None)
        if number is None or listed[number].indexed:
            others.append(indexed)
        else:
            listed[number] = listed[number]._replace(indexed=indexed)
    return [*listed, *others]


def _listed(saved: Iterable[Saved], store: Store) -> list[_Listed]:
    found: dict[tuple[str, tuple[str, ...]], _Listed] = {}
    digests: dict[str, str] = {}  # by config name: a list may repeat one
    for one in saved:
        digest = digests[one.config] = digests.get(one.config) or config_digest_of(one, store)
        key = digest or one.config, one.layers
        names = found[key].names if key in found else ()
        found[key] = _Listed(tuple(dict.fromkeys((*names, *one.names))), one, digest)
    return list(found.values())


def _by_config(layout: Layout) -> dict[str, list[Descriptor]]:
    """The index entries that lead to each config, as far as they are present. Raises UsageError."""
    found: dict[str, list[Descriptor]] = {}
    leads_to: dict[str, set[str]] = {}
    for entry in layout.entries:
        if entry.digest not in leads_to:
            leads_to[entry.digest] = _configs(layout, entry)
        for digest in leads_to[entry.digest]:
            found.setdefault(digest, []).append(entry)
    return found


def _configs(layout: Layout, entry: Descriptor) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [(entry, INDEX)]
    while waiting:
        named, by = waiting.pop()
        if named.digest in seen or named.attestation or not layout.holds_manifest(named):
            continue
        seen.add(named.digest)
        manifest = layout.manifest(named, by)
        if manifest.config:
            found.add(manifest.config.digest)
        waiting.extend((child, name_of(manifest)) for child in manifest.children)
    return found


def _indexed_as(one: _Listed, entries: Sequence[Descriptor], layout: Layout) -> _Indexed | None:
    """Of the entries that lead to an image's config, the one with its name, or else the first."""
    names = set(map(normal, one.names))
    entry = min(entries, key=lambda entry: names.isdisjoint(whole_names(entry)), default=None)
    return None if entry is None else _Indexed((), layout, entry)


def _chosen(found: Sequence[_Candidate], ref: str, where: str, archive: Archive, place: str) -> _Candidate:
    if not found:
        raise UsageError(f"{where}: it names no image", SAVE_AGAIN)
    form = form_of(archive, place)
    by_number = form_of(archive, place, "@0")
    if ref.startswith("@") and ref[1:].isascii() and ref[1:].isdigit():
        # The length first: Python refuses very long numbers.
        if len(ref) > 9 or int(ref[1:]) >= len(found):
            count = f"{len(found)} images, counted from @0," if len(found) > 1 else "1 image, which is @0,"
            raise UsageError(f"{where}: it has {count} and no {clean(ref)}", f"name one: {form}")
        return found[int(ref[1:])]
    meant = [(number, one) for number, one in enumerate(found) if not ref or _is_named(one, ref)]
    if len(meant) == 1:
        return meant[0][1]
    if not meant:
        names = _numbered(enumerate(found))
        raise UsageError(f"{where}: it has no image {clean(ref)}, but {names}", f"name one: {form}")
    what = f"{len(meant)} images {clean(ref)}" if ref else f"{len(meant)} images"
    raise UsageError(
        f"{where}: it has {what}: {_numbered(meant)}", f"say which: {form}, or by its place in the file: {by_number}"
    )


def _numbered(found: Iterable[tuple[int, _Candidate]]) -> str:
    """Every name with the number of its image."""
    return listed_names([f"@{number} {name}".rstrip() for number, one in found for name in one.names or ("",)])


def _is_named(one: _Candidate, ref: str) -> bool:
    meant = normal(ref)
    return ref in (*one.names, *one.digests) or (bool(meant) and meant in map(normal, one.names))


def _is_to_be_packed(indexed: _Indexed, config_digest: str) -> bool:
    """Whether all layers are plain tars, as the classic store saves them, and nothing refers to the image.

    Packing changes its digest, and referrers and attestations would lose their subject. Registries accept plain tars as
    well, and engines push them so. Raises UsageError.
    """
    _, layout, entry = indexed
    image = only_image(layout, entry) if layout.holds_manifest(entry) else None
    if image is None or image.is_compressed or image.config is None or image.config.digest != config_digest:
        return False
    package = package_of(layout, entry)
    return not (package.referrers or package.companions)
