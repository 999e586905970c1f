"""What a registry answers to the questions before a push, as evidence, and how the upload ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import WRONG_ADDRESS, Stage
from pushsafe.oci.reference import Reference
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Transport
from tests.contract.registry.asking import NAME, NOBODY, OPAQUE, PASSWORD, PULL_PUSH, at, investigate, new, somebody
from tests.contract.registry.conftest import Names
from tests.fakes.registry import (
    BASE,
    DENIED,
    NAME_UNKNOWN,
    OK,
    SERVER_ERROR,
    TOO_MANY,
    UNAUTHORIZED,
    UPLOAD_STARTED,
    WRONG_LOGIN,
    Answer,
    Certificate,
    FakeRegistry,
    Request,
    Rule,
    basic_header,
    basic_registry,
    bearer_registry,
    guarded,
    half_open_registry,
    jwt,
    on,
    open_registry,
    ping,
    redirect,
    token_server,
    uploads,
    wants_bearer,
)


@dataclass(frozen=True)
class Case:
    """What a registry says to an investigation: stage, status, code, sent and grant of each piece of evidence."""

    rules: Sequence[Rule]
    credential: Credential
    expected: Sequence[tuple[Any, ...]]


def pinged(status: int) -> tuple[Any, ...]:
    return Stage.PING, status, "", False, None


def unasked(request: Request) -> Answer | None:
    """Wants a login, and does not say so."""
    return None if request.authorization == basic_header("ada", PASSWORD) else DENIED


CASES = {
    "open, nobody": Case(open_registry(), NOBODY, [pinged(200), (Stage.PROBE, 202, "", False, None)]),
    "open, somebody": Case(open_registry(), somebody(), [pinged(200), (Stage.PROBE, 202, "", False, None)]),
    "open, repository missing": Case(
        open_registry(upload=NAME_UNKNOWN), somebody(), [pinged(200), (Stage.PROBE, 404, "NAME_UNKNOWN", False, None)]
    ),
    "Basic, nobody": Case(basic_registry(), NOBODY, [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)]),
    "Basic, somebody": Case(
        basic_registry(),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 202, "", True, None)],
    ),
    "Basic, wrong password": Case(
        basic_registry(), somebody(secret="wrong"), [pinged(401), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)]
    ),
    "Basic, no right (Gitea)": Case(
        basic_registry(upload=UNAUTHORIZED),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 401, "UNAUTHORIZED", True, None)],
    ),
    "Basic, no right (403)": Case(
        basic_registry(upload=DENIED),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "Basic, an identity token": Case(
        basic_registry(),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)],
    ),
    "Bearer, nobody": Case(
        bearer_registry(upload=DENIED),
        NOBODY,
        [pinged(401), (Stage.TOKEN, 200, "", False, ()), (Stage.PROBE, 403, "DENIED", False, None)],
    ),
    "Bearer, somebody": Case(
        bearer_registry(),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, PULL_PUSH), (Stage.PROBE, 202, "", True, None)],
    ),
    "Bearer, an empty grant": Case(
        bearer_registry(upload=DENIED, token=jwt()),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, ()), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "Bearer, an opaque token": Case(
        bearer_registry(upload=DENIED, token=OPAQUE),
        somebody(),
        [
            pinged(401),
            (Stage.TOKEN, 200, "", True, None),
            (Stage.PROBE, 403, "DENIED", True, None),
            (Stage.TOKEN, 200, "", False, ()),
            (Stage.PROBE, 403, "DENIED", False, None),
        ],
    ),
    "Bearer, wrong password": Case(
        bearer_registry(), somebody(secret="wrong"), [pinged(401), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)]
    ),
    "Bearer, no token in the answer": Case(
        bearer_registry(tokens=[on("GET", "/token", Answer(200, {}))]),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "NO_TOKEN", True, None)],
    ),
    "Bearer, token server rate limited": Case(
        bearer_registry(tokens=[on("GET", "/token", TOO_MANY)]),
        somebody(),
        [pinged(401), (Stage.TOKEN, 429, "TOOMANYREQUESTS", True, None)],
    ),
    "a registry token": Case(
        bearer_registry(tokens=[], upload=DENIED),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        [pinged(401), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "half open, nobody": Case(
        half_open_registry(), NOBODY, [pinged(200), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)]
    ),
    "half open, somebody": Case(
        half_open_registry(),
        somebody(),
        [pinged(200), (Stage.PROBE, 401, "UNAUTHORIZED", False, None), (Stage.PROBE, 202, "", True, None)],
    ),
    # Its /v2/ says 200 to whatever password: that is no accepted login.
    "half open, wrong password": Case(
        half_open_registry(),
        somebody(secret="wrong"),
        [pinged(200), (Stage.PROBE, 401, "UNAUTHORIZED", False, None), (Stage.PROBE, 401, "UNAUTHORIZED", True, None)],
    ),
    "half open with tokens": Case(
        [ping(), *guarded(wants_bearer(), uploads()), *token_server(jwt(NAME, *PULL_PUSH))],
        somebody(),
        [
            pinged(200),
            (Stage.PROBE, 401, "UNAUTHORIZED", False, None),
            (Stage.TOKEN, 200, "", True, PULL_PUSH),
            (Stage.PROBE, 202, "", True, None),
        ],
    ),
    # Nobody asks for the credential, as a proxy or a token-in-the-name registry may not; ours is tried all the same.
    "open, 403 without a challenge, nobody": Case(
        open_registry(upload=DENIED), NOBODY, [pinged(200), (Stage.PROBE, 403, "DENIED", False, None)]
    ),
    "open, 403 without a challenge, somebody": Case(
        [ping(), *guarded(unasked, uploads())],
        somebody(),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 202, "", True, None)],
    ),
    "open, 403 without a challenge, no right": Case(
        open_registry(upload=DENIED),
        somebody(),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "open, 403 without a challenge, wrong password": Case(
        [ping(lambda request: WRONG_LOGIN if request.authorization else OK), *uploads(DENIED)],
        somebody(secret="wrong"),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)],
    ),
    "open, 403 without a challenge, an identity token": Case(
        open_registry(upload=DENIED),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None)],
    ),
    "open, 403 without a challenge, a registry token": Case(
        open_registry(upload=DENIED),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "a server error": Case(
        basic_registry(upload=SERVER_ERROR),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 500, "UNKNOWN", True, None)],
    ),
    "401 without a challenge": Case(
        [ping(Answer(401)), on("POST", ".*", WRONG_LOGIN)],
        NOBODY,
        [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_investigation(case: Case) -> None:
    with FakeRegistry(case.rules) as registry:
        found = investigate(registry, case.credential).evidence
        assert [(one.stage, one.status, one.code, one.sent, one.granted) for one in found] == list(case.expected)
        # Nobody's token is no credential.
        carried = {one.method for one in registry.requests if one.authorization and case.credential.present}
        assert ("POST" in carried) is any(one.stage is Stage.PROBE and one.sent for one in found)
        assert bool(carried) is any(one.sent for one in found)
        started = [one for one in found if one.stage is Stage.PROBE and one.status == 202]
        assert len(registry.find("DELETE", r"/v2/acme/app/blobs/uploads/4a1f")) == len(started)


def test_a_credential_that_nobody_asked_for_goes_to_the_registry_alone() -> None:
    with FakeRegistry() as other:
        away = redirect(f"{other.base}/v2/")
        elsewhere = ping(lambda request: away if request.authorization else OK)
        with FakeRegistry(elsewhere, *uploads(DENIED)) as registry:
            found = investigate(registry, somebody()).evidence
    assert [(one.stage, one.status, one.sent) for one in found] == [
        (Stage.PING, 200, False),
        (Stage.PROBE, 403, False),
        (Stage.TOKEN, 307, True),
        (Stage.PROBE, 403, True),
    ]
    assert other.requests == []


def test_what_the_evidence_of_a_ping_says() -> None:
    with FakeRegistry(bearer_registry()) as registry:
        (first, *_) = investigate(registry, NOBODY).evidence
        assert first.message == f"GET {registry.base}/v2/ without a credential"
        assert first.challenge == f'Bearer realm="{registry.base}/token"'


def test_a_push_is_what_a_token_is_asked_for() -> None:
    with FakeRegistry(bearer_registry()) as registry:
        investigate(registry, somebody())
        assert registry.find("GET", "/token")[0].query["scope"] == "repository:acme/app:pull,push"


READERS: dict[str, tuple[list[Rule], list[Any]]] = {
    # the registry, and what is learnt of who reads there
    "a token that grants nothing": (
        bearer_registry([on("GET", "/v2/.+/manifests/9", UNAUTHORIZED)], token=jwt(NAME)),
        [pinged(401), (Stage.TOKEN, 200, "", True, ()), (Stage.PROBE, 401, "UNAUTHORIZED", True, None)],
    ),
    "a password": (
        basic_registry([on("GET", "/v2/.+/manifests/9", DENIED)]),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "a wrong password": (
        basic_registry(password="another"),
        [pinged(401), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)],
    ),
}


@pytest.mark.parametrize(("rules", "expected"), READERS.values(), ids=READERS)
def test_who_reads_starts_no_upload(rules: list[Rule], expected: list[Any]) -> None:
    """Nor asks for a token to push, for which Quay makes a repository."""
    with FakeRegistry(rules) as registry:
        found = new().investigate(at(registry), somebody(), "9").evidence
        assert [(one.stage, one.status, one.code, one.sent, one.granted) for one in found] == expected
        assert registry.find("POST", ".*") == []
        assert all(one.query["scope"] == f"repository:{NAME}:pull" for one in registry.find("GET", "/token"))


def test_a_foreign_plain_token_server_hears_nothing() -> None:
    with FakeRegistry() as elsewhere:
        realm = f"http://auth.test:{elsewhere.port}/token"
        with FakeRegistry(bearer_registry(realm=realm, tokens=[])) as registry:
            found = investigate(registry, somebody())
            assert "over plain HTTP" in found.problem
            assert found.unsafe_realm == f"auth.test:{elsewhere.port}"
            assert [one.stage for one in found.evidence] == [Stage.PING]
            assert registry.seen() == ["GET /v2/"]


# --------------------------------------------------------------------------- the probe's end


def started(location: str) -> Answer:
    return Answer(202).having(Location=location)


@pytest.mark.parametrize(
    "location",
    [
        "/v2/acme/app/blobs/uploads/u1?_state=x%2Fy",
        f"{BASE}/v2/acme/app/blobs/uploads/u1?_state=x%2Fy",
        "u1?_state=x%2Fy",
    ],
)
def test_an_upload_is_cancelled_where_it_is(location: str) -> None:
    with FakeRegistry(basic_registry(upload=started(location))) as registry:
        investigate(registry, somebody())
        (cancel,) = registry.find("DELETE", "/v2/acme/app/blobs/uploads/u1")
        assert (cancel.authorization, cancel.query["_state"]) == (basic_header("ada", PASSWORD), "x/y")
        assert registry.find("POST", ".*")[0].headers["content-length"] == "0"


ELSEWHERE = [
    "http://127.0.0.1:{port}/v2/x",
    "//127.0.0.1:{port}/v2/x",
    "https://{own}/v2/x",
    "http://localhost:{own_port}/v2/x",
    "http://{own}@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}\\@{own}/x",
    "http://[::1/x",
    "ftp://{own}/x",
    "",
]


@pytest.mark.parametrize("location", ELSEWHERE)
def test_an_upload_elsewhere_is_left_alone(location: str) -> None:
    """A DELETE at an address of the registry's choice would be anybody's; the upload ends by itself."""
    with FakeRegistry() as elsewhere, FakeRegistry() as registry:
        to = location.format(port=elsewhere.port, own=registry.host, own_port=registry.port)
        registry.rules += basic_registry(upload=started(to))
        found = investigate(registry, somebody()).evidence
        assert found[-1].status or found[-2].status == 202
        assert elsewhere.requests == []
        assert registry.find("DELETE", ".*") == []


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("credential", [NOBODY, somebody()], ids=["nobody", "somebody"])
def test_an_upload_is_started_where_a_redirect_leads(credential: Credential, status: int) -> None:
    """As a push would, in the same repository's name or another."""
    first, then = redirect("/begin", status), redirect("/v2/other/blobs/uploads/", status)
    there = [on("POST", "/begin", then), on("POST", "/v2/other/blobs/uploads/", UPLOAD_STARTED)]
    rules = open_registry(upload=first) if credential is NOBODY else basic_registry(upload=first)
    with FakeRegistry([*there, *rules]) as registry:
        found = investigate(registry, credential)
        asked = registry.find("POST", ".*")
        assert len(registry.find("DELETE", ".*")) == 1
    sent = credential is not NOBODY
    assert [one.path for one in asked] == ["/v2/acme/app/blobs/uploads/", "/begin", "/v2/other/blobs/uploads/"]
    assert {one.authorization for one in asked} == {basic_header("ada", PASSWORD) if sent else ""}
    assert (found.evidence[-1].stage, found.evidence[-1].status, found.evidence[-1].sent) == (Stage.PROBE, 202, sent)


