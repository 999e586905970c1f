"""What a registry may ask for with `WWW-Authenticate`, as one header or several, and who is then asked for what."""

from __future__ import annotations

import pytest

from tests.contract.registry.asking import NAME, NOBODY, PASSWORD, PULL_PUSH, at, investigate, new, questions, somebody
from tests.fakes.registry import (
    BASE,
    HOST,
    UNAUTHORIZED,
    Answer,
    FakeRegistry,
    Request,
    basic_header,
    guarded,
    image,
    jwt,
    manifests,
    ping,
    token_server,
    uploads,
)

TOKEN = f"{BASE}/token"
BASIC, BEARER = 'Basic realm="registry"', f'Bearer realm="{TOKEN}",service="registry.test"'

BY_PASSWORD: dict[str, tuple[str, ...]] = {
    "as usual": (BASIC,),
    "lower case": ('basic realm="registry"',),
    "upper case": ('BASIC REALM="registry"',),
    "no quotes": ("Basic realm=registry",),
    "no realm": ("Basic",),
    "an empty realm": ('Basic realm=""',),
    "a character set": ('Basic realm="registry", charset="UTF-8"',),
    "a scheme in its realm": ('Basic realm="x, Bearer realm=y"',),
    "Negotiate first": (f"Negotiate, {BASIC}",),
    "Negotiate with a token first": (f"Negotiate YIIC/+8=, {BASIC}",),
    "Negotiate in a header of its own": ("Negotiate", BASIC),
    "NTLM, Negotiate": ("NTLM", "Negotiate", BASIC),
    "Digest first": (f'Digest realm="d", nonce="n", {BASIC}',),
    "Digest in a header of its own": ('Digest realm="d", nonce="n"', BASIC),
    "Digest last": (BASIC, 'Digest realm="d", nonce="n"'),
    "an empty header before it": ("", BASIC),
}

BY_TOKEN: dict[str, tuple[tuple[str, ...], str | None]] = {
    # the headers, and the service that a token is asked for
    "as usual": ((BEARER,), "registry.test"),
    "lower case": ((f'bearer realm="{TOKEN}",service="s"',), "s"),
    "upper case": ((f'BEARER REALM="{TOKEN}",SERVICE="s"',), "s"),
    "no quotes": ((f"Bearer realm={TOKEN},service=s",), "s"),
    "white space": ((f'Bearer \t realm = "{TOKEN}" ,\tservice = "s"',), "s"),
    "service first": ((f'Bearer service="s",realm="{TOKEN}"',), "s"),
    "no service": ((f'Bearer realm="{TOKEN}"',), None),
    "an empty service": ((f'Bearer realm="{TOKEN}",service=""',), None),
    "a comma in quotes": ((f'Bearer realm="{TOKEN}",service="a, b"',), "a, b"),
    "escapes": ((rf'Bearer realm="{TOKEN}",service="a\"\\b"',), 'a"\\b'),
    "an empty scope": ((f'{BEARER},scope=""',), "registry.test"),
    "another scope": ((f'{BEARER},scope="repository:other/thing:delete"',), "registry.test"),
    "two scopes": ((f'{BEARER},scope="repository:a:pull",scope="repository:b:push"',), "registry.test"),
    "an error": ((f'{BEARER},error="insufficient_scope"',), "registry.test"),
    "parameters that nobody knows": ((f'{BEARER},foo=bar,baz="q"',), "registry.test"),
    "a query in the realm": ((f'Bearer realm="{TOKEN}?a=b",service="s"',), "s"),
    "a comma before it": ((f", ,{BEARER}",), "registry.test"),
    "Basic first": ((f"{BASIC}, {BEARER}",), "registry.test"),
    "Basic last": ((f"{BEARER}, {BASIC}",), "registry.test"),
    "Basic first, in a header of its own": ((BASIC, BEARER), "registry.test"),
    "Basic last, in a header of its own": ((BEARER, BASIC), "registry.test"),
    "Negotiate first": (("NTLM", "Negotiate", BEARER), "registry.test"),
    "a scheme that nobody knows first": ((f'AWS4 x="y", {BEARER}',), "registry.test"),
}

