"""Collects the facts of a run: the engine, credential stores and registries are asked concurrently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from itertools import islice
from typing import NamedTuple

from pushsafe.denial.classify import foresee
from pushsafe.denial.refusal import beforehand
from pushsafe.model.credentials import Credential, CredentialSource, SourceKind
from pushsafe.model.errors import EngineFailed, EngineUnreachable, PushsafeError, RegistryUnreachable, UsageError
from pushsafe.model.evidence import NOT_ASKED, WRONG_ADDRESS, Preflight, RegistryPing, Stage, TagState, TagUnknown
from pushsafe.model.facts import EngineInfo, Facts, ImageMissing, LocalImage, PulledIndex
from pushsafe.model.request import Archive, Asks, PushRequest
from pushsafe.model.tag_changes import matching
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference, parse
from pushsafe.push.ports import EngineGateway, Gateways
from pushsafe.push.preflight import investigate
from pushsafe.push.tag_state import TagInspector
from pushsafe.rules.buildx_commands import needed

ORIGIN_WAIT = 1.0
"""How long, in seconds after all else is known, a run waits for other registries to say what an image was pulled from.

It is only a hint, and no one should look at a still screen for longer.
"""
_ORIGIN_THREADS = 4

_Images = Mapping[str, LocalImage | ImageMissing]


class _Repository(NamedTuple):
    """What was learned about one repository."""

    credential: Credential
    preflight: Preflight | None


class FactCollector:
    """Collects the facts of one run; `pool` runs the requests to registries and credential helpers.

    The engine is needed only for facts that have no image yet. If `patient`, it goes on without an engine (see
    `engine_problem`) and inspects tags even if the preflight refuses the push. `ahead` is called for each repository
    that would accept one, right before its tags are inspected.
    """

    def __init__(
        self,
        request: PushRequest,
        gateways: Gateways,
        pool: ThreadPoolExecutor,
        *,
        patient: bool = False,
        ahead: Callable[[Facts], None] = lambda _fact: None,
    ) -> None:
        self._ahead = ahead
        self._request = request
        self._gateways = gateways
        self._pool = pool
        self._patient = patient
        self.engine_problem: PushsafeError | None = None

    def collect(self, facts: tuple[Facts, ...]) -> tuple[Facts, ...]:
        """Fill in what the request asks for. Raises EngineUnreachable, EngineFailed and UsageError."""
        if self._request.asks is not Asks.NOTHING:
            # made in this thread: its imports are largely the engine's, and two threads would wait for each other
            self._gateways.registry()
        pings = self._ask_for_pings(facts)
        repositories = self._ask_for_repositories(facts)
        images: _Images = {}
        info = None
        try:
            if not isinstance(self._request.origin, Archive):
                facts, info, images = self._ask_engine(facts)
        except (EngineUnreachable, EngineFailed, UsageError) as error:
            if not self._patient and any(fact.image is None for fact in facts):
                raise
            self.engine_problem = error
        facts = tuple(
            fact._replace(
                image=fact.image or images.get(str(fact.reference), None if self.engine_problem else ImageMissing()),
                engine=info,
            )
            for fact in facts
        )
        origins = self._ask_for_origins(facts)
        states = dict(self._states(facts, repositories))
        unknown = NOT_ASKED if self._request.asks is not Asks.PREFLIGHT else None
        known = tuple(
            fact._replace(
                credential=repositories[fact.reference.name].result().credential,
                preflight=repositories[fact.reference.name].result().preflight,
                ping=pings[fact.reference.registry].result() if pings else None,
                tag_now=states.get(str(fact.reference), unknown),
            )
            for fact in facts
        )
        known = _with_origins(known, origins)
        if not any(fact.buildx is None and needed(fact) for fact in known):
            return known
        buildx = self._gateways.buildx().look()
        return tuple(fact._replace(buildx=fact.buildx or buildx) for fact in known)

    def _ask_engine(self, facts: tuple[Facts, ...]) -> tuple[tuple[Facts, ...], EngineInfo, _Images]:
        engine = self._gateways.engine()
        first = self._ask_for_images(engine, facts, 1)
        info = self._gateways.engine_info()
        if self._request.all_tags:
            facts = tuple(expanded for fact in facts for expanded in _expand(fact, engine))
        if len(self._request.platforms) == 1:  # several are refused in any case, with a better reason
            _require_platform_option(info)
        return facts, info, self._images(engine, facts, {name: image.result() for name, image in first.items()})

    def _ask_for_images(
        self, engine: EngineGateway, facts: Iterable[Facts], most: int
    ) -> dict[str, Future[LocalImage | ImageMissing]]:
        wanted = {str(fact.reference): fact.reference for fact in facts if fact.reference.tag and fact.image is None}
        return {name: self._pool.submit(engine.image, wanted[name]) for name in islice(wanted, most)}

    def _images(
        self, engine: EngineGateway, facts: tuple[Facts, ...], found: dict[str, LocalImage | ImageMissing]
    ) -> _Images:
        """Every listed image. Each answer has all tags of the image, so images are requested in groups that double in
        size."""
        most = 1
        while True:
            for image in [one for one in found.values() if isinstance(one, LocalImage)]:
                found.update(dict.fromkeys(image.names, image))
            missing = [fact for fact in facts if str(fact.reference) not in found]
            most *= 2
            asked = self._ask_for_images(engine, missing, most)
            if not asked:
                return found
            found.update({name: image.result() for name, image in asked.items()})

    def _ask_for_pings(self, facts: tuple[Facts, ...]) -> dict[str, Future[RegistryPing]]:
        if self._request.asks is Asks.NOTHING:
            return {}
        registries = dict.fromkeys(fact.reference.registry for fact in facts)
        return {name: self._pool.submit(self._gateways.registry().ping, name) for name in registries}

    def _ask_for_repositories(self, facts: tuple[Facts, ...]) -> dict[str, Future[_Repository]]:
        wanted = {fact.reference.name: fact.reference for fact in facts}
        return {name: self._pool.submit(self._repository, reference) for name, reference in wanted.items()}

    def _repository(self, reference: Reference) -> _Repository:
        credential = self._gateways.credentials.lookup(reference.registry)
        if self._request.asks is not Asks.PREFLIGHT:
            return _Repository(credential, None)
        return _Repository(credential, investigate(self._gateways, reference, credential))

    def _states(
        self, facts: Sequence[Facts], repositories: Mapping[str, Future[_Repository]]
    ) -> Iterator[tuple[str, TagState]]:
        """What each tag names now, asked as soon as its repository's preflight is done."""
        names = {future: name for name, future in repositories.items()}
        asked: dict[str, Future[TagState]] = {}
        for future in as_completed(names):
            credential, preflight = future.result()
            own = {str(one.reference): one for one in facts if one.reference.name == names[future]}
            if preflight is None:
                guarded = {name: fact for name, fact in own.items() if self._is_guarded(fact)}
                looks = {name: TagInspector(self._gateways, fact, credential, facts) for name, fact in guarded.items()}
                asked.update({name: self._pool.submit(look.by_any_means) for name, look in looks.items()})
                continue
            first = next(iter(own.values()))._replace(credential=credential, preflight=preflight)
            allowed = not _is_refused(first)
            wanted = self._patient or allowed
            if allowed and not preflight.problem:
                self._ahead(first)
            for name, fact in own.items():
                if not fact.reference.tag:
                    continue
                look = TagInspector(self._gateways, fact, credential, facts)
                if preflight.problem and _engine_may_ask(preflight):
                    asked[name] = self._pool.submit(look.through_engine, preflight.problem)
                elif preflight.problem:
                    yield name, TagUnknown(preflight.problem)
                elif wanted:
                    asked[name] = self._pool.submit(look.now)
        for name, state in asked.items():
            yield name, state.result()

    def _is_guarded(self, fact: Facts) -> bool:
        """Whether the tag is immutable, so that even a push without a preflight asks what it names."""
        asks = self._request.asks is not Asks.NOTHING
        return asks and bool(fact.reference.tag and matching(fact.reference.tag, fact.policy.immutable))

    def _ask_for_origins(self, facts: Sequence[Facts]) -> _Origins:
        """Ask what the digests name that images of the classic store were pulled from: it may be an index.

        Registries of this run get their credential. Any other is asked anonymously, only if there is a preflight, in
        its own threads and with a short wait: a push elsewhere must neither send it a password nor depend on it.
        """
        if self._request.platforms or self._request.asks is Asks.NOTHING:
            return _Origins({}, {})
        digests = dict.fromkeys(digest for fact in facts for digest in _pulled_from(fact))
        registries = {fact.reference.registry for fact in facts}
        read = {digest: reference for digest in digests if (reference := _repository_of(digest)) is not None}
        ours = {digest: one for digest, one in read.items() if one.registry in registries}
        others = {digest: one for digest, one in read.items() if one.registry not in registries}
        asked = {digest: self._pool.submit(self._manifest_of, one, digest) for digest, one in ours.items()}
        if not others or self._request.asks is not Asks.PREFLIGHT:
            return _Origins(asked, {})
        aside = ThreadPoolExecutor(_ORIGIN_THREADS, thread_name_prefix="pushsafe-origin")
        hints = {digest: aside.submit(self._manifest_of, one, digest, _nobody(one)) for digest, one in others.items()}
        aside.shutdown(wait=False)
        return _Origins(asked, hints)

    def _manifest_of(self, name: Reference, digest: str, credential: Credential | None = None) -> ManifestInfo | None:
        """What `NAME@DIGEST` names now, asked with the registry's own credential if none is given."""
        credential = credential or self._gateways.credentials.lookup(name.registry)
        try:
            found = self._gateways.registry().manifest(name, credential, digest.rpartition("@")[2])
        except RegistryUnreachable:
            return None  # only a hint is lost: the image itself is complete
        return found if isinstance(found, ManifestInfo) else None


