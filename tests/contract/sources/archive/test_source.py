"""An image in files sent in-process: what is asked for, what goes where and in which order, and what stops it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from pushsafe.model.errors import ContentBroken, RegistryUnreachable, UsageError
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import Upcoming
from pushsafe.model.outcomes import Denied, Failed, Layers, LayerState, NotPushed, Outcome, Pushed, Verified
from pushsafe.model.plan import How
from pushsafe.model.report import Along, Report
from pushsafe.model.request import Archive, Asks
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.content import Companion, Content, Package, Referrer
from pushsafe.oci.manifest import Blob, ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.report import human
from pushsafe.report.exit_codes import ExitCode, exit_code
from tests.fakes.gateways import NOT_THERE, Registry, Scripted, World, codes, give
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, nobody, ref, sha

PLACE = Archive("oci", "out/image")
NAME, OTHER, ELSEWHERE = "registry.test/acme/app", "registry.test/acme/other", "elsewhere.test/acme/app"
TAG = f"{NAME}:1.4.2"
CONFIG, ONE, TWO = Blob(sha("c"), 30, is_layer=False), Blob(sha("1"), 1000), Blob(sha("2"), 2_000_000)
DENIED = Evidence(Stage.PUSH, "requested access to the resource is denied", 403, "DENIED", sent=True)


@dataclass(frozen=True)
class Bytes:
    """A blob that is said to lie in a file."""

    blob: Blob

    @property
    def file(self) -> str:
        return f"out/image/{self.blob.digest}"

    def parts(self) -> Iterator[memoryview]:
        raise AssertionError("only a registry reads it")


def manifest(*named: str, kind: str = OCI_MANIFEST) -> ManifestContent:
    body = json.dumps(named).encode()
    return ManifestContent(f"sha256:{hashlib.sha256(body).hexdigest()}", kind, body)


def contents(*blobs: Blob) -> tuple[Content, ...]:
    return tuple(map(Bytes, blobs))


SINGLE = Package(((manifest("amd64"),),), contents(CONFIG, ONE, TWO))
AMD, ARM = manifest("amd64"), manifest("arm64")
INDEX = Package(((AMD, ARM), (manifest("index", kind=OCI_INDEX),)), contents(CONFIG, ONE))
ROOT = SINGLE.manifest.digest


@dataclass
class Stored:
    """`checks` counts how often all of it was checked."""

    kept: Package = SINGLE
    upcoming: Upcoming = field(default_factory=lambda: Upcoming((AMD64,), ROOT, config=CONFIG.digest))
    packing: Scripted[None] = None
    checking: Scripted[None] = None
    checks: int = 0

    def package(self, tell: Callable[[int, int], None]) -> Package:
        tell(1, 2)
        give(self.packing)
        return self.kept

    def check(self) -> None:
        self.checks += 1
        give(self.checking)

    def close(self) -> None:
        raise AssertionError("whoever opened it closes it")


def a_world(stored: Stored | None = None, **scripted: object) -> World:
    """A registry that shows under every tag what was put there."""
    stored = stored or Stored()
    kept = stored.kept
    found = ManifestInfo(kept.manifest.digest, kept.manifest.media_type)
    if len(kept.levels) > 1:
        found = found._replace(platforms=(AMD64, ARM64), children=(AMD.digest, ARM.digest))
    children = {
        f"{name}@{one.digest}": _later(ManifestInfo(one.digest, OCI_MANIFEST))
        for name in (NAME, OTHER)
        for one in (AMD, ARM)
    }
    names = [f"{name}:{tag}" for name in (NAME, OTHER, ELSEWHERE) for tag in ("1.4.2", "1.4", "latest")]
    manifests: dict[str, Scripted[ManifestInfo | Evidence]] = {**children, **dict.fromkeys(names, found)}
    registry = Registry(manifests=manifests, **scripted)  # type: ignore[arg-type]
    return World(registry=registry, stored=stored)


def _later(found: ManifestInfo) -> Callable[[], ManifestInfo | Evidence]:
    """Not there when it is looked for, and there when it is read back."""
    answers: list[ManifestInfo | Evidence] = [NOT_THERE]
    return lambda: answers.pop() if answers else found


def send(world: World, *tags: str, asks: Asks = Asks.PREFLIGHT, **options: object) -> Report:
    return world.run(*(tags or (TAG,)), asks=asks, origin=PLACE, **options)  # type: ignore[arg-type]


def asked(world: World, *verbs: str) -> list[str]:
    return [one for one in world.registry.asked if one.partition(" ")[0] in verbs]


def outcome(report: Report) -> Outcome:
    return report.results[0].outcome


def short(name: str) -> str:
    return name.partition("/")[2]


# ---------------------------------------------------------------------- in order


def test_a_single_image() -> None:
    world = a_world()
    report = send(world)
    assert exit_code(report) is ExitCode.OK
    assert outcome(report) == Pushed(ROOT, Layers(sent=2, bytes_sent=2_001_000), How.PUSHED)
    assert report.results[0].verification == Verified(ManifestInfo(ROOT, OCI_MANIFEST, (AMD64,)), "registry")
    assert sorted(asked(world, "holds")) == sorted(f"holds {NAME}@{blob.digest}" for blob in (CONFIG, ONE, TWO))
    assert sorted(asked(world, "send")) == sorted(f"send {NAME}@{blob.digest}" for blob in (CONFIG, ONE, TWO))
    assert world.registry.tagged == [TAG]


def test_no_engine_has_a_part_in_it() -> None:
    world = a_world()
    assert exit_code(send(world)) is ExitCode.OK
    assert (world.connected[0], "engine" in world.connected) == (PLACE.given, False)
    assert world.engine.asked == []


def test_everything_is_looked_for_before_anything_is_sent() -> None:
    """Whoever sends it checks it on the way."""
    stored = Stored()
    world = a_world(stored, held_blobs={f"{NAME}@{ONE.digest}": True})
    report = send(world)
    order = [one.partition(" ")[0] for one in asked(world, "holds", "send", "put")]
    assert order == ["holds"] * 3 + ["send"] * 2 + ["put"]
    assert stored.checks == 0
    assert outcome(report) == Pushed(ROOT, Layers(reused=1, sent=1, bytes_sent=2_000_000))


def test_the_manifests_of_an_index_come_before_it_and_the_tags_last() -> None:
    world = a_world(Stored(INDEX, Upcoming((AMD64, ARM64), INDEX.manifest.digest)))
    report = send(world, TAG, f"{NAME}:1.4")
    assert exit_code(report) is ExitCode.OK
    assert [type(one.outcome) for one in report.results] == [Pushed, Pushed]
    assert [one.outcome.how for one in report.results if isinstance(one.outcome, Pushed)] == [How.PUSHED, How.TAGGED]
    verbs = [one.partition(" ")[0] for one in asked(world, "send", "put")]
    assert verbs == ["send"] * 2 + ["put"] * 4


def test_manifests_that_are_there_are_not_put_again() -> None:
    here = ManifestInfo(AMD.digest, OCI_MANIFEST)
    away: dict[str, Scripted[ManifestInfo | Evidence]] = {f"{NAME}@{ARM.digest}": NOT_THERE}
    world = a_world(Stored(INDEX, Upcoming((AMD64, ARM64), INDEX.manifest.digest)))
    world.registry.manifests = {**world.registry.manifests, f"{NAME}@{AMD.digest}": here, **away}
    send(world)
    assert len(asked(world, "put")) == 2  # the other manifest, and the tag


def test_the_first_repository_of_a_registry_gets_the_content_and_the_others_mount_it() -> None:
    world = a_world()
    report = send(world, TAG, f"{OTHER}:1.4.2", f"{ELSEWHERE}:1.4.2")
    assert exit_code(report) is ExitCode.OK
    sent = asked(world, "send")
    mounted = sorted(one for one in sent if " or mount it from " in one)
    [first] = {one.partition("@")[0] for one in sent if one not in mounted and "registry.test" in one}
    second = {f"send {NAME}": f"send {OTHER}", f"send {OTHER}": f"send {NAME}"}[first]
    assert mounted == sorted(f"{second}@{blob.digest} or mount it from {short(first)}" for blob in (CONFIG, ONE, TWO))
    assert sorted(one for one in sent if ELSEWHERE in one) == sorted(
        f"send {ELSEWHERE}@{blob.digest}" for blob in (CONFIG, ONE, TWO)
    )
    layers = [one.outcome.layers for one in report.results if isinstance(one.outcome, Pushed)]
    assert sorted(layers, key=str) == sorted(
        [Layers(mounted=2), Layers(sent=2, bytes_sent=2_001_000), Layers(sent=2, bytes_sent=2_001_000)], key=str
    )


def test_what_another_listed_repository_holds_is_mounted_from_there() -> None:
    world = a_world(held_blobs={f"{OTHER}@{blob.digest}": True for blob in (CONFIG, ONE, TWO)})
    assert exit_code(send(world, TAG, f"{OTHER}:1.4.2")) is ExitCode.OK
    assert sorted(asked(world, "send")) == sorted(
        f"send {NAME}@{blob.digest} or mount it from acme/other" for blob in (CONFIG, ONE, TWO)
    )


def test_referrers_come_before_the_tag_and_after_what_they_refer_to() -> None:
    signature = Referrer(manifest("signature"), ROOT)
    world = a_world(Stored(SINGLE._replace(referrers=(signature,))))
    assert exit_code(send(world)) is ExitCode.OK
    order = [one.partition(" ")[0] for one in asked(world, "put", "refer")]
    assert order == ["put", "refer", "put"]
    assert asked(world, "refer") == [f"refer {NAME}@{signature.content.digest} to {ROOT}"]


def test_what_a_referrer_names_is_put_without_a_list_of_its_own() -> None:
    part, bundle = Referrer(manifest("part"), ""), Referrer(manifest("bundle", kind=OCI_INDEX), ROOT)
    world = a_world(Stored(SINGLE._replace(referrers=(part, bundle))))
    assert exit_code(send(world)) is ExitCode.OK
    assert [one.partition(" ")[0] for one in asked(world, "put", "refer")] == ["put", "put", "refer", "put"]


def test_moving_tags_wait_for_all_others() -> None:
    world = a_world(puts={f"{NAME}:1.4": DENIED})
    report = send(world, f"{NAME}:latest", TAG, f"{NAME}:1.4")
    why = f"it moves only when every other tag is in place, and {NAME}:1.4 is not"
    assert report.results[0].outcome == NotPushed(why)
    assert world.registry.tagged == [TAG]


def said(status: int, code: str = "") -> Evidence:
    return Evidence(Stage.PUSH, "no", status, code, sent=True)


LOST = {
    "500": said(500),
    "504 at every try": said(504),
    "400 of a proxy": said(400),
    "403 of a proxy": said(403),
    "another digest": said(200, "DIGEST_MISMATCH"),
    "no answer": RegistryUnreachable("registry.test: no whole answer within 60 seconds"),
}


def test_a_manifest_that_is_kept_is_in_place_whatever_is_answered() -> None:
    for name, answer in LOST.items():
        world = a_world(puts={TAG: answer}, held={TAG: _later(ManifestInfo(ROOT, OCI_MANIFEST))})
        report = send(world, TAG, f"{NAME}:latest")
        assert exit_code(report) is ExitCode.OK, name
        assert [type(result.verification) for result in report.results] == [Verified] * 2, name


@pytest.mark.parametrize(
    ("now", "seen"),
    [
        (ManifestInfo(sha("f"), OCI_MANIFEST), f"the tag names {sha('f')} now, which it did not before"),
        (Evidence(Stage.VERIFY, "", 403), "it may have arrived; could not check: the registry answers 403"),
        (NOT_THERE, ""),
    ],
    ids=["another", "not told", "absent"],
)
def test_a_manifest_that_is_not_known_to_be_kept(now: ManifestInfo | Evidence, seen: str) -> None:
    for name, answer in LOST.items():
        looks = iter([NOT_THERE])
        world = a_world(puts={TAG: answer}, held={TAG: partial(next, looks, now)})
        report = send(world, TAG)
        found = outcome(report)
        assert isinstance(found, Failed | Denied), name
        assert (found.seen, found.begun) == (seen, bool(seen)), name
        assert ("nothing was pushed" in human.render(report)) is (not seen and name != "no answer"), name


def test_a_manifest_below_an_index_is_there_where_it_is_shown() -> None:
    world = a_world(Stored(INDEX, Upcoming((AMD64, ARM64), INDEX.manifest.digest)))
    put = world.registry.put

    def losing(*given: Any, tagged: bool = True, **named: Any) -> Evidence:
        answer = put(*given, tagged=tagged, **named)
        return answer if tagged else said(500)

    world.registry.put = losing  # type: ignore[method-assign]
    assert exit_code(send(world)) is ExitCode.OK


def test_the_same_again_sends_nothing() -> None:
    stored = Stored()
    there: dict[str, Scripted[bool]] = {f"{NAME}@{blob.digest}": True for blob in (CONFIG, ONE, TWO)}
    world = a_world(stored, held={TAG: ManifestInfo(ROOT, OCI_MANIFEST)}, held_blobs=there)
    world.registry.tagged.append(TAG)
    report = send(world)
    assert outcome(report) == Pushed(ROOT, how=How.ALREADY_THERE)
    assert asked(world, "send", "put") == []
    assert [one for one in world.observer.told if one.startswith("pushing")] == []


def test_a_tag_that_names_its_image_gets_what_its_repository_has_lost() -> None:
    stored = Stored()
    there: dict[str, Scripted[bool]] = {f"{NAME}@{blob.digest}": True for blob in (CONFIG, ONE)}
    world = a_world(stored, held={TAG: ManifestInfo(ROOT, OCI_MANIFEST)}, held_blobs=there)
    world.registry.tagged.append(TAG)
    report = send(world)
    assert outcome(report) == Pushed(ROOT, Layers(reused=1, sent=1, bytes_sent=2_000_000), How.ALREADY_THERE)
    assert asked(world, "send", "put") == [f"send {NAME}@{TWO.digest}"]


def test_a_tag_listed_twice_is_put_once() -> None:
    world = a_world()
    report = send(world, TAG, TAG)
    assert [one.outcome for one in report.results] == [Pushed(ROOT, Layers(sent=2, bytes_sent=2_001_000))] * 2
    assert asked(world, "put") == [f"put {TAG}"]


def test_layers_are_told_with_their_sizes() -> None:
    world = a_world(held_blobs={f"{NAME}@{ONE.digest}": True})
    send(world)
    told = [one for one in world.observer.told if one.partition(" ")[0] in ("reading", "pushing", "layer")]
    assert told[:2] == [f"reading {PLACE.given}", f"pushing {TAG}"]
    assert sorted(told[2:4]) == [f"layer {TAG} reused", f"layer {TAG} waiting"]
    assert told[4:] == [f"layer {TAG} pushing", f"layer {TAG} sent"]


def test_what_is_there_is_asked_for_while_the_tags_are_looked_at() -> None:
    world = a_world()
    assert exit_code(send(world, TAG, f"{NAME}:1.4")) is ExitCode.OK
    assert len(asked(world, "holds")) == 3  # and not once more
    tidied = world.registry.asked.index("tidy")  # which ends the gathering
    assert {one.partition(" ")[0] for one in world.registry.asked[tidied:]} & {"holds"} == set()


# ---------------------------------------------------------------------- what is not known beforehand


def test_an_image_still_to_be_packed_has_its_digest_when_it_is() -> None:
    stored = Stored(upcoming=Upcoming((AMD64,), config=CONFIG.digest))
    world = a_world(stored)
    report = send(world)
    assert report.results[0].verification == Verified(ManifestInfo(ROOT, OCI_MANIFEST, (AMD64,)), "registry")


def test_a_tag_that_names_its_config_is_not_replaced() -> None:
    """Its layers are compressed while the registries are asked, so its digest is not known to the rules."""
    held = ManifestInfo(ROOT, OCI_MANIFEST, config=CONFIG.digest)
    there: dict[str, Scripted[bool]] = {f"{NAME}@{blob.digest}": True for blob in (CONFIG, ONE, TWO)}
    stored = Stored(upcoming=Upcoming((AMD64,), config=CONFIG.digest))
    world = a_world(stored, held={TAG: held}, held_blobs=there)
    world.registry.tagged.append(TAG)
    world.registry.manifests = {**world.registry.manifests, TAG: held, f"{NAME}@{ROOT}": held}
    report = send(world)
    assert (codes(report), outcome(report)) == ([], Pushed(ROOT, how=How.ALREADY_THERE))


def test_a_tag_that_names_another_image_is_told_of() -> None:
    held = ManifestInfo(sha("0"), OCI_MANIFEST, config=sha("9"))
    world = a_world(held={TAG: held})
    assert codes(send(world)) == ["PS401"]


# ---------------------------------------------------------------------- dry run and lint


def test_a_dry_run_checks_all_of_it_and_says_how_it_would_go() -> None:
    stored = Stored()
    report = send(a_world(stored), f"{NAME}:latest", TAG, f"{NAME}:1.4", pushes=False, planned=True)
    steps = report.plan.steps if report.plan else ()
    assert [(str(one.reference), one.how, str(one.source or ""), one.last, one.origin) for one in steps] == [
        (TAG, How.PUSHED, "", False, PLACE.given),
        (f"{NAME}:1.4", How.TAGGED, TAG, False, ""),
        (f"{NAME}:latest", How.TAGGED, TAG, True, ""),
    ]
    assert stored.checks == 1


def test_a_lint_finds_a_broken_layer() -> None:
    world = a_world(Stored(checking=UsageError("out/image/blobs/sha256/1: its content is not what its name says")))
    report = send(world, pushes=False)
    assert exit_code(report) is ExitCode.USAGE


# ---------------------------------------------------------------------- what stops it


@pytest.mark.parametrize("at", ["opening", "packing"])
def test_a_broken_image_is_refused_before_anything_is_sent(at: str) -> None:
    error = UsageError("out/image/index.json: it is not JSON", "make it again")
    world = World(stored=error) if at == "opening" else a_world(Stored(**{at: error}))  # type: ignore[arg-type]
    report = send(world)
    assert exit_code(report) is ExitCode.USAGE
    assert [(one.message, one.hint) for one in report.errors] == [(error.message, error.hint)]
    assert asked(world, "send", "put", "refer") == []
    assert outcome(report) == NotPushed("the request cannot be carried out")


def test_content_that_is_found_broken_on_the_way_is_named() -> None:
    broken = ContentBroken(f"out/image/blobs/sha256/2: its content has the digest {sha('3')}, and not {TWO.digest}")
    world = a_world(sends={f"{NAME}@{TWO.digest}": broken})
    report = send(world)
    assert exit_code(report) is ExitCode.FAILED
    found = outcome(report)
    assert isinstance(found, Failed)
    assert (found.failure.kind, found.failure.message) == (FailureKind.LOCAL, broken.message)
    assert found.failure.next == ("the same again, once the image is written anew, or nothing changes it meanwhile",)
    assert asked(world, "put") == []


def test_a_refused_blob_is_a_denial_of_its_repository_alone() -> None:
    world = a_world(sends={f"{NAME}@{ONE.digest}": DENIED})
    report = send(world, TAG, f"{NAME}:1.4", f"{ELSEWHERE}:1.4.2", asks=Asks.LOGIN)
    denied = [one.outcome for one in report.results[:2]]
    assert all(isinstance(one, Denied) for one in denied)
    assert isinstance(report.results[2].outcome, Pushed)
    assert world.registry.tagged == [f"{ELSEWHERE}:1.4.2"]


def test_the_second_repository_gets_the_content_where_the_first_one_refuses_it() -> None:
    world = a_world(sends={f"{NAME}@{ONE.digest}": DENIED})
    report = send(world, TAG, f"{OTHER}:1.4.2", asks=Asks.LOGIN)
    assert [type(one.outcome) for one in report.results] == [Denied, Pushed]


def test_a_registry_that_goes_away_is_told_of() -> None:
    away = RegistryUnreachable("registry.test: connection refused")
    world = a_world(held_blobs={f"{NAME}@{ONE.digest}": away})
    report = send(world, TAG, f"{ELSEWHERE}:1.4.2")
    found = outcome(report)
    assert isinstance(found, Failed)
    assert (found.failure.kind, found.failure.message) == (FailureKind.NETWORK, away.message)
    assert isinstance(report.results[1].outcome, Pushed)


def test_a_registry_that_does_not_answer_leaves_the_others_alone() -> None:
    away = RegistryUnreachable("registry.test: connection refused")
    blobs: dict[str, Scripted[bool]] = {f"{NAME}@{blob.digest}": away for blob in (CONFIG, ONE, TWO)}
    world = a_world(preflights={NAME: (Preflight(problem=away.message),)}, held_blobs=blobs)
    report = send(world, TAG, f"{ELSEWHERE}:1.4.2")
    found = outcome(report)
    assert isinstance(found, Failed)
    assert (found.failure.kind, found.failure.message) == (FailureKind.NETWORK, away.message)
    assert found.failure.next == (f"docker pushsafe --from {PLACE.given} {TAG}   (again, in a while)",)
    assert isinstance(report.results[1].outcome, Pushed)
    assert {one.partition("@")[0] for one in asked(world, "send")} == {f"send {ELSEWHERE}"}


def test_a_refused_signature_is_told_as_that() -> None:
    signature = Referrer(manifest("signature"), ROOT)
    invalid = Evidence(Stage.PUSH, "manifest invalid", 400, "MANIFEST_INVALID", sent=True)
    found = outcome(send(a_world(Stored(SINGLE._replace(referrers=(signature,))), refers={NAME: invalid})))
    assert isinstance(found, Failed)
    what = f"what refers to the image ({signature.content.digest}, a signature or similar) was refused: "
    assert found.failure.message.startswith(what)


SIGNED_TAG = f"{ROOT.replace(':', '-')}.sig"
SIGNED_NAME = f"{NAME}:{SIGNED_TAG}"


def signatures(*texts: str) -> ManifestContent:
    """As cosign keeps them: each is a layer, all of them for the same payload, and lies in its annotations."""
    layers = [{"digest": sha("5"), "annotations": {"signature": text}} for text in texts]
    body = json.dumps({"layers": layers}).encode()
    return ManifestContent(f"sha256:{hashlib.sha256(body).hexdigest()}", OCI_MANIFEST, body)


def signed(*held: str, shown: bool = True, **scripted: object) -> tuple[World, ManifestContent]:
    """An image with a signature under a tag; `held` are those that the registry has there."""
    one = signatures("ours")
    there = signatures(*held)
    world = a_world(Stored(SINGLE._replace(companions=(Companion(one, ROOT, SIGNED_TAG),))), **scripted)
    if held:
        world.registry.held = {SIGNED_NAME: ManifestInfo(there.digest, OCI_MANIFEST)}
        world.registry.contents = {f"{NAME}@{there.digest}": there}
    found = ManifestInfo(one.digest, OCI_MANIFEST) if shown else NOT_THERE
    world.registry.manifests = {**world.registry.manifests, SIGNED_NAME: found}
    return world, one


def test_a_signature_under_a_tag_comes_before_the_images_tag_and_is_read_back() -> None:
    world, signature = signed()
    report = send(world)
    assert exit_code(report) is ExitCode.OK
    assert [short(one) for one in asked(world, "put")] == ["acme/app:1.4.2", f"acme/app:{SIGNED_TAG}", "acme/app:1.4.2"]
    assert asked(world, "manifest").count(f"manifest {SIGNED_NAME}") == 2  # what is there, and reading it back
    (result,) = report.results
    assert result.along == (Along(SIGNED_TAG, signature.digest),)


TAKEN = {"the same": (("ours",), False), "more": (("theirs", "ours"), False), "less": ((), True)}


@pytest.mark.parametrize(("held", "put"), TAKEN.values(), ids=TAKEN)
def test_signatures_that_are_there_are_kept(held: tuple[str, ...], put: bool) -> None:
    world, _ = signed(*held)
    if held:
        world.registry.manifests = {**world.registry.manifests, **world.registry.held}
    report = send(world)
    assert exit_code(report) is ExitCode.OK
    assert (SIGNED_NAME in world.registry.tagged) is put
    assert report.results[0].along == (Along(SIGNED_TAG, signatures(*(held or ("ours",))).digest),)


def test_signatures_of_others_are_not_replaced() -> None:
    world, _ = signed("theirs")
    found = outcome(send(world))
    assert isinstance(found, Failed)
    assert f"{SIGNED_NAME} already names {signatures('theirs').digest}" in found.failure.message
    assert world.registry.tagged == [TAG]  # by its digest alone


def test_a_signature_that_does_not_show_is_told_of() -> None:
    world, _ = signed(shown=False)
    found = outcome(send(world))
    assert isinstance(found, Failed)
    assert f"({SIGNED_TAG}, a signature or similar) was pushed, but could not be confirmed" in found.failure.message


@pytest.mark.parametrize("at", ["putting", "looking", "reading"])
def test_a_refused_signature_under_a_tag_is_told_as_that(at: str) -> None:
    invalid = Evidence(Stage.PUSH, "manifest invalid", 400, "MANIFEST_INVALID", sent=True)
    world, _ = signed(*(["theirs"] if at == "reading" else []))
    if at == "putting":
        world.registry.puts = {SIGNED_NAME: invalid}
    elif at == "looking":
        world.registry.held = {SIGNED_NAME: invalid}
    else:
        world.registry.contents = {f"{NAME}@{signatures('theirs').digest}": invalid}
    found = outcome(send(world))
    assert isinstance(found, Failed)
    what = f"what refers to the image ({SIGNED_TAG}, a signature or similar) was refused: "
    assert found.failure.message.startswith(what)


def test_nobody_logged_in_is_found_before_anything_is_read_whole() -> None:
    stored = Stored(upcoming=Upcoming((AMD64,)), packing=AssertionError("nobody waits for it"))
    refused = Preflight((Evidence(Stage.PROBE, "authentication required", 401, "UNAUTHORIZED", sent=False),))
    world = a_world(stored, preflights={NAME: (refused,)})
    world.credentials.logins = {"registry.test": nobody()}
    assert (codes(send(world)), stored.checks) == (["PS301"], 0)


def test_a_reader_is_denied_before_anything_is_read_whole() -> None:
    stored = Stored(upcoming=Upcoming((AMD64,)), packing=AssertionError("nobody waits for it"))
    granted = Evidence(Stage.TOKEN, "", status=200, sent=True, granted=("pull",))
    refused = Evidence(Stage.PROBE, "authentication required", 401, "UNAUTHORIZED", sent=True)
    report = send(a_world(stored, preflights={NAME: (Preflight((granted, refused)),)}))
    found = outcome(report)
    assert isinstance(found, Denied)
    assert (found.denial.reason, stored.checks) == (DenialReason.NO_WRITE_PERMISSION, 0)


def test_an_interrupted_run_tells_what_became_of_each_tag() -> None:
    def interrupt() -> LayerState:
        raise KeyboardInterrupt

    world = a_world(sends={f"{NAME}@{ONE.digest}": interrupt})
    report = send(world)
    assert exit_code(report) is ExitCode.INTERRUPTED
    assert outcome(report) == NotPushed("interrupted")


def test_the_command_to_run_next_is_whole() -> None:
    world = a_world(puts={TAG: Evidence(Stage.PUSH, "too many requests", 429, "TOOMANYREQUESTS", sent=True)})
    found = outcome(send(world))
    assert isinstance(found, Failed)
    assert found.failure.next == (f"docker pushsafe --from {PLACE.given} {TAG}   (again, in a while)",)


@pytest.mark.parametrize(
    ("platforms", "option"),
    [
        ((ARM64,), "linux/arm64"),
        ((AMD64, ARM64), "linux/amd64,linux/arm64"),
        ((Platform("windows", "amd64", os_version="10.0.17763"),), "'windows(10.0.17763)/amd64'"),
    ],
)
def test_the_command_to_run_next_is_for_the_same_platforms(platforms: tuple[Platform, ...], option: str) -> None:
    world = a_world(puts={TAG: Evidence(Stage.PUSH, "too many requests", 429, "TOOMANYREQUESTS", sent=True)})
    found = outcome(send(world, platforms=platforms))
    assert isinstance(found, Failed)
    command = f"docker pushsafe --from {PLACE.given} --platform {option} {TAG}"
    assert found.failure.next == (f"{command}   (again, in a while)",)


def test_a_bare_name_is_refused_with_the_command_that_mends_it() -> None:
    world = World()
    report = world.run("my-api:1.4.2", origin=PLACE)
    assert codes(report) == ["PS101"]
    fix = f"docker pushsafe --from {PLACE.given} REGISTRY/NAMESPACE/my-api:1.4.2   (in place of my-api:1.4.2)"
    assert (report.findings[0].fix, world.connected) == (fix, [])


def test_the_credential_of_each_repository_is_its_own() -> None:
    world = a_world()
    send(world, TAG, f"{ELSEWHERE}:1.4.2")
    assert set(world.credentials.asked) == {"registry.test", "elsewhere.test"}
    assert ref(TAG).registry == "registry.test"
