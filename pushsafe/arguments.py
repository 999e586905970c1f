"""What stands on the command line read into values; whatever cannot mean anything is a UsageError."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pushsafe.errors import UsageError
from pushsafe.model import BadReference, ErrorKind, Platform, RunError
from pushsafe.rules import RULES, Rule


def lines(file: str) -> list[str]:
    """References of a file, one a line; blank lines do not count, nor what follows a # at a word's start."""
    if file == "-" and sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed", "-f FILE, or -f - < FILE")
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "-f FILE, or -f - for standard input") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not a text file", "-f FILE with one reference a line") from error
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in stripped if line]


def message(words: tuple[str, ...]) -> str:
    """An error message as it was pasted (several words are one text), or standard input for `-` or nothing."""
    if words not in ((), ("-",)):
        return " ".join(words)
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed", "docker pushsafe explain-error 'TEXT'")
    if not words and sys.stdin.isatty():
        raise UsageError("no message is given", "docker pushsafe explain-error 'TEXT', or - for standard input")
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def bad_reference(item: BadReference) -> RunError:
    reasons = "; ".join(item.reasons)
    return RunError(ErrorKind.USAGE, f"{item.given!r} cannot be pushed to: {reasons}", item.repair)


def code(text: str) -> str:
    return rule(text).code


def rule(text: str) -> Rule:
    for rule in RULES:
        if text.upper() == rule.code or text.lower() == rule.slug:
            return rule
    raise UsageError(f"there is no rule {text!r}", "docker pushsafe rules")


def platforms(text: str | None) -> tuple[Platform, ...]:
    if text is None:
        return ()
    found = []
    for item in text.split(","):
        parts = item.strip().lower().split("/")
        if len(parts) not in (2, 3) or not all(part.replace(".", "").replace("-", "").isalnum() for part in parts):
            raise UsageError(f"{item!r} is not a platform", "--platform OS/ARCH[/VARIANT], e.g. linux/arm64")
        found.append(Platform(*parts))
    return tuple(dict.fromkeys(found))
