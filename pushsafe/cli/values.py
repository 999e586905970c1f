"""The kinds of values of settings, in files, variables and options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pushsafe.runtime.redact import clean

_LONGEST_TIMEOUT = 24 * 3600
_MOST_RETRIES = 100
_WORDS = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


class Kind(NamedTuple):
    """A kind of value: `parse` converts a variable's or option's text to a file's value, `read` that to the setting's.
    Both raise ValueError."""

    words: str
    parse: Callable[[str], object]
    read: Callable[[object], object]


class Reach(NamedTuple):
    """What a project's file may do to a setting: `join` combines the user's value with the project's.

    `words` are for the documentation; `refusal` ends the warning on a value that changes nothing.
    """

    words: str
    join: Callable[[Any, Any], object]
    refusal: str = ""


REPLACES = Reach("replaces it", lambda _, project: project)
SWITCHES_ON = Reach(
    "switches it on, never off", lambda own, project: own or project, "a project's file cannot switch it off"
)
SHORTENS = Reach(
    "shortens it",
    lambda own, project: project if own is None else min(own, project),
    "a project's file cannot make it longer",
)
ADDS = Reach(
    "adds to it",
    lambda own, project: tuple(dict.fromkeys((*own, *project))),
    "a project's file adds to the list, and takes nothing away",
)


def seconds(text: str) -> float:
    """Seconds from a number (`90`, `0.5`), or from hours, minutes and seconds (`90s`, `5m`, `1h30m`).

    Raises ValueError for any other text, for 0, and for more than 24 hours.
    """
    number = r"([0-9]+(?:\.[0-9]+)?)"
    found = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?|{number}", text)
    if found is None or not text:
        raise _no_time(text)
    return _bounded(sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1, 1), strict=True)))


def _word(text: str) -> object:
    return _WORDS.get(text.lower(), text)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{written(value)} is neither true nor false")
    return value


def _timeout(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(value)
    if isinstance(value, str):
        return seconds(value)
    raise _no_time(value)


def _timeout_or_none(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return 0.0 if value in ("0", "0s") or (is_number and value == 0) else _timeout(value)


def _no_time(value: object) -> ValueError:
    return ValueError(f"{written(value)} is neither a time such as 90s, 5m, 1h30m nor a number of seconds")


def _bounded(value: float) -> float:
    if not 0 < value <= _LONGEST_TIMEOUT:
        raise ValueError(f"{written(value)} is out of range: more than 0 seconds, at most 24 hours")
    return float(value)


def _whole_number(text: str) -> object:
    """A text as a number, or unchanged, to be refused later."""
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else text


def _retries(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{written(value)} is no whole number")
    if not 0 <= value <= _MOST_RETRIES:
        raise ValueError(f"{value} is out of range: 0 to {_MOST_RETRIES}")
    return value


def _split(text: str) -> object:
    return [one.strip() for one in text.split(",")] if text else []


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{written(value)} is no list of patterns")
    for pattern in value:
        if problem := _matches_nothing(pattern):
            raise ValueError(f"{written(pattern)} matches no tag: {problem}")
    return tuple(value)


def _matches_nothing(pattern: str) -> str:
    """Why a pattern can match no tag, or empty (distribution/reference: a tag is `[\\w][\\w.-]{0,127}`)."""
    if not pattern:
        return "it is empty"
    if strange := re.findall(r"[^A-Za-z0-9_.*?!\[\]-]", pattern):
        return f"no tag contains {written(''.join(dict.fromkeys(strange)))}"
    if pattern[0] in ".-":
        return f"no tag starts with {pattern[0]}"
    if not re.fullmatch(r"(?:[A-Za-z0-9_.*?-]|\[!?[A-Za-z0-9_.-]+\])+", pattern):
        return "its [, ] or ! is no part of a set such as [0-9] or [!0-9]"
    return ""


def written(value: object) -> str:
    """A value in TOML's form, for messages and the documentation."""
    import json

    return clean(json.dumps(value, ensure_ascii=False, default=str))


FLAG = Kind("true or false; a variable also 1, 0, yes, no, on, off", _word, _flag)
TIME = Kind("a number of seconds, or a text such as 90s, 5m, 1h30m; at most 24 hours", str, _timeout)
TIME_OR_NONE = Kind("a number of seconds, or a text such as 15s, 2m; 0 for a single look", str, _timeout_or_none)
COUNT = Kind(f"a whole number, 0 to {_MOST_RETRIES}", _whole_number, _retries)
PATTERNS = Kind("a list of patterns; in a variable with commas between them", _split, _patterns)
