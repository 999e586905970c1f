"""What a user asks for, and of which engine."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference


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
    """How tags may change, as patterns of `fnmatch`: `moving` are meant to, `immutable` must not.

    `signed` tells that the environment asks for every push to be signed (docker's DOCKER_CONTENT_TRUST).
    """

    moving: tuple[str, ...] = ("latest", "stable", "edge", "nightly", "canary", "dev", "develop", "main", "master")
    immutable: tuple[str, ...] = ()
    signed: bool = False


class Asks(Enum):
    """How much registries are asked before anything is pushed."""

    NOTHING = "nothing"
    """No registry is spoken to at all."""
    LOGIN = "login"
    """Whether it wants a login."""
    PREFLIGHT = "preflight"
    """What a push would meet there, and what each tag names now."""


class Target(NamedTuple):
    """What one build puts where: the tags it pushes, and the platforms it is for, as far as they were asked for.

    `name` is bake's; a single build has none.
    """

    references: tuple[Reference, ...]
    platforms: tuple[Platform, ...] = ()
    name: str = ""


class BakeTarget(NamedTuple):
    """A target as `docker buildx bake --print` shows it, its names and platforms unread.

    `outputs` are `registry` for each that pushes its tags, else the type of it. `call` is what is asked of the build.
    `caches` are where its cache is written to, as `--cache-to` has it.
    """

    name: str
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    call: str = ""
    caches: tuple[str, ...] = ()


class Build(NamedTuple):
    """A build by buildx, which pushes what it builds: `docker buildx COMMAND ARGUMENTS`.

    `builder` and `metadata_file` are those that the arguments or the environment name, empty where they name none.
    `definition` is what bake is to read from standard input, where that was read before. The progress of a `quiet` one
    is shown only where it fails. `caches` are the tags that its cache is written to at registries.
    """

    command: Literal["build", "bake"]
    arguments: tuple[str, ...]
    targets: tuple[Target, ...]
    builder: str = ""
    metadata_file: str = ""
    definition: bytes | None = None
    quiet: bool = False
    caches: tuple[Reference, ...] = ()


class Place(Enum):
    """Where a source of an index is looked for."""

    EITHER = "either"
    ENGINE = "engine"
    REGISTRY = "registry"


class Source(NamedTuple):
    """What an index is put together from: an image of the engine, or a tag (or a `digest`) at a registry."""

    given: str
    reference: Reference
    digest: str = ""
    place: Place = Place.EITHER


class Assembly(NamedTuple):
    """An index of several sources, each with its platforms."""

    sources: tuple[Source, ...]


class Archive(NamedTuple):
    """Images in files, `PATH[:REF]`; REF says which of them is meant. What the path is only its reader can tell.

    `kind` names the transport that opens them.
    """

    kind: str
    place: str

    @property
    def given(self) -> str:
        return f"{self.kind}:{self.place}"


VERIFY_TIMEOUT = 15.0
"""Seconds that a pushed tag may take to show, unless the settings say otherwise: replicated registries take some."""


class PushRequest(NamedTuple):
    """What the user asked for: every listed reference in the order it was listed.

    Without `pushes` the run ends before the first push: everything is checked, nothing is sent; a `planned` one says
    how it would go. With `push_each` the engine pushes every tag. `retries` is how often a request is sent again that
    met a busy server or a dropped connection. `origin` is what the tags get where that is no image of the engine's.
    `verify_timeout` is how many seconds a pushed tag may take to show.
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
    origin: Build | Assembly | Archive | None = None
    verify_timeout: float = VERIFY_TIMEOUT


# docker names itself here for every plugin that it runs (docker/cli cli-plugins/metadata).
CLI_VARIABLE = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"


# --------------------------------------------------------------------------- argv


class DockerFlags(NamedTuple):
    """docker's global flags as given on the command line; `None` (or empty) where a flag was not given.

    `host` keeps every `-H`, because more than one is an error that only those commands report which need an engine.
    """

    config: str | None = None
    context: str | None = None
    host: tuple[str, ...] = ()
    debug: bool | None = None
    log_level: str | None = None
    tls: bool | None = None
    tlsverify: bool | None = None
    tlscacert: str | None = None
    tlscert: str | None = None
    tlskey: str | None = None
