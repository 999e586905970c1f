"""Settings files: where they are, which may be a stranger's, and what TOML they hold.

A project's file comes with a repository, from anybody.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pushsafe.model.errors import UsageError
from pushsafe.runtime import small_file
from pushsafe.runtime.redact import clean

USER_FILE = "docker-pushsafe/config.toml"
PROJECT_FILE = ".pushsafe.toml"
FILE_VARIABLE = "PUSHSAFE_CONFIG"

_LARGEST_FILE = 64 * 1024  # bytes; a project's file may be a link to something endless
# The settings need no depth: a key of 30,000 parts takes a TOML parser 3 GB, in a file of 60 kB.
_MOST_DOTS = 8
_DEEPEST = 8


class SettingsFile(NamedTuple):
    """A settings file that is there; one that must not count says in `distrust` why."""

    file: Path
    of_project: bool = False
    distrust: str = ""


def settings_files(environ: Mapping[str, str], cwd: Path) -> list[SettingsFile]:
    """The settings files that there are, the weakest first."""
    chosen = environ.get(FILE_VARIABLE)
    if chosen is not None:
        return [SettingsFile(cwd / chosen)] if chosen else []
    user = _user_file(environ)
    return [*([SettingsFile(user)] if user else []), *_project_files(environ, cwd)]


def _user_file(environ: Mapping[str, str]) -> Path | None:
    home = _folder(environ, "HOME")
    # Not absolute counts as not set (XDG Base Directory Specification).
    configs = _folder(environ, "XDG_CONFIG_HOME") or (home and home / ".config")
    file = configs and configs / USER_FILE
    return file if file and os.path.lexists(file) else None


def _project_files(environ: Mapping[str, str], cwd: Path) -> Iterator[SettingsFile]:
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
            yield SettingsFile(file, of_project=True, distrust=distrust)
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


def read_toml(file: Path) -> dict[str, Any]:
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
        raise _unreadable(file, f"it is not TOML: {clean(str(error))}") from error


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
    return UsageError(f"cannot read the settings of {clean(str(file))}: {why}", hint)
