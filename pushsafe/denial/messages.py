"""The meanings of messages of engines and registries, if they have a single one; pure.

A message known for several causes is `REFUSAL` here: something was refused, no reason. Each row names its source.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from pushsafe.model.verdicts import DenialReason, FailureKind


class Undecided(Enum):
    """Meanings that do not decide."""

    REFUSAL = "refusal"
    """A refusal for lack of a login or of a right: the words fit both."""
    UNKNOWN = "unknown"
    """No known meaning."""


Meaning = FailureKind | DenialReason | Undecided


class Row(NamedTuple):
    pattern: str
    meaning: Meaning
    source: str


_TOO_LARGE = r"(?:http|statuscode:|status:|answers) 413\b|request entity too large"

# The first matching row decides, so special messages come before general ones. Messages quote names and addresses, so a
# single word that could be a repository's name (`quota`, `413`, `name_unknown`) is no pattern. The containerd image
# store drops the registry's error code, so a code with words of its own has both here.
TABLE: tuple[Row, ...] = (
    # ------------------------------------------------------------------ this machine
    Row(
        r"tag does not exist: |image does not exist locally with the tag|no such image: |no tags to push for ",
        FailureKind.LOCAL,
        "moby daemon/images, daemon/internal/distribution",
    ),
    Row(r": image not known\b", FailureKind.LOCAL, "containers/storage"),
    Row(
        r"\b(?:open|openat|mkdir|mkdirat|l?stat|fstat|unlinkat|unlink|remove|rename|chmod|l?chown|read|write|create|link"
        r"|symlink|readlink|readdirent|chdir|exec|fork/exec|dial unix|listen unix|connect|bind) "
        r"[\"']?(?:[/.~@]|[a-z]:\\)[^\"\s]*[\"']?(?: \S+)?: (?:connect: |bind: )?"
        r"(?:permission denied|operation not permitted|read-only file system|no such file or directory"
        r"|no space left on device|not a directory|is a directory|too many open files|access is denied)",
        FailureKind.LOCAL,
        "Go os.PathError, os.LinkError, net.OpError",
    ),
    Row(
        r"permissionerror: |\[errno (?:1|2|13|28|30)\] |\b(?:eacces|eperm|enoent|erofs): "
        r"|^\S+: (?:(?:line )?\d+: )?(?:cannot \w+ )?[\"'\u2018]?(?:/|\./|~/)[^\"'\s]*[\"'\u2019]?: "
        r"(?:permission denied|read-only file)",
        FailureKind.LOCAL,
        "Python, Node, shells",
    ),
    Row(
        r"does not match the specified platform|doesn't support multi-?platform images",
        FailureKind.LOCAL,
        "moby daemon/images",
    ),
    Row(
        r"not currently support exporting manifest lists|multi-platform build is not supported",
        FailureKind.LOCAL,
        "docker buildx",
    ),
    Row(
        r"(?:can ?not|failed to|trying to) connect to the docker|error during connect: ",
        FailureKind.LOCAL,
        "moby client",
    ),
    Row(r"client version \S+ is too (?:old|new)\b", FailureKind.LOCAL, "moby daemon/server/middleware/version.go"),
    # ------------------------------------------------------------------ the request
    Row(
        r"repository name must (?:be|have|not)\b|invalid reference format",
        FailureKind.BAD_REQUEST,
        "distribution/reference",
    ),
    Row(r"cannot push a digest reference", FailureKind.BAD_REQUEST, "moby client/image_push.go"),
    Row(
        r"\bname[ _]invalid: |invalid repository name|manifest tag did not match uri",
        FailureKind.BAD_REQUEST,
        "distribution api/errcode",
    ),
    Row(r"nested repositories are not supported", FailureKind.BAD_REQUEST, "Quay endpoints/v2/v2auth.py"),
    Row(
        r"can only contain the characters|name components cannot have uppercase letters",
        FailureKind.BAD_REQUEST,
        "go-containerregistry pkg/name, jib",
    ),
    # ------------------------------------------------------------------ the way there
    Row(
        r"x509: |tls: |certificate signed by unknown authority|certificate verify failed",
        FailureKind.TLS,
        "Go crypto/x509, crypto/tls, OpenSSL",
    ),
    Row(
        r"server gave http response to https client|client sent an http request to an https server",
        FailureKind.TLS,
        "Go net/http",
    ),
    Row(
        r"\btoomanyrequests:(?:\s|$)|\"code\": ?\"toomanyrequests|\btoo many requests\b|(?:http|status|code):? 429\b"
        r"|pull rate limit|too many failed login attempts",
        FailureKind.RATE_LIMITED,
        "distribution api/errcode, Docker Hub, containers/image",
    ),
    Row(r"\brate exceeded\b", FailureKind.RATE_LIMITED, "ECR, ECR Public"),
    Row(
        r"secondary rate limit\W+please wait|retry-after: \S+ allowed: ",
        FailureKind.RATE_LIMITED,
        "GHCR, the former with status 403",
    ),
    Row(r"quota exceeded for quota metric", FailureKind.RATE_LIMITED, "Google APIs"),
    Row(
        r"no such host|dial tcp|connection refused|i/o timeout|network is unreachable|connection timed out"
        r"|no route to host|tls handshake timeout",
        FailureKind.NETWORK,
        "Go net, net/http",
    ),
    Row(
        r"client\.timeout exceeded|request canceled while waiting|context deadline exceeded",
        FailureKind.NETWORK,
        "Go net/http",
    ),
    Row(r"unexpected eof|broken pipe|use of closed network connection", FailureKind.NETWORK, "Go net"),
    Row(
        r"connect timeout on endpoint url|closed before we received a valid response from endpoint",
        FailureKind.NETWORK,
        "botocore exceptions.py",
    ),
    # the helper runs on this machine; its own network trouble comes first
    Row(
        r"error (?:getting|saving|storing) credentials\b",
        FailureKind.LOCAL,
        "docker-credential-helpers client, docker login",
    ),
    # ------------------------------------------------------------------ rules of the registry
    Row(
        r"is immutable\b|configured as immutable|enabled tag immutability|\btag[ _]invalid: |tag was already pushed",
        FailureKind.POLICY,
        "ECR TAG_INVALID, Harbor 412, Quay 409, Artifact Registry",
    ),
    Row(r"does not allow updating assets", FailureKind.POLICY, "Nexus without redeploy"),
    Row(
        r"exceed[^/:]* quota\b|\bquota [^/:]*exceed|exceed the configured upper limit|overflow the hard limit",
        FailureKind.POLICY,
        "Harbor, IBM, Quay",
    ),
    Row(
        r"maximum allowed number of images|registry contains \d+ repositories, limit is|allowed by this registry",
        FailureKind.POLICY,
        "ECR, DigitalOcean, Quay",
    ),
    Row(
        r"configured policy in|is not signed by|in read only mode|is currently read-only",
        FailureKind.POLICY,
        "Harbor middleware, Quay",
    ),
    Row(
        r"pushes to the registry are currently disabled|has been disabled\b|namespace is disabled",
        FailureKind.POLICY,
        "Quay",
    ),
    Row(r"robot account have been disabled", FailureKind.POLICY, "Quay"),
    Row(
        r"is not allowed access\. refer|private-only access is enabled|the operation is disallowed on this registry",
        FailureKind.POLICY,
        "ACR firewall and locks, IBM",
    ),
    Row(r"when sso is enforced", FailureKind.POLICY, "Docker Hub organisations"),
    Row(r"\bthe operation is unsupported", FailureKind.POLICY, "distribution as a pull-through cache"),
    # ------------------------------------------------------------------ the repository
    Row(
        r"\bname[ _]unknown: |repository name not known to registry|does not exist in the registry with id"
        r"|repository \"[^\"]+\" not found",
        FailureKind.REPOSITORY_MISSING,
        "distribution api/errcode, ECR, Artifact Registry",
    ),
    Row(r"project \S+ not found", FailureKind.REPOSITORY_MISSING, "Harbor"),
    # ------------------------------------------------------------------ nobody was logged in
    Row(
        r"no basic auth credentials", DenialReason.NOT_LOGGED_IN, "moby registry/auth.go, containerd docker/authorizer"
    ),
    Row(r"missing username or secret", DenialReason.NOT_LOGGED_IN, "containerd docker/authorizer"),
    Row(r"no credentials found for host ", DenialReason.NOT_LOGGED_IN, "Apple's container"),
    Row(r"unable to locate credentials", DenialReason.NOT_LOGGED_IN, "botocore exceptions.py, before ECR is asked"),
    Row(
        r"unauthenticated request\. unauthenticated requests do not have",
        DenialReason.NOT_LOGGED_IN,
        "Artifact Registry",
    ),
    # ------------------------------------------------------------------ the credential is wrong
    Row(
        r"\btoken (?:has|is) expired|token included in the request is expired|client secret keys .*are expired",
        DenialReason.CREDENTIAL_EXPIRED,
        "ECR, Quay, Docker Hub, AWS STS, Entra AADSTS7000222",
    ),
    Row(
        r"(?:incorrect|invalid) username or password|specified credentials are invalid|invalid access token"
        r"|token does not match robot",
        DenialReason.CREDENTIAL_REJECTED,
        "Hub, Quay",
    ),
    Row(r"login attempt to \S+ failed with status: 401", DenialReason.CREDENTIAL_REJECTED, "moby registry/auth.go"),
    Row(r"could not find robot with", DenialReason.CREDENTIAL_REJECTED, "Quay"),
    Row(r"robot \S+ owner \S+ is disabled", DenialReason.CREDENTIAL_REJECTED, "Quay"),
    Row(
        r"application not registered with aad|invalid client ?id or client secret|invalid client secret"
        r"|aad access token with sp failed",
        DenialReason.CREDENTIAL_REJECTED,
        "ACR, Entra AADSTS7000215",
    ),
    # without that sentence GitLab's `HTTP Basic: Access denied` is also for a token without the scope
    Row(r"provided password or token is incorrect", DenialReason.CREDENTIAL_REJECTED, "GitLab jwt_controller.rb"),
    Row(r"token included in the request is invalid", DenialReason.CREDENTIAL_REJECTED, "AWS STS"),
    # ------------------------------------------------------------------ the right is missing
    Row(r"access token has insufficient scopes", DenialReason.TOKEN_SCOPE_TOO_SMALL, "Docker Hub token endpoint"),
    Row(r"token provided does not match expected scopes", DenialReason.TOKEN_SCOPE_TOO_SMALL, "GHCR"),
    # only with the name of a right: `permission_denied: Error from intermediary` is GHCR's rate limit
    Row(r"permission_denied: \w+_package\b", DenialReason.NO_WRITE_PERMISSION, "GHCR"),
    Row(r"installation not allowed to ", DenialReason.NO_WRITE_PERMISSION, "GHCR with a workflow's token"),
    Row(r"is not authorized to perform: \S+", DenialReason.NO_WRITE_PERMISSION, "AWS IAM"),
    Row(r"caller does not have permission", DenialReason.NO_WRITE_PERMISSION, "Google"),
    Row(r"does not have authorization to perform action", DenialReason.NO_WRITE_PERMISSION, "Azure Resource Manager"),
    # ------------------------------------------------------------------ the server
    Row(
        r"did not include a token in the response|the token server's answer holds no token",
        FailureKind.REGISTRY_ERROR,
        "moby registry/auth.go, and ourselves",
    ),
    Row(r"\bblob upload unknown\b|\bblob_upload_unknown: ", FailureKind.REGISTRY_ERROR, "distribution api/errcode"),
    Row(_TOO_LARGE, FailureKind.REGISTRY_ERROR, "proxies before the registry"),
    Row(
        r"502 bad gateway|503 service unavailable|504 gateway|(?:http|status|code):? 50[234]\b",
        FailureKind.REGISTRY_ERROR,
        "proxies before the registry",
    ),
    # ------------------------------------------------------------------ refused, and no more is said
    Row(
        r"\bdenied\b|unauthorized|not authorized|authentication required|authorization required|insufficient_scope"
        r"|authorization failed|failed authentication|forbidden|failed to fetch anonymous token"
        r"|(?:http|status|code):? 40[13]\b",
        Undecided.REFUSAL,
        "every registry",
    ),
)

_DROPPED = (
    r"connection reset|broken pipe|use of closed network connection|server closed idle connection|\bgoaway\b"
    r"|(?:\bunexpected |: )eof\b"
)
"""Go `net`, `net/http`, `io`: the errors of a connection closed by the other side, or by something between."""
_BUSY = (
    r"\btoomanyrequests\b|\btoo many requests\b|(?:http|status|code):? (?:429|50[234])\b"
    r"|502 bad gateway|503 service unavailable|504 gateway"
)

_COMPILED: list[tuple[re.Pattern[str], Meaning]] = []


def meaning(text: str) -> Meaning:
    """The meaning of a message by its words alone; `UNKNOWN` if it is empty."""
    if not _COMPILED:  # compiled on first use: a run without a refusal does not need it
        _COMPILED.extend((re.compile(row.pattern, re.IGNORECASE), row.meaning) for row in TABLE)
    for pattern, found in _COMPILED:
        if pattern.search(text):
            return found
    return Undecided.UNKNOWN


def is_too_large(text: str) -> bool:
    """Whether a server, mostly a proxy, says that a request is too large."""
    return bool(re.search(_TOO_LARGE, text, re.IGNORECASE))


def is_dropped(text: str) -> bool:
    """Whether a message reports a dropped connection, which says nothing of the reason."""
    return bool(re.search(_DROPPED, text, re.IGNORECASE))


def may_pass(text: str) -> bool:
    """Whether a message reports a busy server or a dropped connection, so that a retry may succeed."""
    return is_dropped(text) or bool(re.search(_BUSY, text, re.IGNORECASE))
