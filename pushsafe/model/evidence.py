"""What servers and the engine said, and what a tag was seen to name."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.oci.manifest import ManifestInfo

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

    @property
    def accepted(self) -> bool:
        """Whether a server was asked and said yes."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def succeeded(self) -> bool:
        """Whether it said yes, and nothing shows that the yes is none."""
        return self.accepted and not self.code

    @property
    def refused(self) -> bool:
        """Whether a server was asked and refused, for want of a login or of a right."""
        return self.status in REFUSED

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


REFUSED = (401, 403)
NO_TOKEN = "NO_TOKEN"
"""The code of an Evidence that tells of a token server which said yes, and gave no token."""
WRONG_ADDRESS = "WRONG_ADDRESS"
"""The code of an Evidence that tells of a registry which leads to where nothing may be sent, or where nobody is."""
