"""A build by buildx: what is known of it beforehand, every tag read back, and what became of each where it failed."""

from __future__ import annotations

import pytest

from pushsafe.engine.kinds import CLASSIC
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import Builder, Buildx
from pushsafe.model.outcomes import BuildFailed, Built, Denied, Failed, Mismatch, Missing, NotPushed, Pushed, Verified
from pushsafe.model.report import Report
from pushsafe.model.request import Asks, Build, Target
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.report.exit_codes import exit_code
from pushsafe.report.human import render
from pushsafe.rules.buildx_commands import INSTALL
from pushsafe.sources.buildx.build_output import read_text
from tests.fakes.gateways import (
    ACCEPTED,
    BUILDX,
    DIGEST,
    NOT_THERE,
    BuildxCommand,
    Engine,
    Registry,
    World,
    codes,
    kinds,
    single,
)
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, nobody, ref, sha

APP, LATEST, WEB = "registry.test/team/app:1", "registry.test/team/app:latest", "registry.test/team/web:1"
BOTH = (AMD64, ARM64)
INDEX = ManifestInfo(DIGEST, OCI_INDEX, BOTH, (sha("1"), sha("2")))
LOCKED = Preflight(
    (
        Evidence(Stage.PING, "", 401, challenge="Basic", sent=False),
        Evidence(Stage.PROBE, "denied", 403, "DENIED", sent=True),
    )
)


def build(*tags: str, platforms: tuple[Platform, ...] = (), builder: str = "") -> Build:
    return Build("build", ("-t", *tags, "."), (Target(tuple(map(ref, tags)), platforms),), builder)


def bake(**targets: str) -> Build:
    return Build("bake", (), tuple(Target((ref(tag),), (), name) for name, tag in targets.items()))


class Pushing(BuildxCommand):
    """A build that pushes its tags before it ends."""

    def __init__(self, world: World, answer: Built | BuildFailed, *tags: str) -> None:
        super().__init__(answer=answer)
        self._world, self._tags = world, tags

    def run(self, build: Build) -> Built | BuildFailed:
        self._world.engine.pushed += [(tag, None) for tag in self._tags]
        answer = super().run(build)
        assert isinstance(answer, Built | BuildFailed)
        return answer


def world(
    answer: Built | BuildFailed, *pushed: str, registry: Registry | None = None, looked: Buildx = BUILDX
) -> World:
    found = World(registry=registry or Registry())
    found.buildx = Pushing(found, answer, *pushed)
    found.buildx.looked = looked
    return found


def run(
    found: World, what: Build, asks: Asks = Asks.PREFLIGHT, *, pushes: bool = True, planned: bool = False
) -> Report:
    tags = (tag for target in what.targets for tag in target.references)
    return found.run(*tags, origin=what, asks=asks, pushes=pushes, planned=planned)


# ---------------------------------------------------------------------- built


def test_every_tag_is_verified() -> None:
    registry = Registry(
        manifests={
            APP: INDEX,
            LATEST: INDEX,
            **{f"registry.test/team/app@{c}": ManifestInfo(c, OCI_MANIFEST) for c in INDEX.children},
        }
    )
    found = world(Built((("", DIGEST),)), APP, LATEST, registry=registry)
    report = run(found, build(APP, LATEST, platforms=BOTH))
    assert exit_code(report) == 0
    for result in report.results:
        assert result.outcome == Pushed(DIGEST)
        assert isinstance(result.verification, Verified)
        assert result.verification.manifest.platforms == BOTH
    assert found.engine.pushed == [(APP, None), (LATEST, None)], "by buildx"
    assert found.engine.inspected == [], "no engine holds it"
    asked = [one for one in registry.asked if one.startswith("manifest registry.test/team/app@")]
    assert len(asked) == 2, "what the index names is looked at once, not once a tag"
    assert [name for name, _ in report.timings] == ["gather", "build", "verify", "total"]


