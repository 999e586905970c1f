"""The settings: defaults < user file < project file < environment < command line, and nothing that is wrong passes.

A project's file comes with a repository, from anybody: it adds to what guards the user, and takes nothing away.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pushsafe.model.errors import UsageError
from pushsafe.model.request import VERIFY_TIMEOUT, TagPolicy
from pushsafe.runtime import small_file

USER_FILE = "docker-pushsafe/config.toml"
PROJECT_FILE = ".pushsafe.toml"
FILE_VARIABLE = "PUSHSAFE_CONFIG"

_VARIABLES = "PUSHSAFE_"
# Variables that are no settings: the launcher reads the second one, our tests the others.
_OF_OTHERS = (
    *(FILE_VARIABLE, "PUSHSAFE_PYTHON"),
    *("PUSHSAFE_GOLDEN", "PUSHSAFE_LAB_CACHE", "PUSHSAFE_LAB_MIRROR", "PUSHSAFE_LAB_RUN"),
)
_LARGEST_FILE = 64 * 1024  # bytes; a project's file may be a link to something endless
# The settings need no depth: a key of 30,000 parts takes a TOML parser 3 GB, in a file of 60 kB.
_MOST_DOTS = 8
_DEEPEST = 8
_LONGEST_TIMEOUT = 24 * 3600
_MOST_RETRIES = 100
_WORDS = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}
_NONE: Mapping[str, object] = MappingProxyType({})


class Settings(NamedTuple):
    """What holds for a run. `timeout` is in seconds, for the whole run; None means that there is none.

    `retries` is how often a request is sent again. `preflight_off` is the option, variable or file that switched the
    preflight off, empty where it is on. `warnings` say what was found in files and does not count, a sentence each.
    `verify_timeout` is in seconds, for each pushed tag.
    """

    preflight: bool = True
    timeout: float | None = None
    retries: int = 3
    policy: TagPolicy = TagPolicy()
    preflight_off: str = ""
    warnings: tuple[str, ...] = ()
    verify_timeout: float = VERIFY_TIMEOUT


_DEFAULTS = Settings()


class Reach(NamedTuple):
    """What a project's file may do to a setting: `join` makes of the user's own value and the project's what holds.

    `words` say so for the documentation; `refusal` ends the sentence on a value that changes nothing.
    """

    words: str
    join: Callable[[Any, Any], object]
    refusal: str = ""


def _joined(own: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*own, *added)))


_REPLACES = Reach("replaces it", lambda _, project: project)
_SWITCHES_ON = Reach(
    "switches it on, never off", lambda own, project: own or project, "a project's file cannot switch it off"
)
_SHORTENS = Reach(
    "shortens it",
    lambda own, project: project if own is None else min(own, project),
    "a project's file cannot make it longer",
)
_ADDS = Reach("adds to it", _joined, "a project's file adds to the list, and takes nothing away")


class Setting(NamedTuple):
    """One setting: `parse` makes of a variable's text what a file would hold, `read` makes the value of that.

    Both raise ValueError. `name` is the name in files, `example` a value as a file holds it, `project` what a project's
    file may do to it.
    """

    name: str
    kind: str
    meaning: str
    default: object
    example: object
    parse: Callable[[str], object]
    read: Callable[[object], object]
    project: Reach = _REPLACES

    @property
    def variable(self) -> str:
        return _variable(self.name)

    @property
    def option(self) -> str:
        return f"--{self.name}"


def load(environ: Mapping[str, str], cwd: Path, given: Mapping[str, object] = _NONE) -> Settings:
    """The settings in force for a process in `cwd`; `given` are the command line's by their names in files.

    A `given` value is what a file would hold, or None where the option was not given. Every layer is checked, the ones
    that another overrides too. `cwd` may be relative, and need not exist any more.

    Raises UsageError for a settings file that cannot be read, an unknown name, a value that cannot mean anything.
    """
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    off, warnings = "", []
    for found in _files(environ, cwd):
        if found.distrust:
            take = f"{FILE_VARIABLE}={_shown(found.file)} reads it anyway"
            warnings.append(f"{_shown(found.file)} is ignored: {found.distrust}; {take}")
            continue
        said = dict(_of_file(found.file))
        if found.of_project:
            said, ignored = _within_reach(values, said, found.file)
            warnings += ignored
        if "preflight" in said:
            off = f"preflight = false in {_shown(found.file)}"
        values.update(said)
    variables = dict(_of_variables(environ))
    options = dict(_of_options(given))
    for layer, place in ((variables, _variable("preflight")), (options, "--no-preflight")):
        off = place if "preflight" in layer else off
        values.update(layer)
    return Settings(
        values["preflight"],
        values["timeout"],
        values["retries"],
        TagPolicy(values["moving-tags"], values["immutable-tags"]),
        "" if values["preflight"] else off,
        tuple(warnings),
        values["verify-timeout"],
    )


def time_limit(environ: Mapping[str, str], given: Mapping[str, object] = _NONE) -> float | None:
    """The seconds that the run has as far as no file says it: what reading the files may take. Raises UsageError."""
    known: dict[str, Any] = {**dict(_of_variables(environ)), **dict(_of_options(given))}
    return known.get("timeout")


def seconds(text: str) -> float:
    """The seconds of a number of them (`90`, `0.5`), or of hours, minutes and seconds (`90s`, `5m`, `1h30m`).

    Raises ValueError for any other text, for 0, and for more than 24 hours.
    """
    number = r"([0-9]+(?:\.[0-9]+)?)"
    found = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?|{number}", text)
    if found is None or not text:
        raise _no_time(text)
    return _bounded(sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1, 1), strict=True)))


def setting_table() -> list[tuple[str, str, str, str, str, str]]:
    """Every setting for the documentation: its name in files, its variable, what it takes, its default, its meaning,
    and what a project's file may do to it."""
    return [
        (
            *(one.name, one.variable, one.kind),
            *("none" if one.default is None else _written(one.default), one.meaning, one.project.words),
        )
        for one in SETTINGS
    ]


