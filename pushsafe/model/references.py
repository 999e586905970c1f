"""What a user names: references and platforms."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Implied(Enum):
    """A part of a reference that the user did not write and docker's normalisation filled in."""

    REGISTRY = "registry"
    NAMESPACE = "namespace"
    TAG = "tag"


class Reference(NamedTuple):
    """One tag in one repository of one registry, after docker's own normalisation.

    `given` is what the user typed; messages quote it. `registry` is the domain as docker names it
    (`docker.io`, `localhost:5000`), `repository` the path below it (`library/alpine`).
    """

    given: str
    registry: str
    repository: str
    tag: str
    implied: frozenset[Implied] = frozenset()

    @property
    def name(self) -> str:
        """Registry and repository without the tag, e.g. `docker.io/library/alpine`."""
        return f"{self.registry}/{self.repository}"

    @property
    def tag_suffix(self) -> str:
        """`:TAG`; empty for the repository that `--all-tags` names."""
        return f":{self.tag}" if self.tag else ""

    def __str__(self) -> str:
        return f"{self.name}{self.tag_suffix}"


class BadReference(NamedTuple):
    """A text that docker's grammar refuses: every reason, and what the user probably meant, if that can be told."""

    given: str
    reasons: tuple[str, ...]
    repair: str = ""


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
        """All of it, as `--platform` takes it: `os[(version)]/architecture[/variant]`."""
        return str(self._replace(os=f"{self.os}({self.os_version})")) if self.os_version else str(self)
