"""The arguments of docker buildx build and bake, as pflag reads them, and what is no guarded push."""

from __future__ import annotations

import re
import subprocess

import pytest

from pushsafe.model.errors import UsageError
from pushsafe.model.request import BakeTarget, Target
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import BadReference
from pushsafe.sources.buildx.flags import (
    BuildArguments,
    UnknownFlag,
    bake_targets,
    build_target,
    cache_references,
    frozen,
    read_arguments,
    read_platforms,
)
from tests import lab
from tests.values import AMD64, ARM64, ref

HERE = AMD64
T = "registry.test/team/app:1"
PUSHED = ("registry",)


def read(line: str) -> BuildArguments:
    return read_arguments(line.split())


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        ("-t a .", ["a"]),
        ("-ta .", ["a"]),
        ("-t=a .", ["a"]),
        ("--tag a .", ["a"]),
        ("--tag=a .", ["a"]),
        (". -t a", ["a"]),
        ("-t a -t b . --tag c", ["a", "b", "c"]),
        ("-qt a .", ["a"]),
        ("-qDta .", ["a"]),
        ("-q=false -t a .", ["a"]),
        ("-t a -- -t", ["a"]),
        ("-t a -f - -", ["a"]),
        ("-f -t -t a .", ["a"]),
        ("-f-t -t a .", ["a"]),
        ("--build-arg -t -t a .", ["a"]),
        ("--build-arg=-t=b -t a .", ["a"]),
        ("--label --tag=b -t a .", ["a"]),
        ("--no-cache -t a .", ["a"]),
        ("--no-cache=true -t a .", ["a"]),
        ("--provenance false -t a .", ["a"]),
        ("-c 512 -m 1g -t a .", ["a"]),
        ("--brand-new=x -t a .", ["a"]),
        ("-z=x -t a .", ["a"]),
        ("-t a= .", ["a="]),
        ("-t= .", ["="]),
    ],
)
def test_tags(line: str, tags: list[str]) -> None:
    found = read(line)
    assert list(found.tags) == tags
    assert found.words == tuple(line.split())


@pytest.mark.parametrize(
    ("line", "command", "words"),
    [
        ("-t a build", "build", "-t a build"),
        ("build -t a .", "build", "-t a ."),
        ("build -t a build", "build", "-t a build"),
        ("bake", "bake", ""),
        ("bake build", "bake", "build"),
        ("--builder x build -t a .", "build", "--builder x -t a ."),
        ("-D --builder=x bake app", "bake", "-D --builder=x app"),
        ("-t a ./bake", "build", "-t a ./bake"),
    ],
)
def test_the_command(line: str, command: str, words: str) -> None:
    found = read(line)
    assert (found.command, " ".join(found.words)) == (command, words)


def test_what_else_is_read() -> None:
    found = read("--builder x --metadata-file a -t a --platform linux/amd64,arm64 --metadata-file=b --platform=local .")
    assert (found.builder, found.metadata_file) == ("x", "b")
    assert found.platforms == ("linux/amd64,arm64", "local")
    assert read("-t a .").platforms is None
    assert read("bake -f - app").reads_definition
    assert not read("bake -f a.hcl app").reads_definition
    assert not read("-t a -f - .").reads_definition, "the Dockerfile is buildx's own to read"


@pytest.mark.parametrize("line", ["--brand-new x -t a .", "-zt a .", "bake --tag a", "bake -q"])
def test_a_flag_that_nobody_knows(line: str) -> None:
    with pytest.raises(UnknownFlag, match="does not know whether -") as error:
        read(line)
    assert error.value.hint.startswith(error.value.name)


def test_what_is_shown_of_it_is_clean() -> None:
    with pytest.raises(UnknownFlag) as error:
        read_arguments(["--\x1b[31mred", "x"])
    assert error.value.name == "--\x1b[31mred"
    assert "\x1b" not in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize("line", ["--timeout 5m -t a .", "--timeout=5m -t a .", "bake --timeout=5m"])
def test_a_flag_of_ours_that_buildx_does_not_have(line: str) -> None:
    with pytest.raises(UnknownFlag) as error:
        read_arguments(line.split(), {"--timeout", "--quiet", "--allow"})
    assert error.value.name == "--timeout"


