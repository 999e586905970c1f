"""What the user asks for, and the engine to use."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference


class EngineAddress(NamedTuple):
    """The engine's address by docker's own precedence, and the TLS material to reach it.

    `origin` is what decided (`--context`, `DOCKER_HOST`, ...), for messages.
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
        """Whether the engine's 127.0.0.1 is this machine's: only then a loopback registry is the same for both."""
        scheme, _, rest = self.host.partition("://")
        if scheme in ("unix", "npipe"):
            return True
        host = rest.rpartition(":")[0] or rest
        numeric = host.replace(".", "").isdigit()
        return scheme in ("tcp", "http", "https") and (
            host in ("localhost", "[::1]") or (host.startswith("127.") and numeric)
        )


class TagPolicy(NamedTuple):
    """How tags may change, as patterns of `fnmatch`: `moving` tags are meant to, `immutable` ones must not.

    `signed`: the environment asks for every push to be signed (docker's DOCKER_CONTENT_TRUST).
    """

    moving: tuple[str, ...] = ("latest", "stable", "edge", "nightly", "canary", "dev", "develop", "main", "master")
    immutable: tuple[str, ...] = ()
    signed: bool = False


class Asks(Enum):
    """What registries are asked before the push."""

    NOTHING = "nothing"
    """Nothing: no registry is contacted."""
    LOGIN = "login"
    """Whether it requires a login."""
    PREFLIGHT = "preflight"
    """What a push would meet there, and what each tag names now."""


class Target(NamedTuple):
    """The tags and platforms of one build, as far as requested. `name` is bake's target; a single build has none."""

    references: tuple[Reference, ...]
    platforms: tuple[Platform, ...] = ()
    name: str = ""


class BakeTarget(NamedTuple):
    """A target as `docker buildx bake --print` shows it, names and platforms not parsed.

    `outputs` has `registry` for each output that pushes its tags, else the output's type. `call` is bake's. `caches`
    are its `--cache-to` values.
    """

    name: str
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    call: str = ""
    caches: tuple[str, ...] = ()


class Build(NamedTuple):
    """A build that pushes, run by buildx: `docker buildx COMMAND ARGUMENTS`.

    `builder` and `metadata_file` come from arguments or environment; empty if not given. `definition` is bake's
    standard input, if it was read already. A `quiet` build shows its progress only if it fails. `caches` are the tags
    in registries that its cache is written to.
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
    """Where a source of an index is looked up."""

    EITHER = "either"
    ENGINE = "engine"
    REGISTRY = "registry"


class Source(NamedTuple):
    """A source of an index: an image of the engine, or a tag or `digest` at a registry."""

    given: str
    reference: Reference
    digest: str = ""
    place: Place = Place.EITHER


class Assembly(NamedTuple):
    """An index of several sources, each with its platforms."""

    sources: tuple[Source, ...]


class Archive(NamedTuple):
    """An archive, `PATH[:REF]`; only its reader can separate the two. `kind` is its transport."""

    kind: str
    place: str

    @property
    def given(self) -> str:
        return f"{self.kind}:{self.place}"


VERIFY_TIMEOUT = 15.0
"""Default seconds that a pushed tag may take to appear: replicated registries need some."""


class PushRequest(NamedTuple):
    """What the user asked for, references in the listed order.

    Without `pushes` the run ends before the first push; with `planned` the report has the plan. With `push_each` the
    engine pushes every tag. `retries` is how often a request is repeated after a busy answer or a dropped connection.
    `origin` is the source if it is not the engine. `verify_timeout` is in seconds.
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


# docker names itself here for each plugin it runs (docker/cli cli-plugins/metadata)
CLI_VARIABLE = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"


class DockerFlags(NamedTuple):
    """docker's global flags as given on the command line; `None` (or empty) if not given.

    `host` keeps every `-H`: more than one is an error only for commands that need an engine.
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