def test_a_platform_that_is_missing() -> None:
    registry = Registry(manifests={APP: INDEX._replace(platforms=(AMD64,), children=())})
    report = run(world(Built((("", DIGEST),)), APP, registry=registry), build(APP, platforms=BOTH))
    assert exit_code(report) == 8
    assert isinstance(report.results[0].verification, Missing)
    assert "linux/arm64, which was asked for" in report.results[0].verification.what


def test_another_digest() -> None:
    report = run(world(Built((("", sha("e")),)), APP), build(APP))
    assert exit_code(report) == 8
    assert report.results[0].verification == Mismatch(sha("e"), DIGEST)


def test_a_tag_that_did_not_get_there() -> None:
    report = run(world(Built((("", DIGEST),))), build(APP))
    assert exit_code(report) == 8
    assert isinstance(report.results[0].verification, Missing)


def test_no_digest_is_no_success() -> None:
    report = run(world(Built(()), APP), build(APP))
    assert exit_code(report) == 7
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.begun, "buildx says that all went well"
    assert "has no digest, so it is unknown what was pushed" in outcome.failure.message
    assert outcome.failure.next == (f"docker buildx imagetools inspect {APP}",)


def test_bake_without_the_digest_of_one_target() -> None:
    report = run(world(Built((("app", DIGEST),)), APP, WEB), bake(app=APP, web=WEB))
    assert exit_code(report) == 7
    assert kinds(report) == ["Pushed", "Failed"]
    assert report.results[0].confirmed
    outcome = report.results[1].outcome
    assert isinstance(outcome, Failed)
    assert "no digest of the target 'web'" in outcome.failure.message


def test_each_target_has_its_own_digest() -> None:
    other = sha("e")
    registry = Registry(manifests={WEB: ManifestInfo(other, OCI_MANIFEST)})
    report = run(world(Built((("app", DIGEST), ("web", other))), APP, WEB, registry=registry), bake(app=APP, web=WEB))
    assert exit_code(report) == 0
    assert [result.outcome for result in report.results] == [Pushed(DIGEST), Pushed(other)]


@pytest.mark.parametrize("known", [True, False], ids=["a target of ours", "another one"])
def test_a_push_that_nobody_asked_for_is_no_success(known: bool) -> None:
    """bake read another definition when it built than when it was asked what it would push."""
    stranger = "registry.test/team/strange:1"
    names = (("app", (APP,)), ("web", (WEB, stranger))) if known else (("app", (APP,)), ("new", (stranger,)))
    report = run(world(Built((("app", DIGEST), ("web", DIGEST)), names), APP, WEB), bake(app=APP, web=WEB))
    assert exit_code(report) == 7
    assert report.results[0].confirmed
    if known:
        outcome = report.results[1].outcome
        assert isinstance(outcome, Failed)
        assert outcome.begun
        assert f"it pushed {stranger} too" in outcome.failure.message
        assert outcome.failure.next == (f"docker buildx imagetools inspect {stranger}",)
    else:
        assert f"it pushed {stranger} too" in report.errors[0].message


def test_the_names_of_a_push_are_read_as_tags_are() -> None:
    given = "team/app"
    found = world(Built((("", DIGEST),), (("", ("docker.io/team/app:latest",)),)), "docker.io/team/app:latest")
    assert exit_code(found.run(given, origin=build(given), asks=Asks.PREFLIGHT, allowed=("PS102", "PS103"))) == 0


def test_a_name_that_is_none_is_shown_clean() -> None:
    report = run(world(Built((("", DIGEST),), (("", (APP, "\x1b[31mred")),)), APP), build(APP))
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert "\x1b" not in outcome.failure.message
    assert outcome.failure.next == ()


# ---------------------------------------------------------------------- caches

CACHE = "registry.test/team/app:cache"
CACHED = build(APP)._replace(caches=(ref(CACHE),))


