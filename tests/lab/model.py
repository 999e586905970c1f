"""The lab as the tests see it: engines, registries, and the one error."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Store = Literal["classic", "containerd"]
Scheme = Literal["", "Basic", "Bearer"]


class LabError(Exception):
    """The lab cannot do what it was asked; the message says why and, where known, what to do."""


@dataclass(frozen=True)
class LabEngine:
    """One running engine. An isolated one reaches only the isolated registries, and nothing else does."""

    name: str
    host: str
    version: str
    store: Store
    isolated: bool
    log: Path

    @property
    def socket(self) -> Path:
        return Path(self.host.removeprefix("unix://"))


@dataclass(frozen=True)
class LabRegistry:
    """One running registry; `scheme` is how it asks for a credential, `log` what distribution was asked.

    `repositories` is the folder where distribution keeps them: of each, what it holds and what is being uploaded.
    """

    name: str
    host: str
    scheme: Scheme
    users: Mapping[str, str]
    isolated: bool
    log: Path
    repositories: Path

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])


@dataclass(frozen=True)
class Lab:
    """Everything that runs, by name."""

    engines: Mapping[str, LabEngine]
    registries: Mapping[str, LabRegistry]
