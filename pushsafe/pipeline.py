"""A run from end to end: what the text alone shows first, and only then what needs an engine or a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pushsafe import __version__
from pushsafe.model import (
    ConfiguredRegistry,
    Credential,
    EngineAnswer,
    EngineInfo,
    Evidence,
    Facts,
    Finding,
    ImageMissing,
    LayerEvent,
    LocalImage,
    ManifestInfo,
    NotChecked,
    NotPushed,
    Platform,
    PushRequest,
    Reference,
    RegistryPing,
    Report,
    TagResult,
)
from pushsafe.rules import Needs, lint, refused


class EngineGateway(Protocol):
    """What the run asks of an engine; every method raises EngineUnreachable when it is down."""

    def info(self) -> EngineInfo: ...
    def require_platform_option(self) -> None: ...
    def image(self, reference: Reference) -> LocalImage | ImageMissing: ...
    def tags(self, name: str) -> tuple[str, ...]: ...
    def push(
        self,
        reference: Reference,
        credential: Credential,
        platform: Platform | None,
        on_layer: Callable[[LayerEvent], None],
    ) -> EngineAnswer: ...
    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence: ...
    def check_login(self, credential: Credential) -> Evidence: ...


class RegistryGateway(Protocol):
    """What the run asks of registries; all but `ping` raise RegistryUnreachable."""

    def ping(self, registry: str) -> RegistryPing: ...
    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", *, whole: bool = False
    ) -> ManifestInfo | Evidence: ...
    def investigate(self, reference: Reference, credential: Credential) -> tuple[Evidence, ...]: ...


class CredentialGateway(Protocol):
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def lookup(self, registry: str) -> Credential: ...


class Observer(Protocol):
    """Who is told how the run goes, from several threads."""

    def pushing(self, reference: Reference) -> None: ...
    def layer(self, event: LayerEvent) -> None: ...
    def finished(self, result: TagResult) -> None: ...


def _nobody(_answer: EngineInfo | None) -> None:
    """Nobody waits for what the engine says of itself."""


@dataclass(frozen=True)
class Gateways:
    """Everything outside, made when it is first called.

    `tell_engine_info` passes on what the engine said of itself, or `None` where it did not answer: a registry that
    HTTPS does not reach waits for the engine's list of insecure ones.
    """

    engine: Callable[[], EngineGateway]
    registry: Callable[[], RegistryGateway]
    credentials: CredentialGateway
    configured: Callable[[], tuple[ConfiguredRegistry, ...]]
    tell_engine_info: Callable[[EngineInfo | None], None] = _nobody


def run(request: PushRequest, gateways: Gateways, observer: Observer, now: Callable[[], float] = time.time) -> Report:
    """Push what was asked for, unless a rule forbids it, and say what became of each reference."""
    started = time.monotonic()
    facts = tuple(
        Facts(reference, gateways.configured(), platforms=request.platforms, now=now())
        for reference in request.references
    )
    findings = lint(facts, Needs.TEXT, request.allowed)
    if refused(findings):
        return finish(facts, findings, {}, "a finding forbids it", (("total", time.monotonic() - started),))
    # Imported here: a refusal that the text alone shows must not pay for what talks to engines and registries.
    from pushsafe.execution import Execution

    return Execution(request, gateways, observer, now, findings, started).report(facts)


def finish(
    facts: Sequence[Facts],
    findings: tuple[Finding, ...],
    results: Mapping[str, TagResult],
    why_not: str,
    timings: Sequence[tuple[str, float]],
) -> Report:
    """The report: exactly one result for each listed reference, `why_not` for those that have none in `results`."""
    return Report(
        version=__version__,
        findings=findings,
        results=tuple(
            results[str(fact.reference)]._replace(reference=fact.reference)
            if str(fact.reference) in results
            else TagResult(fact.reference, NotPushed(why_not), NotChecked("nothing was pushed"))
            for fact in facts
        ),
        timings=tuple((phase, round(seconds, 4)) for phase, seconds in timings),
    )
