"""The questions before a push: which, in which order, and with which credential."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Preflight, Stage
from tests.contract.registry.asking import (
    NAME,
    NOBODY,
    NOBODYS,
    OURS,
    PASSWORD,
    PULL_PUSH,
    at,
    investigate,
    new,
    questions,
    somebody,
)
from tests.fakes.quirks import QUIRKS, REQUESTS, Meets, Quirk
from tests.fakes.registry import (
    DENIED,
    OK,
    UNAUTHORIZED,
    UPLOAD_STARTED,
    WRONG_LOGIN,
    Answer,
    FakeRegistry,
    Request,
    Rule,
    basic_header,
    basic_registry,
    bearer_challenge,
    bearer_registry,
    half_open_registry,
    jwt,
    on,
    open_registry,
    ping,
    uploads,
)
from tests.fakes.storing import Storing

WANTED, DONE = UNAUTHORIZED.having(WWW_Authenticate=bearer_challenge()), UPLOAD_STARTED
SMALL = UNAUTHORIZED.having(WWW_Authenticate=f'{bearer_challenge()},error="insufficient_scope"')
LIMITED = Answer(503, "busy")


def strict(answers: dict[str, Answer], base: dict[str, Answer] | None = None, at_base: Answer = WANTED) -> list[Rule]:
    """Answers to an upload, and at `/v2/`, by the Authorization header; all others are asked for a login there, or get
    `at_base`."""
    started = uploads()[0].answers[0]
    assert callable(started)

    def upload(request: Request) -> Answer:
        answer = answers.get(request.authorization, WANTED)
        return started(request) if answer is DONE else answer

    return [
        ping(lambda request: (base or {}).get(request.authorization, at_base)),
        on("POST", ".*/uploads/", upload),
        uploads()[1],
    ]


def gives(ours: Answer | str, nobodys: Answer | str = NOBODYS, login: Answer | str = WRONG_LOGIN) -> Rule:
    """A token server: to a request with a scope that has a login, to nobody's, to one without a scope."""

    def answer(request: Request) -> Answer:
        found = (ours if request.authorization else nobodys) if "scope" in request.query else login
        return Answer(200, {"token": found}) if isinstance(found, str) else found

    return on("GET", "/token", answer)


ADAS, THEIRS = f"Bearer {OURS}", f"Bearer {NOBODYS}"
COMPARED = ["base", "token as ada", "start as ada", "token"]
SEQUENCES: dict[str, tuple[Sequence[Rule], Credential, list[str]]] = {
    "open": (open_registry(), somebody(), ["base", "start", "cancel"]),
    "Basic": (basic_registry(), somebody(), ["base", "base as ada", "start as ada", "cancel as ada"]),
    "Basic, refused": (basic_registry(upload=DENIED), somebody(), ["base", "base as ada", "start as ada"]),
    "Basic, 403 at /v2/ already": (
        strict({}, {basic_header("ada", PASSWORD): DENIED}, UNAUTHORIZED.having(WWW_Authenticate="Basic")),
        somebody(),
        ["base", "base as ada", "start as ada"],
    ),
    "half open": (half_open_registry(), somebody(), ["base", "start", "base as ada", "start as ada", "cancel as ada"]),
    "JWT": (bearer_registry(), somebody(), ["base", "token as ada", "start as ada", "cancel as ada"]),
    "JWT without push": (
        bearer_registry(upload=DENIED, token=jwt(NAME, "pull")),
        somebody(),
        ["base", "token as ada", "start as ada"],
    ),
    "no token": (bearer_registry(tokens=[gives(WRONG_LOGIN)]), somebody(), ["base", "token as ada"]),
    "busy token server": (bearer_registry(tokens=[gives(LIMITED)]), somebody(), ["base", "token as ada"]),
    "403 of the token server": (
        bearer_registry(tokens=[gives(DENIED, login=OURS)]),
        somebody(),
        ["base", "token as ada", "token of no scope as ada"],
    ),
    "403 of the token server to nobody": (bearer_registry(tokens=[gives(OURS, DENIED)]), NOBODY, ["base", "token"]),
    "opaque, 403, nobody's too": (
        [*strict({ADAS: DENIED, THEIRS: DENIED}), gives(OURS)],
        somebody(),
        [*COMPARED, "start with nobody's token"],
    ),
    "opaque, 403, nobody's 401": (
        [*strict({ADAS: DENIED}), gives(OURS)],
        somebody(),
        [*COMPARED, "start with nobody's token"],
    ),
    "opaque, 403, no token for nobody": ([*strict({ADAS: DENIED}), gives(OURS, DENIED)], somebody(), COMPARED),
    "opaque, 401, known at /v2/": (
        [*strict({}, {ADAS: OK}), gives(OURS)],
        somebody(),
        [*COMPARED, "base as ada", "base with nobody's token"],
    ),
    "opaque, 401, unknown at /v2/": ([*strict({}), gives(OURS)], somebody(), [*COMPARED, "base as ada"]),
    "opaque, want of scope": ([*strict({ADAS: SMALL}), gives(OURS)], somebody(), COMPARED[:-1]),
    "opaque, accepted": ([*strict({ADAS: DONE}), gives(OURS)], somebody(), [*COMPARED[:-1], "cancel as ada"]),
    "opaque, busy": ([*strict({ADAS: LIMITED}), gives(OURS)], somebody(), COMPARED[:-1]),
    "opaque, nobody himself": ([*strict({}), gives(OURS)], NOBODY, ["base", "token", "start with nobody's token"]),
    "half open, opaque, 403": (
        [*strict({ADAS: DENIED}, at_base=OK), gives(OURS)],
        somebody(),
        ["base", "start", *COMPARED[1:], "start with nobody's token"],
    ),
    # Its /v2/ says yes to everybody, and tells nothing.
    "half open, opaque, 401": (
        [*strict({}, at_base=OK), gives(OURS)],
        somebody(),
        ["base", "start", "token as ada", "start as ada"],
    ),
    "an identity token": (
        bearer_registry(tokens=[on("POST", "/token", Answer(200, {"access_token": jwt(NAME, *PULL_PUSH)}))]),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        ["base", "token as ada", "start as ada", "cancel as ada"],
    ),
    "a registry token": (
        bearer_registry(upload=DENIED, tokens=[]),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        ["base", "start as it is"],
    ),
    # What is no answer of a registry is no reason to show it a credential.
    **{
        f"{status} at /v2/": ([ping(Answer(status)), *uploads(DENIED)], somebody(), ["base", "start"])
        for status in (403, 404, 405, 429, 500, 503)
    },
}


