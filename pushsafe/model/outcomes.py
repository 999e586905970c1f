"""What the engine answers, what became of each tag, and what reading it back showed."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.plan import How
from pushsafe.model.verdicts import Denial, Failure
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference


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
    theirs. `reported` tells whether the engine named any layer at all: podman names none.
    """

    reused: int = 0
    mounted: int = 0
    sent: int = 0
    bytes_sent: int = 0
    unsized: tuple[str, ...] = ()
    reported: bool = True


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
    """The engine's push ended with an error; `unsent` tells that it had named layers that were not there by then."""

    evidence: Evidence
    unsent: bool = False


EngineAnswer = EngineAccepted | EngineReduced | EngineRefused


class Built(NamedTuple):
    """buildx ended without an error: each target's name and the digest that it says it has pushed.

    `names` are, for each target that tells them, those under which it says that was pushed.
    """

    digests: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()


class BuildFailed(NamedTuple):
    """buildx ended with an error. `said` is the end of what it wrote, in lines; empty where that went to a terminal."""

    status: int
    said: str = ""


BuildAnswer = Built | BuildFailed


class Pushed(NamedTuple):
    """The tag names `digest`, as engine or registry say; it is not read back yet.

    `layers` are those of the engine's push, `None` where it had nothing to do with it, or did not tell. `because` says
    why the engine had to push what was to be tagged, `despite` with which error the push ended all the same.
    """

    digest: str
    layers: Layers | None = None
    how: How = How.PUSHED
    because: str = ""
    despite: str = ""


class Denied(NamedTuple):
    """A refusal; `stage` is PROBE where the registry said so beforehand and nothing was pushed, else PUSH.

    `begun` and `seen` are those of Failed.
    """

    denial: Denial
    stage: Stage = Stage.PUSH
    begun: bool = False
    seen: str = ""


class Failed(NamedTuple):
    """Another failure. `begun` tells that a push may have come to its end all the same, `seen` what was seen of the tag
    afterwards that says so."""

    failure: Failure
    begun: bool = False
    seen: str = ""


class NotPushed(NamedTuple):
    """No push of this tag is known to have come to its end, and why not: a finding, an interruption, a dead engine.

    `begun` tells that one had begun, so that nobody knows what the registry holds.
    """

    why: str
    begun: bool = False


class Ready(NamedTuple):
    """Everything was checked, nothing speaks against a push, and none was asked for."""


Outcome = Pushed | Denied | Failed | NotPushed | Ready


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
