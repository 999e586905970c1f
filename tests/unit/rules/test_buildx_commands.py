"""Which builder is taken, what is said of buildx, and the commands; and when buildx is looked at at all."""

from __future__ import annotations

from pushsafe.engine import kinds
from pushsafe.model.facts import Builder, Buildx, LocalImage, Upcoming
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.rules.buildx_commands import INSTALL, NEW_BUILDER, Way, best, build, copy, instead, needed, widened
from tests.unit.rules.facts import facts, held, image
from tests.values import AMD64, ARM64, OCI_INDEX, ref, sha

REFS = (ref("registry.test/app:1"), ref("registry.test/app:2"))
BOTH = (AMD64, ARM64)
REST = "--platform linux/amd64,linux/arm64 -t registry.test/app:1 -t registry.test/app:2 --push ."
PLAIN = f"docker buildx build {REST}"

CLASSIC = Builder("default", "docker", BOTH, current=True)
NATIVE = Builder("native", "docker-container", (AMD64,), several=True)
FARM = Builder("farm", "remote", BOTH, several=True)
ASLEEP = Builder("asleep", "docker-container", several=True)
DEAD = Builder("dead", "docker", BOTH, several=True, problem="Cannot connect to the Docker daemon")
ODD = Builder("a; rm -rf ~", "remote", BOTH, several=True)


def test_the_best_builder() -> None:
    for builders, found in (
        ((CLASSIC, NATIVE, FARM), FARM),
        ((CLASSIC, ASLEEP, NATIVE), NATIVE),
        ((FARM, FARM._replace(name="mine", current=True)), FARM._replace(name="mine", current=True)),
        ((CLASSIC, ASLEEP), ASLEEP),
        ((CLASSIC, DEAD, ODD), None),
        ((), None),
    ):
        assert best(builders, BOTH) == found, builders


def test_the_build() -> None:
    for buildx, way in (
        (None, Way(PLAIN)),
        (Buildx(problem="buildx is not installed"), Way(PLAIN, f"buildx is not installed: {INSTALL}")),
        (Buildx("0.12", problem="buildx 0.12 is too old"), Way(PLAIN, "buildx 0.12 is too old")),
        (
            Buildx("0.29.1", (CLASSIC,)),
            Way(
                f"{NEW_BUILDER} && docker buildx build --builder multi-platform {REST}",
                "buildx 0.29.1 has no builder that can do it, so one is made first",
            ),
        ),
        (
            Buildx("0.29.1", (CLASSIC, FARM)),
            Way(
                f"docker buildx build --builder farm {REST}",
                "buildx 0.29.1 has a builder for it, 'farm' (driver remote)",
            ),
        ),
        (
            Buildx("0.29.1", (NATIVE._replace(current=True),)),
            Way(
                PLAIN,
                "buildx 0.29.1 has a builder for it, 'native' (driver docker-container); without emulation it runs no "
                "program of linux/arm64, only copies files",
            ),
        ),
    ):
        assert build(REFS, BOTH, buildx) == way, buildx


ONE, TWO = REFS
ELSEWHERE = ref("other.test/app:1")


def test_a_copy_needs_no_builder() -> None:
    for buildx in (None, Buildx("0.29.1", (CLASSIC,))):
        copied = "docker buildx imagetools create -t"
        assert copy((ONE,), "base@sha256:1", buildx) == Way(f"{copied} {ONE} base@sha256:1"), buildx
        assert copy((ONE, ELSEWHERE, TWO, ref("registry.test/app:3")), "base@sha256:1", buildx).command.split(
            " && "
        ) == [
            f"{copied} {ONE} base@sha256:1",
            f"{copied} {TWO} -t registry.test/app:3 {ONE}",
            f"{copied} {ELSEWHERE} base@sha256:1",
        ], buildx


def test_a_copy_needs_no_buildx() -> None:
    found = copy(REFS, "base@sha256:1", Buildx(problem="buildx is not installed"))
    command = f"docker pushsafe index -t {ONE} -t {TWO} base@sha256:1"
    assert found == Way(command, "buildx is not installed, and is not needed for this")


GIVEN = "registry.test/app:1"
SOURCE = (f"docker.io/library/base@{sha('e')}", ManifestInfo(sha("e"), OCI_INDEX, BOTH))
HALF = LocalImage(sha("a"), (AMD64,), (ARM64,))


def test_when_buildx_is_looked_at() -> None:
    for fact, looked_at in (
        (facts(GIVEN, store=kinds.CLASSIC, image=image("a"), platforms=BOTH), True),
        (facts(GIVEN, store=kinds.CLASSIC, image=image("a"), source=SOURCE), True),
        (facts(GIVEN, store=kinds.CONTAINERD, image=HALF), True),
        (facts(GIVEN, image=image("a", AMD64), now=held("b", AMD64, ARM64)), True),
        (facts(GIVEN, image=image("a", AMD64), now=held("b", ARM64)), True),
        (facts(GIVEN, store=kinds.CONTAINERD, image=HALF, platforms=(AMD64,)), False),
        (facts(GIVEN, store=kinds.CLASSIC, image=image("a")), False),
        (facts(GIVEN, image=image("a", AMD64, ARM64), now=held("b", AMD64, ARM64)), False),
        (facts(GIVEN, image=Upcoming(BOTH), now=held("b", AMD64, ARM64)), False),
        (facts(GIVEN), False),
    ):
        assert needed(fact) is looked_at, fact


def test_what_a_guarded_build_has_to_change() -> None:
    for builders, change in (
        ((CLASSIC, FARM), "the same again with --builder farm"),
        (
            (CLASSIC, CLASSIC._replace(name="prod", several=True, current=False)),
            "the same again as docker --context prod pushsafe buildx ...   (without --builder)",
        ),
        ((CLASSIC,), f"{NEW_BUILDER}   (then the same again with --builder multi-platform)"),
    ):
        assert instead(builders, BOTH) == change, change


def test_an_engine_is_chosen_as_one() -> None:
    prod = CLASSIC._replace(name="prod", several=True, current=False)
    assert build(REFS, BOTH, Buildx("0.29.1", (CLASSIC, prod))).command == f"docker --context prod buildx build {REST}"


def test_more_platforms_under_a_tag() -> None:
    for fact, command in (
        (facts(GIVEN, image=image("a")), f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push ."),
        (
            facts(GIVEN, image=Upcoming((AMD64,)), buildx=Buildx("0.29.1")),
            "the same again with --platform linux/amd64,linux/arm64",
        ),
        (facts(GIVEN, image=Upcoming((AMD64,))), "the same again with an image for linux/arm64"),
    ):
        assert widened(fact, BOTH, (ARM64,)) == command, command
