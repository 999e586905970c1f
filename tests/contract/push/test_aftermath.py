"""A push that ended with an error after its manifest was taken: the tag tells, and no report says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Preflight, Stage, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.facts import EngineKind, Facts, LocalImage
from pushsafe.model.outcomes import Denied, EngineAnswer, EngineRefused, Failed, NotPushed, Outcome, Pushed, Verified
from pushsafe.model.plan import How
from pushsafe.model.report import Report
from pushsafe.model.request import Asks, TagPolicy
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind
from pushsafe.oci.manifest import DOCKER_MANIFEST, ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.push.aftermath import arrived, is_certain, left, of_others
from pushsafe.push.results import UNPUSHED
from pushsafe.report import human
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import NOT_THERE, Engine, Registry, Scripted, World, pushes
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, ref, sha

API = "registry.test/team/app"
ONE, TWO, LATEST = f"{API}:1", f"{API}:2", f"{API}:latest"
IMAGE, OLD, STRANGE = sha("a"), sha("b"), sha("c")
AWAY = RegistryUnreachable("registry.test: connection refused")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushsafe.push.engine_pusher.PAUSE", 0.0)


# ---------------------------------------------------------------------- what is decided

BROKEN = Failed(Failure(FailureKind.REGISTRY_ERROR, "504 Gateway Time-out"))
READER = Denied(Denial(DenialKind.INSUFFICIENT_PERMISSION, DenialReason.NO_WRITE_PERMISSION, "may not push"))
UNCLEAR = Denied(Denial(DenialKind.UNCLEAR, DenialReason.UNCLEAR, "it refused"))


def held(digest: str) -> TagHeld:
    return TagHeld(ManifestInfo(digest, OCI_MANIFEST))


LEFT: dict[str, tuple[TagState | None, TagState, str]] = {
    # what the tag named before, and names now, and what is said of it; nothing where nothing has arrived
    "as before": (held(OLD), held(OLD), ""),
    "as before nothing": (TagAbsent(), TagAbsent(), ""),
    "gone": (held(OLD), TagAbsent(), ""),
    "something new": (held(OLD), held(STRANGE), f"the tag names {STRANGE} now, which it did not before"),
    "a new tag": (TagAbsent(), held(STRANGE), f"the tag names {STRANGE} now, which it did not before"),
    "nobody looked before": (None, held(STRANGE), f"the tag names {STRANGE} now, from this push or an earlier one"),
    "not known before": (
        TagUnknown("403"),
        held(STRANGE),
        f"the tag names {STRANGE} now, from this push or an earlier",
    ),
    "nobody tells": (held(OLD), TagUnknown("refused"), "it may have arrived; could not check: refused"),
    "nobody ever tells": (None, TagUnknown("refused"), "it may have arrived; could not check: refused"),
}


@pytest.mark.parametrize("outcome", [BROKEN, UNCLEAR], ids=["failed", "denied"])
@pytest.mark.parametrize(("before", "now", "said"), LEFT.values(), ids=LEFT)
def test_what_is_left(before: TagState | None, now: TagState, said: str, outcome: Denied | Failed) -> None:
    found = left(Facts(ref(ONE), tag_now=before), outcome, now)
    assert found.seen.startswith(said)
    assert (found.begun, bool(found.seen)) == (bool(said), bool(said))
    assert of_others(found) == outcome


@pytest.mark.parametrize(
    ("before", "how"),
    [(held(IMAGE), How.ALREADY_THERE), (held(OLD), How.PUSHED), (TagAbsent(), How.PUSHED), (None, How.PUSHED)],
)
def test_what_arrived(before: TagState | None, how: How) -> None:
    fact = Facts(ref(ONE), tag_now=before)
    assert arrived(fact, BROKEN, IMAGE) == Pushed(IMAGE, how=how, despite="504 Gateway Time-out")
    assert arrived(fact, UNCLEAR, IMAGE).despite == "it refused"
    said = UNCLEAR.denial._replace(evidence=(Evidence(Stage.PUSH, "its own words"), Evidence(Stage.PROBE, "", 202)))
    assert arrived(fact, UNCLEAR._replace(denial=said), IMAGE).despite == "its own words"


def test_who_may_not_push_has_not_pushed() -> None:
    assert [is_certain(one) for one in (READER, UNCLEAR, BROKEN)] == [True, False, False]


# ---------------------------------------------------------------------- whole runs through an engine

ERRORS: Mapping[str, Scripted[EngineAnswer]] = {
    words: EngineRefused(Evidence(Stage.PUSH, words))
    for words in (
        "received unexpected HTTP status: 504 Gateway Time-out",
        "received unexpected HTTP status: 500 Internal Server Error",
        "unknown: unexpected status from PUT request to http://r/v2/a/manifests/1: 502 Bad Gateway",
        "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value",
        "error parsing HTTP 400 response body: unexpected end of JSON input",
        "the engine ended the push without naming a digest",
        "unexpected EOF",
        "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "failed to do request: Put http://r/v2/a/manifests/1: read: connection reset by peer",
    )
} | {
    "the engine went away": EngineUnreachable("the engine broke off the push"),
    "the engine failed": EngineFailed("it answers 500"),
}


def stores(now: str, engine: EngineKind) -> dict[str, Scripted[ManifestInfo | Evidence]]:
    """A registry in which tags name an image of an engine's store, by its digest or its config."""
    if engine is CONTAINERD:
        found = ManifestInfo(now, OCI_MANIFEST)
        return {ONE: found, TWO: found, LATEST: found, f"{API}@{now}": found}
    found = ManifestInfo(sha("d"), DOCKER_MANIFEST)
    return {ONE: found, TWO: found, LATEST: found, f"{API}@{sha('d')}": found._replace(config=now)}


