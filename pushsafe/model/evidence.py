"""What servers and the engine said, and what a tag was seen to name."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.references import Platform


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
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


NO_MANIFEST = "NO_MANIFEST"
"""The code of an Evidence that tells of a yes with something in it that is no manifest, as web sites answer."""


class Access(Enum):
    """What a registry's `/v2/` said to a request without a credential."""

    OPEN = "open"
    LOGIN_WANTED = "login-wanted"
    UNKNOWN = "unknown"


class RegistryPing(NamedTuple):
    """The answer of `GET /v2/` without a credential, or why there is none (`detail`).

    `cleartext` tells that it came over plain HTTP from beyond this machine, `page` that a web page came, and its type;
    `plain` that it came over plain HTTP from wherever it is. `untrusted` tells that TLS came to nothing.
    """

    access: Access
    detail: str = ""
    cleartext: bool = False
    page: str = ""
    plain: bool = False
    untrusted: bool = False


class ImageConfig(NamedTuple):
    """What an image's config says: its platform, and the label `org.opencontainers.image.version`.

    `features` are those of its OS that the platform needs.
    """

    platform: Platform | None = None
    version: str = ""
    features: tuple[str, ...] = ()


class TagHeld(NamedTuple):
    """What a tag names at the registry before the push.

    `manifest.platforms` are an index's, or the one that the image's config names; `manifest.config` is that config's
    digest, which the classic store takes for the image's ID. `version` is the config's version label, `also` are tags
    of higher versions than the local image's that name the same digest. `unread` is why that config could not be read,
    so that platform and version are not known; empty where it was read, or nobody had to.
    """

    manifest: ManifestInfo
    version: str = ""
    also: tuple[str, ...] = ()
    unread: str = ""


class TagAbsent(NamedTuple):
    """The registry says that it does not hold the tag."""


class TagUnknown(NamedTuple):
    """Nobody could tell what the tag names, and why. `odd` is what came in place of a manifest, if anything did."""

    why: str
    odd: str = ""


NOT_ASKED = TagUnknown("the registry was not asked")

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
