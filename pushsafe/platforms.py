"""When two platforms are one, whatever an engine, an index or a user leaves out of their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pushsafe.model import Platform

# containerd/platforms `database.go`: names that mean another, and the variant that a name without one means.
_OTHER_NAMES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_IMPLIED = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
_BUILD = 3
"""Parts of a Windows version that name a build; the fourth is its patch level, which nothing depends on."""


def same(one: Platform, other: Platform) -> bool:
    """Whether an image for one is an image for the other; an `os.version` counts only where both name one."""
    if _normal(one) != _normal(other):
        return False
    builds = [platform.os_version.split(".")[:_BUILD] for platform in (one, other) if platform.os_version]
    return len(builds) < 2 or builds[0] == builds[1]


def lacking(wanted: Iterable[Platform], held: Sequence[Platform]) -> tuple[Platform, ...]:
    """Those of `wanted` that are not among `held`."""
    return tuple(one for one in wanted if not any(same(one, other) for other in held))


def listed(platforms: Iterable[Platform]) -> str:
    """Platforms for a sentence; versions of Windows, too, for they may be all the difference."""
    return ", ".join(f"{one} ({one.os_version})" if one.os_version else str(one) for one in platforms)


def option(platforms: Iterable[Platform]) -> str:
    """The argument of `--platform` that names them all."""
    return ",".join(dict.fromkeys(map(str, platforms)))


def _normal(platform: Platform) -> tuple[str, str, str]:
    system, architecture, variant = (part.lower() for part in platform[:3])
    architecture, meant = _OTHER_NAMES.get(architecture, (architecture, ""))
    variant = variant or meant or _IMPLIED.get(architecture, "")
    return system, architecture, f"v{variant}" if variant.isdecimal() else variant
