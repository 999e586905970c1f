"""Images of the engine as a source."""

from __future__ import annotations

from pushsafe.model.facts import Facts
from pushsafe.model.plan import PushPlan
from pushsafe.push.collector import require_one_platform
from pushsafe.push.planner import plan
from pushsafe.push.recorder import Recorder
from pushsafe.push.source import Source


class EngineSource(Source):
    """Images of the engine, which pushes them."""

    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        require_one_platform(self._request)
        return plan(facts, push_each=self._request.push_each)

    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, recorder: Recorder, /) -> None:
        from pushsafe.push.executor import Executor

        Executor(self._request, self._gateways, recorder, self._pool, facts).push(planned)
