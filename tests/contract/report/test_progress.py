"""What is shown while a run goes on: lines in a log, a live display on a terminal, and neither ever harms the run."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TextIO, cast

import pytest
from rich.console import Console

from pushsafe.model.outcomes import (
    Denied,
    Failed,
    LayerEvent,
    LayerState,
    NotChecked,
    NotPushed,
    Outcome,
    Pushed,
    Ready,
    Verification,
    Verified,
)
from pushsafe.model.plan import How, Wait
from pushsafe.model.report import TagResult
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind, Finding, Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference
from pushsafe.report.lines import Lines, Patient, every, said
from pushsafe.report.live import Lazy, Live
from pushsafe.report.progress import Display
from tests.terminal import read_all
from tests.values import OCI_MANIFEST, ref, sha

ROOT = Path(__file__).parents[3]
MB = 1_000_000
WAITING, PUSHING, REUSED, MOUNTED, SENT = (
    LayerState.WAITING,
    LayerState.PUSHING,
    LayerState.REUSED,
    LayerState.MOUNTED,
    LayerState.SENT,
)
ONE, TWO, THREE = (ref(f"registry.test/team/app:{number}") for number in (1, 2, 3))
OTHER = ref("other.test/team/app:1")
VERIFIED = Verified(ManifestInfo(sha("1"), OCI_MANIFEST), "registry")
UNREAD = NotChecked("it could not be read back")
BUSY = Wait("registry.test", "answers 429 (too many requests)", 12.0)


def done(reference: Reference, how: How = How.PUSHED) -> TagResult:
    return TagResult(reference, Pushed(sha("1"), how=how), VERIFIED)


def layer(reference: Reference, name: str, state: LayerState, current: float = 0, total: float = 0) -> LayerEvent:
    """An event; bytes are in megabytes."""
    return LayerEvent(reference, name, state, int(current * MB), int(total * MB))


class Clock:
    """A time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Told = Reference | LayerEvent | Wait | TagResult | list[Reference]


def tell(display: Display, told: Told) -> None:
    """Tell a display of something: a reference is a push that begins, a list of them is what is planned."""
    match told:
        case LayerEvent():
            display.layer(told)
        case Wait():
            display.waiting(told)
        case TagResult():
            display.finished(told)
        case Reference():
            display.pushing(told)
        case list():
            display.planned(told)
        case _:
            raise AssertionError(told)


# ---------------------------------------------------------------------- results


DENIAL = Denial(DenialKind.INSUFFICIENT_PERMISSION, DenialReason.NO_WRITE_PERMISSION, "no", ())
RESULTS: list[tuple[Outcome, Verification, str]] = [
    (Pushed(sha("1")), VERIFIED, "pushed and verified"),
    (Pushed(sha("1")), UNREAD, "pushed, not confirmed"),
    (Pushed(sha("1"), how=How.TAGGED), VERIFIED, "tagged and verified"),
    (Pushed(sha("1"), how=How.TAGGED), UNREAD, "tagged, not confirmed"),
    (Pushed(sha("1"), how=How.ALREADY_THERE), VERIFIED, "already there and verified"),
    (Pushed(sha("1"), how=How.ALREADY_THERE), UNREAD, "already there, not confirmed"),
    (Denied(DENIAL), UNREAD, f"denied: {DenialReason.NO_WRITE_PERMISSION.value}"),
    (Failed(Failure(FailureKind.NETWORK, "no", (), ())), UNREAD, "failed: network"),
    (NotPushed("interrupted"), UNREAD, "not pushed"),
    (Ready(), UNREAD, "not pushed"),
]


@pytest.mark.parametrize(("outcome", "verification", "words"), RESULTS, ids=[words for *_, words in RESULTS])
def test_a_result_in_a_few_words(outcome: Outcome, verification: Verification, words: str) -> None:
    assert said(TagResult(ONE, outcome, verification)) == words


# ---------------------------------------------------------------------- lines


