"""The facts of a run: what is asked of whom, side by side, and what each answer fills in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import (
    EngineFailed,
    EngineUnreachable,
    PushsafeError,
    RegistryAstray,
    RegistryUnreachable,
    UnsafeRealm,
    UsageError,
)
from pushsafe.model.evidence import (
    NOT_ASKED,
    WRONG_ADDRESS,
    Access,
    Evidence,
    Preflight,
    Stage,
    TagAbsent,
    TagHeld,
    TagState,
    TagUnknown,
)
from pushsafe.model.facts import Buildx, EngineKind, Facts, ImageMissing, LocalImage, PulledIndex
from pushsafe.model.request import Asks, PushRequest, TagPolicy
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.reference import Reference
from pushsafe.push import collector
from pushsafe.push.collector import FactCollector
from pushsafe.push.preflight import investigate
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import (
    ACCEPTED,
    DOCKER_26,
    LOGGED_IN,
    NOT_THERE,
    NOW,
    Engine,
    Registry,
    Scripted,
    World,
    codes,
    pushes,
    single,
)
from tests.values import AMD64, ARM64, OCI_INDEX, logged_in, nobody, ref, sha

API, WEB = "registry.test/team/app", "registry.test/team/web"
ONE, TWO, THREE, SITE = f"{API}:1", f"{API}:2", f"{API}:3", f"{WEB}:1"
WHY = "registry.test: connection refused"
AWAY = RegistryUnreachable(WHY)
NOT_FOUND = NOT_THERE
NO_POLICY = TagPolicy()
REFUSED = Preflight((Evidence(Stage.TOKEN, "", status=401, sent=True),))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def gather(
    world: World,
    pool: ThreadPoolExecutor,
    *given: str,
    asks: Asks = Asks.PREFLIGHT,
    patient: bool = False,
    policy: TagPolicy = NO_POLICY,
) -> tuple[Facts, ...]:
    references = tuple(map(ref, given))
    collect = FactCollector(PushRequest(references, asks=asks), world.gateways, pool, patient=patient).collect
    return collect(tuple(Facts(reference, now=NOW, policy=policy) for reference in references))


# ---------------------------------------------------------------------- what is filled in


def test_every_fact(pool: ThreadPoolExecutor) -> None:
    world = World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,))}), Registry(held={ONE: single()}))
    one, two = gather(world, pool, ONE, TWO)
    for fact in (one, two):
        assert (fact.credential, fact.preflight) == (logged_in(), ACCEPTED)
        assert fact.engine == world.engine.info()
        assert fact.ping is not None
        assert fact.ping.access is Access.LOGIN_WANTED
    assert (one.image, one.tag_now) == (LocalImage(sha("a"), (AMD64,)), TagHeld(single()))
    assert (two.image, two.tag_now) == (ImageMissing(), TagAbsent())


@pytest.mark.parametrize(
    ("asks", "filled"),
    [(Asks.NOTHING, (False, False, False)), (Asks.LOGIN, (True, False, False)), (Asks.PREFLIGHT, (True, True, True))],
)
def test_what_is_not_asked_is_not_filled_in(
    asks: Asks, filled: tuple[bool, bool, bool], pool: ThreadPoolExecutor
) -> None:
    (fact,) = gather(World(), pool, ONE, asks=asks)
    asked = fact.tag_now != TagUnknown("the registry was not asked")
    assert (fact.ping is not None, fact.preflight is not None, asked) == filled
    assert fact.credential == logged_in()
    assert isinstance(fact.image, LocalImage)


HELD_THERE = ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64))
GUARDED: dict[str, tuple[Asks, Scripted[ManifestInfo | Evidence], TagState]] = {
    # what is asked, what the registry says of a tag that must not change, and what is known of it then
    "held": (Asks.LOGIN, HELD_THERE, TagHeld(HELD_THERE)),
    "absent": (Asks.LOGIN, NOT_FOUND, TagAbsent()),
    "not told": (Asks.LOGIN, Evidence(Stage.VERIFY, "", status=403), TagUnknown("the registry answers 403")),
    "out of reach": (Asks.LOGIN, AWAY, TagHeld(single())),
    "an unsafe realm": (Asks.LOGIN, UnsafeRealm("in clear", "http://token.test"), TagUnknown("in clear")),
    "another address": (Asks.LOGIN, RegistryAstray("it leads astray"), TagUnknown("it leads astray")),
    "offline": (Asks.NOTHING, HELD_THERE, NOT_ASKED),
}


@pytest.mark.parametrize(("asks", "answer", "known"), GUARDED.values(), ids=GUARDED)
def test_a_tag_that_must_not_change_is_looked_at_without_a_preflight_too(
    asks: Asks, answer: Scripted[ManifestInfo | Evidence], known: TagState, pool: ThreadPoolExecutor
) -> None:
    world = World(Engine(distribution_answer=single()), Registry(held={ONE: answer, TWO: answer}))
    one, two = gather(world, pool, ONE, TWO, asks=asks, policy=TagPolicy(immutable=("1",)))
    assert (one.tag_now, two.tag_now) == (known, NOT_ASKED)
    assert (one.preflight, world.registry.asked.count(f"manifest {TWO}")) == (None, 0)


@pytest.mark.parametrize(
    ("images", "inspected"),
    [
        ({f"{API}:{tag}": "a" for tag in range(20)}, 1),
        ({f"{API}:{tag}": "ab"[tag % 2] for tag in range(20)}, 3),
        ({f"{API}:{tag}": "0123456789abcdef"[tag] for tag in range(16)}, 16),
    ],
    ids=["one-image", "two-images", "as-many-images-as-tags"],
)
def test_images_are_asked_for_by_one_of_their_names(
    images: dict[str, str], inspected: int, pool: ThreadPoolExecutor
) -> None:
    def image(digit: str) -> LocalImage:
        return LocalImage(sha(digit), (AMD64,), names=tuple(name for name, one in images.items() if one == digit))

    world = World(Engine(images={name: image(digit) for name, digit in images.items()}))
    facts = gather(world, pool, *images)
    assert [fact.image.id for fact in facts if isinstance(fact.image, LocalImage)] == [
        sha(one) for one in images.values()
    ]
    assert len(world.engine.inspected) == inspected


def test_missing_images_are_each_asked_for_once(pool: ThreadPoolExecutor) -> None:
    world = World(Engine(images={}))
    names = [f"{API}:{tag}" for tag in range(20)]
    assert {fact.image for fact in gather(world, pool, *names)} == {ImageMissing()}
    assert sorted(world.engine.inspected) == sorted(names)


def test_repositories_are_asked_side_by_side(pool: ThreadPoolExecutor) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet() -> Preflight:
        both.wait()
        return ACCEPTED

    registry = Registry(preflights={API: (meet,), WEB: (meet,)})
    assert [fact.preflight for fact in gather(World(registry=registry), pool, ONE, SITE)] == [ACCEPTED, ACCEPTED]


def test_tags_are_asked_side_by_side(pool: ThreadPoolExecutor) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet() -> Evidence:
        both.wait()
        return NOT_THERE

    facts = gather(World(registry=Registry(held={ONE: meet, TWO: meet})), pool, ONE, TWO)
    assert [fact.tag_now for fact in facts] == [TagAbsent(), TagAbsent()]


def test_a_slow_repository_keeps_no_other_ones_tags_waiting(pool: ThreadPoolExecutor) -> None:
    looked = threading.Event()

    def slow() -> Preflight:
        assert looked.wait(10), "the other repository's tag was not looked at"
        return ACCEPTED

    def look() -> Evidence:
        looked.set()
        return NOT_THERE

    world = World(registry=Registry(held={SITE: look}, preflights={API: (slow,)}))
    assert [fact.tag_now for fact in gather(world, pool, ONE, SITE)] == [TagAbsent(), TagAbsent()]


# ---------------------------------------------------------------------- tags, by their repository's preflight


@dataclass(frozen=True)
class Case:
    """A preflight, what the engine's login says, and what then is known of a tag by which question."""

    preflight: Preflight
    tag: TagState | None
    asked: tuple[str, ...]
    login: Scripted[Evidence] = LOGGED_IN
    patient: bool = False


