"""Challenges, the token exchange, where a credential may be sent, and what tokens and error bodies say."""

from __future__ import annotations

import base64
import json
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.registry.auth import TOKEN_LIMIT, Token, fetch_token, granted_actions
from pushsafe.registry.http.destinations import Lead
from pushsafe.registry.http.transport import Endpoint, Response, Transport
from pushsafe.registry.responses import Challenge, parse_challenge, read_error
from tests.contract.registry.conftest import Names
from tests.fakes.registry import (
    BASE,
    HTML_ERROR,
    WRONG_LOGIN,
    Answer,
    Certificate,
    FakeRegistry,
    basic_header,
    jwt,
    on,
    redirect,
    token_server,
)

SCOPE = "repository:acme/app:pull,push"
PASSWORD = "hunter2!-and-more"
REALM = "https://auth.test/token"

CHALLENGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "Docker Hub": (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"',
        "bearer",
        {"realm": "https://auth.docker.io/token", "service": "registry.docker.io"},
    ),
    "Basic": ('Basic realm="registry"', "basic", {"realm": "registry"}),
    "with spaces": ('Bearer  realm = "r" ,  service = "s"', "bearer", {"realm": "r", "service": "s"}),
    "without spaces": (
        'Bearer realm="r",service="s",error="e"',
        "bearer",
        {"realm": "r", "service": "s", "error": "e"},
    ),
    "no quotes": ("Bearer realm=https://x/token,service=s", "bearer", {"realm": "https://x/token", "service": "s"}),
    "upper case": ('BEARER REALM="r"', "bearer", {"realm": "r"}),
    "lower case": ('bearer realm="r"', "bearer", {"realm": "r"}),
    "quoted comma": (
        'Bearer realm="r",scope="repository:a:pull,push",service="s"',
        "bearer",
        {"realm": "r", "scope": "repository:a:pull,push", "service": "s"},
    ),
    "escaped quote": (r'Bearer realm="a\"b\\c",service="s"', "bearer", {"realm": r'a"b\c', "service": "s"}),
    "Basic before Bearer": ('Basic realm="b", Bearer realm="r",service="s"', "bearer", {"realm": "r", "service": "s"}),
    "no space between": ('Basic realm="b",Bearer realm="r"', "bearer", {"realm": "r"}),
    "Bearer before Basic": ('Bearer realm="r", Basic realm="b"', "bearer", {"realm": "r"}),
    "three, one of them bare": ('Negotiate, NTLM, Basic realm="b"', "basic", {"realm": "b"}),
    "a token68": ('Negotiate YIIC/+8=, Basic realm="b"', "basic", {"realm": "b"}),
    "empty list members": (', ,Basic realm="b", ', "basic", {"realm": "b"}),
    "scheme alone": ("Basic", "basic", {}),
    "empty realm": ('Bearer realm="",service="s"', "bearer", {"realm": "", "service": "s"}),
    "the last of two realms": ('Bearer realm="a",realm="b"', "bearer", {"realm": "b"}),
    "Bearer in a quoted value": ('Basic realm="x, Bearer realm=y"', "basic", {"realm": "x, Bearer realm=y"}),
    "unterminated quote": ('Bearer realm="https://x', "bearer", {}),
    "none that we know": ('Digest realm="d", nonce="n"', "", {}),
    "no scheme": ('realm="r"', "", {}),
    "nothing": ("", "", {}),
    "garbage": ("\x1b[31m=\x00,,;;", "", {}),
}


@pytest.mark.parametrize(("header", "scheme", "parameters"), CHALLENGES.values(), ids=CHALLENGES)
def test_challenge(header: str, scheme: str, parameters: dict[str, str]) -> None:
    assert parse_challenge(header) == Challenge(scheme, parameters)


@pytest.mark.parametrize("header", ['Bearer realm="' + "\\" * 60_000, "a=" * 30_000, "Basic " * 10_000, "x, " * 20_000])
def test_a_long_challenge_is_read_at_once(header: str) -> None:
    parse_challenge(header)  # a quadratic reading takes minutes


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ('Bearer realm="https://x",service="s",scope="a:b:c",error="insufficient_scope"', None),
        ('Basic realm="evil\x1b[2J\u202e"', 'Basic realm="evil [2J"'),
        ("", ""),
    ],
)
def test_a_challenge_as_it_is_shown(header: str, shown: str | None) -> None:
    expected = 'Bearer realm="https://x" error="insufficient_scope"' if shown is None else shown
    assert str(parse_challenge(header)) == expected


