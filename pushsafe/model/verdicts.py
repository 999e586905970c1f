"""Findings of rules, and why a push was denied or failed."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.evidence import Evidence
from pushsafe.oci.reference import Reference


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(NamedTuple):
    """A rule's finding about one reference and one step of a push; `fix` is a command if there is one."""

    code: str
    slug: str
    severity: Severity
    step: str
    reference: Reference
    message: str
    fix: str = ""
    allowed: bool = False


class DenialKind(Enum):
    NO_AUTHENTICATION = "no-authentication"
    INSUFFICIENT_PERMISSION = "insufficient-permission"
    UNCLEAR = "unclear"


class DenialReason(Enum):
    NOT_LOGGED_IN = "not-logged-in"
    CREDENTIAL_REJECTED = "credential-rejected"
    CREDENTIAL_EXPIRED = "credential-expired"
    CREDENTIAL_NOT_SENT = "credential-not-sent"
    NO_WRITE_PERMISSION = "no-write-permission"
    NO_READ_PERMISSION = "no-read-permission"
    NAMESPACE_NOT_YOURS = "namespace-not-yours"
    TOKEN_SCOPE_TOO_SMALL = "token-scope-too-small"
    UNCLEAR = "unclear"


class Denial(NamedTuple):
    """A refusal, the evidence for its kind, and the commands to run next."""

    kind: DenialKind
    reason: DenialReason
    summary: str
    evidence: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()


class FailureKind(Enum):
    """Any other reason for a push to fail."""

    REPOSITORY_MISSING = "repository-missing"
    POLICY = "policy"
    RATE_LIMITED = "rate-limited"
    NETWORK = "network"
    TLS = "tls"
    REGISTRY_ERROR = "registry-error"
    BAD_REQUEST = "bad-request"
    LOCAL = "local"
    REDUCED = "reduced-to-one-platform"


class Failure(NamedTuple):
    kind: FailureKind
    message: str
    evidence: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()