class Log:
    """`Lines` with a clock, and a look at it each second that passes."""

    def __init__(self) -> None:
        self.stream = StringIO()
        self.clock = Clock()
        self.looks: list[Callable[[], None]] = []
        self.ended = 0
        self.lines = Lines(self.stream, self.clock, self._repeat)

    def _repeat(self, _seconds: float, look: Callable[[], None]) -> Callable[[], None]:
        self.looks.append(look)
        return self._end

    def _end(self) -> None:
        self.ended += 1

    def play(self, *events: Told | int) -> list[str]:
        """What is written when these come to pass; a number is so many seconds of silence."""
        for event in events:
            if not isinstance(event, int):
                tell(self.lines, event)
                continue
            for _ in range(event):
                self.clock.now += 1
                for look in self.looks:
                    look()
        return self.stream.getvalue().splitlines()


PLAN = [ONE, TWO, OTHER]
LOGS: dict[str, tuple[list[Told | int], list[str]]] = {
    "a line for each tag": (
        [PLAN, done(ONE), done(TWO, How.TAGGED), done(OTHER, How.ALREADY_THERE)],
        [
            f"[1/3] {ONE} pushed and verified",
            f"[2/3] {TWO} tagged and verified",
            f"[3/3] {OTHER} already there and verified",
        ],
    ),
    "a tag that is listed twice is one": ([[ONE, ONE], done(ONE)], [f"[1/1] {ONE} pushed and verified"]),
    "the number alone before the plan": ([done(ONE)], [f"[1] {ONE} pushed and verified"]),
    "nothing to tell": ([PLAN, 60], []),
    "how it stands, after ten seconds": (
        [PLAN, ONE, layer(ONE, "a", REUSED), layer(ONE, "b", PUSHING, 12.3, 40), layer(ONE, "c", WAITING), 9],
        [],
    ),
    "at ten": (
        [PLAN, ONE, layer(ONE, "a", REUSED), layer(ONE, "b", PUSHING, 12, 40), layer(ONE, "c", WAITING), 10],
        [f"... 0/3 tags; pushing {ONE}: 1 of 3 layers, 12 MB of 40 MB, 1.2 MB/s"],
    ),
    "only what is new": (
        [PLAN, ONE, layer(ONE, "a", PUSHING, 10, 40), 60, layer(ONE, "a", PUSHING, 30, 40), 1, 60],
        [
            f"... 0/3 tags; pushing {ONE}: 0 of 1 layer, 10 MB of 40 MB, 1 MB/s",
            f"... 0/3 tags; pushing {ONE}: 0 of 1 layer, 30 MB of 40 MB, 392.2 kB/s",
        ],
    ),
    "at most every ten seconds": (
        [[ONE], ONE, *(event for n in range(25) for event in (layer(ONE, "a", PUSHING, n, 40), 1))],
        [
            f"... 0/1 tag; pushing {ONE}: 0 of 1 layer, 9 MB of 40 MB, 900 kB/s",
            f"... 0/1 tag; pushing {ONE}: 0 of 1 layer, 19 MB of 40 MB, 1 MB/s",
        ],
    ),
    "a result is news enough for ten seconds": (
        [PLAN, ONE, OTHER, 9, done(OTHER), layer(ONE, "a", REUSED), 9],
        [f"[1/3] {OTHER} pushed and verified"],
    ),
    "several pushes": (
        [PLAN, ONE, OTHER, layer(ONE, "a", PUSHING, 1, 4), layer(OTHER, "a", PUSHING, 2, 4), 10],
        [f"... 0/3 tags; pushing {ONE} and 1 more: 0 of 2 layers, 3 MB of 8 MB, 300 kB/s"],
    ),
    "no layers yet": ([PLAN, ONE, 10], [f"... 0/3 tags; pushing {ONE}"]),
    "no rate where nothing travels": (
        [PLAN, ONE, layer(ONE, "a", MOUNTED), 10],
        [f"... 0/3 tags; pushing {ONE}: 1 of 1 layer"],
    ),
    "a finished push is named no more": (
        [PLAN, ONE, OTHER, layer(ONE, "a", SENT, 4, 4), done(ONE), layer(ONE, "b", SENT, 4, 4), 5, OTHER, TWO, 5],
        [f"[1/3] {ONE} pushed and verified", f"... 1/3 tags; pushing {OTHER} and 1 more"],
    ),
    "a retry begins anew": (
        [[ONE], ONE, layer(ONE, "a", PUSHING, 30, 40), ONE, layer(ONE, "a", PUSHING, 10, 40), 10],
        [f"... 0/1 tag; pushing {ONE}: 0 of 1 layer, 10 MB of 40 MB, 4 MB/s"],
    ),
    "pauses, at most every ten seconds": (
        [PLAN, BUSY, BUSY, 9, BUSY, 1, Wait("other.test", "hangs up", 0.3), BUSY],
        ["waiting 12 s: registry.test answers 429 (too many requests)", "waiting 1 s: other.test hangs up"],
    ),
    "nothing is an order to a terminal, or a line of its own": (
        [
            [ONE],
            Wait("\x1b[2Jregistry.test", "says:\r\n[bold]::error::\u202e", 1),
            ONE._replace(tag="1\x1b]0;x\x07\nforged"),
            layer(ONE._replace(tag="1\x1b]0;x\x07\nforged"), "\x1b[31m", REUSED),
            10,
            done(ONE._replace(tag="1\x1b]0;x\x07\nforged")),
        ],
        [
            "waiting 1 s:  [2Jregistry.test says:  [bold]::error:: ",
            "... 0/1 tag; pushing registry.test/team/app:1 ]0;x  forged: 1 of 1 layer",
            "[1/1] registry.test/team/app:1 ]0;x  forged pushed and verified",
        ],
    ),
}