@pytest.mark.parametrize(
    "held", [INDEX, ManifestInfo(sha("9"), OCI_INDEX, (AMD64,)), ManifestInfo(sha("9"), OCI_MANIFEST, config=sha("c"))]
)
@pytest.mark.parametrize("pushes", [True, False])
def test_a_cache_in_the_place_of_an_image(held: ManifestInfo, pushes: bool) -> None:
    found = world(Built((("", DIGEST),)), APP, registry=Registry(held={CACHE: held}))
    report = run(found, CACHED, pushes=pushes)
    assert exit_code(report) == 2
    assert f"--cache-to {CACHE}: this tag names an image" in report.errors[0].message
    assert report.errors[0].hint.endswith("registry.test/team/app:buildcache")
    assert found.buildx.built == []


@pytest.mark.parametrize(
    "registry",
    [
        Registry(),
        Registry(held={CACHE: ManifestInfo(sha("9"), OCI_INDEX)}),
        Registry(
            held={CACHE: ManifestInfo(sha("9"), OCI_MANIFEST, config=sha("c"))}, configs={sha("c"): ImageConfig()}
        ),
        Registry(
            held={CACHE: ManifestInfo(sha("9"), OCI_MANIFEST, config=sha("c"))},
            configs={sha("c"): RegistryUnreachable("it is away")},
        ),
        Registry(held={CACHE: RegistryUnreachable("it is away")}),
        Registry(held={CACHE: Evidence(Stage.VERIFY, "no", 403)}),
    ],
    ids=["absent", "a cache", "a cache in an image's form", "unknown", "unreachable", "refused"],
)
def test_what_is_no_image_as_far_as_is_known_stops_nothing(registry: Registry) -> None:
    found = world(Built((("", DIGEST),)), APP, registry=registry)
    assert exit_code(run(found, CACHED)) == 0
    assert f"manifest {CACHE} whole" in registry.asked


def test_no_registry_is_asked_where_none_is_to_be() -> None:
    found = world(Built((("", DIGEST),)), registry=Registry(held={CACHE: INDEX}))
    run(found, CACHED, Asks.NOTHING, pushes=False)
    assert found.registry.asked == []


# ---------------------------------------------------------------------- before the build


@pytest.mark.parametrize("planned", [False, True])
def test_a_dry_run_builds_nothing(planned: bool) -> None:
    found = world(Built(()))
    report = run(found, build(APP), pushes=False, planned=planned)
    assert (exit_code(report), kinds(report)) == (0, ["Ready"])
    assert found.buildx.built == []


def test_lint_refuses_before_buildx_is_looked_at() -> None:
    found = world(Built(()))
    report = run(found, build("my-api:1"))
    assert (exit_code(report), codes(report)) == (1, ["PS101"])
    assert (found.buildx.asked, found.buildx.built) == ([], [])


def test_the_preflight_refuses() -> None:
    found = world(Built(()), registry=Registry(preflights={"registry.test/team/app": [LOCKED]}))
    report = run(found, build(APP))
    assert (exit_code(report), kinds(report)) == (5, ["Denied"])
    assert found.buildx.built == []


def test_three_platforms_are_not_replaced_by_one() -> None:
    held = ManifestInfo(sha("9"), OCI_INDEX, (*BOTH, Platform("linux", "arm", "v7")))
    looked = Buildx("0.29.1", (Builder("default", "docker", (AMD64,), current=True, native=AMD64),))
    for platforms in ((), (AMD64,)):
        found = world(Built(()), registry=Registry(held={APP: held}), looked=looked)
        report = run(found, build(APP, platforms=platforms))
        assert exit_code(report) == 1
        assert "PS205" in codes(report)
        assert found.buildx.built == []


def test_a_platform_that_nobody_asked_for_is_not_demanded() -> None:
    """`FROM --platform=...` decides it, too."""
    looked = Buildx("0.29.1", (Builder("default", "docker", (AMD64,), current=True, native=AMD64),))
    manifest = ManifestInfo(DIGEST, OCI_MANIFEST, config=sha("c"))
    registry = Registry(manifests={APP: manifest}, configs={sha("c"): ImageConfig(ARM64)})
    report = run(world(Built((("", DIGEST),)), APP, registry=registry, looked=looked), build(APP))
    assert exit_code(report) == 0
    verified = report.results[0].verification
    assert isinstance(verified, Verified)
    assert verified.manifest.platforms == (ARM64,), "what it is, not what was to be expected"


