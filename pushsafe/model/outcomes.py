"""The engine's answers, the outcome of each tag, and the result of its verification."""

from __future__ import annotations

from collections.abc import Callable
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


OnSent = Callable[[int], None]
"""Called with the number of bytes of a blob that were sent so far."""


class Layers(NamedTuple):
    """The layers of one push, counted by outcome.

    `bytes_sent` is the engine's count: before compression in the classic store, as transferred in the containerd store.
    `unsized` are sent layers without a reported size, which `bytes_sent` therefore lacks. `reported` is false if the
    engine reports no layers (podman).
    """

    reused: int = 0
    mounted: int = 0
    sent: int = 0
    bytes_sent: int = 0
    unsized: tuple[str, ...] = ()
    reported: bool = True


class EngineAccepted(NamedTuple):
    """The engine's push succeeded and reported this digest."""

    digest: str
    layers: Layers


class EngineReduced(NamedTuple):
    """The engine pushed one platform's manifest (`pushed`) instead of the index (`original`) that the tag names."""

    original: str
    pushed: str
    platform: str


class EngineRefused(NamedTuple):
    """The engine's push failed; `unsent`: while layers were still being sent."""

    evidence: Evidence
    unsent: bool = False


EngineAnswer = EngineAccepted | EngineReduced | EngineRefused


class Built(NamedTuple):
    """buildx succeeded: each target's name and the digest it reports.

    `names` are the pushed references that buildx reports, for each target that has them.
    """

    digests: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()


class BuildFailed(NamedTuple):
    """buildx failed. `said` is the end of its output, in lines; empty if that went to a terminal."""

    status: int
    said: str = ""


BuildAnswer = Built | BuildFailed


class Pushed(NamedTuple):
    """The tag names `digest` according to engine or registry; not verified yet.

    `layers` are those of the engine's push, `None` if it took no part or did not report them. `because` is why the
    engine had to push instead of the manifest being put directly, `despite` the error that the push ended with all the
    same.
    """

    digest: str
    layers: Layers | None = None
    how: How = How.PUSHED
    because: str = ""
    despite: str = ""


class Denied(NamedTuple):
    """A denial; `stage` is PROBE if the preflight found it and nothing was pushed, else PUSH.

    `begun` and `seen` are those of Failed.
    """

    denial: Denial
    stage: Stage = Stage.PUSH
    begun: bool = False
    seen: str = ""


class Failed(NamedTuple):
    """Any other failure. `begun`: the push may have completed all the same; `seen` is what the tag showed
    afterwards."""

    failure: Failure
    begun: bool = False
    seen: str = ""


class NotPushed(NamedTuple):
    """The tag was not pushed, as far as known: a finding, an interruption, a dead engine.

    `begun`: a push had begun, so the registry's state is unknown.
    """

    why: str
    begun: bool = False


class Ready(NamedTuple):
    """All checks passed, and no push was requested."""


Outcome = Pushed | Denied | Failed | NotPushed | Ready


class Verified(NamedTuple):
    """The registry names the digest that was pushed; `via` is who was asked (`registry` or `engine`)."""

    manifest: ManifestInfo
    via: Literal["registry", "engine"]


class Mismatch(NamedTuple):
    pushed: str
    found: str


class Missing(NamedTuple):
    """The registry lacks the tag, or a manifest in its index (`what`)."""

    what: str


class NotChecked(NamedTuple):
    """It could not be checked what the tag names; `transient`: asking again may help."""

    why: str
    transient: bool = False


Verification = Verified | Mismatch | Missing | NotChecked
