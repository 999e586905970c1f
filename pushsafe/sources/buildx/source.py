"""A build by buildx as a source: checked before the build, verified after its push."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from pushsafe.denial.classify import foresee
from pushsafe.denial.refusal import beforehand
from pushsafe.model.errors import EngineFailed, EngineUnreachable, PushsafeError, RegistryUnreachable, UsageError
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import Builder, Buildx, Facts, Upcoming
from pushsafe.model.outcomes import BuildFailed, Built, Denied, Failed, NotPushed, Pushed
from pushsafe.model.plan import PushPlan
from pushsafe.model.request import Asks, Build, PushRequest, Target
from pushsafe.model.verdicts import Denial, Failure, FailureKind
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.oci.reference import Reference, parse
from pushsafe.push.aftermath import before, is_known, settle
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import investigate, refused
from pushsafe.push.recorder import Recorder
from pushsafe.push.results import outcome_of
from pushsafe.push.source import Source
from pushsafe.push.verify import TagVerifier, seen_whole
from pushsafe.rules.buildx_commands import INSTALL
from pushsafe.runtime.redact import clean
from pushsafe.sources.buildx.build_output import Told, read_text

_CUT = NotPushed("cut off while it was being built and pushed; the registry may hold it", begun=True)


class BuildxSource(Source):
    """The images of one build."""

    def __init__(self, request: PushRequest, build: Build, gateways: Gateways, pool: ThreadPoolExecutor) -> None:
        super().__init__(request, gateways, pool)
        self._build = build
        self._caches: dict[str, Future[bool]] = {}

    def prepare(self, facts: tuple[Facts, ...], /) -> tuple[Facts, ...]:
        buildx = self._gateways.buildx().look(self._build.builder)
        builder = self._require_a_builder(buildx)
        targets = {str(reference): target for target in self._build.targets for reference in target.references}
        images = {name: _upcoming(target, builder) for name, target in targets.items()}
        if self._request.asks is not Asks.NOTHING:
            self._caches = {str(one): self._pool.submit(self._is_image, one) for one in self._build.caches}
        return tuple(fact._replace(image=images[str(fact.reference)], buildx=buildx) for fact in facts)

    def _require_a_builder(self, buildx: Buildx) -> Builder | None:
        if buildx.problem:
            raise UsageError(buildx.problem, INSTALL if buildx.to_install else "docker buildx ls")
        name = self._build.builder
        builder = next((one for one in buildx.builders if one.name == name), None) if name else buildx.current
        if name and builder is None:
            there = ", ".join(one.name for one in buildx.builders)
            raise UsageError(f"there is no builder {name!r}; there are {there}", "docker buildx ls")
        if builder is not None and builder.problem:
            message = f"the builder {builder.name!r} cannot build: {builder.problem}"
            raise UsageError(message, "docker buildx ls") if name else EngineUnreachable(message, "docker buildx ls")
        return builder

    def _is_image(self, reference: Reference) -> bool:
        """Whether a tag is known to name an image; BuildKit's cache has no platform."""
        registry = self._gateways.registry()
        try:
            credential = self._gateways.credentials.lookup(reference.registry)
            found = registry.manifest(reference, credential, whole=True)
            if not isinstance(found, ManifestInfo) or found.is_index or not found.config:
                return isinstance(found, ManifestInfo) and bool(found.platforms)
            config = registry.image_config(reference, credential, found.config)
        except PushsafeError:
            return False
        return isinstance(config, ImageConfig) and config.platform is not None

    def plan(self, _facts: tuple[Facts, ...], /) -> PushPlan:
        # Only now, so that the questions ran while the facts were collected.
        if image := next((name for name, asked in self._caches.items() if asked.result()), ""):
            raise UsageError(
                f"--cache-to {image}: this tag names an image, and the cache would take its place",
                f"a tag of its own for the cache, e.g. {image.rpartition(':')[0]}:buildcache",
            )
        return PushPlan()

    def carry_out(self, facts: tuple[Facts, ...], _planned: PushPlan, recorder: Recorder, /) -> None:
        verifier = TagVerifier(self._request, self._gateways, recorder)
        tags = _Tags(self._build, self._gateways, self._pool, recorder, verifier, facts)
        for fact in facts:
            recorder.begin(fact, _CUT)
        try:
            with recorder.phase("build"):
                answer = self._gateways.buildx().run(self._build)
            match answer:
                case Built():
                    tags.read_back(answer)
                case BuildFailed():
                    tags.explain(answer)
        except BaseException:
            recorder.stop()
            raise