@pytest.mark.parametrize(
    ("looked", "builder", "code", "message"),
    [
        (Buildx(problem="buildx is not installed", to_install=True), "", 2, "buildx is not installed"),
        (Buildx("0.12.0", problem="buildx 0.12.0 is too old", to_install=True), "", 2, "too old"),
        (Buildx("0.29.1", problem="buildx names no builder"), "", 2, "no builder"),
        (BUILDX, "nope", 2, "there is no builder 'nope'; there are default"),
        (Buildx("0.29.1", (Builder("far", "remote", problem="no route"),)), "far", 2, "'far' cannot build: no route"),
        (
            Buildx("0.29.1", (Builder("default", "docker", current=True, problem="no engine"),)),
            "",
            3,
            "'default' cannot build: no engine",
        ),
    ],
)
def test_a_builder_that_cannot(looked: Buildx, builder: str, code: int, message: str) -> None:
    found = world(Built(()), looked=looked)
    report = run(found, build(APP, builder=builder))
    assert exit_code(report) == code
    assert message in report.errors[0].message
    assert report.errors[0].hint == (INSTALL if looked.to_install else "docker buildx ls")
    assert kinds(report) == ["NotPushed"]
    assert found.buildx.built == []
    assert found.buildx.asked == [f"look {builder}".strip()]


# ---------------------------------------------------------------------- a build that failed

REFUSED = "push access denied, repository does not exist or may require authorization: server message: denied"


def refusal(*pushed: str, of: str = WEB, words: str = REFUSED) -> BuildFailed:
    """The text of a build that pushed some tags, and whose push of another one failed."""
    done = (f"#7 pushing manifest for {tag}@{DIGEST} 0.0s done" for tag in pushed)
    return BuildFailed(
        1, "\n".join(("#7 exporting to image", *done, f"ERROR: failed to build: failed to push {of}: {words}"))
    )


def test_the_tag_whose_push_was_refused() -> None:
    registry = Registry(preflights={"registry.test/team/web": [ACCEPTED, LOCKED]})
    found = world(refusal(APP), APP, registry=registry)
    report = run(found, build(APP, WEB, LATEST))
    assert exit_code(report) == 5
    assert kinds(report) == ["Pushed", "Denied", "NotPushed"]
    assert report.results[0].confirmed, "it was pushed before, and named that digest when it was looked at"
    denied = report.results[1].outcome
    assert isinstance(denied, Denied)
    assert denied.denial.reason is DenialReason.NO_WRITE_PERMISSION
    assert denied.denial.evidence[1] == Evidence(Stage.PUSH, REFUSED, sent=True)
    assert report.results[2].outcome == NotPushed("buildx ended before it was pushed: the push of another tag failed")


def test_nobody_is_logged_in() -> None:
    found = world(refusal(of=APP, words="authorization failed: no basic auth credentials"))
    found.credentials.logins = {"registry.test": nobody()}
    found.registry.preflights = {"registry.test/team/app": [Preflight((Evidence(Stage.PING, "", 401),))]}
    report = run(found, build(APP), asks=Asks.LOGIN)
    assert codes(report) == ["PS301"], "lint says so before"
    found.buildx.built.clear()
    report = found.run(APP, origin=build(APP), asks=Asks.LOGIN, allowed=("PS301",))
    assert exit_code(report) == 4
    assert len(found.buildx.built) == 1


def test_a_registry_that_went_away() -> None:
    words = (
        'failed to do request: Head "https://registry.test/v2/": dial tcp 192.0.2.1:443: connect: connection refused'
    )
    report = run(world(refusal(of=APP, words=words)), build(APP))
    assert exit_code(report) == 3
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.NETWORK
    assert outcome.failure.message == words


