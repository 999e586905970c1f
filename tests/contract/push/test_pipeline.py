"""The run, between fake gateways: what is asked, what is pushed, and that every listed reference has its result."""

from __future__ import annotations

import threading

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Access, Evidence, RegistryPing, Stage
from pushsafe.model.facts import ConfiguredRegistry, EngineKind, LocalImage
from pushsafe.model.outcomes import Layers, Mismatch, Missing, NotPushed, Pushed, Verified
from pushsafe.model.report import ErrorKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference, parse_repository
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import (
    DIGEST,
    DOCKER_26,
    Credentials,
    Engine,
    Observed,
    Registry,
    World,
    accepted,
    codes,
    kinds,
    pushes,
    single,
)
from tests.values import AMD64, ARM64, OCI_INDEX, broken, nobody, ref, sha

API = "registry.test/team/app"
ONE, TWO, THREE = f"{API}:1", f"{API}:2", f"{API}:3"
NOT_FOUND = Evidence(Stage.VERIFY, "", status=404)
AWAY = RegistryUnreachable("registry.test: connection refused")


def all_tags(text: str) -> Reference:
    found = parse_repository(text)
    assert isinstance(found, Reference)
    return found


# ---------------------------------------------------------------------- a good run


def test_every_tag_is_pushed_in_the_listed_order_and_read_back() -> None:
    world = World()
    report = world.run(TWO, ONE, THREE, push_each=True)
    assert pushes(world) == [TWO, ONE, THREE]
    assert [str(result.reference) for result in report.results] == [TWO, ONE, THREE]
    assert [result.outcome for result in report.results] == [Pushed(DIGEST, Layers(reused=1))] * 3
    assert all(isinstance(result.verification, Verified) for result in report.results)
    assert (report.findings, report.errors, report.interrupted) == ((), (), False)
    assert exit_code(report) is ExitCode.OK


def test_the_observer_is_told_of_each() -> None:
    world = World()
    report = world.run(ONE, TWO)
    assert world.observer.told[0] == f"planned {ONE} {TWO}"
    for name, pushed in ((ONE, [f"pushing {ONE}", f"layer {ONE} reused"]), (TWO, [])):
        told = [what for what in world.observer.told[1:] if name in what]
        assert told == [*pushed, f"finished {name}"]
    told_of = sorted(map(str, world.observer.results))
    assert told_of == sorted(str(result._replace(before=None)) for result in report.results)


def test_warnings_are_told_before_the_push() -> None:
    world = World()
    world.run(ONE, ONE)  # PS107
    assert world.observer.told[:3] == ["warned PS107", f"planned {ONE}", f"pushing {ONE}"]


def test_every_phase_is_timed() -> None:
    assert {name for name, _ in World().run(ONE).timings} == {"gather", "push", "verify", "total"}
    assert {name for name, _ in World().run(ONE, TWO).timings} == {"gather", "push", "tag", "verify", "total"}


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
    assert exit_code(world.run(ONE, TWO, push_each=True)) is ExitCode.OK


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
    engine = Engine(CONTAINERD, {ONE: LocalImage(sha("a"), (AMD64, ARM64))})
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
    world = World(credentials=Credentials({"registry.test": nobody()}), engine=Engine(push_answers={ONE: accepted()}))
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


# ---------------------------------------------------------------------- --platform


def test_two_platforms_are_no_push_of_the_containerd_store() -> None:
    world = World(engine=Engine(CONTAINERD))
    report = world.run(ONE, platforms=(AMD64, ARM64))
    assert [error.kind for error in report.errors] == [ErrorKind.USAGE]
    assert report.results[0].outcome == NotPushed("the request cannot be carried out")
    assert pushes(world) == []
    assert exit_code(report) is ExitCode.USAGE


@pytest.mark.parametrize("store", [CLASSIC, CONTAINERD])
def test_one_platform_is_a_push_of_either_store(store: EngineKind) -> None:
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
    world = World(engine=Engine(info_answer=DOCKER_26))
    report = world.run(ONE, platforms=(AMD64,))
    said = "--platform needs an engine with API 1.46 (Docker 27), and this one speaks 1.45"
    assert (report.errors[0].message, report.errors[0].hint.partition(":")[0]) == (said, "leave --platform out")
    assert exit_code(report) is ExitCode.USAGE


# ---------------------------------------------------------------------- duplicates and all tags


def test_a_tag_listed_twice_is_pushed_once_and_has_two_results() -> None:
    world = World()
    report = world.run(ONE, TWO, ONE)
    assert (pushes(world), world.registry.tagged) == ([ONE], [TWO])
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


def test_references_keep_what_was_given() -> None:
    assert World().run("registry.test/team/app").results[0].reference == ref("registry.test/team/app")


def test_all_tags_pushes_every_tag_that_the_engine_holds() -> None:
    world = World(engine=Engine(held_tags=("1", "2", "latest")))
    report = world.run(all_tags(API), push_each=True)
    assert pushes(world) == [ONE, TWO, f"{API}:latest"]
    assert [str(result.reference) for result in report.results] == pushes(world)
    assert codes(report) == []


def test_all_tags_of_a_repository_that_has_none_is_a_missing_image() -> None:
    report = World(engine=Engine(held_tags=())).run(all_tags(API))
    assert codes(report) == ["PS201"]
    assert [str(result.reference) for result in report.results] == [API]
    assert exit_code(report) is ExitCode.LINT
