"""What a tag names at the registry before the push, inspected as closely as the rules need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from pushsafe.model.credentials import Credential
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryAstray, RegistryUnreachable, UnsafeRealm
from pushsafe.model.evidence import NO_MANIFEST, Evidence, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.facts import Facts, ImageMissing, LocalImage, Upcoming
from pushsafe.model.tag_changes import moves, unchanged
from pushsafe.model.versions import higher, local_version
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.push.ports import Gateways

_CANDIDATES = 5
"""The most tags of higher versions to compare with what a moving tag names, the highest first."""


class TagInspector(NamedTuple):
    """Inspects one tag; `facts` are those of every listed reference, with their images."""

    gateways: Gateways
    fact: Facts
    credential: Credential
    facts: Sequence[Facts]

    def now(self) -> TagState:
        """Ask the registry: HEAD first; a digest that is not the local image's is inspected further."""
        try:
            return self._now()
        except RegistryUnreachable as error:
            return TagUnknown(error.message)

    def by_any_means(self) -> TagState:
        """Ask the registry, or the engine if this machine cannot reach it: for runs without a preflight, which would
        tell."""
        try:
            return self._now()
        except (UnsafeRealm, RegistryAstray) as error:
            return TagUnknown(error.message)  # the engine would send the credential there
        except RegistryUnreachable as error:
            return self.through_engine(error.message)

    def through_engine(self, why: str) -> TagState:
        """Ask the engine; `why` the registry could not be asked."""
        try:
            found = self.gateways.engine().distribution(self.fact.reference, self.credential)
        except (EngineUnreachable, EngineFailed) as error:
            return TagUnknown(f"{why}; {error.message}")
        return TagHeld(found) if isinstance(found, ManifestInfo) else _not_held(found, f"{why}; through the engine:")

    def afterwards(self, *, closely: bool, engine: bool) -> TagState:
        """Ask again after a failed push; `closely`: read the config too, which identifies an image of the classic
        store.

        If this machine cannot reach the registry, the `engine` is asked.
        """
        try:
            found = self.gateways.registry().manifest(self.fact.reference, self.credential)
            if isinstance(found, Evidence):
                return _not_held(found, "the registry answers")
            image = self.fact.image
            near = closely and isinstance(image, LocalImage | Upcoming)
            return self._whole(found, image) if near else TagHeld(found)
        except (UnsafeRealm, RegistryAstray) as error:
            return TagUnknown(error.message)
        except RegistryUnreachable as error:
            return self.through_engine(error.message) if engine else TagUnknown(error.message)

    def _now(self) -> TagState:
        found = self.gateways.registry().manifest(self.fact.reference, self.credential)
        if isinstance(found, Evidence):
            return _not_held(found, "the registry answers")
        held, image = TagHeld(found), self.fact.image
        if not isinstance(image, LocalImage | Upcoming) or unchanged(self.fact._replace(tag_now=held)):
            return held
        held = self._whole(found, image)
        if isinstance(image, LocalImage) and held.manifest.config == image.id:
            return held
        with suppress(RegistryUnreachable):  # only a warning is lost
            return held._replace(also=self._higher_versions(held.manifest))
        return held

    def _whole(self, found: ManifestInfo, image: LocalImage | Upcoming | ImageMissing | None) -> TagHeld:
        """Add the config, platform and version of a single image."""
        version = unread = ""
        try:
            if not found.is_index:
                registry = self.gateways.registry()
                whole = registry.manifest(self.fact.reference, self.credential, found.digest, whole=True)
                if isinstance(whole, ManifestInfo) and whole.config:
                    found = whole
                    if isinstance(image, LocalImage) and found.config == image.id:
                        return TagHeld(found)
            if found.config:
                config = self.gateways.registry().image_config(self.fact.reference, self.credential, found.config)
                if isinstance(config, ImageConfig):
                    version = config.version
                    found = found._replace(platforms=(config.platform,) if config.platform else ())
                else:
                    unread = f"it does not show the config of that image ({config})"
        except RegistryUnreachable as error:  # what is known by now is kept
            unread = error.message
        return TagHeld(found, version, unread=unread)

    def _higher_versions(self, found: ManifestInfo) -> tuple[str, ...]:
        """The tag of a higher version than the local image's that names the same image as a moving tag."""
        reference = self.fact.reference
        if not moves(self.fact):
            return ()
        version = local_version(self.fact, self.facts)
        if not version:
            return ()
        tags = self.gateways.registry().tags(reference, self.credential)
        if isinstance(tags, Evidence):
            return ()  # only a warning is lost
        for tag in higher(tags, version)[:_CANDIDATES]:
            held = self.gateways.registry().manifest(reference._replace(tag=tag), self.credential)
            if isinstance(held, ManifestInfo) and held.digest == found.digest:
                return (tag,)
        return ()


def _not_held(answer: Evidence, who: str) -> TagState:
    if answer.status == HTTPStatus.NOT_FOUND:
        return TagAbsent()
    if answer.code == NO_MANIFEST:
        return TagUnknown(f"{who} with {answer.message}", answer.message)
    said = (who, str(answer.status or ""), answer.message)
    return TagUnknown(" ".join(part for part in said if part))