# --------------------------------------------------------------------------- layers


def _of_file(file: Path) -> Iterator[tuple[str, object]]:
    place = f"{_shown(file)}: "
    return _layer(_content(file), place, lambda one: one.name, lambda one: f"{one.name} = {_toml(one)}")


def _of_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    variables = _variables(environ)
    return _layer(variables, "", lambda one: one.variable, lambda one: f"{one.variable}={_plain(one)}", parse=True)


def _of_options(given: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    options = {f"--{name}": value for name, value in given.items() if value is not None}
    return _layer(options, "", lambda one: one.option, lambda one: f"{one.option} {_plain(one)}")


def _within_reach(
    own: Mapping[str, object], said: Mapping[str, object], file: Path
) -> tuple[dict[str, object], list[str]]:
    """What a project's file changes of the user's own values, and a word on each value that changes nothing."""
    holds: dict[str, object] = {}
    ignored = []
    for setting in SETTINGS:
        if setting.name not in said:
            continue
        mine, theirs = own[setting.name], said[setting.name]
        joined = setting.project.join(mine, theirs)
        if joined != mine:
            holds[setting.name] = joined
        elif theirs != mine:
            line = f"{setting.name} = {_written(theirs)}"
            ignored.append(f"{line} in {_shown(file)} changes nothing: {setting.project.refusal}")
    return holds, ignored


def _variable(name: str) -> str:
    return _VARIABLES + name.upper().replace("-", "_")


def _layer(
    found: Mapping[str, Any],
    place: str,
    spelled: Callable[[Setting], str],
    repaired: Callable[[Setting], str],
    *,
    parse: bool = False,
) -> Iterator[tuple[str, object]]:
    """The values of one place, by their names in files."""
    known = {spelled(setting): setting for setting in SETTINGS} if found else {}
    for key, value in found.items():
        setting = known.get(key)
        if setting is None:
            raise UsageError(f"{place}there is no setting {_written(key)}", _nearest(key, known))
        try:
            yield setting.name, setting.read(setting.parse(value) if parse else value)
        except ValueError as error:
            raise UsageError(f"{place}{key}: {error}", repaired(setting)) from error


def _variables(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in environ.items() if name.startswith(_VARIABLES) and name not in _OF_OTHERS}


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    """What is probably meant by an unknown key, as that place spells it; all that it knows where nothing is near."""
    import difflib

    spellings = {setting.name: spelling for spelling, setting in known.items()}
    if key.startswith(_VARIABLES):
        spellings["config"] = FILE_VARIABLE
    meant = key.removeprefix(_VARIABLES).lower().replace("_", "-")
    near = difflib.get_close_matches(meant, spellings, n=1)
    return spellings[near[0]] if near else "one of " + ", ".join(spellings.values())


# --------------------------------------------------------------------------- files


class _Found(NamedTuple):
    """A settings file that is there; one that must not count says in `distrust` why."""

    file: Path
    of_project: bool = False
    distrust: str = ""


def _files(environ: Mapping[str, str], cwd: Path) -> list[_Found]:
    """The settings files that there are, the weakest first."""
    chosen = environ.get(FILE_VARIABLE)
    if chosen is not None:
        return [_Found(cwd / chosen)] if chosen else []
    user = _user_file(environ)
    return [*([_Found(user)] if user else []), *_project_files(environ, cwd)]


def _user_file(environ: Mapping[str, str]) -> Path | None:
    home = _folder(environ, "HOME")
    # Not absolute counts as not set (XDG Base Directory Specification).
    configs = _folder(environ, "XDG_CONFIG_HOME") or (home and home / ".config")
    file = configs and configs / USER_FILE
    return file if file and os.path.lexists(file) else None


def _project_files(environ: Mapping[str, str], cwd: Path) -> Iterator[_Found]:
    """The nearest one upwards that is to be trusted, and those before it that are not.

    The search ends with the project (`.git`), the home folder or the root.
    """
    try:
        here = Path(os.path.realpath(cwd))
    except OSError:  # a relative one, and the current folder was deleted
        return
    home = _folder(environ, "HOME")
    last = home and Path(os.path.realpath(home))
    for folder in (here, *here.parents):
        file = folder / PROJECT_FILE
        # lexists: a link that leads nowhere was meant; what a closed folder hides from us counts as not there, since
        # the folder is somebody else's.
        if os.path.lexists(file):
            distrust = _distrust(file, environ)
            yield _Found(file, of_project=True, distrust=distrust)
            if not distrust:
                return
        if folder == last or os.path.lexists(folder / ".git"):
            return


def _distrust(file: Path, environ: Mapping[str, str]) -> str:
    """Why a file may be a stranger's, empty if it is not: who owns it or its folder may put anything there."""
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH and folder.st_uid != os.geteuid():  # as in /tmp
        return "anyone can write to its folder"
    owners = [("its folder", folder.st_uid), ("it", file.lstat().st_uid)]
    with suppress(OSError):  # it leads nowhere, or to where this user may not look: reading it says so
        owners.append(("the file it leads to", os.stat(file).st_uid))  # noqa: PTH116 - exists() raises for the latter
    trusted = _trusted(environ)
    return next((f"{what} belongs to another user (uid {uid})" for what, uid in owners if uid not in trusted), "")


def _trusted(environ: Mapping[str, str]) -> set[int]:
    """Whose files are taken: the user's own, root's, and under sudo those of the user who called it."""
    caller = environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return {0, os.geteuid(), *([int(caller)] if re.fullmatch("[0-9]{1,10}", caller) else [])}


def _folder(environ: Mapping[str, str], variable: str) -> Path | None:
    folder = environ.get(variable, "")
    return Path(folder) if folder.startswith("/") else None


def _content(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = small_file.read(file, _LARGEST_FILE).decode("utf-8")
        if not _is_shallow(text):
            raise _unreadable(file, "it is nested too deep")
        return tomllib.loads(text)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"it is not UTF-8 (byte {error.start + 1})") from error
    except ValueError as error:  # TOMLDecodeError, and what int() says of thousands of digits
        raise _unreadable(file, f"it is not TOML: {_shown(error)}") from error


# The strings and comments of TOML, as far as they are whole; then what makes depth, and a quotation mark that is left.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|"(?!"")(?:\\.|[^"\\\n])*"'
    r"|'''.*?'{3,5}|'(?!'')[^'\n]*'"
    r"|#[^\n]*"
    r"|(?P<mark>[][{}.\n])"
    r"|(?P<open>[\"'])",
    re.DOTALL,
)


