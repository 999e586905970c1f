"""The benchmark judges: over a limit it measures once more, and then its last line and its exit code say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from benchmarks import start

FAST, SLOW = [0.9, 1.0, 9.0], [0.1, 1.1, 1.2]
"""Medians of 1.0 and 1.1 seconds."""
FAULT = "push: median 1100.0 ms, limit 1000.0 ms"


@pytest.mark.parametrize(
    ("rounds", "faults", "printed"),
    [
        ([FAST], [], ["push"]),
        ([SLOW, FAST], [], ["push", "over", "push"]),
        ([SLOW, SLOW], [FAULT], ["push", "over", "push"]),
    ],
    ids=["within", "noise", "over"],
)
def test_a_comparison(
    rounds: Sequence[list[float]], faults: list[str], printed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    left = iter(rounds)
    assert start.compare(lambda: {"push": next(left)}, lambda _: {"push": 1.0}) == faults
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == printed
    assert list(left) == []


@pytest.mark.parametrize(
    ("plain", "ours", "over"), [(1.0, 1.549, False), (1.0, 1.551, True), (2.0, 2.849, False), (2.0, 2.851, True)]
)
def test_a_push_may_take_three_tenths_and_a_quarter_second_more(plain: float, ours: float, over: bool) -> None:
    found = {"plain": [plain], "ours": [ours]}
    assert bool(start.over(found, start._beside(found, "plain", "ours"))) is over


@pytest.mark.parametrize(
    ("faults", "code", "last"),
    [
        (([], []), 0, "every median is within its limit"),
        ((["a"], ["b"]), 1, "OVER: a; b"),
        (([], ["b"]), 1, "OVER: b"),
    ],
)
def test_the_end(
    faults: tuple[list[str], list[str]],
    code: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []

    def give(result: list[str]) -> object:
        def measured(_environ: Mapping[str, str], runs: int) -> list[str]:
            asked.append(runs)
            return result

        return measured

    monkeypatch.setattr(start, "start", give(faults[0]))
    monkeypatch.setattr(start, "one_tag", give(faults[1]))
    monkeypatch.setattr("sys.argv", ["start", "7"])
    assert start.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert asked == [7, 7]
