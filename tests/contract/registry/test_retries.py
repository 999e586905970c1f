"""Which requests are sent again, how often, after which pause, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import pytest

from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.plan import Wait
from pushsafe.model.retry_policy import LONGEST_WAIT, NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.registry.http import transport
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.transport import Transport
from pushsafe.registry.http.unreachable import Dropped
from tests.contract.registry.asking import NAME, OPAQUE, PASSWORD, at, new, somebody
from tests.fakes.registry import (
    OK,
    Answer,
    FakeRegistry,
    Request,
    basic_registry,
    bearer_registry,
    image,
    manifests,
    on,
    open_registry,
    ping,
)

pytestmark = pytest.mark.usefixtures("no_proxy")

DROP = Answer(drop=True)
CUT = Answer(200, "abc").having(Content_Length="10", Connection="close")
BUSY = Answer(503)
FIRST, SECOND, THIRD = (0.25, 0.5), (0.5, 0.75), (1.0, 1.25)
"""The backoff's pauses in seconds, the least and the most."""
NONE = (0.0, 0.0)


def after(seconds: object, status: int = 429) -> Answer:
    return Answer(status).having(Retry_After=str(seconds))


@dataclass(frozen=True)
class Run:
    """The answers of a registry one after the other, the last one for ever, and how a request ends.

    `end` is the status, or the last words of the error; `pauses` are those asked for, each within its bounds.
    """

    answers: Sequence[Answer]
    end: int | str
    requests: int
    pauses: Sequence[tuple[float, float]] = ()
    retries: int = 3
    left: float | None = None


def once(answer: Answer, *pauses: tuple[float, float], left: float | None = None) -> Run:
    """What is over at the second try."""
    return Run((answer, OK), 200, 2, pauses, left=left)


def never(answer: Answer, end: int | str, left: float | None = None) -> Run:
    """What is not tried again, although that would help."""
    return Run((answer, OK), end, 1, left=left)