def test_a_flag_of_ours_that_buildx_has_too() -> None:
    assert read_arguments(["--quiet=true", "--allow=network.host", "-t=a", "."], {"--quiet", "--allow"})


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("bake app", ""),
        ("bake app -- web", "-- web"),
        ("bake -f -- app", ""),
        ("bake --set -- -- -- app", "-- -- app"),
        ("bake --", "--"),
        ("-t a -- .", "-- ."),
    ],
)
def test_where_flags_end(line: str, rest: str) -> None:
    found = read(line)
    assert " ".join(found.rest) == rest
    assert found.words == tuple(line.removeprefix("bake ").split())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (".", "no tag"),
        ("", "no tag"),
        ("-t a", "no context"),
        ("-t a bake .", "2 contexts"),
        ("-t a -- . --push", "2 contexts"),
        (". -t", "-t lacks its value"),
        (". --tag", "--tag lacks its value"),
        ("-t a --load .", "--load"),
        ("-t a --load --load=1 .", "--load"),
        ("-t a -o type=image,name=b .", "--output: what is built is pushed under its -t, and nowhere else"),
        ("-t a -o out .", "and nowhere else"),
        ("-t a --output=type=registry .", "--output: what is built is pushed under its -t without it"),
        ("-t a --output type=image,push=true .", "under its -t without it"),
        ("-o type=image,push-by-digest=true,name-canonical=true,push=true .", "an image without a tag"),
        ("-t a -o type=local,dest=x -o push=true,Push-By-Digest=True,type=image .", "an image without a tag"),
        ("-t a --push=false .", "--push=false"),
        ("-t a --push=F --push=maybe .", "--push is true or false"),
        ("-t a --check .", "build nothing"),
        ("-t a --call=outline .", "build nothing"),
        ("-t a --print=outline .", "build nothing"),
        ("-t a . --help", "buildx's help"),
        ("-t a -h .", "buildx's help"),
        ("-t a --metadata-file= .", "names no file"),
        ("-t a --allow PS205 .", "no option of docker buildx"),
        ("-t a --allow=ps205 .", "stand before --"),
        ("bake --print", "build nothing"),
        ("bake --print=false", "build nothing"),
        ("bake --print=true --print=0", "build nothing"),
        ("-t a --print=false .", "build nothing"),
        ("bake --list targets", "builds nothing"),
        ("bake --list=targets", "builds nothing"),
        ("bake --list-targets", "builds nothing"),
        ("bake --load", "--load"),
        ("bake --push=0", "--push=false"),
        ("bake --check", "build nothing"),
    ],
)
def test_what_is_no_guarded_push(line: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)) as error:
        read(line)
    assert error.value.hint


def test_who_pushes_by_digest_is_told_of_the_command_that_makes_the_index() -> None:
    with pytest.raises(UsageError) as error:
        read("-o type=image,push-by-digest=true -t a .")
    assert "docker pushsafe index -t NAME:TAG " in error.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "-t a --push .",
        "-t a --load=false .",
        "-t a --push=false --push .",
        "-t a --call=build .",
        "-t a --check=false .",
        "-t a --allow network.host .",
        "bake --push",
        "bake --set a.args.print=--print app",
        "bake --set *.platform=linux/arm64 app",
    ],
)
def test_what_is_one(line: str) -> None:
    assert read(line)


@pytest.mark.parametrize("command", ["build", "bake"])
def test_every_flag_of_buildx_is_known(command: str) -> None:
    """The help of the real buildx names a type for each flag that takes a value."""
    program = lab.tool("docker-buildx")
    if program is None:
        pytest.skip("docker-buildx is not cached here: python -m tests.lab install")
    done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True)
    flags = re.findall(r"^ +(?:-(\w), )?--([\w-]+)(?: ([\w]+))?(?:  |$)", done.stdout, re.MULTILINE)
    assert len(flags) > 15
    tags = ["-t", "a", "."] if command == "build" else []
    refused = {"help", "load", "output", "call", "check", "print", "list"}
    for letter, name, value in flags:
        if name in refused:
            continue
        given = "true" if name in ("load", "push") else "x"
        for flag in (f"--{name}", f"-{letter}" if letter else f"--{name}"):
            words = [flag, given] if value else [flag]
            found = read_arguments([command, *words, *tags])
            assert list(found.tags) == (["x", "a"] if name == "tag" else ["a"] if tags else []), flag


# ---------------------------------------------------------------------- platforms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", [AMD64]),
        ("linux/amd64,linux/arm64", [AMD64, ARM64]),
        ("linux/arm64,linux/arm64", [ARM64]),
        ("Linux/ARM/v7", [Platform("linux", "arm", "v7")]),
        ("local", [HERE]),
        ("arm64", [ARM64]),
        ("linux", [AMD64]),
        ("x86_64", [Platform("linux", "x86_64")]),
        ("macos/arm64", [Platform("darwin", "arm64")]),
        ("darwin", [Platform("darwin", "amd64")]),
        ("windows(10.0.17763)/amd64", [Platform("windows", "amd64", "", "10.0.17763")]),
        ("windows(10.0.17763)", [Platform("windows", "amd64", "", "10.0.17763")]),
    ],
)
def test_platforms(text: str, expected: list[Platform]) -> None:
    assert list(read_platforms([text], HERE)) == expected