@pytest.mark.parametrize(("events", "expected"), LOGS.values(), ids=LOGS)
def test_a_log(events: list[Told | int], expected: list[str]) -> None:
    assert Log().play(*events) == expected


def test_no_thread_looks_before_the_plan_and_one_after_it() -> None:
    log = Log()
    log.play(ONE)
    assert log.looks == []
    log.lines.close()
    log.play([ONE], [ONE])
    assert len(log.looks) == 1
    log.lines.close()
    assert log.ended == 1


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_again_and_again_until_it_is_ended() -> None:
    before, thrice = threads(), threading.Semaphore(0)
    end = every(0.001, thrice.release)
    assert all(thrice.acquire(timeout=10) for _ in range(3))
    assert [thread.daemon for thread in threads() - before] == [True]
    end()
    assert threads() <= before
    end()


def test_a_closed_log_leaves_no_thread_behind() -> None:
    before = threads()
    lines = Lines(StringIO())
    lines.planned(PLAN)
    assert len(threads() - before) == 1
    lines.close()
    assert threads() <= before


# ---------------------------------------------------------------------- a terminal


@contextmanager
def live(height: int = 24, width: int = 80, clock: Callable[[], float] | None = None) -> Iterator[Live]:
    console = Console(file=StringIO(), force_terminal=True, width=width, height=height)
    shown = Live(console, clock or Clock())
    try:
        yield shown
    finally:
        shown.close()


def frame(shown: Live, width: int = 80) -> list[str]:
    """The lines that the terminal shows, without colours; a bar is one `=`."""
    console = Console(file=StringIO(), width=width, height=100)
    console.print(shown.render())
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    return [re.sub("[━╸╺]+ *", "= ", line).rstrip() for line in lines]


def upto(last: int, *, reference: Reference = ONE, state: LayerState = PUSHING) -> list[LayerEvent]:
    return [layer(reference, f"layer{number}", state, 1, 4) for number in range(last)]