CLOSED = "the connection was closed without an answer"
FINAL = (301, 400, 401, 403, 404, 405, 409, 413, 500, 501, 505)
RUNS = {
    "429": once(Answer(429), FIRST),
    "502": once(Answer(502), FIRST),
    "503": once(Answer(503), FIRST),
    "504": once(Answer(504), FIRST),
    **{str(status): never(Answer(status), status) for status in FINAL},
    "a refusal that says when": never(after(1, 401), 401),
    "no retries": Run((BUSY, OK), 503, 1, retries=0),
    "no retries of a drop": Run((DROP, OK), CLOSED, 1, retries=0),
    "one is not enough": Run((BUSY, BUSY, OK), 503, 2, (FIRST,), retries=1),
    "busy for ever": Run((BUSY,), 503, 4, (FIRST, SECOND, THIRD)),
    "the last answer counts": Run((BUSY, Answer(502), Answer(404)), 404, 3, (FIRST, SECOND)),
    # Retry-After
    "seconds": once(after(7), (7, 7)),
    "seconds of 503": once(after(7, 503), (7, 7)),
    "seconds of 502": once(after(7, 502), (7, 7)),
    "seconds of 504": once(after(7, 504), (7, 7)),
    "as long as may be": once(after(int(LONGEST_WAIT)), (LONGEST_WAIT, LONGEST_WAIT)),
    "too long": never(after(int(LONGEST_WAIT) + 1), 429),
    "an hour": never(after(3600), 429),
    "for ever": never(after("9" * 400), 429),
    "within the run's time": once(after(7), (7, 7), left=8.0),
    "beyond the run's time": never(after(7), 429, left=7.0),
    "backoff beyond the run's time": never(BUSY, 503, left=0.2),
    "each time": Run((after(7), after(2), OK), 200, 3, ((7, 7), (2, 2))),
    "at once": once(after(0), FIRST),
    "in words": once(after("soon"), FIRST),
    "negative": once(after(-5), FIRST),
    "a fraction": once(after("1.5"), FIRST),
    "more digits than a number has": once(after("9" * 5000), FIRST),
    "a date that is none": once(after("Sun, 99 Nov 99999999 08:49:37 GMT"), FIRST),
    "twice": once(Answer(429).having(Retry_After="2\n1"), (2.0, 2.25)),
    # drops
    "a drop": once(DROP),
    "a body cut off": once(CUT),
    "a refusal cut off": once(Answer(404, "abc").having(Content_Length="10", Connection="close")),
    "a drop with no time to lose": once(DROP, left=0.2),
    "two drops": Run((DROP, CUT, OK), 200, 3, (FIRST,)),
    "drops for ever": Run((DROP,), CLOSED, 4, (FIRST, SECOND)),
    "cut off for ever": Run((CUT,), "the answer broke off", 4, (FIRST, SECOND)),
    "a drop, then busy": Run((DROP, BUSY, OK), 200, 3, (SECOND,)),
    "busy, then a drop": Run((BUSY, DROP, OK), 200, 3, (FIRST, FIRST)),
    "a drop, then a refusal": Run((DROP, Answer(403), OK), 403, 2),
    # what is no drop
    "an answer too large": never(Answer(200, b"x" * 2000), "an answer of more than 1000 bytes"),
    "an unpackable answer": never(
        Answer(200, "abc").having(Content_Encoding="gzip"), "the answer is not compressed as its header says"
    ),
}


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_request_is_sent_again_where_that_can_succeed(run: Run, method: str, pauses: list[float]) -> None:
    told: list[Wait] = []
    with FakeRegistry(on(method, "/", *run.answers)) as registry:
        spoken = Transport(deadline=lambda: run.left)
        body = b"something" if method == "PUT" else None
        retry_policy = RetryPolicy(run.retries, told.append)
        try:
            end: int | str = spoken.send(
                method, f"{registry.base}/", body=body, limit=1000, retry_policy=retry_policy
            ).status
        except RegistryUnreachable as error:
            end = error.message
        assert str(end).endswith(str(run.end))
        assert len(registry.requests) == run.requests
        assert {request.body for request in registry.requests} == {body or b""}
        assert {wait.who for wait in told} <= {registry.host}
    assert len(pauses) == len(run.pauses)
    assert all(least <= pause <= most for pause, (least, most) in zip(pauses, run.pauses, strict=True)), pauses
    assert [wait.seconds for wait in told] == pauses


@pytest.mark.parametrize(("ahead", "least", "most"), [(30, 28, 30), (-30, *FIRST), (LONGEST_WAIT + 30, 0, 0)])
def test_a_date_to_wait_for(ahead: float, least: float, most: float, pauses: list[float]) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)
    with FakeRegistry(on("GET", "/", after(date), OK)) as registry:
        status = Transport().send("GET", f"{registry.base}/", retry_policy=RetryPolicy(1)).status
    assert status == (200 if most else 429)
    assert [least <= pause <= most for pause in pauses] == ([True] if most else [])


@pytest.mark.parametrize("answer", [BUSY, DROP, CUT, after(1)], ids=["busy", "drop", "cut", "after"])
def test_nothing_is_sent_again_unless_asked_for(answer: Answer, pauses: list[float]) -> None:
    with FakeRegistry(on("GET", "/", answer, OK)) as registry:
        try:
            assert Transport().send("GET", f"{registry.base}/").status == answer.status
        except RegistryUnreachable:
            assert answer in (DROP, CUT)
        assert len(registry.requests) == 1
    assert pauses == []


# --------------------------------------------------------------------------- what is told

TOLD: dict[str, tuple[Sequence[Answer], str]] = {
    "429": ((Answer(429), OK), "answers 429 (too many requests)"),
    "502": ((Answer(502), OK), "answers 502"),
    "503": ((Answer(503), OK), "answers 503"),
    "504": ((Answer(504), OK), "answers 504"),
    "drops": ((DROP, DROP, OK), "dropped the connection"),
}


