"""Where the content of the tags comes from: the engine, a build, an index to be put together, or files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pushsafe.model.request import Archive, Assembly, Build, PushRequest

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from pushsafe.push.pipeline import Origin
    from pushsafe.push.ports import Gateways


def origin_of(request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> Origin:
    """The origin of what a request asks to push. `pool` is for short questions; each is imported when it is needed."""
    match request.origin:
        case None:
            from pushsafe.sources.engine import EngineImages

            return EngineImages(request, gateways, pool)
        case Build():
            from pushsafe.sources.buildx.source import Building

            return Building(request, request.origin, gateways, pool)
        case Assembly():
            from pushsafe.sources.index.source import Assembling

            return Assembling(request, request.origin, gateways, pool)
        case Archive():
            from pushsafe.sources.archive.source import Sending

            return Sending(request, request.origin, gateways, pool)
