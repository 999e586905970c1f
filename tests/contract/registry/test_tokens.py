"""The token and the connection of the questions before a push are used for what is asked afterwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pushsafe.model.credentials import Credential
from pushsafe.model.errors import RegistryFailed
from pushsafe.registry.client import Registry
from tests.contract.registry.asking import NAME, NOBODY, OURS, PULL_PUSH, at, new, questions, somebody
from tests.fakes.registry import (
    UNAUTHORIZED,
    Answer,
    FakeRegistry,
    Guard,
    Request,
    Rule,
    bearer_challenge,
    bearer_registry,
    guarded,
    image,
    jwt,
    manifests,
    on,
    ping,
    uploads,
)

STORE = manifests(NAME, {"1": image("1"), "2": image("2")})


WANTED = UNAUTHORIZED.having(WWW_Authenticate=bearer_challenge())


def takes(*headers: str) -> Guard:
    """Manifests are shown with these headers only."""
    return lambda request: None if request.authorization in headers else WANTED


def by_scope(**tokens: str) -> Rule:
    """Tokens by the first action that is asked for, `push` standing for both."""

    def answer(request: Request) -> Answer:
        actions = request.query["scope"].rpartition(":")[2]
        return Answer(200, {"token": tokens["push" if "push" in actions else "pull"]})

    return on("GET", "/token", answer)


def looks(asked: Registry, registry: FakeRegistry, *tags: str) -> list[str]:
    return [type(asked.manifest(at(registry, tag), somebody())).__name__ for tag in tags]


def test_a_repository_its_cancelled_upload_and_its_tags_take_one_connection() -> None:
    with FakeRegistry(bearer_registry(STORE)) as registry:
        asked = new()
        asked.ping(registry.host)
        asked.investigate(at(registry), somebody())
        assert looks(asked, registry, "1", "2") == ["ManifestInfo"] * 2
        asked.close()
        # Each answer was read before the next question, or that would need another connection.
        expected = ["base", "token as ada", "start as ada", "look as ada", "look as ada", "cancel as ada"]
        assert questions(registry) == expected
        assert len({one.connection for one in registry.requests}) == 1


PUSHING, PULLING = jwt(NAME, *PULL_PUSH), jwt(NAME, "pull")
# Which tokens there are for pushing and for pulling, which ones show a manifest, and the questions of two looks.
AFTER: dict[str, tuple[str, str, tuple[str, ...], list[str]]] = {
    "it is taken for reading": (PUSHING, "", (PUSHING,), ["look", "look"]),
    "an opaque one is taken": (OURS, "", (OURS,), ["look", "look"]),
    "it is not taken": (PUSHING, PULLING, (PULLING,), ["look", "token", "look", "look"]),
    "it does not grant reading": (jwt(NAME, "push"), PULLING, (PULLING,), ["token", "look", "look"]),
    "it grants nothing": (jwt(), PULLING, (PULLING,), ["token", "look", "look"]),
    "neither is taken": (PUSHING, PULLING, (), ["look", "token", "look", "read", "look", "read"]),
    "the other is the same": (OURS, OURS, (), ["look", "token", "read", "look", "read"]),
}


@pytest.mark.parametrize(("push", "pull", "taken", "expected"), AFTER.values(), ids=AFTER)
def test_the_token_for_pushing_is_used_again(push: str, pull: str, taken: tuple[str, ...], expected: list[str]) -> None:
    shown = guarded(takes(*(f"Bearer {one}" for one in taken)), STORE)
    with FakeRegistry(ping(WANTED), *uploads(), *shown, by_scope(push=push, pull=pull)) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        first = len(registry.requests)
        assert looks(asked, registry, "1", "2") == ["ManifestInfo" if taken else "Evidence"] * 2
        assert [one.partition(" ")[0] for one in questions(registry)[first:]] == expected


def test_tags_that_are_looked_at_side_by_side_each_get_the_other_token() -> None:
    both = threading.Barrier(2, timeout=10)

    def refuse(request: Request) -> Answer | None:
        if request.authorization == f"Bearer {PULLING}":
            return None
        both.wait()
        return WANTED

    tokens = by_scope(push=PUSHING, pull=PULLING)
    with FakeRegistry(ping(WANTED), *uploads(), *guarded(refuse, STORE), tokens) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda tag: asked.manifest(at(registry, tag), somebody()), ("1", "2")))
    assert [type(one).__name__ for one in found] == ["ManifestInfo"] * 2


ODD = {
    "a page": Answer(200, "<html>sign in</html>"),
    "nothing": Answer(204),
    "half of it": Answer(200, '{"token": "abc'),
    **{str(status): Answer(status) for status in (404, 405, 409, 412, 413, 416)},
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
@pytest.mark.parametrize("credential", [somebody(), NOBODY], ids=["somebody", "nobody"])
def test_a_token_server_without_a_token_refuses_nobody(credential: Credential, answer: Answer) -> None:
    """To ask on without one would be refused, and look like a denial."""
    with FakeRegistry(ping(WANTED), on("GET", "/token", answer)) as registry:
        with pytest.raises(RegistryFailed) as caught:
            new().manifest(at(registry), credential)
        assert set(registry.seen()) == {"GET /v2/", "GET /token"}
    said = f"answers {answer.status} to the request for a token: the token server's answer holds no token"
    assert caught.value.message == f"{registry.base} {said}"


@pytest.mark.parametrize(("status", "asked_again"), [(503, True), (429, True), (401, False), (403, False)])
def test_a_token_server_that_was_busy_is_asked_again(status: int, asked_again: bool) -> None:
    server = on("GET", "/token", Answer(status), Answer(200, {"token": PUSHING}))
    with FakeRegistry(ping(WANTED), *uploads(), server) as registry:
        asked = new()
        assert asked.investigate(at(registry), somebody()).evidence[-1].status != 202
        again = asked.investigate(at(registry), somebody()).evidence[-1]
        assert (again.status == 202) is asked_again
        # A 403 is asked about once more, without a scope.
        assert len(registry.find("GET", "/token")) == (2 if asked_again or status == 403 else 1)