BY_NOTHING: dict[str, tuple[str, ...]] = {
    "no header": (),
    "an empty header": ("",),
    "Digest": ('Digest realm="d", nonce="n"',),
    "a scheme that nobody knows": ("Foo",),
    "a realm without a scheme": ('realm="registry"',),
    "garbage": ("=,=,;",),
}

NO_TOKEN_SERVER: dict[str, tuple[str, ...]] = {
    "no realm": ('Bearer service="registry.test"',),
    "no realm, and Basic": (f'Bearer service="registry.test", {BASIC}',),
    "an empty realm": ('Bearer realm="",service="registry.test"',),
    "a relative realm": ('Bearer realm="/token",service="registry.test"',),
    "a realm without a scheme": (f'Bearer realm="{HOST}/token"',),
    "a realm of another scheme": (f'Bearer realm="ftp://{HOST}/token"',),
    "single quotes": (f"Bearer realm='{TOKEN}'",),
    # The whole challenge says nothing then, not even its realm.
    "a quote that does not end": (f'Bearer realm="{TOKEN}',),
}


def asking(*headers: str) -> FakeRegistry:
    """A registry that asks so for a login at everything, and takes any."""
    challenge = {"WWW-Authenticate": "\n".join(headers)} if headers else {}
    refusal = Answer(401, UNAUTHORIZED.body, challenge)

    def guard(request: Request) -> Answer | None:
        return None if request.authorization else refusal

    rules = guarded(guard, ping(), uploads(), manifests(NAME, {"1": image()}))
    return FakeRegistry(rules, token_server(jwt(NAME, *PULL_PUSH)))


@pytest.mark.parametrize("headers", BY_PASSWORD.values(), ids=BY_PASSWORD)
def test_a_password_is_asked_for(headers: tuple[str, ...]) -> None:
    with asking(*headers) as registry:
        investigate(registry, somebody())
        assert questions(registry) == ["base", "base as ada", "start as ada", "cancel as ada"]
    with asking(*headers) as registry:
        new().manifest(at(registry), somebody())
        assert registry.requests[-1].authorization == basic_header("ada", PASSWORD)


@pytest.mark.parametrize(("headers", "service"), BY_TOKEN.values(), ids=BY_TOKEN)
def test_a_token_is_asked_for(headers: tuple[str, ...], service: str | None) -> None:
    with asking(*headers) as registry:
        investigate(registry, somebody())
        assert questions(registry) == ["base", "token as ada", "start as ada", "cancel as ada"]
        (asked,) = registry.find("GET", "/token")
        assert (asked.query.get("service"), asked.scopes) == (service, (f"repository:{NAME}:pull,push",))
    with asking(*headers) as registry:
        new().manifest(at(registry), somebody())
        assert registry.requests[-1].authorization == f"Bearer {jwt(NAME, *PULL_PUSH)}"


@pytest.mark.parametrize("headers", BY_NOTHING.values(), ids=BY_NOTHING)
def test_nothing_is_asked_for_that_we_could_answer(headers: tuple[str, ...]) -> None:
    with asking(*headers) as registry:
        investigate(registry, somebody())
        new().manifest(at(registry), somebody())
        assert {one.authorization for one in registry.requests} == {""}


@pytest.mark.parametrize("headers", NO_TOKEN_SERVER.values(), ids=NO_TOKEN_SERVER)
def test_no_token_server_is_named(headers: tuple[str, ...]) -> None:
    with asking(*headers) as registry:
        found = investigate(registry, somebody())
        assert "names no usable token server" in found.problem
        assert {one.authorization for one in registry.requests} == {""}


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        (BASIC, ["base", "start"]),
        (BEARER, ["base", "token", "start with nobody's token", "cancel with nobody's token"]),
    ],
    ids=["Basic", "Bearer"],
)
def test_nobody_answers_for_nobody(header: str, asked: list[str]) -> None:
    with asking(header) as registry:
        investigate(registry, NOBODY)
        assert questions(registry) == asked
