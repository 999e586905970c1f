"""An index put together in-process: where each source is found, what is brought where, and what stops it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import LocalImage
from pushsafe.model.outcomes import (
    Denied,
    EngineAccepted,
    EngineRefused,
    Failed,
    Layers,
    LayerState,
    Mismatch,
    NotPushed,
    Outcome,
    Pushed,
    Verified,
)
from pushsafe.model.plan import How
from pushsafe.model.report import Report
from pushsafe.model.request import Asks, Assembly, Place, Source
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.manifest import Blob, ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.report import digest_file
from pushsafe.report.exit_codes import ExitCode, exit_code
from pushsafe.report.human import render_quiet
from tests.fakes.gateways import ACCEPTED, NOT_THERE, PUT, Engine, Scripted, World, codes, pushes
from tests.fakes.holding import Holding, Image, attestation_of, attested, content_of, index_of
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, nobody, ref, said, sha

ONE, TWO = Image("linux/amd64"), Image("linux/arm64")
REPOSITORY, OTHER, ELSEWHERE = "registry.test/acme/app", "registry.test/acme/other", "elsewhere.test/acme/app"
TARGET = f"{REPOSITORY}:1.4.2"
STAGED = {ONE: f"{TARGET}-linux-amd64", TWO: f"{TARGET}-linux-arm64"}
DENIED = Evidence(Stage.PUSH, "requested access to the resource is denied", 403, "DENIED", sent=True)
NO_ENGINE = EngineUnreachable("no engine answers", "systemctl start docker")


def a_world() -> World:
    """Nothing is anywhere."""
    return World(engine=Engine(images={}), registry=Holding())


def store(world: World) -> Holding:
    assert isinstance(world.registry, Holding)
    return world.registry


def local(world: World, name: str, image: Image, staging: str = "", **more: Any) -> None:
    """The engine has an image, and can push it under its staging tag."""
    staging = staging or STAGED.get(image, name)
    platform = Platform(*image.platform.split("/"))
    held = LocalImage(image.config, (platform,), **more)

    def push() -> EngineAccepted:
        store(world).hold(staging, image)
        return EngineAccepted(image.content.digest, Layers(sent=2, bytes_sent=1500))

    world.engine.images = {**(world.engine.images or {}), str(ref(name)): held}
    world.engine.push_answers = {staging: push, **world.engine.push_answers}


def source(text: str, place: Place = Place.EITHER, digest: str = "") -> Source:
    return Source(text, ref(text), digest, place)


def assemble(world: World, *sources: str | Source, tags: tuple[str, ...] = (TARGET,), **more: Any) -> Report:
    found = tuple(source(one) if isinstance(one, str) else one for one in sources)
    return world.run(*tags, origin=Assembly(found), **{"asks": Asks.PREFLIGHT, **more})


def outcomes(report: Report) -> dict[str, Outcome]:
    return {str(result.reference): result.outcome for result in report.results}


def named(world: World, tag: str = TARGET) -> list[str]:
    """The digests of the images that a tag's index names."""
    return [entry["digest"] for entry in store(world).index(tag)["manifests"]]


BOTH = [ONE.content.digest, TWO.content.digest]


# ---------------------------------------------------------------------- images of the engine


def test_images_of_the_engine_are_pushed_under_tags_of_their_own() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    local(world, "my-api:arm64", TWO)
    report = assemble(world, "my-api:amd64", "my-api:arm64")
    assert exit_code(report) is ExitCode.OK
    assert list(outcomes(report)) == [TARGET, STAGED[ONE], STAGED[TWO]]
    assert [getattr(one, "how", None) for one in outcomes(report).values()] == [How.TAGGED, How.PUSHED, How.PUSHED]
    verified = report.results[0].verification
    assert isinstance(verified, Verified)
    assert verified.manifest.platforms == (AMD64, ARM64)
    assert named(world) == BOTH
    assert world.engine.named == [
        f"{ONE.config} as {STAGED[ONE]}",
        f"{TWO.config} as {STAGED[TWO]}",
        f"no {STAGED[ONE]}",
        f"no {STAGED[TWO]}",
    ]


def test_an_image_with_a_name_of_the_repository_is_pushed_under_it() -> None:
    world = a_world()
    local(world, f"{REPOSITORY}:arm", TWO, f"{REPOSITORY}:arm")
    report = assemble(world, f"{REPOSITORY}:arm")
    assert (exit_code(report), pushes(world), world.engine.named) == (ExitCode.OK, [f"{REPOSITORY}:arm"], [])
    assert named(world) == BOTH[1:]


def test_but_not_under_the_tag_of_the_index() -> None:
    """Which would name one platform in between, and for ever where the rest goes wrong."""
    world = a_world()
    local(world, TARGET, ONE)
    report = assemble(world, TARGET)
    assert (exit_code(report), pushes(world)) == (ExitCode.OK, [STAGED[ONE]])


def test_a_name_that_the_engine_has_for_it_already_stays() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    local(world, STAGED[ONE], ONE)
    assert exit_code(assemble(world, "my-api:amd64")) is ExitCode.OK
    assert (pushes(world), world.engine.named) == ([STAGED[ONE]], [])


def test_a_name_that_the_engine_has_for_another_image_is_not_taken() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    local(world, STAGED[ONE], Image("linux/amd64", "another"))
    report = assemble(world, "my-api:amd64")
    assert exit_code(report) is ExitCode.USAGE
    assert report.errors[0].message == (
        f"my-api:amd64 would be pushed as {STAGED[ONE]}, and the engine has another image of that name"
    )
    assert (pushes(world), world.engine.named) == ([], [])


