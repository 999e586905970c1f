"""Credentials, and secrets that never show themselves."""

from __future__ import annotations

import base64
import json
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from pushsafe.oci.reference import DEFAULT_REGISTRY, HUB_INDEX, Reference


class Secret:
    """A secret that never shows itself; `reveal()` is the only way to read it."""

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
    """How a registry is told who asks (docker/cli `cli/config/types/authconfig.go`)."""

    BASIC = "basic"
    IDENTITY_TOKEN = "identity-token"
    REGISTRY_TOKEN = "registry-token"


class SourceKind(Enum):
    """Where docker found a credential, or that it found none, or that the looking itself failed."""

    NONE = "none"
    FILE = "config-file"
    HELPER = "helper"
    ENVIRONMENT = "environment"
    BROKEN = "broken"


class Trouble(Enum):
    """Why a credential cannot be read, as far as what to do about it differs."""

    NOT_INSTALLED = "not-installed"
    NO_NAME = "no-name"
    """What should name a helper is no program's name."""
    HELPER = "helper"
    """The helper is there, and fails."""
    FILE = "file"
    """What is in docker's config file cannot be used."""
    UNREADABLE = "unreadable"
    """Nobody can read the config file."""
    VARIABLE = "variable"


class CredentialSource(NamedTuple):
    """`name` is the file, helper or variable; `problem` says what broke, and `trouble` of what kind it is (of BROKEN).

    `helper` is the one in force, without its prefix, also where it has nothing. `setting` of the config file `file`
    names it; both are empty where docker takes it unasked.
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
    """The server address under which docker keeps the credential of `registry` (`getAuthConfigKey`)."""
    return HUB_KEY if registry in (DEFAULT_REGISTRY, HUB_INDEX) else registry


class Credential(NamedTuple):
    """The credential docker itself would send to `registry`; a missing or broken one is a value too.

    `key` is the server address docker stores it under (`https://index.docker.io/v1/` for Docker Hub).
    `expires` is seconds since the epoch, where the secret itself says so (a JWT, an ECR password).
    `elsewhere` names the other servers for which this user has credentials (names only). `sent` are the fields that
    docker sends to the engine where `kind` and `secret` do not say them all, e.g. a password beside a token.
    `callers_config` is the config file of the user who called sudo, where that one names a login for this registry.
    `overridden` is docker's config file, where that has another login for it which the environment's counts over.
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
    """A repository, and as whom it is spoken to; the tag of `reference` says nothing."""

    reference: Reference
    credential: Credential


_SECRET_FIELDS = ("password", "identitytoken", "registrytoken")


def secrets_of(credential: Credential | None) -> tuple[str, ...]:
    """Every spelling of a credential's secret that could come back: itself, and its encodings in headers and forms."""
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