@pytest.mark.parametrize(("answers", "why"), TOLD.values(), ids=TOLD)
def test_who_is_waited_for_and_why(answers: Sequence[Answer], why: str, pauses: list[float]) -> None:
    """Told before the pause, and nothing of what was sent."""
    told: list[Wait] = []

    def tell(wait: Wait) -> None:
        assert len(pauses) == len(told)
        told.append(wait)

    headers = {"Authorization": f"Bearer {OPAQUE}"}
    with FakeRegistry(on("GET", "/token", *answers)) as registry:
        url = f"http://ada:{PASSWORD}@{registry.host}/token?account=ada&password={PASSWORD}"
        Transport().send("GET", url, headers=headers, retry_policy=RetryPolicy(3, tell))
        assert told == [Wait(registry.host, why, pauses[0])]


# --------------------------------------------------------------------------- connections that are not made


def test_a_registry_that_answered_before_may_be_starting_anew(pauses: list[float]) -> None:
    told: list[Wait] = []
    spoken = Transport()
    with FakeRegistry(on("GET", "/", OK.having(Connection="close"))) as registry:
        base = registry.base
        spoken.send("GET", f"{base}/")
    with pytest.raises(RegistryUnreachable) as caught:
        spoken.send("GET", f"{base}/", retry_policy=RetryPolicy(2, told.append))
    assert caught.value.message == f"{base}: connection refused"
    assert [wait.why for wait in told] == ["refuses connections"] * 2
    assert FIRST[0] <= pauses[0] <= FIRST[1]
    assert SECOND[0] <= pauses[1] <= SECOND[1]


def test_one_that_never_answered_is_not_there(pauses: list[float]) -> None:
    with FakeRegistry() as registry:
        base = registry.base
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        Transport().send("GET", f"{base}/", retry_policy=RetryPolicy(3))
    assert pauses == []


def test_a_kept_connection_that_was_closed_is_opened_anew(pauses: list[float]) -> None:
    with FakeRegistry(on("GET", "/", OK, DROP, OK)) as registry:
        spoken = Transport()
        for _ in range(2):
            assert spoken.send("GET", f"{registry.base}/", retry_policy=RetryPolicy(1)).status == 200
        first, second, third = (request.connection for request in registry.requests)
        assert first == second != third
    assert pauses == []


SILENT = Answer(delay=0.4)
TIMES: dict[str, tuple[dict[str, float], Answer, float | None]] = {
    "silence": ({"READ_TIMEOUT": 0.1}, SILENT, None),
    "drop by drop": ({"ANSWER_TIMEOUT": 0.2}, Answer(200, "x" * 20, pause=0.05), None),
    "the run's end": ({}, SILENT, 0.1),
}


