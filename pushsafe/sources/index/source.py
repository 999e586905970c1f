"""An index of images from the engine and registries; missing ones are pushed, mounted or copied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pushsafe.model.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.model.outcomes import Failed, NotPushed, Pushed
from pushsafe.model.plan import How, PushPlan, Step
from pushsafe.model.request import Assembly, PushRequest
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.tag_changes import moves, unchanged
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import ManifestContent, clash, index_of
from pushsafe.oci.platform import listed
from pushsafe.oci.reference import MAX_TAG, Reference
from pushsafe.push.executor import Executor, KnownManifest
from pushsafe.push.manifest_pusher import ManifestPusher
from pushsafe.push.planner import plan
from pushsafe.push.ports import Gateways, Refused
from pushsafe.push.recorder import Recorder
from pushsafe.push.source import Source
from pushsafe.push.transfer import BlobTransfer, Ended
from pushsafe.sources.index.copy import ImageCopier, Part
from pushsafe.sources.index.resolve import AtRegistry, Found, IndexResolver, InEngine, unreached

_LONGEST = 60
"""Most characters of a tag that name platforms."""


class IndexSource(Source):
    """An index, under any number of tags.

    The engine first pushes each source that only it has, to the first repository, under a staging tag, which replaces
    nothing there.
    """

    def __init__(self, request: PushRequest, assembly: Assembly, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        super().__init__(request, gateways, pool)
        self._assembly = assembly
        self._found: tuple[Found, ...] = ()
        self._staging: dict[str, InEngine] = {}
        self._lent: tuple[tuple[str, Reference], ...] = ()

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        self._resolver = IndexResolver(self._gateways, self._pool, RetryPolicy(self._request.retries), facts[0].now)
        found = self._resolver.find(self._assembly.sources)
        _require_one_each(found)
        local = [one for one in found if isinstance(one, InEngine)]
        names = _names(local, facts[0].reference, {str(fact.reference) for fact in facts})
        # A source that a registry already has under one of its names needs no engine.
        places = dict(zip(local, self._pool.map(self._resolver.place, local, names), strict=True))
        settled = {one: place for one, place in places.items() if isinstance(place, AtRegistry)}
        self._found = tuple(settled.get(one, one) if isinstance(one, InEngine) else one for one in found)
        self._staging = {str(place): one for one, place in places.items() if isinstance(place, Reference)}
        upcoming = Upcoming(tuple(platform for one in self._found for platform in one.platforms), self._digest())
        targets = tuple(fact._replace(image=upcoming) for fact in facts)
        staging = tuple(
            facts[0]._replace(
                reference=place, image=one.image, listed=False, staged=one.source.given.removeprefix("docker-daemon:")
            )
            for one, place in places.items()
            if isinstance(place, Reference)
        )
        self._lent = self._free_names(fact.reference for fact in staging)
        return targets + staging

    def _free_names(self, staging: Iterable[Reference]) -> tuple[tuple[str, Reference], ...]:
        """The staging tags that the engine lacks, each with the ID of its image."""
        wanted = []
        for reference in staging:
            found = self._staging[str(reference)]
            if str(reference) == str(found.source.reference):
                continue
            there = self._gateways.engine().image(reference, near=False)
            if not isinstance(there, LocalImage):
                wanted.append((found.image.id, reference))
            elif there.id != found.image.id:
                said = f"would be pushed as {reference}, and the engine has another image of that name"
                raise UsageError(f"{found.source.given} {said}", f"docker rmi {reference}")
        return tuple(wanted)

    def _digest(self) -> str:
        """The digest of the index, if it is known before the push."""
        held = [one for one in self._found if isinstance(one, AtRegistry)]
        return _index(held).digest if len(held) == len(self._found) else ""

    def plan(self, facts: tuple[Facts, ...], /) -> PushPlan:
        targets, staging = _split(facts)
        _require_reached(targets)
        steps = (
            Step(fact.reference, How.ALREADY_THERE if unchanged(fact) else How.TAGGED, last=moves(fact))
            for fact in targets
        )
        return plan(staging)._replace(placed=tuple(steps))

    def carry_out(self, facts: tuple[Facts, ...], planned: PushPlan, recorder: Recorder) -> None:
        targets, staging = _split(facts)
        transfer = BlobTransfer(self._gateways, recorder, self._pool)
        try:
            if staging:
                self._push(staging, planned, recorder)
            found = self._all_at_registries(staging, recorder)
            parts = tuple(Part(part, one.repository) for one in found for part in one.parts)
            copier = ImageCopier(self._gateways, recorder, transfer)
            executor = Executor(self._request, self._gateways, recorder, self._pool, targets)
            executor.put(KnownManifest(_index(found), lambda fact: copier.bring(fact, parts)))
        except (Ended, Refused) as ended:
            for fact in targets:
                recorder.finish(fact, ended.outcome)
        except BaseException:
            recorder.stop()
            raise
        finally:
            transfer.close()

    def _push(self, staging: Sequence[Facts], planned: PushPlan, recorder: Recorder) -> None:
        """Let the engine push the staging tags, which it has only meanwhile."""
        given: list[Reference] = []
        try:
            for image, name in self._lent:
                given.append(name)
                self._gateways.engine().tag(image, name)
            executor = Executor(self._request, self._gateways, recorder, self._pool, staging)
            executor.push(planned._replace(placed=()))
        finally:
            for name in given:
                with suppress(EngineUnreachable, EngineFailed):
                    self._gateways.engine().untag(name)

    def _all_at_registries(self, staging: Sequence[Facts], recorder: Recorder) -> tuple[AtRegistry, ...]:
        """Every source, now at a registry. Raises Ended where one is missing or cannot be read back."""
        for fact in staging:
            if not recorder.results[str(fact.reference)].confirmed:
                raise Ended(NotPushed(f"its index would name {fact.reference}, which is not in place"))
        pushed = {self._staging[str(fact.reference)]: fact for fact in staging}
        pusher = ManifestPusher(self._gateways, recorder)
        return tuple(
            self._carried(found, pushed[found], recorder, pusher) if isinstance(found, InEngine) else found
            for found in self._found
        )

    def _carried(self, found: InEngine, fact: Facts, recorder: Recorder, pusher: ManifestPusher) -> AtRegistry:
        outcome = recorder.results[str(fact.reference)].outcome
        content = pusher.content(fact, outcome.digest if isinstance(outcome, Pushed) else "")
        if isinstance(content, Failure):
            raise Ended(Failed(content))
        if isinstance(content, str):
            raise Ended(Failed(Failure(FailureKind.REGISTRY_ERROR, f"{fact.reference} could not be read: {content}")))
        try:
            there = self._resolver.same(found, fact.repository, content)
        except UsageError as error:
            raise Ended(Failed(Failure(FailureKind.REGISTRY_ERROR, error.message))) from None
        if there is None:
            said = f"names {content.digest} now, and that is not the image that {found.source.given} was"
            raise Ended(Failed(Failure(FailureKind.LOCAL, f"{fact.reference} {said} when this began")))
        return there


def _index(found: Iterable[AtRegistry]) -> ManifestContent:
    return index_of([part for one in found for part in one.parts])


def _require_reached(targets: Iterable[Facts]) -> None:
    """Raise Refused where a registry does not answer."""
    problem = next((one.preflight.problem for one in targets if one.preflight and one.preflight.problem), "")
    if problem:
        raise Refused(unreached(problem))


def _require_one_each(found: Sequence[Found]) -> None:
    """Raise UsageError for a source without a platform, and for two of one."""
    for one in found:
        if not one.platforms:
            raise UsageError(f"cannot determine the platform of {one.source.given}")
    twice = clash((one.source.given, platform) for one in found for platform in one.platforms)
    if twice:
        first, second, platform = twice
        said = f"{first} and {second} are both for" if first != second else f"{first} is twice for"
        why = "and an index names one image for each platform"
        raise UsageError(f"{said} {listed((platform,))}, {why}", "leave one of them out")


def _names(found: Sequence[InEngine], target: Reference, taken: set[str]) -> list[list[Reference]]:
    """Candidate staging tags in the target's repository, in order of preference: the source's own, one with its
    platforms, and one with its image ID, too. All differ from each other and from `taken`."""
    names: list[list[Reference]] = [[] for _ in found]
    for name_of in (_own_name, _name_by_platform, _name_by_image):
        for one, its in zip(found, names, strict=True):
            name = name_of(one, target)
            if name.name == target.name and str(name) not in taken:
                taken.add(str(name))
                its.append(name)
    return names


def _own_name(found: InEngine, _target: Reference) -> Reference:
    return found.source.reference


def _name_by_platform(found: InEngine, target: Reference) -> Reference:
    """The usual name for one platform of a tag, such as `1.4.2-linux-arm-v7`."""
    return _suffixed(target, _platforms_of(found))


def _name_by_image(found: InEngine, target: Reference) -> Reference:
    return _suffixed(target, f"{_platforms_of(found)}-{found.image.id.rpartition(':')[2][:12]}")


def _platforms_of(found: InEngine) -> str:
    """The platforms as part of a tag, or their number if there are many."""
    named = "-".join(part for platform in found.platforms for part in platform if part)
    return re.sub(r"[^A-Za-z0-9_.-]", "-", named) if len(named) <= _LONGEST else f"{len(found.platforms)}-platforms"


def _suffixed(target: Reference, suffix: str) -> Reference:
    """The target with a suffix to its tag, which is shortened if need be."""
    tag = f"{target.tag[: MAX_TAG - len(suffix) - 1]}-{suffix}"
    reference = target._replace(tag=tag, implied=frozenset())
    return reference._replace(given=str(reference))


def _split(facts: Iterable[Facts]) -> tuple[tuple[Facts, ...], tuple[Facts, ...]]:
    """The tags for the index, and the staging tags."""
    every = tuple(facts)
    return tuple(fact for fact in every if not fact.staged), tuple(fact for fact in every if fact.staged)
