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
PROD = Builder("prod", "docker", BOTH, several=True)


def having(*builders: Builder) -> Buildx:
    return Buildx("0.29.1", builders)


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
    made = f"{NEW_BUILDER} && docker buildx build --builder multi-platform {REST}"
    has_one = "buildx 0.29.1 has a builder for it, "
    files_only = "without emulation it runs no program of linux/arm64, only copies files"
    for buildx, way in (
        (None, Way(PLAIN)),
        (Buildx(problem="buildx is not installed"), Way(PLAIN, f"buildx is not installed: {INSTALL}")),
        (Buildx("0.12", problem="buildx 0.12 is too old"), Way(PLAIN, "buildx 0.12 is too old")),
        (having(CLASSIC), Way(made, "buildx 0.29.1 has no builder that can do it, so one is made first")),
        (having(CLASSIC, FARM), Way(f"docker buildx build --builder farm {REST}", f"{has_one}'farm' (driver remote)")),
        (
            having(NATIVE._replace(current=True)),
            Way(PLAIN, f"{has_one}'native' (driver docker-container); {files_only}"),
        ),
        (having(CLASSIC, PROD), Way(f"docker --context prod buildx build {REST}", f"{has_one}'prod' (driver docker)")),
    ):
        assert build(REFS, BOTH, buildx) == way, buildx


ONE, TWO = REFS
ELSEWHERE = ref("other.test/app:1")


def test_a_copy_needs_no_builder() -> None:
    """The first tag of a registry is copied to, the others from there."""
    copied = "docker buildx imagetools create -t"
    for buildx in (None, having(CLASSIC)):
        assert copy((ONE,), "base@sha256:1", buildx) == Way(f"{copied} {ONE} base@sha256:1"), buildx
        several = copy((ONE, ELSEWHERE, TWO, ref("registry.test/app:3")), "base@sha256:1", buildx)
        commands = (f"{ONE} base@sha256:1", f"{TWO} -t registry.test/app:3 {ONE}", f"{ELSEWHERE} base@sha256:1")
        assert several.command == " && ".join(f"{copied} {command}" for command in commands), buildx


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
    context = "the same again as docker --context prod pushsafe buildx ...   (without --builder)"
    assert instead((CLASSIC, FARM), BOTH) == "the same again with --builder farm"
    assert instead((CLASSIC, PROD), BOTH) == context
    assert instead((CLASSIC,), BOTH) == f"{NEW_BUILDER}   (then the same again with --builder multi-platform)"


def test_more_platforms_under_a_tag() -> None:
    upcoming = facts(GIVEN, image=Upcoming((AMD64,)))
    built = f"docker buildx build --platform linux/amd64,linux/arm64 -t {GIVEN} --push ."
    for fact, command in (
        (facts(GIVEN, image=image("a")), built),
        (upcoming._replace(buildx=having()), "the same again with --platform linux/amd64,linux/arm64"),
        (upcoming, "the same again with an image for linux/arm64"),
    ):
        assert widened(fact, BOTH, (ARM64,)) == command, command
