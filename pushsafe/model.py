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


class TagPolicy(NamedTuple):
    """How tags may change, as patterns of `fnmatch`: `moving` are meant to, `immutable` must not."""

    moving: tuple[str, ...] = ("latest", "stable", "edge", "nightly", "canary", "dev", "develop", "main", "master")
    immutable: tuple[str, ...] = ()


class Asks(Enum):
    """How much registries are asked before anything is pushed."""

    NOTHING = "nothing"
    """No registry is spoken to at all."""
    LOGIN = "login"
    """Whether it wants a login."""
    PREFLIGHT = "preflight"
    """What a push would meet there, and what each tag names now."""


class PushRequest(NamedTuple):
    """What the user asked for: every listed reference in the order it was listed.

    Without `pushes` the run ends before the first push: everything is checked, nothing is sent; a `planned` one says
    how it would go. With `push_each` the engine pushes every tag. `retries` is how often a request is sent again that
    met a busy server or a dropped connection.
    """

    references: tuple[Reference, ...]
    allowed: frozenset[str] = frozenset()
    all_tags: bool = False
    platforms: tuple[Platform, ...] = ()
    policy: TagPolicy = TagPolicy()
    asks: Asks = Asks.PREFLIGHT
    pushes: bool = True
    planned: bool = False
    push_each: bool = False
    retries: int = 3


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
    `callers_config` is the config file of the user who called sudo, where that one names a login for this registry.
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
    (containerd store, API 1.48). `version` is the label `org.opencontainers.image.version`. `names` are all that the
    engine has for it, written out as a Reference is.
    """

    id: str
    platforms: tuple[Platform, ...]
    missing: tuple[Platform, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    children: tuple[str, ...] = ()
    version: str = ""
    names: tuple[str, ...] = ()

    def is_named(self, digest: str) -> bool:
        """Whether a digest of a registry is this image's, as far as the engine tells."""
        known = (name.rpartition("@")[2] for name in self.repo_digests)
        return digest in (self.id, *self.children, *known)


class ImageMissing(NamedTuple):
    """No such image in the engine; `near` are the tags there that look meant."""

    near: tuple[str, ...] = ()


class ManifestInfo(NamedTuple):
    """A manifest or index as the registry names it; `platforms` and `children` (digests) are an index's.

    `layers` are digests and sizes in bytes, where the manifest was read whole, and `config` is then the digest of the
    image's config.
    """

    digest: str
    media_type: str
    platforms: tuple[Platform, ...] = ()
    children: tuple[str, ...] = ()
    layers: tuple[tuple[str, int], ...] = ()
    config: str = ""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


class ManifestContent(NamedTuple):
    """A manifest or index byte for byte: put under another tag of its repository, it has the same digest there."""

    digest: str
    media_type: str
    body: bytes


DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_TYPES = ("application/vnd.oci.image.manifest.v1+json", DOCKER_MANIFEST)
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
    """The answer of `GET /v2/` without a credential, or why there is none (`detail`).

    `cleartext` tells that it came over plain HTTP from beyond this machine.
    """

    access: Access
    detail: str = ""
    cleartext: bool = False


class ImageConfig(NamedTuple):
    """What an image's config says: its platform, and the label `org.opencontainers.image.version`."""

    platform: Platform | None = None
    version: str = ""


class TagHeld(NamedTuple):
    """What a tag names at the registry before the push.

    `manifest.platforms` are an index's, or the one that the image's config names; `manifest.config` is that config's
    digest, which the classic store takes for the image's ID. `version` is the config's version label, `also` are tags
    of higher versions than the local image's that name the same digest.
    """

    manifest: ManifestInfo
    version: str = ""
    also: tuple[str, ...] = ()


class TagAbsent(NamedTuple):
    """The registry says that it does not hold the tag."""


class TagUnknown(NamedTuple):
    """Nobody could tell what the tag names, and why."""

    why: str


TagState = TagHeld | TagAbsent | TagUnknown


class Stage(Enum):
    """Who was asked what, when something was learnt.

    TOKEN is the login for this very push (the token server, or `/v2/` with a password), LOGIN what `docker login` asks.
    """

    CREDENTIAL = "credential"
    PING = "ping"
    TOKEN = "token"
    LOGIN = "login"
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

    def __str__(self) -> str:
        """All of it but the stage, on one line."""
        parts = ["" if self.status is None else str(self.status), self.code, self.message]
        parts.append(self.challenge and f"asks for {self.challenge}")
        parts.append("" if self.granted is None else f"grants {', '.join(self.granted) or 'nothing'}")
        return "; ".join(part for part in parts if part)


