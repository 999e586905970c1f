"""Which address is spoken to, how often, within which limits, and what a redirect or a proxy gets to see."""

from __future__ import annotations

import ast
import json
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from pushsafe.errors import RegistryUnreachable
from pushsafe.registry import transport
from pushsafe.registry.transport import Response, Transport, is_insecure, is_loopback
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

Names = Callable[..., None]
_PLAIN = ["(plain) "]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), "registry.test", "other.test", "localhost")


@pytest.fixture
def trusted(signed: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The same certificate, its authority being one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(signed.authority))
    return signed


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Lets host names stand for this machine's loopback; every other name is unknown."""
    real = socket.getaddrinfo

    def give(*known: str) -> None:
        def look_up(host: Any, *args: Any, **options: Any) -> Any:
            if host in ("127.0.0.1", "localhost"):
                return real("127.0.0.1", *args, **options)
            if host in known:
                return real("127.0.0.1", *args, **options)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return give


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# --------------------------------------------------------------------------- which address


def test_loopback_is_asked_by_plain_http_first() -> None:
    with FakeRegistry(ping()) as registry:
        endpoint = Transport().endpoint(registry.host)
        assert (endpoint.base, registry.seen()) == (f"http://{registry.host}", ["GET /v2/"])


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
            assert registry.find("GET", "/v2/") == []
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


LOOPBACK = {
    "localhost": True,
    "localhost:5000": True,
    "127.0.0.1:5000": True,
    "127.3.2.1": True,
    "[::1]:5000": True,
    "registry.test": False,
    "localhost.test:5000": False,
    "127.0.0.1.test": False,
    "10.0.0.1:5000": False,
    "user@127.0.0.1": False,
    "": False,
}


