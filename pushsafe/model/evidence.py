"""What servers and the engine said, and what a tag was seen to name."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.oci.manifest import ManifestInfo

NO_MANIFEST = "NO_MANIFEST"
"""Code of an Evidence whose answer was a success without a manifest in it, as web sites send."""


class Access(Enum):
    """What `/v2/` answered to a request without a credential."""

    OPEN = "open"
    LOGIN_WANTED = "login-wanted"
    UNKNOWN = "unknown"


class RegistryPing(NamedTuple):
    """The answer of `GET /v2/` without a credential, or why there is none (`detail`).

    `plain`: it came over plain HTTP; `cleartext`: from beyond this machine too. `page` is the type of the web page that
    came instead. `untrusted`: TLS failed.
    """

    access: Access
    detail: str = ""
    cleartext: bool = False
    page: str = ""
    plain: bool = False
    untrusted: bool = False


class TagHeld(NamedTuple):
    """What a tag names at the registry before the push.

    `manifest.platforms` are the index's, or the one in the image's config; `manifest.config` is the digest of that
    config, which is the image's ID in the classic store. `version` is the config's version label, `also` lists tags of
    higher versions than the local image's with the same digest. `unread` is why the config could not be read, so that
    platform and version are unknown.
    """

    manifest: ManifestInfo
    version: str = ""
    also: tuple[str, ...] = ()
    unread: str = ""


class TagAbsent(NamedTuple):
    """The registry does not hold the tag."""


class TagUnknown(NamedTuple):
    """It is unknown what the tag names, and why. `odd` describes an answer that was no manifest."""

    why: str
    odd: str = ""


NOT_ASKED = TagUnknown("the registry was not asked")

TagState = TagHeld | TagAbsent | TagUnknown


class Stage(Enum):
    """What was asked, and of whom.

    TOKEN is the login for this push (the token server, or `/v2/` with a password), LOGIN what `docker login` asks.
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
    """One statement of a server, the engine or the config. `message` is capped and free of control characters.

    `sent` is whether a credential went along. `granted` are the actions in the token's own `access` claim for the
    repository; `None` if the token is opaque or missing.
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
        """Whether a server answered with success."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def succeeded(self) -> bool:
        """Whether a server answered with success, and nothing contradicts it."""
        return self.accepted and not self.code

    @property
    def refused(self) -> bool:
        """Whether a server refused, for lack of a login or of a right."""
        return self.status in REFUSED

    def __str__(self) -> str:
        """All of it but the stage, on one line."""
        parts = ["" if self.status is None else str(self.status), self.code, self.message]
        parts.append(self.challenge and f"asks for {self.challenge}")
        parts.append("" if self.granted is None else f"grants {', '.join(self.granted) or 'nothing'}")
        return "; ".join(part for part in parts if part)


class Preflight(NamedTuple):
    """The registry's answers to what a push would ask, collected before the push.

    `evidence` is in the order of asking. `problem` is why the registry could not be asked, or not completely.
    `unsafe_realm` is a token server that must not get a credential: it speaks plain HTTP, beyond this machine.
    """

    evidence: tuple[Evidence, ...] = ()
    problem: str = ""
    unsafe_realm: str = ""


REFUSED = (401, 403)
NO_TOKEN = "NO_TOKEN"
"""Code of an Evidence: the token server answered with success, but without a token."""
WRONG_ADDRESS = "WRONG_ADDRESS"
"""Code of an Evidence: the registry redirects to an address that must not be contacted, or that does not answer."""
