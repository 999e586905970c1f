"""Where the content of the tags comes from, and so how it gets to its registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from pushsafe.gateways import Gateways
from pushsafe.gathering import require_one_platform
from pushsafe.model import Archive, Assembly, Build, Denied, Facts, Failed, PushPlan, PushRequest
from pushsafe.plan import plan

if TYPE_CHECKING:
    from pushsafe.delivery import Delivery


class Refused(Exception):
    """Nothing can be pushed, and what that comes to for every tag: what they are to get could not be read."""

    def __init__(self, outcome: Denied | Failed) -> None:
        super().__init__()
        self.outcome = outcome


class Origin(Protocol):
    """One of them. What its methods raise ends the run: EngineUnreachable, EngineFailed, UsageError, Refused.

    `prepare` comes before registries are asked and rules are checked: it fills in the images that are no engine's, and
    may add tags that it needs besides those listed. `look_ahead` is told of each repository that will not refuse the
    push, one of its tags standing for it, while it is asked what the tags name. `plan` comes after, when nothing speaks
    against a push. `carry_out` gives every one of the facts its result in `delivery`.
    """

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]: ...
    def look_ahead(self, fact: Facts, /) -> None: ...
    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan: ...
    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, delivery: Delivery, /) -> None: ...


class MakesOrigin(Protocol):
    """Makes the origin of a request; `pool` is for short questions."""

    def __call__(self, request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor, /) -> Origin: ...


def origin_of(request: PushRequest, gateways: Gateways, pool: ThreadPoolExecutor) -> Origin:
    """That of a request. `pool` is for short questions; each is imported when it is needed."""
    match request.origin:
        case None:
            return EngineImages(request, pool)
        case Build():
            from pushsafe.building import Building

            return Building(request, request.origin, gateways, pool)
        case Assembly():
            from pushsafe.assembling import Assembling

            return Assembling(request, request.origin, gateways, pool)
        case Archive():
            from pushsafe.sending import Sending

            return Sending(request, request.origin, gateways, pool)


class EngineImages:
    """Images of the engine, which pushes them."""

    def __init__(self, request: PushRequest, pool: ThreadPoolExecutor) -> None:
        self._request = request
        self._pool = pool

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        return facts

    def look_ahead(self, fact: Facts, /) -> None:
        """The engine finds out by itself what there is."""

    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        require_one_platform(self._request)
        return plan(facts, push_each=self._request.push_each)

    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, delivery: Delivery) -> None:
        from pushsafe.pushing import Pushing

        Pushing(delivery, facts, self._pool).carry_out(planned)