def test_what_was_pushed_before_is_not_pushed_again() -> None:
    """The staging tag names the image still: then all is known beforehand, and nothing is left to do."""
    world = a_world()
    local(world, "my-api:amd64", ONE)
    assert exit_code(assemble(world, "my-api:amd64")) is ExitCode.OK
    world.engine.pushed.clear()
    again = assemble(world, "my-api:amd64")
    assert outcomes(again) == {TARGET: Pushed(store(world).named[TARGET], how=How.ALREADY_THERE)}
    assert (pushes(world), codes(again)) == ([], [])


def test_the_names_are_taken_back_whatever_happens() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    local(world, "my-api:arm64", TWO)
    refusal = EngineRefused(said("denied: requested access to the resource is denied"))
    world.engine.push_answers = {**world.engine.push_answers, STAGED[TWO]: refusal}
    report = assemble(world, "my-api:amd64", "my-api:arm64")
    found = outcomes(report)
    assert found[TARGET] == NotPushed(f"its index would name {STAGED[TWO]}, which is not in place")
    assert isinstance(found[STAGED[ONE]], Pushed)
    assert exit_code(report) not in (ExitCode.OK, ExitCode.LINT)
    assert world.engine.named[2:] == [f"no {STAGED[ONE]}", f"no {STAGED[TWO]}"]
    assert TARGET not in store(world).named


def test_an_engine_that_gives_no_name_ends_the_run() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)

    world.engine.naming = EngineFailed("the engine answers 500 to POST")
    report = assemble(world, "my-api:amd64")
    assert (exit_code(report), pushes(world)) == (ExitCode.FAILED, [])
    assert report.errors[0].message == "the engine answers 500 to POST"


def test_an_image_that_is_not_whole_is_refused() -> None:
    world = a_world()
    local(world, "my-api:1", ONE, missing=(ARM64,))
    report = assemble(world, "my-api:1")
    assert (exit_code(report), codes(report), pushes(world)) == (ExitCode.LINT, ["PS204"], [])
    # Nobody can build or push it under the name that the engine would have got.
    assert report.findings[0].fix == "the same again with an image with all of its platforms in place of my-api:1"
    assert "docker" not in report.findings[0].message


def test_what_the_engine_pushed_is_the_image_that_was_found() -> None:
    """Whoever builds anew in between changes what the engine has under the name, and nobody has looked at that."""
    world = a_world()
    local(world, "my-api:amd64", ONE)
    other = Image("linux/amd64", "built in between")

    def push() -> EngineAccepted:
        store(world).hold(STAGED[ONE], other)
        return EngineAccepted(other.content.digest, Layers(sent=1))

    world.engine.push_answers = {STAGED[ONE]: push}
    report = assemble(world, "my-api:amd64")
    assert exit_code(report) is ExitCode.FAILED
    outcome = outcomes(report)[TARGET]
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == (
        f"{STAGED[ONE]} names {other.content.digest} now, and that is not the image that my-api:amd64 was when this "
        "began"
    )
    assert TARGET not in store(world).named


def test_what_the_engine_pushed_is_for_the_platforms_that_were_found() -> None:
    """The clash of two sources was looked for with these."""
    world = a_world()
    local(world, "my-api:amd64", ONE)
    world.registry.configs = {ONE.config: ImageConfig(ARM64)}
    assert exit_code(assemble(world, "my-api:amd64")) is ExitCode.FAILED
    assert TARGET not in store(world).named


def test_a_name_is_taken_back_though_the_answer_to_it_was_lost() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    world.engine.naming = EngineUnreachable("the engine went away")
    assemble(world, "my-api:amd64")
    assert world.engine.named == [f"no {STAGED[ONE]}"]


# ---------------------------------------------------------------------- staging tags

OWN = f"{REPOSITORY}:amd64"
BY_ID = f"{STAGED[ONE]}-{ONE.config[7:19]}"
THEIRS = Image("linux/amd64", "theirs")
TAKEN: dict[str, tuple[list[str], str]] = {
    # the tags that name something else at the registry, and the staging tag that is taken
    "none": ([], OWN),
    "its own": ([OWN], STAGED[ONE]),
    "both": ([OWN, STAGED[ONE]], BY_ID),
}


@pytest.mark.parametrize("asks", [Asks.PREFLIGHT, Asks.LOGIN])
@pytest.mark.parametrize(("taken", "staging"), TAKEN.values(), ids=TAKEN)
def test_a_staging_tag_replaces_nothing(taken: list[str], staging: str, asks: Asks) -> None:
    world = a_world()
    local(world, OWN, ONE, staging)
    for tag in taken:
        store(world).hold(tag, THEIRS)
    report = assemble(world, source(OWN, Place.ENGINE), asks=asks)
    assert exit_code(report) is ExitCode.OK, report.errors
    assert pushes(world) == [staging]
    assert {store(world).named[tag] for tag in taken} <= {THEIRS.content.digest}
    assert named(world) == [ONE.content.digest]


def test_an_image_without_a_name_that_is_free_is_not_pushed() -> None:
    world = a_world()
    local(world, OWN, ONE)
    for tag in (OWN, STAGED[ONE], BY_ID):
        store(world).hold(tag, THEIRS)
    report = assemble(world, source(OWN, Place.ENGINE))
    assert (exit_code(report), pushes(world)) == (ExitCode.USAGE, [])
    assert report.errors[0].message == (
        f"there is no tag under which {OWN} could be pushed and replace nothing: {OWN}, {STAGED[ONE]}, {BY_ID} are "
        "taken"
    )


def test_what_is_no_image_is_not_replaced_either() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    store(world).reading = dict.fromkeys((STAGED[ONE], BY_ID), NO_IMAGE)
    assert (exit_code(assemble(world, "my-api:amd64")), pushes(world)) == (ExitCode.USAGE, [])


def test_nor_is_one_of_the_tags() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    report = assemble(world, "my-api:amd64", tags=(TARGET, STAGED[ONE], BY_ID))
    assert (exit_code(report), pushes(world)) == (ExitCode.USAGE, [])