# --------------------------------------------------------------------------- the exchange


def login(kind: CredentialKind = CredentialKind.BASIC, user: str = "ada", secret: str = PASSWORD) -> Credential:
    return Credential(
        "registry.test", "registry.test", CredentialSource(SourceKind.FILE, "f"), kind, user, Secret(secret)
    )


def endpoint(base: str, verify: bool = False) -> Endpoint:
    return Endpoint(base.partition("://")[2], base, verify, Response(401, {}, b""))


SECURE = endpoint("https://registry.test")


def ask(
    registry: FakeRegistry, credential: Credential | None, realm: str = f"{BASE}/token", service: str = "registry.test"
) -> Token:
    parameters = {"realm": realm.replace(BASE, registry.base), "service": service}
    challenge = Challenge("bearer", {name: value for name, value in parameters.items() if value})
    return fetch_token(Transport(), endpoint(registry.base), challenge, (SCOPE,), "acme/app", credential)


GRANTED = jwt("acme/app", "pull", "push")


def test_a_password_goes_by_basic_with_account_service_and_scope() -> None:
    with FakeRegistry(token_server(GRANTED, password=PASSWORD)) as registry:
        token = ask(registry, login())
        (request,) = registry.requests
    assert (token.status, token.value, token.granted) == (200, GRANTED, ("pull", "push"))
    assert request.authorization == basic_header("ada", PASSWORD)
    assert dict(request.query) == {"account": "ada", "service": "registry.test", "scope": SCOPE}


PASSWORDS = {
    "colons": "a:b::",
    "umlauts": "p\u00e4ssw\u00f6rt",
    "an emoji": "\U0001f511",
    "white space": " a\tb ",
    "a line end": "a\r\nb",
    "NUL": "a\0b",
    "quotes and backslashes": "a\"b'c\\",
    "what a query is made of": "a&b=c+d%20e?f#g/h",
    "3 kB": "x" * 3000,
    "a user's name that has to be quoted": "pw",
}


@pytest.mark.parametrize(("name", "secret"), PASSWORDS.items(), ids=PASSWORDS)
def test_every_password_arrives_as_it_is(name: str, secret: str) -> None:
    user = "robot$team+ci&x=\u00e4" if "name" in name else "ada"
    answers = on("GET", "/token", Answer(200, {"token": "t"})), on("POST", "/token", Answer(200, {"access_token": "t"}))
    with FakeRegistry(*answers) as registry:
        assert ask(registry, login(user=user, secret=secret)).value == "t"
        assert ask(registry, login(CredentialKind.IDENTITY_TOKEN, "", secret)).value == "t"
        by_basic, by_form = registry.requests
    assert base64.b64decode(by_basic.authorization.removeprefix("Basic ")).decode() == f"{user}:{secret}"
    assert by_basic.query["account"] == user
    assert by_form.form["refresh_token"] == secret


def test_nobody_asks_without_a_credential() -> None:
    with FakeRegistry(token_server(GRANTED)) as registry:
        token = ask(registry, None)
        (request,) = registry.requests
    assert (token.status, token.granted, request.authorization) == (200, (), "")
    assert dict(request.query) == {"service": "registry.test", "scope": SCOPE}


def test_an_identity_token_goes_in_a_form() -> None:
    answer = Answer(200, {"access_token": "opaque-access", "refresh_token": "another"})
    with FakeRegistry(on("POST", "/token", answer)) as registry:
        token = ask(registry, login(CredentialKind.IDENTITY_TOKEN, "", "id+token/&="))
        (request,) = registry.requests
    assert (token.value, token.granted, request.authorization, dict(request.query)) == ("opaque-access", None, "", {})
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form == {
        "grant_type": "refresh_token",
        "client_id": "docker-pushsafe",
        "refresh_token": "id+token/&=",
        "service": "registry.test",
        "scope": SCOPE,
    }


@pytest.mark.parametrize(("realm", "joined"), [("/token", "?"), ("/token?a=b", "&"), ("/t?service=x", "&")])
def test_a_realm_may_have_a_query(realm: str, joined: str) -> None:
    with FakeRegistry(on("GET", "/t.*", Answer(200, {"token": "opaque"}))) as registry:
        ask(registry, None, f"{BASE}{realm}")
        assert registry.requests[0].query["scope"] == SCOPE
        if joined == "&" and "a=b" in realm:
            assert registry.requests[0].query["a"] == "b"