@pytest.mark.parametrize("done", ["", " 0.1s done"], ids=["begun", "done"])
def test_a_refused_push_whose_manifest_was_kept(done: str) -> None:
    answer = refusal(
        of=APP, words="unexpected status from PUT request to http://r/v2/a/manifests/1: 504 Gateway Timeout"
    )
    answer = answer._replace(said=f"#7 pushing manifest for {APP}@{DIGEST}{done}\n{answer.said}")
    report = run(world(answer, APP), build(APP))
    assert exit_code(report) == 0
    assert kinds(report) == ["Pushed"]
    assert isinstance(report.results[0].verification, Verified)


def test_a_refused_push_after_which_the_tag_names_something_new() -> None:
    answer = refusal(
        of=APP, words="unexpected status from PUT request to http://r/v2/a/manifests/1: 504 Gateway Timeout"
    )
    report = run(world(answer, APP), build(APP))
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.seen == f"the tag names {DIGEST} now, which it did not before"
    assert exit_code(report) == 7


def test_a_push_that_was_said_to_be_done_and_is_not_there() -> None:
    report = run(world(refusal(APP)), build(APP, WEB))
    why = "buildx had begun to push it when the build failed; the registry may hold it"
    assert report.results[0].outcome == NotPushed(why, begun=True)


def test_a_push_that_was_begun() -> None:
    answer = refusal()
    answer = answer._replace(said=f"#7 pushing manifest for {APP}@{DIGEST}\n{answer.said}")
    report = run(world(answer, APP), build(APP, WEB))
    outcome = report.results[0].outcome
    assert isinstance(outcome, NotPushed)
    assert outcome.begun


def test_a_quiet_build_tells_nothing_of_the_other_tags() -> None:
    report = run(world(BuildFailed(1, f"ERROR: failed to push {WEB}: {REFUSED}")), build(APP, WEB))
    outcome = report.results[0].outcome
    assert isinstance(outcome, NotPushed)
    assert outcome.begun, "nobody knows what the registry holds"
    assert "did not report whether" in outcome.why


def test_the_engine_of_the_classic_store_pushes_itself() -> None:
    said = "\n".join(
        (
            f"#6 pushing {APP} with docker",
            "#6 pushing layer 79bcae74df6a done",
            "#6 DONE 0.1s",
            "",
            f"#7 pushing {WEB} with docker",
            "#7 ERROR: denied: requested access to the resource is denied",
            "------",
            f" > pushing {WEB} with docker:",
            "------",
            "ERROR: failed to build: denied: requested access to the resource is denied",
        )
    )
    registry = Registry(preflights={"registry.test/team/web": [ACCEPTED, LOCKED]})
    found = world(BuildFailed(1, said), APP, registry=registry)
    found.engine = Engine(CLASSIC)
    report = run(found, build(APP, WEB))
    assert exit_code(report) == 5
    assert kinds(report) == ["NotPushed", "Denied"]
    first = report.results[0].outcome
    assert isinstance(first, NotPushed)
    assert first.begun, "it is there, and nobody knows with which digest"


DENIED = "denied: requested access to the resource is denied"


def test_several_targets_that_the_engine_pushes() -> None:
    """The step of one target ends with the error of another, too."""
    said = f"""#8 [web] pushing {WEB} with docker
#8 pushing layer c48ab22a6e4a 0.0s done
#8 ERROR: {DENIED}

#9 [app] pushing {APP} with docker
#9 pushing layer c48ab22a6e4a 0.0s done
#9 ERROR: target web: {DENIED}

#10 [app] pushing {LATEST} with docker
#10 ERROR: context canceled
ERROR: target web: {DENIED}"""
    registry = Registry(preflights={"registry.test/team/web": [ACCEPTED, LOCKED]})
    found = world(BuildFailed(1, said), registry=registry)
    found.engine = Engine(CLASSIC)
    report = run(found, bake(app=APP, also=LATEST, web=WEB))
    assert exit_code(report) == 5
    assert kinds(report) == ["NotPushed", "NotPushed", "Denied"]
    for result in report.results[:2]:
        assert isinstance(result.outcome, NotPushed)
        assert result.outcome.begun