def test_a_staging_tag_where_nobody_tells_what_is_taken() -> None:
    """Many registries refuse to show a repository that is not there yet."""
    world = a_world()
    local(world, "my-api:amd64", ONE, BY_ID)
    store(world).reading = dict.fromkeys((STAGED[ONE], BY_ID), READ_DENIED)
    assert exit_code(assemble(world, "my-api:amd64")) is not ExitCode.USAGE
    assert pushes(world) == [BY_ID]


def test_no_staging_tag_where_nobody_answers() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    store(world).reading[STAGED[ONE]] = AWAY
    report = assemble(world, "my-api:amd64", asks=Asks.LOGIN)
    assert (exit_code(report), pushes(world)) == (ExitCode.UNREACHABLE, [])


def test_a_staging_tag_may_be_a_moving_tag() -> None:
    world = a_world()
    own = f"{REPOSITORY}:latest"
    local(world, own, ONE, own)
    report = assemble(world, own)
    assert exit_code(report) is ExitCode.OK
    assert pushes(world) == [own]
    assert named(world) == [ONE.content.digest]


def test_a_staging_tag_is_never_one_of_the_tags() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE, BY_ID)
    report = assemble(world, "my-api:amd64", tags=(TARGET, STAGED[ONE]))
    assert exit_code(report) is ExitCode.OK
    assert pushes(world) == [BY_ID]
    assert named(world, STAGED[ONE]) == [ONE.content.digest]


def test_staging_tags_of_a_long_tag_differ() -> None:
    """It is the tag that is shortened, not what tells them apart."""
    world = a_world()
    tag = "x" * 128
    wanted = [f"{REPOSITORY}:{tag[: 128 - len(end)]}{end}" for end in ("-linux-amd64", "-linux-arm64")]
    for name, image, staging in zip(("amd64", "arm64"), (ONE, TWO), wanted, strict=True):
        local(world, f"my-api:{name}", image, staging)
    assert exit_code(assemble(world, "my-api:amd64", "my-api:arm64", tags=(f"{REPOSITORY}:{tag}",))) is ExitCode.OK
    assert pushes(world) == wanted


def test_a_staging_tag_is_a_result_and_nothing_that_was_asked_for() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    report = assemble(world, "my-api:amd64")
    assert [result.staging for result in report.results] == [False, True]
    assert render_quiet(report) == f"{TARGET}\n"
    assert digest_file.render(report) == f"{TARGET}@{store(world).named[TARGET]}\n"


# ---------------------------------------------------------------------- where a source is

Setting = Callable[[World], None]


def with_local(name: str, image: Image = ONE, **more: Any) -> Setting:
    return lambda world: local(world, name, image, STAGED[ONE], **more)


def with_remote(name: str, image: Image = ONE) -> Setting:
    return lambda world: store(world).hold(name, image)


NAME = f"{OTHER}:amd64"
PUSHED_BEFORE = (f"{OTHER}@{ONE.content.digest}",)
CHANGED = Image("linux/amd64", "built anew")
FOUND: dict[str, tuple[list[Setting], Source, Image, bool]] = {
    # what there is, the source, which image it is, and whether the engine pushes it
    "only here": ([with_local(NAME)], source(NAME), ONE, True),
    "only there": ([with_remote(NAME)], source(NAME), ONE, False),
    "the same on both sides": ([with_local(NAME), with_remote(NAME)], source(NAME), ONE, False),
    "the same by its digest": (
        [with_local(NAME, CHANGED, repo_digests=PUSHED_BEFORE), with_remote(NAME)],
        source(NAME),
        ONE,
        False,
    ),
    "the engine's": ([with_local(NAME, CHANGED), with_remote(NAME)], source(NAME, Place.ENGINE), CHANGED, True),
    "the registry's": ([with_local(NAME, CHANGED), with_remote(NAME)], source(NAME, Place.REGISTRY), ONE, False),
    "by digest": (
        [with_local(NAME, CHANGED), with_remote(NAME)],
        source(OTHER, Place.REGISTRY, ONE.content.digest),
        ONE,
        False,
    ),
    "a name without a registry": ([with_local("my-api:1")], source("my-api:1"), ONE, True),
    "one of Docker Hub": ([with_remote("docker.io/library/my-api:1")], source("my-api:1", Place.REGISTRY), ONE, False),
}


@pytest.mark.parametrize(("settings", "wanted", "image", "engine"), FOUND.values(), ids=FOUND)
def test_where_a_source_is_found(settings: list[Setting], wanted: Source, image: Image, engine: bool) -> None:
    world = a_world()
    for setting in settings:
        setting(world)
    report = assemble(world, wanted)
    assert exit_code(report) is ExitCode.OK, report.errors
    assert named(world) == [image.content.digest]
    assert pushes(world) == ([STAGED[ONE]] if engine else [])


def test_a_name_without_a_registry_is_asked_of_none() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    assemble(world, "my-api:amd64")
    assert not any("library/my-api" in one for one in world.registry.asked)


def unreadable(answer: Evidence | RegistryUnreachable) -> Setting:
    def set_up(world: World) -> None:
        store(world).reading[NAME] = answer

    return set_up