class _Origins(NamedTuple):
    """Pending requests for what each `NAME@DIGEST` names, at the registries of the run and at others."""

    ours: Mapping[str, Future[ManifestInfo | None]]
    others: Mapping[str, Future[ManifestInfo | None]]


def _pulled_from(fact: Facts) -> tuple[str, ...]:
    """The `NAME@DIGEST`s that a classic store's image was pulled from or pushed to; none if it is staged for an
    index."""
    alone = fact.one_platform_each and not fact.staged
    return fact.image.repo_digests if alone and isinstance(fact.image, LocalImage) else ()


def _repository_of(digest: str) -> Reference | None:
    name, _, digest = digest.partition("@")
    reference = parse(name)
    return reference if isinstance(reference, Reference) and digest else None


def _nobody(reference: Reference) -> Credential:
    return Credential(reference.registry, reference.registry, CredentialSource(SourceKind.NONE))


def _with_origins(facts: tuple[Facts, ...], origins: _Origins) -> tuple[Facts, ...]:
    """Add the multi-platform index that each image was pulled from, if known by now."""
    late = wait(origins.others.values(), ORIGIN_WAIT).not_done
    for question in late:
        question.cancel()
    answers = {**origins.ours, **{digest: one for digest, one in origins.others.items() if one not in late}}
    indexes = {digest: answer.result() for digest, answer in answers.items()}
    return tuple(fact._replace(pulled_from=_index_among(_pulled_from(fact), indexes)) for fact in facts)


