"""A plan carried out between fake gateways: who pushes, who is tagged, what goes last, what a failure means."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.errors import ProxyAnswers, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import LocalImage
from pushsafe.model.outcomes import (
    Denied,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    Failed,
    Layers,
    Mismatch,
    Missing,
    NotChecked,
    NotPushed,
    Pushed,
    Verified,
)
from pushsafe.model.plan import How
from pushsafe.model.report import Report
from pushsafe.model.request import Asks, TagPolicy
from pushsafe.model.verdicts import FailureKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.push.executor import LANES, finish
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import (
    DIGEST,
    NOT_THERE,
    Engine,
    Observed,
    Registry,
    Scripted,
    World,
    accepted,
    kinds,
    pushes,
    single,
)
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, said, sha

API, WEB, OTHER = "registry.test/team/app", "registry.test/team/web", "other.test/team/app"
ONE, TWO, THREE, LATEST = (f"{API}:{tag}" for tag in ("1", "2", "3", "latest"))
AWAY = RegistryUnreachable("https://registry.test: connection refused")
PROXYS = ProxyAnswers("http://registry.test: what answers through the proxy sends status 502")
POLICY = TagPolicy(moving=("latest", "edge"))
TAGGED = Pushed(DIGEST, None, How.TAGGED)
PUSHED = Pushed(DIGEST, Layers(reused=1))


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.push.engine_pusher.PAUSE", 0.0)


def push(world: World, *given: str, asks: Asks = Asks.PREFLIGHT, retries: int = 3, push_each: bool = False) -> Report:
    return world.run(*given, asks=asks, policy=POLICY, retries=retries, push_each=push_each)


def refused(words: str) -> EngineRefused:
    return EngineRefused(said(words))


def how(report: Report) -> list[str]:
    """How each tag got there, or the kind of what came of it."""
    found = [result.outcome for result in report.results]
    return [one.how.value if isinstance(one, Pushed) else type(one).__name__ for one in found]


def answered(status: int, code: str = "") -> Evidence:
    return Evidence(Stage.PUSH, "no", status=status, code=code)


# ---------------------------------------------------------------------- the content once


def test_ten_tags_are_one_push_and_nine_manifests() -> None:
    world = World()
    names = [f"{API}:{number}" for number in range(10)]
    report = push(world, *names)
    assert pushes(world) == [f"{API}:0"]
    assert sorted(world.registry.tagged) == names[1:]
    assert world.registry.asked.count(f"content {API}@{DIGEST}") == 1
    assert [result.outcome for result in report.results] == [PUSHED, *[TAGGED] * 9]
    assert all(isinstance(result.verification, Verified) for result in report.results)
    assert set(world.registry.retry_policy) == {3}
    assert exit_code(report) is ExitCode.OK


def test_manifests_are_put_side_by_side_and_read_back_after_the_last() -> None:
    world, meeting = World(), threading.Barrier(9)

    def put() -> Evidence:
        meeting.wait(10)
        return answered(201)

    names = [f"{API}:{number}" for number in range(10)]
    world.registry = Registry(puts=dict.fromkeys(names, put))
    assert exit_code(push(world, *names)) is ExitCode.OK
    first_read = next(
        n for n, one in enumerate(world.registry.asked) if one in [f"manifest {x}" for x in names[1:]] and n > 20
    )
    last_put = max(n for n, one in enumerate(world.registry.asked) if one.startswith("put "))
    assert first_read > last_put


def test_different_images_have_a_source_each() -> None:
    images = {ONE: sha("a"), TWO: sha("b"), THREE: sha("a")}
    world = World(Engine(images={name: LocalImage(digest, (AMD64,)) for name, digest in images.items()}))
    report = push(world, ONE, TWO, THREE)
    assert pushes(world) == [ONE, TWO]
    assert how(report) == ["pushed", "pushed", "tagged"]


def test_push_each_leaves_everything_to_the_engine() -> None:
    world = World(Engine(CONTAINERD), Registry(held={ONE: ManifestInfo(sha("a"), OCI_MANIFEST)}))
    report = push(world, ONE, TWO, LATEST, push_each=True)
    assert pushes(world) == [ONE, TWO, LATEST]
    assert world.registry.tagged == []
    assert how(report) == ["pushed"] * 3


def test_push_each_says_that_it_pushed_what_was_there() -> None:
    report = push(World(registry=Registry(held={ONE: single()})), ONE, push_each=True)
    assert [result.outcome for result in report.results] == [PUSHED]


# ---------------------------------------------------------------------- side by side, and in turn


def test_registries_are_pushed_to_side_by_side() -> None:
    names = [f"registry{number}.test/app:1" for number in range(LANES)]
    meeting = threading.Barrier(LANES)

    def together() -> EngineAnswer:
        meeting.wait(10)
        return accepted()

    assert exit_code(push(World(Engine(push_answers=dict.fromkeys(names, together))), *names)) is ExitCode.OK


def test_more_registries_than_that_all_have_their_turn() -> None:
    names = [f"registry{number}.test/app:{tag}" for number in range(3 * LANES) for tag in (1, 2)]
    report = push(World(), *names)
    assert how(report) == ["pushed", "tagged"] * 3 * LANES
    assert exit_code(report) is ExitCode.OK


def test_repositories_of_a_registry_are_pushed_in_turn_and_tagged_beside_the_next_push() -> None:
    """Layers can only be mounted from where they are; the tags of one repository need not wait for the next one."""
    tagged = threading.Event()

    def put() -> Evidence:
        tagged.set()
        return answered(201)

    def second() -> EngineAnswer:
        assert tagged.wait(10), "the second repository was pushed before the first one's tag was put"
        return accepted()

    world = World(Engine(push_answers={f"{WEB}:1": second}), Registry(puts={TWO: put}))
    report = push(world, ONE, f"{WEB}:1", TWO)
    assert pushes(world) == [ONE, f"{WEB}:1"]
    assert how(report) == ["pushed", "pushed", "tagged"]


# ---------------------------------------------------------------------- what is there already


def test_what_is_there_is_not_pushed_but_read_once_more() -> None:
    there = ManifestInfo(sha("a"), OCI_MANIFEST)
    world = World(Engine(CONTAINERD), Registry(held={ONE: there}))
    report = push(world, ONE, TWO)
    assert pushes(world) == []
    assert world.registry.tagged == [TWO]
    assert [result.outcome for result in report.results] == [
        Pushed(sha("a"), None, How.ALREADY_THERE),
        Pushed(sha("a"), None, How.TAGGED),
    ]
    assert world.registry.asked.count(f"manifest {ONE}") == 2
    assert isinstance(report.results[0].verification, Verified)


@pytest.mark.parametrize("since", [ManifestInfo(sha("0"), OCI_MANIFEST), NOT_THERE], ids=["moved", "deleted"])
def test_what_has_changed_since_it_was_looked_at_is_somebody_elses_to_change(since: ManifestInfo | Evidence) -> None:
    """Pushing it now would replace what no rule has looked at; and moving tags stay where they are."""
    looks = iter([ManifestInfo(sha("a"), OCI_MANIFEST), since])
    images = dict.fromkeys((ONE, LATEST), LocalImage(sha("a"), (AMD64,)))
    world = World(Engine(CONTAINERD, images=images), Registry(held={ONE: lambda: next(looks)}))
    report = push(world, ONE, LATEST)
    assert (pushes(world), world.registry.tagged) == ([], [])
    assert how(report) == ["already-there", "NotPushed"]
    assert isinstance(report.results[0].verification, Mismatch | Missing)
    assert exit_code(report) is ExitCode.NOT_CONFIRMED


def test_what_names_the_digest_of_the_push_needs_no_manifest() -> None:
    """The classic store knows its manifest's digest only when it has pushed."""
    world = World(registry=Registry(held={ONE: single(), TWO: single()}))
    report = push(world, ONE, TWO, THREE)
    assert pushes(world) == [ONE]
    assert world.registry.tagged == [THREE]
    assert [result.outcome for result in report.results] == [
        Pushed(DIGEST, Layers(reused=1), How.ALREADY_THERE),
        Pushed(DIGEST, None, How.ALREADY_THERE),
        TAGGED,
    ]


