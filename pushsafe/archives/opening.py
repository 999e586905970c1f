"""An image in files opened: the place taken apart, the image that is meant chosen, its reading begun."""

from __future__ import annotations

import shlex
from pathlib import Path

from pushsafe.archives.choosing import entry_of
from pushsafe.archives.choosing_saved import saved_image
from pushsafe.archives.files import shown
from pushsafe.archives.image import LayoutImage
from pushsafe.archives.layout import MARKER, Layout
from pushsafe.archives.places import split
from pushsafe.archives.stores import Folder, Store
from pushsafe.errors import UsageError
from pushsafe.gateways import StoredImage
from pushsafe.model import Archive, ArchiveKind, Platform
from pushsafe.sanitize import clean

_OF_SKOPEO = ("version", "manifest.json")
"""What such a folder has (containers/image `directory/directory_dest.go`)."""


def open_image(archive: Archive, platforms: tuple[Platform, ...] = ()) -> StoredImage:
    """Open the image that is meant, and begin to read it in the background; `platforms` are those asked for.

    Raises UsageError, whose message names the file at fault and whose hint says what mends it.
    """
    path, ref = split(archive)
    store = _store(archive.kind, path)
    try:
        if archive.kind is ArchiveKind.DOCKER_ARCHIVE:
            return saved_image(store, ref, archive, str(path), platforms)
        layout = Layout(store)
        return LayoutImage(layout, entry_of(layout, ref, archive, str(path), platforms), platforms)
    except BaseException:
        store.close()
        raise


def _store(kind: ArchiveKind, path: Path) -> Store:
    if all((path / name).is_file() for name in _OF_SKOPEO) and not (path / MARKER).exists():
        layout = shlex.quote(f"oci:{clean(str(path))}-layout:latest")
        raise UsageError(
            f"{shown(path)}: it is a folder as skopeo's dir: transport writes it, not an OCI image layout",
            f"skopeo copy {shlex.quote(f'dir:{clean(str(path))}')} {layout}   (then push --from {layout})",
        )
    if kind is not ArchiveKind.OCI:
        from pushsafe.archives.tars import Tar

        return Tar(path)
    if not path.is_dir():
        raise UsageError(
            f"{shown(path)}: it is no folder",
            "a layout in a tar file is named as oci-archive:FILE, what docker save wrote as docker-archive:FILE",
        )
    return Folder(path)
