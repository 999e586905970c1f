"""Which address is spoken to, how often, within which limits, and what a redirect or a proxy gets to see."""

from __future__ import annotations

import ast
import gzip
import json
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pushsafe.model.errors import RegistryAstray, RegistryUnreachable, TlsFailed
from pushsafe.registry.http import transport
from pushsafe.registry.http.connection import CONNECTIONS
from pushsafe.registry.http.transport import ERROR_LIMIT, Response, Transport, place_of
from tests.contract.registry.conftest import Names
from tests.fakes.registry import (
    BASE,
    HTML_ERROR,
    OK,
    UNAUTHORIZED,
    Answer,
    Certificate,
    FakeRegistry,
    certificate,
    on,
    ping,
    redirect,
)

pytestmark = pytest.mark.usefixtures("no_proxy")
_PLAIN = ["(plain) "]


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# --------------------------------------------------------------------------- which address


@pytest.mark.parametrize("name", ["127.0.0.1:{port}", "127.0.0.1:0{port}", "localhost:{port}", "localhost:000{port}"])
def test_loopback_is_asked_by_plain_http_first(name: str) -> None:
    with FakeRegistry(ping()) as registry:
        name = name.format(port=registry.port)
        endpoint = Transport().endpoint(name)
        assert (endpoint.base, registry.seen()) == (f"http://{name}", ["GET /v2/"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_asked_by_https_where_plain_http_is_answered_400(
    host: str, signed: Certificate, names: Names
) -> None:
    names()
    with FakeRegistry(ping(), certificate=signed) as registry:
        endpoint = Transport().endpoint(f"{host}:{registry.port}")
        assert endpoint.base == f"https://{host}:{registry.port}"
        assert registry.seen() == [*_PLAIN, "GET /v2/"]


def test_a_400_of_plain_http_stands_where_https_fails() -> None:
    with FakeRegistry(ping(Answer(400, "no"))) as registry:
        assert Transport().endpoint(registry.host).ping.status == 400


def test_any_other_registry_is_asked_by_https_only(trusted: Certificate, names: Names) -> None:
    names("registry.test")
    with FakeRegistry(ping(), certificate=trusted) as registry:
        endpoint = Transport().endpoint(f"registry.test:{registry.port}")
        assert endpoint.base == f"https://registry.test:{registry.port}"
        assert endpoint.verify
        assert registry.seen() == ["GET /v2/"]


def test_docker_io_is_spoken_to_at_its_registry_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def send(_self: Transport, _method: str, url: str, **_options: Any) -> Response:
        asked.append(url)
        return Response(200, {}, b"")

    monkeypatch.setattr(Transport, "send", send)
    Transport().endpoint("docker.io")
    assert asked == ["https://registry-1.docker.io/v2/"]


@pytest.mark.parametrize(
    ("tls", "insecure", "scheme"),
    [
        ("trusted", (), "https"),
        ("self-signed", (), None),
        ("self-signed", ("registry.test:{port}",), "https"),
        ("self-signed", ("127.0.0.0/8",), None),  # the engine's own entry; it says nothing of names
        ("none", (), None),
        ("none", ("registry.test:{port}",), "http"),
        ("none", ("registry.test",), None),  # docker compares names with their ports
        ("none", ("other.test:{port}", "10.0.0.0/8"), None),
    ],
)
def test_only_the_engines_list_lets_a_registry_be_insecure(
    tls: str,
    insecure: tuple[str, ...],
    scheme: str | None,
    signed: Certificate,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names("registry.test")
    if tls == "trusted":
        monkeypatch.setenv("SSL_CERT_FILE", str(signed.authority))
    with FakeRegistry(ping(), certificate=None if tls == "none" else signed) as registry:
        listed = tuple(one.format(port=registry.port) for one in insecure)
        name = f"registry.test:{registry.port}"
        if scheme is None:
            with pytest.raises(RegistryUnreachable):
                Transport(lambda: listed).endpoint(name)
            # One that speaks no TLS is asked whether it speaks plain HTTP, as nobody, and only to say so.
            asked = [(one.method, one.path, one.authorization) for one in registry.requests]
            assert asked == ([("GET", "/v2/", "")] if tls == "none" else [])
        else:
            endpoint = Transport(lambda: listed).endpoint(name)
            assert (endpoint.base, endpoint.verify) == (f"{scheme}://{name}", tls == "trusted")


def test_the_engines_list_is_not_asked_for_where_https_works(trusted: Certificate, names: Names) -> None:
    def ask() -> tuple[str, ...]:
        raise AssertionError("the engine was asked")

    names("registry.test")
    with FakeRegistry(ping(), certificate=trusted) as registry:
        Transport(ask).endpoint(f"registry.test:{registry.port}")


@pytest.mark.parametrize("name", ["127.0.0.1:{port}", "localhost:{port}", "127.8.9.1:{port}"])
def test_loopback_of_an_engine_elsewhere_is_not_ours(name: str) -> None:
    with FakeRegistry() as registry:
        with pytest.raises(RegistryUnreachable, match="on the engine's machine, which is not this one"):
            Transport(engine_is_local=lambda: False).endpoint(name.format(port=registry.port))
        assert registry.requests == []


# --------------------------------------------------------------------------- how often


def test_one_ping_for_each_registry_and_run_from_many_threads() -> None:
    with FakeRegistry(ping(Answer(delay=0.05))) as registry, ThreadPoolExecutor(8) as pool:
        spoken = Transport()
        found = list(pool.map(spoken.endpoint, [registry.host] * 16))
        assert registry.seen() == ["GET /v2/"]
        assert len(set(map(id, found))) == 1


def test_one_attempt_for_each_unreachable_registry_and_run(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names()
    spoken, asked = Transport(), []
    real = spoken.send

    def send(*args: Any, **options: Any) -> Response:
        asked.append(args[1])
        return real(*args, **options)

    monkeypatch.setattr(spoken, "send", send)
    for _ in range(3):
        with pytest.raises(RegistryUnreachable):
            spoken.endpoint("registry.test")
    assert asked == ["https://registry.test/v2/"]


def test_two_registries_are_pinged_side_by_side() -> None:
    both = threading.Barrier(2)

    def meet(_request: object) -> Answer:
        both.wait(5)
        return OK

    with FakeRegistry(ping(meet)) as one, FakeRegistry(ping(meet)) as other, ThreadPoolExecutor(2) as pool:
        assert [endpoint.ping.status for endpoint in pool.map(Transport().endpoint, [one.host, other.host])] == [
            200
        ] * 2


def test_a_connection_serves_many_requests() -> None:
    with FakeRegistry(ping(UNAUTHORIZED), on("GET|HEAD|POST", "/.*", Answer(200, {"some": "body"}))) as registry:
        spoken = Transport()
        endpoint = spoken.endpoint(registry.host)
        for method in ("GET", "HEAD", "POST", "GET"):
            spoken.send(method, f"{endpoint.base}/x", verify=endpoint.verify)
        assert len({request.connection for request in registry.requests}) == 1


def test_every_thread_keeps_its_connection() -> None:
    together = threading.Barrier(CONNECTIONS)

    def meet(_request: object) -> Answer:
        together.wait(5)
        return OK

    with FakeRegistry(on("GET", "/", meet)) as registry, ThreadPoolExecutor(CONNECTIONS) as threads:
        spoken = Transport()
        for _ in range(2):
            list(threads.map(lambda _: spoken.send("GET", f"{registry.base}/"), range(CONNECTIONS)))
        assert len(registry.requests) == 2 * CONNECTIONS
        assert len({request.connection for request in registry.requests}) == CONNECTIONS


@pytest.mark.parametrize(
    "large", [Answer(200, b"x" * 300_000), Answer(200, "x" * 60, pause=0.005)], ids=["all", "drops"]
)
def test_after_an_answer_that_is_too_large_comes_the_next_one(large: Answer) -> None:
    with FakeRegistry(on("GET", "/large", large), on("GET", "/next", Answer(200, "n"))) as registry:
        spoken = Transport()
        with pytest.raises(RegistryUnreachable, match="an answer of more than 20 bytes"):
            spoken.send("GET", f"{registry.base}/large", limit=20)
        assert spoken.send("GET", f"{registry.base}/next").body == b"n"


# --------------------------------------------------------------------------- limits


@pytest.mark.parametrize(("size", "fits"), [(999, True), (1000, True), (1001, False), (100_000, False)])
def test_size(size: int, fits: bool) -> None:
    with FakeRegistry(on("GET", "/", Answer(200, b"x" * size))) as registry:
        if fits:
            assert len(Transport().send("GET", f"{registry.base}/", limit=1000).body) == size
        else:
            with pytest.raises(RegistryUnreachable, match="more than 1000 bytes"):
                Transport().send("GET", f"{registry.base}/", limit=1000)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
@pytest.mark.parametrize(("size", "whole"), [(ERROR_LIMIT, True), (ERROR_LIMIT + 2, False), (9 * ERROR_LIMIT, False)])
def test_what_a_refusal_says_is_cut(size: int, whole: bool, status: int) -> None:
    """What was left unread is not taken for the next answer: the connection is another one."""
    long = Answer(status, b"x" * size)
    with FakeRegistry(on("GET", "/long", long), on("GET", "/next", Answer(200, "n"))) as registry:
        spoken = Transport()
        answer = spoken.send("GET", f"{registry.base}/long", limit=1000)
        assert (answer.status, len(answer.body)) == (status, ERROR_LIMIT)
        assert spoken.send("GET", f"{registry.base}/next").body == b"n"
        first, second = (request.connection for request in registry.requests)
        assert (first == second) is whole


def test_a_compressed_answer_is_limited_by_what_it_unpacks_to() -> None:
    bomb = Answer(200, gzip.compress(b"\0" * 50_000_000)).having(Content_Encoding="gzip")
    with FakeRegistry(on("GET", "/", bomb)) as registry, pytest.raises(RegistryUnreachable, match="more than 1000"):
        Transport().send("GET", f"{registry.base}/", limit=1000)


def test_a_compressed_refusal_is_cut_where_it_is_unpacked() -> None:
    bomb = Answer(401, gzip.compress(b"\0" * 50_000_000)).having(Content_Encoding="gzip")
    with FakeRegistry(on("GET", "/", bomb)) as registry:
        assert Transport().send("GET", f"{registry.base}/").body == b"\0" * ERROR_LIMIT


@pytest.mark.parametrize(("size", "whole"), [(100, True), (1_000_000, False)])
def test_a_redirects_body_is_not_read_for_ever(size: int, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BODY_LIMIT", 5_000)
    long = replace(redirect("/next"), body=b"x" * size)
    with FakeRegistry(on("GET", "/long", long), on("GET", "/next", Answer(200, "n"))) as registry:
        assert Transport().send("GET", f"{registry.base}/long", follow=True, limit=5_000).body == b"n"
        first, second = (request.connection for request in registry.requests)
        assert (first == second) is whole


@pytest.mark.parametrize(("lines", "size"), [(101, 10), (900, 200), (3, 60_000)])
def test_many_headers_are_read(lines: int, size: int) -> None:
    """Proxies add to them, and Go's clients take 10 MB."""
    with listener(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", *headers(lines, size), b"\r\nx", *OPEN) as port:
        assert Transport().send("GET", f"http://127.0.0.1:{port}/").body == b"x"


@pytest.mark.parametrize(
    ("lines", "size", "said"),
    [
        (1001, 10, "got more than 1000 headers"),
        (5, 60_000, "headers without end"),
        (900, 60_000, "headers without end"),
    ],
)
def test_headers_without_end_are_not(lines: int, size: int, said: str) -> None:
    began = time.monotonic()
    with listener(b"HTTP/1.1 401 No\r\n", *headers(lines, size), b"\r\n", *OPEN) as port:
        with pytest.raises(RegistryUnreachable, match=said):
            Transport().send("GET", f"http://127.0.0.1:{port}/")
        assert time.monotonic() - began < 5


OPEN = [b""] * 200
"""What keeps a listener from closing before it was read."""


def headers(lines: int, size: int) -> list[bytes]:
    return [b"".join(b"WWW-Authenticate: %b\r\n" % (b"a," * (size // 2)) for _ in range(lines))]


def test_a_few_of_many_challenges_are_read() -> None:
    many = Answer(401).having(WWW_Authenticate="\n".join(f"x{number}" for number in range(90)))
    with FakeRegistry(on("GET", "/", many)) as registry:
        assert Transport().send("GET", f"{registry.base}/").header("www-authenticate").count(",") == 15


NO_WHOLE = "no whole answer within 0.2 seconds"
RUN_OVER = "the time for the whole run is over"
SILENT = Answer(delay=1.0)
DROPS = Answer(200, "x" * 40, pause=0.05)
SLOW: dict[str, tuple[dict[str, float], float | None, Answer, str]] = {
    # limits, seconds left for the run, answer, what is said
    "silent": ({"READ_TIMEOUT": 0.1}, None, SILENT, "no answer in time"),
    "silent in the middle": ({"READ_TIMEOUT": 0.1}, None, Answer(200, "ab", pause=0.5), "no answer in time"),
    "drop by drop": ({"ANSWER_TIMEOUT": 0.2}, None, DROPS, NO_WHOLE),
    "a refusal drop by drop": ({"ANSWER_TIMEOUT": 0.2}, None, replace(DROPS, status=403), NO_WHOLE),
    "silent until the run's end": ({}, 0.1, SILENT, RUN_OVER),
    "drop by drop until the run's end": ({}, 0.1, DROPS, RUN_OVER),
    "silent, the run going on": ({"READ_TIMEOUT": 0.1}, 60.0, SILENT, "no answer in time"),
    "drop by drop, the run going on": ({"ANSWER_TIMEOUT": 0.2}, 60.0, DROPS, NO_WHOLE),
}


@pytest.mark.parametrize(("limits", "left", "answer", "said"), SLOW.values(), ids=SLOW)
def test_time(
    limits: dict[str, float], left: float | None, answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in limits.items():
        monkeypatch.setattr(transport, name, seconds)
    with FakeRegistry(on("GET", "/", answer)) as registry:
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable) as caught:
            Transport(deadline=lambda: left).send("GET", f"{registry.base}/")
        assert caught.value.message == f"{registry.base}: {said}"
        assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_no_request_after_the_runs_end(left: float) -> None:
    with FakeRegistry() as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            Transport(deadline=lambda: left).send("GET", f"{registry.base}/")
        assert caught.value.message == f"{registry.base}: {RUN_OVER}"
        assert registry.requests == []


@contextmanager
def listener(*words: bytes) -> Iterator[int]:
    """The port of a server that says these words to whoever comes first, a pause after each, and never ends."""
    done = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def speak() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                for word in words:
                    connection.sendall(word)
                    if done.wait(0.02):
                        break

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            done.set()
            speaker.join(5)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-Long: "], ids=["status line", "headers"])
@pytest.mark.parametrize(("left", "said"), [(None, NO_WHOLE), (0.1, RUN_OVER)])
def test_headers_that_come_drop_by_drop(
    start: bytes, left: float | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT", 0.2)
    with listener(start, *[b"x"] * 200) as port:
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable) as caught:
            Transport(deadline=lambda: left).send("GET", f"http://127.0.0.1:{port}/")
        assert caught.value.message == f"http://127.0.0.1:{port}: {said}"
        assert time.monotonic() - began < 2


def test_a_redirect_gets_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT", 0.2)
    late = replace(redirect("/"), delay=0.09)
    with FakeRegistry(on("GET", "/", late)) as registry, pytest.raises(RegistryUnreachable, match=NO_WHOLE):
        Transport().send("GET", f"{registry.base}/", follow=True)


def test_a_listener_that_never_speaks_tls(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    names("registry.test")
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.2)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            Transport().endpoint(f"registry.test:{server.getsockname()[1]}")


def test_a_handshake_that_comes_drop_by_drop(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    names("registry.test")
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.2)
    with listener(b"\x16\x03\x03\x3f\xff\x02", *[b"\0"] * 200) as port:
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            Transport().endpoint(f"registry.test:{port}")
        assert time.monotonic() - began < 2


# --------------------------------------------------------------------------- what cannot be reached, in one sentence


def test_nothing_listens() -> None:
    port = unused_port()
    with pytest.raises(RegistryUnreachable) as caught:
        Transport().endpoint(f"127.0.0.1:{port}")
    assert caught.value.message == f"http://127.0.0.1:{port}: connection refused"


def test_unknown_name(names: Names) -> None:
    names()
    with pytest.raises(RegistryUnreachable) as caught:
        Transport().endpoint("registry.test")
    assert caught.value.message == "https://registry.test: the host name cannot be resolved"


def test_unknown_authority(signed: Certificate, names: Names) -> None:
    names("registry.test")
    said = r"https://registry\.test:\d+: the certificate (is self-signed|comes from an authority that)"
    with FakeRegistry(ping(), certificate=signed) as registry, pytest.raises(RegistryUnreachable, match=said):
        Transport().endpoint(f"registry.test:{registry.port}")


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_registry_that_speaks_plain_http_is_told_as_that(status: int, names: Names) -> None:
    """It hears no credential, and is not gone on with."""
    names("registry.test")
    with FakeRegistry(ping(Answer(status))) as registry:
        name = f"registry.test:{registry.port}"
        with pytest.raises(TlsFailed) as caught:
            Transport().endpoint(name)
        assert caught.value.message == f"{name} speaks plain HTTP, and is not one of the engine's insecure registries"
        assert registry.seen() == ["GET /v2/"]


def test_what_speaks_neither_tls_nor_http(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names("registry.test")
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.5)
    with listener(b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"") as port, pytest.raises(TlsFailed) as caught:
        Transport().endpoint(f"registry.test:{port}")
    assert caught.value.message == f"https://registry.test:{port}: what answers there does not speak TLS"


def test_wrong_name_in_the_certificate(trusted: Certificate, names: Names) -> None:
    names("wrong.test")
    said = r"the certificate is for another host name"
    with FakeRegistry(ping(), certificate=trusted) as registry, pytest.raises(RegistryUnreachable, match=said):
        Transport().endpoint(f"wrong.test:{registry.port}")


ODD = {
    "the connection closes": Answer(drop=True),
    "a body that ends early": Answer(200, "abc").having(Content_Length="10", Connection="close"),
    "an unpackable body": Answer(200, "abc").having(Content_Encoding="gzip"),
    "two lengths": Answer(200, "abc").having(Content_Length="3, 4", Connection="close"),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_odd_answers_are_one_sentence(answer: Answer) -> None:
    with FakeRegistry(on("GET", "/", answer)) as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            Transport().send("GET", f"{registry.base}/")
        assert caught.value.message.startswith(f"{registry.base}: ")
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("url", ["ftp://registry.test/", "http://[::1/", "http://127.0.0.1:99999/", "http:///v2/"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(RegistryUnreachable):
        Transport().send("GET", url)


# --------------------------------------------------------------------------- answers


def test_a_header_that_comes_twice_is_one_list() -> None:
    both = Answer(401).having(WWW_Authenticate='Bearer realm="a"\nBasic realm="b"')
    with FakeRegistry(on("GET", "/", both)) as registry:
        found = Transport().send("GET", f"{registry.base}/").header("WWW-Authenticate")
    assert found == 'Bearer realm="a", Basic realm="b"'


SEVERAL = {
    "the same twice": ("/a", "/a", "/a"),
    "two of them": ("/a", "/b", "/a"),
    "the first one empty": ("", "/b", ""),
}


@pytest.mark.parametrize(("first", "second", "taken"), SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("name", ["Location", "Docker-Content-Digest", "Content-Type", "Range", "X-Any"])
def test_of_any_other_header_the_first_counts(name: str, first: str, second: str, taken: str) -> None:
    """As Go's clients take it: a proxy may add what its registry has said already."""
    both = Answer(201, headers={name: f"{first}\n{second}"})
    with FakeRegistry(on("GET", "/", both)) as registry:
        assert Transport().send("GET", f"{registry.base}/").header(name) == taken


def test_an_answers_body_does_not_show_in_its_repr() -> None:
    assert "token" not in repr(Response(200, {"x": "token"}, b"token"))


# --------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("start", "target", "carried"),
    [
        ("http", "same", True),
        ("http", "relative", True),
        ("http", "other port", False),
        ("http", "other host", False),
        ("http", "https", False),
        ("https", "same", True),
        ("https", "relative", True),
        ("https", "other port", False),
        ("https", "other host", False),
    ],
)
@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("GET", 302), ("GET", 307), ("HEAD", 307), ("GET", 308)])
def test_a_redirect_carries_the_credential_to_the_same_origin_only(
    method: str, status: int, start: str, target: str, carried: bool, trusted: Certificate, names: Names
) -> None:
    names("registry.test", "other.test")
    here, there = (
        trusted if scheme == "https" else None for scheme in (start, "http" if target == "http" else "https")
    )
    first = on("GET|HEAD", "/first", lambda _request: redirect(where["to"], status))
    where: dict[str, str] = {}
    second = on("GET|HEAD", "/second")
    there = there if target in ("http", "https") else here
    with FakeRegistry(first, second, certificate=here) as one, FakeRegistry(second, certificate=there) as other:
        name = "other.test" if target == "other host" else "registry.test"
        scheme = target if target in ("http", "https") else start
        where["to"] = {
            "same": f"{start}://registry.test:{one.port}/second",
            "relative": "/second",
            "other host": f"{start}://{name}:{one.port}/second",
        }.get(target, f"{scheme}://{name}:{other.port}/second")
        headers = {"Authorization": "Bearer secret-token", "Accept": "text/x"}
        answer = Transport().send(method, f"{start}://registry.test:{one.port}/first", headers=headers, follow=True)
        (landed,) = [*one.find(method, "/second"), *other.find(method, "/second")]
    assert answer.status == 200
    assert bool(landed.authorization) is carried
    assert landed.headers["accept"] == "text/x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("steps", [1, 2])
def test_no_redirect_leads_from_https_into_the_clear(
    steps: int, status: int, method: str, trusted: Certificate, names: Names
) -> None:
    names("registry.test")
    with FakeRegistry() as clear:
        to = f"http://registry.test:{clear.port}/?token=hidden"
        chain = [on("GET|HEAD", "/1", redirect("/2", status)), on("GET|HEAD", "/2", redirect(to, status))]
        with FakeRegistry(chain, certificate=trusted) as registry, pytest.raises(RegistryAstray) as caught:
            Transport().send(method, f"https://registry.test:{registry.port}/{3 - steps}", follow=True)
        assert clear.requests == []
    assert caught.value.message == (
        f"https://registry.test:{registry.port} redirects to http://registry.test:{clear.port}, which is not its own "
        "address: it is plain HTTP, which anyone on the way can read and change"
    )


def test_a_registry_has_no_challenge_in_the_clear(trusted: Certificate, names: Names) -> None:
    """Whoever sits there would name a token server of his own, which may speak HTTPS."""
    names("registry.test")
    lure = UNAUTHORIZED.having(WWW_Authenticate='Bearer realm="https://evil.test/token"')
    with FakeRegistry(ping(lure)) as clear:
        moved = on("GET", "/v2/", redirect(f"http://registry.test:{clear.port}/v2/", 301))
        with FakeRegistry(moved, certificate=trusted) as registry:
            for host in (f"registry.test:{registry.port}", registry.host):
                with pytest.raises(RegistryAstray, match="plain HTTP"):
                    Transport().endpoint(host)
        assert clear.requests == []


@pytest.mark.parametrize(("method", "status"), [("POST", 307), ("PUT", 307), ("PUT", 308), ("PATCH", 308)])
def test_what_has_a_body_is_sent_again_to_the_same_origin(method: str, status: int) -> None:
    chain = [on(method, "/1", redirect("/2?x=y#z", status)), on(method, "/2", Answer(201))]
    with FakeRegistry(chain) as registry:
        headers = {"Authorization": "Bearer secret-token", "Content-Type": "text/x"}
        answer = Transport().send(method, f"{registry.base}/1", headers=headers, body=b"body", follow=True)
        sent = [(one.path, one.authorization, one.headers["content-type"], one.body) for one in registry.requests]
    assert (answer.status, answer.elsewhere) == (201, False)
    assert sent == [(path, "Bearer secret-token", "text/x", b"body") for path in ("/1", "/2")]


STAYING = {
    "another port": (307, "http://127.0.0.1:{other}/2"),
    "another name": (307, "http://localhost:{port}/2"),
    "another scheme": (308, "https://127.0.0.1:{port}/2"),
    "with another method": (302, "/2"),
    "with another method, for sure": (303, "/2"),
    "with another method, for good": (301, "/2"),
    "nowhere": (307, ""),
}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(("status", "to"), STAYING.values(), ids=STAYING)
def test_what_has_a_body_goes_nowhere_else(status: int, to: str, method: str) -> None:
    with FakeRegistry() as other:
        moved = on(method, "/1", lambda _request: redirect(to.format(port=registry.port, other=other.port), status))
        with FakeRegistry(moved) as registry:
            answer = Transport().send(method, f"{registry.base}/1", body=b"body", follow=True)
            assert registry.seen() == [f"{method} /1"]
        assert other.requests == []
    assert answer.status == status


def test_a_redirect_is_followed_three_times() -> None:
    chain = [on("GET", f"/{n}", redirect(f"/{n + 1}")) for n in range(9)]
    with FakeRegistry(*chain) as registry:
        assert Transport().send("GET", f"{registry.base}/0", follow=True).status == 307
        assert registry.seen() == ["GET /0", "GET /1", "GET /2", "GET /3"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(method: str) -> None:
    with FakeRegistry(on(method, "/", redirect(f"{BASE}/other"))) as registry:
        answer = Transport().send(method, f"{registry.base}/", headers={"Authorization": "Basic x"})
        assert (answer.status, answer.header("location")) == (307, f"{registry.base}/other")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "https://[\x1b[31m"])
def test_a_redirect_to_nowhere(to: str) -> None:
    with FakeRegistry(on("GET", "/", redirect(to)), on("GET", ".*", HTML_ERROR)) as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            Transport().send("GET", f"{registry.base}/", follow=True)
        assert "\x1b" not in caught.value.message


# --------------------------------------------------------------------------- proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_leads_to_registries_elsewhere(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_METHOD", "GET")  # to Go a sign of CGI; this is none
    with FakeRegistry(on("GET", "/v2/", Answer(200, "by proxy"))) as proxy:
        monkeypatch.setenv(variable, proxy.base)
        assert Transport().send("GET", "http://registry.test/v2/").body == b"by proxy"
        assert proxy.requests[0].headers["host"] == "registry.test"


PROXIED = {
    **{f"{status}, a page": (replace(HTML_ERROR, status=status), False) for status in (200, 401, 403, 404, 502)},
    **{f"{status}": (Answer(status), False) for status in (403, 404, 407, 502, 503, 504)},
    "a registry's": (Answer(200, {}), True),
    "a registry's, asking for a login": (UNAUTHORIZED, True),
    "a registry's, that is busy": (Answer(503).having(Docker_Distribution_Api_Version="registry/2.0"), True),
}


@pytest.mark.parametrize(("answer", "is_registry"), PROXIED.values(), ids=PROXIED)
def test_what_a_proxy_says_to_plain_http_is_not_the_registrys_word(
    answer: Answer, is_registry: bool, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it will not tunnel: the engine may get further, and is asked instead."""
    names()
    with FakeRegistry(on("GET", "/v2/", answer)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hidden@{proxy.host}")
        spoken = Transport(lambda: ("registry.test",))
        if is_registry:
            assert spoken.endpoint("registry.test").ping.status == answer.status
            return
        with pytest.raises(RegistryUnreachable) as caught:
            spoken.endpoint("registry.test")
    said = f"the proxy {proxy.base} answers {answer.status} in its place"
    assert caught.value.message == f"http://registry.test: {said}"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_does_not_tunnel(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy:
        monkeypatch.setenv(variable, proxy.base)
        with pytest.raises(RegistryUnreachable, match=r"https://registry\.test: .*501"):
            Transport().send("GET", "https://registry.test/v2/")


def test_a_proxy_of_another_kind_is_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(RegistryUnreachable, match="its proxy is of a kind that docker pushsafe does not speak to"):
        Transport().send("GET", "https://registry.test/v2/")


def test_a_proxy_is_told_where_to_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        listener = threading.Thread(target=refuse, daemon=True)
        listener.start()
        monkeypatch.setenv("HTTPS_PROXY", f"user:pa%40ss@127.0.0.1:{server.getsockname()[1]}")  # as Go: no scheme, HTTP
        with pytest.raises(RegistryUnreachable) as caught:
            Transport().send("GET", "https://registry.test/v2/", headers={"Authorization": "Basic c2VjcmV0"})
        listener.join(5)
    (words,) = heard
    assert words.startswith(b"CONNECT registry.test:443 ")
    assert b"roxy-" in words
    assert b"Basic dXNlcjpwYUBzcw==" in words
    assert b"c2VjcmV0" not in words
    shown = caught.value.message + "".join(traceback.format_exception(caught.value))
    assert "pa%40ss" not in shown
    assert "pa@ss" not in shown


@pytest.mark.usefixtures("strict_python")
def test_a_proxy_may_speak_https_with_an_authority_that_docker_takes(
    tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "proxy.test", strict=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    names("proxy.test")
    with FakeRegistry(on("GET", "/v2/", Answer(200, "by proxy")), certificate=files) as proxy:
        for variable in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"https://proxy.test:{proxy.port}")
        assert Transport().send("GET", "http://registry.test/v2/").body == b"by proxy"
        with pytest.raises(RegistryUnreachable, match="501"):  # it does not tunnel, but it was heard
            Transport().send("GET", "https://registry.test/v2/")


@pytest.mark.parametrize(
    ("no_proxy_value", "host"),
    [("registry.test", "registry.test"), (".test", "registry.test"), ("", "localhost"), ("", "127.0.0.1")],
)
def test_no_proxy_and_loopback_go_straight(
    no_proxy_value: str, host: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names("registry.test")
    with FakeRegistry() as proxy, FakeRegistry(ping()) as registry:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        monkeypatch.setenv("http_proxy", proxy.base)
        monkeypatch.setenv("NO_PROXY", no_proxy_value)
        assert Transport().send("GET", f"http://{host}:{registry.port}/v2/").status == 200
        assert proxy.requests == []


# --------------------------------------------------------------------------- what errors hold


SECRET = "S3cr3t-t0ken-value"


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {SECRET}\r\nx"}, {"Authorization": f"Bearer {SECRET} \u20ac"}]
)
def test_a_header_that_cannot_be_sent_is_not_shown(headers: dict[str, str]) -> None:
    with FakeRegistry() as registry, pytest.raises(RegistryUnreachable) as caught:
        Transport().send("GET", f"{registry.base}/", headers=headers)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_urls_query_and_user_are_not_shown() -> None:
    with pytest.raises(RegistryUnreachable) as caught:
        Transport().send("GET", f"http://user:{SECRET}@127.0.0.1:{unused_port()}/token?password={SECRET}")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_json_of_the_fake_is_what_was_written(tmp_path: Path) -> None:
    with FakeRegistry(on("GET", "/", Answer(200, {"at": BASE}))) as registry:
        assert json.loads(Transport().send("GET", f"{registry.base}/").body) == {"at": registry.base}


# --------------------------------------------------------------------------- imports


@pytest.mark.parametrize("file", sorted(Path(transport.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_urllib3_is_imported_whole_before_any_part_of_it(file: Path) -> None:
    """Another thread imports it at the same time, through docker-py: a part first is a deadlock now and then."""
    named = [
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert [name for name in named if name.startswith("urllib3")][:1] in ([], ["urllib3"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://registry.test/v2/", "https://registry.test:443/upload", True),
        ("http://registry.test/v2/", "http://registry.test:80/upload", True),
        ("http://registry.test/v2/", "https://registry.test/upload", False),
        ("https://registry.test/v2/", "https://registry.test:8443/upload", False),
        ("https://registry.test/v2/", "https://storage.test/upload", False),
    ],
)
def test_a_place_is_the_same_with_the_port_of_its_scheme(one: str, other: str, same: bool) -> None:
    """A registry that names it in a Location gets its credential there as well."""
    assert (place_of(one) == place_of(other)) is same
