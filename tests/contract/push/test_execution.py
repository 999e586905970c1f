"""A run that does not go well, between fake gateways: refusals, an engine that goes away, interruptions, bugs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import LocalImage
from pushsafe.model.outcomes import (
    Denied,
    EngineReduced,
    EngineRefused,
    Failed,
    Layers,
    NotChecked,
    NotPushed,
    Pushed,
    Verified,
)
from pushsafe.model.report import ErrorKind, Report
from pushsafe.model.verdicts import Denial, DenialReason, FailureKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import DIGEST, Credentials, Engine, Observed, Registry, World, accepted, kinds, pushes, single
from tests.values import AMD64, nobody, said, sha

API = "registry.test/team/app"
ONE, TWO, THREE = f"{API}:1", f"{API}:2", f"{API}:3"
DENIED = EngineRefused(said("denied: requested access to the resource is denied"))
REJECTED = Preflight((Evidence(Stage.TOKEN, "", status=401, sent=True),))
NO_RIGHT = Preflight(
    (Evidence(Stage.TOKEN, "", status=200, sent=True), Evidence(Stage.PROBE, "", status=403, sent=True))
)
FORBIDDEN = Evidence(Stage.PUSH, "", status=403)
NOT_FOUND = Evidence(Stage.VERIFY, "", status=404)
AWAY = RegistryUnreachable("registry.test: connection refused")
ONLY_THE_ENGINE = Preflight(problem=AWAY.message)
DOWN = EngineUnreachable("no engine answers", "sudo systemctl start docker")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.push.executor.LAST_ANSWERS", 5.0)


# ---------------------------------------------------------------------- refused by the registry


def verdict(report: Report, index: int = 0) -> Denial:
    outcome = report.results[index].outcome
    assert isinstance(outcome, Denied), outcome
    return outcome.denial


def test_one_denied_tag_does_not_hide_the_others() -> None:
    registry = Registry(preflights={API: (NO_RIGHT,)}, puts={TWO: FORBIDDEN})
    world = World(engine=Engine(push_answers={TWO: DENIED}), registry=registry)
    report = world.run(ONE, TWO, THREE)
    assert kinds(report) == ["Pushed", "Denied", "Pushed"]
    assert verdict(report, 1).reason is DenialReason.NO_WRITE_PERMISSION
    assert all(isinstance(report.results[index].verification, Verified) for index in (0, 2))
    assert report.results[1].verification == NotChecked("nothing was pushed")
    assert exit_code(report) is ExitCode.INSUFFICIENT_PERMISSION


def test_the_evidence_is_in_the_order_in_which_it_was_learnt() -> None:
    world = World(engine=Engine(push_answers={ONE: DENIED}), registry=Registry(preflights={API: (REJECTED,)}))
    denial = verdict(world.run(ONE))
    assert [item.stage for item in denial.evidence] == [Stage.CREDENTIAL, Stage.PUSH, Stage.TOKEN]
    assert [item.sent for item in denial.evidence] == [True, True, True]
    assert denial.reason is DenialReason.CREDENTIAL_REJECTED


def test_words_that_name_another_cause_need_no_investigation() -> None:
    refused = EngineRefused(said("tag invalid: the tag already exists and is immutable"))
    world = World(engine=Engine(push_answers={ONE: refused}))
    report = world.run(ONE)
    assert kinds(report) == ["Failed"]
    assert not [one for one in world.registry.asked if one.startswith("investigate")]
    assert exit_code(report) is ExitCode.FAILED


def test_a_registry_that_is_not_reached_from_here_is_asked_through_the_engine() -> None:
    world = World(engine=Engine(push_answers={ONE: DENIED}), registry=Registry(preflights={API: (ONLY_THE_ENGINE,)}))
    denial = verdict(world.run(ONE))
    assert "login registry.test" in world.engine.asked
    assert [item.stage for item in denial.evidence[2:]] == [Stage.PING, Stage.ENGINE_AUTH]
    assert denial.evidence[2].message == "not reachable from here: registry.test: connection refused"
    assert denial.reason is DenialReason.NO_WRITE_PERMISSION


def test_without_a_credential_the_engine_is_not_asked_to_log_in() -> None:
    world = World(
        engine=Engine(push_answers={ONE: DENIED}),
        registry=Registry(preflights={API: (ONLY_THE_ENGINE,)}),
        credentials=Credentials({"registry.test": nobody()}),
    )
    report = world.run(ONE, allowed=("PS301",))
    assert verdict(report).reason is DenialReason.NOT_LOGGED_IN
    assert world.engine.asked == ["info"]
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION


@pytest.mark.parametrize("failure", [DOWN, EngineFailed("it answers nonsense")], ids=["down", "failed"])
def test_where_nobody_can_be_asked_the_denial_is_unclear(failure: Exception) -> None:
    engine = Engine(push_answers={ONE: DENIED}, login_answer=failure)
    report = World(engine=engine, registry=Registry(preflights={API: (ONLY_THE_ENGINE,)})).run(ONE)
    assert verdict(report).reason is DenialReason.UNCLEAR
    assert verdict(report).evidence[-1].message == str(failure)
    assert exit_code(report) is ExitCode.UNCLEAR


# ---------------------------------------------------------------------- reduced, sized


def test_an_index_that_the_engine_reduced_is_a_failure() -> None:
    world = World(engine=Engine(CONTAINERD, push_answers={ONE: EngineReduced(sha("1"), sha("2"), "linux/amd64")}))
    report = world.run(ONE, TWO)
    assert pushes(world) == [ONE]  # it would be reduced under every other tag as well
    assert kinds(report) == ["Failed", "NotPushed"]
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.REDUCED
    assert "linux/amd64" in outcome.failure.message
    assert sha("1") in outcome.failure.message
    assert exit_code(report) is ExitCode.FAILED


A, B = "a" * 12, "b" * 12


@pytest.mark.parametrize(
    ("layers", "manifest", "sized"),
    [
        (
            Layers(sent=2, unsized=(A, B)),
            single((sha("a"), 10), (sha("b"), 20), (sha("c"), 40)),
            Layers(sent=2, bytes_sent=30),
        ),
        (Layers(sent=2, bytes_sent=5, unsized=(A,)), single((sha("a"), 10)), Layers(sent=2, bytes_sent=15)),
        (Layers(sent=2, unsized=(A, B)), single((sha("a"), 10)), Layers(sent=2, bytes_sent=10, unsized=(B,))),
        (Layers(sent=1, unsized=(A,)), NOT_FOUND, Layers(sent=1, unsized=(A,))),
    ],
    ids=["all", "added-to-the-others", "one-unknown", "not-verified"],
)
def test_sizes_that_the_engine_did_not_name_come_from_the_manifest(
    layers: Layers, manifest: ManifestInfo | Evidence, sized: Layers
) -> None:
    world = World(engine=Engine(push_answers={ONE: accepted(layers)}), registry=Registry({ONE: manifest}))
    report = world.run(ONE)
    assert report.results[0].outcome == Pushed(DIGEST, sized)
    assert f"manifest {ONE} whole" in world.registry.asked


def test_a_manifest_is_read_whole_only_for_sizes() -> None:
    world = World(engine=Engine(push_answers={ONE: accepted(Layers(sent=1, bytes_sent=5))}))
    world.run(ONE)
    assert f"manifest {ONE}" in world.registry.asked
    assert f"manifest {ONE} whole" not in world.registry.asked


# ---------------------------------------------------------------------- the engine goes away


def test_an_engine_that_is_down_ends_the_run_with_a_result_for_each() -> None:
    world = World(engine_down=DOWN)
    report = world.run(ONE, TWO)
    assert [(error.kind, error.message, error.hint) for error in report.errors] == [
        (ErrorKind.UNREACHABLE, "no engine answers", "sudo systemctl start docker")
    ]
    assert [result.outcome for result in report.results] == [NotPushed("the engine does not answer")] * 2
    assert exit_code(report) is ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("failure", "kind", "code", "commands"),
    [
        (DOWN, FailureKind.NETWORK, ExitCode.UNREACHABLE, ("sudo systemctl start docker",)),
        (EngineUnreachable("it hung up"), FailureKind.NETWORK, ExitCode.UNREACHABLE, ()),
        (EngineFailed("it answers nonsense"), FailureKind.LOCAL, ExitCode.FAILED, ()),
    ],
    ids=["down", "no-hint", "nonsense"],
)
def test_an_engine_that_dies_in_the_middle_hides_no_other_result(
    failure: EngineUnreachable | EngineFailed, kind: FailureKind, code: ExitCode, commands: tuple[str, ...]
) -> None:
    world = World(engine=Engine(push_answers={TWO: failure}))
    report = world.run(ONE, TWO, THREE, push_each=True)
    assert kinds(report) == ["Pushed", "Failed", "Pushed"]
    outcome = report.results[1].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.message, outcome.failure.next) == (kind, failure.message, commands)
    assert isinstance(report.results[0].verification, Verified)
    assert exit_code(report) is code


def test_an_engine_that_answers_nonsense_to_the_reading_back_has_pushed_all_the_same() -> None:
    engine = Engine(distribution_answer=EngineFailed("it answers nonsense"))
    report = World(engine=engine, registry=Registry({ONE: AWAY})).run(ONE)
    assert kinds(report) == ["Pushed"]
    assert report.results[0].verification == NotChecked(f"{AWAY.message}; it answers nonsense")


# ---------------------------------------------------------------------- interrupted


def test_an_interrupted_push_keeps_the_results_so_far() -> None:
    world = World(engine=Engine(push_answers={TWO: KeyboardInterrupt()}))
    report = world.run(ONE, TWO, THREE, push_each=True)
    assert report.interrupted
    assert kinds(report) == ["Pushed", "NotPushed", "NotPushed"]
    assert isinstance(report.results[0].verification, Verified)
    cut = NotPushed("cut off while it was being pushed; the registry may hold it", begun=True)
    assert [result.outcome for result in report.results[1:]] == [cut, NotPushed("interrupted")]
    assert pushes(world) == [ONE, TWO]
    assert exit_code(report) is ExitCode.INTERRUPTED


def test_what_was_pushed_and_not_read_back_yet_is_not_called_unpushed() -> None:
    world = World(registry=Registry({ONE: KeyboardInterrupt()}))
    report = world.run(ONE, TWO)
    assert report.interrupted
    assert kinds(report) == ["Pushed", "Pushed"]
    assert isinstance(report.results[0].verification, NotChecked)
    assert isinstance(report.results[1].verification, Verified)
    assert exit_code(report) is ExitCode.INTERRUPTED


def test_an_interrupted_run_does_not_wait_for_a_silent_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.push.executor.LAST_ANSWERS", 0.01)
    silent = threading.Event()

    def never() -> ManifestInfo:
        silent.wait(30)
        return single()

    world = World(engine=Engine(push_answers={TWO: KeyboardInterrupt()}), registry=Registry({ONE: never}))
    try:
        report = world.run(ONE, TWO, push_each=True)
    finally:
        silent.set()
    assert report.results[0].outcome == Pushed(DIGEST, Layers(reused=1))
    assert isinstance(report.results[0].verification, NotChecked)
    assert report.results[1].outcome == NotPushed(
        "cut off while it was being pushed; the registry may hold it", begun=True
    )


@pytest.mark.parametrize(
    "world",
    [World(engine_down=KeyboardInterrupt()), World(credentials=Credentials({"registry.test": KeyboardInterrupt()}))],
    ids=["engine", "credentials"],
)
def test_an_interruption_before_the_first_push_pushes_nothing(world: World) -> None:
    report = world.run(ONE)
    assert report.interrupted
    assert [result.outcome for result in report.results] == [NotPushed("interrupted")]
    assert pushes(world) == []


# ---------------------------------------------------------------------- a bug is a bug

PULLED = f"registry.test/team/base@{sha('e')}"
PULLED_IMAGE = {ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(PULLED,))}


def _fails_on(what: str) -> Observed:
    def fail(told: str) -> None:
        if told.startswith(what):
            raise ZeroDivisionError

    return Observed(on=fail)


BUGS: Sequence[tuple[str, World]] = (
    ("engine", World(engine_down=ZeroDivisionError())),
    ("info", World(engine=Engine(info_answer=ZeroDivisionError()))),
    ("lookup", World(credentials=Credentials({"registry.test": ZeroDivisionError()}))),
    ("ping", World(registry=Registry(pings={"registry.test": ZeroDivisionError()}))),
    ("push", World(engine=Engine(push_answers={ONE: ZeroDivisionError()}))),
    ("manifest", World(registry=Registry({ONE: ZeroDivisionError()}))),
    ("source", World(Engine(images=PULLED_IMAGE), Registry({PULLED: ZeroDivisionError()}))),
    ("investigate", World(Engine(push_answers={ONE: DENIED}), Registry(preflights={API: (ZeroDivisionError(),)}))),
    ("pushing", World(observer=_fails_on("pushing"))),
    ("layer", World(observer=_fails_on("layer"))),
    ("finished", World(observer=_fails_on("finished"))),
)


@pytest.mark.parametrize(("where", "world"), BUGS, ids=[where for where, _ in BUGS])
def test_a_bug_is_not_swallowed(where: str, world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        world.run(ONE)


def test_a_run_leaves_no_thread_behind() -> None:
    World().run(ONE, TWO)
    ours = [one for one in threading.enumerate() if one.name.startswith("pushsafe")]
    for thread in ours:
        thread.join(10)
    assert [thread for thread in ours if thread.is_alive()] == []
