"""Finds the sources of an index, in the engine and at registries, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import NamedTuple

from pushsafe.denial.classify import foresee
from pushsafe.denial.reasons import again_with, of_reading
from pushsafe.denial.refusal import Refusal, credential_evidence, trouble_of
from pushsafe.model.credentials import Repository
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable, UsageError
from pushsafe.model.evidence import Evidence, Stage, TagHeld
from pushsafe.model.facts import Facts, ImageMissing, LocalImage
from pushsafe.model.outcomes import Denied, Failed
from pushsafe.model.request import Place, Source
from pushsafe.model.retry_policy import BUSY, RetryPolicy
from pushsafe.model.tag_changes import unchanged
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.document import Unusable
from pushsafe.oci.manifest import INDEX_TYPES, Descriptor, ManifestContent, ManifestInfo, config_of, descriptors, single
from pushsafe.oci.platform import Platform, lacking
from pushsafe.oci.reference import Implied, Reference
from pushsafe.push.ports import Gateways, Refused
from pushsafe.push.preflight import investigate


class AtRegistry(NamedTuple):
    """A source at a registry: images and their attestations."""

    source: Source
    repository: Repository
    digest: str
    parts: tuple[Descriptor, ...]

    @property
    def platforms(self) -> tuple[Platform, ...]:
        return tuple(part.platform for part in self.parts if part.platform)


class InEngine(NamedTuple):
    """A source in the engine; no registry has it, or one has another image of its name."""

    source: Source
    image: LocalImage

    @property
    def platforms(self) -> tuple[Platform, ...]:
        return tuple(one for one in self.image.platforms if one.os and one.architecture)


Found = AtRegistry | InEngine
_Local = LocalImage | ImageMissing | EngineUnreachable | EngineFailed | None
_Unread = Evidence | RegistryUnreachable
_Remote = ManifestContent | _Unread | None


class IndexResolver:
    """Finds the sources of one run. `pool` runs the requests."""

    def __init__(self, gateways: Gateways, pool: ThreadPoolExecutor, retry_policy: RetryPolicy, now: float) -> None:
        self._gateways = gateways
        self._pool = pool
        self._retry_policy = retry_policy
        self._now = now

    def find(self, sources: Iterable[Source]) -> tuple[Found, ...]:
        """Find every source. Raises UsageError for a missing or ambiguous one, EngineUnreachable and EngineFailed where
        only the engine could have it, and Refused where a registry does not say."""
        listed = tuple(sources)
        if any(_may_be_remote(source) for source in listed):
            self._gateways.registry()  # in this thread: see FactCollector.collect
        remote = [self._pool.submit(self._remote, source) if _may_be_remote(source) else None for source in listed]
        local = self._ask_engine(listed)
        answers = [one.result() if one else None for one in remote]
        return tuple(self._pool.map(self._decide, listed, local, answers))  # each may ask for a config

    def _ask_engine(self, sources: tuple[Source, ...]) -> list[_Local]:
        """The engine's answers for the sources that it may have."""
        wanted = [source.place is not Place.REGISTRY for source in sources]
        try:
            engine = self._gateways.engine()
            asked = [
                self._pool.submit(engine.image, source.reference, near=False) if want else None
                for source, want in zip(sources, wanted, strict=True)
            ]
            return [one.result() if one else None for one in asked]
        except (EngineUnreachable, EngineFailed) as error:
            return [error if want else None for want in wanted]

    def _remote(self, source: Source) -> ManifestContent | _Unread:
        credential = self._gateways.credentials.lookup(source.reference.registry)
        try:
            return self._gateways.registry().content(source.reference, credential, source.digest, self._retry_policy)
        except RegistryUnreachable as error:
            return error

    def _decide(self, source: Source, here: _Local, there: _Remote) -> Found:
        if isinstance(there, ManifestContent):
            if isinstance(here, LocalImage) and not _is_same(source, here, there):
                raise UsageError(
                    f"{source.given} is an image of this engine, and another one at {source.reference.registry}",
                    f"say which is meant: docker-daemon:{source.reference}, or docker://{source.reference}",
                )
            credential = self._gateways.credentials.lookup(source.reference.registry)
            return self._at_registry(source, Repository(source.reference, credential), there)
        if there is not None and not _is_absent(there):
            raise self._unread(source, there, here)
        if isinstance(here, LocalImage):
            return InEngine(source, here)
        raise self._nowhere(source, here, there)

    def place(self, found: InEngine, names: Sequence[Reference]) -> AtRegistry | Reference:
        """Where a registry has the engine's image already, or else the first free one of `names`, for the engine to
        push it and replace nothing.

        The last name is also used where the registry does not say: many refuse to show a repository that does not exist
        yet. Raises UsageError where no name is left, and Refused.
        """
        for name in names:
            there = self._remote(Source(found.source.given, name))
            if isinstance(there, RegistryUnreachable):
                raise Refused(unreached(there.message))
            if isinstance(there, ManifestContent):
                credential = self._gateways.credentials.lookup(name.registry)
                if same := self.same(found, Repository(name, credential), there):
                    return same
            elif _is_absent(there) or (name is names[-1] and there.status != HTTPStatus.OK):
                return name
        taken = f": {', '.join(map(str, names))} are taken" if names else ""
        raise UsageError(
            f"there is no tag under which {found.source.given} could be pushed and replace nothing{taken}",
            f"docker tag {found.source.reference} NAME:FREE-TAG   (in the repository of the index, and as its source)",
        )

    def same(self, found: InEngine, repository: Repository, content: ManifestContent) -> AtRegistry | None:
        """The engine's image at a registry; `None` if the registry has another one. Raises as `find` does."""
        if not _is_same(found.source, found.image, content):
            return None
        there = self._at_registry(found.source, repository, content)
        differs = lacking(found.platforms, there.platforms) or lacking(there.platforms, found.platforms)
        return None if differs else there

    def _at_registry(self, source: Source, repository: Repository, content: ManifestContent) -> AtRegistry:
        """The content from a registry, as parts of an index."""
        try:
            index = content.media_type in INDEX_TYPES
            parts = descriptors(content) if index else (self._single(source, repository, content),)
        except Unusable as error:
            raise UsageError(f"{source.given} cannot be put into an index: it {error}") from None
        return AtRegistry(source, repository, content.digest, parts)

    def _single(self, source: Source, repository: Repository, content: ManifestContent) -> Descriptor:
        digest = config_of(content)
        source = source._replace(reference=repository.reference)
        try:
            config = self._gateways.registry().image_config(*repository, digest, self._retry_policy)
        except RegistryUnreachable as error:
            raise self._unread(source, error) from None
        if isinstance(config, Evidence):
            if _is_absent(config):
                raise Unusable(f"has no config that could be read: the registry answers {config}")
            raise self._unread(source, config)
        return single(content, config)

    def _nowhere(self, source: Source, here: _Local, there: _Remote) -> Exception:
        """The error for a source that no registry has."""
        said = f"{source.reference.registry} does not hold it" if there is not None else ""
        if isinstance(here, EngineUnreachable | EngineFailed):
            elsewhere = f"; {said}" if said else ""
            return type(here)(f"{here.message}, so that {source.given} cannot be found{elsewhere}", here.hint)
        if isinstance(here, ImageMissing):
            missing = self._gateways.engine().image(source.reference)
            names = missing.near if isinstance(missing, ImageMissing) else ()
            near = f"; the engine has {', '.join(names)}" if names else ""
            also = f", and {said}" if said else ""
            bare = f"docker://{source.reference}   (if a registry has it)" if not said else ""
            return UsageError(f"the engine has no image {source.given}{also}{near}", bare)
        return UsageError(f"{source.given} cannot be had: {said}")

    def _unread(self, source: Source, there: _Unread, here: _Local = None) -> Exception:
        """The error for a source that its registry did not show: the engine's image may be an older one."""
        besides = _besides(source, here)
        says = there.message if isinstance(there, RegistryUnreachable) else f"the registry answers {there}"
        said = f"{source.given} could not be read from {source.reference.registry}: {says}{besides}"
        either = f"docker-daemon:{source.reference}, or docker://{source.reference}"
        commands = (again_with(either),) if isinstance(here, LocalImage) else ()
        if isinstance(there, RegistryUnreachable):
            return Refused(Failed(Failure(FailureKind.NETWORK, said, (), commands)))
        if there.status == HTTPStatus.OK and not there.code:  # it sent what is neither image nor index
            return UsageError(said, *commands)
        if there.refused:
            return Refused(self._denied(source, there, besides, commands))
        busy = () if there.status not in BUSY else (again_with("", "in a while"),)
        return Refused(Failed(Failure(trouble_of(there), said, (there,), commands or busy)))

    def _denied(self, source: Source, read: Evidence, besides: str, commands: tuple[str, ...]) -> Denied | Failed:
        """The outcome of a refusal to show a source, after a probe of the credential."""
        reference = source.reference
        credential = self._gateways.credentials.lookup(reference.registry)
        found = investigate(self._gateways, reference, credential, source.digest or reference.tag)
        evidence = (credential_evidence(credential), *found.evidence, read)
        refusal = Refusal(reference, credential, evidence, self._now)
        verdict = foresee(refusal)
        if isinstance(verdict, Failure):
            return Failed(verdict)
        denial = of_reading(refusal, verdict)
        said = denial._replace(summary=f"{denial.summary}{besides}", next=(*denial.next, *commands))
        return Denied(said, Stage.PROBE)


