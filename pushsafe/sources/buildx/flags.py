"""The arguments of `docker buildx build` and `bake`, read as buildx does; what cannot be checked is refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

from pushsafe.model.errors import UsageError
from pushsafe.model.request import BakeTarget, Target
from pushsafe.oci.platform import Platform, read
from pushsafe.oci.reference import BadReference, Reference, parse
from pushsafe.runtime.redact import clean

Command = Literal["build", "bake"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# docker/buildx `commands/build.go`, `bake.go` and `root.go`, with hidden and removed flags.
_OF_BOTH = _words("allow builder call metadata-file policy progress provenance sbom")
_VALUES: Mapping[Command, frozenset[str]] = {
    "build": _OF_BOTH
    | _words(
        "add-host annotation attest build-arg build-context cache-from cache-to cgroup-parent cpu-period cpu-quota "
        "cpu-shares cpuset-cpus cpuset-mems file iidfile invoke isolation label memory memory-swap network "
        "no-cache-filter output platform print resource root secret security-opt server-config shm-size ssh tag target "
        "ulimit"
    ),
    "bake": _OF_BOTH | _words("execution file jobs list set var"),
}
_SWITCHES: Mapping[Command, frozenset[str]] = {
    "build": _words("check compress debug detach force-rm help load no-cache pull push quiet rm squash"),
    "bake": _words("check debug help list-targets list-variables load no-cache print pull push"),
}
_SHORT: Mapping[Command, Mapping[str, str]] = {
    "build": {
        "D": "debug",
        "c": "cpu-shares",
        "f": "file",
        "h": "help",
        "m": "memory",
        "o": "output",
        "q": "quiet",
        "t": "tag",
    },
    "bake": {"D": "debug", "f": "file", "h": "help", "j": "jobs"},
}
# Go's strconv.ParseBool.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_RULE = re.compile(r"PS\d{3}", re.IGNORECASE)
# containerd/platforms `database.go`, for a platform of one word.
_SYSTEMS = _words(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos"
)
_SYSTEM = re.compile(r"([\w-]+)(?:\(([\w.+-]*)\))?", re.ASCII)
_ARCHITECTURES = _words(
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 "
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm i386 x86_64 x86-64 aarch64 armhf armel"
)

_PUSHES = "what is built is pushed"
_WITHOUT = "leave it out"
# In docker's documentation, runners for each platform push by digest, and another job assembles the index.
_NO_TAG = "push-by-digest pushes an image without a tag, and docker pushsafe reads back tags"
_INDEX = "-t NAME:TAG-ARCH for each platform, then docker pushsafe index -t NAME:TAG NAME:TAG-ARCH NAME:TAG-ARCH"


class UnknownFlag(UsageError):
    """An unknown flag of buildx: `name` with its dashes."""

    def __init__(self, name: str) -> None:
        shown = clean(name)
        super().__init__(
            f"docker pushsafe does not know whether {shown} takes a value", f"{shown}=VALUE, in one word, passes"
        )
        self.name = name


class BuildArguments(NamedTuple):
    """The arguments of one build; buildx gets `flags`, and `rest` from a `--` on.

    `platforms` are unparsed, `None` without the flag. `reads_definition`: bake's definition comes from standard input.
    `caches`: where the cache is written to.
    """

    command: Command
    flags: tuple[str, ...]
    rest: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] | None = None
    builder: str = ""
    metadata_file: str = ""
    reads_definition: bool = False
    caches: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return self.flags + self.rest


def read_arguments(words: Sequence[str], ours: Container[str] = ()) -> BuildArguments:
    """Read the words after `docker buildx`; without `build` or `bake` they are a build's.

    Raises UsageError: UnknownFlag for a flag that might take a value, and for one of `ours`, which buildx lacks.
    """
    command, buildxs = _command(tuple(words))
    given, plain, end = _parse(command, buildxs, ours)
    _require_a_push(command, given)
    metadata_file = _last(given, "metadata-file")
    if metadata_file == "":
        raise UsageError("--metadata-file names no file", _WITHOUT)
    found = BuildArguments(
        command,
        buildxs[:end],
        buildxs[end:],
        tags=tuple(given.get("tag", ())),
        platforms=tuple(given["platform"]) if "platform" in given else None,
        builder=_last(given, "builder") or "",
        metadata_file=metadata_file or "",
        reads_definition=command == "bake" and "-" in given.get("file", ()),
        caches=tuple(given.get("cache-to", ())),
    )
    if command == "build" and not found.tags:
        raise UsageError("the build has no tag that could be pushed", "-t REGISTRY/NAMESPACE/NAME:TAG")
    if command == "build" and len(plain) != 1:
        many = f"{len(plain)} contexts" if plain else "no context"  # a URL among them may hold a password
        raise UsageError(f"the build has {many}, and takes one", "a folder, e.g. . or a URL, or - for standard input")
    return found


def build_target(found: BuildArguments, default: str, here: Platform) -> tuple[Target, tuple[BadReference, ...]]:
    """A build's target, and its invalid tags. `default` is the environment's platform."""
    references, bad = _references(found.tags)
    if found.platforms is not None or not default:
        return Target(references, read_platforms(found.platforms or (), here)), bad
    try:
        return Target(references, read_platforms((default,), here)), bad
    except UsageError as error:
        raise UsageError(f"DOCKER_DEFAULT_PLATFORM: {error.message}", "unset DOCKER_DEFAULT_PLATFORM") from error


def bake_targets(shown: Iterable[BakeTarget], here: Platform) -> tuple[tuple[Target, ...], tuple[BadReference, ...]]:
    """Bake's targets, and their invalid tags; targets that only feed the cache are left out."""
    targets: list[Target] = []
    wrong: list[BadReference] = []
    by: dict[str, str] = {}
    for target in shown:
        if target.outputs and set(target.outputs) == {"cacheonly"}:
            continue
        _require_a_pushed_target(target)
        references, bad = _references(target.tags)
        wrong += bad
        for reference in map(str, references):
            if by.setdefault(reference, target.name) != target.name:
                raise UsageError(f"the targets {by[reference]!r} and {target.name!r} would both push {reference}")
        targets.append(Target(references, read_platforms(target.platforms, here), target.name))
    if not targets:
        raise UsageError("bake has no target that pushes anything", "docker buildx bake --print")
    return tuple(targets), tuple(wrong)


