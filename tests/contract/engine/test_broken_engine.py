"""Engines that die, are silent, or send garbage, and what answers in their place: each in one sentence, and soon."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest

from pushsafe.engine import api as engine_module
from pushsafe.engine import http_stream, push_stream
from pushsafe.engine.api import Engine
from pushsafe.engine.push_stream import Line, lines, read_push_stream
from pushsafe.model.errors import EngineFailed, EngineUnreachable, PushsafeError
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import LocalImage
from pushsafe.model.outcomes import EngineAccepted, EngineRefused, LayerEvent, Layers
from pushsafe.model.request import EngineAddress
from tests.fakes.blunt import BluntEngine, Sent, answer, chunked
from tests.values import logged_in, nobody, ref, sha

APP = ref("registry.test/acme/app:1")
PAGE = b"<html><title>Sign in</title></html>"
HEAD = b"HTTP/1.1 200 OK\r\n"
LAYER = b'{"status":"Pushing","progressDetail":{"current":1,"total":9},"id":"aaa"}\r\n'
DONE = json.dumps({"status": f"1: digest: {sha('d')} size: 7"}).encode() + b"\r\n"

NO_ANSWER = "the connection was closed without an answer"
IN_THE_MIDDLE = "the connection was closed in the middle of an answer"
NOT_HTTP = "what answers there is not HTTP"


def to(host: str, silence: float | None = None) -> Engine:
    return Engine(EngineAddress(host, "DOCKER_HOST"), silence=silence)


def push(host: str, silence: float | None = None, told: Callable[[LayerEvent], None] = lambda _: None) -> Any:
    return to(host, silence).push(APP, nobody(), None, told)


def failure(host: str, ask: Callable[[], Any]) -> tuple[type[PushsafeError], str]:
    """What a question ends with, the engine's address left out."""
    with pytest.raises(PushsafeError) as caught:
        ask()
    assert "\n" not in caught.value.message
    return type(caught.value), caught.value.message.replace(f"{host} (DOCKER_HOST)", "HERE")


# --------------------------------------------------------------------------- garbage in place of an answer

GARBAGE: dict[str, tuple[Sent, str]] = {
    "nothing": (b"", NO_ANSWER),
    "HTTP/0.9": (b"hello\n", NOT_HTTP),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", NOT_HTTP),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02F", NOT_HTTP),
    "a status of letters": (b"HTTP/1.1 OK\r\n\r\n", NOT_HTTP),
    "too many headers": (HEAD + b"X: y\r\n" * 2000 + b"\r\n", NOT_HTTP),
    "a header of 100 kB": (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", NOT_HTTP),
    "half a head": (b"HTT", NOT_HTTP),
    "half of its length": (answer(b"{}" * 50, whole=False), IN_THE_MIDDLE),
    "a chunk cut": (chunked(b"{}", end=b"5\r\n{"), IN_THE_MIDDLE),
    "no last chunk": (chunked(b"{}", end=b""), IN_THE_MIDDLE),
    "no chunk at all": (chunked(end=b""), IN_THE_MIDDLE),
    "the length of a chunk in words": (chunked(end=b"zz\r\n"), IN_THE_MIDDLE),
    "a chunk's length of 10 MB": (chunked(end=b"0" * 10_000_000), NOT_HTTP),
}


@pytest.mark.parametrize(("sent", "cause"), GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("at", ["/_ping", "/info"])
def test_garbage_is_told_in_words(at: str, sent: Sent, cause: str) -> None:
    with BluntEngine({at: sent}) as engine:
        ended = failure(engine.host, lambda: to(engine.host).info())
    assert ended == (EngineUnreachable, f"no engine answers at HERE: {cause}")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (answer(PAGE, media_type="text/html"), "what answers at HERE is no docker engine: it names no API version"),
        (
            answer(PAGE, status="502 Bad Gateway", media_type="text/html"),
            f"what answers at HERE answers 502 to GET /_ping: {PAGE.decode()}",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://sign.in.test/\r\nContent-Length: 0\r\n\r\n",
            "what answers at HERE is no docker engine: it names no API version",
        ),
    ],
    ids=["page", "error page", "redirect"],
)
def test_a_proxy_that_answers_for_the_engine(sent: bytes, message: str) -> None:
    with BluntEngine({"/_ping": sent}) as engine:
        assert failure(engine.host, lambda: to(engine.host)) == (EngineFailed, message)