LOOK, THROUGH = (f"manifest {ONE}",), ("login registry.test", f"distribution {ONE}")
HALF = Evidence(Stage.PING, "", status=401)
UNSAFE = Preflight((HALF,), "the credential would go to auth.test in clear", "auth.test")
ASTRAY = Preflight(
    (HALF, Evidence(Stage.TOKEN, "it leads astray", code=WRONG_ADDRESS, sent=False)), "the token server is at 10.0.0.5"
)
BUSY = Preflight((HALF, Evidence(Stage.PROBE, "", status=503, sent=True)))
UNDECIDED = Preflight((Evidence(Stage.PING, "", status=404), Evidence(Stage.PROBE, "", status=403, sent=False)))
CASES = {
    "accepted": Case(ACCEPTED, TagAbsent(), LOOK),
    "refused": Case(REFUSED, None, ()),
    "refused, and patient": Case(REFUSED, TagAbsent(), LOOK, patient=True),
    "busy": Case(BUSY, TagAbsent(), LOOK),
    # Nothing keeps that push from going on, so what it would replace has to be known.
    "a refusal that decides nothing": Case(UNDECIDED, TagAbsent(), LOOK),
    "away": Case(Preflight(problem=WHY), TagHeld(single()), THROUGH),
    "away, and a wrong password": Case(
        Preflight(problem=WHY), TagUnknown(WHY), THROUGH[:1], Evidence(Stage.ENGINE_AUTH, "", status=401)
    ),
    "away for the engine, too": Case(
        Preflight(problem=WHY), TagUnknown(WHY), THROUGH[:1], EngineFailed("it answers nonsense")
    ),
    "away in the middle": Case(Preflight((HALF,), WHY), TagHeld(single()), THROUGH[1:]),
    # The engine would send the credential there.
    "an unsafe token server": Case(UNSAFE, TagUnknown(UNSAFE.problem), ()),
    "an unsafe token server, and patient": Case(UNSAFE, TagUnknown(UNSAFE.problem), (), patient=True),
    "a token server on a private network": Case(ASTRAY, TagUnknown(ASTRAY.problem), ()),
    "a token server on a private network, and patient": Case(ASTRAY, TagUnknown(ASTRAY.problem), (), patient=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_how_a_tag_is_looked_at(case: Case, pool: ThreadPoolExecutor) -> None:
    world = World(Engine(login_answer=case.login), Registry(preflights={API: (case.preflight,)}))
    (fact,) = gather(world, pool, ONE, patient=case.patient)
    assert fact.tag_now == case.tag
    of_tags = [one for one in world.registry.asked if one.startswith("manifest")]
    assert (*of_tags, *(one for one in world.engine.asked if one != "info")) == case.asked


# ---------------------------------------------------------------------- asking through the engine


@pytest.mark.parametrize(
    ("credential", "login", "learnt"),
    [
        (
            logged_in(),
            LOGGED_IN,
            [(Stage.PING, f"not reachable from here: {WHY}"), (Stage.ENGINE_AUTH, "login succeeded")],
        ),
        (nobody(), LOGGED_IN, [(Stage.PING, f"not reachable from here: {WHY}")]),
        (
            logged_in()._replace(kind=CredentialKind.REGISTRY_TOKEN),
            LOGGED_IN,
            [(Stage.PING, f"not reachable from here: {WHY}")],
        ),
        (
            logged_in(),
            EngineUnreachable("no engine answers"),
            [(Stage.PING, f"not reachable from here: {WHY}"), (Stage.ENGINE_AUTH, "no engine answers")],
        ),
    ],
    ids=["password", "nobody", "registry-token", "no-engine"],
)
def test_the_engine_is_asked_where_only_it_gets_to(
    credential: Credential, login: Scripted[Evidence], learnt: list[tuple[Stage, str]]
) -> None:
    world = World(Engine(login_answer=login), Registry(preflights={API: (Preflight(problem=WHY),)}))
    found = investigate(world.gateways, ref(ONE), credential)
    assert [(item.stage, item.message) for item in found.evidence] == learnt
    assert found.problem == WHY


@pytest.mark.parametrize("preflight", [ACCEPTED, REFUSED, Preflight((HALF,), WHY)])
def test_the_engine_is_not_asked_what_the_registry_said(preflight: Preflight) -> None:
    world = World(registry=Registry(preflights={API: (preflight,)}))
    assert investigate(world.gateways, ref(ONE), logged_in()) == preflight
    assert world.connected == ["registry"]


# ---------------------------------------------------------------------- without an engine

DOWN = EngineUnreachable("no engine answers")
NO_ENGINE = {
    "down": World(engine_down=DOWN),
    "usage": World(engine_down=UsageError("two engines")),
    "nonsense": World(Engine(info_answer=EngineFailed("it answers nonsense"))),
}


@pytest.mark.parametrize("world", NO_ENGINE.values(), ids=NO_ENGINE)
def test_a_patient_one_goes_on_without_an_engine(world: World, pool: ThreadPoolExecutor) -> None:
    request = PushRequest((ref(ONE),))
    collector = FactCollector(request, world.gateways, pool, patient=True)
    (fact,) = collector.collect((Facts(ref(ONE)),))
    assert isinstance(collector.engine_problem, PushsafeError)
    assert (fact.image, fact.engine, fact.preflight, fact.tag_now) == (None, None, ACCEPTED, TagAbsent())


@pytest.mark.parametrize("world", NO_ENGINE.values(), ids=NO_ENGINE)
def test_any_other_one_ends(world: World, pool: ThreadPoolExecutor) -> None:
    with pytest.raises((EngineUnreachable, UsageError, EngineFailed)):
        gather(world, pool, ONE)


def test_with_an_engine_there_is_no_problem_with_it(pool: ThreadPoolExecutor) -> None:
    collector = FactCollector(PushRequest((ref(ONE),)), World().gateways, pool, patient=True)
    collector.collect((Facts(ref(ONE)),))
    assert collector.engine_problem is None


# ---------------------------------------------------------------------- where a classic image comes from

PULLED = f"docker.io/library/base@{sha('e')}"
SOURCE_INDEX = ManifestInfo(sha("e"), OCI_INDEX, (AMD64, ARM64))
PULLED_IMAGE = {ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(PULLED,))}


@pytest.mark.parametrize(
    ("store", "source", "found"),
    [
        (CLASSIC, SOURCE_INDEX, ["PS203"]),
        (CLASSIC, single(), []),
        (CLASSIC, ManifestInfo(sha("e"), OCI_INDEX, (AMD64,)), []),
        (CLASSIC, NOT_FOUND, []),
        (CLASSIC, AWAY, []),
        (CONTAINERD, SOURCE_INDEX, []),
    ],
    ids=["index", "manifest", "index-of-one", "gone", "away", "containerd"],
)
def test_one_platform_of_a_known_index_is_not_pushed_in_silence(
    store: EngineKind, source: ManifestInfo | Evidence | RegistryUnreachable, found: list[str]
) -> None:
    world = World(engine=Engine(store, PULLED_IMAGE), registry=Registry({PULLED: source}))
    report = world.run(ONE, asks=Asks.PREFLIGHT)
    assert codes(report) == found
    assert (f"manifest {PULLED}" in world.registry.asked) == (store is CLASSIC)
    assert pushes(world) == ([] if found else [ONE])


@pytest.mark.parametrize(("answer", "expected"), [(SOURCE_INDEX, SOURCE_INDEX), (NOT_THERE, None), (AWAY, None)])
def test_what_a_digest_names(
    answer: ManifestInfo | Evidence | RegistryUnreachable, expected: ManifestInfo | None, pool: ThreadPoolExecutor
) -> None:
    (fact,) = gather(World(Engine(images=PULLED_IMAGE), Registry({PULLED: answer})), pool, ONE)
    assert fact.pulled_from == (PulledIndex(PULLED, expected) if expected else None)


def test_what_several_tags_were_pulled_from_is_asked_once() -> None:
    images = dict.fromkeys((ONE, TWO, THREE), LocalImage(sha("a"), (AMD64,), repo_digests=(PULLED,)))
    world = World(Engine(CLASSIC, images), registry=Registry({PULLED: SOURCE_INDEX}))
    report = world.run(ONE, TWO, THREE, asks=Asks.PREFLIGHT)
    assert codes(report) == ["PS203"]
    assert all(name in report.findings[0].fix for name in (ONE, TWO, THREE))
    assert world.registry.asked.count(f"manifest {PULLED}") == 1


def test_buildx_is_looked_at_where_it_is_needed() -> None:
    world = World(engine=Engine(CLASSIC, PULLED_IMAGE), registry=Registry({PULLED: SOURCE_INDEX}))
    world.buildx.looked = Buildx(problem="buildx is not installed")
    assert "buildx is not installed" in world.run(ONE, asks=Asks.PREFLIGHT).findings[0].message
    assert world.buildx.asked == ["look"]
    plain = World(Engine(CLASSIC))
    assert exit_code(plain.run(ONE)) is ExitCode.OK
    assert plain.buildx.asked == []


def test_several_platforms_are_refused_by_a_rule_before_the_engine_could_refuse_the_option() -> None:
    world = World(Engine(info_answer=DOCKER_26))
    assert codes(world.run(ONE, platforms=(AMD64, ARM64))) == ["PS203"]
    assert exit_code(world.run(ONE, platforms=(AMD64,))) is ExitCode.USAGE


def test_who_names_the_platform_means_it() -> None:
    world = World(engine=Engine(CLASSIC, PULLED_IMAGE), registry=Registry({PULLED: SOURCE_INDEX}))
    report = world.run(ONE, platforms=(AMD64,))
    assert world.engine.pushed == [(ONE, AMD64)]
    assert f"manifest {PULLED}" not in world.registry.asked
    assert exit_code(report) is ExitCode.OK


OWN = f"registry.test/team/base@{sha('e')}"
"""Where an image was pulled from that goes to the same registry again."""


@dataclass
class Noting(Registry):
    """Notes who asks for what a digest names."""

    as_whom: list[tuple[str, str]] = field(default_factory=list)

    def manifest(self, reference: Reference, credential: Credential, digest: str = "", **how: Any) -> Any:
        if digest:
            self.as_whom.append((reference.registry, credential.username))
        return super().manifest(reference, credential, digest, **how)


@pytest.mark.parametrize(
    ("origin", "asks", "as_whom"),
    [
        (PULLED, Asks.PREFLIGHT, [("docker.io", "")]),
        (PULLED, Asks.LOGIN, []),
        (PULLED, Asks.NOTHING, []),
        (OWN, Asks.PREFLIGHT, [("registry.test", logged_in().username)]),
        (OWN, Asks.LOGIN, [("registry.test", logged_in().username)]),
        (OWN, Asks.NOTHING, []),
    ],
)
@pytest.mark.parametrize("patient", [False, True], ids=["push", "diagnose"])
def test_a_registry_that_the_push_is_not_for_is_told_no_password(
    origin: str, asks: Asks, as_whom: list[tuple[str, str]], patient: bool, pool: ThreadPoolExecutor
) -> None:
    """Nor is its credential helper started."""
    registry = Noting({origin: SOURCE_INDEX})
    world = World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(origin,))}), registry)
    (fact,) = gather(world, pool, ONE, asks=asks, patient=patient)
    assert registry.as_whom == as_whom
    assert set(world.credentials.asked) == {"registry.test"}
    assert fact.pulled_from == (PulledIndex(origin, SOURCE_INDEX) if as_whom else None)