@pytest.mark.parametrize(("rules", "credential", "expected"), SEQUENCES.values(), ids=SEQUENCES)
def test_questions(rules: Sequence[Rule], credential: Credential, expected: list[str]) -> None:
    with FakeRegistry(rules) as registry:
        investigate(registry, credential)
        assert questions(registry) == expected
        assert len(registry.requests) <= REQUESTS


LOGINS = [(quirk, meets) for quirk in QUIRKS for meets in quirk.meets]


@pytest.mark.parametrize(("quirk", "meets"), LOGINS, ids=[f"{quirk.name} {meets.login}" for quirk, meets in LOGINS])
def test_no_registry_is_asked_more_than_six_times(quirk: Quirk, meets: Meets) -> None:
    user, password = meets.login or ("", "")
    with FakeRegistry(quirk.rules(Storing())) as registry:
        investigate(registry, somebody(user=user, secret=password) if meets.login else NOBODY)
        assert len(registry.requests) <= REQUESTS


@pytest.mark.parametrize(
    "rules",
    [[*strict({ADAS: DENIED, THEIRS: DENIED}), gives(OURS)], [*strict({}, {ADAS: OK, THEIRS: OK}), gives(OURS)]],
    ids=["403", "401"],
)
def test_nobodys_questions_name_nobody(rules: Sequence[Rule]) -> None:
    with FakeRegistry(rules) as registry:
        investigate(registry, somebody())
        _, _, _, token, *others = registry.requests
        assert (token.authorization, token.query.get("account"), token.body) == ("", None, b"")
        assert token.query["scope"] == f"repository:{NAME}:pull,push"
        assert others[-1].authorization == THEIRS


DROPPED = Answer(drop=True)


@pytest.mark.parametrize(
    ("rules", "stages"),
    [
        (bearer_registry(tokens=[on("GET", "/token", DROPPED)]), [Stage.PING]),
        (bearer_registry(upload=DROPPED), [Stage.PING, Stage.TOKEN]),
        (
            [*strict({ADAS: DENIED}), on("GET", "/token", Answer(200, {"token": OURS}), DROPPED)],
            [Stage.PING, Stage.TOKEN, Stage.PROBE],
        ),
        (bearer_registry(realm="nowhere", tokens=[]), [Stage.PING]),
    ],
    ids=["token server", "upload", "comparison", "a realm that is none"],
)
def test_what_was_learnt_until_an_answer_stayed_away_is_kept(rules: Sequence[Rule], stages: list[Stage]) -> None:
    with FakeRegistry(rules) as registry:
        found = investigate(registry, somebody())
    assert [one.stage for one in found.evidence] == stages
    assert found.problem
    assert found.unsafe_realm == ""
    assert PASSWORD not in repr(found)


def test_a_registry_that_is_away_taught_nothing() -> None:
    with FakeRegistry() as registry:
        gone = at(registry)
    assert new().investigate(gone, somebody()) == Preflight(problem=f"http://{gone.registry}: connection refused")
