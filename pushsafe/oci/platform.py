"""Platforms in indexes and image configs, and which of them are equal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pushsafe.oci.document import field


class Platform(NamedTuple):
    """`os/architecture[/variant]` as in an OCI image index."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def written(self) -> str:
        """The complete form that `--platform` accepts: `os[(version)]/architecture[/variant]`."""
        return str(self._replace(os=f"{self.os}({self.os_version})")) if self.os_version else str(self)


# containerd/platforms `database.go`: aliases, and the variant implied by a name without one
_OTHER_NAMES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_IMPLIED = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
# containerd/platforms `platforms.go`: `os[(version)]/architecture[/variant]`
_WRITTEN = re.compile(r"([\w-]+)(?:\(([\w.+-]+)\))?/([\w-]+)(?:/([\w.-]+))?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._-]{0,60}")
_BUILD = 3
"""The parts of a Windows version that make a build; the fourth, the patch level, does not matter."""


def read(text: str) -> Platform | None:
    """Parse a platform as docker writes it, e.g. `linux/arm/v7` or `windows(10.0.17763)/amd64`."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    return Platform(found[1], found[3], found[4] or "", found[2] or "") if found else None


def of_document(found: Any) -> Platform | None:
    """The platform of an index's entry or of a config; `None` for attestations (`unknown/unknown`).

    Platforms appear in commands to paste, so anything a shell would not read as one word is rejected too.
    """
    if not isinstance(found, dict) or field(found, "os") in (None, "", "unknown"):
        return None
    parts = [str(field(found, key) or "") for key in ("os", "architecture", "variant", "os.version")]
    return Platform(*parts) if all(_WORD.fullmatch(part) for part in parts) else None


def same(one: Platform, other: Platform) -> bool:
    """Whether two platforms are the same; `os.version` counts only if both have one."""
    builds = build_of(one), build_of(other)
    return normal(one) == normal(other) and (builds[0] == builds[1] or () in builds)


def lacking(wanted: Iterable[Platform], held: Sequence[Platform]) -> tuple[Platform, ...]:
    """Those of `wanted` that are missing in `held`."""
    return tuple(one for one in wanted if not any(same(one, other) for other in held))


def listed(platforms: Iterable[Platform]) -> str:
    """Platforms as a list in a sentence, with Windows versions, which may be the only difference."""
    return ", ".join(f"{one} ({one.os_version})" if one.os_version else str(one) for one in platforms)


def option(platforms: Iterable[Platform]) -> str:
    """The `--platform` argument for all of them."""
    return ",".join(dict.fromkeys(map(str, platforms)))


def build_of(platform: Platform) -> tuple[str, ...]:
    """The part of `os.version` that counts; empty if there is none."""
    return tuple(platform.os_version.split(".")[:_BUILD]) if platform.os_version else ()


def normal(platform: Platform) -> tuple[str, str, str]:
    """The canonical form, without `os.version`."""
    system, architecture, variant = (part.lower() for part in platform[:3])
    architecture, meant = _OTHER_NAMES.get(architecture, (architecture, ""))
    variant = variant or meant or _IMPLIED.get(architecture, "")
    return system, architecture, f"v{variant}" if variant.isdecimal() else variant