@pytest.mark.parametrize("text", ["", "linux/", "linux/amd64,", "linux/amd64, linux/arm64", "*", "myos", "a/b/c/d"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        read_platforms([text], HERE)


@pytest.mark.parametrize(
    ("line", "default", "expected"),
    [
        (f"-t {T} .", "", ()),
        (f"-t {T} .", "linux/arm64", (ARM64,)),
        (f"-t {T} --platform linux/amd64 .", "linux/arm64", (AMD64,)),
        (f"-t {T} --platform linux/amd64 --platform=arm64 .", "", (AMD64, ARM64)),
    ],
)
def test_a_build(line: str, default: str, expected: tuple[Platform, ...]) -> None:
    assert build_target(read(line), default, HERE) == (Target((ref(T),), expected), ())


def test_a_default_platform_that_is_none() -> None:
    with pytest.raises(UsageError, match="DOCKER_DEFAULT_PLATFORM: 'amd' is not a platform"):
        build_target(read(f"-t {T} ."), "amd", HERE)


def test_every_tag_that_cannot_be_read() -> None:
    target, bad = build_target(read(f"-t {T} -t team/BAD:1 -t a:b:c ."), "", HERE)
    assert target.references == (ref(T),)
    assert [item.given for item in bad] == ["team/BAD:1", "a:b:c"]


# ---------------------------------------------------------------------- bake


def test_bake() -> None:
    shown = (
        BakeTarget("app", (T,), ("linux/amd64", "arm64"), PUSHED),
        BakeTarget("base", (), (), ("cacheonly",)),
        BakeTarget("web", ("registry.test/team/web:1", "registry.test/team/web:2"), (), PUSHED),
    )
    targets, bad = bake_targets(shown, HERE)
    assert targets == (
        Target((ref(T),), (AMD64, ARM64), "app"),
        Target((ref("registry.test/team/web:1"), ref("registry.test/team/web:2")), (), "web"),
    )
    assert bad == ()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (BakeTarget("app", (), (), PUSHED), "'app' has no tags"),
        (BakeTarget("app", (T,), (), ()), "'app' has no output"),
        (BakeTarget("app", (T,), (), ("docker", "registry")), "'app' has the output 'docker'"),
        (BakeTarget("app", (T,), (), ("local",)), "'app' has the output 'local'"),
        (BakeTarget("app", (T,), (), ("push-by-digest",)), "'app': push-by-digest pushes an image without a tag"),
        (BakeTarget("app", (T,), (), ("image",)), "'app' has the output 'image'"),
        (BakeTarget("app", (T,), (), PUSHED, "check"), "'app' is called for 'check'"),
        (BakeTarget("app", (T,), (), ("cacheonly",)), "no target that pushes"),
    ],
)
def test_a_target_that_is_no_push(target: BakeTarget, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        bake_targets([target], HERE)


def test_two_targets_of_one_tag() -> None:
    shown = [
        BakeTarget(name, (tag,), (), PUSHED) for name, tag in (("a", "docker.io/team/app"), ("b", "team/app:latest"))
    ]
    with pytest.raises(UsageError, match=r"'a' and 'b' would both push docker\.io/team/app:latest"):
        bake_targets(shown, HERE)


def test_every_bad_tag_of_bake() -> None:
    shown = [BakeTarget("a", ("team/BAD:1",), (), PUSHED), BakeTarget("b", (T, "a:b:c"), (), PUSHED)]
    _, bad = bake_targets(shown, HERE)
    assert [item.given for item in bad if isinstance(item, BadReference)] == ["team/BAD:1", "a:b:c"]


def test_the_tags_of_bake_stay_what_they_were_seen_to_be() -> None:
    found = read("bake --set a.args.x=1 a -- b")
    targets = (Target((ref(T), ref("team/app")), (), "a"), Target((ref("team/web:1"),), (), "b"))
    assert " ".join(frozen(found, targets)) == (
        f"--set a.args.x=1 a --set a.tags={T} --set a.tags=team/app --set b.tags=team/web:1 -- b"
    ), "as they were written"


# ---------------------------------------------------------------------- caches

CACHE = "registry.test/team/app:cache"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"type=registry,ref={CACHE}", [CACHE]),
        (f"mode=max,REF={CACHE},type=registry", [CACHE]),
        (f'type=registry,"ref={CACHE}"', [CACHE]),
        (CACHE, [CACHE]),
        (f"{CACHE},team/cache", [CACHE, "docker.io/team/cache:latest"]),
        ("type=inline", []),
        (f"type=local,ref={CACHE},dest=out", []),
        ("type=registry,ref=team/BAD", []),
        ("type=registry", []),
        ("", []),
    ],
)
def test_where_a_cache_is_written_to(text: str, expected: list[str]) -> None:
    assert read_arguments(["-t", T, "--cache-to", text, f"--cache-to={text}", "."]).caches == (text, text)
    assert list(map(str, cache_references([text], [ref(T)]))) == expected


def test_a_cache_that_cannot_be_read() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        cache_references(["type=registry,ref=a\nb"], ())


@pytest.mark.parametrize("text", ["team/app", "type=registry,ref=docker.io/team/app:latest,mode=max"])
def test_a_cache_in_the_place_of_what_is_pushed(text: str) -> None:
    with pytest.raises(UsageError, match=r"docker\.io/team/app:latest: the cache would take the place") as error:
        cache_references([text], [ref(T), ref("team/app:latest")])
    assert error.value.hint.endswith("docker.io/team/app:buildcache")
