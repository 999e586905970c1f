"""A run from end to end: what the text alone shows first, and only then what needs an engine or a network."""

from __future__ import annotations

import time
from collections.abc import Callable

from pushsafe.gateways import Gateways, Observer
from pushsafe.model import Archive, Facts, PushRequest, Report, Upcoming
from pushsafe.origins import MakesOrigin
from pushsafe.results import report_of
from pushsafe.rules import Needs, lint, refused


def run(
    request: PushRequest,
    gateways: Gateways,
    observer: Observer,
    origin_of: MakesOrigin,
    now: Callable[[], float] = time.time,
) -> Report:
    """Push what was asked for, unless a rule forbids it, and say what became of each reference.

    `origin_of` makes what the content of the tags comes from.
    """
    started = time.monotonic()
    facts = tuple(
        Facts(
            reference,
            gateways.configured(),
            image=None if request.origin is None else Upcoming(()),
            platforms=request.platforms,
            now=now(),
            policy=request.policy,
            place=request.origin.given if isinstance(request.origin, Archive) else "",
        )
        for reference in request.references
    )
    findings = lint(facts, Needs.TEXT, request.allowed)
    if refused(findings):
        return report_of(facts, findings, {}, "a finding forbids it", (("total", time.monotonic() - started),))
    # Imported here: a refusal that the text alone shows must not pay for what talks to engines and registries.
    from pushsafe.execution import Execution

    return Execution(request, gateways, observer, origin_of, now, findings, started).report(facts)
