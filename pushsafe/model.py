"""Every value that crosses a module border: immutable, without behaviour that talks.

Named tuples, not frozen dataclasses: fifty of those cost a start 15 ms, a tenth of what a refusal may take in all.
Matching and comparing them by type is done by `match` and `isinstance`; nobody relies on them being tuples.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

# --------------------------------------------------------------------------- references


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


# --------------------------------------------------------------------------- the request


class EngineAddress(NamedTuple):
    """Where docker's own rules of precedence say the engine is, and the TLS material to reach it.

    `origin` says which of them decided (`--context`, `DOCKER_HOST`, ...), for messages.
    """

    host: str
    origin: str
    context: str | None = None
    tls: bool = False
    tls_verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the engine's 127.0.0.1 is this machine's: only then is a loopback registry the same for both."""
        scheme, _, rest = self.host.partition("://")
        if scheme in ("unix", "npipe"):
            return True
        host = rest.rpartition(":")[0] or rest
        numeric = host.replace(".", "").isdigit()
        return scheme in ("tcp", "http", "https") and (
            host in ("localhost", "[::1]") or (host.startswith("127.") and numeric)
        )


class PushRequest(NamedTuple):
    """What the user asked for: every listed reference in the order it was listed."""

    references: tuple[Reference, ...]
    allowed: frozenset[str] = frozenset()
    all_tags: bool = False
    platforms: tuple[Platform, ...] = ()


# --------------------------------------------------------------------------- credentials


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


class CredentialSource(NamedTuple):
    """`name` is the file, helper or variable; `problem` says what broke (BROKEN only)."""

    kind: SourceKind
    name: str = ""
    problem: str = ""

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
                return f"{self.name}: {self.problem}"


