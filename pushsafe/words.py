"""What the texts of engines and registries mean, where they mean one thing only; pure.

A text that is known for more than one cause is `REFUSAL` here: it says that somebody refused, not why. Each row
names where the text comes from.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from pushsafe.model import DenialReason, FailureKind


class Undecided(Enum):
    """Words that do not decide."""

    REFUSAL = "refusal"
    """A refusal for want of a login or of a right: the words fit both."""
    UNKNOWN = "unknown"
    """Words of no known meaning."""


Meaning = FailureKind | DenialReason | Undecided


class Row(NamedTuple):
    pattern: str
    meaning: Meaning
    source: str


# The first row that matches decides, so what is special stands before what is general. Messages quote names and
# addresses, so a single word that a repository may be called (`quota`, `413`, `name_unknown`) is no pattern.
TABLE: tuple[Row, ...] = (
    # ------------------------------------------------------------------ this machine
    Row(r"tag does not exist: |image does not exist locally with the tag", FailureKind.LOCAL, "moby daemon/images"),
    Row(r"error getting credentials - err: ", FailureKind.LOCAL, "docker-credential-helpers client"),
    Row(r"cannot connect to the docker daemon|failed to connect to the docker api", FailureKind.LOCAL, "moby client"),
    # ------------------------------------------------------------------ the request
    Row(
        r"repository name must be lowercase|invalid reference format", FailureKind.BAD_REQUEST, "distribution/reference"
    ),
    Row(r"cannot push a digest reference", FailureKind.BAD_REQUEST, "moby client/image_push.go"),
    Row(r"\bname[ _]invalid: |invalid repository name", FailureKind.BAD_REQUEST, "distribution api/errcode"),
    # ------------------------------------------------------------------ the way there
    Row(r"x509: |tls: |certificate signed by unknown authority", FailureKind.TLS, "Go crypto/x509"),
    Row(r"server gave http response to https client", FailureKind.TLS, "Go net/http"),
    Row(
        r"\btoomanyrequests: |429 too many requests|\(code: 429;|pull rate limit",
        FailureKind.RATE_LIMITED,
        "Docker Hub, ECR Public",
    ),
    Row(r"no such host|dial tcp|connection refused|i/o timeout|network is unreachable", FailureKind.NETWORK, "Go net"),
    Row(
        r"client\.timeout exceeded|request canceled while waiting",
        FailureKind.NETWORK,
        "Go net",
    ),
    Row(r"unexpected eof|broken pipe|use of closed network connection", FailureKind.NETWORK, "Go net"),
    # ------------------------------------------------------------------ rules of the registry
    Row(
        r"is immutable\b|configured as immutable|\btag[ _]invalid: ", FailureKind.POLICY, "ECR TAG_INVALID, Harbor 412"
    ),
    Row(
        r"exceed[^/:]* quota\b|\bquota [^/:]*exceed|exceed the configured upper limit",
        FailureKind.POLICY,
        "Harbor, IBM",
    ),
    Row(r"configured policy in|is not signed by|read only mode", FailureKind.POLICY, "Harbor middleware"),
    Row(r"pushes to the registry are currently disabled|has been disabled\b", FailureKind.POLICY, "Quay"),
    Row(r"robot account have been disabled", FailureKind.POLICY, "Quay"),
    Row(r"is not allowed access\. refer|private-only access is enabled", FailureKind.POLICY, "ACR firewall, IBM"),
    Row(r"when sso is enforced", FailureKind.POLICY, "Docker Hub organisations"),
    Row(r"unsupported: the operation is unsupported", FailureKind.POLICY, "distribution as a pull-through cache"),
    # ------------------------------------------------------------------ the repository
    Row(r"\bname[ _]unknown: ", FailureKind.REPOSITORY_MISSING, "distribution api/errcode, ECR"),
    Row(r"project \S+ not found", FailureKind.REPOSITORY_MISSING, "Harbor"),
    # ------------------------------------------------------------------ nobody was logged in
    Row(
        r"no basic auth credentials", DenialReason.NOT_LOGGED_IN, "moby registry/auth.go, containerd docker/authorizer"
    ),
    Row(r"missing username or secret", DenialReason.NOT_LOGGED_IN, "containerd docker/authorizer"),
    Row(
        r"unauthenticated request\. unauthenticated requests do not have",
        DenialReason.NOT_LOGGED_IN,
        "Artifact Registry",
    ),
    # ------------------------------------------------------------------ the credential is wrong
    Row(r"token has expired", DenialReason.CREDENTIAL_EXPIRED, "ECR, Quay"),
    Row(r"incorrect username or password|invalid username or password", DenialReason.CREDENTIAL_REJECTED, "Hub, Quay"),
    Row(r"login attempt to \S+ failed with status: 401", DenialReason.CREDENTIAL_REJECTED, "moby registry/auth.go"),
    Row(r"could not find robot with", DenialReason.CREDENTIAL_REJECTED, "Quay"),
    Row(r"robot \S+ owner \S+ is disabled", DenialReason.CREDENTIAL_REJECTED, "Quay"),
    Row(r"application not registered with aad", DenialReason.CREDENTIAL_REJECTED, "ACR"),
    # ------------------------------------------------------------------ the right is missing
    Row(r"permission_denied: ", DenialReason.NO_WRITE_PERMISSION, "GHCR"),
    Row(r"installation not allowed to ", DenialReason.NO_WRITE_PERMISSION, "GHCR with a workflow's token"),
    Row(r"is not authorized to perform: \S+", DenialReason.NO_WRITE_PERMISSION, "AWS IAM"),
    Row(r"caller does not have permission", DenialReason.NO_WRITE_PERMISSION, "Google"),
    Row(r"access token has insufficient scopes", DenialReason.TOKEN_SCOPE_TOO_SMALL, "Docker Hub token endpoint"),
    # ------------------------------------------------------------------ the server
    Row(r"did not include a token in the response", FailureKind.REGISTRY_ERROR, "moby registry/auth.go"),
    Row(
        r"(?:http|statuscode:|status:) 413\b|request entity too large",
        FailureKind.REGISTRY_ERROR,
        "proxies before the registry",
    ),
    Row(
        r"502 bad gateway|503 service unavailable|504 gateway",
        FailureKind.REGISTRY_ERROR,
        "proxies before the registry",
    ),
    # ------------------------------------------------------------------ refused, and no more is said
    Row(
        r"\bdenied\b|unauthorized|not authorized|authentication required|authorization required|insufficient_scope"
        r"|authorization failed|forbidden|failed to fetch anonymous token|(?:http|status|code):? 40[13]\b",
        Undecided.REFUSAL,
        "every registry",
    ),
)

_COMPILED: list[tuple[re.Pattern[str], Meaning]] = []


def meaning(text: str) -> Meaning:
    """What a text means by its words alone. An empty text is of no known meaning."""
    if not _COMPILED:  # on first use: a run that nobody refuses does not pay for it
        _COMPILED.extend((re.compile(row.pattern, re.IGNORECASE), row.meaning) for row in TABLE)
    for pattern, found in _COMPILED:
        if pattern.search(text):
            return found
    return Undecided.UNKNOWN
