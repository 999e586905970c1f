"""The faults: what each does to a request in place of what a registry should do."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pushsafe.demo.registry.http import Answer, Refused, json_answer
from tests.faults.front import Act, Exchange, Reply, Where
from tests.faults.stages import CLASSIC, Deed, Stage

FATAL = frozenset({(CLASSIC, "upload-post")})
"""Engine 28.5 with the classic store dies of an upload that is answered 201, as only a mount may be."""
OTHER = f"sha256:{'5e' * 32}"
"""The digest of nothing that is there."""
ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnol \u200b\r\nOK: pushed and verified\n\x9b2J\x00"

EVERY = frozenset(Deed)
WRITES = frozenset({Deed.OPEN, Deed.SEND, Deed.NAME, Deed.CANCEL})
STORES = frozenset({Deed.SEND, Deed.NAME})
PLACES = frozenset({Deed.OPEN, Deed.SEND})
DIGESTS = frozenset({Deed.LOOK, Deed.READ, Deed.NAME})
BODIES = frozenset({Deed.ASK, Deed.READ, Deed.OPEN, Deed.SEND, Deed.NAME})
DOCUMENTS = frozenset({Deed.ASK, Deed.READ})


@dataclass(frozen=True)
class Fault:
    """`deeds` are those that it makes a difference to. `passing`: it is tried as one that happens once, too.

    `slow`: a run waits for its time to be over. `spares` are ways and stages whose engine dies of it.
    """

    name: str
    what: str
    act: Act
    deeds: frozenset[Deed] = EVERY
    passing: bool = False
    slow: bool = False
    spares: frozenset[tuple[str, str]] = frozenset()

    def fits(self, stage: Stage, way: str) -> bool:
        return stage.deed in self.deeds and (way, stage.name) not in self.spares


# ---------------------------------------------------------------------- ways to answer


def refusing(answer: Answer) -> Act:
    """Nothing is done."""

    def act(exchange: Exchange) -> Reply:
        exchange.skip()
        return Reply(exchange.wire(answer))

    return act


def doing(change: Callable[[Answer], Answer]) -> Act:
    """It is done, and answered otherwise."""
    return lambda exchange: Reply(exchange.wire(change(exchange.deed())))


def having(**headers: str) -> Callable[[Answer], Answer]:
    """With other headers; an empty one is left out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(answer: Answer) -> Answer:
        merged = {**answer.headers, **named}
        return replace(answer, headers={name: value for name, value in merged.items() if value})

    return change


def error(status: int, code: str = "", message: str = "", **headers: str) -> Answer:
    return Refused(status, code or f"FAULT_{status}", message or "no", **headers).answer


def page(status: int) -> Answer:
    body = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Sorry</h1></body></html>"
    return Answer(status, {"Content-Type": "text/html; charset=utf-8"}, body)


def breaking(then: str, *, first: bool) -> Act:
    """No answer; `first`: before it is done."""

    def act(exchange: Exchange) -> Reply:
        if not first:
            exchange.deed()
        return Reply(then=then)  # type: ignore[arg-type]

    return act


def raw(data: bytes) -> Act:
    """What is no answer of HTTP, or an odd one; nothing is done."""

    def act(exchange: Exchange) -> Reply:
        exchange.skip()
        return Reply(data, "close")

    return act


def mangled(change: Callable[[bytes], bytes], *, close: bool = True) -> Act:
    """It is done, and the answer's bytes are changed."""
    return lambda exchange: Reply(change(exchange.wire(exchange.deed())), "close" if close else "go on")


def redirecting(status: int, where: Where) -> Act:
    def act(exchange: Exchange) -> Reply:
        exchange.skip()
        place = exchange.place(where)
        mark = "&" if "?" in place else "?"  # a redirect to the very same is a loop, which ends after some steps
        return Reply(exchange.wire(Answer(status, {"Location": f"{place}{mark}again=1"})))

    return act


def located(text: Callable[[Exchange, str], str]) -> Act:
    """It is done, and what is to follow is said to be somewhere else; nothing: the header is left out."""

    def act(exchange: Exchange) -> Reply:
        answer = exchange.deed()
        place = text(exchange, answer.headers.get("Location", ""))
        return Reply(exchange.wire(having(Location=place)(answer)))

    return act


def leading(where: Where) -> Act:
    return located(lambda exchange, place: exchange.front.place(where) + place)


def claiming(exchange: Exchange) -> Reply:
    return Reply(exchange.wire(exchange.claim()))


def early(exchange: Exchange) -> Reply:
    """An answer before the body was read, and the connection is closed on it, as proxies do it."""
    return Reply(
        exchange.wire(replace(page(413), headers={"Content-Type": "text/html", "Connection": "close"})), "close"
    )


def dripping(exchange: Exchange) -> Reply:
    return Reply(exchange.wire(exchange.deed()), pause=0.5)