LED = {
    "to another registry": (307, "http://127.0.0.1:{port}/u", "a redirect to http://127.0.0.1:{port}"),
    "to another host": (308, "https://other.test/u?secret", "a redirect to https://other.test"),
    "with another method": (302, "/sign-in", "a redirect to another path of its own"),
}


@pytest.mark.parametrize(("status", "location", "said"), LED.values(), ids=LED)
def test_an_upload_that_is_not_started_where_a_redirect_leads(status: int, location: str, said: str) -> None:
    """An engine may follow it, so that it is nothing against a push."""
    with FakeRegistry() as other:
        moved = Answer(status).having(Location=location.format(port=other.port))
        with FakeRegistry(basic_registry(upload=moved)) as registry:
            found = investigate(registry, somebody())
            assert len(registry.find("POST", ".*")) == 1
        assert other.requests == []
    last = found.evidence[-1]
    assert (last.stage, last.status, found.problem) == (Stage.PROBE, status, "")
    assert last.message == f"{said.format(port=other.port)}, which is not followed"


def dead() -> int:
    """A port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


CLEAR = "it is plain HTTP, which anyone on the way can read and change"
# Whether the registry speaks TLS; what its Location is; what is said of it, empty for nothing.
PLACES: dict[str, tuple[bool, str, str]] = {
    "its own": (False, "http://{own}/u", ""),
    "its own, as a path": (False, "/u", ""),
    "its own, by TLS": (True, "https://{own}/u", ""),
    "another one's": (False, "http://127.0.0.1:{port}/u", ""),
    "a lost port": (False, "http://127.0.0.1:{dead}/u", "http://127.0.0.1:{dead}, {wrong}: connection refused"),
    "the wrong scheme": (False, "https://{own}/u", "https://{own}, {wrong}: what answers there does not speak TLS"),
    "the scheme before the proxy": (True, "http://{own}/u", f"http://{{own}}, {{wrong}}: {CLEAR}"),
    "in clear elsewhere": (True, "http://127.0.0.1:{port}/u", f"http://127.0.0.1:{{port}}, {{wrong}}: {CLEAR}"),
    "an unknown name": (False, "http://core.test/u", "http://core.test, {wrong}: the host name cannot be resolved"),
    "metadata": (
        False,
        "http://169.254.169.254/u",
        "http://169.254.169.254, {wrong}: it is a link-local address or a cloud's metadata service, where {own} itself "
        "is not",
    ),
    "a name that nobody looks up now": (False, "http://later.test/u", ""),
    "nowhere": (False, "", "it opens an upload, but does not say where to send it"),
    "no address": (False, "http://[", "it opens an upload, but does not say where to send it"),
}


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize(("secure", "location", "said"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("credential", [NOBODY, somebody()], ids=["nobody", "somebody"])
def test_where_a_registry_sends_its_uploads(
    credential: Credential, secure: bool, location: str, said: str, trusted: Certificate, names: Names
) -> None:
    """Nothing is sent there, and nothing more to a registry that names its own address."""
    names()
    with (
        FakeRegistry() as other,
        FakeRegistry(on("DELETE", "/u", Answer(204)), certificate=trusted if secure else None) as registry,
    ):
        words = {"own": registry.host, "port": str(other.port), "dead": str(dead())}
        upload = started(location.format(**words))
        registry.rules += open_registry(upload=upload) if credential is NOBODY else basic_registry(upload=upload)
        found = investigate(registry, credential)
        (opened,) = (one for one in found.evidence if one.status == 202)
        wrong = [one for one in found.evidence if one.code == WRONG_ADDRESS]
        assert other.requests == []
        assert len(registry.find("POST", ".*")) == 1
    assert (opened.stage, found.problem) == (Stage.PROBE, "")
    if not said:
        assert wrong == []
        return
    message = said.format(**words, wrong="which is not its own address")
    led = message if "does not say where" in message else f"{registry.base} sends uploads to {message}"
    assert [(one.stage, one.status, one.message) for one in wrong] == [(Stage.PROBE, None, led)]
    assert found.evidence[-1] is wrong[0]


@pytest.mark.usefixtures("no_proxy")
def test_an_address_that_only_an_engine_elsewhere_may_reach_is_not_held_against_a_registry(names: Names) -> None:
    names("registry.test")
    with FakeRegistry() as registry:
        registry.rules += open_registry(upload=started(f"http://127.0.0.1:{dead()}/u"))
        name = f"registry.test:{registry.port}"
        asked = Registry(Transport(lambda: (name,), engine_is_local=lambda: False))
        found = asked.investigate(Reference("given", name, NAME, "1"), NOBODY).evidence
        asked.close()
    assert [(one.stage, one.status) for one in found] == [(Stage.PING, 200), (Stage.PROBE, 202)]


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("credential", [NOBODY, somebody()], ids=["nobody", "somebody"])
def test_a_registry_that_steps_down_is_a_finding_where_there_is_a_credential(
    credential: Credential, trusted: Certificate
) -> None:
    """An engine would take the challenge from there, and the credential to whomever that names."""
    with FakeRegistry() as clear:
        moved = on("GET", "/v2/", redirect(f"http://127.0.0.1:{clear.port}/v2/", 301))
        with FakeRegistry(moved, certificate=trusted) as registry:
            found = investigate(registry, credential)
        assert clear.requests == []
    assert found.problem.startswith(f"{registry.base} redirects to http://127.0.0.1:{clear.port}, ")
    assert [(one.stage, one.code) for one in found.evidence] == (
        [(Stage.PING, WRONG_ADDRESS)] if credential.present else []
    )


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("credential", [NOBODY, somebody()], ids=["nobody", "somebody"])
def test_a_token_server_that_steps_down(credential: Credential, trusted: Certificate) -> None:
    with FakeRegistry() as clear:
        tokens = on("GET", "/token", redirect(f"http://127.0.0.1:{clear.port}/token", 302))
        with FakeRegistry(bearer_registry(tokens=[tokens]), certificate=trusted) as registry:
            found = investigate(registry, credential)
        assert clear.requests == []
    assert "plain HTTP" in found.problem
    assert [(one.stage, one.code) for one in found.evidence[1:]] == (
        [(Stage.TOKEN, WRONG_ADDRESS)] if credential.present else []
    )


@pytest.mark.parametrize("answer", [Answer(drop=True), SERVER_ERROR, UNAUTHORIZED, Answer(404)])
def test_a_cancelling_that_fails_changes_nothing(answer: Answer) -> None:
    rules = [on("DELETE", ".*", answer), *basic_registry()]
    with FakeRegistry(rules) as registry:
        found = investigate(registry, somebody()).evidence
        assert (found[-1].stage, found[-1].status) == (Stage.PROBE, 202)


@pytest.mark.parametrize("left", [0.1, 0.0, -0.2, -9.0])
@pytest.mark.parametrize("rules", [basic_registry(), bearer_registry()], ids=["Basic", "Bearer"])
def test_after_the_runs_end_there_is_a_moment_for_cancelling(rules: list[Rule], left: float) -> None:
    seconds = [60.0]
    with FakeRegistry(rules) as registry:
        asked = Registry(Transport(deadline=lambda: seconds[0]))
        asked.investigate(at(registry), somebody())
        seconds[0] = left
        asked.close()
        assert len(registry.find("DELETE", ".*")) == 1


def test_a_cancelling_that_takes_its_time_keeps_nobody() -> None:
    seconds = [60.0]
    rules = [on("DELETE", ".*", Answer(204, delay=3.0)), *basic_registry()]
    with FakeRegistry(rules) as registry:
        asked = Registry(Transport(deadline=lambda: seconds[0]))
        asked.investigate(at(registry), somebody())
        seconds[0] = -0.1
        began = time.monotonic()
        asked.close()
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(("delay", "cancelled"), [(0.1, 1), (2.0, 0)])
def test_the_end_waits_a_moment_for_an_upload_that_was_asked_for(delay: float, cancelled: int) -> None:
    come = threading.Event()

    def start(_request: Request) -> Answer:
        come.set()
        return replace(UPLOAD_STARTED.having(Location="/v2/acme/app/blobs/uploads/u1"), delay=delay)

    rules = [ping(), on("POST", ".*", start), on("DELETE", ".*", Answer(204))]
    with FakeRegistry(rules) as registry:
        asked = new()
        asking = threading.Thread(target=asked.investigate, args=(at(registry), NOBODY))
        asking.start()
        assert come.wait(10)
        before = time.monotonic()
        asked.close()
        assert time.monotonic() - before < 1.5
        assert len(registry.find("DELETE", ".*")) == cancelled
        asking.join()


def test_a_run_that_ended_opens_no_more_uploads() -> None:
    with FakeRegistry(open_registry()) as registry:
        asked = new()
        asked.close()
        assert asked.investigate(at(registry), NOBODY).problem == "the run is over"
        assert registry.seen() == ["GET /v2/"]


def test_only_an_accepted_upload_is_cancelled() -> None:
    with FakeRegistry(open_registry(upload=DENIED.having(Location="/v2/acme/app/blobs/uploads/u1"))) as registry:
        investigate(registry, NOBODY)
        assert registry.seen() == ["GET /v2/", "POST /v2/acme/app/blobs/uploads/"]


@pytest.mark.parametrize(
    ("granted", "cancelled"),
    [(("delete",), True), (("*",), True), (None, True), ((), False), (("pull",), False)],
    ids=["delete", "everything", "an opaque token", "nothing", "pull"],
)
def test_a_right_of_its_own_to_cancel_is_asked_for(granted: tuple[str, ...] | None, cancelled: bool) -> None:
    """distribution wants `delete` for it, which no push has asked for."""
    pushing = jwt(NAME, *PULL_PUSH)
    deleting = "an-opaque-token" if granted is None else jwt(NAME, *granted)
    scope = f"repository:{NAME}:delete"

    def token(request: Request) -> Answer:
        return Answer(200, {"token": deleting if request.query["scope"] == scope else pushing})

    def cancel(request: Request) -> Answer:
        if request.authorization == f"Bearer {deleting}":
            return Answer(204)
        challenge = f'Bearer realm="{BASE}/token",scope="{scope}",error="insufficient_scope"'
        return UNAUTHORIZED.having(WWW_Authenticate=challenge)

    rules = [on("DELETE", ".*", cancel), *bearer_registry(tokens=[on("GET", "/token", token)], token=pushing)]
    with FakeRegistry(rules) as registry:
        assert investigate(registry, somebody()).evidence[-1].status == 202
        assert [one.authorization for one in registry.find("DELETE", ".*")] == [
            f"Bearer {pushing}",
            *([f"Bearer {deleting}"] if cancelled else []),
        ]
        assert registry.seen()[-1].startswith("DELETE" if cancelled else "GET /token")
