"""Reads pushed tags back: does the registry have the pushed digest, with all its children?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Literal, NamedTuple

from pushsafe.model.credentials import Credential
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import NO_MANIFEST, Evidence
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.model.outcomes import Layers, Mismatch, Missing, NotChecked, Pushed, Verification, Verified
from pushsafe.model.plan import Wait
from pushsafe.model.request import VERIFY_TIMEOUT, PushRequest
from pushsafe.model.retry_policy import BUSY, NO_RETRIES, RetryPolicy
from pushsafe.model.tag_changes import pushed
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform, lacking, listed
from pushsafe.oci.reference import Reference
from pushsafe.push.ports import AsksEngine, AsksRegistry, Gateways
from pushsafe.push.recorder import Recorder

_FIRST, _LONGEST = 0.25, 4.0
"""The first and the longest pause, in seconds, while a registry does not show a new tag; each is twice the one
before."""
_WORTH_TELLING = 1.0
"""The shortest pause, in seconds, worth a notice."""


class TagVerifier:
    """Verifies the tags of one run; thread-safe."""

    def __init__(self, request: PushRequest, gateways: Gateways, recorder: Recorder) -> None:
        self._seconds = request.verify_timeout
        self._gateways = gateways
        self._recorder = recorder

    def read_back(self, fact: Facts, known: ManifestInfo | None = None) -> Verification:
        """Verify a tag that engine or registry reported as pushed, and record the result.

        `known` is what another tag of the repository was verified to name.
        """
        outcome = self._recorder.results[str(fact.reference)].outcome
        if not isinstance(outcome, Pushed):
            raise AssertionError("nothing was pushed that could be read back")
        unsized = bool(outcome.layers and outcome.layers.unsized)
        verification = self.confirm(fact, outcome.digest, whole=unsized, known=known)
        if outcome.layers:
            outcome = outcome._replace(layers=_sized(outcome.layers, verification))
        verification = _with_platforms(verification, fact)
        self._recorder.finish(fact, outcome, verification)
        return verification

    def confirm(
        self, fact: Facts, digest: str, *, whole: bool = False, known: ManifestInfo | None = None
    ) -> Verification:
        """Verify that a tag names a digest, with the children and platforms of its image; nothing is recorded."""
        with self._recorder.phase("verify"):
            look = Look(
                fact.reference,
                fact.repository.credential,
                self._gateways.registry(),
                _Engine(self._gateways),
                whole,
                _children(fact, digest),
                known,
                self._recorder.retry_policy,
            )
            return look.verify(digest, _asked_for(fact, digest), self._seconds, self._recorder.rest)


class _Engine(NamedTuple):
    """The engine, connected only if asked: tags put directly do not need it."""

    gateways: Gateways

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence:
        return self.gateways.engine().distribution(reference, credential)


def _sized(layers: Layers, verification: Verification) -> Layers:
    """Fill in layer sizes that the engine did not report: the containerd store abbreviates digests."""
    if not layers.unsized or not isinstance(verification, Verified):
        return layers
    sizes = {digest.partition(":")[2]: number for digest, number in verification.manifest.layers}
    found = {short: number for short in layers.unsized for full, number in sizes.items() if full.startswith(short)}
    return layers._replace(
        bytes_sent=layers.bytes_sent + sum(found.values()),
        unsized=tuple(short for short in layers.unsized if short not in found),
    )


def _children(fact: Facts, digest: str) -> tuple[str, ...]:
    """The children of the pushed index, if it is still the local image (the containerd store's ID is its digest)."""
    return fact.image.children if isinstance(fact.image, LocalImage) and fact.image.id == digest else ()


def _asked_for(fact: Facts, digest: str) -> tuple[Platform, ...] | None:
    """The platforms a tag must have; `None` if the digest says it all."""
    if not isinstance(fact.image, Upcoming) or fact.image.digest == digest:
        return None
    return () if fact.image.implied else fact.image.platforms


def _with_platforms(verification: Verification, fact: Facts) -> Verification:
    """A single manifest has no platform; as its digest is the pushed one, it has the local image's."""
    if not isinstance(verification, Verified) or verification.manifest.is_index or verification.manifest.platforms:
        return verification
    ours = pushed(fact)
    implied = isinstance(fact.image, Upcoming) and fact.image.implied
    platforms = ours if len(ours) == 1 and not implied else ()
    return verification._replace(manifest=verification.manifest._replace(platforms=platforms))


def pauses(seconds: float) -> Iterator[float]:
    """Growing pauses that add up to `seconds`."""
    pause, left = _FIRST, seconds
    while left > 0:
        yield min(pause, left)
        left -= pause
        pause = min(2 * pause, _LONGEST)


def seen_whole(found: Verification) -> ManifestInfo | None:
    """The manifest, if it was verified at the registry itself: under other tags of the repository its children need no
    second check."""
    return found.manifest if isinstance(found, Verified) and found.via == "registry" else None


class Look(NamedTuple):
    """Asks what a tag names: the registry directly, or the engine if the registry cannot be reached or refuses.

    With `whole` the manifest's body is read, which has the layer sizes. `children` are the digests of the pushed index,
    if known here: the engine does not show those of the registry. `known` is what another tag of the repository was
    verified to name: the same digest is complete there.
    """

    reference: Reference
    credential: Credential
    registry: AsksRegistry
    engine: AsksEngine
    whole: bool = False
    children: tuple[str, ...] = ()
    known: ManifestInfo | None = None
    retry_policy: RetryPolicy = NO_RETRIES

    def verify(
        self,
        digest: str,
        platforms: tuple[Platform, ...] | None = None,
        seconds: float = VERIFY_TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Verification:
        """Compare what the tag names with `digest`, for at most `seconds` while it shows nothing or an older digest.

        `platforms` are those the tag must have; if empty, they are only looked up.
        """
        found = self.at(digest)
        for pause in pauses(seconds):
            if not _may_change(found):
                break
            if pause >= _WORTH_TELLING:
                self.retry_policy.notify(Wait(self.reference.registry, _late(self.reference, found), pause))
            sleep(pause)
            found = self.at(digest)
        return self.for_platforms(found, platforms) if isinstance(found, Verified) and platforms is not None else found

    def at(self, digest: str) -> Verification:
        children = self.children
        try:
            answer = self._ask_registry(expected=digest)
            if isinstance(answer, ManifestInfo):
                if self.known is not None and answer.digest == digest == self.known.digest:
                    return Verified(self.known, "registry")
                children = answer.children
                return self._compare(digest, answer, "registry", self._ask_registry)
            if answer.status == HTTPStatus.NOT_FOUND:
                return Missing(str(self.reference))
            said = "with" if answer.code == NO_MANIFEST else answer.status
            why = f"the registry answers {said} {answer.message}".strip()
            if _is_server_error(answer):
                return NotChecked(why, transient=True)
        except RegistryUnreachable as error:
            why = error.message
        return self._through_engine(digest, children, why)

    def for_platforms(self, found: Verified, wanted: tuple[Platform, ...]) -> Verification:
        """Whether the tag has every requested platform."""
        manifest = found.manifest
        if not manifest.is_index and not manifest.platforms:
            try:
                manifest = self._with_platform(manifest)
            except RegistryUnreachable as error:
                if wanted:
                    return NotChecked(f"the platform of {manifest.digest} is not known: {error.message}")
        if wanted and not manifest.platforms:
            return NotChecked(f"the registry does not say which platform {manifest.digest} is for")
        if lost := lacking(wanted, manifest.platforms):
            return Missing(f"{listed(lost)}, which was asked for: {self.reference} is for {listed(manifest.platforms)}")
        return found._replace(manifest=manifest)

    def _with_platform(self, manifest: ManifestInfo) -> ManifestInfo:
        """A single manifest has no platform; its config has."""
        digest = manifest.digest
        if not manifest.config:
            whole = self.registry.manifest(
                self.reference, self.credential, digest, whole=True, known=None, retry_policy=self.retry_policy
            )
            if isinstance(whole, Evidence):
                return manifest
            manifest = whole
        config = self.registry.image_config(self.reference, self.credential, manifest.config, self.retry_policy)
        if isinstance(config, Evidence) or config.platform is None:
            return manifest
        return manifest._replace(platforms=(config.platform,))

    def _through_engine(self, digest: str, children: tuple[str, ...], why: str) -> Verification:
        try:
            answer = self._ask_engine()
            if isinstance(answer, ManifestInfo):
                if not answer.is_index:
                    children = ()
                elif answer.digest == digest and not children:
                    return NotChecked(f"{why}; through the engine: the index is there, but not what it names")
                return self._compare(digest, answer._replace(children=children), "engine", self._ask_engine)
        except (EngineUnreachable, EngineFailed) as error:
            return NotChecked(f"{why}; {error.message}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return Missing(str(self.reference))
        return NotChecked(f"{why}; through the engine: {answer.message}", _is_server_error(answer))

    def _compare(
        self,
        digest: str,
        found: ManifestInfo,
        via: Literal["registry", "engine"],
        ask: Callable[[str], ManifestInfo | Evidence],
    ) -> Verification:
        """Compare the tag's digest, and check that the registry has every manifest of an index, nested ones
        included."""
        if found.digest != digest:
            return Mismatch(digest, found.digest)
        layers = found.layers
        wanted = list(dict.fromkeys(found.children))
        for child in wanted:  # the list grows in the loop
            answer = ask(child)
            if isinstance(answer, Evidence):
                if answer.status == HTTPStatus.NOT_FOUND:
                    return Missing(f"{child}, which the index of {self.reference} names")
                who = "the registry answers" if via == "registry" else "through the engine the answer is"
                return NotChecked(f"{who} {answer.status} for {child}", _is_server_error(answer))
            if answer.digest != child:
                return Mismatch(child, answer.digest)
            layers += answer.layers
            wanted += [one for one in dict.fromkeys(answer.children) if one not in wanted]
        return Verified(found._replace(layers=layers), via)

    def _ask_registry(self, child: str = "", expected: str = "") -> ManifestInfo | Evidence:
        return self.registry.manifest(
            self.reference,
            self.credential,
            child,
            whole=self.whole,
            known=self.known,
            expected=expected,
            retry_policy=self.retry_policy,
        )

    def _ask_engine(self, child: str = "") -> ManifestInfo | Evidence:
        reference = self.reference
        if child:  # `GET /distribution/NAME@DIGEST/json`
            reference = reference._replace(repository=f"{reference.repository}@{child}", tag="")
        return self.engine.distribution(reference, self.credential)


def _late(reference: Reference, found: Verification) -> str:
    """Why a registry is waited for, as the predicate of a sentence."""
    match found:
        case Mismatch(_, digest):
            return f"still names {digest} where {reference.tag!r} was pushed"
        case NotChecked(why):
            return f"does not say what {reference.tag!r} names: {why}"
        case _:
            return f"does not show {reference.repository}:{reference.tag} yet"


def _may_change(found: Verification) -> bool:
    """Whether asking again may help: the registry may be slow to show a tag, or busy with another."""
    return isinstance(found, Missing | Mismatch) or (isinstance(found, NotChecked) and found.transient)


def _is_server_error(answer: Evidence) -> bool:
    return answer.status is not None and answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in BUSY