@pytest.mark.parametrize("origin", [PULLED, OWN])
def test_one_platform_for_an_index_is_meant_to_be_one(origin: str, pool: ThreadPoolExecutor) -> None:
    registry = Noting({origin: SOURCE_INDEX})
    image = LocalImage(sha("a"), (AMD64,), repo_digests=(origin,))
    given = Facts(ref(ONE), image=image, staged="app:1", now=NOW)
    (fact,) = FactCollector(PushRequest((ref(ONE),)), World(registry=registry).gateways, pool).collect((given,))
    assert (registry.as_whom, fact.pulled_from) == ([], None)


def test_two_registries_of_one_run_are_asked_as_who_is_logged_in(pool: ThreadPoolExecutor) -> None:
    mirror = "mirror.test/team/app:1"
    images = {ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(f"mirror.test/team/app@{sha('e')}",))}
    registry = Noting()
    gather(World(Engine(images=images), registry), pool, ONE, mirror)
    assert registry.as_whom == [("mirror.test", logged_in().username)]


def test_a_silent_registry_that_the_push_is_not_for_is_hardly_waited_for(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do its threads keep anybody else's questions waiting."""
    over = threading.Event()

    class Silent(Registry):
        def manifest(self, reference: Reference, credential: Credential, digest: str = "", **how: Any) -> Any:
            if digest:
                over.wait(30)
            return super().manifest(reference, credential, digest, **how)

    monkeypatch.setattr(collector, "ORIGIN_WAIT", 0.05)
    pulled = tuple(f"r{number}.test/team/app@{sha('e')}" for number in range(50))
    world = World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,), repo_digests=pulled)}), Silent())
    began = time.monotonic()
    try:
        (fact,) = gather(world, pool, ONE)
    finally:
        over.set()
    assert time.monotonic() - began < 5
    assert (fact.pulled_from, fact.tag_now) == (None, TagAbsent())


@pytest.mark.parametrize("origin", ["no name", "registry.test/team/app", f"APP@{sha('e')}", ""], ids=repr)
def test_an_origin_that_cannot_be_read_is_not_asked_for(origin: str) -> None:
    world = World(Engine(images={ONE: LocalImage(sha("a"), (AMD64,), repo_digests=(origin,))}))
    assert exit_code(world.run(ONE, asks=Asks.PREFLIGHT)) is ExitCode.OK
    assert {one for one in world.registry.asked if one.startswith("manifest")} == {f"manifest {ONE}"}
