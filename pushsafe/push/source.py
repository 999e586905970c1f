"""A source: where the content of the tags comes from, and how it gets to their registries."""

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
    """The source of one run; `pool` is for short requests.

    Its methods may raise EngineUnreachable, EngineFailed, UsageError and Refused, which end the run.
    """

    def __init__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        self._request = request
        self._gateways = gateways
        self._pool = pool

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        """Fill in images that are not the engine's, and add tags needed besides those listed, before registries are
        asked."""
        return facts

    def look_ahead(self, _fact: Facts, /) -> None:
        """Called once for each repository that would accept the push, with one of its tags, while its tags are
        inspected."""
        return

    @abstractmethod
    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        """The plan of the push; all checks have passed."""

    @abstractmethod
    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, recorder: Recorder, /) -> None:
        """Push, and record a result for each of the facts."""


class MakesSource(Protocol):
    def __call__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor, /) -> Source: ...
