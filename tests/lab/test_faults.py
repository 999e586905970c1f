"""A sample of the fault matrix: the real program, a registry that misbehaves, and what both say afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.faults.matrix import sample
from tests.faults.running import Bench, Verdict, bench
from tests.faults.stages import LAYOUT

SIZE = 60
SEED = int(os.environ.get("PUSHSAFE_FAULTS_SEED", "1"))
WAITING = 0.3
"""The share of cases that wait for the end of their time, of what chance would give them."""
WORKERS = 6
CASES = {str(case): case for case in sample(SIZE, SEED, slow=WAITING)}


@dataclass
class Running:
    """The cases of this session, side by side: they mostly wait. All of them are run by one worker."""

    ready: Bench
    selected: tuple[str, ...]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WORKERS))
    begun: dict[str, Future[Verdict]] = field(default_factory=dict)

    def verdict(self, name: str) -> Verdict:
        for one in self.selected:
            if one not in self.begun:
                self.begun[one] = self.pool.submit(self.ready.run, CASES[one])
        return self.begun[name].result()


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Running]:
    here = [item.callspec.params for item in request.session.items if item.fspath == request.fspath]  # type: ignore[attr-defined]
    selected = tuple(params["name"] for params in here)
    ways = {CASES[name].way for name in selected}
    if ways != {LAYOUT}:
        request.getfixturevalue("the_lab")
    print(f"seed {SEED}")
    with bench(sorted(ways)) as ready:
        running = Running(ready, selected)
        yield running
        running.pool.shutdown(cancel_futures=True)


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("name", CASES)
def test_a_fault(name: str, matrix: Running) -> None:
    verdict = matrix.verdict(name)
    assert verdict.offences == (), f"seed {SEED}: {verdict}\n{verdict.seen.stdout}\n{verdict.seen.stderr}"
    assert verdict.seen.met, f"seed {SEED}: no request was of this stage"