@pytest.mark.parametrize("where", ["", "failed to build: ", "target web: failed to solve: "])
@pytest.mark.parametrize("step", ["#7 ERROR: ", "ERROR: "])
def test_where_a_refused_push_is_told(step: str, where: str) -> None:
    found = read_text(f"#7 exporting\n{step}{where}failed to push {WEB}: {REFUSED}")
    assert found.refused == {WEB: REFUSED}


@pytest.mark.parametrize(
    "line",
    [
        f"#5 0.123 ERROR: failed to push {APP}: denied",
        f"#5 0.123 failed to push {APP}: denied",
        f"#5 12.5 pushing manifest for {APP}@{DIGEST} 0.0s done",
        f"#5 [1/1] COPY pushing manifest for {APP}@{DIGEST} 0.0s done",
        f"#5 [1/1] COPY a failed to push {APP}: denied",
        f"#5 [1/1] RUN echo pushing {APP} with docker",
        f"#5 0.123 pushing {APP} with docker",
        f'#5 ERROR: process "failed to push {APP}: denied" did not complete successfully: exit code: 1',
        f"   2 | >>> COPY failed to push {APP}: denied",
        f"0.123 failed to push {APP}: denied",
        f"ERROR: failed to push {APP}: denied\nERROR: failed to build: no",
        f" > failed to push {APP}: denied",
    ],
)
def test_what_a_step_writes_is_not_what_became_of_a_push(line: str) -> None:
    found = read_text(f"#5 [1/1] RUN x\n{line}\n#5 ERROR: no\nERROR: failed to build: failed to solve: no")
    assert (found.refused, found.pushed, found.error) == ({}, {}, "no")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("unknown flag: --brand-new\n\nUsage:  docker buildx build [OPTIONS]", "unknown flag: --brand-new"),
        ("#1 reading\n\nit broke\nand more", "it broke"),
        ("warning: old\nERROR: failed to build: failed to solve: no", "no"),
        ("ERROR: target web: failed to solve: no", "target web: failed to solve: no"),
        ("#1 reading", ""),
    ],
)
def test_why_it_ended(said: str, error: str) -> None:
    assert read_text(said).error == error


@pytest.mark.parametrize("there", [True, False])
def test_a_build_that_fails_after_its_pushes(there: bool) -> None:
    """Where a cache cannot be exported, every tag may be in place; buildx failed all the same."""
    said = f"#7 pushing manifest for {APP}@{DIGEST} 0.0s done\nERROR: failed to build: failed to solve: no cache"
    report = run(world(BuildFailed(1, said), *((APP,) if there else ())), build(APP))
    assert exit_code(report) == 7
    assert [error.message for error in report.errors] == ["buildx ended with status 1: no cache"]
    assert report.results[0].confirmed is there
    assert kinds(report) == ["Pushed" if there else "NotPushed"]


BROKEN = """#4 [1/1] COPY nothere /f
#4 ERROR: failed to calculate checksum: "/nothere": not found
------
ERROR: failed to build: failed to solve: "/nothere": not found"""


def test_a_build_error() -> None:
    found = world(BuildFailed(1, BROKEN))
    report = run(found, build(APP, LATEST))
    assert exit_code(report) == 7
    for result in report.results:
        assert isinstance(result.outcome, Failed)
        assert result.outcome.failure.kind is FailureKind.LOCAL
        assert result.outcome.failure.message == 'buildx ended with status 1: "/nothere": not found'
        assert not result.outcome.begun
    assert found.registry.asked.count("investigate registry.test/team/app") == 1, (
        "the registry has nothing to do with it"
    )


def test_a_base_image_that_may_not_be_pulled_is_no_denied_push() -> None:
    said = "failed to solve: other/base: pull access denied, insufficient_scope: authorization failed"
    report = run(world(BuildFailed(1, f"ERROR: failed to build: {said}")), build(APP))
    assert exit_code(report) == 7
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.LOCAL