def run(
    answer: Scripted[EngineAnswer],
    registry: Registry,
    *given: str,
    store: EngineKind = CONTAINERD,
    image: LocalImage | None = None,
    asks: Asks = Asks.PREFLIGHT,
    platforms: tuple[Platform, ...] = (),
) -> tuple[Report, World]:
    image = image or LocalImage(IMAGE, (AMD64,))
    engine = Engine(store, images=dict.fromkeys(given, image), push_answers={given[0]: answer})
    world = World(engine, registry)
    policy = TagPolicy(moving=("latest",))
    return world.run(*given, policy=policy, asks=asks, platforms=platforms, allowed=("PS207",)), world


@pytest.mark.parametrize("asks", [Asks.PREFLIGHT, Asks.LOGIN], ids=["preflight", "no preflight"])
@pytest.mark.parametrize("store", [CLASSIC, CONTAINERD])
@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
def test_a_tag_that_names_the_image_is_in_place(answer: Scripted[EngineAnswer], store: EngineKind, asks: Asks) -> None:
    report, world = run(answer, Registry(stores(IMAGE, store)), ONE, TWO, LATEST, store=store, asks=asks)
    assert exit_code(report) is ExitCode.OK
    assert set(pushes(world)) == {ONE}, "the others are tagged, and latest moves"
    first = report.results[0].outcome
    assert isinstance(first, Pushed)
    assert first.despite
    assert all(isinstance(result.verification, Verified) for result in report.results)
    text = human.render(report)
    assert f"the push itself ended with an error: {first.despite}" in text
    assert "nothing was pushed" not in text


@pytest.mark.parametrize("store", [CLASSIC, CONTAINERD])
@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
def test_a_tag_that_names_something_new_is_told_of(answer: Scripted[EngineAnswer], store: EngineKind) -> None:
    report, _ = run(answer, Registry(stores(STRANGE, store)), ONE, LATEST, store=store)
    assert exit_code(report) in (ExitCode.FAILED, ExitCode.UNREACHABLE, ExitCode.UNCLEAR)
    text = human.render(report)
    assert f"the tag names {STRANGE if store is CONTAINERD else sha('d')} now, which it did not before" in text
    assert "nothing was pushed" not in text
    assert isinstance(report.results[1].outcome, NotPushed | Failed | Denied)


@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
def test_a_tag_that_nobody_can_ask_for_may_have_arrived(answer: Scripted[EngineAnswer]) -> None:
    report, _ = run(answer, Registry({ONE: AWAY}), ONE)
    text = human.render(report)
    assert "it may have arrived; could not check: registry.test: connection refused" in text
    assert "nothing was pushed" not in text
    assert "no push completed" in text


