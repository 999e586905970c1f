"""Where the content of the tags comes from: the engine, a build, an index, or files."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pushsafe.model.request import Archive, Assembly, Build, PushRequest

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from pushsafe.oci.platform import Platform
    from pushsafe.push.ports import Gateways, StoredImage
    from pushsafe.push.source import Source


class Transport(NamedTuple):
    """A kind of `--from KIND:PLACE`: the syntax of a place, what it names, and its opener (`MODULE:FUNCTION`).

    `is_likely` returns whether a path without a kind means this one.
    """

    place: str
    meaning: str
    opener: str
    is_likely: Callable[[str], bool] = lambda _path: False


_TARS = (".tar", ".tgz", ".tar.gz")

TRANSPORTS = {
    "oci": Transport(
        "DIR[:REF]",
        "the folder of an OCI image layout",
        "archive.open:open_folder",
        lambda path: bool(path) and Path(path, "oci-layout").is_file(),
    ),
    "oci-archive": Transport("FILE[:REF]", "the tar file of an OCI image layout", "archive.open:open_tar"),
    "docker-archive": Transport(
        "FILE[:REF]",
        "the file that docker save wrote",
        "archive.open:open_saved",
        lambda path: path.endswith(_TARS) and Path(path).is_file(),
    ),
}
"""The kinds of image files, by skopeo's names (containers/image `containers-transports(5)`)."""


def transport_list() -> str:
    """Every kind with the syntax of its place, for a sentence."""
    *others, last = (f"{kind}:{transport.place}" for kind, transport in TRANSPORTS.items())
    return f"{', '.join(others)} or {last}"


def open_image(archive: Archive, platforms: tuple[Platform, ...] = ()) -> StoredImage:
    """Open an image, or its part for `platforms`. Raises UsageError, which names the bad file and the fix."""
    transport = TRANSPORTS[archive.kind]
    module, _, opener = transport.opener.partition(":")
    hint = f"name {transport.meaning}: {archive.kind}:PATH[:REF]"
    image: StoredImage = getattr(import_module(f"{__name__}.{module}"), opener)(archive, platforms, hint)
    return image


def source_of(request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> Source:
    """The source for a request, imported on demand. `pool` is for short requests."""
    match request.origin:
        case None:
            from pushsafe.sources.engine import EngineSource

            return EngineSource(request, gateways, pool)
        case Build():
            from pushsafe.sources.buildx.source import BuildxSource

            return BuildxSource(request, request.origin, gateways, pool)
        case Assembly():
            from pushsafe.sources.index.source import IndexSource

            return IndexSource(request, request.origin, gateways, pool)
        case Archive():
            from pushsafe.sources.archive.source import ArchiveSource

            return ArchiveSource(request, request.origin, gateways, pool)