# --------------------------------------------------------------------------- a push that comes to no good end

NO_ENGINE = f"what answers at HERE to the push of {APP} is not a docker engine: it says "
BROKE_OFF = f"the engine at HERE broke off the push of {APP}: "
PUSHES: dict[str, tuple[Sent, type[PushsafeError], str]] = {
    "nothing": (b"", EngineUnreachable, f"no engine answers at HERE: {NO_ANSWER}"),
    "no HTTP": (b"hello\n", EngineUnreachable, f"no engine answers at HERE: {NOT_HTTP}"),
    "no last chunk": (chunked(LAYER, end=b""), EngineUnreachable, BROKE_OFF + IN_THE_MIDDLE),
    "a chunk cut": (chunked(LAYER, end=b"ff\r\n{"), EngineUnreachable, BROKE_OFF + IN_THE_MIDDLE),
    "cut after the digest": (chunked(LAYER, DONE, end=b""), EngineUnreachable, BROKE_OFF + IN_THE_MIDDLE),
    "half a line": (chunked(LAYER, DONE[:20]), EngineUnreachable, f"{BROKE_OFF}its last line is incomplete"),
    "half a line of no length": (HEAD + b"\r\n" + LAYER + DONE[:20], EngineUnreachable,
                                 f"{BROKE_OFF}its last line is incomplete"),
    "page": (answer(PAGE + b"\n", media_type="text/html"), EngineFailed, NO_ENGINE + PAGE.decode()),
    "error page": (answer(PAGE, status="502 Bad Gateway"), EngineFailed,
                   f"what answers at HERE answers 502 to the push of {APP}: {PAGE.decode()}"),
    "a list": (chunked(b"[1, 2]\r\n"), EngineFailed, f"{NO_ENGINE}[1, 2]"),
    "a number": (chunked(b"7\r\n"), EngineFailed, f"{NO_ENGINE}7"),
    "nested": (chunked(b"[" * 99_999 + b"\r\n"), EngineFailed, NO_ENGINE + "[" * 299 + "\u2026"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "kind", "message"), PUSHES.values(), ids=PUSHES)
def test_a_push_that_comes_to_no_good_end(sent: Sent, kind: type[PushsafeError], message: str) -> None:
    with BluntEngine({"/push": sent}) as engine:
        assert failure(engine.host, lambda: push(engine.host)) == (kind, message)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(status: str) -> None:
    """docker's client follows none, and X-Registry-Auth would go along."""
    with BluntEngine({"": b""}) as elsewhere:
        away = f"HTTP/1.1 {status}\r\nLocation: http+docker://{elsewhere.host}/\r\nContent-Length: 0\r\n\r\n".encode()
        with BluntEngine({"/push": away, "/json": away}) as engine:
            asked = to(engine.host)
            with pytest.raises(EngineFailed, match=f"answers {status[:3]} to the push of"):
                asked.push(APP, logged_in(), None, lambda _: None)
            assert isinstance(asked.distribution(APP, logged_in()), Evidence)
            assert (len(engine.requests), elsewhere.requests) == (3, [])


# --------------------------------------------------------------------------- bounds


def endless(start: bytes, again: bytes) -> Iterator[bytes]:
    yield start
    yield from repeat(again)


def slow(start: bytes, again: bytes) -> Iterator[bytes]:
    for part in endless(start, again):
        yield part
        time.sleep(0.05)


OPEN = HEAD + b"\r\n"
REFUSAL = b"HTTP/1.1 500 no\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (lambda: endless(OPEN, b"[" * 65536), "the engine's answer to GET /info is larger than 1 MB"),
        (lambda: slow(OPEN, b"["), "the engine's answer to GET /info is not complete after 0.5 seconds"),
        (lambda: endless(REFUSAL, b"x" * 65536), f"the engine answers 500 to GET /info: {'x' * 499}\u2026"),
        (lambda: slow(REFUSAL, b"x"), "the engine's answer to GET /info is not complete after 0.5 seconds"),
    ],
    ids=["endless", "slow", "an endless refusal", "a slow refusal"],
)
def test_an_answer_without_an_end(sent: Callable[[], Sent], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_stream, "LARGEST_ANSWER", 1 << 20)
    monkeypatch.setattr(engine_module, "WHOLE", 0.5)
    began = time.monotonic()
    with BluntEngine({"/info": sent}) as engine:
        assert failure(engine.host, lambda: to(engine.host).info()) == (EngineFailed, message)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("end", [b"", b'"},"error":"x"}\r\n'], ids=["no end", "with its end"])