def test_the_manifests_of_an_index_are_looked_for_once() -> None:
    index = ManifestInfo(DIGEST, OCI_INDEX, (AMD64, ARM64), (sha("1"), sha("2")))
    children = {f"{API}@{sha(name)}": ManifestInfo(sha(name), OCI_MANIFEST) for name in "12"}
    image = LocalImage(DIGEST, (AMD64, ARM64), children=index.children)
    names = [ONE, TWO, THREE]
    engine = Engine(CONTAINERD, images=dict.fromkeys(names, image))
    world = World(engine, Registry({**dict.fromkeys(names, index), **children}))
    report = push(world, *names)
    assert [result.verification for result in report.results] == [Verified(index, "registry")] * 3
    assert sum(one.startswith(f"manifest {API}@") for one in world.registry.asked) == 2


# ---------------------------------------------------------------------- where the direct way is closed

MISMATCH = answered(201, "DIGEST_MISMATCH")


def iter_of(first: ManifestInfo) -> Callable[[], ManifestInfo]:
    """What a tag names at the first look, and then what the engine has pushed."""
    looks = iter([first])
    return lambda: next(looks, single())


@pytest.mark.parametrize("said", [MISMATCH, answered(500), answered(400)], ids=["mismatch", "500", "400"])
def test_a_tag_that_names_what_was_put_is_in_place_whatever_the_registry_says(said: Evidence) -> None:
    world = World(registry=Registry(puts={TWO: said}))
    world.registry.tagged.append(TWO)  # it shows it from the outset, as it does not tell before
    report = push(world, ONE, TWO, asks=Asks.LOGIN)
    assert (pushes(world), how(report), exit_code(report)) == ([ONE], ["pushed", "tagged"], ExitCode.OK)


