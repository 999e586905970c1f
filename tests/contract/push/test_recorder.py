"""The record of a run: what is said of each tag."""

from __future__ import annotations

import itertools
import time

import pytest

from pushsafe.model.facts import Facts
from pushsafe.push.recorder import Recorder
from pushsafe.runtime.phase_timer import PhaseTimer
from tests.fakes.gateways import Observed
from tests.values import ref


def test_a_tag_takes_no_negative_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    record, fact = Recorder(Observed(), PhaseTimer()), Facts(ref("registry.test/team/app:1"))
    record.begin(fact)
    assert record.results[str(fact.reference)].seconds == 0