@pytest.mark.parametrize("now", [NOT_THERE, ManifestInfo(OLD, OCI_MANIFEST)], ids=["absent", "held"])
def test_a_tag_that_is_as_it_was_is_a_failure_and_nothing_more(now: ManifestInfo | Evidence) -> None:
    words = EngineRefused(Evidence(Stage.PUSH, "received unexpected HTTP status: 500 Internal Server Error"))
    report, _ = run(words, Registry({ONE: now}, held={ONE: now}), ONE)
    assert exit_code(report) is ExitCode.FAILED
    assert "nothing was pushed" in human.render(report)
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.begun, outcome.seen) == (False, "")


def test_a_reader_has_pushed_nothing_and_nobody_looks() -> None:
    refused = Preflight((Evidence(Stage.PROBE, "", status=403, sent=True),))
    registry = Registry(stores(IMAGE, CONTAINERD), preflights={API: (refused,)})
    denied = EngineRefused(Evidence(Stage.PUSH, "denied: requested access to the resource is denied"))
    report, world = run(denied, registry, ONE, asks=Asks.LOGIN)
    assert exit_code(report) is ExitCode.INSUFFICIENT_PERMISSION
    assert f"manifest {ONE}" not in world.registry.asked


CHILD = ManifestInfo(sha("1"), OCI_MANIFEST, config=sha("e"))
WHOLE = LocalImage(IMAGE, (AMD64, ARM64), children=(sha("1"), sha("2")))
PLATFORMS: dict[str, tuple[ManifestInfo, Platform | None, bool]] = {
    # what the tag names after a push of linux/amd64 out of an index, its platform, and whether that is what was pushed
    "the child": (CHILD, AMD64, True),
    "another child": (CHILD, ARM64, False),
    "a child of an unknown platform": (CHILD, None, False),
    "the index": (ManifestInfo(IMAGE, OCI_INDEX, (AMD64, ARM64), (sha("1"), sha("2"))), None, False),
    "another image": (ManifestInfo(STRANGE, OCI_MANIFEST), None, False),
}


@pytest.mark.parametrize(("now", "platform", "ours"), PLATFORMS.values(), ids=PLATFORMS)
def test_one_platform_of_an_index(now: ManifestInfo, platform: Platform | None, ours: bool) -> None:
    configs = {sha("e"): ImageConfig(platform)}
    registry = Registry({ONE: now, f"{API}@{now.digest}": now}, configs=configs)
    answer = EngineRefused(Evidence(Stage.PUSH, "received unexpected HTTP status: 500 Internal Server Error"))
    report, _ = run(answer, registry, ONE, image=WHOLE, platforms=(AMD64,))
    assert isinstance(report.results[0].outcome, Pushed) is ours


# ---------------------------------------------------------------------- what no tag's own failure is


def unsent(words: str) -> EngineRefused:
    return EngineRefused(Evidence(Stage.PUSH, words), unsent=True)


def outcomes(report: Report) -> list[type[Outcome]]:
    return [type(result.outcome) for result in report.results]


@pytest.mark.parametrize(
    ("answer", "store", "pushed", "expected"),
    [
        (unsent("error parsing HTTP 404 response"), CLASSIC, [ONE], [Failed, NotPushed, NotPushed]),
        (unsent("error parsing HTTP 404 response"), CONTAINERD, [ONE, TWO], [Failed, Pushed, NotPushed]),
        (
            EngineRefused(Evidence(Stage.PUSH, "error parsing HTTP 404 response")),
            CLASSIC,
            [ONE, TWO],
            [Failed, Pushed, NotPushed],
        ),
    ],
    ids=["a layer", "a layer as the other store tells it", "the manifest"],
)
def test_a_layer_fails_for_every_tag(
    answer: EngineRefused, store: EngineKind, pushed: list[str], expected: list[type[Outcome]]
) -> None:
    report, world = run(answer, Registry({ONE: NOT_THERE}), ONE, TWO, LATEST, store=store)
    assert (pushes(world), outcomes(report)) == (pushed, expected)
    if pushed == [ONE]:
        second = report.results[1].outcome
        assert isinstance(second, NotPushed)
        assert second.why == "the same image could not be sent there under '1': error parsing HTTP 404 response"
        assert report.results[1].verification == UNPUSHED
        assert world.registry.asked.count(f"manifest {ONE}") == 1, "only before the push"
        assert world.registry.asked.count(f"manifest {ONE}") == 1, "no manifest was put, so nobody looks for one"
        assert exit_code(report) is ExitCode.FAILED