@pytest.mark.parametrize(
    ("registry", "because"),
    [
        (Registry(puts={TWO: AWAY}), AWAY.message),
        (Registry({ONE: PROXYS, TWO: PROXYS}, puts={TWO: PROXYS}), PROXYS.message),
        (Registry(puts={TWO: answered(403, "DENIED")}), "the registry answers 403; DENIED; no to the manifest"),
        (Registry(puts={TWO: answered(500)}), "the registry answers 500; no to the manifest"),
        (
            Registry({TWO: iter_of(ManifestInfo(sha("0"), OCI_MANIFEST))}, puts={TWO: MISMATCH}),
            "the registry answers 201; DIGEST_MISMATCH; no to the",
        ),
        (Registry(contents={f"{API}@{DIGEST}": AWAY}), AWAY.message),
        (Registry(contents={f"{API}@{DIGEST}": answered(404)}), "the registry answers 404; no for the manifest"),
    ],
    ids=["away", "by-proxy", "refused", "in-trouble", "another-digest", "content-away", "no-content"],
)
def test_the_engine_pushes_what_cannot_be_tagged(registry: Registry, because: str) -> None:
    world = World(registry=registry)
    report = push(world, ONE, TWO)
    assert pushes(world) == [ONE, TWO]
    assert how(report) == ["pushed", "pushed"]
    outcome = report.results[1].outcome
    assert isinstance(outcome, Pushed)
    assert outcome.because.startswith(because)
    assert isinstance(report.results[1].verification, Verified)
    assert exit_code(report) is ExitCode.OK


def test_one_that_cannot_be_tagged_keeps_no_other_from_it() -> None:
    world = World(registry=Registry(puts={TWO: answered(403)}))
    assert how(push(world, ONE, TWO, THREE)) == ["pushed", "pushed", "tagged"]


def test_a_registry_that_only_the_engine_reaches_is_not_tried() -> None:
    engine = Engine(distribution_answer=ManifestInfo(sha("0"), OCI_MANIFEST))
    world = World(engine, Registry(preflights={API: (Preflight(problem=AWAY.message),)}))
    report = push(world, ONE, TWO)
    assert pushes(world) == [ONE, TWO]
    assert not [one for one in world.registry.asked if one.startswith(("put", "content"))]
    assert [result.outcome for result in report.results] == [PUSHED, PUSHED]