@pytest.mark.parametrize(("limits", "answer", "left"), TIMES.values(), ids=TIMES)
def test_a_time_out_is_not_tried_again(
    limits: dict[str, float], answer: Answer, left: float | None, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    for name, seconds in limits.items():
        monkeypatch.setattr(transport, name, seconds)
    with FakeRegistry(on("GET", "/", answer, OK)) as registry:
        with pytest.raises(RegistryUnreachable):
            Transport(deadline=lambda: left).send("GET", f"{registry.base}/", retry_policy=RetryPolicy(3))
        assert len(registry.requests) == 1
    assert pauses == []


def test_every_try_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT", 0.3)
    late = Answer(503, delay=0.12)
    with FakeRegistry(on("GET", "/", late, late, late, OK)) as registry:
        assert Transport().send("GET", f"{registry.base}/", retry_policy=RetryPolicy(3)).status == 200
    assert len(pauses) == 3


def test_after_an_answer_that_stayed_away(pauses: list[float]) -> None:
    """It is waited from the first time on, as for a busy server."""
    told: list[Wait] = []
    again = Retries("registry.test", RetryPolicy(2, told.append), lambda: None)
    assert [again.after_silence() for _ in range(3)] == [True, True, False]
    assert [(wait.who, wait.why) for wait in told] == [("registry.test", "has not answered in time")] * 2
    assert len(pauses) == 2
    assert min(pauses) > 0


def test_many_retries_wait_no_longer_than_half_a_minute_each(pauses: list[float]) -> None:
    again = Retries("registry.test", RetryPolicy(40), lambda: None)
    assert all(again.after_answer(503, "") for _ in range(40))
    assert not again.after_drop(Dropped("gone"))
    assert pauses[:7] == sorted(pauses[:7])
    assert max(pauses) == 30.0


# --------------------------------------------------------------------------- what the client asks

ONE = image("1")
STORE = manifests(NAME, {"1": ONE})


def busy_once(rule: Any) -> Any:
    """The same rule, which answers that it is busy first."""
    return on(rule.method, rule.path, BUSY, *rule.answers)


def test_reading_is_patient_from_the_token_to_the_manifest(pauses: list[float]) -> None:
    server = on("GET", "/token", BUSY, Answer(200, {"token": OPAQUE}))
    with FakeRegistry(bearer_registry([busy_once(rule) for rule in STORE], tokens=[server])) as registry:
        found = new().manifest(at(registry), somebody(), retry_policy=RetryPolicy(1))
        assert isinstance(found, ManifestInfo)
        assert len(registry.find("GET", "/token")) == 2
        assert len(registry.find("HEAD", ".*")) == 2
    assert len(pauses) == 2


def test_reading_is_not_patient_unless_asked_to_be(pauses: list[float]) -> None:
    with FakeRegistry(open_registry([busy_once(rule) for rule in STORE])) as registry:
        found = new().manifest(at(registry), somebody(), whole=True)
        assert isinstance(found, Evidence)
        assert found.status == 503
    assert pauses == []


def test_finding_a_registry_and_asking_it_what_a_push_would_meet_is_never_patient(pauses: list[float]) -> None:
    with FakeRegistry(ping(BUSY), on("POST", ".*", BUSY), on("HEAD|GET", ".*", BUSY)) as registry:
        asked = new()
        asked.ping(registry.host)
        asked.investigate(at(registry), somebody())
        assert len(registry.find("GET", "/v2/")) <= 2
        asked.manifest(at(registry), somebody(), retry_policy=RetryPolicy(1))
        assert len(registry.find("GET", "/v2/")) <= 2
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_token_server_is_no_refusal(status: int, pauses: list[float]) -> None:
    """A request without the token would be answered 401, as if the credential were wrong."""
    with FakeRegistry(bearer_registry(STORE, tokens=[on("GET", "/token", Answer(status))])) as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            new().manifest(at(registry), somebody(), retry_policy=RetryPolicy(2))
        assert caught.value.message == f"{registry.base} answers {status} to the request for a token"
        assert registry.find("HEAD", ".*") == []
        assert len(registry.find("GET", "/token")) == len(pauses) + 1 == (1 if status == 500 else 3)


@pytest.mark.parametrize("answer", [BUSY, DROP], ids=["busy", "drop"])
def test_those_who_wait_for_the_same_token_share_its_server_s_trouble(answer: Answer, pauses: list[float]) -> None:
    many = 8

    def late(_request: Request) -> Answer:
        time.sleep(0.2)
        return answer

    with FakeRegistry(bearer_registry(STORE, tokens=[on("GET", "/token", late)])) as registry:
        asked = new()
        asked.ping(registry.host)
        with ThreadPoolExecutor(many) as pool:
            looks = [
                pool.submit(asked.manifest, at(registry), somebody(), retry_policy=RetryPolicy(1)) for _ in range(many)
            ]
        assert [type(look.exception()) for look in looks] == [RegistryUnreachable if answer is BUSY else Dropped] * many
        assert len(registry.find("GET", "/token")) == 2
        with pytest.raises(RegistryUnreachable):
            asked.manifest(at(registry), somebody(), retry_policy=NO_RETRIES)
        assert len(registry.find("GET", "/token")) == 3


def test_the_password_is_never_told(pauses: list[float]) -> None:
    told: list[Wait] = []
    with FakeRegistry(basic_registry([busy_once(rule) for rule in STORE])) as registry:
        new().manifest(at(registry), somebody(), retry_policy=RetryPolicy(2, told.append))
    assert len(told) == len(pauses) == 1
    assert PASSWORD not in str(told)
