"""docker's plugin contract: global flags before our name, and completion requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pushsafe.model.errors import UsageError
from pushsafe.model.request import CLI_VARIABLE, DockerFlags

NAME = "pushsafe"
COMPLETE = "__complete"
COMPLETE_NO_DESCRIPTIONS = "__completeNoDesc"

CONTENT_TRUST = "DOCKER_CONTENT_TRUST"


def wants_signatures(environ: Mapping[str, str]) -> bool:
    """Whether docker is to sign its pushes: any value that Go's `strconv.ParseBool` does not read as false
    (docker/cli `cli/command/cli.go`, `isContentTrustEnabled`)."""
    return environ.get(CONTENT_TRUST, "") not in {"", "0", "f", "F", "false", "FALSE", "False"}


class Invocation(NamedTuple):
    """The command line in two parts: docker's flags and our arguments.

    A completion request is `(COMPLETE or COMPLETE_NO_DESCRIPTIONS, word, ..., word to complete)`.
    """

    flags: DockerFlags
    args: tuple[str, ...]


_SWITCHES = frozenset({"debug", "tls", "tlsverify"})
_VALUES = frozenset({"config", "context", "host", "log-level", "tlscacert", "tlscert", "tlskey"})
_SHORT = {"D": "debug", "H": "host", "c": "context", "h": "help", "l": "log-level"}
# docker reads `--log-level` with sirupsen/logrus `ParseLevel`, which ignores case.
_LEVELS = frozenset({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"})
# Go's strconv.ParseBool.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def split(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Split `argv` (without the program's name) into docker's global flags and our arguments.

    docker passes its argv on unchanged: its flags precede our name, and end at the first word, by pflag's grammar
    without interspersed arguments (docker/cli `cli/cobra.go`, `HandleGlobalFlags`). Started directly, there is no name,
    and the first flag that docker does not know is ours. `help` before or after the name becomes a trailing `--help`.

    Raises UsageError for a flag before our name that is unknown, or has no value or a wrong one.
    """
    by_docker = CLI_VARIABLE in environ and NAME in argv
    flags, words, help_wanted = _leading_flags(tuple(argv), by_docker)
    if by_docker:
        match words:
            case ("help", "pushsafe", *rest):
                words, help_wanted = tuple(rest), True
            case (("__complete" | "__completeNoDesc") as request, "pushsafe", *rest):
                words = (request, *rest)
            case ("pushsafe", *rest):
                words = tuple(rest)
    if words[:1] == ("help",):
        words, help_wanted = words[1:], True
    return Invocation(flags, (*words, "--help") if help_wanted else words)


def _leading_flags(argv: tuple[str, ...], by_docker: bool) -> tuple[DockerFlags, tuple[str, ...], bool]:
    """The flags before the first word, the rest, and whether help is requested."""
    flags = DockerFlags()
    help_wanted = False
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "-":
        if argv[at] == "--":
            at += by_docker
            break
        try:
            given, used = _long(argv, at) if argv[at].startswith("--") else _short(argv, at)
        except _NotDockers as unknown:
            if by_docker:
                raise UsageError(f"docker has no flag {unknown} before `{NAME}`", "docker --help") from None
            break
        if not by_docker and any(name == "help" for name, _ in given):
            break
        for name, value in given:
            help_wanted |= name == "help"
            flags = _with(flags, name, value)
        at += used
    return flags, argv[at:], help_wanted


class _NotDockers(Exception):
    """A flag that is not docker's."""


def _long(argv: tuple[str, ...], at: int) -> tuple[list[tuple[str, str]], int]:
    """`--name=value`, `--name value` or `--switch`: the pair, and its number of words."""
    name, has_value, value = argv[at][2:].partition("=")
    if name == "help" or name in _SWITCHES:
        return [(name, value if has_value else "true")], 1
    if name not in _VALUES:
        raise _NotDockers(f"--{name}")
    if has_value:
        return [(name, value)], 1
    return [(name, _next(argv, at, f"--{name}"))], 2


def _short(argv: tuple[str, ...], at: int) -> tuple[list[tuple[str, str]], int]:
    """`-Dc NAME`, `-cNAME`, `-c=NAME`: short flags in a row, the last of which may take a value."""
    given: list[tuple[str, str]] = []
    letters = argv[at][1:]
    while letters:
        letter, rest = letters[0], letters[1:]
        name = _SHORT.get(letter)
        if name is None:
            raise _NotDockers(f"-{letter}")
        if len(rest) > 1 and rest[0] == "=":
            return [*given, (name, rest[1:])], 1
        if name in _VALUES:
            if rest:
                return [*given, (name, rest)], 1
            return [*given, (name, _next(argv, at, f"-{letter}"))], 2
        given.append((name, "true"))
        letters = rest
    return given, 1


def _next(argv: tuple[str, ...], at: int, flag: str) -> str:
    if at + 1 >= len(argv):
        raise UsageError(f"docker's flag {flag} needs a value", "docker --help")
    return argv[at + 1]


def _with(flags: DockerFlags, name: str, value: str) -> DockerFlags:
    if name == "host":
        return flags._replace(host=(*flags.host, value))
    if name == "log-level" and value and value.lower() not in _LEVELS:
        raise UsageError(f"docker's flag --log-level takes no {value!r}", "-l debug, info, warn, error or fatal")
    if name not in _VALUES and value not in _TRUE | _FALSE:
        raise UsageError(f"docker's flag --{name} is true or false, not {value!r}", "docker --help")
    if name == "help":
        return flags
    changes: dict[str, Any] = {name.replace("-", "_"): value if name in _VALUES else value in _TRUE}
    return flags._replace(**changes)


Choice = tuple[str, str]
"""A word and its description."""


def complete(args: Sequence[str], commands: Sequence[Choice], options: Mapping[str, Sequence[Choice]]) -> str:
    """The answer to a completion request: one candidate a line, then Cobra's directive 4 (no file names).

    `args` are an Invocation's, with COMPLETE or COMPLETE_NO_DESCRIPTIONS first. `commands` are offered for the first
    word; `options` has those of each command, and under `""` the program's. Protocol: spf13/cobra's `completions.go`.
    """
    request, *words = args
    word = words[-1] if words else ""
    earlier = [text for text in words[:-1] if not text.startswith("-")]
    command = earlier[0] if earlier and earlier[0] in options else ""
    offered = options.get(command, ()) if word.startswith("-") else () if earlier else commands
    described = request == COMPLETE
    lines = [
        f"{name}\t{' '.join(text.split())}" if described and text else name
        for name, text in offered
        if name.startswith(word)
    ]
    return "\n".join([*lines, ":4"]) + "\n"