def test_without_a_preflight_it_is_found_out() -> None:
    world = World(registry=Registry({ONE: AWAY, TWO: AWAY}, contents={f"{API}@{DIGEST}": AWAY}))
    report = push(world, ONE, TWO, asks=Asks.LOGIN)
    assert pushes(world) == [ONE, TWO]
    assert (how(report), exit_code(report)) == (["pushed", "pushed"], ExitCode.OK)


# ---------------------------------------------------------------------- moving tags


def test_moving_tags_go_last() -> None:
    world = World()
    read: list[str] = []

    def look(name: str) -> Callable[[], ManifestInfo]:
        def answer() -> ManifestInfo:
            read.append(name)
            return single()

        return answer

    names = [LATEST, ONE, f"{OTHER}:edge", f"{WEB}:1"]
    world.registry = Registry({name: look(name) for name in names})
    report = push(world, *names)
    assert pushes(world) == [ONE, f"{WEB}:1", f"{OTHER}:edge"]
    assert how(report) == ["tagged", "pushed", "pushed", "pushed"]
    assert set(read[:2]) == {ONE, f"{WEB}:1"}
    assert world.registry.asked.index(f"put {LATEST}") > world.registry.asked.index(f"manifest {WEB}:1")


WITHHELD: Sequence[tuple[str, World, str]] = [
    ("a push that failed", World(Engine(push_answers={f"{OTHER}:1": refused("it is broken")})), f"{OTHER}:1"),
    ("a tag that is not there", World(registry=Registry({TWO: NOT_THERE})), TWO),
    ("a tag that could not be read", World(Engine(distribution_answer=NOT_THERE), Registry({TWO: answered(403)})), TWO),
]


@pytest.mark.parametrize(("world", "late"), [row[1:] for row in WITHHELD], ids=[row[0] for row in WITHHELD])
def test_they_stay_where_they_are_if_anything_else_is_not_in_place(world: World, late: str) -> None:
    report = push(world, ONE, TWO, LATEST, f"{OTHER}:1")
    assert report.results[2].outcome == NotPushed(f"it moves only when every other tag is in place, and {late} is not")
    assert LATEST not in [*pushes(world), *world.registry.tagged]
    assert exit_code(report) is not ExitCode.OK
    assert LATEST in [str(result.reference) for result in world.observer.results]


# ---------------------------------------------------------------------- a source that fails


READER = Preflight((Evidence(Stage.PROBE, "", status=403, sent=True),))
DENIED = "denied: requested access to the resource is denied"


@pytest.mark.parametrize(
    ("answer", "again", "pushed", "came_to"),
    [
        (refused("tag invalid: the tag is immutable"), None, [ONE, TWO], ["Failed", "pushed", "tagged"]),
        (refused(DENIED), None, [ONE, TWO], ["Denied", "pushed", "tagged"]),
        (refused(DENIED), READER, [ONE], ["Denied", "Denied", "Denied"]),
        (refused("no basic auth credentials"), None, [ONE], ["Denied", "Denied", "Denied"]),
        (refused("name unknown: repository not known"), None, [ONE], ["Failed", "Failed", "Failed"]),
        (refused("dial tcp: lookup registry.test: no such host"), None, [ONE], ["Failed", "Failed", "Failed"]),
        (refused("too many failed login attempts"), None, [ONE], ["Failed", "Failed", "Failed"]),
        (EngineReduced(sha("1"), sha("2"), "linux/amd64"), None, [ONE], ["Failed", "NotPushed", "NotPushed"]),
    ],
    ids=[
        *("immutable", "denied-for-the-tag", "no-right", "not-logged-in", "no-repository", "no-way-there"),
        *("rate-limited", "reduced"),
    ],
)
def test_what_a_failure_of_the_first_means_for_the_others(
    answer: EngineAnswer, again: Preflight | None, pushed: list[str], came_to: list[str]
) -> None:
    accepts = Preflight((Evidence(Stage.PROBE, "", status=202, sent=True),))
    registry = Registry(preflights={API: (accepts, again or accepts)})
    world = World(Engine(push_answers={ONE: answer}), registry)
    report = push(world, ONE, TWO, THREE)
    assert (pushes(world), how(report)) == (pushed, came_to)
    assert len(world.observer.results) == 3