def test_no_service_is_not_sent() -> None:
    with FakeRegistry(token_server(GRANTED)) as registry:
        ask(registry, None, service="")
        assert dict(registry.requests[0].query) == {"scope": SCOPE}


HOLDS_NONE = "the token server's answer holds no token"
NO_TOKEN = (200, "", None, "NO_TOKEN", HOLDS_NONE)
HUB_WORDS = "incorrect username or password"
TOKENS: dict[str, tuple[Answer, tuple[int, str, tuple[str, ...] | None, str, str]]] = {
    "JWT": (Answer(200, {"token": GRANTED}), (200, GRANTED, ("pull", "push"), "", "")),
    "JWT that grants nothing": (Answer(200, {"token": jwt()}), (200, jwt(), (), "", "")),
    "opaque": (Answer(200, {"token": "djE6b3BhcXVl"}), (200, "djE6b3BhcXVl", None, "", "")),
    "access_token": (Answer(200, {"access_token": "opaque"}), (200, "opaque", None, "", "")),
    "both": (Answer(200, {"token": "one", "access_token": "two"}), (200, "one", None, "", "")),
    "wrong password": (WRONG_LOGIN, (401, "", None, "UNAUTHORIZED", "incorrect username or password")),
    "GitLab's 403": (
        Answer(403, {"errors": [{"code": "DENIED", "message": "access forbidden"}]}),
        (403, "", None, "DENIED", "access forbidden"),
    ),
    "Hub's details": (Answer(401, {"details": HUB_WORDS}), (401, "", None, "", HUB_WORDS)),
    "OAuth's": (
        Answer(400, {"error": "invalid_grant", "error_description": "expired"}),
        (400, "", None, "invalid_grant", "expired"),
    ),
    "HTML": (HTML_ERROR, (502, "", None, "", "")),
    "another success": (Answer(201, {"token": "opaque"}), (201, "opaque", None, "", "")),
    "no content": (Answer(204), (204, "", None, "NO_TOKEN", HOLDS_NONE)),
    "a page": (replace(HTML_ERROR, status=200), NO_TOKEN),
    "half of it": (Answer(200, '{"token": "abc'), NO_TOKEN),
    **{
        f"{status}, a page": (replace(HTML_ERROR, status=status), (status, "", None, "NO_TOKEN", HOLDS_NONE))
        for status in (400, 404, 405, 409, 412, 413, 416, 418)
    },
    "405 in words": (
        Answer(405, {"errors": [{"code": "DENIED", "message": "not like this"}]}),
        (405, "", None, "DENIED", f"{HOLDS_NONE} (not like this)"),
    ),
    "no token": (Answer(200, {}), NO_TOKEN),
    "empty token": (Answer(200, {"token": ""}), NO_TOKEN),
    "token of another type": (Answer(200, {"token": 7}), NO_TOKEN),
    "a list": (Answer(200, ["token"]), NO_TOKEN),
    "not JSON": (Answer(200, "token=abc"), NO_TOKEN),
    "nested": (Answer(200, "[" * 99_999), NO_TOKEN),
    "empty": (Answer(200, b""), NO_TOKEN),
}


@pytest.mark.parametrize(("answer", "expected"), TOKENS.values(), ids=TOKENS)
def test_token_answers(answer: Answer, expected: tuple[Any, ...]) -> None:
    with FakeRegistry(on("GET", "/token", answer)) as registry:
        token = ask(registry, login())
    assert (token.status, token.value, token.granted, token.code, token.message) == expected


@pytest.mark.parametrize(("size", "fits"), [(TOKEN_LIMIT - 99, True), (TOKEN_LIMIT + 99, False)])
def test_a_huge_token_answer(size: int, fits: bool) -> None:
    with FakeRegistry(on("GET", "/token", Answer(200, {"token": "x" * size}))) as registry:
        if fits:
            assert len(ask(registry, login()).value) == size
        else:
            with pytest.raises(RegistryUnreachable, match=f"more than {TOKEN_LIMIT} bytes"):
                ask(registry, login())