NO_IMAGE = Evidence(Stage.VERIFY, "what it names is not an image or index", 200, sent=True)
BESIDES = f"; the engine has an image {NAME}, which may be another one"
EITHER = f"the same again with docker-daemon:{NAME}, or docker://{NAME}"
AWAY = RegistryUnreachable("https://registry.test: connection refused")
NOWHERE: dict[str, tuple[list[Setting], Source, str, str]] = {
    # what there is, the source, the message, and the hint
    "it differs": (
        [with_local(NAME, CHANGED), with_remote(NAME)],
        source(NAME),
        f"{NAME} is an image of this engine, and another one at registry.test",
        f"say which is meant: docker-daemon:{NAME}, or docker://{NAME}",
    ),
    "nowhere": ([], source(NAME), f"the engine has no image {NAME}, and registry.test does not hold it", ""),
    "not here": (
        [],
        source("my-api:1"),
        "the engine has no image my-api:1",
        "docker://docker.io/library/my-api:1   (if a registry has it)",
    ),
    "not in the engine that was named": (
        [with_remote(NAME)],
        source(NAME, Place.ENGINE),
        f"the engine has no image {NAME}",
        f"docker://{NAME}   (if a registry has it)",
    ),
    "not at the registry that was named": (
        [with_local(NAME)],
        source(NAME, Place.REGISTRY),
        f"{NAME} cannot be had: registry.test does not hold it",
        "",
    ),
    "what is there is no image": (
        [unreadable(NO_IMAGE)],
        source(NAME, Place.REGISTRY),
        f"{NAME} could not be read from registry.test: the registry answers {NO_IMAGE}",
        "",
    ),
    "what is there is no image, and here is one": (
        [with_local(NAME), unreadable(NO_IMAGE)],
        source(NAME),
        f"{NAME} could not be read from registry.test: the registry answers {NO_IMAGE}{BESIDES}",
        EITHER,
    ),
}


@pytest.mark.parametrize(("settings", "wanted", "message", "hint"), NOWHERE.values(), ids=NOWHERE)
def test_a_source_that_cannot_be_had(settings: list[Setting], wanted: Source, message: str, hint: str) -> None:
    world = a_world()
    for setting in settings:
        setting(world)
    report = assemble(world, wanted)
    assert exit_code(report) is ExitCode.USAGE
    assert [(error.message, error.hint) for error in report.errors] == [(message, hint)]
    assert [type(one) for one in outcomes(report).values()] == [NotPushed]
    assert (pushes(world), [one for one in world.registry.asked if one.startswith("put")]) == ([], [])


READ_DENIED = Evidence(Stage.VERIFY, "denied", 403, "DENIED", sent=True)
UNREAD = f"{NAME} could not be read from registry.test: "
UNREADABLE: dict[str, tuple[Evidence | RegistryUnreachable, ExitCode, str]] = {
    # what the registry says, the exit code, and what is said
    "away": (AWAY, ExitCode.UNREACHABLE, f"{UNREAD}{AWAY.message}"),
    "busy": (
        Evidence(Stage.VERIFY, "busy", 503),
        ExitCode.FAILED,
        f"{UNREAD}the registry answers {Evidence(Stage.VERIFY, 'busy', 503)}",
    ),
    "too many": (Evidence(Stage.VERIFY, "", 429), ExitCode.FAILED, f"{UNREAD}the registry answers 429"),
    "another digest": (
        Evidence(Stage.VERIFY, "asked for a, it sent b", 200, "DIGEST_MISMATCH"),
        ExitCode.FAILED,
        f"{UNREAD}the registry answers 200; DIGEST_MISMATCH; asked for a, it sent b",
    ),
    "denied": (
        READ_DENIED,
        ExitCode.UNCLEAR,
        "registry.test does not let the account 'ada' read acme/other, and would not say why",
    ),
}