def cut(data: bytes) -> bytes:
    """Half of the body; of an answer without one, half of its head."""
    head, mark, body = data.partition(b"\r\n\r\n")
    return head + mark + body[: len(body) // 2] if body else data[: len(head) // 2]


def chunked(data: bytes) -> bytes:
    """A body in chunks whose second length is none."""
    head, mark, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    start = b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + mark
    return start + (f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b"") + b"zz\r\n"


def doubled(data: bytes) -> bytes:
    head, mark, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return b"\r\n".join([first, *(line for line in lines for _ in range(2))]) + mark + body


def preceded(data: bytes) -> bytes:
    return b"HTTP/1.1 100 Continue\r\n\r\n" + data


def inserted(*lines: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        first, mark, rest = data.partition(b"\r\n")
        return first + mark + b"".join(line + b"\r\n" for line in lines) + rest

    return change


def body(content: bytes, media_type: str = "") -> Callable[[Answer], Answer]:
    def change(answer: Answer) -> Answer:
        if answer.file:
            answer.file.close()
        kind = {"Content-Type": media_type} if media_type else {}
        return replace(answer, headers={**answer.headers, **kind}, body=content, file=None)

    return change


# ---------------------------------------------------------------------- the table


ELSEWHERE: Mapping[Where, str] = {"port": "to another port", "host": "to another host", "https": "to HTTPS"}
STATUSES = {
    400: "Bad Request", 401: "Unauthorized, without a challenge", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed", 413: "Content Too Large",
    416: "Range Not Satisfiable", 429: "Too Many Requests", 451: "Unavailable For Legal Reasons",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip
PASSING = {401, 429, 500, 503}


def _faults() -> Iterator[Fault]:
    for status, words in STATUSES.items():
        yield Fault(str(status), f"{status} {words}", refusing(error(status)), passing=status in PASSING)
    tired = error(429, "TOOMANYREQUESTS", "slow down", Retry_After="1")
    yield Fault("429-after", "429 with `Retry-After: 1`", refusing(tired), passing=True)
    tired = error(429, "TOOMANYREQUESTS", "slow down", Retry_After="86400")
    yield Fault("429-day", "429 with a `Retry-After` of a day", refusing(tired), passing=True)
    tired = error(503, "UNAVAILABLE", "soon", Retry_After="1")
    yield Fault("503-after", "503 with `Retry-After: 1`", refusing(tired), passing=True)
    basic = error(401, "UNAUTHORIZED", "who are you", WWW_Authenticate='Basic realm="other"')
    yield Fault("401-basic", "401 with a challenge of the other kind", refusing(basic))
    odd = error(401, "UNAUTHORIZED", "who are you", WWW_Authenticate='Bearer realm=,,"="", x')
    yield Fault("401-odd", "401 with a challenge that is not one", refusing(odd))
    for status in (200, 403, 502):
        yield Fault(f"html{status}", f"a page of HTML, {status}", refusing(page(status)), passing=status == 200)
    yield Fault("empty", "200 and nothing", refusing(Answer(200)), passing=True)
    for status in (201, 202, 204):
        bare, spares = refusing(Answer(status)), FATAL if status == 201 else frozenset()
        yield Fault(f"bare-{status}", f"{status} and nothing, nothing done", bare, passing=status == 201, spares=spares)
    for status in (200, 201, 202, 204):
        yield Fault(
            f"as-{status}",
            f"done, and answered {status}",
            doing(lambda answer, status=status: replace(answer, status=status)),  # type: ignore[misc]
            spares=FATAL if status == 201 else frozenset(),
        )
    yield Fault("stores-nothing", "nothing done, answered as if it were", claiming, WRITES, passing=True)
    for status in (403, 500, 502):
        yield Fault(
            f"after-{status}",
            f"done, and answered {status}",
            doing(lambda _answer, status=status: error(status)),  # type: ignore[misc]
            passing=True,
        )
    yield from _broken()
    yield from _headers()
    yield from _redirects()
    yield from _bodies()
    yield from _protocols()


def _broken() -> Iterator[Fault]:
    for then, words in (("close", "closed without an answer"), ("reset", "reset")):
        yield Fault(f"{then}-before", f"{words}, nothing done", breaking(then, first=True), passing=True)
        yield Fault(f"{then}-after", f"done, and {words}", breaking(then, first=False), passing=True)
    yield Fault("hang-before", "silence, nothing done", breaking("hang", first=True), passing=True, slow=True)
    yield Fault("hang-after", "done, and silence", breaking("hang", first=False), passing=True, slow=True)
    yield Fault("truncated", "done, half of the answer", mangled(cut), passing=True)
    yield Fault("drip", "a byte of the answer each half second", dripping, slow=True)
    yield Fault("early-413", "413 before the content was read, and closed", early, STORES)


def _headers() -> Iterator[Fault]:
    named = "Docker-Content-Digest"
    for name, digest, words in (
        ("digest-wrong", OTHER, f"another `{named}`"),
        ("digest-missing", "", f"no `{named}`"),
        ("digest-odd", "sha256:../../x", f"a `{named}` that is not one"),
    ):
        change = having(Docker_Content_Digest=digest)
        yield Fault(name, words, doing(change), DIGESTS, passing=digest == OTHER)
    yield Fault("type-wrong", "a `Content-Type` of text/html", doing(having(Content_Type="text/html")))
    yield Fault("type-missing", "no `Content-Type`", doing(having(Content_Type="")), DOCUMENTS | {Deed.LOOK})
    zipped = doing(having(Content_Encoding="gzip"))
    yield Fault("gzip-garbage", "`Content-Encoding: gzip`, and it is not", zipped, BODIES)
    yield Fault("headers-doubled", "every header twice", mangled(doubled, close=False))
    yield Fault("headers-many", "150 headers more", mangled(inserted(*(b"X-%d: y" % n for n in range(150)))))
    yield Fault("header-huge", "a header of 100 kB", mangled(inserted(b"X-Huge: " + b"y" * 100_000)))
    control = inserted(b"X-Control: \x1b[31m\x07\x00", b"X Bad", b" folded: \x9b2J")
    yield Fault("headers-odd", "control characters, no colon, folded lines", mangled(control))
    yield Fault("length-short", "a `Content-Length` of less than there is", doing(having(Content_Length="1")), BODIES)
    yield Fault("length-negative", "a `Content-Length` of -1", doing(having(Content_Length="-1")), BODIES)
    yield Fault("chunks-odd", "a chunk whose length is none", mangled(chunked), BODIES)
    yield Fault("continue", "100 Continue first", mangled(preceded, close=False))
    yield Fault("location-missing", "no `Location`", located(lambda _exchange, _place: ""), PLACES)
    yield Fault("location-odd", "a `Location` that is not one", located(lambda _e, _p: "http://[::bad/%zz"), PLACES)
    for where in ELSEWHERE:
        yield Fault(f"location-{where}", f"a `Location` {ELSEWHERE[where]}", leading(where), PLACES)


def _redirects() -> Iterator[Fault]:
    for status in (301, 302, 303, 307, 308):
        act = redirecting(status, "own")
        yield Fault(f"{status}-same", f"{status} to the same place", act, passing=status == 307)
    places: tuple[tuple[int, Where], ...] = (
        (301, "host"), (302, "port"), (307, "port"), (307, "host"), (308, "port"), (307, "https"),
    )  # fmt: skip
    for status, where in places:
        act, passing = redirecting(status, where), where == "port" and status == 307
        yield Fault(f"{status}-{where}", f"{status}, which leads {ELSEWHERE[where]}", act, passing=passing)
    yield Fault("307-nowhere", "307 without a `Location`", refusing(Answer(307)))
    yield Fault("307-odd", "307 to what is not a URL", refusing(Answer(307, {"Location": "javascript:alert(1)//\x7f"})))


def _bodies() -> Iterator[Fault]:
    forged = refusing(error(403, "DENIED", ESCAPES))
    yield Fault("escapes", "escapes and forged lines in the words of a 403", forged, BODIES)
    long = refusing(error(403, "DENIED", "x " * 15_000))
    yield Fault("errors-long", "a 403 with 30 kB of words", long, BODIES)
    inside = refusing(replace(error(403, "DENIED"), status=200))
    yield Fault("errors-in-200", "200 with an error in it", inside, BODIES)
    for name, errors, words in (
        ("errors-shape", {"code": 1}, "a 403 whose errors are not a list"),
        (
            "errors-odd",
            [None, 3, {"code": {"a": []}, "message": 5, "detail": "x"}],
            "a 403 whose errors have odd types",
        ),
    ):
        yield Fault(name, words, refusing(json_answer(403, {"errors": errors})), BODIES)
    odd = {"token": {"a": 1}, "access_token": [], "errors": 5, "layers": {}, "config": []}
    for name, content, words in (
        ("json-half", b'{"token": "ab', "half of a document"),
        ("json-list", b"[1, [2]]", "a list for a document"),
        ("json-null", b"null", "null for a document"),
        ("json-shape", json.dumps(odd).encode(), "odd types in a document"),
        ("json-empty", b'{"token": "", "access_token": ""}', "a document with nothing in it"),
        ("json-deep", b"[" * 20_000, "a document that is 20,000 lists deep"),
    ):
        yield Fault(name, words, doing(body(content, "application/json")), DOCUMENTS, passing=name == "json-half")
    broken = refusing(Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}")[:-6]))
    yield Fault("gzip-cut", "a compressed body that breaks off", broken, DOCUMENTS)
    other = doing(body(b'{"schemaVersion": 2, "layers": []}'))
    yield Fault("other-content", "a manifest of something else", other, frozenset({Deed.READ}))


def _protocols() -> Iterator[Fault]:
    yield Fault("tls-alert", "a TLS alert", raw(b"\x15\x03\x01\x00\x02\x02\x46"), passing=True)
    yield Fault("ssh-banner", "an SSH banner", raw(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))
    yield Fault("http09", "a page without a head", raw(b"<html><body>hello</body></html>"))
    yield Fault("http2", "an HTTP/2 frame", raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d"))
    yield Fault("status-odd", "a status that is not a number", raw(b"HTTP/1.1 abc Odd\r\nContent-Length: 0\r\n\r\n"))
    yield Fault("status-999", "999", raw(b"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n"))


FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _faults()}
"""By name."""