def test_a_huge_refusal_is_cut() -> None:
    answer = Answer(403, {"errors": [{"code": "DENIED", "message": "no"}], "more": "x" * (TOKEN_LIMIT + 99)})
    with FakeRegistry(on("GET", "/token", answer)) as registry:
        assert ask(registry, login()).status == 403


def test_a_token_does_not_show_itself() -> None:
    assert "opaque" not in repr(Token(200, "opaque"))


# --------------------------------------------------------------------------- where a credential may go

REALMS = [
    # registry, realm, may go there
    ("https://registry.test", "https://auth.test/token", True),
    ("https://registry.test", "https://registry.test/token", True),
    ("https://registry.test", "http://registry.test/token", False),
    ("https://registry.test", "http://auth.test/token", False),
    ("https://registry.test", "http://127.0.0.1:5001/token", False),
    ("http://registry.test:5000", "http://registry.test:5000/token", True),
    ("http://registry.test:5000", "http://registry.test:5001/token", True),
    ("http://registry.test:5000", "http://REGISTRY.test:5001/token", True),
    ("http://registry.test:5000", "https://auth.test/token", True),
    ("http://registry.test:5000", "http://auth.test/token", False),
    ("http://registry.test:5000", "http://127.0.0.1:5001/token", False),
    ("http://registry.test:5000", "http://registry.test.evil.test/token", False),
    ("http://registry.test:5000", "http://registry.test@evil.test/token", False),
    ("http://registry.test:5000", "http://evil.test\\@registry.test/token", False),
    ("http://registry.test:5000", "http://evil.test#@registry.test/token", False),
    ("http://registry.test:5000", "http://evil.test?@registry.test/token", False),
    ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
    ("http://127.0.0.1:5000", "http://localhost:5001/token", True),
    ("http://127.0.0.1:5000", "http://[::1]:5001/token", True),
    ("http://127.0.0.1:5000", "http://auth.test/token", False),
    ("http://127.0.0.1:5000", "http://127.0.0.1@evil.test/token", False),
    ("http://127.0.0.1:5000", "http://127.0.0.1.evil.test/token", False),
    ("http://127.0.0.1:5000", "http://127.0.0.1\\.evil.test/token", True),  # urllib3 connects to 127.0.0.1
    ("http://127.0.0.1:5000", "https://auth.test/token", True),
]


