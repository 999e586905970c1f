"""The preflight: a refusal told beforehand keeps every tag from being pushed, and silence keeps none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Access, Evidence, Preflight, RegistryPing, Stage, TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import EngineKind, LocalImage
from pushsafe.model.outcomes import Denied, EngineRefused, Failed, NotChecked, NotPushed, Pushed, Ready
from pushsafe.model.report import ErrorKind, PreflightVerdict, Report, RepositoryCheck
from pushsafe.model.request import Asks, TagPolicy
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.report.exit_codes import ExitCode, exit_code
from pushsafe.runtime.signals import TimedOut
from tests.evidence import ping, probe, token
from tests.fakes.gateways import (
    ACCEPTED,
    LOGGED_IN,
    NOW,
    Credentials,
    Engine,
    Registry,
    World,
    codes,
    kinds,
    pushes,
    single,
)
from tests.values import AMD64, broken, logged_in, nobody, ref, said, sha

API, WEB = "registry.test/team/app", "registry.test/team/web"
ELSEWHERE = "other.test/team/app:1"
ONE, TWO, SITE = f"{API}:1", f"{API}:2", f"{WEB}:1"
REFUSED, UNKNOWN = PreflightVerdict.REFUSED, PreflightVerdict.UNKNOWN


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.push.executor.LAST_ANSWERS", 5.0)


def answers(*evidence: Evidence, problem: str = "") -> Preflight:
    return Preflight(evidence, problem)


GRANT = token(200, ("pull", "push"))
READER = answers(ping(401), token(200, ("pull",)), probe(403))
WRONG = answers(ping(401), token(401))


def preflight(world: World, *given: str, **more: object) -> Report:
    return world.run(*given, asks=Asks.PREFLIGHT, **more)  # type: ignore[arg-type]


def verdicts(report: Report) -> dict[str, PreflightVerdict]:
    return {check.name: check.verdict for check in report.preflight}


def looked_at(world: World) -> list[str]:
    return [one for one in world.registry.asked if one.startswith("manifest")]


def kinds_of_questions(world: World) -> set[str]:
    return {one.partition(" ")[0] for one in world.registry.asked}


# ---------------------------------------------------------------------- accepted


def test_what_is_accepted_beforehand_is_pushed() -> None:
    world = World()
    report = preflight(world, ONE, SITE)
    assert kinds(report) == ["Pushed", "Pushed"]
    assert [result.before for result in report.results] == [TagAbsent(), TagAbsent()]
    assert report.preflight == tuple(
        RepositoryCheck(name, PreflightVerdict.ACCEPTED, "", ACCEPTED.evidence) for name in (API, WEB)
    )
    assert exit_code(report) is ExitCode.OK


def test_a_repository_is_asked_once_whatever_the_number_of_its_tags() -> None:
    world = World()
    preflight(world, ONE, TWO, SITE, ONE)
    assert sorted(one for one in world.registry.asked if one.startswith("investigate")) == [
        f"investigate {API}",
        f"investigate {WEB}",
    ]


def test_a_tag_that_is_listed_twice_is_looked_at_once() -> None:
    world = World()
    preflight(world, ONE, TWO, ONE, pushes=False)
    assert sorted(looked_at(world)) == [f"manifest {ONE}", f"manifest {TWO}"]


def test_all_tags_is_one_preflight_and_a_look_at_each() -> None:
    world = World(engine=Engine(held_tags=("1", "2")))
    report = world.run(ref(API)._replace(tag=""), asks=Asks.PREFLIGHT, pushes=False)
    assert sorted(looked_at(world)) == [f"manifest {ONE}", f"manifest {TWO}"]
    assert world.registry.asked.count(f"investigate {API}") == 1
    assert kinds(report) == ["Ready", "Ready"]


def test_all_tags_of_a_repository_that_refuses_pushes_none() -> None:
    world = World(engine=Engine(held_tags=("1", "2")), registry=Registry(preflights={API: (READER,)}))
    report = world.run(ref(API)._replace(tag=""), asks=Asks.PREFLIGHT)
    assert kinds(report) == ["Denied", "Denied"]
    assert pushes(world) == looked_at(world) == []


# ---------------------------------------------------------------------- refused: nothing is pushed at all


@dataclass(frozen=True)
class Refusal:
    """What a registry says beforehand, and what it comes to."""

    preflight: Preflight
    verdict: DenialReason | FailureKind
    code: ExitCode


REFUSALS = {
    "a reader": Refusal(READER, DenialReason.NO_WRITE_PERMISSION, ExitCode.INSUFFICIENT_PERMISSION),
    "an empty grant": Refusal(
        answers(ping(401), token(200, ()), probe(401)),
        DenialReason.NO_WRITE_PERMISSION,
        ExitCode.INSUFFICIENT_PERMISSION,
    ),
    "a wrong password": Refusal(WRONG, DenialReason.CREDENTIAL_REJECTED, ExitCode.NO_AUTHENTICATION),
    "known, without the right": Refusal(
        answers(ping(401), token(403), Evidence(Stage.LOGIN, "", status=200, sent=True)),
        DenialReason.NO_WRITE_PERMISSION,
        ExitCode.INSUFFICIENT_PERMISSION,
    ),
    "an expired token": Refusal(
        answers(ping(401), token(403, message="Your authorization token has expired.")),
        DenialReason.CREDENTIAL_EXPIRED,
        ExitCode.NO_AUTHENTICATION,
    ),
    "no such repository": Refusal(
        answers(ping(401), GRANT, probe(404, "repository name not known to registry", "NAME_UNKNOWN")),
        FailureKind.REPOSITORY_MISSING,
        ExitCode.FAILED,
    ),
    "a policy": Refusal(
        answers(ping(401), GRANT, probe(405, "The operation is unsupported.", "UNSUPPORTED")),
        FailureKind.POLICY,
        ExitCode.FAILED,
    ),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_one_refused_repository_keeps_every_tag_from_being_pushed(case: Refusal) -> None:
    world = World(registry=Registry(preflights={API: (case.preflight,)}))
    report = preflight(world, SITE, ONE, ELSEWHERE, TWO)
    waits = NotPushed("the push of another listed tag would be refused")
    assert [report.results[index].outcome for index in (0, 2)] == [waits, waits]
    for index in (1, 3):
        outcome = report.results[index].outcome
        assert isinstance(outcome, Denied | Failed)
        found = outcome.denial.reason if isinstance(outcome, Denied) else outcome.failure.kind
        assert found is case.verdict
        assert isinstance(outcome, Failed) or outcome.stage is Stage.PROBE
        assert report.results[index].verification == NotChecked("nothing was pushed")
        assert report.results[index].before is None
    assert pushes(world) == world.observer.told == []
    assert verdicts(report) == {
        WEB: PreflightVerdict.ACCEPTED,
        API: REFUSED,
        "other.test/team/app": PreflightVerdict.ACCEPTED,
    }
    assert exit_code(report) is case.code


def test_a_refused_repository_costs_no_look_at_its_tags() -> None:
    world = World(registry=Registry(preflights={API: (READER,)}))
    preflight(world, ONE, TWO, SITE)
    assert looked_at(world) == [f"manifest {SITE}"]


def test_two_refusals_are_both_said() -> None:
    world = World(registry=Registry(preflights={API: (READER,), WEB: (WRONG,)}))
    report = preflight(world, ONE, SITE)
    assert kinds(report) == ["Denied", "Denied"]
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION


def test_a_refusal_and_its_evidence_are_told() -> None:
    report = preflight(World(registry=Registry(preflights={API: (READER,)})), ONE)
    (check,) = report.preflight
    assert (check.name, check.verdict, check.evidence) == (API, REFUSED, READER.evidence)
    assert "may not push to team/app" in check.detail
    outcome = report.results[0].outcome
    assert isinstance(outcome, Denied)
    assert [item.stage for item in outcome.denial.evidence] == [Stage.CREDENTIAL, Stage.PING, Stage.TOKEN, Stage.PROBE]
    assert outcome.denial.next == ("docker login registry.test -u ACCOUNT",)


# ---------------------------------------------------------------------- what cannot be told never blocks

AWAY = "registry.test: connection refused"
UNDECIDED = {
    "away": answers(problem=AWAY),
    "away after the challenge": answers(ping(401), problem=AWAY),
    "away after the token": answers(ping(401), GRANT, problem=AWAY),
    "a malformed token": answers(ping(401), token(200, message="the token server's answer holds no token")),
    "a token server that is busy": answers(ping(401), token(429, message="too many requests", code="TOOMANYREQUESTS")),
    "a token server in trouble": answers(ping(401), token(500)),
    "a token server that is lost": answers(ping(401), token(404)),
    "a token server that says 403": answers(ping(401), token(403)),
    "an opaque token, and nobody is told the same": answers(
        ping(401), token(200), probe(403), token(200, sent=False), probe(403, sent=False)
    ),
    "nobody may what the account may not": answers(
        ping(401), token(200), probe(403), token(200, sent=False), probe(202, sent=False)
    ),
    "against its own grant": answers(ping(401), token(200, ("pull",)), probe(202)),
    **{
        f"{status} to the upload": answers(ping(401), GRANT, probe(status)) for status in (404, 405, 418, 429, 500, 503)
    },
    **{f"{status} at /v2/": answers(ping(status), probe(401, sent=False)) for status in (404, 405, 429, 500, 503)},
}
DETAILS = {"away": AWAY, "away after the challenge": AWAY, "away after the token": AWAY}
FINE = {"against its own grant"}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_told_is_said_and_the_push_goes_on(name: str) -> None:
    world = World(registry=Registry(preflights={API: (UNDECIDED[name],)}))
    report = preflight(world, ONE, TWO)
    direct = "away" not in name  # else only the engine gets there
    assert (pushes(world), world.registry.tagged) == (([ONE], [TWO]) if direct else ([ONE, TWO], []))
    assert kinds(report) == ["Pushed", "Pushed"]
    (check,) = report.preflight
    assert check.verdict is (PreflightVerdict.ACCEPTED if name in FINE else UNKNOWN)
    assert check.detail.startswith("" if name in FINE else DETAILS.get(name, "its answers do not say ("))
    assert exit_code(report) is ExitCode.OK


SILENCE = EngineRefused(said("denied: requested access to the resource is denied"))


@pytest.mark.parametrize(
    ("first", "again", "reason", "code"),
    [
        (UNDECIDED["away"], READER, DenialReason.NO_WRITE_PERMISSION, ExitCode.INSUFFICIENT_PERMISSION),
        (UNDECIDED["503 to the upload"], WRONG, DenialReason.CREDENTIAL_REJECTED, ExitCode.NO_AUTHENTICATION),
        (UNDECIDED["a token server that says 403"], None, DenialReason.UNCLEAR, ExitCode.UNCLEAR),
        # Whoever may start an upload was refused for the tag's sake: another one may get there.
        (ACCEPTED, None, DenialReason.UNCLEAR, ExitCode.UNCLEAR),
    ],
    ids=["away", "in-trouble", "undecided-still", "accepted"],
)
def test_a_push_that_is_refused_all_the_same_is_classified_by_asking_again(
    first: Preflight, again: Preflight | None, reason: DenialReason, code: ExitCode
) -> None:
    world = World(Engine(push_answers={ONE: SILENCE}), Registry(preflights={API: (first, again or first)}))
    report = preflight(world, ONE, TWO)
    assert kinds(report) == ["Denied", "Pushed" if first is ACCEPTED else "Denied"]
    assert len(pushes(world)) == (2 if first is ACCEPTED else 1)
    outcome = report.results[0].outcome
    assert isinstance(outcome, Denied)
    assert (outcome.denial.reason, outcome.stage) == (reason, Stage.PUSH)
    assert world.registry.asked.count(f"investigate {API}") == 2
    assert exit_code(report) is code


@pytest.mark.parametrize(
    ("login", "kind", "before"),
    [
        (LOGGED_IN, "Pushed", TagHeld(single())),
        (LOGGED_IN._replace(status=401), "Denied", TagUnknown(AWAY)),
        (LOGGED_IN._replace(status=500, message="it is silent"), "Pushed", TagUnknown(AWAY)),
    ],
    ids=["good", "wrong", "silent"],
)
def test_where_only_the_engine_gets_to_it_asks(login: Evidence, kind: str, before: TagHeld | TagUnknown) -> None:
    world = World(Engine(login_answer=login), Registry(preflights={API: (answers(problem=AWAY),)}))
    report = preflight(world, ONE)
    assert (kinds(report), report.results[0].before) == ([kind], before)
    assert "login registry.test" in world.engine.asked


# ---------------------------------------------------------------------- findings beside it


def test_nobody_logged_in_is_a_finding_and_a_denial() -> None:
    refused = answers(ping(401), token(200, (), sent=False), probe(401, sent=False))
    world = World(registry=Registry(preflights={API: (refused,)}), credentials=Credentials({"registry.test": nobody()}))
    report = preflight(world, ONE, ELSEWHERE)
    assert codes(report) == ["PS301"]
    assert kinds(report) == ["Denied", "NotPushed"]
    assert report.results[1].outcome == NotPushed("a finding forbids it")
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION


def test_what_the_registry_refuses_is_not_pushed_whatever_is_allowed() -> None:
    refused = answers(ping(401), token(200, (), sent=False), probe(401, sent=False))
    world = World(registry=Registry(preflights={API: (refused,)}), credentials=Credentials({"registry.test": nobody()}))
    report = preflight(world, ONE, ELSEWHERE, allowed=("PS301",))
    assert [finding.allowed for finding in report.findings] == [True]
    assert kinds(report) == ["Denied", "NotPushed"]
    assert pushes(world) == []


@pytest.mark.parametrize(
    ("credential", "found", "kind"),
    [(nobody(), [], "Pushed"), (broken(), ["PS303"], "NotPushed")],
    ids=["none", "broken"],
)
def test_an_upload_that_anybody_may_start_needs_no_login(credential: Credential, found: list[str], kind: str) -> None:
    accepted = answers(ping(401), token(200, ("pull", "push"), sent=False), probe(202, sent=False))
    logins = Credentials({"registry.test": credential})
    report = preflight(World(registry=Registry(preflights={API: (accepted,)}), credentials=logins), ONE)
    assert (codes(report), kinds(report)) == (found, [kind])


def test_a_broken_credential_is_asked_for_as_nobody() -> None:
    refused = answers(ping(401), token(401, sent=False))
    world = World(registry=Registry(preflights={API: (refused,)}), credentials=Credentials({"registry.test": broken()}))
    report = preflight(world, ONE)
    assert codes(report) == ["PS303"]
    outcome = report.results[0].outcome
    assert isinstance(outcome, Denied)
    assert outcome.denial.reason is DenialReason.NOT_LOGGED_IN
    assert "not found in PATH" in outcome.denial.summary
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION


def test_no_credential_goes_to_a_token_server_in_clear_not_even_by_the_engine() -> None:
    why = "registry.test wants the credential sent to auth.test over plain HTTP"
    unsafe = Preflight((ping(401),), why, "auth.test")
    world = World(registry=Registry(preflights={API: (unsafe,)}))
    report = preflight(world, ONE, ELSEWHERE)
    assert codes(report) == ["PS304"]
    assert kinds(report) == ["NotPushed", "NotPushed"]
    assert report.results[0].before == TagUnknown(why)
    assert world.engine.asked == ["info"]
    assert pushes(world) == []
    assert exit_code(report) is ExitCode.LINT


IMMUTABLE = TagPolicy(immutable=("1",))


@pytest.mark.parametrize(
    ("now", "kind"),
    [(ManifestInfo(sha("b"), "x"), "NotPushed"), (ManifestInfo(sha("a"), "x"), "Pushed")],
    ids=["other", "the-same"],
)
def test_an_immutable_tag_is_pushed_again_only_as_it_is(now: ManifestInfo, kind: str) -> None:
    image = LocalImage(sha("a"), (AMD64,))
    world = World(Engine(CONTAINERD, {ONE: image}), Registry(held={ONE: now}))
    assert kinds(preflight(world, ONE, policy=IMMUTABLE)) == [kind]


# ---------------------------------------------------------------------- a credential that stays at home


@pytest.mark.parametrize(
    ("store", "kind", "code"), [(CLASSIC, "Denied", ExitCode.NO_AUTHENTICATION), (CONTAINERD, "Pushed", ExitCode.OK)]
)
def test_an_open_registry_that_wants_a_login_for_an_upload(store: EngineKind, kind: str, code: ExitCode) -> None:
    half_open = answers(ping(200), probe(401, sent=False), token(200), probe(202))
    world = World(
        Engine(store), Registry(preflights={API: (half_open,)}, pings={"registry.test": RegistryPing(Access.OPEN)})
    )
    report = preflight(world, ONE)
    assert (kinds(report), exit_code(report)) == ([kind], code)
    outcome = report.results[0].outcome
    if isinstance(outcome, Denied):
        assert outcome.denial.reason is DenialReason.CREDENTIAL_NOT_SENT
        assert "will not send the credential" in outcome.denial.summary
    assert looked_at(world)[:1] == ([] if kind == "Denied" else [f"manifest {ONE}"])


def test_a_token_for_the_registry_itself_is_no_login_for_the_engine_to_try() -> None:
    credential = logged_in()._replace(kind=CredentialKind.REGISTRY_TOKEN)
    world = World(
        registry=Registry(preflights={API: (answers(problem=AWAY),)}),
        credentials=Credentials({"registry.test": credential}),
    )
    assert kinds(preflight(world, ONE)) == ["Pushed"]
    assert "login registry.test" not in world.engine.asked


# ---------------------------------------------------------------------- how much is asked


@pytest.mark.parametrize(
    ("asks", "asked"),
    [(Asks.NOTHING, set()), (Asks.LOGIN, {"ping"}), (Asks.PREFLIGHT, {"ping", "investigate", "manifest", "tidy"})],
)
def test_lint_asks_what_it_may_and_pushes_nothing(asks: Asks, asked: set[str]) -> None:
    world = World()
    report = world.run(ONE, SITE, asks=asks, pushes=False)
    assert kinds_of_questions(world) == asked
    assert ("registry" in world.connected) is bool(asked)
    assert [result.outcome for result in report.results] == [Ready(), Ready()]
    assert pushes(world) == world.observer.told == []
    assert bool(report.preflight) is (asks is Asks.PREFLIGHT)
    assert exit_code(report) is ExitCode.OK


def test_offline_not_even_where_an_image_came_from_is_asked() -> None:
    image = LocalImage(sha("a"), (AMD64,), repo_digests=(f"docker.io/library/base@{sha('e')}",))
    world = World(Engine(images={ONE: image}))
    assert kinds(world.run(ONE, asks=Asks.NOTHING, pushes=False)) == ["Ready"]
    assert world.connected == ["engine"]
    assert world.credentials.asked == ["registry.test"]


def test_without_a_preflight_only_logins_are_asked_for_before_the_push() -> None:
    world = World(registry=Registry(preflights={API: (READER,)}))
    report = world.run(ONE, asks=Asks.LOGIN)
    assert kinds(report) == ["Pushed"]
    assert world.registry.asked == ["ping registry.test", f"manifest {ONE}"]
    assert (report.preflight, report.results[0].before) == ((), TagUnknown("the registry was not asked"))


@pytest.mark.parametrize(
    ("world", "expected", "code"),
    [
        (World(registry=Registry(preflights={API: (READER,)})), ["Denied", "NotPushed"], 5),
        (World(registry=Registry(preflights={API: (answers(problem=AWAY),)})), ["Ready", "Ready"], 0),
        (World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,))})), ["NotPushed", "NotPushed"], 1),
    ],
    ids=["refused", "unknown", "finding"],
)
def test_lint_says_what_a_push_would_come_to(world: World, expected: list[str], code: int) -> None:
    report = preflight(world, ONE, SITE, pushes=False)
    assert kinds(report) == expected
    assert exit_code(report) == code
    assert pushes(world) == []


# ---------------------------------------------------------------------- cut short

ENDS: dict[str, Callable[[BaseException], World]] = {
    "the engine": lambda end: World(engine_down=end),
    "what the engine is": lambda end: World(Engine(info_answer=end)),
    "a credential": lambda end: World(credentials=Credentials({"registry.test": end})),
    "a ping": lambda end: World(registry=Registry(pings={"registry.test": end})),
    "the preflight": lambda end: World(registry=Registry(preflights={API: (end,)})),
    "a tag": lambda end: World(registry=Registry(held={ONE: end})),
    "a push": lambda end: World(Engine(push_answers={ONE: end})),
    "the reading back": lambda end: World(registry=Registry(manifests={ONE: end})),
    "the asking why": lambda end: World(
        Engine(push_answers={ONE: SILENCE}), Registry(preflights={API: (ACCEPTED, end)})
    ),
}
BEFORE_THE_PUSH = list(ENDS)[:6]


@pytest.mark.parametrize("where", ENDS)
@pytest.mark.parametrize(
    ("end", "code", "errors"),
    [(KeyboardInterrupt(), ExitCode.INTERRUPTED, []), (TimedOut(), ExitCode.UNREACHABLE, [ErrorKind.UNREACHABLE])],
    ids=["interrupted", "timed-out"],
)
def test_a_run_that_is_cut_short_has_one_result_for_each(
    where: str, end: BaseException, code: ExitCode, errors: list[ErrorKind]
) -> None:
    world = ENDS[where](end)
    report = preflight(world, ONE, TWO, ONE)
    assert [str(result.reference) for result in report.results] == [ONE, TWO, ONE]
    assert (report.interrupted, [error.kind for error in report.errors]) == (not errors, errors)
    assert exit_code(report) is code
    if where in BEFORE_THE_PUSH:
        why = "the time for the whole run was over" if errors else "interrupted"
        assert {result.outcome for result in report.results} == {NotPushed(why)}
        assert pushes(world) == []
    else:
        assert pushes(world)[0] == ONE
        assert isinstance(report.results[0].outcome, Pushed if where == "the reading back" else NotPushed)


@pytest.mark.parametrize(
    "registry",
    [Registry(preflights={API: (ZeroDivisionError(),)}), Registry(held={ONE: ZeroDivisionError()})],
    ids=["investigate", "look"],
)
def test_a_bug_in_it_is_not_swallowed(registry: Registry) -> None:
    with pytest.raises(ZeroDivisionError):
        preflight(World(registry=registry), ONE)


def test_what_has_expired_is_judged_by_the_clock_of_the_run() -> None:
    refused = answers(ping(401), token(200, ("pull", "push")), probe(403, code="DENIED"))
    for expires, reason in ((NOW, DenialReason.CREDENTIAL_EXPIRED), (NOW + 1, DenialReason.NO_WRITE_PERMISSION)):
        login = logged_in(expires=expires)
        world = World(
            registry=Registry(preflights={API: (refused,)}), credentials=Credentials({"registry.test": login})
        )
        outcome = preflight(world, ONE).results[0].outcome
        assert isinstance(outcome, Denied)
        assert outcome.denial.reason is reason
