"""The benchmarks judge: over a limit they measure once more, and then their last line and their exit code say so."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence

import pytest

from benchmarks import preflight, start
from tests.fakes.latency import Latency
from tests.fakes.quirks import QUIRKS, Meets, Quirk
from tests.fakes.registry import Answer, FakeRegistry, on

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


# --------------------------------------------------------------------------- the preflight


@pytest.mark.parametrize(("many", "over"), [(1.99, False), (2.01, True)])
def test_twenty_repositories_may_take_twice_as_long_as_one(
    many: float, over: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"one": [1.0], "many": [many]}
    monkeypatch.setattr(start, "measure", lambda *_: found)
    assert preflight._measured({}, {}, 1, "one", "many") is found
    assert capsys.readouterr().out == f"many take {many:.2f} times as long as 1, limit 2.0\n"
    assert bool(start.over(found, preflight._twice(found, "one", "many"))) is over


@pytest.mark.parametrize(
    ("count", "faults"), [(6, []), (7, [f"{QUIRKS[0].name}: 7 requests for a refusal, limit 6"])], ids=["six", "seven"]
)
def test_a_refusal_may_take_six_requests(
    count: int, faults: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at: list[Meets] = []

    def asked(quirk: Quirk, meets: Meets) -> int:
        looked_at.append(meets)
        return count if len(looked_at) == 1 else 1

    monkeypatch.setattr(preflight, "asked", asked)
    assert preflight.refusals() == faults
    assert {meets.preflight.value for meets in looked_at} == {"refused"}
    assert capsys.readouterr().out.startswith(f"a refusal takes {count} requests at most, of {len(looked_at)} ")


@pytest.mark.parametrize(
    ("faults", "code", "last"),
    [([[], [], []], 0, "everything is within its limit"), ([["a"], ["b"], ["c"]], 1, "OVER: a; b; c")],
)
def test_the_end_of_the_preflights(
    faults: list[list[str]],
    code: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bearer, basic, refused = faults
    monkeypatch.setattr(preflight, "side_by_side", lambda scheme, runs: {"Bearer": bearer, "Basic": basic}[scheme])
    monkeypatch.setattr(preflight, "refusals", lambda: refused)
    monkeypatch.setattr("sys.argv", ["preflight", "3"])
    assert preflight.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With one round: what it prints is a number, whatever the machine makes of it."""
    preflight.side_by_side("Bearer", 1)
    assert "20 repositories take" in capsys.readouterr().out


# --------------------------------------------------------------------------- what is far away


def test_a_far_registry_gives_the_same_answers_later() -> None:
    """Two round trips at least: the connection, and the question with its answer; one for the next question."""
    rtt, body = 0.02, bytes(range(256)) * 4000
    with FakeRegistry(on("PUT", "/there", lambda request: Answer(200, request.body))) as registry:
        with Latency(registry.port, rtt) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
            for least in (2 * rtt, rtt):
                started = time.monotonic()
                connection.request("PUT", "/there", body)
                assert connection.getresponse().read() == body
                assert time.monotonic() - started >= least
        connection.close()
        assert registry.seen() == ["PUT /there"] * 2
