"""How a push would change what a tag names."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.oci.manifest import DOCKER_MANIFEST
from pushsafe.oci.platform import Platform, lacking, same


def pushed(fact: Facts) -> tuple[Platform, ...]:
    """The platforms that the tag would be for; empty if the image is missing or they are unknown."""
    if not isinstance(fact.image, LocalImage | Upcoming):
        return ()
    held = (one for one in fact.image.platforms if one.os and one.architecture)
    return tuple(one for one in held if not fact.platforms or any(same(one, wanted) for wanted in fact.platforms))


def has_no_platform(fact: Facts) -> bool:
    """Whether the pushed content is known to have no platform: an artifact, an image without an OS, an empty index."""
    image = fact.image
    if isinstance(image, LocalImage):
        known = not image.missing
    else:
        known = isinstance(image, Upcoming) and bool(image.digest or image.config)
    # Other rules report platforms that are there but not those requested.
    return known and not pushed(fact._replace(platforms=()))


def matching(tag: str, patterns: tuple[str, ...]) -> str:
    """The first pattern of a TagPolicy that a tag matches, else an empty string."""
    return next((pattern for pattern in patterns if fnmatchcase(tag, pattern)), "")


def moves(fact: Facts) -> bool:
    """Whether the settings declare the tag as moving."""
    return bool(matching(fact.reference.tag, fact.policy.moving))


def unchanged(fact: Facts) -> bool:
    """Whether the tag already names the content that would be pushed; false if unknown.

    `LocalImage.is_named` would not be enough: for a classic store's image that came from an index, or an index pushed
    whole, the push still replaces the tag's digest.
    """
    if not isinstance(fact.tag_now, TagHeld):
        return False
    now, image = fact.tag_now.manifest, fact.image
    if isinstance(image, Upcoming):
        if image.digest:
            return now.digest == image.digest
        return bool(image.config) and now.config == image.config  # the same image, its layers not compressed yet
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
    """Whether the tag names the digest that the image has at a registry, as far as the store knows it.

    The classic store knows only manifests it has pulled or pushed. The same config is not enough: the store compresses
    layers anew, and the manifest may differ.
    """
    if not isinstance(fact.tag_now, TagHeld) or not isinstance(fact.image, LocalImage) or not unchanged(fact):
        return False
    now = fact.tag_now.manifest
    if now.digest in fact.image.children:
        return bool(now.platforms)  # unchanged() takes an unknown platform for the one requested
    return fact.image.is_named(now.digest) and (not fact.platforms or bool(pushed(fact)))


def is_ours(fact: Facts, now: TagHeld) -> bool:
    """Whether a tag, inspected closely, names the image that was to be pushed."""
    seen = fact._replace(tag_now=now)
    if isinstance(fact.image, LocalImage) and now.manifest.digest in fact.image.children:
        return unchanged(seen) and bool(now.manifest.platforms)  # an unknown platform may be another one
    return unchanged(seen)