def frozen(found: BuildArguments, targets: Iterable[Target]) -> tuple[str, ...]:
    """The words of a bake that pushes exactly these tags, even if its definition has changed since.

    docker/buildx `bake/bake.go`, `newOverrides`: the values for a target replace the definition's.
    """
    tags = (f"{target.name}.tags={reference.given}" for target in targets for reference in target.references)
    return (*found.flags, *(word for tag in tags for word in ("--set", tag)), *found.rest)


def cache_references(texts: Iterable[str], pushed: Iterable[Reference]) -> tuple[Reference, ...]:
    """The tags that a cache is written to. Raises UsageError where one of them is also `pushed`.

    docker/buildx `util/buildflags/cache.go`: fields of CSV, or references alone.
    """
    read = (parse(name) for text in texts for name in _cache_names(text))
    found = {str(one): one for one in read if isinstance(one, Reference)}
    if both := next((name for name in map(str, pushed) if name in found), ""):
        raise UsageError(
            f"--cache-to {both}: the cache would take the place of the image that is pushed there",
            f"a tag of its own for the cache, e.g. {found[both].name}:buildcache",
        )
    return tuple(found.values())


def read_platforms(texts: Iterable[str], here: Platform) -> tuple[Platform, ...]:
    """The platforms of `--platform`, lists included; `here` is this machine's. Raises UsageError."""
    found = []
    for item in (item for text in texts for item in text.split(",")):
        platform = _platform(item, here)
        if platform is None:
            raise UsageError(f"{item!r} is not a platform", "--platform OS/ARCH[/VARIANT], e.g. linux/arm64")
        found.append(platform)
    return tuple(dict.fromkeys(found))


def _command(words: tuple[str, ...]) -> tuple[Command, tuple[str, ...]]:
    """The command and its words; global flags may precede its name."""
    at = 0
    while at < len(words):
        if words[at] in ("build", "bake"):
            return cast(Command, words[at]), (*words[:at], *words[at + 1 :])
        if words[at] == "--builder":
            at += 2
        elif words[at].startswith("--builder=") or words[at] in ("-D", "--debug"):
            at += 1
        else:
            break
    return "build", words


