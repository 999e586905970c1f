"""The settings: defaults < user file < project file < environment < command line; invalid ones are errors.

A project's file comes with a repository, and is not trusted: it may only strengthen the user's protection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pushsafe.cli.options import SETTINGS, Setting, Settings
from pushsafe.cli.settings_file import FILE_VARIABLE, read_toml, settings_files
from pushsafe.cli.values import written
from pushsafe.model.errors import UsageError
from pushsafe.runtime.redact import clean

_PREFIX = "PUSHSAFE_"
# Variables that are no settings: of the launcher (the second one) and of our tests (the others).
_OF_OTHERS = (
    *(FILE_VARIABLE, "PUSHSAFE_PYTHON"),
    *("PUSHSAFE_GOLDEN", "PUSHSAFE_LAB_CACHE", "PUSHSAFE_LAB_MIRROR", "PUSHSAFE_LAB_RUN"),
)
_NONE: Mapping[str, object] = MappingProxyType({})


def load(environ: Mapping[str, str], cwd: Path, given: Mapping[str, object] = _NONE) -> Settings:
    """The settings of a process in `cwd`; `given` are the command line's by their names in files.

    A `given` value is a text, a value as in a file, or None for an option not given. Every layer is checked, also those
    that another overrides. `cwd` may be relative, and may be deleted.

    Raises UsageError for an unreadable file, an unknown name, and an invalid value.
    """
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    off, warnings = "", []
    for found in settings_files(environ, cwd):
        shown = clean(str(found.file))
        if found.distrust:
            warnings.append(f"{shown} is ignored: {found.distrust}; {FILE_VARIABLE}={shown} reads it anyway")
            continue
        said = dict(_of_file(found.file))
        if found.of_project:
            said, ignored = _within_reach(values, said, shown)
            warnings += ignored
        off = f"preflight = false in {shown}" if "preflight" in said else off
        values |= said
    for layer, place in ((_of_variables(environ), f"{_PREFIX}PREFLIGHT"), (_of_options(given), "--no-preflight")):
        said = dict(layer)
        off = place if "preflight" in said else off
        values |= said
    fields = {name.replace("-", "_"): value for name, value in values.items()}
    return Settings(**fields, preflight_off="" if values["preflight"] else off, warnings=tuple(warnings))


def time_limit(environ: Mapping[str, str], given: Mapping[str, object] = _NONE) -> float | None:
    """The timeout by variables and options, which limits the reading of files. Raises UsageError."""
    known: dict[str, Any] = {**dict(_of_variables(environ)), **dict(_of_options(given))}
    return known.get("timeout")


def setting_table() -> list[tuple[str, str, str, str, str, str]]:
    """Rows for the documentation: name in files, variable, values, default, meaning, and what a project's file may
    do."""
    return [
        (
            *(one.name, _variable(one), one.kind.words),
            *("none" if one.default is None else written(one.default), one.meaning, one.project.words),
        )
        for one in SETTINGS
    ]


def _of_file(file: Path) -> Iterator[tuple[str, object]]:
    place = f"{clean(str(file))}: "
    return _layer(read_toml(file), place, lambda one: one.name, lambda one: f" = {written(one.example)}")


def _of_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    variables = {name: text for name, text in environ.items() if name.startswith(_PREFIX) and name not in _OF_OTHERS}
    return _layer(variables, "", _variable, lambda one: f"={_plain(one)}", of_text=True)


def _of_options(given: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    options = {f"--{name}": value for name, value in given.items() if value is not None}
    return _layer(options, "", lambda one: f"--{one.name}", lambda one: f" {_plain(one)}", of_text=True)


def _layer(
    found: Mapping[str, Any],
    place: str,
    spelled: Callable[[Setting], str],
    repaired: Callable[[Setting], str],
    *,
    of_text: bool = False,
) -> Iterator[tuple[str, object]]:
    """The values of one layer by their names in files; `repaired` is the hint for a wrong value, after its name."""
    known = {spelled(setting): setting for setting in SETTINGS}
    for key, value in found.items():
        setting = known.get(key)
        if setting is None:
            raise UsageError(f"{place}there is no setting {written(key)}", _nearest(key, known))
        try:
            said = setting.kind.parse(value) if of_text and isinstance(value, str) else value
            yield setting.name, setting.kind.read(said)
        except ValueError as error:
            raise UsageError(f"{place}{key}: {error}", f"{key}{repaired(setting)}") from error


def _within_reach(
    own: Mapping[str, object], said: Mapping[str, object], shown: str
) -> tuple[dict[str, object], list[str]]:
    """The values that a project's file changes, and a warning for each value that changes nothing."""
    holds: dict[str, object] = {}
    ignored = []
    for setting in (one for one in SETTINGS if one.name in said):
        mine, theirs = own[setting.name], said[setting.name]
        joined = setting.project.join(mine, theirs)
        if joined != mine:
            holds[setting.name] = joined
        elif theirs != mine:
            ignored.append(f"{setting.name} = {written(theirs)} in {shown} changes nothing: {setting.project.refusal}")
    return holds, ignored


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    """The known key most similar to an unknown one, or a list of all."""
    import difflib

    spellings = {setting.name: spelling for spelling, setting in known.items()}
    if key.startswith(_PREFIX):
        spellings["config"] = FILE_VARIABLE
    meant = key.removeprefix(_PREFIX).lower().replace("_", "-")
    near = difflib.get_close_matches(meant, spellings, n=1)
    return spellings[near[0]] if near else "one of " + ", ".join(spellings.values())


def _variable(setting: Setting) -> str:
    return _PREFIX + setting.name.upper().replace("-", "_")


def _plain(setting: Setting) -> str:
    """The example in a variable's or option's form."""
    example = setting.example
    return ",".join(example) if isinstance(example, list) else str(example).lower()