def test_what_went_to_a_terminal_is_asked_of_the_registries() -> None:
    registry = Registry(preflights={"registry.test/team/web": [ACCEPTED, LOCKED]})
    report = run(world(BuildFailed(1), registry=registry), build(APP, LATEST, WEB))
    assert exit_code(report) == 5
    assert kinds(report) == ["Failed", "Failed", "Denied"]
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "buildx ended with status 1: what it said stands above"
    assert not outcome.begun, "the registry holds none, as before"
    assert registry.asked.count("investigate registry.test/team/app") == 2, "once before, once after, for all its tags"


NEW = f"the tag names something new, {DIGEST}, which could not be compared with the build"


@pytest.mark.parametrize(
    ("held", "now", "asks", "begun", "said"),
    [
        (NOT_THERE, single(), Asks.PREFLIGHT, True, NEW),
        (INDEX._replace(digest=sha("9")), single(), Asks.PREFLIGHT, True, NEW),
        (single(), single(), Asks.PREFLIGHT, True, "what it said stands above"),
        (NOT_THERE, NOT_THERE, Asks.PREFLIGHT, False, "what it said stands above"),
        (NOT_THERE, RegistryUnreachable("away"), Asks.PREFLIGHT, True, "what it said stands above"),
        (
            NOT_THERE,
            single(),
            Asks.LOGIN,
            True,
            f"{DIGEST}, of this build or an older one, which could not be compared",
        ),
        (NOT_THERE, NOT_THERE, Asks.LOGIN, False, "what it said stands above"),
    ],
)
def test_a_failure_that_went_to_a_terminal_may_come_after_a_push(
    held: ManifestInfo | Evidence, now: ManifestInfo | Evidence | BaseException, asks: Asks, begun: bool, said: str
) -> None:
    registry = Registry(held={APP: held}, manifests={APP: now})
    report = run(world(BuildFailed(1), APP, registry=registry), build(APP), asks)
    assert exit_code(report) == 7
    outcome = report.results[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.begun is begun
    assert said in outcome.failure.message
    if DIGEST in said:
        assert outcome.failure.next[0] == f"docker buildx imagetools inspect {APP}"
    summary = render(report, color=False).splitlines()[-1]
    assert summary == ("no push completed" if begun else "nothing was pushed")


def test_a_refusal_after_the_failure_says_nothing_of_a_tag_that_changed() -> None:
    registry = Registry(preflights={"registry.test/team/app": [ACCEPTED, LOCKED]})
    report = run(world(BuildFailed(1), APP, registry=registry), build(APP, LATEST))
    assert kinds(report) == ["Failed", "Denied"]


# ---------------------------------------------------------------------- its end


def test_an_interruption_leaves_every_tag_begun() -> None:
    found = world(Built(()))
    found.buildx = BuildxCommand(answer=KeyboardInterrupt())
    report = run(found, build(APP, LATEST))
    assert exit_code(report) == 130
    for result in report.results:
        assert isinstance(result.outcome, NotPushed)
        assert result.outcome.begun


def test_the_same_tag_twice_is_one() -> None:
    report = run(world(Built((("", DIGEST),)), APP), build(APP, APP))
    assert (exit_code(report), codes(report)) == (0, ["PS107"])
    assert kinds(report) == ["Pushed", "Pushed"]


@pytest.mark.parametrize(("driver", "denied"), [("docker", True), ("docker-container", False)])
def test_only_an_engine_keeps_a_credential_back(driver: str, denied: bool) -> None:
    """The classic store sends none to a registry whose /v2/ is open; BuildKit does."""
    opened = Preflight(
        (
            Evidence(Stage.PING, "", 200, sent=False),
            Evidence(Stage.PROBE, "denied", 401, "UNAUTHORIZED", sent=False),
            Evidence(Stage.PROBE, "", 202, sent=True),
        )
    )
    looked = Buildx("0.29.1", (Builder("b", driver, (AMD64,), current=True),))
    found = world(
        Built((("", DIGEST),)), APP, registry=Registry(preflights={"registry.test/team/app": [opened]}), looked=looked
    )
    found.engine = Engine(CLASSIC)
    found.buildx = Pushing(found, Built((("", DIGEST),)), APP)
    found.buildx.looked = looked
    assert kinds(run(found, build(APP))) == ["Denied" if denied else "Pushed"]