def test_a_long_error_of_a_registry_is_cut(end: bytes) -> None:
    """The engine hands on as many megabytes as a registry puts into its message."""
    error = b'{"errorDetail":{"message":"denied: \\u00e4 ' + b"x" * (8 << 20) + end
    began = time.monotonic()
    with BluntEngine({"/push": chunked(LAYER, error)}) as engine:
        said = push(engine.host)
    assert isinstance(said, EngineRefused)
    assert said.evidence == Evidence(Stage.PUSH, ("denied: \u00e4 " + "x" * 500)[:499] + "\u2026")
    assert time.monotonic() - began < 5


def read(*parts: bytes) -> Any:
    return read_push_stream(APP, lines(parts), lambda _: None)


def test_a_line_that_is_too_long_is_no_failure_unless_it_is_the_error() -> None:
    long = b'{"status":"' + b"x" * (2 << 20) + b'"}\r\n'
    assert read(LAYER, long, DONE) == EngineAccepted(sha("d"), Layers())
    said = f"the engine ended the push without naming a digest; a line of {len(long) - 1} bytes was not read to its end"
    assert read(LAYER, long) == EngineRefused(Evidence(Stage.PUSH, said))


@pytest.mark.parametrize(
    "long",
    [
        b'{"errorDetail":{"message":"denied: no',
        b'{"errorDetail":{"code":401,"message":"denied: no',
        b' { "errorDetail" : { "message" : "denied: no',
        b'{"error":"denied: no',
    ],
)
def test_the_error_of_a_line_that_is_too_long(long: bytes) -> None:
    answered = read(long + b"\\" * (2 << 20) + b"\n")
    assert isinstance(answered, EngineRefused)
    assert answered.evidence.message.startswith("denied: no\\")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((b"a\nb\n",), [b"a", b"b"]),
        ((b"a", b"\n", b"b", b"\n"), [b"a", b"b"]),
        ((b"a\n\nb",), [b"a", b"", b"b"]),
        ((b"\n",), [b""]),
        ((b"", b""), []),
        ((b"abc", b"def\ng"), [b"abcdef", b"g"]),
    ],
)
def test_lines(parts: tuple[bytes, ...], expected: list[bytes]) -> None:
    found = list(lines(parts))
    assert [line.content for line in found] == expected
    assert [line.length for line in found] == [len(line) for line in expected]
    assert [line.ended for line in found][-1:] == ([b"".join(parts).endswith(b"\n")] if expected else [])


@pytest.mark.parametrize("size", [1, 512, 65536])
def test_a_line_is_cut_wherever_its_parts_end(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_stream, "LONGEST_LINE", 1000)
    text = b"a" * 999 + b"\n" + b"b" * 1000 + b"\n" + b"c" * 5000 + b"\n" + b"d"
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    found = [(line.content, line.length) for line in lines(parts)]
    assert found == [(b"a" * 999, 999), (b"b" * 1000, 1000), (b"c" * 1000, 5000), (b"d", 1)]


