"""Reads the arguments of the command line into values; invalid ones raise UsageError."""

from __future__ import annotations

import codecs
import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import TypeVar

from pushsafe.cli.commands import COMMANDS
from pushsafe.model.errors import PushsafeError, UsageError
from pushsafe.model.facts import PUSHSAFE
from pushsafe.model.report import ErrorKind, RunError
from pushsafe.model.request import Archive, Place, Source
from pushsafe.oci.platform import Platform, read
from pushsafe.oci.reference import BadReference, parse
from pushsafe.push.results import error_of
from pushsafe.rules import RULES, Rule
from pushsafe.runtime import small_file
from pushsafe.runtime.redact import clean
from pushsafe.sources import TRANSPORTS, transport_list

_LARGEST_LIST = 1 << 20
"""Bytes of a file of references: more than ten thousand of them."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_T = TypeVar("_T")


class BadReferences(UsageError):
    """References that the grammar refuses, every one of them, and what they were to be."""

    def __init__(self, found: tuple[BadReference, ...], use: str = "pushed to") -> None:
        super().__init__("references that cannot be read")
        self.found = found
        self.use = use


def readable(found: Iterable[_T | BadReference], use: str = "pushed to") -> tuple[_T, ...]:
    """The valid references. Raises BadReferences if any is invalid."""
    every = tuple(found)
    if bad := tuple(one for one in every if isinstance(one, BadReference)):
        raise BadReferences(bad, use)
    return tuple(one for one in every if not isinstance(one, BadReference))


def errors_of(error: PushsafeError) -> tuple[RunError, ...]:
    """The errors that ended a run, one for each invalid reference."""
    if isinstance(error, BadReferences):
        return tuple(bad_reference(one, error.use) for one in error.found)
    return (error_of(error),)


def lines(file: str) -> list[str]:
    """The references in a file, one a line; blank lines and comments (# at a word's start) are skipped."""
    if file == "-" and sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed", "-f FILE, or -f - < FILE")
    shown = "standard input" if file == "-" else clean(file)
    try:
        data = _standard_input() if file == "-" else small_file.read(Path(file), _LARGEST_LIST, pipe=True)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise UsageError(f"cannot read {shown}: {why}", "-f FILE, or -f - for standard input") from error
    if data.startswith(_UTF_16):
        raise UsageError(f"{shown} is UTF-16, but has to be UTF-8", "iconv -f UTF-16 -t UTF-8, or save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8 (byte {error.start + 1})", "save it as UTF-8") from error
    if "\0" in text:
        why = "it holds NUL bytes, as UTF-16 and binary files do"
        raise UsageError(f"{shown} is not UTF-8: {why}", "save it as UTF-8")
    # Windows editors write a byte order mark at the start; joined files have some within.
    stripped = (re.sub(r"(^|\s)#.*", "", line.lstrip("\ufeff")).strip() for line in text.splitlines())
    return [line for line in stripped if line]


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(_LARGEST_LIST + 1)
    if len(data) > _LARGEST_LIST:
        raise OSError(errno.EFBIG, f"it is larger than {_LARGEST_LIST // 1024} KiB")
    return data


def message(words: tuple[str, ...]) -> str:
    """A pasted error message (words are joined), or standard input for `-` or no words."""
    if words not in ((), ("-",)):
        return " ".join(words)
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed", "docker pushsafe explain-error 'TEXT'")
    if not words and sys.stdin.isatty():
        raise UsageError("no message is given", "docker pushsafe explain-error 'TEXT', or - for standard input")
    data = sys.stdin.buffer.read()
    # PowerShell's `2> FILE` writes UTF-16, where every other byte of docker's messages is NUL.
    is_utf_16 = data.startswith(_UTF_16) and data.count(0) > len(data) // 3
    return data.decode("utf-16" if is_utf_16 else "utf-8-sig", "replace")


def bad_reference(item: BadReference, use: str = "pushed to") -> RunError:
    """The error for an invalid reference."""
    reasons = "; ".join(item.reasons)
    return RunError(ErrorKind.USAGE, f"{item.given!r} cannot be {use}: {reasons}", item.repair)


def code(text: str) -> str:
    return rule(text).code


def rule(text: str) -> Rule:
    for rule in RULES:
        if text.upper() == rule.code or text.lower() == rule.slug:
            return rule
    raise UsageError(f"there is no rule {text!r}", "docker pushsafe rules")


def platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """The requested platforms; an option may hold a comma-separated list, as in buildx."""
    found = []
    for item in (item for text in texts for item in text.split(",")):
        platform = read(item)
        if platform is None:
            raise UsageError(f"{item!r} is not a platform", "--platform OS/ARCH[/VARIANT], e.g. linux/arm64")
        found.append(platform)
    return tuple(dict.fromkeys(found))


def archive(text: str) -> Archive:
    """An image in files: `KIND:PATH[:REF]`."""
    kind, colon, place = text.partition(":")
    if kind in TRANSPORTS and place:
        # A shell does not expand ~ within a word.
        return Archive(kind, os.path.expanduser(place) if place.startswith("~/") else place)  # noqa: PTH111 - as typed
    if guess := _likely_archive(text):
        raise UsageError(f"{text!r} names no kind of archive", f"--from {guess}")
    if kind == "dir" and place:
        copied = shlex.quote(f"oci:{place}-layout:latest")
        raise UsageError(
            f"{text!r} is a folder in skopeo's own form",
            f"skopeo copy {shlex.quote(text)} {copied}   (then push --from {copied})",
        )
    unknown = f"names no kind of archive that we know{f': {kind!r}' if colon else ''}"
    why = "names no path" if kind in TRANSPORTS else unknown
    raise UsageError(f"{text!r} {why}", f"--from {transport_list()}")


def no_command(text: str) -> None:
    """Raise UsageError for a command in place of a reference."""
    if text in COMMANDS:
        raise UsageError(
            f"{text!r} is a command only where it comes first, and no image's whole name",
            f"{PUSHSAFE} {text} ..., or REGISTRY/NAMESPACE/{text}:TAG for the image",
        )


def no_archive(text: str) -> None:
    """Raise UsageError for an archive in place of a reference."""
    kind, colon, _ = text.partition(":")
    meant = text if colon and kind in TRANSPORTS else _likely_archive(text)
    if meant:
        raise UsageError(f"{text!r} is no reference, but an archive", f"{PUSHSAFE} --from {quote(meant)} REF")


def _likely_archive(text: str) -> str:
    """A path with its likely kind of archive; empty if it has none."""
    return next((f"{kind}:{text}" for kind, transport in TRANSPORTS.items() if transport.is_likely(text)), "")


_PLACES = {"docker-daemon:": Place.ENGINE, "docker://": Place.REGISTRY}
"""Prefixes of sources, by skopeo's names (containers/image `containers-transports(5)`)."""
_BY_DIGEST = re.compile(r"(.+)@((?:sha256|sha512):\w+)")
_WHOLE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def source(text: str) -> Source | BadReference:
    """A source of an index: a reference, or `NAME@DIGEST` at a registry."""
    transport = next((one for one in _PLACES if text.startswith(one)), "")
    place, name, digest = _PLACES.get(transport, Place.EITHER), text.removeprefix(transport), ""
    if named := _BY_DIGEST.fullmatch(name):
        name, digest = named.groups()
    found = parse(name)
    if isinstance(found, BadReference):
        return found
    if digest and not _WHOLE_DIGEST.fullmatch(digest):
        return BadReference(text, (f"{digest} is no whole digest",))
    if digest and place is Place.ENGINE:
        return BadReference(
            text, ("the engine has an image by its name and tag, a registry by a digest",), f"docker://{name}@{digest}"
        )
    return Source(text, found, digest, Place.REGISTRY if digest else place)
