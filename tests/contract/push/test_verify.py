"""Reading a tag back: whom it asks, how long it waits, and what the answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pushsafe.model.credentials import Credential
from pushsafe.model.errors import EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import Mismatch, Missing, NotChecked, Verification, Verified
from pushsafe.model.plan import Wait
from pushsafe.model.request import VERIFY_TIMEOUT
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.verify import Look, pauses
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, logged_in, ref, sha

REF = ref("registry.test/team/app:1")
PUSHED, OLD = sha("d"), sha("0")

Answer = ManifestInfo | Evidence | Exception


def manifest(digest: str = PUSHED, *layers: tuple[str, int]) -> ManifestInfo:
    return ManifestInfo(digest, OCI_MANIFEST, layers=layers)


def answer(status: int, message: str = "") -> Evidence:
    return Evidence(Stage.VERIFY, message, status=status, sent=True)


INDEX = ManifestInfo(PUSHED, OCI_INDEX, (AMD64, ARM64), (sha("1"), sha("2")))
NOT_FOUND = answer(404)
AWAY = RegistryUnreachable("registry.test: connection refused")
DOWN = EngineUnreachable("no engine answers")


@dataclass
class Asked:
    """A gateway whose answers are written down: one after the other for the tag, the last for ever."""

    tag: Sequence[Answer]
    children: Mapping[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    retries: set[int] = field(default_factory=set)
    configs: Mapping[str, ImageConfig | Exception | Evidence] = field(default_factory=dict)

    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence:
        found = self.configs[digest]
        if isinstance(found, Exception):
            raise found
        return found

    def _give(self, found: Answer) -> ManifestInfo | Evidence:
        if isinstance(found, Exception):
            raise found
        return found

    def manifest(
        self,
        reference: Reference,
        credential: Credential,
        digest: str = "",
        *,
        whole: bool = False,
        known: ManifestInfo | None = None,
        expected: str = "",
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> ManifestInfo | Evidence:
        assert reference == REF
        self.retries.add(retry_policy.retries)
        count = sum(not name for name, _ in self.asked)
        self.asked.append((digest, whole))
        return self._give(self.children[digest] if digest else self.tag[min(count, len(self.tag) - 1)])

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence:
        """By tag, or by digest as `GET /distribution/NAME@DIGEST/json` wants it."""
        name, _, child = reference.name.partition("@")
        assert (name, reference.tag) == (REF.name, "" if child else REF.tag)
        return self.manifest(REF, credential, child)


PATIENCE = tuple(pauses(VERIFY_TIMEOUT))


@dataclass
class Looked:
    verification: Verification
    registry: Asked
    engine: Asked
    pauses: list[float]


def look(
    *registry: Answer,
    engine: Sequence[Answer] = (),
    children: Mapping[str, Answer] | None = None,
    engine_children: Mapping[str, Answer] | None = None,
    known: tuple[str, ...] = (),
    whole: bool = False,
    same: ManifestInfo | None = None,
    retry_policy: RetryPolicy = NO_RETRIES,
    seconds: float = VERIFY_TIMEOUT,
) -> Looked:
    asked, asked_engine, pauses = Asked(registry, children or {}), Asked(engine, engine_children or {}), list[float]()
    tag = Look(REF, logged_in(), asked, asked_engine, whole, known, same, retry_policy)
    return Looked(tag.verify(PUSHED, seconds=seconds, sleep=pauses.append), asked, asked_engine, pauses)


# ---------------------------------------------------------------------- the registry itself


def test_the_same_digest_is_verified_at_once() -> None:
    found = look(manifest())
    assert found.verification == Verified(manifest(), "registry")
    assert (found.registry.asked, found.engine.asked, found.pauses) == ([("", False)], [], [])


@pytest.mark.parametrize(
    ("answers", "verification"),
    [
        ([NOT_FOUND], Missing(str(REF))),
        ([manifest(OLD)], Mismatch(PUSHED, OLD)),
        ([NOT_FOUND, NOT_FOUND, manifest(OLD)], Mismatch(PUSHED, OLD)),
        ([answer(500, "busy")], NotChecked("the registry answers 500 busy", transient=True)),
    ],
    ids=["missing", "mismatch", "first-missing-then-mismatch", "server-error"],
)
def test_what_is_not_there_is_looked_for_until_patience_ends(answers: list[Answer], verification: Verification) -> None:
    found = look(*answers)
    assert found.verification == verification
    assert found.pauses == list(PATIENCE)
    assert len(found.registry.asked) == len(PATIENCE) + 1
    assert found.engine.asked == []


@pytest.mark.parametrize("looks", range(1, len(PATIENCE) + 1))
@pytest.mark.parametrize("before", [NOT_FOUND, manifest(OLD), answer(500)], ids=["missing", "older", "server-error"])
def test_a_slow_registry_is_waited_for(before: Answer, looks: int) -> None:
    found = look(*[before] * looks, manifest())
    assert found.verification == Verified(manifest(), "registry")
    assert found.pauses == list(PATIENCE[:looks])


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_busy_registry_was_asked_again_by_then(status: int) -> None:
    found = look(answer(status, "busy"), engine=(DOWN,), retry_policy=RetryPolicy(2))
    assert found.verification == NotChecked(f"the registry answers {status} busy; {DOWN}")
    assert (found.registry.retries, found.pauses) == ({2}, [])


@pytest.mark.parametrize(
    ("same", "asked"),
    [(INDEX, [""]), (INDEX._replace(digest=OLD), ["", sha("1"), sha("2")]), (None, ["", sha("1"), sha("2")])],
    ids=["known", "another", "nothing"],
)
def test_what_another_tag_was_verified_to_name_is_not_looked_through_again(
    same: ManifestInfo | None, asked: list[str]
) -> None:
    found = look(INDEX, children={digest: manifest(digest) for digest in INDEX.children}, same=same)
    assert found.verification == Verified(INDEX, "registry")
    assert [digest for digest, _ in found.registry.asked] == asked


def test_another_digest_than_the_pushed_one_is_a_mismatch_even_if_it_is_known() -> None:
    found = look(manifest(OLD), same=manifest(OLD))
    assert found.verification == Mismatch(PUSHED, OLD)


@pytest.mark.parametrize("seconds", [0, 0.1, 0.25, 1, 8, 15, 600])
def test_pauses_grow_and_come_to_the_time_that_there_is(seconds: float) -> None:
    found = list(pauses(seconds))
    assert sum(found) == pytest.approx(seconds)
    assert found[:-1] == sorted(found[:-1])
    assert max(found, default=0) <= 4
    assert found[:3] == [0.25, 0.5, 1.0] or seconds < 1.75


LATE: dict[str, tuple[Answer, str]] = {
    "missing": (NOT_FOUND, "does not show team/app:1 yet"),
    "older": (manifest(OLD), f"still names {OLD} where '1' was pushed"),
    "server-error": (answer(500), "does not say what '1' names: the registry answers 500"),
}


@pytest.mark.parametrize(("before", "why"), LATE.values(), ids=LATE)
def test_who_waits_for_long_is_told_of_it(before: Answer, why: str) -> None:
    waits: list[Wait] = []
    look(*[before] * 5, manifest(), retry_policy=RetryPolicy(0, waits.append))
    assert waits == [Wait("registry.test", why, seconds) for seconds in (1.0, 2.0, 4.0)]


def test_the_time_is_that_of_the_settings() -> None:
    assert look(NOT_FOUND, seconds=0).pauses == []
    assert sum(look(NOT_FOUND, seconds=40).pauses) == 40


# ---------------------------------------------------------------------- an index and its children

GOOD = {sha("1"): manifest(sha("1")), sha("2"): manifest(sha("2"))}


def test_an_index_is_verified_with_every_child() -> None:
    found = look(INDEX, children=GOOD)
    assert found.verification == Verified(INDEX, "registry")
    assert [name for name, _ in found.registry.asked] == ["", sha("1"), sha("2")]


INNER = ManifestInfo(sha("2"), OCI_INDEX, (ARM64,), (sha("3"),))


def test_an_index_in_an_index_is_looked_into() -> None:
    children = {sha("1"): manifest(sha("1")), sha("2"): INNER, sha("3"): manifest(sha("3"))}
    found = look(INDEX, children=children)
    assert isinstance(found.verification, Verified)
    assert [digest for digest, _ in found.registry.asked] == ["", sha("1"), sha("2"), sha("3")]
    lost = look(INDEX, children={**children, sha("3"): NOT_FOUND})
    assert lost.verification == Missing(f"{sha('3')}, which the index of {REF} names")


@pytest.mark.parametrize(
    ("second", "verification", "waits"),
    [
        (NOT_FOUND, Missing(f"{sha('2')}, which the index of {REF} names"), True),
        (manifest(sha("3")), Mismatch(sha("2"), sha("3")), True),
        (answer(500), NotChecked(f"the registry answers 500 for {sha('2')}", transient=True), True),
        (answer(403), NotChecked(f"the registry answers 403 for {sha('2')}"), False),
    ],
    ids=["missing", "mismatch", "server-error", "refused"],
)
def test_an_index_without_one_of_its_children_is_not_verified(
    second: Answer, verification: Verification, waits: bool
) -> None:
    found = look(INDEX, children={**GOOD, sha("2"): second})
    assert found.verification == verification
    assert found.pauses == (list(PATIENCE) if waits else [])


def test_the_children_of_another_index_are_not_asked_for() -> None:
    other = ManifestInfo(OLD, OCI_INDEX, (AMD64,), (sha("9"),))
    found = look(other)
    assert found.verification == Mismatch(PUSHED, OLD)
    assert {name for name, _ in found.registry.asked} == {""}


def test_read_whole_the_manifest_tells_the_sizes_of_its_layers() -> None:
    layers = ((sha("a"), 10), (sha("b"), 20))
    found = look(manifest(PUSHED, *layers), whole=True)
    assert isinstance(found.verification, Verified)
    assert found.verification.manifest.layers == layers
    assert found.registry.asked == [("", True)]


def test_read_whole_an_index_tells_the_sizes_of_all_its_childrens_layers() -> None:
    children = {sha("1"): manifest(sha("1"), (sha("a"), 10)), sha("2"): manifest(sha("2"), (sha("b"), 20))}
    found = look(INDEX, children=children, whole=True)
    assert isinstance(found.verification, Verified)
    assert found.verification.manifest.layers == ((sha("a"), 10), (sha("b"), 20))
    assert {whole for _, whole in found.registry.asked} == {True}


# ---------------------------------------------------------------------- through the engine


@pytest.mark.parametrize(
    "closed", [AWAY, answer(401, "unauthorized"), answer(403), answer(429)], ids=["away", "401", "403", "429"]
)
@pytest.mark.parametrize(
    ("through", "verification"),
    [
        (manifest(), Verified(manifest(), "engine")),
        (manifest(OLD), Mismatch(PUSHED, OLD)),
        (NOT_FOUND, Missing(str(REF))),
    ],
    ids=["there", "other", "missing"],
)
def test_where_the_registry_does_not_tell_us_the_engine_is_asked(
    closed: Answer, through: Answer, verification: Verification
) -> None:
    found = look(closed, engine=[through])
    assert found.verification == verification
    assert len(found.engine.asked) == len(found.registry.asked)


BARE = INDEX._replace(children=())
"""The index as an engine tells of it."""


@pytest.mark.parametrize(
    ("second", "verification"),
    [
        (manifest(sha("2")), Verified(INDEX, "engine")),
        (NOT_FOUND, Missing(f"{sha('2')}, which the index of {REF} names")),
        (manifest(sha("3")), Mismatch(sha("2"), sha("3"))),
        (answer(500), NotChecked(f"through the engine the answer is 500 for {sha('2')}", transient=True)),
        (answer(403), NotChecked(f"through the engine the answer is 403 for {sha('2')}")),
        (DOWN, NotChecked("registry.test: connection refused; no engine answers")),
    ],
    ids=["there", "missing", "mismatch", "server-error", "refused", "down"],
)
@pytest.mark.parametrize("away", ["at once", "between the children"])
def test_through_the_engine_every_child_of_an_index_is_asked_for(
    away: str, second: Answer, verification: Verification
) -> None:
    """Its digests are those of the pushed image, or were read before the registry went away."""
    through = {**GOOD, sha("2"): second}
    if away == "at once":
        found = look(AWAY, engine=[BARE], engine_children=through, known=INDEX.children)
    else:
        found = look(INDEX, children={**GOOD, sha("2"): AWAY}, engine=[BARE], engine_children=through)
    assert found.verification == verification
    assert [name for name, _ in found.engine.asked][:3] == ["", sha("1"), sha("2")]


def test_an_index_whose_children_nobody_knows_is_not_verified_through_the_engine() -> None:
    found = look(AWAY, engine=[BARE])
    why = "registry.test: connection refused; through the engine: the index is there, but not what it names"
    assert found.verification == NotChecked(why)
    assert found.pauses == []


def test_another_index_through_the_engine_is_a_mismatch() -> None:
    assert look(AWAY, engine=[BARE._replace(digest=OLD)]).verification == Mismatch(PUSHED, OLD)


def test_one_platform_of_an_index_has_no_children_to_ask_for() -> None:
    found = look(AWAY, engine=[manifest()], known=INDEX.children)
    assert found.verification == Verified(manifest(), "engine")


@pytest.mark.parametrize(
    ("closed", "through", "why"),
    [
        (AWAY, DOWN, "registry.test: connection refused; no engine answers"),
        (answer(401, "unauthorized"), DOWN, "the registry answers 401 unauthorized; no engine answers"),
        (answer(403), answer(403, "denied"), "the registry answers 403; through the engine: denied"),
    ],
    ids=["both-away", "refused-and-down", "both-refuse"],
)
def test_what_nobody_tells_is_not_checked_and_says_why(closed: Answer, through: Answer, why: str) -> None:
    found = look(closed, engine=[through])
    assert found.verification == NotChecked(why)
    assert found.pauses == []


def test_an_error_of_the_engines_own_is_asked_about_again() -> None:
    found = look(AWAY, engine=[answer(500, "no such host")])
    why = "registry.test: connection refused; through the engine: no such host"
    assert found.verification == NotChecked(why, transient=True)
    assert found.pauses == list(PATIENCE)


def test_a_bug_in_a_gateway_is_not_taken_for_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        look(ZeroDivisionError())


# ---------------------------------------------------------------------- the platforms that were asked for

ARM_V6, ARM_V7 = (Platform("linux", "arm", variant) for variant in ("v6", "v7"))
OLD_WINDOWS, NEW_WINDOWS = (Platform("windows", "amd64", "", build) for build in ("10.0.17763.1", "10.0.20348.1"))
CHILDREN = {sha("1"): manifest(sha("1")), sha("2"): manifest(sha("2"))}
WHOLE = ManifestInfo(PUSHED, OCI_MANIFEST, layers=((sha("5"), 9),), config=sha("6"))


def look_for(
    *wanted: Platform, tag: Answer, config: ImageConfig | Exception | Evidence | None = None, whole: Answer = WHOLE
) -> Verification:
    registry = Asked([tag], {**CHILDREN, PUSHED: whole}, configs={sha("6"): config or ImageConfig()})
    return Look(REF, logged_in(), registry, Asked([DOWN])).verify(PUSHED, wanted, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("held", "wanted", "lost"),
    [
        ((AMD64, ARM64), (AMD64, ARM64), ""),
        ((AMD64, ARM64, ARM_V7), (AMD64, Platform("linux", "arm64", "v8"), Platform("linux", "arm")), ""),
        ((AMD64, ARM_V7), (AMD64, ARM_V6), "linux/arm/v6"),
        ((OLD_WINDOWS,), (NEW_WINDOWS,), "windows/amd64 (10.0.20348.1)"),
        ((AMD64,), (AMD64, ARM64), "linux/arm64"),
    ],
    ids=["all", "variants-that-are-one", "another-variant", "another-windows", "one-is-missing"],
)
def test_an_index_has_every_platform_that_was_asked_for(
    held: tuple[Platform, ...], wanted: tuple[Platform, ...], lost: str
) -> None:
    index = INDEX._replace(platforms=held)
    found = look_for(*wanted, tag=index)
    if lost:
        assert isinstance(found, Missing)
        assert found.what.startswith(f"{lost}, which was asked for: {REF} is for ")
    else:
        assert found == Verified(index, "registry")


def test_a_single_manifest_is_for_the_platform_of_its_config() -> None:
    found = look_for(ARM64, tag=manifest(), config=ImageConfig(ARM64))
    assert isinstance(found, Verified)
    assert found.manifest.platforms == (ARM64,)
    assert look_for(ARM64, tag=manifest(), config=ImageConfig(AMD64)) == Missing(
        f"linux/arm64, which was asked for: {REF} is for linux/amd64"
    )


@pytest.mark.parametrize("config", [ImageConfig(), answer(403), AWAY], ids=["of-no-platform", "refused", "away"])
def test_a_platform_that_nobody_tells_is_not_verified(config: ImageConfig | Exception | Evidence) -> None:
    found = look_for(AMD64, tag=manifest(), config=config)
    assert isinstance(found, NotChecked)
    assert PUSHED in found.why


def test_a_manifest_that_is_not_shown_again_tells_no_platform() -> None:
    assert isinstance(look_for(AMD64, tag=manifest(), whole=answer(403)), NotChecked)


def test_another_digest_is_no_matter_of_platforms() -> None:
    assert look_for(ARM64, tag=manifest(OLD)) == Mismatch(PUSHED, OLD)
