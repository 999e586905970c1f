"""The benchmarks judge: over a limit they measure once more, and then their last line and their exit code say so."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import files, preflight, start, tags
from tests import lab
from tests.fakes.latency import Latency
from tests.fakes.quirks import QUIRKS, Meets, Quirk
from tests.fakes.registry import Answer, FakeRegistry, on
from tests.lab.images import oci_layout

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


def test_a_push_may_take_three_tenths_and_a_quarter_second_more() -> None:
    for plain, ours, over in [(1.0, 1.549, False), (1.0, 1.551, True), (2.0, 2.849, False), (2.0, 2.851, True)]:
        found = {"plain": [plain], "ours": [ours]}
        assert bool(start.over(found, start._beside(found, "plain", "ours"))) is over, (plain, ours)


@pytest.mark.parametrize(
    ("faults", "code", "last"),
    [(([], []), 0, "every median is within its limit"), ((["a"], ["b"]), 1, "OVER: a; b"), (([], ["b"]), 1, "OVER: b")],
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
    faults: list[list[str]], code: int, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bearer, basic, refused = faults
    monkeypatch.setattr(preflight, "side_by_side", lambda scheme, runs: {"Bearer": bearer, "Basic": basic}[scheme])
    monkeypatch.setattr(preflight, "refusals", lambda: refused)
    monkeypatch.setattr("sys.argv", ["preflight", "3"])
    assert preflight.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == last


# --------------------------------------------------------------------------- many tags

ENGINES = {
    store: lab.LabEngine(f"{store}-new", "unix:///nowhere", "28.5.2", store, False, Path("log"))
    for store in ("classic", "containerd")
}
REGISTRY = lab.LabRegistry("open", "127.0.0.1:1", "", {}, False, Path("log"), Path("repositories"))
PLACE = tags.Place(REGISTRY, "127.0.0.1:2", {"PATH": os.environ["PATH"]})


def measures(monkeypatch: pytest.MonkeyPatch, *rounds: Mapping[object, float]) -> Iterator[Mapping[object, float]]:
    """Let the clock show these seconds, one set for each measurement; what is left of them."""
    left = iter(rounds)

    def in_turns(turns: Mapping[object, tags.Turn], runs: int) -> Mapping[object, list[float]]:
        found = next(left)
        assert set(turns) == set(found)
        return {key: [seconds] * runs for key, seconds in found.items()}

    monkeypatch.setattr(start, "in_turns", in_turns)
    return left


def over(ratios: Sequence[tags.Ratio]) -> list[str]:
    return [f"{ratio.ours.count}, {ratio.beside}" for ratio in ratios if ratio.over]


def test_one_tag_may_take_a_quarter_more_in_the_classic_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for store, ours, faults in [("classic", 2.49, []), ("classic", 2.51, [ONE_TAG]), ("containerd", 9.0, [])]:
        found: Mapping[object, float] = {"docker push -q": 2.0, "docker pushsafe -q": ours}
        measures(monkeypatch, found, found, found)
        assert over(tags.one_tag(PLACE, ENGINES[store], 1)) == faults, (store, ours)


ONE_TAG, TEN_TAGS, EVERY_TAG = "1 tag, docker push -q", "10 tags, 10 x docker push -q", "10 tags, docker push -q -a"
MANY_TAGS: list[tuple[str, float, float, float, float, list[str]]] = [
    # store, 10 pushes by docker, its push of all 10, ours of 10, ours of 50, what is over its limit
    ("classic", 10.0, 5.0, 3.49, 5.23, []),
    ("classic", 10.0, 5.0, 3.51, 5.0, [TEN_TAGS]),
    ("classic", 10.0, 3.0, 3.01, 4.0, [EVERY_TAG]),
    ("classic", 10.0, 5.0, 2.0, 3.01, ["50 tags, its own 10 tags"]),
    ("containerd", 10.0, 5.0, 4.49, 5.0, []),
    ("containerd", 10.0, 5.0, 4.51, 5.0, [TEN_TAGS]),
]


def test_many_tags_cost_little_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in MANY_TAGS:
        store, loop, every, ten, fifty, faults = row
        found: Mapping[object, float] = {
            (10, "10 x docker push -q"): loop,
            (10, "docker push -q -a"): every,
            (10, "docker pushsafe -q"): ten,
            (50, "docker pushsafe -q"): fifty,
        }
        left = measures(monkeypatch, found, found)
        assert over(tags.many_tags(PLACE, ENGINES[store], 1)) == faults, row
        assert len(list(left)) == (0 if faults else 1), row


@pytest.mark.parametrize(
    ("installed", "seconds", "faults", "printed"),
    [
        (("crane", "skopeo", "oras"), (4.0, 9.0, 1.0), [], []),
        (("crane", "skopeo"), (1.0, 9.0), ["10 tags, crane push, 9 x crane tag"], ["oras: not installed"]),
        (("skopeo",), (1.0,), ["10 tags, 10 x skopeo copy"], ["crane: not installed", "oras: not installed"]),
        ((), (), [], ["crane: not installed", "skopeo: not installed", "oras: not installed"]),
    ],
)
def test_ten_tags_are_faster_than_crane_and_skopeo(
    installed: Sequence[str],
    seconds: Sequence[float],
    faults: list[str],
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lab, "tool", lambda name: Path("/", name) if name in installed else None)
    others = [tags.TOOL_COMMANDS[name][0] for name in installed]
    found: dict[object, float] = dict(zip(others, seconds, strict=True))
    found["docker pushsafe -q"] = 2.0
    measures(monkeypatch, found, found)
    ratios = tags.tools(PLACE, ENGINES["containerd"], 1)
    assert [ratio.beside for ratio in ratios] == others
    assert over(ratios) == faults
    assert [line for line in capsys.readouterr().out.splitlines() if "not installed" in line] == printed


WITHIN = tags.Ratio(
    "classic-new", tags.Pushed(10, "docker pushsafe -q", [9, 2, 1]), tags.Pushed(10, "docker push -q -a", [4]), 1.0
)
OVER = tags.Ratio("classic-new", tags.Pushed(50, "docker pushsafe -q", [4]), WITHIN.ours, 1.5)
TOLD = tags.Ratio("containerd-new", tags.Pushed(1, "docker pushsafe -q", [3]), tags.Pushed(1, "oras cp", [2]), None)


@pytest.mark.parametrize(
    ("ratios", "code", "last"),
    [
        ([WITHIN, TOLD], 0, "every ratio is under its limit"),
        ([WITHIN, OVER, TOLD], 1, "OVER: classic-new: 50 tags in 2.00 of the time of its own 10 tags, limit 1.50"),
        (tags.Failed("docker push: exit code 1\ndenied"), 2, "denied"),
        (lab.LabError("no root"), 2, "no root"),
    ],
    ids=["within", "over", "failed", "no lab"],
)
@pytest.mark.parametrize("table", [[], ["--markdown"]], ids=["plain", "markdown"])
def test_the_end_of_the_tags(
    ratios: list[tags.Ratio] | Exception,
    code: int,
    last: str,
    table: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[Sequence[str], int]] = []

    def measured(engines: Sequence[str], runs: int) -> list[tags.Ratio]:
        asked.append((engines, runs))
        if isinstance(ratios, Exception):
            raise ratios
        return ratios

    monkeypatch.setattr(tags, "measured", measured)
    monkeypatch.setattr(tags, "surroundings", lambda engines: f"Here, with {' and '.join(engines)}.")
    assert tags.main(["7", "--engine", "containerd-new", "--engine", "classic-20", *table]) == code
    printed = capsys.readouterr()
    assert (printed.err if table else printed.out).splitlines()[-1] == last
    assert printed.out.startswith("Here, with classic-20 and containerd-new. ") is bool(table and code < 2)
    assert asked == [(["classic-20", "containerd-new"], 7)]


def test_the_table() -> None:
    assert tags.markdown([WITHIN, OVER, TOLD], "Here.", 3).splitlines() == [
        "Here. Images of 20 layers of 1000 bytes, pushed for the first time over round trips of 40 ms; median of"
        " 3 rounds, in turns.",
        "",
        "| engine | `docker pushsafe -q` | s | beside it | s | ratio | under |",
        "|---|---|--:|---|--:|--:|--:|",
        "| classic-new | 10 tags | 2.00 | `docker push -q -a` | 4.00 | 0.50 | 1.00 |",
        "| classic-new | 50 tags | 4.00 | its own 10 tags | 2.00 | 2.00 | 1.50 |",
        "| containerd-new | 1 tag | 3.00 | `oras cp` | 2.00 | 1.50 |  |",
    ]


def test_a_number_of_rounds_is_one_at_least() -> None:
    for wrong in ("0", "-1", "many"):
        with pytest.raises(SystemExit, match="2"):
            tags.main([wrong])


@pytest.mark.parametrize(
    ("commands", "there", "fault"),
    [
        ([["true"], ["true"]], ["t0", "t1"], None),
        ([["true"], ["sh", "-c", "echo denied; exit 3"]], ["t0", "t1"], "sh -c .*: exit code 3\ndenied"),
        ([["true"]], ["t0"], "true: exit code 0, but these tags are not there: t1"),
        ([["true"]], None, "true: exit code 0, but these tags are not there: t0, t1"),
    ],
    ids=["good", "fails", "leaves one out", "leaves all out"],
)
def test_a_push_that_does_not_do_its_work_is_not_measured(
    commands: tags.Commands, there: list[str] | None, fault: str | None
) -> None:
    answer = Answer(200, {"tags": there}) if there else Answer(404, {"errors": [{"code": "NAME_UNKNOWN"}]})
    listed = on("GET", "/v2/bench/[0-9a-f]+/tags/list", answer)
    with FakeRegistry(listed) as registry:
        place = tags.Place(lab.LabRegistry("open", registry.host, "", {}, False, Path(), Path()), "far", PLACE.environ)
        with pytest.raises(tags.Failed, match=fault) if fault else contextlib.nullcontext():
            assert tags.turn(place, 2, lambda _: contextlib.nullcontext(commands)) > 0


def test_a_layout_holds_what_it_names(tmp_path: Path) -> None:
    oci_layout(tmp_path / "layout", "t0", [b"one", b"two"])

    def read(named: Mapping[str, Any]) -> bytes:
        algorithm, _, encoded = str(named["digest"]).partition(":")
        content = (tmp_path / "layout/blobs" / algorithm / encoded).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (encoded, named["size"])
        return content

    (named,) = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    manifest = json.loads(read(named))
    unpacked = [gzip.decompress(read(layer)) for layer in manifest["layers"]]
    assert named["annotations"] == {"org.opencontainers.image.ref.name": "t0"}
    assert json.loads(read(manifest["config"]))["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in unpacked
    ]


# --------------------------------------------------------------------------- an image that lies in files


def nothing(_folder: Path, _references: Sequence[str]) -> tags.Commands:
    return []


@pytest.mark.parametrize(
    ("installed", "seconds", "faults", "printed"),
    [
        (("oras", "crane", "skopeo"), (1.01, 0.5, 0.5), [], []),
        (("oras", "crane"), (0.99, 9.0), ["10 tags, oras cp"], ["skopeo: not installed"]),
        ((), (), [], ["oras: not installed", "crane: not installed", "skopeo: not installed"]),
    ],
)
def test_ten_tags_from_files_take_six_tenths_of_oras(
    installed: Sequence[str],
    seconds: Sequence[float],
    faults: list[str],
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lab, "tool", lambda name: Path("/", name) if name in installed else None)
    found: Mapping[object, float] = {"": 0.6, **dict(zip(installed, seconds, strict=True))}
    measures(monkeypatch, found, found)
    assert over(files.many_tags(PLACE, 1)) == faults
    assert [line for line in capsys.readouterr().out.splitlines() if "not installed" in line] == printed


def test_a_large_image_is_as_fast_as_by_others_or_faster_where_it_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    for limits, crane, skopeo, faults in [
        (files.LAYOUT, 2.01, 2.01, []),
        (files.LAYOUT, 2.01, 1.99, ["1 tag, skopeo"]),
        (files.SAVED, 2.9, 2.9, []),
        (files.SAVED, 2.8, 2.9, ["1 tag, crane"]),
    ]:
        found: Mapping[object, float] = {"": 2.0, "crane": crane, "skopeo": skopeo}
        measures(monkeypatch, found, found, found)
        ways = {name: (str(name), nothing) for name in ("", "crane", "skopeo")}
        assert over(files._of_one_image(PLACE, "layout", ways, limits, 1)) == faults, (limits, crane, skopeo)


@pytest.mark.parametrize(
    ("ratios", "code", "last"),
    [
        ([WITHIN, TOLD], 0, "every ratio is under its limit"),
        ([OVER], 1, "OVER: classic-new: 50 tags in 2.00 of the time of its own 10 tags, limit 1.50"),
        (tags.Failed("crane push: exit code 1\ndenied"), 2, "denied"),
        (lab.LabError("no root"), 2, "no root"),
    ],
    ids=["within", "over", "failed", "no lab"],
)
@pytest.mark.parametrize(("words", "asked"), [([], (3, None)), (["7", "--data", "memory"], (7, "/dev/shm"))])
def test_the_end_of_the_files(
    ratios: list[tags.Ratio] | Exception,
    code: int,
    last: str,
    words: list[str],
    asked: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measured(*found: object) -> list[tags.Ratio]:
        assert found == asked
        if isinstance(ratios, Exception):
            raise ratios
        return ratios

    monkeypatch.setattr(files, "measured", measured)
    assert files.main(words) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_files_drawn_by_lot_are_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("one")
    monkeypatch.setattr(files, "USR", tmp_path)
    monkeypatch.setattr(files, "LARGE", (3, 500))
    drawn = list(files._usual_layers())
    assert [len(layer) for layer in drawn] == [500] * 3
    assert drawn == list(files._usual_layers())
    whole = b"".join(drawn)
    assert whole[1100:] == whole[:400]


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