def require_one_platform(request: PushRequest) -> None:
    """Raise UsageError for several platforms, unless a rule has refused them before."""
    if len(request.platforms) > 1:
        raise UsageError(
            "--platform takes one platform for each push",
            "leave it out: an engine whose store holds several platforms pushes them all",
        )


def _require_platform_option(info: EngineInfo) -> None:
    if not info.push_takes_platform:
        raise UsageError(
            f"--platform needs an engine with API 1.46 (Docker 27), and this one speaks {info.api_version}",
            "leave --platform out: this engine's image store holds one platform of each image, and pushes that",
        )


def _is_refused(fact: Facts) -> bool:
    """Whether the push would be refused, so that further requests are pointless."""
    return foresee(beforehand(fact, fact.now)) is not None


def _engine_may_ask(preflight: Preflight) -> bool:
    """Whether the engine may be asked about a registry that this machine cannot reach: its login was not refused.

    The engine would send the credential to any token server, over plain HTTP too, and follow every redirect.
    """
    answers = (item.status for item in preflight.evidence if item.stage is Stage.ENGINE_AUTH)
    astray = any(item.code == WRONG_ADDRESS for item in preflight.evidence)
    return not preflight.unsafe_realm and not astray and all(status == 200 for status in answers)


def _expand(fact: Facts, engine: EngineGateway) -> tuple[Facts, ...]:
    """`--all-tags`: the facts for each tag the engine has; for the repository itself if it has none."""
    tags = engine.tags(fact.reference.name)
    expanded = (fact._replace(reference=fact.reference._replace(tag=tag), listed=False) for tag in tags)
    return tuple(expanded) or (fact,)


def _index_among(digests: Iterable[str], indexes: Mapping[str, ManifestInfo | None]) -> PulledIndex | None:
    """The first multi-platform index among what an image was pulled from, if its registry still has it."""
    for name in digests:
        found = indexes.get(name)
        if found is not None and found.is_index and len(found.platforms) > 1:
            return PulledIndex(name, found)
    return None