def test_what_nobody_may_do_says_nothing_of_the_account() -> None:
    """A registry whose `/v2/` is open: the first upload was tried as nobody, the second one with the credential."""
    answers = (Evidence(Stage.PROBE, "", status=401, sent=False), Evidence(Stage.PROBE, "", status=202, sent=True))
    registry = Registry(preflights={API: (Preflight(answers),)})
    world = World(Engine(CONTAINERD, push_answers={ONE: refused(DENIED)}), registry)
    assert how(push(world, ONE, TWO, THREE)) == ["Denied", "pushed", "tagged"]


# ---------------------------------------------------------------------- a registry that is busy


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, FailureKind.RATE_LIMITED), (502, FailureKind.REGISTRY_ERROR), (503, FailureKind.REGISTRY_ERROR)],
)
@pytest.mark.parametrize("where", ["the manifest", "the tag"])
def test_a_registry_that_stays_busy_is_spared_the_engines_pushes(where: str, status: int, kind: FailureKind) -> None:
    busy = answered(status)
    registry = Registry(contents={f"{API}@{DIGEST}": busy}) if where == "the manifest" else Registry(puts={TWO: busy})
    world = World(registry=registry)
    report = push(world, ONE, TWO)
    assert pushes(world) == [ONE]
    assert how(report) == ["pushed", "Failed"]
    outcome = report.results[1].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.message) == (
        kind,
        f"the registry was busy at every try: {status}; no",
    )


@pytest.mark.parametrize("answer", [AWAY, answered(500)], ids=["dropped", "in-trouble"])
def test_a_manifest_that_was_put_though_its_answer_was_lost_is_there(answer: Scripted[Evidence]) -> None:
    world = World(registry=Registry(held={TWO: twice_held(NOT_THERE, single())}, puts={TWO: answer}))
    report = push(world, ONE, TWO)
    assert pushes(world) == [ONE]
    assert [result.outcome for result in report.results] == [PUSHED, TAGGED]
    assert exit_code(report) is ExitCode.OK


def twice_held(first: ManifestInfo | Evidence, then: ManifestInfo | Evidence) -> Callable[[], ManifestInfo | Evidence]:
    looks = iter([first])
    return lambda: next(looks, then)


# ---------------------------------------------------------------------- once more


PASSING = [
    'Put "http://registry.test/v2/team/app/blobs/uploads/1": EOF',
    'Head "http://registry.test/v2/": read tcp 1.2.3.4:5->6.7.8.9:80: read: connection reset by peer',
    "received unexpected HTTP status: 503 Service Unavailable",
    "unexpected status from PUT request to http://registry.test/v2/team/app/blobs/uploads/1: 502 Bad Gateway",
    "toomanyrequests: retry-after: 1s, allowed: 2000/minute",
    "unknown: unexpected status from POST request to http://registry.test/v2/: 429 Too Many Requests",
]
LASTING = [
    DENIED,
    "unauthorized: authentication required",
    "received unexpected HTTP status: 500 Internal Server Error",
    'Get "http://registry.test/v2/": dial tcp 1.2.3.4:80: connect: connection refused',
    "x509: certificate signed by unknown authority",
    "tag invalid: the tag is immutable",
    "name unknown: repository EOF not known",
]


def twice(first: EngineAnswer, then: EngineAnswer) -> Scripted[EngineAnswer]:
    answers = iter([first, then])
    return lambda: next(answers)


@pytest.mark.parametrize("words", PASSING)
def test_the_engine_pushes_once_more_what_may_have_passed(words: str) -> None:
    world = World(Engine(push_answers={ONE: twice(refused(words), accepted())}))
    report = push(world, ONE)
    assert pushes(world) == [ONE, ONE]
    assert (how(report), exit_code(report)) == (["pushed"], ExitCode.OK)
    (told,) = [one for one in world.observer.told if one.startswith("waiting")]
    assert told in (
        "waiting registry.test: dropped the engine's connection",
        f"waiting registry.test: told the engine: {words}",
    )