def _is_shallow(text: str) -> bool:
    """Whether no key has many parts, and arrays and tables are not deep in one another: a parser's memory grows with
    the square of the one, its stack with the other."""
    depth = dots = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:  # a string without an end, where the parser ends too
            return True
        mark = token["mark"]
        dots = 0 if mark == "\n" else dots + (mark == ".")
        depth += (mark in ("[", "{")) - (mark in ("]", "}")) if mark else 0
        if depth > _DEEPEST or dots > _MOST_DOTS:
            return False
    return True


def _unreadable(file: Path, why: str) -> UsageError:
    hint = f"{FILE_VARIABLE}=FILE reads another settings file, an empty {FILE_VARIABLE} none"
    return UsageError(f"cannot read the settings of {_shown(file)}: {why}", hint)


# --------------------------------------------------------------------------- values


def _word(text: str) -> object:
    return _WORDS.get(text.lower(), text)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_written(value)} is neither true nor false")
    return value


def _timeout(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(value)
    if isinstance(value, str):
        return seconds(value)
    raise _no_time(value)


def _patience(value: object) -> float:
    """A time, or none at all."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return 0.0 if value in ("0", "0s") or (is_number and value == 0) else _timeout(value)


def _no_time(value: object) -> ValueError:
    return ValueError(f"{_written(value)} is neither a time such as 90s, 5m, 1h30m nor a number of seconds")


def _bounded(value: float) -> float:
    if not 0 < value <= _LONGEST_TIMEOUT:
        raise ValueError(f"{_written(value)} is out of range: more than 0 seconds, at most 24 hours")
    return float(value)


def whole_number(text: str) -> object:
    """The number that a text writes; the text itself where it writes none, for `load` to refuse."""
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else text


def _retries(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{_written(value)} is no whole number")
    if not 0 <= value <= _MOST_RETRIES:
        raise ValueError(f"{value} is out of range: 0 to {_MOST_RETRIES}")
    return value


def _split(text: str) -> object:
    return [one.strip() for one in text.split(",")] if text else []


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{_written(value)} is no list of patterns")
    for pattern in value:
        if problem := _matches_nothing(pattern):
            raise ValueError(f"{_written(pattern)} matches no tag: {problem}")
    return tuple(value)


def _matches_nothing(pattern: str) -> str:
    """Why no tag can match it, empty if one can (distribution/reference: a tag is `[\\w][\\w.-]{0,127}`)."""
    if not pattern:
        return "it is empty"
    if strange := re.findall(r"[^A-Za-z0-9_.*?!\[\]-]", pattern):
        return f"no tag contains {_written(''.join(dict.fromkeys(strange)))}"
    if pattern[0] in ".-":
        return f"no tag starts with {pattern[0]}"
    if not re.fullmatch(r"(?:[A-Za-z0-9_.*?-]|\[!?[A-Za-z0-9_.-]+\])+", pattern):
        return "its [, ] or ! is no part of a set such as [0-9] or [!0-9]"
    return ""


# --------------------------------------------------------------------------- texts


def _toml(setting: Setting) -> str:
    return _written(setting.example)


def _plain(setting: Setting) -> str:
    example = setting.example
    return ",".join(example) if isinstance(example, list) else str(example).lower()


def _written(value: object) -> str:
    """A value as TOML writes it, for messages and the documentation."""
    import json

    return _shown(json.dumps(value, ensure_ascii=False, default=str))


def _shown(value: object) -> str:
    from pushsafe.runtime.redact import clean

    return clean(str(value))


SETTINGS = (
    Setting(
        "preflight",
        "true or false; a variable also 1, 0, yes, no, on, off",
        "ask the registries, before anything is pushed, what a push would meet there",
        default=_DEFAULTS.preflight,
        example=True,
        parse=_word,
        read=_flag,
        project=_SWITCHES_ON,
    ),
    Setting(
        "timeout",
        "a number of seconds, or a text such as 90s, 5m, 1h30m; at most 24 hours",
        "how long the whole run may take",
        default=_DEFAULTS.timeout,
        example="5m",
        parse=str,
        read=_timeout,
        project=_SHORTENS,
    ),
    Setting(
        "retries",
        "a whole number, 0 to 100",
        "how often what met a busy registry (429, 502, 503, 504) or a dropped connection is tried again; "
        "the engine's own push once, 0 for never",
        default=_DEFAULTS.retries,
        example=5,
        parse=whole_number,
        read=_retries,
    ),
    Setting(
        "verify-timeout",
        "a number of seconds, or a text such as 15s, 2m; 0 for a single look",
        "how long to wait, when a pushed tag is read back, if it does not show at once or still names its old digest",
        default=_DEFAULTS.verify_timeout,
        example="30s",
        parse=str,
        read=_patience,
    ),
    Setting(
        "moving-tags",
        "a list of patterns; in a variable with commas between them",
        "tags that are meant to change",
        default=_DEFAULTS.policy.moving,
        example=["latest", "stable"],
        parse=_split,
        read=_patterns,
        project=_ADDS,
    ),
    Setting(
        "immutable-tags",
        "a list of patterns; in a variable with commas between them",
        "tags that must never name another image than they do",
        default=_DEFAULTS.policy.immutable,
        example=["v*"],
        parse=_split,
        read=_patterns,
        project=_ADDS,
    ),
)
"""Every setting there is."""
