"""Which of buildx's builders can build for several platforms, and the command for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pushsafe.model.evidence import TagHeld
from pushsafe.model.facts import Builder, Buildx, Facts, LocalImage, Upcoming
from pushsafe.model.tag_changes import pushed
from pushsafe.oci.platform import Platform, lacking, listed, option
from pushsafe.oci.reference import Reference

INSTALL = "sudo apt-get install docker-buildx-plugin"
"""The package in Docker's own repository (docs.docker.com/engine/install); Debian's own is docker-buildx."""
NEW_BUILDER = "docker buildx create --name multi-platform --driver docker-container --bootstrap"

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", re.ASCII)


class Way(NamedTuple):
    """A command, and a remark on buildx and its builders."""

    command: str
    said: str = ""


def needed(fact: Facts) -> bool:
    """Whether a rule may suggest a multi-platform build or a copy of one, so that buildx must be inspected."""
    image, now = fact.image, fact.tag_now
    if (fact.one_platform_each and len(fact.platforms) > 1) or fact.pulled_from is not None:
        return True
    if not isinstance(image, LocalImage):
        return False
    if image.missing and not fact.platforms:
        return True
    ours = pushed(fact)
    return bool(ours) and isinstance(now, TagHeld) and bool(lacking(now.manifest.platforms, ours))


def build(references: Iterable[Reference], platforms: Iterable[Platform], buildx: Buildx | None) -> Way:
    """The command that builds these platforms under these tags, with a builder that can."""
    wanted = tuple(platforms)
    rest = f"--platform {option(wanted)} {_tags(references)} --push ."
    plain = f"docker buildx build {rest}"
    if buildx is None:
        return Way(plain)
    if not buildx.version:
        return Way(plain, f"{buildx.problem}: {INSTALL}")
    named = f"buildx {buildx.version}"
    if not buildx.builders:
        return Way(plain, buildx.problem)
    found = best(buildx.builders, wanted)
    if found is None:
        said = f"{named} has no builder that can do it, so one is made first"
        return Way(f"{NEW_BUILDER} && docker buildx build --builder multi-platform {rest}", said)
    said = f"{named} has a builder for it, {found.name!r} (driver {found.driver})"
    unable = lacking(wanted, found.platforms) if found.platforms else ()
    if unable:
        said += f"; without emulation it runs no program of {listed(unable)}, only copies files"
    return Way(plain if found.current else f"{_with(found)} {rest}", said)


def widened(fact: Facts, platforms: Iterable[Platform], sources: Iterable[Platform]) -> str:
    """The command that puts all `platforms` under the tag: the current build for more of them, or a new one.

    `sources` are the missing ones: an index needs one more image for each.
    """
    wanted = tuple(platforms)
    if not isinstance(fact.image, Upcoming):
        return build((fact.reference,), wanted, fact.buildx).command
    if fact.buildx is None:
        return f"the same again with an image for {listed(sources)}"
    return f"the same again with --platform {option(wanted)}"


def copy(references: Iterable[Reference], source: str, buildx: Buildx | None) -> Way:
    """The command that copies an index to these tags as it is."""
    tags = tuple(references)
    if buildx is not None and not buildx.version:
        return Way(f"docker pushsafe index {_tags(tags)} {source}", f"{buildx.problem}, and is not needed for this")
    return Way(
        " && ".join(f"docker buildx imagetools create {_tags(names)} {held}" for names, held in _turns(tags, source))
    )


def _turns(references: Iterable[Reference], source: str) -> Iterator[tuple[Sequence[Reference], str]]:
    """Groups of tags and the name to copy from, ordered so that each step succeeds.

    buildx copies to all tags of a command concurrently, at which distribution 2.8 sometimes fails (`provided digest did
    not match uploaded content`): the first tag of a repository brings the content, the others only the name.
    """
    repositories: dict[str, list[Reference]] = {}
    for reference in {str(one): one for one in references}.values():
        repositories.setdefault(reference.name, []).append(reference)
    for first, *others in repositories.values():
        yield (first,), source
        if others:
            yield others, str(first)


def best(builders: Sequence[Builder], wanted: Sequence[Platform]) -> Builder | None:
    """The builder to use: one that runs every platform before others, then the current one."""
    able = [one for one in builders if one.several and not one.problem and _WORD.fullmatch(one.name)]
    return min(able, key=lambda one: (_misses(one, wanted), not one.current), default=None)


def instead(builders: Sequence[Builder], wanted: Sequence[Platform]) -> str:
    """The change that makes a guarded build use a capable builder."""
    found = best(builders, wanted)
    if found is None:
        return f"{NEW_BUILDER}   (then the same again with --builder multi-platform)"
    if _is_context(found):
        return f"the same again as docker --context {found.name} pushsafe buildx ...   (without --builder)"
    return f"the same again with --builder {found.name}"


def _with(builder: Builder) -> str:
    """The flags that select a builder: one with docker's driver is an engine, and is selected as one."""
    if _is_context(builder):
        return f"docker --context {builder.name} buildx build"
    return f"docker buildx build --builder {builder.name}"


def _is_context(builder: Builder) -> bool:
    return builder.driver == "docker"


def _misses(builder: Builder, wanted: Sequence[Platform]) -> int:
    """How many of the platforms it cannot run; a stopped builder reports none."""
    return len(lacking(wanted, builder.platforms))


def _tags(references: Iterable[Reference]) -> str:
    return " ".join(f"-t {name}" for name in dict.fromkeys(map(str, references)))
