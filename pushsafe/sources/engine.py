"""Images of the engine, which pushes them itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pushsafe.model.facts import Facts
from pushsafe.model.plan import PushPlan
from pushsafe.model.request import PushRequest
from pushsafe.push.collector import require_one_platform
from pushsafe.push.planner import plan
from pushsafe.push.ports import Gateways

if TYPE_CHECKING:
    from pushsafe.push.recorder import Recorder


class EngineImages:
    """Images of the engine, which pushes them."""

    def __init__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        self._request = request
        self._gateways = gateways
        self._pool = pool

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        return facts

    def look_ahead(self, fact: Facts, /) -> None:
        """The engine finds out by itself what there is."""

    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        require_one_platform(self._request)
        return plan(facts, push_each=self._request.push_each)

    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, recorder: Recorder, /) -> None:
        from pushsafe.push.executor import Executor

        Executor(self._request, self._gateways, recorder, self._pool, facts).push(planned)
