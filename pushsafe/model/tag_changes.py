"""What a push would put in the place of what a tag names now."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.oci.manifest import DOCKER_MANIFEST
from pushsafe.oci.platform import Platform, lacking, same


def pushed(fact: Facts) -> tuple[Platform, ...]:
    """The platforms that the tag would be for; empty where the image is missing, or its platforms are not known."""
    if not isinstance(fact.image, LocalImage | Upcoming):
        return ()
    held = (one for one in fact.image.platforms if one.os and one.architecture)
    return tuple(one for one in held if not fact.platforms or any(same(one, wanted) for wanted in fact.platforms))


def has_no_platform(fact: Facts) -> bool:
    """Whether what would be pushed is known, and known to be for no platform: an artifact, an image without an os, an
    index that names nothing."""
    image = fact.image
    if isinstance(image, LocalImage):
        known = not image.missing
    else:
        known = isinstance(image, Upcoming) and bool(image.digest or image.config)
    # Other rules tell of one that has platforms, and not those that were asked for.
    return known and not pushed(fact._replace(platforms=()))


def matching(tag: str, patterns: tuple[str, ...]) -> str:
    """The first pattern of a TagPolicy that a tag matches, else an empty string."""
    return next((pattern for pattern in patterns if fnmatchcase(tag, pattern)), "")


def moves(fact: Facts) -> bool:
    """Whether the tag is one that the settings call moving."""
    return bool(matching(fact.reference.tag, fact.policy.moving))


def unchanged(fact: Facts) -> bool:
    """Whether the tag names already the very content that would be pushed; false where that is not known.

    `LocalImage.is_named` would be too little: with the index that an image of the classic store was pulled from, or a
    manifest of the index that is pushed whole, another digest takes the tag's place all the same.
    """
    if not isinstance(fact.tag_now, TagHeld):
        return False
    now, image = fact.tag_now.manifest, fact.image
    if isinstance(image, Upcoming):
        if image.digest:
            return now.digest == image.digest
        return bool(image.config) and now.config == image.config  # the same image, its layers still to be compressed
    if not isinstance(image, LocalImage):
        return False
    if now.is_index:
        return now.digest == image.id and not fact.platforms
    docker_only = fact.engine is not None and fact.engine.kind.writes_docker_manifests
    if docker_only and now.media_type != DOCKER_MANIFEST:
        return False
    if now.config and now.config == image.id:
        return True
    if now.digest in image.children:
        return bool(fact.platforms) and not (now.platforms and lacking(fact.platforms, now.platforms))
    return image.is_named(now.digest)


def names_already(fact: Facts) -> bool:
    """Whether the tag names the very digest that the image has at a registry, as far as the engine's store knows that.

    The classic store knows no manifest's digest but those that it has pulled or pushed before. The same config is less
    than the same digest: the store compresses layers anew, and its manifest may turn out another.
    """
    if not isinstance(fact.tag_now, TagHeld) or not isinstance(fact.image, LocalImage) or not unchanged(fact):
        return False
    now = fact.tag_now.manifest
    if now.digest in fact.image.children:
        return bool(now.platforms)  # unchanged() takes an unknown platform for the one asked for
    return fact.image.is_named(now.digest) and (not fact.platforms or bool(pushed(fact)))


def is_ours(fact: Facts, now: TagHeld) -> bool:
    """Whether what a tag was seen to name, looked at closely, is the very image that was to be pushed."""
    seen = fact._replace(tag_now=now)
    if isinstance(fact.image, LocalImage) and now.manifest.digest in fact.image.children:
        return unchanged(seen) and bool(now.manifest.platforms)  # an unknown platform may be another one
    return unchanged(seen)