@pytest.mark.parametrize("words", PASSING)
def test_only_once(words: str) -> None:
    world = World(Engine(push_answers={ONE: refused(words)}))
    report = push(world, ONE)
    assert pushes(world) == [ONE, ONE]
    assert how(report) == ["Failed"]


@pytest.mark.parametrize(("words", "retries"), [*((words, 3) for words in LASTING), *((words, 0) for words in PASSING)])
def test_never_a_refusal_nor_where_the_user_wants_none(words: str, retries: int) -> None:
    world = World(Engine(push_answers={ONE: refused(words)}))
    report = push(world, ONE, retries=retries)
    assert pushes(world) == [ONE]
    assert isinstance(report.results[0].outcome, Failed | Denied)
    assert not [one for one in world.observer.told if one.startswith("waiting")]


# ---------------------------------------------------------------------- a registry that dies


def test_what_cannot_be_reached_any_more_is_not_tried_tag_after_tag() -> None:
    """Every tag has its own result, and each repository is asked for once more before it is given up."""
    dead = threading.Event()

    def dies() -> EngineAnswer:
        dead.set()
        return refused('Patch "http://registry.test/v2/team/web/blobs/uploads/1": EOF')

    def look() -> ManifestInfo | Evidence:
        if dead.is_set():
            raise AWAY
        return NOT_THERE

    names = [f"registry.test/team/{app}:{tag}" for app in ("app", "web", "lib") for tag in ("1", "2", "latest")]
    alive = [f"{OTHER}:{tag}" for tag in ("1", "2", "latest")]
    engine = Engine(push_answers={f"{WEB}:1": dies})
    world = World(engine, Registry(held=dict.fromkeys(names, look)))
    report = push(world, *names, *alive)
    assert pushes(world).count(f"{WEB}:1") == 2  # once more, for the connection was dropped
    assert "registry.test/team/lib:1" not in pushes(world)
    assert how(report) == [
        *["pushed", "tagged", "NotPushed"],
        *["Failed", "Failed", "NotPushed"],
        *["Failed", "Failed", "NotPushed"],
        *["pushed", "tagged", "NotPushed"],
    ]
    of_web, of_lib = report.results[3].outcome, report.results[6].outcome
    assert isinstance(of_web, Failed)
    assert isinstance(of_lib, Failed)
    assert (of_web.failure.kind, of_lib.failure.kind) == (FailureKind.NETWORK, FailureKind.NETWORK)
    assert of_lib.failure.message == f"registry.test does not answer any more: {AWAY.message}"
    assert exit_code(report) is ExitCode.UNREACHABLE


def test_a_registry_that_is_back_is_pushed_to() -> None:
    world = World(Engine(push_answers={ONE: refused("received unexpected HTTP status: 500 Internal Server Error")}))
    report = push(world, ONE, f"{WEB}:1", retries=0)
    assert how(report) == ["Failed", "pushed"]


def test_tags_whose_registry_dies_after_the_push_are_tried_once_by_the_engine() -> None:
    gone = refused('Get "http://registry.test/v2/": dial tcp 1.2.3.4:80: connect: connection refused')
    looks = dict.fromkeys((TWO, THREE), AWAY)
    asked = {TWO: iter([NOT_THERE]), THREE: iter([NOT_THERE])}

    def look(name: str) -> Callable[[], ManifestInfo | Evidence]:
        def answer() -> ManifestInfo | Evidence:
            found = next(asked[name], None)
            if found is None:
                raise AWAY
            return found

        return answer

    registry = Registry(held={TWO: look(TWO), THREE: look(THREE)}, puts=looks)
    world = World(Engine(push_answers=dict.fromkeys((TWO, THREE), gone)), registry)
    report = push(world, ONE, TWO, THREE)
    assert pushes(world) in ([ONE, TWO], [ONE, THREE])
    assert how(report) == ["pushed", "Failed", "Failed"]
    assert isinstance(report.results[0].verification, Verified)