FRAMES: dict[str, tuple[list[Told | float], list[str]]] = {
    "before the plan": ([], ["0 done"]),
    "one tag": ([[ONE]], ["0 of 1 tag"]),
    "tags that the engine has nothing to do with": ([PLAN, done(ONE, How.TAGGED)], ["1 of 3 tags"]),
    "a push without layers": ([PLAN, ONE], ["0 of 3 tags", f"pushing {ONE}"]),
    "layers": (
        [
            PLAN,
            ONE,
            layer(ONE, "0123456789ab", PUSHING, 0, 40),
            2.0,
            layer(ONE, "0123456789ab", PUSHING, 6, 40),
            2.0,
            layer(ONE, "0123456789ab", PUSHING, 12.3, 40),
            layer(ONE, "b", SENT, 2, 2),
            layer(ONE, "c", WAITING),
            layer(ONE, "d", REUSED),
            layer(ONE, "e", MOUNTED),
            layer(ONE, "f", PUSHING),
        ],
        [
            "0 of 3 tags",
            "pushing …/team/app:1   layers: 1 reused, 1 mounted, 1 sent, 2 pushing, 1 waiting",
            "  0123456789ab pushing = 12.3/40.0 MB   3.1 MB/s",
            "sent 14.3 MB 4.2 MB/s",
        ],
    ),
    "a layer in place leaves its bar": (
        [[ONE], ONE, *upto(2), layer(ONE, "layer0", SENT, 4, 4)],
        [
            "0 of 1 tag",
            f"pushing {ONE}   layers: 1 sent, 1 pushing",
            "  layer1       pushing = 1.0/4.0 MB     ?",
            "sent 5 MB ?",
        ],
    ),
    "the same layer in two pushes": (
        [PLAN, ONE, OTHER, layer(ONE, "a", PUSHING, 1, 4), layer(OTHER, "a", PUSHING, 2, 4)],
        [
            "0 of 3 tags",
            f"pushing {ONE}   layers: 1 pushing",
            "  a            pushing = 1.0/4.0 MB     ?",
            f"pushing {OTHER}   layers: 1 pushing",
            "  a            pushing = 2.0/4.0 MB     ?",
            "sent 3 MB ?",
        ],
    ),
    "a finished tag is gone": (
        [PLAN, ONE, OTHER, *upto(2), done(ONE), *upto(1)],
        ["1 of 3 tags", f"pushing {OTHER}", "sent 2 MB ?"],
    ),
    "a retry begins anew": (
        [[ONE], ONE, *upto(2), layer(ONE, "b", REUSED), ONE, layer(ONE, "layer0", PUSHING, 0.5, 4)],
        [
            "0 of 1 tag",
            f"pushing {ONE}   layers: 1 pushing",
            "  layer0       pushing = 0.5/4.0 MB     ?",
            "sent 2.5 MB ?",
        ],
    ),
    "a pause": (
        [[ONE], ONE, BUSY, 1.5],
        ["0 of 1 tag", f"pushing {ONE}", "waiting 11 s: registry.test answers 429 (too many requests)"],
    ),
    "the longest pause": (
        [[ONE], BUSY, Wait("other.test", "hangs up", 2)],
        ["0 of 1 tag", "waiting 12 s: registry.test answers 429 (too many requests)"],
    ),
    "a pause that is over": ([[ONE], BUSY, 12.0], ["0 of 1 tag"]),
    "no markup, and no order to the terminal": (
        [
            [ONE],
            ONE._replace(tag="[red]1[/]\x1b[2J"),
            layer(ONE._replace(tag="[red]1[/]\x1b[2J"), "[/b]:x:\x1b", PUSHING, 1, 4),
            Wait("{task.description}", "[link=x]\x1b]0;x\x07\n:boom:[/nothing]", 3),
        ],
        [
            "0 of 1 tag",
            "pushing registry.test/team/app:[red]1[/] [2J   layers: 1 pushing",
            "  [/b]:x:      pushing = 1.0/4.0 MB     ?",
            "waiting 3 s: {task.description} [link=x] ]0;x  :boom:[/nothing]",
            "sent 1 MB ?",
        ],
    ),
}


@pytest.mark.parametrize(("events", "expected"), FRAMES.values(), ids=FRAMES)
def test_a_frame(events: list[Told | float], expected: list[str]) -> None:
    clock = Clock()
    with live(clock=clock) as shown:
        for event in events:
            if isinstance(event, float):
                clock.now += event
            else:
                tell(shown, event)
        assert frame(shown) == expected


HEIGHTS: list[tuple[int, list[str]]] = [
    (1, ["0 of"]),
    (4, ["0 of", "and 8", "waiting 12"]),
    (5, ["0 of", "and 8", "waiting 12", "sent 6"]),
    (6, ["0 of", f"pushing {ONE}", "and 7", "waiting 12", "sent 6"]),
    (7, ["0 of", f"pushing {ONE}", f"pushing {OTHER}", "and 6", "waiting 12", "sent 6"]),
    (
        10,
        [
            *("0 of", f"pushing {ONE}", "layer0 pushing", "layer1 pushing", "layer2 pushing"),
            *(f"pushing {OTHER}", "and 3", "waiting 12", "sent 6"),
        ],
    ),
    (
        12,
        [
            *("0 of", f"pushing {ONE}", "layer0 pushing", "layer1 pushing", "layer2 pushing"),
            *(f"pushing {OTHER}", "layer0 pushing", "layer1 pushing", "layer2 pushing", "waiting 12", "sent 6"),
        ],
    ),
]
"""The first two words of each line, by the terminal's height."""


