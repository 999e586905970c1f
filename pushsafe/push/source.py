"""A source: what the content of the tags comes from, and how it gets to their registries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from pushsafe.model.facts import Facts
from pushsafe.model.plan import PushPlan
from pushsafe.model.request import PushRequest
from pushsafe.push.ports import Gateways
from pushsafe.push.recorder import Recorder


class Source(ABC):
    """The source of one run; `pool` is for short questions.

    What its methods raise ends the run: EngineUnreachable, EngineFailed, UsageError, Refused.
    """

    def __init__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        self._request = request
        self._gateways = gateways
        self._pool = pool

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        """Fill in the images that are no engine's, and add tags that are needed besides those listed; registries are
        asked and rules are checked after it."""
        return facts

    def look_ahead(self, _fact: Facts, /) -> None:
        """Called for each repository that will not refuse the push, one of its tags standing for it, while it is asked
        what the tags name."""
        return

    @abstractmethod
    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        """How the push goes; nothing speaks against one by then."""

    @abstractmethod
    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, recorder: Recorder, /) -> None:
        """Push, and record a result for every one of the facts."""


class MakesSource(Protocol):
    """Makes the source of a request."""

    def __call__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor, /) -> Source: ...