# ---------------------------------------------------------------------- interrupted


def test_an_interruption_ends_a_push_at_its_next_word() -> None:
    """The request of a push that nobody waits for any more is closed, which makes the engine give it up."""
    world, over = World(), threading.Event()
    ended: list[BaseException] = []

    class Endless(Engine):
        def push(self, reference, credential, platform, on_layer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if str(reference) == TWO:
                raise KeyboardInterrupt
            over.wait(10)
            try:
                return super().push(reference, credential, platform, on_layer)
            except BaseException as error:
                ended.append(error)
                raise

    world.engine = Endless()
    report = push(world, f"{OTHER}:1", TWO)
    over.set()
    for thread in threading.enumerate():
        if thread.name.startswith("pushsafe-push"):
            thread.join(10)
    assert report.interrupted
    cut = NotPushed("cut off while it was being pushed; the registry may hold it", begun=True)
    assert [result.outcome for result in report.results] == [cut, cut]
    assert [type(error).__name__ for error in ended] == ["Stopped"]
    assert not [one for one in world.observer.told if one.startswith("finished")]


def test_an_interruption_puts_no_further_tag() -> None:
    """A signal, which reaches the main thread while others put tags; one tag is read back slowly all the while."""
    names = [f"{API}:{number}" for number in range(500)]
    over = threading.Event()

    def interrupt() -> Evidence:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return answered(201)

    def slow() -> Evidence:
        over.wait(0.02)
        return answered(201)

    def late() -> ManifestInfo:
        over.wait(10)
        return single()

    registry = Registry({names[0]: late}, puts={**dict.fromkeys(names, slow), names[40]: interrupt})
    world = World(registry=registry)
    report = push(world, *names)
    over.set()
    assert report.interrupted
    put = {name for name in names[1:] if f"put {name}" in world.registry.asked}
    assert len(put) < 200
    untouched = [result.outcome for result in report.results[1:] if str(result.reference) not in put]
    assert set(untouched) == {NotPushed("interrupted")}


def test_an_interruption_keeps_what_was_tagged() -> None:
    world = World(registry=Registry({TWO: KeyboardInterrupt()}))
    report = push(world, ONE, TWO, THREE)
    assert report.interrupted
    assert how(report) == ["pushed", "tagged", "tagged"]
    assert isinstance(report.results[1].verification, NotChecked)
    assert isinstance(report.results[0].verification, Verified)


# ---------------------------------------------------------------------- what is not confirmed


@pytest.mark.parametrize(
    ("found", "verification"),
    [(NOT_THERE, Missing(TWO)), (ManifestInfo(sha("0"), OCI_MANIFEST), Mismatch(DIGEST, sha("0")))],
    ids=["missing", "mismatch"],
)
def test_a_tag_that_the_registry_does_not_show_is_no_success(
    found: ManifestInfo | Evidence, verification: Missing | Mismatch
) -> None:
    report = push(World(registry=Registry({TWO: found})), ONE, TWO)
    assert (kinds(report), report.results[1].verification) == (["Pushed", "Pushed"], verification)
    assert exit_code(report) is ExitCode.NOT_CONFIRMED


def test_what_a_shutdown_has_cancelled_is_waited_for_by_nobody() -> None:
    busy, ended = threading.Event(), threading.Event()
    pool = ThreadPoolExecutor(1)
    work: list[Future[Any]] = [pool.submit(busy.wait, 10), pool.submit(int)]

    def wait() -> None:
        with suppress(CancelledError):
            finish(work)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    pool.shutdown(wait=False, cancel_futures=True)
    busy.set()
    assert ended.wait(5)


def test_observers_are_told_of_every_tag_once() -> None:
    world = World(observer=Observed())
    push(world, ONE, TWO, LATEST, f"{WEB}:1", ONE)
    finished = sorted(one for one in world.observer.told if one.startswith("finished"))
    assert finished == sorted(f"finished {name}" for name in (ONE, TWO, LATEST, f"{WEB}:1"))
    assert world.observer.told[1] == f"planned {ONE} {TWO} {f'{WEB}:1'} {LATEST}"