@pytest.mark.parametrize(("height", "expected"), HEIGHTS, ids=[str(height) for height, _ in HEIGHTS])
def test_the_display_is_lower_than_the_terminal(height: int, expected: list[str]) -> None:
    events: list[Told] = [PLAN, ONE, OTHER, *upto(3), *upto(3, reference=OTHER), BUSY]
    with live(height) as shown:
        for event in events:
            tell(shown, event)
        lines = frame(shown)
    assert [" ".join(line.split()[:2]) for line in lines] == expected
    assert len(lines) <= max(height - 1, 1)


@pytest.mark.parametrize("width", [10, 20, 40, 60, 120])
def test_a_line_never_wraps(width: int) -> None:
    long = ONE._replace(repository="x" * 200)
    events: list[Told] = [[long], long, layer(long, "y" * 64, PUSHING, 1000, 4000), BUSY._replace(why="z" * 500)]
    with live(width=width) as shown:
        for event in events:
            tell(shown, event)
        lines = frame(shown, width)
    assert len(lines) == len(["the count", "the push", "its bar", "the pause", "all bytes"])
    assert max(map(len, lines)) <= width


def test_a_long_reference_keeps_its_tag_and_counts() -> None:
    long = ONE._replace(repository="x" * 200)
    with live() as shown:
        shown.pushing(long)
        tell(shown, upto(1, reference=long)[0])
        line = frame(shown)[1]
    assert line == f"pushing …{'x' * 49}:1   layers: 1 pushing"
    assert len(line) == 80


class Screen:
    """A terminal of so many lines: what it shows, and what has left it at the top."""

    _PART = re.compile(
        r"\x1b\[(?P<number>\d*)(?P<order>[A-Z])|\x1b\[[?0-9;]*[a-z]|(?P<end>\n)|\r|(?P<text>[^\x1b\r\n]+)"
    )

    def __init__(self, height: int) -> None:
        self.lines = [""] * height
        self.row = 0
        self.left: list[str] = []
        self.frames: list[list[str]] = []

    def show(self, text: str) -> None:
        for part in self._PART.finditer(text):
            if part["order"] == "A":
                self.frames.append([line for line in self.lines if line])
                self.row = max(self.row - int(part["number"] or 1), 0)
            elif part["order"] == "K":
                self.lines[self.row] = ""
            elif part["text"]:
                self.lines[self.row] += part["text"]
            elif part["end"]:
                self.row += 1
                if self.row == len(self.lines):
                    self.left.append(self.lines.pop(0))
                    self.lines.append("")
                    self.row -= 1


ON_A_TERMINAL = """
import time
from pushsafe.report import output
from tests.contract.report.test_progress import BUSY, ONE, OTHER, TWO, done, tell, upto
with output.display(output.Output("human")) as shown:
    for event in ([ONE, TWO, OTHER], ONE, OTHER, BUSY, *upto(30), *upto(30, reference=OTHER), done(TWO)):
        tell(shown, event)
    time.sleep(0.6)  # two frames
"""


def test_a_terminal_of_ten_lines_shows_it_all_and_keeps_nothing() -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (10, 80))
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8"},
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = read_all(controller).decode()
    os.close(controller)
    assert process.wait(timeout=60) == 0, shown
    screen = Screen(10)
    screen.show(shown)
    largest = max(screen.frames, key=len)
    rows = ["1", "pushing", "layer0", "layer1", "layer2", "pushing", "and", "waiting", "sent"]
    assert [line.split()[0] for line in largest] == rows
    assert (screen.left, "".join(screen.lines)) == ([], "")


# ---------------------------------------------------------------------- when it is made