@pytest.mark.parametrize(("name", "expected"), LOOPBACK.items())
def test_loopback_names(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected


INSECURE = [
    ("localhost:5000", (), True),
    ("registry.test:5000", (), False),
    ("registry.test:5000", ("registry.test:5000",), True),
    ("registry.test:5000", ("registry.test",), False),
    ("registry.test", ("registry.test:5000",), False),
    ("10.1.2.3:5000", ("10.0.0.0/8",), True),
    ("11.1.2.3:5000", ("10.0.0.0/8",), False),
    ("[fd00::1]:5000", ("fd00::/8",), True),
    ("registry.test:5000", ("not/a/network", ""), False),
    ("unknown.test:5000", ("10.0.0.0/8",), False),
]


@pytest.mark.parametrize(("name", "listed", "expected"), INSECURE)
def test_insecure_names(name: str, listed: tuple[str, ...], expected: bool, names: Names) -> None:
    if name[0].isalpha():
        names("registry.test")
    assert is_insecure(name, listed) is expected


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


def test_a_compressed_answer_is_limited_by_what_it_unpacks_to() -> None:
    import gzip

    bomb = Answer(200, gzip.compress(b"\0" * 50_000_000)).having(Content_Encoding="gzip")
    with FakeRegistry(on("GET", "/", bomb)) as registry, pytest.raises(RegistryUnreachable, match="more than 1000"):
        Transport().send("GET", f"{registry.base}/", limit=1000)


SLOW = {
    "silent": ({"READ_TIMEOUT": 0.1}, Answer(delay=1.0), "no answer in time"),
    "silent in the middle": ({"READ_TIMEOUT": 0.1}, Answer(200, "ab", pause=0.5), "no answer in time"),
    "drop by drop": ({"ANSWER_TIMEOUT": 0.2}, Answer(200, "x" * 40, pause=0.05), "no whole answer within 0.2 seconds"),
}


@pytest.mark.parametrize(("limits", "answer", "said"), SLOW.values(), ids=SLOW)
def test_time(limits: dict[str, float], answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in limits.items():
        monkeypatch.setattr(transport, name, seconds)
    with FakeRegistry(on("GET", "/", answer)) as registry:
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable, match=said):
            Transport().send("GET", f"{registry.base}/")
        assert time.monotonic() - began < 0.9


def test_a_listener_that_never_speaks_tls(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    names("registry.test")
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.2)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            Transport().endpoint(f"registry.test:{server.getsockname()[1]}")


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
    said = r"https://registry\.test:\d+: .*certificate verify failed"
    with FakeRegistry(ping(), certificate=signed) as registry, pytest.raises(RegistryUnreachable, match=said):
        Transport().endpoint(f"registry.test:{registry.port}")


def test_wrong_name_in_the_certificate(trusted: Certificate, names: Names) -> None:
    names("wrong.test")
    said = r"(?i)hostname mismatch|not valid for"
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


# --------------------------------------------------------------------------- certificates


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default contexts as Python 3.13 makes them, on any Python: its own, and those that urllib3 makes unasked."""
    own, unasked = ssl.create_default_context, create_urllib3_context
    monkeypatch.setattr(ssl, "create_default_context", lambda *args, **more: _strict(own(*args, **more)))
    name = "urllib3.connection.create_urllib3_context"
    monkeypatch.setattr(name, lambda *args, **more: _strict(unasked(*args, **more)))


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("strict", [True, False], ids=["with key identifiers", "without"])
def test_the_certificates_of_these_tests(
    strict: bool, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 takes the one and refuses the other: what the tests below rely on."""
    files = certificate(tmp_path, "registry.test", strict=strict)
    context = _strict(ssl.create_default_context(cafile=str(files.authority)))
    names("registry.test")
    with FakeRegistry(ping(), certificate=files) as registry:
        pool = urllib3.PoolManager(ssl_context=context, retries=False)
        if strict:
            assert pool.request("GET", f"https://registry.test:{registry.port}/v2/").status == 200
        else:
            with pytest.raises(urllib3.exceptions.SSLError, match=r"(?i)key identifier"):
                pool.request("GET", f"https://registry.test:{registry.port}/v2/")


@pytest.mark.usefixtures("strict_python")
@pytest.mark.parametrize("redirected", [False, True], ids=["straight", "redirected from plain HTTP"])
def test_an_authority_that_docker_takes_is_taken(
    redirected: bool, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "registry.test", strict=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    names("registry.test")
    with FakeRegistry(ping(), certificate=files) as registry:
        url = f"https://registry.test:{registry.port}/v2/"
        with FakeRegistry(on("GET", "/", redirect(url))) as plain:
            if redirected:
                assert Transport().send("GET", f"{plain.base}/", follow=True).status == 200
            assert Transport().send("GET", url).status == 200


def test_plain_http_reads_no_authorities(monkeypatch: pytest.MonkeyPatch, signed: Certificate) -> None:
    made: list[bool] = []
    real = transport._tls_context

    def make(verify: bool) -> ssl.SSLContext:
        made.append(verify)
        return real(verify)

    monkeypatch.setattr(transport, "_tls_context", make)
    with FakeRegistry(ping()) as plain, FakeRegistry(ping(), certificate=signed) as secure:
        spoken = Transport()
        spoken.endpoint(plain.host)
        assert made == []
        for host in (secure.host, secure.host, f"localhost:{secure.port}"):
            spoken.send("GET", f"https://{host}/v2/", verify=False)
        assert made == [False]  # one for all hosts


# --------------------------------------------------------------------------- answers


def test_a_header_that_comes_twice_is_one_list() -> None:
    both = Answer(401).having(WWW_Authenticate='Bearer realm="a"\r\nWWW-Authenticate: Basic realm="b"')
    with FakeRegistry(on("GET", "/", both)) as registry:
        found = Transport().send("GET", f"{registry.base}/").header("WWW-Authenticate")
    assert found == 'Bearer realm="a", Basic realm="b"'


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
        ("https", "http", False),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_carries_the_credential_to_the_same_origin_only(
    status: int, start: str, target: str, carried: bool, trusted: Certificate, names: Names
) -> None:
    names("registry.test", "other.test")
    here, there = (
        trusted if scheme == "https" else None for scheme in (start, "http" if target == "http" else "https")
    )
    first = on("GET", "/first", lambda _request: redirect(where["to"], status))
    where: dict[str, str] = {}
    second = on("GET", "/second")
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
        answer = Transport().send("GET", f"{start}://registry.test:{one.port}/first", headers=headers, follow=True)
        (landed,) = [*one.find("GET", "/second"), *other.find("GET", "/second")]
    assert answer.status == 200
    assert bool(landed.authorization) is carried
    assert landed.headers["accept"] == "text/x"


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


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"])
def test_a_proxy_leads_to_registries_elsewhere(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry(on("GET", "/v2/", Answer(200, "by proxy"))) as proxy:
        monkeypatch.setenv(variable, proxy.base)
        if variable == "http_proxy":
            assert Transport().send("GET", "http://registry.test/v2/").body == b"by proxy"
            assert proxy.requests[0].headers["host"] == "registry.test"
            return
        with pytest.raises(
            RegistryUnreachable, match=r"https://registry\.test"
        ):  # it does not tunnel, but it was asked
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
    [("registry.test", "registry.test"), (".test", "registry.test"), ("*", "registry.test"), ("", "localhost")],
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