@pytest.mark.parametrize(
    ("said", "shown"), [(r"no \"right\"\u0021 ", 'no "right"!'), (r"odd \x", "odd"), (r"half \u00", "half")]
)
def test_the_beginning_of_an_error_that_is_too_long(said: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no JSON in it, as of an engine that is none, ends what is shown."""
    monkeypatch.setattr(push_stream, "LONGEST_LINE", 1000)
    line = f'{{"errorDetail":{{"message":"{said}{"y" * 5000}"}},"error":"z"}}\n'
    found = read_push_stream(APP, lines([line.encode()]), lambda _event: None)
    assert isinstance(found, EngineRefused)
    assert found.evidence.message.startswith(shown)


@pytest.mark.parametrize("part", [b"x" * 65536, LAYER * 900], ids=["one line", "many lines"])
def test_64_megabytes_take_seconds_and_little_memory(part: bytes) -> None:
    began = time.monotonic()
    assert sum(line.length for line in lines(repeat(part, (64 << 20) // len(part)))) > 60_000_000
    assert time.monotonic() - began < 30
    tracemalloc.start()
    for _ in lines(repeat(part, 100)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_layers_without_number_are_not_all_kept() -> None:
    told: list[str] = []
    many = (Line(line, len(line)) for line in (b'{"status":"Pushed","id":"%d"}' % number for number in range(30_000)))
    read_push_stream(APP, many, lambda event: told.append(event.layer))
    assert len(told) == push_stream.MOST_LAYERS


# --------------------------------------------------------------------------- silence


def still(number: int) -> bytes:
    return b'{"status":"Pushing","progressDetail":{"current":%d,"total":99},"id":"aaa"}\r\n' % number


def pausing(*parts: bytes | float) -> Callable[[], Iterator[bytes]]:
    def sent() -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                time.sleep(part)

    return sent


WAITS = {
    "silent from the beginning": pausing(5.0),
    "silent after a while": pausing(OPEN + LAYER, 5.0),
    "saying the same again and again": pausing(OPEN, *(part for _ in range(100) for part in (LAYER, 0.05))),
    "of two layers": pausing(
        OPEN, *(part for _ in range(100) for part in (LAYER, LAYER.replace(b"aaa", b"bbb"), 0.05))
    ),
}


@pytest.mark.parametrize("sent", WAITS.values(), ids=WAITS)
def test_a_push_without_a_word_has_an_end(sent: Callable[[], Iterator[bytes]]) -> None:
    began = time.monotonic()
    with BluntEngine({"/push": sent}) as engine:
        with pytest.raises(EngineUnreachable) as caught:
            push(engine.host, silence=0.6)
        where = f"{engine.host} (DOCKER_HOST)"
    assert caught.value.message == (
        f"no word from the engine at {where} for 0.6 seconds in the push of {APP}: it is waiting for the "
        "registry, or hangs"
    )
    assert "--timeout" in caught.value.hint
    assert time.monotonic() - began < 3


def test_a_layer_that_travels_is_waited_for() -> None:
    parts = [part for number in range(12) for part in (still(number), 0.1)]
    with BluntEngine({"/push": pausing(OPEN, *parts, DONE)}) as engine:
        assert push(engine.host, silence=0.6) == EngineAccepted(sha("d"), Layers())


def test_a_push_that_begins_a_layer_again_says_something_new() -> None:
    again = [part for number in (90, 10, 20, 30, 40, 50, 60, 70) for part in (still(number), 0.2)]
    with BluntEngine({"/push": pausing(OPEN, *again, DONE)}) as engine:
        assert push(engine.host, silence=0.6) == EngineAccepted(sha("d"), Layers())


def test_who_has_limited_the_whole_run_waits_as_long_as_that() -> None:
    with BluntEngine({"/push": pausing(OPEN, LAYER, 1.0, DONE)}) as engine:
        assert push(engine.host, silence=None) == EngineAccepted(sha("d"), Layers())


# --------------------------------------------------------------------------- numbers

MOST = 2**63 - 1
NUMBERS: dict[str, int] = {
    "1": 1, "-1": 0, "1" + "0" * 400: MOST, "-1" + "0" * 400: 0, "9" * 5000: MOST, "12.7": 12, "1e400": MOST,
    "-1e400": 0, "1e3": 1000, "NaN": 0, "Infinity": MOST, "-Infinity": 0, "true": 0, "null": 0, '"7"': 0, "[1]": 0,
    "{}": 0, str(MOST): MOST, str(MOST + 1): MOST,
}  # fmt: skip


@pytest.mark.parametrize(("written", "number"), NUMBERS.items(), ids=[text[:20] for text in NUMBERS])
def test_numbers_of_every_kind(written: str, number: int) -> None:
    told: list[LayerEvent] = []
    detail = f'{{"current": {written}, "total": {written}}}'
    sent = f'{{"status": "Pushed", "id": "a", "progressDetail": {detail}}}\n'.encode()
    answered = read_push_stream(APP, lines((sent, DONE)), told.append)
    assert [(event.current, event.total) for event in told] == [(number, number)]
    assert answered == EngineAccepted(sha("d"), Layers(0, 0, 1, number, () if number else ("a",)))


@pytest.mark.parametrize(
    ("written", "size"), [("1" + "0" * 400, MOST), ("9" * 5000, MOST), ("-5", 0), ("7.5", 7), ("null", 0)]
)
def test_the_size_of_an_image(written: str, size: int) -> None:
    text = f'{{"Id": "{sha("a")}", "Os": "linux", "Architecture": "amd64", "Size": {written}}}'.encode()
    with BluntEngine({"/json": answer(text)}) as engine:
        image = to(engine.host).image(APP)
    assert isinstance(image, LocalImage)
    assert image.size == size