@pytest.mark.parametrize("place", [Place.EITHER, Place.REGISTRY])
@pytest.mark.parametrize("here", [True, False], ids=["here", "not here"])
@pytest.mark.parametrize(("there", "code", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_source_that_could_not_be_read(
    there: Evidence | RegistryUnreachable, code: ExitCode, said: str, here: bool, place: Place
) -> None:
    """The engine's image of that name is no way out: it may be an older one."""
    world = a_world()
    world.registry.preflights = {OTHER: (Preflight(),)}
    if here:
        local(world, NAME, CHANGED, STAGED[ONE])
    store(world).hold(NAME, ONE)
    store(world).reading[NAME] = there
    report = assemble(world, source(NAME, place))
    assert (exit_code(report), report.errors) == (code, ())
    outcome = outcomes(report)[TARGET]
    assert isinstance(outcome, Denied | Failed)
    message, commands = (
        (outcome.denial.summary, outcome.denial.next)
        if isinstance(outcome, Denied)
        else (outcome.failure.message, outcome.failure.next)
    )
    besides = f"; the engine has {'an' if here else 'no'} image {NAME}" if place is Place.EITHER else ""
    assert message.startswith(said)
    assert besides in message
    assert (EITHER in commands) is (place is Place.EITHER and here)
    assert (pushes(world), TARGET in store(world).named) == ([], False)


TOKEN = Evidence(Stage.TOKEN, "a token was given", 200, sent=True, granted=())
LOGIN = Evidence(Stage.TOKEN, "unauthorized", 401, sent=True)
BEARER = Evidence(Stage.PING, "", 401, challenge='Bearer realm="r"', sent=False)
PROBED = Evidence(Stage.PROBE, "denied", 401, "DENIED", sent=True)


@pytest.mark.parametrize(
    ("evidence", "code", "reason", "said"),
    [
        (
            (BEARER, TOKEN, PROBED),
            ExitCode.INSUFFICIENT_PERMISSION,
            DenialReason.NO_READ_PERMISSION,
            "the account 'ada' is logged in to registry.test and may not read acme/other; that needs the right to pull",
        ),
        (
            (BEARER, LOGIN),
            ExitCode.NO_AUTHENTICATION,
            DenialReason.CREDENTIAL_REJECTED,
            "registry.test does not accept the credential of the account 'ada'",
        ),
    ],
)
def test_who_may_not_read_a_source(
    evidence: tuple[Evidence, ...], code: ExitCode, reason: DenialReason, said: str
) -> None:
    world = a_world()
    store(world).reading[NAME] = READ_DENIED
    world.registry.preflights = {OTHER: (Preflight(evidence),)}
    report = assemble(world, source(NAME, Place.REGISTRY))
    assert exit_code(report) is code
    outcome = outcomes(report)[TARGET]
    assert isinstance(outcome, Denied)
    assert outcome.denial.reason is reason
    assert outcome.denial.summary.startswith(said)
    # Nothing is started there that only who pushes would start.
    assert f"investigate {OTHER} reading amd64" in world.registry.asked


def test_configs_are_asked_for_side_by_side_and_patiently() -> None:
    world = a_world()
    both = threading.Barrier(2)

    def config(platform: Platform) -> Callable[[], ImageConfig]:
        def answer() -> ImageConfig:
            both.wait(10)
            return ImageConfig(platform)

        return answer

    world.registry.configs = {ONE.config: config(AMD64), TWO.config: config(ARM64)}
    assert exit_code(assemble(world, *at_other(world), retries=2)) is ExitCode.OK
    assert world.registry.retry_policy[:2] == [2, 2]


def test_an_engine_is_needed_for_its_own_images_only() -> None:
    world = a_world()
    world.engine_down = NO_ENGINE
    store(world).hold(NAME, ONE)
    assert exit_code(assemble(world, NAME)) is ExitCode.OK
    report = assemble(world, NAME, "my-api:arm64")
    assert exit_code(report) is ExitCode.UNREACHABLE
    assert report.errors[0].message == "no engine answers, so that my-api:arm64 cannot be found"
    assert report.errors[0].hint == NO_ENGINE.hint
    both = assemble(world, f"{OTHER}:arm64")
    said = f"no engine answers, so that {OTHER}:arm64 cannot be found; registry.test does not hold it"
    assert both.errors[0].message == said


def test_who_must_log_in_to_read_a_source_is_told_so() -> None:
    """As a denial, and for every tag: nothing was pushed."""
    world = a_world()
    refusal = Evidence(Stage.VERIFY, "authentication required", 401, "UNAUTHORIZED", 'Bearer realm="r"', sent=False)
    store(world).reading[NAME] = refusal
    world.credentials.logins = {"registry.test": nobody()}
    ping = Evidence(Stage.PING, "", 401, challenge='Bearer realm="r"', sent=False)
    world.registry.preflights = {OTHER: (Preflight((ping, refusal._replace(stage=Stage.PROBE))),)}
    report = assemble(world, NAME, tags=(f"{ELSEWHERE}:1", f"{ELSEWHERE}:2"))
    assert exit_code(report) is ExitCode.NO_AUTHENTICATION
    for outcome in outcomes(report).values():
        assert isinstance(outcome, Denied)
        assert (outcome.stage, outcome.denial.next[0]) == (Stage.PROBE, "docker login registry.test")


# ---------------------------------------------------------------------- one image a platform


def test_two_of_one_platform_are_refused() -> None:
    world = a_world()
    for name, image in (("1", ONE), ("2", TWO), ("3", Image("linux/amd64/v1", "other"))):
        store(world).hold(f"{OTHER}:{name}", image)
    report = assemble(world, f"{OTHER}:1", f"{OTHER}:2", f"{OTHER}:3")
    assert exit_code(report) is ExitCode.USAGE
    assert report.errors[0].message == (
        f"{OTHER}:1 and {OTHER}:3 are both for linux/amd64/v1, and an index names one image for each platform"
    )


def test_an_index_and_one_of_its_images() -> None:
    world = a_world()
    store(world).hold(f"{OTHER}:both", ONE, TWO, index=index_of(ONE.entry(), TWO.entry()))
    store(world).hold(f"{OTHER}:one", ONE)
    assert exit_code(assemble(world, f"{OTHER}:both", f"{OTHER}:one")) is ExitCode.USAGE
    assert exit_code(assemble(world, f"{OTHER}:both")) is ExitCode.OK
    assert named(world) == BOTH


def test_an_image_without_a_platform() -> None:
    world = a_world()
    local(world, "my-api:1", ONE)
    world.engine.images = {"docker.io/library/my-api:1": LocalImage(sha("a"), (Platform("", ""),))}
    report = assemble(world, "my-api:1")
    assert report.errors[0].message == "cannot determine the platform of my-api:1"


ODD = {
    "no platform": (ImageConfig(), "names no platform"),
    "no config": (NOT_THERE, f"has no config that could be read: the registry answers {NOT_THERE}"),
}


@pytest.mark.parametrize(("config", "why"), ODD.values(), ids=ODD)
def test_a_source_whose_config_tells_nothing(config: Any, why: str) -> None:
    world = a_world()
    store(world).hold(NAME, ONE)
    world.registry.configs = {ONE.config: config}
    report = assemble(world, NAME)
    assert exit_code(report) is ExitCode.USAGE
    assert report.errors[0].message == f"{NAME} cannot be put into an index: it {why}"


@pytest.mark.parametrize(("there", "code", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_config_that_could_not_be_read(there: Evidence | RegistryUnreachable, code: ExitCode, said: str) -> None:
    world = a_world()
    world.registry.preflights = {OTHER: (Preflight(),)}
    store(world).hold(NAME, ONE)
    world.registry.configs = {ONE.config: there}
    assert exit_code(assemble(world, NAME)) is code


def test_a_source_that_is_no_image() -> None:
    world = a_world()
    nested = index_of(index_entry := {**ONE.entry(), "mediaType": OCI_INDEX})
    store(world).hold(NAME, ONE, index=nested)
    report = assemble(world, NAME)
    assert report.errors[0].message == (
        f"{NAME} cannot be put into an index: it names another index ({index_entry['digest']})"
    )


# ---------------------------------------------------------------------- what is brought


def at_other(world: World) -> tuple[str, str]:
    for tag, image in (("amd64", ONE), ("arm64", TWO)):
        store(world).hold(f"{OTHER}:{tag}", image)
    return f"{OTHER}:amd64", f"{OTHER}:arm64"


def test_what_another_repository_holds_is_mounted() -> None:
    """Each blob once, whichever images share it; the layers are counted with the first tag."""
    world = a_world()
    tags = (TARGET, f"{REPOSITORY}:1.4")
    report = assemble(world, *at_other(world), tags=tags)
    assert exit_code(report) is ExitCode.OK
    digest = store(world).named[TARGET]
    assert list(outcomes(report).values()) == [
        Pushed(digest, Layers(mounted=3), How.TAGGED),
        Pushed(digest, None, How.TAGGED),
    ]
    assert store(world).brought == [f"{OTHER} -> {REPOSITORY}"] * 5
    assert world.observer.told.count(f"layer {TARGET} mounted") == 3


def test_what_another_registry_holds_is_copied() -> None:
    world = a_world()
    report = assemble(world, *at_other(world), tags=(f"{ELSEWHERE}:1",))
    layers = Layers(sent=3, bytes_sent=1000 + 500 + 500)
    assert outcomes(report)[f"{ELSEWHERE}:1"] == Pushed(store(world).named[f"{ELSEWHERE}:1"], layers, How.TAGGED)


def test_what_the_repository_holds_is_not_asked_for() -> None:
    world = a_world()
    for tag, image in (("amd64", ONE), ("arm64", TWO)):
        store(world).hold(f"{REPOSITORY}:{tag}", image)
    report = assemble(world, f"{REPOSITORY}:amd64", f"{REPOSITORY}:arm64")
    assert outcomes(report) == {TARGET: Pushed(store(world).named[TARGET], None, How.TAGGED)}
    assert store(world).brought == []


def test_only_what_is_missing_is_brought() -> None:
    world = a_world()
    store(world).hold(f"{REPOSITORY}:there", ONE)
    report = assemble(world, *at_other(world))
    assert exit_code(report) is ExitCode.OK
    assert len(store(world).brought) == 3
    puts = [one for one in world.registry.asked if one.startswith("put")]
    assert puts == [f"put {REPOSITORY}@{TWO.content.digest}", f"put {TARGET}"]


def test_every_repository_gets_all_of_it() -> None:
    """What the engine pushes goes to the first one, and on from there."""
    world = a_world()
    local(world, "my-api:amd64", ONE)
    tags = (TARGET, f"{OTHER}:1", f"{ELSEWHERE}:1")
    report = assemble(world, "my-api:amd64", tags=tags)
    assert exit_code(report) is ExitCode.OK
    assert pushes(world) == [STAGED[ONE]]
    assert sorted(set(store(world).brought)) == [f"{REPOSITORY} -> {ELSEWHERE}", f"{REPOSITORY} -> {OTHER}"]
    assert {store(world).named[tag] for tag in tags} == {store(world).named[TARGET]}


def test_attestations_go_along() -> None:
    world = a_world()
    index = index_of(attested(ONE), ONE.entry(annotations={"a": "b"}))
    store(world).hold(f"{OTHER}:amd64", ONE, attestation_of(ONE), index=index)
    store(world).hold(f"{OTHER}:arm64", TWO)
    report = assemble(world, f"{OTHER}:arm64", f"{OTHER}:amd64")
    assert exit_code(report) is ExitCode.OK
    entries = store(world).index(TARGET)["manifests"]
    assert entries[1:] == [ONE.entry(annotations={"a": "b"}), attested(ONE)]
    assert entries[0]["digest"] == TWO.content.digest


@pytest.mark.parametrize("first", [True, False], ids=["before its image", "after its image"])
def test_an_attestation_is_put_when_its_image_is_there(first: bool) -> None:
    def slow() -> Evidence:
        time.sleep(0.2)
        return PUT

    world = a_world()
    entries = [attested(ONE), ONE.entry()] if first else [ONE.entry(), attested(ONE)]
    store(world).hold(f"{OTHER}:amd64", ONE, attestation_of(ONE), index=index_of(*entries))
    store(world).puts = {f"{REPOSITORY}@{ONE.content.digest}": slow}
    assert exit_code(assemble(world, f"{OTHER}:amd64")) is ExitCode.OK


# ---------------------------------------------------------------------- the order of things


def test_moving_tags_are_last() -> None:
    world = a_world()
    tags = (f"{REPOSITORY}:latest", TARGET, f"{OTHER}:stable", f"{ELSEWHERE}:1")
    report = assemble(world, *at_other(world), tags=tags)
    assert exit_code(report) is ExitCode.OK
    finished = [one.removeprefix("finished ") for one in world.observer.told if one.startswith("finished")]
    assert set(finished[:2]) == {TARGET, f"{ELSEWHERE}:1"}
    puts = [one.removeprefix("put ") for one in world.registry.asked if one.startswith("put") and "@" not in one]
    assert set(puts[2:]) == {f"{REPOSITORY}:latest", f"{OTHER}:stable"}


def test_and_only_when_all_others_are_in_place() -> None:
    world = a_world()
    tags = (f"{REPOSITORY}:latest", TARGET, f"{OTHER}:1")
    world.registry.puts = {f"{OTHER}:1": DENIED}
    report = assemble(world, *at_other(world), tags=tags)
    found = outcomes(report)
    assert isinstance(found[TARGET], Pushed)
    assert found[f"{REPOSITORY}:latest"] == NotPushed(
        f"it moves only when every other tag is in place, and {OTHER}:1 is not"
    )
    assert f"{REPOSITORY}:latest" not in store(world).named


def test_what_names_the_index_already_is_left() -> None:
    world = a_world()
    tags = (TARGET, f"{REPOSITORY}:latest")
    sources = at_other(world)
    assemble(world, *sources, tags=tags)
    world.registry.asked.clear()
    world.registry.held = {tag: index_info(world, tag) for tag in tags}
    report = assemble(world, *sources, tags=tags)
    assert (exit_code(report), codes(report)) == (ExitCode.OK, [])
    assert {getattr(one, "how", None) for one in outcomes(report).values()} == {How.ALREADY_THERE}
    assert [one for one in world.registry.asked if one.startswith("put")] == []


def index_info(world: World, tag: str) -> ManifestInfo:
    return ManifestInfo(store(world).named[tag], OCI_INDEX, (AMD64, ARM64))


def test_a_tag_that_would_lose_a_platform() -> None:
    world = a_world()
    index = index_of(ONE.entry(), TWO.entry())
    store(world).hold(TARGET, ONE, TWO, index=index)
    report = assemble(world, at_other(world)[0])
    assert (exit_code(report), "PS205" in codes(report)) == (ExitCode.LINT, True)
    assert store(world).named[TARGET] == index.digest


# ---------------------------------------------------------------------- what goes wrong

BLOB = TWO.config
SOURCE_SAYS = Evidence(Stage.VERIFY, "blob unknown", 404, "BLOB_UNKNOWN")
BUSY = Evidence(Stage.PUSH, "too many requests", 429, "TOOMANYREQUESTS")
WRONG: dict[str, tuple[dict[str, Any], ExitCode, str]] = {
    # how the registry is scripted, the exit code, and what is said
    "the source lacks a blob": (
        {"bringing": {BLOB: SOURCE_SAYS}},
        ExitCode.FAILED,
        f"what the index names could not be read from {OTHER}: the registry answers {SOURCE_SAYS}",
    ),
    "the target refuses a blob": ({"bringing": {BLOB: DENIED}}, ExitCode.UNCLEAR, ""),
    "the target is busy": ({"bringing": {BLOB: BUSY}}, ExitCode.FAILED, "the registry was busy at every try"),
    "nobody answers": ({"bringing": {BLOB: AWAY}}, ExitCode.UNREACHABLE, AWAY.message),
    "the target refuses a manifest": (
        {"puts": {f"{REPOSITORY}@{TWO.content.digest}": Evidence(Stage.PUSH, "manifest invalid", 400)}},
        ExitCode.FAILED,
        "manifest invalid",
    ),
    "nobody takes a manifest": (
        {"puts": {f"{REPOSITORY}@{TWO.content.digest}": AWAY}},
        ExitCode.UNREACHABLE,
        AWAY.message,
    ),
    "the target refuses the index": (
        {"puts": {TARGET: Evidence(Stage.PUSH, "manifest invalid", 400, "MANIFEST_INVALID")}},
        ExitCode.FAILED,
        "manifest invalid",
    ),
    "nobody takes the index": ({"puts": {TARGET: AWAY}}, ExitCode.UNREACHABLE, AWAY.message),
    "the source lacks a manifest": (
        {"reading": {f"{OTHER}@{TWO.content.digest}": NOT_THERE}},
        ExitCode.FAILED,
        f"could not be read from {OTHER}",
    ),
    "the source is away": ({"reading": {f"{OTHER}@{TWO.content.digest}": AWAY}}, ExitCode.UNREACHABLE, AWAY.message),
}


@pytest.mark.parametrize(("script", "code", "message"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_the_result_of_the_tag(script: dict[str, Any], code: ExitCode, message: str) -> None:
    world = a_world()
    for name, value in script.items():
        setattr(world.registry, name, value)
    report = assemble(world, *at_other(world))
    assert exit_code(report) is code
    assert report.errors == ()
    outcome = outcomes(report)[TARGET]
    if message:
        assert isinstance(outcome, Failed)
        assert message in outcome.failure.message
    else:
        assert isinstance(outcome, Denied)
    assert TARGET not in store(world).named


WITHOUT_NAME: dict[str, tuple[Scripted[Evidence], str]] = {
    "lost": (AWAY, "the same again, in a while"),
    "busy": (BUSY, "the same again, in a while"),
    "unclear": (DENIED, f"docker pushsafe diagnose {TARGET}"),
}


@pytest.mark.parametrize(("answer", "command"), WITHOUT_NAME.values(), ids=WITHOUT_NAME)
def test_what_to_run_next_is_never_a_push_of_the_tag(answer: Scripted[Evidence], command: str) -> None:
    """The engine has nothing of that name."""
    world = a_world()
    world.registry.puts = {TARGET: answer}
    outcome = outcomes(assemble(world, *at_other(world)))[TARGET]
    assert isinstance(outcome, Denied | Failed)
    assert (outcome.denial if isinstance(outcome, Denied) else outcome.failure).next == (command,)


def test_nor_of_a_staging_tag() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    world.engine.push_answers = {STAGED[ONE]: EngineRefused(said("toomanyrequests: slow down"))}
    outcome = outcomes(assemble(world, "my-api:amd64", retries=0))[STAGED[ONE]]
    assert isinstance(outcome, Failed)
    assert outcome.failure.next == ("the same again, in a while",)


def test_a_manifest_that_cannot_be_brought() -> None:
    """One without a config: an index may name it, and what it is made of is not known."""
    world = a_world()
    odd = content_of({"schemaVersion": 2}, OCI_MANIFEST)
    entry = {**ONE.entry(), "digest": odd.digest}
    store(world).hold(NAME, ONE, index=index_of(entry))
    store(world).stored[OTHER][odd.digest] = odd
    outcome = outcomes(assemble(world, NAME))[TARGET]
    assert isinstance(outcome, Failed)
    assert outcome.failure.message.startswith(f"{odd.digest} cannot be copied to another repository: it ")


def test_one_repository_fails_alone() -> None:
    world = a_world()
    world.registry.puts = {f"{ELSEWHERE}@{ONE.content.digest}": DENIED}
    report = assemble(world, *at_other(world), tags=(TARGET, f"{ELSEWHERE}:1", f"{ELSEWHERE}:2"))
    kinds = [type(one) for one in outcomes(report).values()]
    assert kinds == [Pushed, Denied, Denied]


@dataclass
class Slow(Holding):
    """Takes ten seconds for each blob but those that `answer` answers for."""

    answer: Callable[[Blob], Evidence | None] = lambda _blob: None
    parts: int = 0
    ended: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def bring(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        if said := self.answer(blob):
            return said
        self.begun.append(blob.digest)
        try:
            for size in range(1000):
                on_sent(size)
                self.parts += 1
                time.sleep(0.01)
        finally:
            self.ended.append(blob.digest)
        return LayerState.SENT


def test_what_is_under_way_is_given_up() -> None:
    """And the result is what went wrong first, wherever that stands."""
    refused = threading.Event()

    def answer(blob: Blob) -> Evidence | None:
        if blob.digest == TWO.config:
            refused.set()
            return DENIED
        assert refused.wait(10)
        return None

    slow = Slow(answer=answer)
    world = World(engine=Engine(images={}), registry=slow)
    outcome = outcomes(assemble(world, *at_other(world)))[TARGET]
    assert isinstance(outcome, Denied)
    assert slow.parts < 400


def test_an_interruption_ends_what_is_under_way() -> None:
    once = threading.Lock()

    def answer(_blob: Blob) -> None:
        if once.acquire(blocking=False):
            time.sleep(0.1)  # until the main thread waits
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    slow = Slow(answer=answer)
    world = World(engine=Engine(images={}), registry=slow)
    report = assemble(world, *at_other(world))
    assert exit_code(report) is ExitCode.INTERRUPTED
    assert outcomes(report) == {TARGET: NotPushed("interrupted")}
    end = time.monotonic() + 5
    while sorted(slow.ended) != sorted(slow.begun):  # each ends with its next part
        assert time.monotonic() < end
        time.sleep(0.01)
    assert slow.parts < 400
    assert TARGET not in slow.named


def test_an_index_that_is_put_though_the_answer_is_lost() -> None:
    world = a_world()

    def lose() -> Evidence:
        store(world).puts = {}
        store(world).put(ref(TARGET), nobody(), index)
        raise AWAY

    sources = at_other(world)
    assemble(world, *sources, tags=(f"{REPOSITORY}:before",))
    index = store(world).stored[REPOSITORY][store(world).named[f"{REPOSITORY}:before"]]
    world.registry.puts = {TARGET: lose}
    assert exit_code(assemble(world, *sources)) is ExitCode.OK


class Forgetful(Holding):
    """Shows something else than what was put under the tag."""

    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", **options: Any
    ) -> ManifestInfo | Evidence:
        found = super().manifest(reference, credential, digest, **options)
        ours = isinstance(found, ManifestInfo) and str(reference) == TARGET and not digest
        return found._replace(digest=sha("f")) if ours and isinstance(found, ManifestInfo) else found


def test_what_is_read_back_is_compared() -> None:
    world = World(engine=Engine(images={}), registry=Forgetful())
    report = assemble(world, *at_other(world))
    assert report.results[0].verification == Mismatch(store(world).named[TARGET], sha("f"))
    assert exit_code(report) is ExitCode.NOT_CONFIRMED


class Counting(Holding):
    """Notes the manifests that it is asked for by digest."""

    def manifest(
        self, reference: Reference, credential: Credential, digest: str = "", **options: Any
    ) -> ManifestInfo | Evidence:
        self.asked.append(f"manifest {reference.name}@{digest}")
        return super().manifest(reference, credential, digest, **options)


def test_what_the_index_names_is_looked_at_once_in_each_repository() -> None:
    world = World(engine=Engine(images={}), registry=Counting())
    tags = (TARGET, f"{REPOSITORY}:1.4", f"{REPOSITORY}:latest", f"{ELSEWHERE}:1", f"{ELSEWHERE}:2")
    report = assemble(world, *at_other(world), tags=tags)
    assert exit_code(report) is ExitCode.OK
    for repository in (REPOSITORY, ELSEWHERE):  # before it is brought there, and when it is read back
        assert world.registry.asked.count(f"manifest {repository}@{ONE.content.digest}") == 2


def test_a_registry_that_only_the_engine_reaches_gets_no_index() -> None:
    """Nor images that nobody would use."""
    world = a_world()
    local(world, "my-api:amd64", ONE)
    world.registry.preflights = {REPOSITORY: (Preflight((), "no route to host"),)}
    report = assemble(world, "my-api:amd64")
    outcome = outcomes(report)[TARGET]
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.NETWORK
    assert outcome.failure.message == "an index is put from here, not by the engine: no route to host"
    assert pushes(world) == []
    dry = assemble(world, "my-api:amd64", pushes=False, planned=True)
    assert (exit_code(dry), dry.plan) == (ExitCode.UNREACHABLE, None)


def test_a_refusal_that_is_foreseen() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    refused = Evidence(Stage.PROBE, "denied", 403, "DENIED", sent=True)
    world.registry.preflights = {REPOSITORY: (Preflight((ACCEPTED.evidence[0]._replace(stage=Stage.PING), refused)),)}
    report = assemble(world, "my-api:amd64")
    assert exit_code(report) is ExitCode.INSUFFICIENT_PERMISSION
    assert (pushes(world), world.engine.named) == ([], [])


# ---------------------------------------------------------------------- without a push


def test_a_plan_names_what_is_pushed_and_what_is_put() -> None:
    world = a_world()
    local(world, "my-api:amd64", ONE)
    report = assemble(world, "my-api:amd64", tags=(TARGET, f"{REPOSITORY}:latest"), pushes=False, planned=True)
    assert report.plan is not None
    steps = [(str(step.reference), step.how, step.last) for step in report.plan.steps]
    assert steps == [
        (STAGED[ONE], How.PUSHED, False),
        (TARGET, How.TAGGED, False),
        (f"{REPOSITORY}:latest", How.TAGGED, True),
    ]
    assert (pushes(world), world.engine.named) == ([], [])


def test_without_a_preflight() -> None:
    world = a_world()
    assert exit_code(assemble(world, *at_other(world), asks=Asks.LOGIN)) is ExitCode.OK
    assert named(world) == BOTH