class Watched(Transport):
    """Records where a request would go, with what, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, bool]] = []

    def send(
        self,
        method: str,
        url: str,
        *,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        follow: bool = False,
        limit: int = 0,
        registry: str = "",
        lead: Lead | None = None,
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> Response:
        self.sent.append((url, (headers or {}).get("Authorization", ""), verify))
        return Response(200, {}, b'{"token": "opaque"}')


@pytest.mark.parametrize("kind", [CredentialKind.BASIC, CredentialKind.IDENTITY_TOKEN])
@pytest.mark.parametrize(("base", "realm", "allowed"), REALMS)
def test_a_realm_for_a_credential(base: str, realm: str, allowed: bool, kind: CredentialKind) -> None:
    spoken = Watched()
    challenge = Challenge("bearer", {"realm": realm})
    if allowed:
        fetch_token(spoken, endpoint(base), challenge, (SCOPE,), "acme/app", login(kind))
        assert len(spoken.sent) == 1
        return
    with pytest.raises(RegistryUnreachable) as caught:
        fetch_token(spoken, endpoint(base), challenge, (SCOPE,), "acme/app", login(kind))
    assert re.fullmatch(
        r"\S+ wants the credential sent to \S+ over plain HTTP, which would show it to anyone on the way",
        caught.value.message,
    )
    assert spoken.sent == []


TLS, CLEAR, HERE = "https://registry.test", "http://registry.test:5000", "http://127.0.0.1:5000"
SPELLINGS: dict[str, tuple[str, ...]] = {
    # a realm, and the registries whose credential may go there
    "HTTPS://auth.test/token": (TLS, CLEAR, HERE),
    "https://user:pw@auth.test/token": (TLS, CLEAR, HERE),
    "HTTP://registry.test/token": (CLEAR,),
    "http://registry%2etest/token": (CLEAR,),
    "http://LOCALHOST/token": (HERE,),
    "http://[0:0:0:0:0:0:0:1]/token": (HERE,),
    "http://127.0.0.1#@evil.test/": (HERE,),
    "http://evil.test#@127.0.0.1/": (),
    "http://127.0.0.1.nip.io/token": (),
    "http://localhost./token": (),
    "http://registry.test./token": (),
    "http://registry.test,evil.test/": (),
    "http://evil.test;registry.test/": (),
    "http://registry.test%2f@evil.test/token": (),
    "http://registry.test:5000@evil.test": (),
    "http://2130706433/token": (),
    "http://0x7f000001/token": (),
    "http://0177.0.0.1/token": (),
    "http://127.1/token": (),
    "http://0.0.0.0/token": (),
    "http://[::]/token": (),
    "http://[::ffff:127.0.0.1]/token": (),
}


@pytest.mark.parametrize("base", [TLS, CLEAR, HERE])
@pytest.mark.parametrize(("realm", "allowed"), SPELLINGS.items())
def test_a_host_in_every_spelling(realm: str, allowed: tuple[str, ...], base: str) -> None:
    spoken = Watched()
    challenge = Challenge("bearer", {"realm": realm})
    if base in allowed:
        fetch_token(spoken, endpoint(base), challenge, (SCOPE,), "acme/app", login())
    else:
        with pytest.raises(RegistryUnreachable, match="over plain HTTP"):
            fetch_token(spoken, endpoint(base), challenge, (SCOPE,), "acme/app", login())
    assert len(spoken.sent) == (base in allowed)


@pytest.mark.parametrize(
    "realm",
    [
        *("http:/registry.test/token", "http:registry.test/token", "http:\\\\registry.test\\token"),
        *(" http://registry.test/token", "http://registry.test /token", "http://registry.test\t/token"),
        *("http://registry.test%00.evil.test/", "http://registry.test:5000:80/", "http://127.0.0.1:99999/token"),
        *("http://\u24dbocalhost/token", "http://127\u30020.0.1/token", "http://127.0.0.1\r\nX: y/token"),
        *("wss://auth.test/", "file:///etc/passwd", "//127.0.0.1/token"),
        *("", "auth.test/token", "ftp://auth.test/", "//auth.test/"),
        *("https://", "https:///x", "javascript:x", "https://[x"),
    ],
)
@pytest.mark.parametrize("credential", [None, login()], ids=["nobody", "somebody"])
def test_a_realm_that_is_none(realm: str, credential: Credential | None) -> None:
    spoken = Watched()
    with pytest.raises(RegistryUnreachable, match="names no usable token server"):
        fetch_token(spoken, SECURE, Challenge("bearer", {"realm": realm}), (SCOPE,), "a", credential)
    assert spoken.sent == []


def test_nobody_may_ask_a_plain_token_server_elsewhere() -> None:
    spoken = Watched()
    challenge = Challenge("bearer", {"realm": "http://auth.test/token"})
    assert fetch_token(spoken, SECURE, challenge, (SCOPE,), "a", None).value == "opaque"
    assert [authorization for _, authorization, _ in spoken.sent] == [""]


@pytest.mark.parametrize(
    ("base", "verified", "realm", "verify"),
    [
        ("https://registry.test", True, "https://auth.test/token", True),
        ("https://registry.test", False, "https://registry.test:444/token", False),
        ("https://registry.test", False, "https://auth.test/token", True),
        ("http://127.0.0.1:5000", False, "https://auth.docker.io/token", True),
        ("http://127.0.0.1:5000", False, "https://localhost:5001/token", False),
    ],
)
def test_a_token_servers_certificate_is_checked(base: str, verified: bool, realm: str, verify: bool) -> None:
    spoken = Watched()
    fetch_token(spoken, endpoint(base, verified), Challenge("bearer", {"realm": realm}), (SCOPE,), "a", login())
    assert [how for _, _, how in spoken.sent] == [verify]


def test_a_refused_realm_is_told_without_the_secret() -> None:
    realm = f"http://ada:{PASSWORD}@auth.test\x1b[2J/token"
    with pytest.raises(RegistryUnreachable) as caught:
        fetch_token(Watched(), SECURE, Challenge("bearer", {"realm": realm}), ("s",), "a", login())
    shown = "".join(traceback.format_exception(caught.value))
    assert "\x1b" not in shown


LONG = {
    "schemes": "a," * 500_000,
    "schemes without commas": "a " * 500_000,
    "a scheme": "a" * 1_000_000,
    "spaces": "Bearer" + " " * 1_000_000,
    "parameters": 'Bearer a="b",' * 80_000,
    "what is never closed": 'Bearer realm="' + "a" * 1_000_000,
    "what is never closed, often": 'Bearer a="\\' * 80_000,
    "a token": "Negotiate " + "A" * 1_000_000 + "(",
    "equals signs": "Bearer a" + "=" * 1_000_000,
}


@pytest.mark.parametrize("header", LONG.values(), ids=LONG)
def test_a_challenge_without_end_takes_no_time(header: str) -> None:
    began = time.process_time()
    parse_challenge(header)
    assert time.process_time() - began < 0.5


def test_what_stands_before_the_end_of_what_is_read_counts() -> None:
    found = parse_challenge(f'Bearer realm="https://auth.test/token",service="s",x="{"y" * 9000}"')
    assert (found.scheme, found.parameters) == ("bearer", {"realm": "https://auth.test/token", "service": "s"})


# --------------------------------------------------------------------------- redirects of a token server

REDIRECTED = [
    # the realm's scheme, where it is redirected to, whether the credential goes along
    ("http", "same", True),
    ("http", "other port", False),
    ("http", "other host", False),
    ("http", "https", False),
    ("https", "same", True),
    ("https", "other port", False),
    ("https", "other host", False),
    ("https", "http", False),
    ("https", "http elsewhere", False),
]
"""From HTTPS into the clear nothing goes at all."""


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize(("start", "target", "carried"), REDIRECTED)
def test_a_redirected_token_server_gets_the_credential_at_its_own_origin_only(
    start: str, target: str, carried: bool, status: int, trusted: Certificate, names: Names
) -> None:
    names("registry.test", "other.test")
    scheme = start if target in ("same", "other port", "other host") else target.split()[0]
    name = "other.test" if target in ("other host", "http elsewhere") else "registry.test"
    where: list[str] = []
    first = on("GET", "/token", lambda _request: redirect(where[0], status))
    end = on("GET", "/end", Answer(200, {"token": "opaque"}))
    with (
        FakeRegistry(first, end, certificate=trusted if start == "https" else None) as one,
        FakeRegistry(end, certificate=trusted if scheme == "https" else None) as other,
    ):
        port = one.port if target in ("same", "other host") else other.port
        where.append(f"{scheme}://{name}:{port}/end")
        base = f"{start}://registry.test:{one.port}"
        challenge = Challenge("bearer", {"realm": f"{base}/token"})
        place, transport = endpoint(base, start == "https"), Transport()
        if start == "https" and scheme == "http":
            for somebody in (login(), None):
                with pytest.raises(RegistryAstray, match=rf"redirects to http://{name}:{port}, .* plain HTTP"):
                    fetch_token(transport, place, challenge, (SCOPE,), "acme/app", somebody)
            assert other.requests == []
            return
        if carried:
            assert fetch_token(transport, place, challenge, (SCOPE,), "acme/app", login()).value == "opaque"
        else:  # what comes back is nobody's token
            with pytest.raises(RegistryUnreachable, match="redirects to another host, where no credential goes"):
                fetch_token(transport, place, challenge, (SCOPE,), "acme/app", login())
            assert fetch_token(transport, place, challenge, (SCOPE,), "acme/app", None).value == "opaque"
        landed, *_ = [*one.find("GET", "/end"), *other.find("GET", "/end")]
    assert landed.authorization == (basic_header("ada", PASSWORD) if carried else "")
    assert PASSWORD not in f"{landed.query}{landed.headers}"


@pytest.mark.parametrize(("redirects", "status"), [(3, 200), (4, 307)])
def test_a_token_server_may_redirect_three_times(redirects: int, status: int) -> None:
    chain = [on("GET", f"/{n}", redirect(f"/{n + 1}")) for n in range(redirects)]
    with FakeRegistry(*chain, on("GET", f"/{redirects}", Answer(200, {"token": "opaque"}))) as registry:
        assert ask(registry, login(), f"{BASE}/0").status == status
        assert len(registry.requests) == 4


@pytest.mark.parametrize("to", [f"{BASE}/token2", "https://other.test/token"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_identity_token_is_redirected_nowhere(status: int, to: str) -> None:
    with FakeRegistry(on("POST", "/token", redirect(to, status))) as registry:
        token = ask(registry, login(CredentialKind.IDENTITY_TOKEN, "", "id+token/&="))
        assert (token.status, token.value, token.message) == (status, "", f"{HOLDS_NONE} (moved)")
        assert registry.seen() == ["POST /token"]


# --------------------------------------------------------------------------- grants


def claim(access: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"access": access}).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


def entry(name: str = "acme/app", actions: Any = ("pull",), kind: str = "repository") -> dict[str, Any]:
    return {"type": kind, "name": name, "actions": actions}


GRANTS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "pull and push": (claim([entry(actions=["push", "pull"])]), ("pull", "push")),
    "pull only": (claim([entry()]), ("pull",)),
    "everything": (claim([entry(actions=["*"])]), ("*",)),
    "two entries": (claim([entry(), entry(actions=["push", "pull"])]), ("pull", "push")),
    "another repository": (claim([entry("acme/other")]), ()),
    "another type": (claim([entry(kind="registry")]), ()),
    "no entry": (claim([]), ()),
    "null": (claim(None), ()),
    "null actions": (claim([entry(actions=None)]), ()),
    "entries that are none": (claim(["x", 7, None]), ()),
    "an object for a list": (claim({"type": "repository"}), None),
    "a word for a list of actions": (claim([entry(actions="push")]), None),
    "a number for a list of actions": (claim([entry(actions=7)]), None),
    "actions with control characters": (claim([entry(actions=["pu\x1bsh"])]), ("pu sh",)),
    "no access claim": ("e30.e30.sig", None),
    "not an object": ("e30.W10.sig", None),
    "not JSON": ("e30.eHh4.sig", None),
    "not base64": ("e30.\u00fc\u00fc.sig", None),
    "nested": (f"e30.{base64.urlsafe_b64encode(b'[' * 99_999).decode()}.sig", None),
    "two parts": ("e30.e30", None),
    "opaque": ("djE6b3BhcXVl", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("token", "granted"), GRANTS.values(), ids=GRANTS)
def test_granted_actions(token: str, granted: tuple[str, ...] | None) -> None:
    assert granted_actions(token, "acme/app") == granted


# --------------------------------------------------------------------------- error bodies

ERRORS: dict[str, tuple[bytes, tuple[str, str]]] = {
    "distribution": (b'{"errors": [{"code": "DENIED", "message": "no"}]}', ("DENIED", "no")),
    "the first of several": (b'{"errors": [{"code": "A", "message": "a"}, {"code": "B"}]}', ("A", "a")),
    "without words": (b'{"errors": [{"code": "DENIED"}]}', ("DENIED", "")),
    "no errors in the list": (b'{"errors": []}', ("", "")),
    "errors of another type": (b'{"errors": ["x"], "message": "m"}', ("", "m")),
    "errors as an object": (b'{"errors": {"code": "X"}, "message": "m"}', ("", "m")),
    "code of another type": (b'{"errors": [{"code": 7, "message": ["m"]}]}', ("7", '["m"]')),
    "message of another type": (
        b'{"message": {"b": [2, null]}, "code": {"a": "b"}}',
        ('{"a": "b"}', '{"b": [2, null]}'),
    ),
    "a list": (b'[{"b": null}]', ("", '[{"b": null}]')),
    "a number": (b"7", ("", "7")),
    "Hub": (b'{"details": "incorrect username or password"}', ("", "incorrect username or password")),
    "OAuth": (b'{"error": "invalid_grant", "error_description": "d"}', ("invalid_grant", "d")),
    "message": (b'{"message": "m", "code": "c"}', ("c", "m")),
    "a string": (b'"just this"', ("", "just this")),
    "text": (b"404 page not found\n", ("", "404 page not found")),
    "HTML": (b"<!DOCTYPE html><HTML><body>502</body></HTML>", ("", "")),
    "not UTF-8": (b"\xff\xfe no", ("", "\ufffd\ufffd no")),
    "nothing": (b"", ("", "")),
    "control characters": (rb'{"errors": [{"code": "A\u001b[1m", "message": "a\r\n\u202eb"}]}', ("A [1m", "a b")),
    "too long": (json.dumps({"message": "x" * 999}).encode(), ("", "x" * 299 + "\u2026")),
    "nested": (b"[" * 99_999, ("", "[" * 299 + "\u2026")),
}


@pytest.mark.parametrize(("body", "expected"), ERRORS.values(), ids=ERRORS)
def test_error_bodies(body: bytes, expected: tuple[str, str]) -> None:
    assert read_error(Response(403, {}, body)) == expected