class _Tags:
    """The outcome of one build's tags."""

    def __init__(
        self,
        build: Build,
        gateways: Gateways,
        pool: ThreadPoolExecutor,
        recorder: Recorder,
        verifier: TagVerifier,
        facts: Iterable[Facts],
    ) -> None:
        self._build = build
        self._gateways = gateways
        self._pool = pool
        self._recorder = recorder
        self._verifier = verifier
        self._tags = {str(fact.reference): fact for fact in facts}

    def read_back(self, built: Built) -> None:
        digests, unlisted = dict(built.digests), _unlisted(built, self._build.targets)
        first: list[Facts] = []
        further: list[tuple[Facts, str]] = []
        seen: dict[tuple[str, str], str] = {}
        for target in self._build.targets:
            digest = digests.get(target.name)
            for name in dict.fromkeys(map(str, target.references)):
                fact = self._tags[name]
                if target.name in unlisted:
                    self._recorder.finish(fact, Failed(_unchecked(unlisted[target.name]), begun=True))
                    continue
                if digest is None:
                    self._recorder.finish(fact, Failed(_untold(target, fact.reference), begun=True))
                    continue
                self._recorder.keep(fact, Pushed(digest))
                source = seen.setdefault((fact.reference.name, digest), name)
                if source == name:
                    first.append(fact)
                else:
                    further.append((fact, source))
        self._all(self._verifier.read_back, ((fact,) for fact in first))
        known = {name: seen_whole(self._recorder.results[name].verification) for _, name in further}
        self._all(self._verifier.read_back, ((fact, known[source]) for fact, source in further))
        listed = {target.name for target in self._build.targets}
        if others := [name for target, names in unlisted.items() if target not in listed for name in names]:
            raise EngineFailed(_unchecked(others).message, "docker buildx bake --print")

    def explain(self, failed: BuildFailed) -> None:
        if not failed.said:
            self._ask(failed)
            return
        told = read_text(failed.said)
        refusals = {name: words for name, words in told.refused.items() if name in self._tags}
        rest = [fact for name, fact in self._tags.items() if name not in refusals]
        self._all(
            self._finish_refused,
            ((self._tags[name], words, told.digests.get(name, "")) for name, words in refusals.items()),
        )
        failure = self._failure(failed, told.error)
        self._all(self._finish_other, ((fact, told, failure, bool(refusals)) for fact in rest))
        outcomes = [result.outcome for result in self._recorder.results.values()]
        all_there = bool(refusals) and all(isinstance(outcome, Pushed) for outcome in outcomes)
        if not all_there and not any(isinstance(outcome, Failed | Denied) for outcome in outcomes):
            # No tag reports the error, as when only the cache could not be exported.
            raise EngineFailed(failure.message, *failure.next)

    def _finish_refused(self, fact: Facts, words: str, digest: str) -> None:
        """Finish a tag whose push failed, as buildx says; `digest` is the one to be pushed, empty for unknown."""
        outcome = refused(self._gateways, fact, Evidence(Stage.PUSH, words))
        settled = settle(fact, outcome, lambda now: now.manifest.digest == digest, self._gateways, self._recorder)
        if isinstance(settled, Pushed):
            self._verifier.read_back(fact)

    def _finish_other(self, fact: Facts, told: Told, failure: Failure, refused: bool) -> None:
        """Finish a tag that did not cause the failure."""
        digest = told.pushed.get(str(fact.reference))
        if digest and self._digest_now(fact) == digest:
            self._recorder.keep(fact, Pushed(digest))
            self._verifier.read_back(fact)
            return
        outcome: NotPushed | Failed
        if digest is not None:
            why = "buildx had begun to push it when the build failed; the registry may hold it"
            outcome = NotPushed(why, begun=True)
        elif refused and told.progress:
            outcome = NotPushed("buildx ended before it was pushed: the push of another tag failed")
        elif refused:
            why = "the push of another tag failed, and buildx did not report whether it had already pushed this one"
            outcome = NotPushed(why, begun=True)
        else:
            outcome = Failed(failure, begun=not told.progress)
        self._recorder.finish(fact, outcome)

    def _ask(self, failed: BuildFailed) -> None:
        """Without buildx's output, which only the user saw, ask the registries whether they refuse a push."""
        first = {fact.reference.name: fact for fact in self._tags.values()}
        asked = {name: self._pool.submit(self._refusal, fact) for name, fact in first.items()}
        verdicts = {name: future.result() for name, future in asked.items()}
        failure = self._failure(failed, "what it said stands above")
        self._all(self._look_again, ((fact, verdicts[fact.reference.name], failure) for fact in self._tags.values()))

    def _look_again(self, fact: Facts, verdict: Denial | Failure | None, failure: Failure) -> None:
        """Finish a tag of a failed build of unknown cause: new content at the registry means a push."""
        now = self._digest_now(fact)
        known = is_known(fact)
        if now and now != before(fact) and (known or verdict is None):
            what = f"something new, {now}" if known else f"{now}, of this build or an older one"
            failure = failure._replace(
                message=f"{failure.message}; the tag names {what}, which could not be compared with the build",
                next=(f"docker buildx imagetools inspect {fact.reference}", *failure.next),
            )
            self._recorder.finish(fact, Failed(failure, begun=True))
        elif verdict is not None:
            self._recorder.finish(fact, outcome_of(verdict))
        else:
            # An unchanged tag may have been pushed again.
            self._recorder.finish(fact, Failed(failure, begun=now != ""))

    def _digest_now(self, fact: Facts) -> str | None:
        """The digest that the tag names; empty for none, `None` if the registry does not say."""
        try:
            found = self._gateways.registry().manifest(*fact.repository)
        except RegistryUnreachable:
            return None
        if isinstance(found, ManifestInfo):
            return found.digest
        return "" if found.status == HTTPStatus.NOT_FOUND else None

    def _refusal(self, fact: Facts) -> Denial | Failure | None:
        preflight = investigate(self._gateways, *fact.repository)
        return foresee(beforehand(fact._replace(preflight=preflight), fact.now))

    def _failure(self, failed: BuildFailed, said: str) -> Failure:
        command = f"docker buildx {self._build.command} --progress=plain ...   (the build alone, and all that it says)"
        message = f"buildx ended with status {failed.status}: {said or 'it does not say why'}"
        return Failure(FailureKind.LOCAL, message, next=(command,))

    def _all(self, do: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> None:
        for future in [self._pool.submit(do, *one) for one in arguments]:
            future.result()


def _upcoming(target: Target, builder: Builder | None) -> Upcoming:
    if target.platforms or builder is None or builder.native is None:
        return Upcoming(target.platforms)
    return Upcoming((builder.native,), implied=True)


def _unlisted(built: Built, targets: Iterable[Target]) -> dict[str, list[str]]:
    """The names that buildx reports as pushed and that are no tags of their target."""
    listed = {target.name: set(map(str, target.references)) for target in targets}
    found = {
        target: [name for name in names if str(parse(name)) not in listed.get(target, ())]
        for target, names in built.names
    }
    return {target: names for target, names in found.items() if names}


def _unchecked(names: Iterable[str]) -> Failure:
    return Failure(
        FailureKind.LOCAL,
        f"buildx says that it pushed {', '.join(map(clean, names))} too, which was neither requested nor checked",
        next=tuple(
            f"docker buildx imagetools inspect {one}" for one in map(parse, names) if isinstance(one, Reference)
        ),
    )


def _untold(target: Target, reference: Reference) -> Failure:
    of = f" of the target {target.name!r}" if target.name else ""
    return Failure(
        FailureKind.LOCAL,
        f"buildx ended without an error, but its metadata file has no digest{of}, so it is unknown what was pushed",
        next=(f"docker buildx imagetools inspect {reference}",),
    )
