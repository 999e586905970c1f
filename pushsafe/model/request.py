"""What a user asks for, and of which engine."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.model.references import Platform, Reference


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