class Preflight(NamedTuple):
    """What a registry answered when it was asked, before anything was pushed, what a push to a repository would meet.

    `evidence` is in the order of asking. `problem` says why it could not be asked, or not to the end. `unsafe_realm` is
    the token server it names, where no credential may go: one that is spoken to in clear, beyond this machine.
    """

    evidence: tuple[Evidence, ...] = ()
    problem: str = ""
    unsafe_realm: str = ""


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
    policy: TagPolicy = TagPolicy()
    preflight: Preflight | None = None
    tag_now: TagState | None = None


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


# --------------------------------------------------------------------------- the plan


class How(Enum):
    """How a tag gets to name its image."""

    PUSHED = "pushed"
    """The engine pushes it."""
    TAGGED = "tagged"
    """The content is in its repository, and the manifest is put under the tag directly."""
    ALREADY_THERE = "already-there"
    """The tag names that very digest already."""


class Batch(NamedTuple):
    """One image in one repository: `source` is the tag that has or brings the content, `followers` are its other tags.

    Without `pushed` the source is in place by then. `direct`: followers get the manifest put by us, else the engine
    pushes them, too.
    """

    source: Reference
    followers: tuple[Reference, ...] = ()
    pushed: bool = True
    direct: bool = True


class Lane(NamedTuple):
    """What goes to one registry, one batch after the other: each finds the layers of those before it to mount."""

    registry: str
    batches: tuple[Batch, ...]


class Step(NamedTuple):
    """What happens to one tag: for one that is tagged, `source` is the tag whose manifest it gets.

    `last` tells that it waits until every other tag is in place.
    """

    reference: Reference
    how: How
    source: Reference | None = None
    last: bool = False


class PushPlan(NamedTuple):
    """How a push goes: `kept` tags name their image already; lanes run side by side; those of `last`, the moving tags,
    only after every other tag is in place."""

    kept: tuple[Reference, ...] = ()
    lanes: tuple[Lane, ...] = ()
    last: tuple[Lane, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """One for each tag, in the order in which they begin."""
        found = [Step(reference, How.ALREADY_THERE) for reference in self.kept]
        for lanes, last in ((self.lanes, False), (self.last, True)):
            for batch in (batch for lane in lanes for batch in lane.batches):
                if batch.pushed:
                    found.append(Step(batch.source, How.PUSHED, last=last))
                for follower in batch.followers:
                    tagged = Step(follower, How.TAGGED, batch.source, last)
                    found.append(tagged if batch.direct else Step(follower, How.PUSHED, last=last))
        return tuple(found)


class Wait(NamedTuple):
    """A pause of so many seconds before something is tried again: who made us wait (a host), and what it did.

    Read together they are a sentence: `registry.example.com` `answers 429 (too many requests)`.
    """

    who: str
    why: str
    seconds: float


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
    """The tag names `digest`, as engine or registry say; it is not read back yet.

    `layers` are those of the engine's push, `None` where it had nothing to do with it. `because` says why the engine
    had to push what was to be tagged.
    """

    digest: str
    layers: Layers | None = None
    how: How = How.PUSHED
    because: str = ""


class Denied(NamedTuple):
    """A refusal; `stage` is PROBE where the registry said so beforehand and nothing was pushed, else PUSH."""

    denial: Denial
    stage: Stage = Stage.PUSH


class Failed(NamedTuple):
    failure: Failure


class NotPushed(NamedTuple):
    """No push of this tag came to its end, and why: a finding, an interruption, an engine that is down.

    `begun` tells that one had begun, so that nobody knows what the registry holds.
    """

    why: str
    begun: bool = False


class Ready(NamedTuple):
    """Everything was checked, nothing speaks against a push, and none was asked for."""


Outcome = Pushed | Denied | Failed | NotPushed | Ready

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
    """Exactly one per listed reference, in the listed order. `before` is what the tag named before the push."""

    reference: Reference
    outcome: Outcome
    verification: Verification
    seconds: float = 0.0
    before: TagState | None = None

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


class PreflightVerdict(Enum):
    """What the preflight of one repository came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class RepositoryCheck(NamedTuple):
    """The preflight of one repository (`name` with its registry); `detail` says why it is refused or unknown."""

    name: str
    verdict: PreflightVerdict
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()


class Report(NamedTuple):
    """What a run found and did; renderers turn it into text, `exitcodes.exit_code` into a number.

    `timings` are seconds by phase, for as long as anything of it was under way: phases overlap. `plan` is there where
    it was asked for.
    """

    version: str
    errors: tuple[RunError, ...] = ()
    findings: tuple[Finding, ...] = ()
    results: tuple[TagResult, ...] = ()
    preflight: tuple[RepositoryCheck, ...] = ()
    timings: tuple[tuple[str, float], ...] = ()
    interrupted: bool = False
    plan: PushPlan | None = None