class Credential(NamedTuple):
    """The credential docker itself would send to `registry`; a missing or broken one is a value too.

    `key` is the server address docker stores it under (`https://index.docker.io/v1/` for Docker Hub).
    `expires` is seconds since the epoch, where the secret itself says so (a JWT, an ECR password).
    `elsewhere` names the other servers for which this user has credentials (names only). `sent` are the fields that
    docker sends to the engine where `kind` and `secret` do not say them all, e.g. a password beside a token.
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

    @property
    def present(self) -> bool:
        return self.source.kind not in (SourceKind.NONE, SourceKind.BROKEN)


# --------------------------------------------------------------------------- facts


class StoreKind(Enum):
    """Which image store the engine uses; the two push, name digests and fail differently."""

    CLASSIC = "classic"
    CONTAINERD = "containerd"


class EngineInfo(NamedTuple):
    """What the engine says of itself (`GET /info`; the API version is `GET /_ping`'s `Api-Version` header)."""

    version: str
    api_version: str
    store: StoreKind
    platform: Platform
    insecure_registries: tuple[str, ...] = ()


class LocalImage(NamedTuple):
    """An image of the engine's store, as far as the store shows it.

    `repo_digests` are `name@sha256:...` strings: where the image came from or was pushed to before.
    `platforms` holds what is present; `missing` what the image's index names but the store lacks
    (known to the containerd store only). `children` are the digests that its index names, where the engine lists them
    (containerd store, API 1.48).
    """

    id: str
    platforms: tuple[Platform, ...]
    missing: tuple[Platform, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    children: tuple[str, ...] = ()


class ImageMissing(NamedTuple):
    """No such image in the engine; `near` are the tags there that look meant."""

    near: tuple[str, ...] = ()


class ManifestInfo(NamedTuple):
    """A manifest or index as the registry names it; `platforms` and `children` (digests) are an index's.

    `layers` are digests and sizes in bytes, where the manifest was read whole.
    """

    digest: str
    media_type: str
    platforms: tuple[Platform, ...] = ()
    children: tuple[str, ...] = ()
    layers: tuple[tuple[str, int], ...] = ()

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Access(Enum):
    """What a registry's `/v2/` said to a request without a credential."""

    OPEN = "open"
    LOGIN_WANTED = "login-wanted"
    UNKNOWN = "unknown"


class RegistryPing(NamedTuple):
    """The answer of `GET /v2/` without a credential, or why there is none (`detail`)."""

    access: Access
    detail: str = ""


class ConfiguredRegistry(NamedTuple):
    """A registry that this user or engine is set up for, and what says so (`a login`, a settings file)."""

    host: str
    origin: str


class Facts(NamedTuple):
    """What is known of one listed reference before anything is pushed; `None` means: was not asked.

    `source_index` is the index that the local image was once pulled from (`source_name`), where the store
    holds one platform of it only. `platforms` are those asked for. `now` is seconds since the epoch. `listed` tells
    whether the user wrote this very tag, or `--all-tags` found it.
    """

    reference: Reference
    configured: tuple[ConfiguredRegistry, ...] = ()
    image: LocalImage | ImageMissing | None = None
    credential: Credential | None = None
    ping: RegistryPing | None = None
    source_index: ManifestInfo | None = None
    source_name: str = ""
    engine: EngineInfo | None = None
    platforms: tuple[Platform, ...] = ()
    now: float = 0.0
    listed: bool = True


# --------------------------------------------------------------------------- findings


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(NamedTuple):
    """One thing a rule has to say of one reference; `fix` is a command where there is one."""

    code: str
    slug: str
    severity: Severity
    reference: Reference
    message: str
    fix: str = ""
    allowed: bool = False


# --------------------------------------------------------------------------- evidence and denial


class Stage(Enum):
    """Who was asked what, when something was learnt."""

    CREDENTIAL = "credential"
    PING = "ping"
    TOKEN = "token"
    PROBE = "probe"
    ENGINE_AUTH = "engine-auth"
    PUSH = "push"
    VERIFY = "verify"


class Evidence(NamedTuple):
    """One thing that a server, the engine or the config said. `message` is capped and free of control characters.

    `sent` tells whether a credential went along. `granted` are the actions a token's own `access` claim
    names for the repository; `None` where the token is opaque or there was none.
    """

    stage: Stage
    message: str
    status: int | None = None
    code: str = ""
    challenge: str = ""
    sent: bool | None = None
    granted: tuple[str, ...] | None = None


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
    NAMESPACE_NOT_YOURS = "namespace-not-yours"
    TOKEN_SCOPE_TOO_SMALL = "token-scope-too-small"
    UNCLEAR = "unclear"


class Denial(NamedTuple):
    """A refusal, with what shows its kind and the commands to run next."""

    kind: DenialKind
    reason: DenialReason
    summary: str
    evidence: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()


class FailureKind(Enum):
    """Everything else that stops a push."""

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


# --------------------------------------------------------------------------- what the engine answers


class LayerState(Enum):
    """A layer's state in the engine's push stream."""

    WAITING = "waiting"
    PUSHING = "pushing"
    REUSED = "reused"
    MOUNTED = "mounted"
    SENT = "sent"


class LayerEvent(NamedTuple):
    """Progress of one layer; `current` and `total` are bytes as the engine counts them."""

    reference: Reference
    layer: str
    state: LayerState
    current: int = 0
    total: int = 0


class Layers(NamedTuple):
    """Layers of one push by what became of them.

    `bytes_sent` is what the engine counted for the sent ones: the classic store counts before compression,
    the containerd store what travels. `unsized` are the sent layers of which it named no size: `bytes_sent` lacks
    theirs.
    """

    reused: int = 0
    mounted: int = 0
    sent: int = 0
    bytes_sent: int = 0
    unsized: tuple[str, ...] = ()


class EngineAccepted(NamedTuple):
    """The engine's push ended without an error and named the digest of what it pushed."""

    digest: str
    layers: Layers


class EngineReduced(NamedTuple):
    """The engine pushed one platform's manifest (`pushed`) in place of the index (`original`) the tag names."""

    original: str
    pushed: str
    platform: str


class EngineRefused(NamedTuple):
    """The engine's push ended with an error."""

    evidence: Evidence


EngineAnswer = EngineAccepted | EngineReduced | EngineRefused

# --------------------------------------------------------------------------- outcomes


class Pushed(NamedTuple):
    """The engine says the tag is in place and names `digest`."""

    digest: str
    layers: Layers
    how: Literal["pushed"] = "pushed"


class Denied(NamedTuple):
    denial: Denial


class Failed(NamedTuple):
    failure: Failure


class NotPushed(NamedTuple):
    """No push of this tag came to its end, and why: a finding, an interruption, an engine that is down."""

    why: str


Outcome = Pushed | Denied | Failed | NotPushed

# --------------------------------------------------------------------------- verification


class Verified(NamedTuple):
    """The registry names the very digest that was pushed; `via` is who was asked (`registry` or `engine`)."""

    manifest: ManifestInfo
    via: Literal["registry", "engine"]


class Mismatch(NamedTuple):
    pushed: str
    found: str


class Missing(NamedTuple):
    """The registry does not hold the tag, or a manifest that its index names (`what`)."""

    what: str


class NotChecked(NamedTuple):
    """Nobody could tell what the tag names now; `transient` says that asking again may help."""

    why: str
    transient: bool = False


Verification = Verified | Mismatch | Missing | NotChecked


# --------------------------------------------------------------------------- the report


class TagResult(NamedTuple):
    """Exactly one per listed reference, in the listed order."""

    reference: Reference
    outcome: Outcome
    verification: Verification
    seconds: float = 0.0

    @property
    def confirmed(self) -> bool:
        """Whether the registry holds what was pushed, shown by reading it back."""
        return isinstance(self.outcome, Pushed) and isinstance(self.verification, Verified)


class ErrorKind(Enum):
    """What ends a run before, or without, a result of a push."""

    USAGE = "usage"
    UNREACHABLE = "unreachable"
    ENGINE = "engine"


class RunError(NamedTuple):
    """Something that concerns the whole run, e.g. a reference that cannot be read or an engine that is down."""

    kind: ErrorKind
    message: str
    hint: str = ""


class Report(NamedTuple):
    """What a run found and did; renderers turn it into text, `exitcodes.exit_code` into a number."""

    version: str
    errors: tuple[RunError, ...] = ()
    findings: tuple[Finding, ...] = ()
    results: tuple[TagResult, ...] = ()
    timings: tuple[tuple[str, float], ...] = ()
    interrupted: bool = False