def _parse(command: Command, words: Sequence[str], ours: Container[str]) -> tuple[dict[str, list[str]], list[str], int]:
    """Each flag's values in order (a switch's are true or false), the plain words, and where flags end.

    As spf13/pflag's `parseArgs`.
    """
    given: dict[str, list[str]] = {}
    plain: list[str] = []
    rest = list(words)
    end = len(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            plain += rest
            end -= len(rest) + 1
            break
        if len(word) < 2 or not word.startswith("-"):
            plain.append(word)
            continue
        pairs = _long(command, word, rest, ours) if word.startswith("--") else _short(command, word, rest)
        for name, value in pairs:
            given.setdefault(name, []).append(value)
    return given, plain, end


def _long(command: Command, word: str, rest: list[str], ours: Container[str]) -> list[tuple[str, str]]:
    name, has_value, value = word[2:].partition("=")
    if name in _SWITCHES[command]:
        return [(name, value if has_value else "true")]
    if name not in _VALUES[command] and (not has_value or f"--{name}" in ours):
        raise UnknownFlag(f"--{name}")
    return [(name, value if has_value else _next(f"--{name}", rest))]


def _short(command: Command, word: str, rest: list[str]) -> list[tuple[str, str]]:
    """Short flags in a row, the last of which may take a value: `-qt TAG`, `-tTAG`, `-t=TAG`."""
    given: list[tuple[str, str]] = []
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = _SHORT[command].get(letter)
        has_value = len(letters) > 1 and letters[0] == "="
        if name is None:
            if has_value:
                return given
            raise UnknownFlag(f"-{letter}")
        if has_value:
            return [*given, (name, letters[1:])]
        if name in _VALUES[command]:
            return [*given, (name, letters or _next(f"-{letter}", rest))]
        given.append((name, "true"))
    return given


def _next(flag: str, rest: list[str]) -> str:
    if not rest:
        raise UsageError(f"{flag} lacks its value", "docker buildx build --help")
    return rest.pop(0)


def _last(given: Mapping[str, Sequence[str]], name: str) -> str | None:
    return given[name][-1] if name in given else None


def _is_on(given: Mapping[str, Sequence[str]], name: str) -> bool | None:
    """The last value of a switch; `None` without it."""
    text = _last(given, name)
    if text is None:
        return None
    if text not in _BOOLEANS:
        raise UsageError(f"--{name} is true or false", f"--{name}")
    return _BOOLEANS[text]


def _require_a_push(command: Command, given: Mapping[str, Sequence[str]]) -> None:
    if _is_on(given, "help"):
        raise UsageError("--help asks for buildx's help, not for a build", f"docker buildx {command} --help")
    if rule := next((value for value in given.get("allow", ()) if _RULE.fullmatch(value)), None):
        raise UsageError(
            f"--allow {rule} is no option of docker buildx: those of docker pushsafe stand before --",
            f"docker pushsafe buildx --allow {rule} -- ...",
        )
    if _is_on(given, "push") is False:
        raise UsageError(f"--push=false: {_PUSHES}, that is what the checks are for", f"docker buildx {command}")
    if _is_on(given, "load"):
        # With both, the docker driver (buildx 0.29) pushes nothing, and may call that a success.
        raise UsageError(f"--load: {_PUSHES}, and buildx does not do both in one build", _WITHOUT)
    if "output" in given:
        raise _no_tagged_output(given["output"])
    called = _last(given, "call")
    # Also --print=false: it would override the --print with which we look up bake's targets.
    if _is_on(given, "check") or called not in (None, "", "build") or "print" in given:
        raise UsageError("--check, --call and --print build nothing", f"docker buildx {command}")
    if "list" in given or any(_is_on(given, name) for name in ("list-targets", "list-variables")):
        raise UsageError("--list builds nothing", "docker buildx bake --list=targets")


def _no_tagged_output(outputs: Sequence[str]) -> UsageError:
    """The error for -o, with the way to do what it asks for."""
    fields = [dict.fromkeys(map(str.strip, output.lower().split(","))) for output in outputs]
    if any("push-by-digest=true" in one for one in fields):
        return UsageError(f"-o, --output: {_NO_TAG}", _INDEX)
    if all(set(one) <= {"type=registry", "type=image", "push=true"} for one in fields):
        return UsageError(f"-o, --output: {_PUSHES} under its -t without it", _WITHOUT)
    return UsageError(
        f"-o, --output: {_PUSHES} under its -t, and nowhere else",
        "leave it out, or run docker buildx build -o for anything that is not a push",
    )


def _require_a_pushed_target(target: BakeTarget) -> None:
    hint = "docker buildx bake --print --push"
    if target.call not in ("", "build"):
        raise UsageError(f"the target {target.name!r} is called for {target.call!r}, which builds nothing", hint)
    if not target.tags:
        raise UsageError(f"the target {target.name!r} has no tags that could be pushed", hint)
    if "push-by-digest" in target.outputs:
        raise UsageError(f"the target {target.name!r}: {_NO_TAG}", _INDEX)
    if other := next((one for one in target.outputs if one != "registry"), ""):
        raise UsageError(f"the target {target.name!r} has the output {other!r}, which is no push of its tags", hint)
    if not target.outputs:
        raise UsageError(f"the target {target.name!r} has no output that pushes its tags", hint)


def _references(texts: Iterable[str]) -> tuple[tuple[Reference, ...], tuple[BadReference, ...]]:
    found = [parse(text) for text in texts]
    good = tuple(one for one in found if isinstance(one, Reference))
    return good, tuple(one for one in found if isinstance(one, BadReference))


def _cache_names(text: str) -> list[str]:
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error as error:
        raise UsageError("a --cache-to cannot be read", "--cache-to type=registry,ref=REF") from error
    if "=" not in text:
        return fields
    given = {name.lower(): value for name, _, value in (field.partition("=") for field in fields)}
    return [given["ref"]] if given.get("type") == "registry" and "ref" in given else []


def _platform(text: str, here: Platform) -> Platform | None:
    """One platform, as containerd/platforms `Parse` reads it, without spaces."""
    if text != text.strip():
        return None
    word = re.sub(r"^macos\b", "darwin", text.lower())
    if word == "local":
        return here
    if "/" in word:
        return read(word)
    system = _SYSTEM.fullmatch(word)
    if system is not None and system[1] in _SYSTEMS:
        return here._replace(os=system[1], os_version=system[2] or "")
    return Platform(here.os, word) if word in _ARCHITECTURES else None
