"""Credentials, and secrets that cannot be printed by accident."""

from __future__ import annotations

import base64
import json
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from pushsafe.oci.reference import DEFAULT_REGISTRY, HUB_INDEX, Reference


class Secret:
    """A secret whose repr and str are `***`; only `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


class CredentialKind(Enum):
    """How a credential is presented to a registry (docker/cli `cli/config/types/authconfig.go`)."""

    BASIC = "basic"
    IDENTITY_TOKEN = "identity-token"
    REGISTRY_TOKEN = "registry-token"


class SourceKind(Enum):
    """Where docker found a credential, that there is none, or that the lookup failed."""

    NONE = "none"
    FILE = "config-file"
    HELPER = "helper"
    ENVIRONMENT = "environment"
    BROKEN = "broken"


class Trouble(Enum):
    """Why a credential cannot be read, as far as the fix differs."""

    NOT_INSTALLED = "not-installed"
    NO_NAME = "no-name"
    """The setting that should name a helper is not a valid program name."""
    HELPER = "helper"
    """The helper exists, and fails."""
    FILE = "file"
    """The content of docker's config file is invalid."""
    UNREADABLE = "unreadable"
    """The config file cannot be read."""
    VARIABLE = "variable"


class CredentialSource(NamedTuple):
    """Where a credential comes from: `name` is the file, helper or variable.

    `problem` and `trouble` are set when BROKEN. `helper` is the helper in force, without its prefix, even if it has no
    credential. `setting` of the config file `file` names that helper; both are empty if docker uses it by default.
    """

    kind: SourceKind
    name: str = ""
    problem: str = ""
    trouble: Trouble | None = None
    helper: str = ""
    setting: str = ""
    file: str = ""

    def __str__(self) -> str:
        match self.kind:
            case SourceKind.NONE:
                return "none"
            case SourceKind.FILE:
                return f"the config file {self.name}"
            case SourceKind.HELPER:
                return f"the credential helper docker-credential-{self.name}"
            case SourceKind.ENVIRONMENT:
                return f"the environment variable {self.name}"
            case SourceKind.BROKEN:
                named = f", which {self.setting} in {self.file} names," if self.setting else ":"
                return f"{self.name}{named} {self.problem}"


HUB_KEY = f"https://{HUB_INDEX}/v1/"


def key_of(registry: str) -> str:
    """The server address under which docker stores the credential of `registry` (`getAuthConfigKey`)."""
    return HUB_KEY if registry in (DEFAULT_REGISTRY, HUB_INDEX) else registry


class Credential(NamedTuple):
    """The credential that docker would send to `registry`; a missing or broken one is a value too.

    `key` is the server address docker stores it under (`https://index.docker.io/v1/` for Docker Hub). `expires` is in
    seconds since the epoch, if the secret itself says so (a JWT, an ECR password). `elsewhere` lists the other servers
    this user has credentials for (names only). `sent` holds the fields that docker sends to the engine beyond `kind`
    and `secret`, e.g. a password beside a token. `callers_config` is the config file of the user who called sudo, if it
    has a login for this registry. `overridden` is docker's config file, if it has another login that the environment
    overrides.
    """

    registry: str
    key: str
    source: CredentialSource
    kind: CredentialKind = CredentialKind.BASIC
    username: str = ""
    secret: Secret = Secret("")
    expires: float | None = None
    elsewhere: tuple[str, ...] = ()
    sent: tuple[tuple[str, Secret], ...] = ()
    callers_config: str = ""
    overridden: str = ""

    @property
    def present(self) -> bool:
        return self.source.kind not in (SourceKind.NONE, SourceKind.BROKEN)


class Repository(NamedTuple):
    """A repository and the credential used for it; the tag of `reference` is ignored."""

    reference: Reference
    credential: Credential


_SECRET_FIELDS = ("password", "identitytoken", "registrytoken")


def secrets_of(credential: Credential | None) -> tuple[str, ...]:
    """Every spelling in which a credential's secret could come back: itself, and as encoded in headers and forms."""
    if credential is None:
        return ()
    also = (value for name, value in credential.sent if name in _SECRET_FIELDS)
    secrets = {value.reveal() for value in (credential.secret, *also) if value}
    return tuple(spelling for secret in secrets for spelling in _spellings(credential.username, secret))


def _spellings(username: str, secret: str) -> tuple[str, ...]:
    encoded = tuple(
        encode(text.encode()).decode()
        for text in (f"{username}:{secret}", secret)
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
    )
    unpadded = (text.rstrip("=") for text in encoded)
    quoted = (quote(secret, safe=""), quote(secret), quote_plus(secret))
    return secret, *encoded, *unpadded, *quoted, json.dumps(secret)[1:-1]