def unreached(problem: str) -> Failed:
    """The failure where only the engine reaches the registry: it can push images, but no index."""
    return Failed(Failure(FailureKind.NETWORK, f"an index is put from here, not by the engine: {problem}"))


def _may_be_remote(source: Source) -> bool:
    """Whether a registry may have a source; a name without a registry means the engine's image by default."""
    named = Implied.REGISTRY not in source.reference.implied
    return source.place is Place.REGISTRY or (source.place is Place.EITHER and named)


def _is_same(source: Source, image: LocalImage, content: ManifestContent) -> bool:
    """Whether the engine's image is the registry's, as far as the engine's store knows."""
    config = ""
    if content.media_type not in INDEX_TYPES:
        try:
            config = config_of(content)
        except Unusable:
            return False
    now = TagHeld(ManifestInfo(content.digest, content.media_type, config=config))
    return unchanged(Facts(source.reference, image=image, tag_now=now))


def _is_absent(there: _Unread) -> bool:
    """Whether a registry says that it does not have a source; other refusals leave that open."""
    return isinstance(there, Evidence) and there.status == HTTPStatus.NOT_FOUND


def _besides(source: Source, here: _Local) -> str:
    """The engine's answer, for a message about a registry that did not say."""
    match here:
        case LocalImage():
            return f"; the engine has an image {source.given}, which may be another one"
        case ImageMissing():
            return f"; the engine has no image {source.given}"
        case EngineUnreachable() | EngineFailed():
            return f"; {here.message}"
        case _:
            return ""