class Noted(Display):
    """A display that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.closed = False

    def planned(self, tags: Sequence[Reference]) -> None:
        self.told.append(tags)

    def pushing(self, reference: Reference) -> None:
        self.told.append(reference)

    def layer(self, event: LayerEvent) -> None:
        self.told.append(event)

    def waiting(self, wait: Wait) -> None:
        self.told.append(wait)

    def finished(self, result: TagResult) -> None:
        self.told.append(result)

    def close(self) -> None:
        self.closed = True


EVENTS: list[Told] = [ONE, layer(ONE, "a", PUSHING, 1, 4), BUSY, done(ONE)]


def test_a_display_is_made_for_a_plan_and_told_everything() -> None:
    made: list[Noted] = []

    def make() -> Display:
        made.append(Noted())
        return made[-1]

    lazy = Lazy(make)
    for event in ([ONE], *EVENTS):
        tell(lazy, event)
    lazy.close()
    assert [(one.told, one.closed) for one in made] == [([[ONE], *EVENTS], True)]


def test_a_run_that_refuses_makes_none_and_its_warnings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    def make() -> Display:
        raise AssertionError("nothing is pushed")

    lazy = Lazy(make)
    lazy.warned(
        [Finding("PS301", "not-logged-in", Severity.WARNING, "credential", ONE, "not logged in", "docker login")]
    )
    for event in EVENTS:
        tell(lazy, event)
    lazy.close()
    assert capsys.readouterr().err.splitlines() == ["warning PS301 not-logged-in: not logged in", "  fix: docker login"]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Display()
    for event in ([ONE], *EVENTS):
        tell(silent, event)
    silent.close()
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------------- whatever happens


def closed() -> TextIO:
    stream = StringIO()
    stream.close()
    return stream


def unread() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", encoding="utf-8")  # noqa: PTH123 - closed by the test


def full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")  # noqa: PTH123 - closed by the test


STREAMS: dict[str, Callable[[], TextIO]] = {"closed": closed, "unread": unread, "full": full}


@pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("kind", ["lines", "live"])
def test_a_stream_that_takes_nothing_harms_nothing(make: Callable[[], TextIO], kind: str) -> None:
    stream = make()
    shown: Display = Lines(stream)
    if kind == "live":
        shown = Live(Console(file=cast(TextIO, Patient(stream)), force_terminal=True))
    for event in ([ONE], *EVENTS):
        tell(shown, event)
    shown.close()
    with suppress(OSError):
        stream.close()


def push(display: Display, tag: Reference) -> None:
    """A push that is tried three times, with many layers and pauses."""
    for _ in range(3):
        display.pushing(tag)
        for number in range(100):
            display.layer(layer(tag, f"layer{number % 7}", PUSHING if number % 3 else SENT, number, 100))
            display.waiting(BUSY)
    display.finished(done(tag))


MANY = [ref(f"registry{number}.test/team/app:1") for number in range(8)]


def test_many_threads_tell_a_log_at_once() -> None:
    stream = StringIO()
    lines = Lines(stream, repeat=lambda _seconds, look: every(0.0001, look))
    lines.planned(MANY)
    with ThreadPoolExecutor(len(MANY)) as pool:
        list(pool.map(lambda tag: push(lines, tag), MANY))
    lines.close()
    first, *others = stream.getvalue().splitlines()
    assert first == "waiting 12 s: registry.test answers 429 (too many requests)"
    assert [line.split()[0] for line in others] == [f"[{number}/8]" for number in range(1, 9)]
    assert {line.split(maxsplit=1)[1] for line in others} == {f"{tag} pushed and verified" for tag in MANY}


def test_many_threads_tell_a_terminal_at_once() -> None:
    over = threading.Event()
    with live(height=10) as shown, ThreadPoolExecutor(len(MANY) + 1) as pool:

        def draw() -> int:
            highest = len(frame(shown))
            while not over.is_set():
                highest = max(highest, len(frame(shown)))
            return highest

        shown.planned(MANY)
        drawn = pool.submit(draw)
        list(pool.map(lambda tag: push(shown, tag), MANY))
        over.set()
        assert drawn.result(timeout=60) < 10
        assert [line.split()[0] for line in frame(shown)] == ["8", "waiting", "sent"]
