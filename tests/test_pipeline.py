"""The run, between fake gateways: what is asked, what is pushed, and that every listed reference has its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from pushsafe.errors import EngineFailed, EngineUnreachable, RegistryUnreachable, UsageError
from pushsafe.execution import THREADS
from pushsafe.exitcodes import ExitCode, exit_code
from pushsafe.model import (
    Access,
    ConfiguredRegistry,
    Denial,
    DenialReason,
    Denied,
    EngineReduced,
    EngineRefused,
    ErrorKind,
    Evidence,
    Failed,
    FailureKind,
    Layers,
    LocalImage,
    ManifestInfo,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Pushed,
    Reference,
    RegistryPing,
    Report,
    Stage,
    StoreKind,
    Verified,
)
from pushsafe.reference import parse_repository
from tests.fakes.gateways import DIGEST, Credentials, Engine, Observed, Registry, World, accepted, single
from tests.values import AMD64, ARM64, OCI_INDEX, broken, nobody, ref, said, sha

API = "registry.test/team/app"
ONE, TWO, THREE = f"{API}:1", f"{API}:2", f"{API}:3"
DENIED = EngineRefused(said("denied: requested access to the resource is denied"))
REJECTED = (Evidence(Stage.TOKEN, "", status=401, sent=True),)
NO_RIGHT = (Evidence(Stage.TOKEN, "", status=200, sent=True), Evidence(Stage.PROBE, "", status=403, sent=True))
NOT_FOUND = Evidence(Stage.VERIFY, "", status=404)
AWAY = RegistryUnreachable("registry.test: connection refused")
DOWN = EngineUnreachable("no engine answers", "sudo systemctl start docker")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.verification.PATIENCE", ())
    monkeypatch.setattr("pushsafe.execution.LAST_ANSWERS", 5.0)


def kinds(report: Report) -> list[str]:
    return [type(result.outcome).__name__ for result in report.results]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def pushes(world: World) -> list[str]:
    return [name for name, _ in world.engine.pushed]


def all_tags(text: str) -> Reference:
    found = parse_repository(text)
    assert isinstance(found, Reference)
    return found


# ---------------------------------------------------------------------- a good run


def test_every_tag_is_pushed_in_the_listed_order_and_read_back() -> None:
    world = World()
    report = world.run(TWO, ONE, THREE)
    assert pushes(world) == [TWO, ONE, THREE]
    assert [str(result.reference) for result in report.results] == [TWO, ONE, THREE]
    assert [result.outcome for result in report.results] == [Pushed(DIGEST, Layers(reused=1))] * 3
    assert all(isinstance(result.verification, Verified) for result in report.results)
    assert (report.findings, report.errors, report.interrupted) == ((), (), False)
    assert exit_code(report) is ExitCode.OK


def test_the_observer_is_told_of_each() -> None:
    world = World()
    report = world.run(ONE, TWO)
    for name in (ONE, TWO):
        told = [what for what in world.observer.told if name in what]
        assert told == [f"pushing {name}", f"layer {name} reused", f"finished {name}"]
    assert sorted(map(str, world.observer.results)) == sorted(map(str, report.results))


def test_every_phase_is_timed() -> None:
    assert [name for name, _ in World().run(ONE).timings] == ["gather", "push", "verify", "total"]


def test_credential_and_registry_are_asked_once_for_a_registry() -> None:
    world = World()
    world.run(ONE, TWO, "localhost:5000/app:1", "localhost:5000/app:2")
    assert sorted(world.credentials.asked) == ["localhost:5000", "registry.test"]
    assert sorted(one for one in world.registry.asked if one.startswith("ping")) == [
        "ping localhost:5000",
        "ping registry.test",
    ]


def test_one_tag_is_read_back_while_the_next_is_pushed() -> None:
    second_push = threading.Event()

    def wait_for_second() -> ManifestInfo:
        assert second_push.wait(10), "the second push did not start before the first tag was read back"
        return single()

    def tell(what: str) -> None:
        if what == f"pushing {TWO}":
            second_push.set()

    world = World(registry=Registry({ONE: wait_for_second}), observer=Observed(on=tell))
    assert exit_code(world.run(ONE, TWO)) is ExitCode.OK


@pytest.mark.parametrize(
    ("answer", "verification"),
    [(NOT_FOUND, Missing(ONE)), (ManifestInfo(sha("0"), OCI_INDEX), Mismatch(DIGEST, sha("0")))],
    ids=["missing", "mismatch"],
)
def test_a_push_that_the_registry_does_not_confirm_is_no_success(
    answer: Evidence | ManifestInfo, verification: Missing | Mismatch
) -> None:
    report = World(registry=Registry({ONE: answer})).run(ONE, TWO)
    assert report.results[0].verification == verification
    assert kinds(report) == ["Pushed", "Pushed"]
    assert exit_code(report) is ExitCode.NOT_CONFIRMED


def test_a_registry_that_only_the_engine_reaches_is_read_through_it() -> None:
    report = World(registry=Registry({ONE: AWAY})).run(ONE)
    assert report.results[0].verification == Verified(ManifestInfo(DIGEST, single().media_type, (AMD64,)), "engine")


def test_a_single_manifest_has_the_platform_of_the_image() -> None:
    engine = Engine(images={ONE: LocalImage(sha("a"), (ARM64,))})
    verification = World(engine=engine).run(ONE).results[0].verification
    assert isinstance(verification, Verified)
    assert verification.manifest.platforms == (ARM64,)


def test_a_single_manifest_of_an_image_of_several_platforms_names_none() -> None:
    engine = Engine(StoreKind.CONTAINERD, {ONE: LocalImage(sha("a"), (AMD64, ARM64))})
    verification = World(engine).run(ONE).results[0].verification
    assert isinstance(verification, Verified)
    assert verification.manifest.platforms == ()


def test_an_index_has_its_own_platforms() -> None:
    index = ManifestInfo(DIGEST, OCI_INDEX, (AMD64, ARM64))
    verification = World(registry=Registry({ONE: index})).run(ONE).results[0].verification
    assert verification == Verified(index, "registry")


# ---------------------------------------------------------------------- refused before anything is pushed


@pytest.mark.parametrize("given", ["my-api:1", "myorg/my-api:1", "hub.docker.com/myorg/my-api:1", "ghcr.io/my-api:1"])
def test_what_the_text_shows_needs_neither_engine_nor_network(given: str) -> None:
    world = World(engine_down=AssertionError("the engine was asked"))
    report = world.run(ONE, given)
    assert kinds(report) == ["NotPushed", "NotPushed"]
    assert report.results[0].outcome == NotPushed("a finding forbids it")
    assert (world.connected, world.credentials.asked, world.observer.told) == ([], [], [])
    assert exit_code(report) is ExitCode.LINT


@pytest.mark.parametrize(
    ("world", "good", "code"),
    [
        (World(engine=Engine(images={ONE: LocalImage(sha("a"), (AMD64,))})), ONE, "PS201"),
        (World(credentials=Credentials({"registry.test": nobody()})), "localhost:5000/app:1", "PS301"),
        (World(credentials=Credentials({"registry.test": broken()})), "localhost:5000/app:1", "PS303"),
    ],
    ids=["image-missing", "not-logged-in", "credential-unusable"],
)
def test_any_error_finding_keeps_everything_from_being_pushed(world: World, good: str, code: str) -> None:
    report = world.run(good, TWO)
    assert codes(report) == [code]
    assert kinds(report) == ["NotPushed", "NotPushed"]
    assert pushes(world) == []
    assert exit_code(report) is ExitCode.LINT
    assert report.errors == ()


def test_an_allowed_finding_is_shown_and_pushed_all_the_same() -> None:
    world = World(
        credentials=Credentials({"registry.test": nobody()}),
        engine=Engine(push_answers={ONE: accepted()}),
    )
    report = world.run(ONE, allowed=("PS301",))
    assert [(finding.code, finding.allowed) for finding in report.findings] == [("PS301", True)]
    assert pushes(world) == [ONE]
    assert exit_code(report) is ExitCode.OK


def test_allowing_one_code_allows_no_other() -> None:
    world = World(credentials=Credentials({"registry.test": nobody()}), engine=Engine(images={}))
    assert kinds(world.run(ONE, allowed=("PS301",))) == ["NotPushed"]
    assert pushes(world) == []


def test_a_warning_forbids_nothing() -> None:
    world = World()
    report = world.run(API)
    assert codes(report) == ["PS103"]
    assert pushes(world) == [f"{API}:latest"]
    assert exit_code(report) is ExitCode.OK


def test_a_registry_that_wants_no_login_needs_none() -> None:
    world = World(
        credentials=Credentials({"registry.test": nobody()}),
        registry=Registry(pings={"registry.test": RegistryPing(Access.OPEN)}),
    )
    assert exit_code(world.run(ONE)) is ExitCode.OK


def test_the_rules_know_which_registries_are_set_up() -> None:
    world = World(configured=(ConfiguredRegistry("registry.test", "you are logged in there"),))
    assert "registry.test/NAMESPACE/my-api:1" in world.run("my-api:1").findings[0].fix


# ---------------------------------------------------------------------- where a classic image comes from

PULLED = f"docker.io/library/base@{sha('e')}"
SOURCE_INDEX = ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64))
PULLED_IMAGE = {ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(PULLED,))}


@pytest.mark.parametrize(
    ("store", "source", "found"),
    [
        (StoreKind.CLASSIC, SOURCE_INDEX, ["PS203"]),
        (StoreKind.CLASSIC, single(), []),
        (StoreKind.CLASSIC, ManifestInfo(sha("e"), OCI_INDEX, (AMD64,)), []),
        (StoreKind.CLASSIC, NOT_FOUND, []),
        (StoreKind.CLASSIC, AWAY, []),
        (StoreKind.CONTAINERD, SOURCE_INDEX, []),
    ],
    ids=["index", "manifest", "index-of-one", "gone", "away", "containerd"],
)
def test_one_platform_of_a_known_index_is_not_pushed_in_silence(
    store: StoreKind, source: ManifestInfo | Evidence | RegistryUnreachable, found: list[str]
) -> None:
    world = World(engine=Engine(store, PULLED_IMAGE), registry=Registry({PULLED: source}))
    report = world.run(ONE)
    assert codes(report) == found
    assert (f"manifest {PULLED}" in world.registry.asked) == (store is StoreKind.CLASSIC)
    assert pushes(world) == ([] if found else [ONE])


def test_what_several_tags_were_pulled_from_is_asked_once() -> None:
    images = dict.fromkeys((ONE, TWO, THREE), LocalImage(sha("a"), (AMD64,), repo_digests=(PULLED,)))
    world = World(Engine(StoreKind.CLASSIC, images), registry=Registry({PULLED: SOURCE_INDEX}))
    assert codes(world.run(ONE, TWO, THREE)) == ["PS203"] * 3
    assert world.registry.asked.count(f"manifest {PULLED}") == 1


def test_who_names_the_platform_means_it() -> None:
    world = World(engine=Engine(StoreKind.CLASSIC, PULLED_IMAGE), registry=Registry({PULLED: SOURCE_INDEX}))
    report = world.run(ONE, platforms=(AMD64,))
    assert world.engine.pushed == [(ONE, AMD64)]
    assert f"manifest {PULLED}" not in world.registry.asked
    assert exit_code(report) is ExitCode.OK


@pytest.mark.parametrize("origin", ["no name", "registry.test/team/app", f"APP@{sha('e')}", ""], ids=repr)
def test_an_origin_that_cannot_be_read_is_not_asked_for(origin: str) -> None:
    world = World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(origin,))}))
    assert exit_code(world.run(ONE)) is ExitCode.OK
    assert [one for one in world.registry.asked if one.startswith("manifest")] == [f"manifest {ONE}"]


# ---------------------------------------------------------------------- --platform


def test_two_platforms_are_no_push_of_the_containerd_store() -> None:
    world = World(engine=Engine(StoreKind.CONTAINERD))
    report = world.run(ONE, platforms=(AMD64, ARM64))
    assert [error.kind for error in report.errors] == [ErrorKind.USAGE]
    assert report.results[0].outcome == NotPushed("the request cannot be carried out")
    assert pushes(world) == []
    assert exit_code(report) is ExitCode.USAGE


@pytest.mark.parametrize("store", StoreKind)
def test_one_platform_is_a_push_of_either_store(store: StoreKind) -> None:
    world = World(Engine(store, {ONE: LocalImage(sha("a"), (AMD64, ARM64))}))
    verification = world.run(ONE, platforms=(ARM64,)).results[0].verification
    assert world.engine.pushed == [(ONE, ARM64)]
    assert isinstance(verification, Verified)
    assert verification.manifest.platforms == (ARM64,)


def test_two_platforms_in_the_classic_store_want_buildx() -> None:
    assert codes(World().run(ONE, platforms=(AMD64, ARM64))) == ["PS203"]


def test_two_platforms_are_never_pushed_as_one_whatever_is_allowed() -> None:
    world = World()
    report = world.run(ONE, platforms=(AMD64, ARM64), allowed=("PS203",))
    assert [(error.kind, error.message) for error in report.errors] == [
        (ErrorKind.USAGE, "--platform takes one platform for each push")
    ]
    assert pushes(world) == []
    assert exit_code(report) is ExitCode.USAGE


def test_an_engine_that_knows_no_platforms_is_told_of() -> None:
    world = World(engine=Engine(platform_option=UsageError("--platform needs API 1.46", "leave it out")))
    report = world.run(ONE, platforms=(AMD64,))
    assert (report.errors[0].message, report.errors[0].hint) == ("--platform needs API 1.46", "leave it out")
    assert exit_code(report) is ExitCode.USAGE


# ---------------------------------------------------------------------- duplicates and all tags


def test_a_tag_listed_twice_is_pushed_once_and_has_two_results() -> None:
    world = World()
    report = world.run(ONE, TWO, ONE)
    assert pushes(world) == [ONE, TWO]
    assert [str(result.reference) for result in report.results] == [ONE, TWO, ONE]
    assert report.results[0].outcome == report.results[2].outcome
    assert codes(report) == ["PS107"]
    assert len(world.observer.results) == 2


def test_each_result_keeps_the_spelling_of_its_listing() -> None:
    report = World().run("docker.io/team/app:latest", "index.docker.io/team/app")
    assert [result.reference.given for result in report.results] == [
        "docker.io/team/app:latest",
        "index.docker.io/team/app",
    ]


def test_all_tags_pushes_every_tag_that_the_engine_holds() -> None:
    world = World(engine=Engine(held_tags=("1", "2", "latest")))
    report = world.run(all_tags(API))
    assert pushes(world) == [ONE, TWO, f"{API}:latest"]
    assert [str(result.reference) for result in report.results] == pushes(world)
    assert codes(report) == []


def test_all_tags_of_a_repository_that_has_none_is_a_missing_image() -> None:
    report = World(engine=Engine(held_tags=())).run(all_tags(API))
    assert codes(report) == ["PS201"]
    assert [str(result.reference) for result in report.results] == [API]
    assert exit_code(report) is ExitCode.LINT


# ---------------------------------------------------------------------- refused by the registry


def verdict(report: Report, index: int = 0) -> Denial:
    outcome = report.results[index].outcome
    assert isinstance(outcome, Denied), outcome
    return outcome.denial


def test_one_denied_tag_does_not_hide_the_others() -> None:
    world = World(engine=Engine(push_answers={TWO: DENIED}), registry=Registry(evidence=NO_RIGHT))
    report = world.run(ONE, TWO, THREE)
    assert kinds(report) == ["Pushed", "Denied", "Pushed"]
    assert verdict(report, 1).reason is DenialReason.NO_WRITE_PERMISSION
    assert all(isinstance(report.results[index].verification, Verified) for index in (0, 2))
    assert report.results[1].verification == NotChecked("nothing was pushed")
    assert exit_code(report) is ExitCode.INSUFFICIENT_PERMISSION


def test_the_evidence_is_in_the_order_in_which_it_was_learnt() -> None:
    world = World(engine=Engine(push_answers={ONE: DENIED}), registry=Registry(evidence=REJECTED))
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
    world = World(engine=Engine(push_answers={ONE: DENIED}), registry=Registry(evidence=AWAY))
    denial = verdict(world.run(ONE))
    assert "login registry.test" in world.engine.asked
    assert [item.stage for item in denial.evidence[2:]] == [Stage.PING, Stage.ENGINE_AUTH]
    assert denial.evidence[2].message == "not reachable from here: registry.test: connection refused"
    assert denial.reason is DenialReason.NO_WRITE_PERMISSION


def test_without_a_credential_the_engine_is_not_asked_to_log_in() -> None:
    world = World(
        engine=Engine(push_answers={ONE: DENIED}),
        registry=Registry(evidence=AWAY),
        credentials=Credentials({"registry.test": nobody()}),
    )
    report = world.run(ONE, allowed=("PS301",))
    assert verdict(report).reason is DenialReason.NOT_LOGGED_IN
    assert world.engine.asked == ["info"]
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION


@pytest.mark.parametrize("failure", [DOWN, EngineFailed("it answers nonsense")], ids=["down", "failed"])
def test_where_nobody_can_be_asked_the_denial_is_unclear(failure: Exception) -> None:
    engine = Engine(push_answers={ONE: DENIED}, login_answer=failure)
    report = World(engine=engine, registry=Registry(evidence=AWAY)).run(ONE)
    assert verdict(report).reason is DenialReason.UNCLEAR
    assert verdict(report).evidence[-1].message == str(failure)
    assert exit_code(report) is ExitCode.UNCLEAR


# ---------------------------------------------------------------------- reduced, sized


def test_an_index_that_the_engine_reduced_is_a_failure() -> None:
    world = World(
        engine=Engine(StoreKind.CONTAINERD, push_answers={ONE: EngineReduced(sha("1"), sha("2"), "linux/amd64")})
    )
    report = world.run(ONE, TWO)
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.REDUCED
    assert "linux/amd64" in outcome.failure.message
    assert sha("1") in outcome.failure.message
    assert kinds(report) == ["Failed", "Pushed"]
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
        (
            Layers(sent=2, bytes_sent=5, unsized=(A,)),
            single((sha("a"), 10)),
            Layers(sent=2, bytes_sent=15),
        ),
        (
            Layers(sent=2, unsized=(A, B)),
            single((sha("a"), 10)),
            Layers(sent=2, bytes_sent=10, unsized=(B,)),
        ),
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
    "failure", [DOWN, EngineFailed("nonsense"), KeyboardInterrupt()], ids=["down", "failed", "ctrl-c"]
)
def test_a_registry_that_waits_for_the_engines_word_never_waits_for_ever(failure: BaseException) -> None:
    world = World(engine_down=failure)
    world.run(ONE)
    assert world.engine_infos == [None]
    world = World()
    world.run(ONE)
    assert world.engine_infos == [world.engine.info()]


def test_many_registries_that_wait_for_the_engines_word_do_not_keep_it_from_being_asked() -> None:
    world = World()

    class Waits(Registry):
        def ping(self, registry: str) -> RegistryPing:
            deadline = time.monotonic() + 10
            while not world.engine_infos:
                assert time.monotonic() < deadline, "the engine was never asked"
                time.sleep(0.001)
            return super().ping(registry)

    world.registry = Waits()
    report = world.run(*(f"registry{number}.test/app:1" for number in range(3 * THREADS)))
    assert kinds(report) == ["Pushed"] * 3 * THREADS


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
    report = world.run(ONE, TWO, THREE)
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
    report = world.run(ONE, TWO, THREE)
    assert report.interrupted
    assert kinds(report) == ["Pushed", "NotPushed", "NotPushed"]
    assert isinstance(report.results[0].verification, Verified)
    cut = NotPushed("interrupted while it was being pushed; the registry may hold it")
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
    monkeypatch.setattr("pushsafe.execution.LAST_ANSWERS", 0.01)
    silent = threading.Event()

    def never() -> ManifestInfo:
        silent.wait(30)
        return single()

    world = World(engine=Engine(push_answers={TWO: KeyboardInterrupt()}), registry=Registry({ONE: never}))
    try:
        report = world.run(ONE, TWO)
    finally:
        silent.set()
    assert report.results[0].outcome == Pushed(DIGEST, Layers(reused=1))
    assert isinstance(report.results[0].verification, NotChecked)
    assert report.results[1].outcome == NotPushed("interrupted while it was being pushed; the registry may hold it")


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
    ("source", World(engine=Engine(images=PULLED_IMAGE), registry=Registry({PULLED: ZeroDivisionError()}))),
    ("investigate", World(Engine(push_answers={ONE: DENIED}), Registry(evidence=ZeroDivisionError()))),
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


def test_references_keep_what_was_given() -> None:
    assert World().run("registry.test/team/app").results[0].reference == ref("registry.test/team/app")
