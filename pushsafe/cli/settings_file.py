"""Finds settings files, checks their owners, and reads their TOML.

A project's file comes with a repository, and is not trusted.
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

_LARGEST_FILE = 64 * 1024  # bytes; a project's file may be a link to an endless one
# Settings are not nested; a key of 30,000 parts, in a file of 60 kB, takes a TOML parser 3 GB.
_MOST_DOTS = 8
_DEEPEST = 8


class SettingsFile(NamedTuple):
    """An existing settings file; `distrust` is the reason to ignore it, if any."""

    file: Path
    of_project: bool = False
    distrust: str = ""


def settings_files(environ: Mapping[str, str], cwd: Path) -> list[SettingsFile]:
    """The existing settings files, the weakest first."""
    chosen = environ.get(FILE_VARIABLE)
    if chosen is not None:
        return [SettingsFile(cwd / chosen)] if chosen else []
    user = _user_file(environ)
    return [*([SettingsFile(user)] if user else []), *_project_files(environ, cwd)]


def _user_file(environ: Mapping[str, str]) -> Path | None:
    home = _folder(environ, "HOME")
    # A relative path counts as unset (XDG Base Directory Specification).
    configs = _folder(environ, "XDG_CONFIG_HOME") or (home and home / ".config")
    file = configs and configs / USER_FILE
    return file if file and os.path.lexists(file) else None


def _project_files(environ: Mapping[str, str], cwd: Path) -> Iterator[SettingsFile]:
    """The nearest trusted file upwards, and untrusted ones before it; up to the project's root (`.git`), the home
    folder or `/`."""
    try:
        here = Path(os.path.realpath(cwd))
    except OSError:  # relative to a deleted folder
        return
    home = _folder(environ, "HOME")
    last = home and Path(os.path.realpath(home))
    for folder in (here, *here.parents):
        file = folder / PROJECT_FILE
        # lexists: a dangling link is an error, not a missing file. A file in a folder closed to us, which is then
        # another user's, counts as missing.
        if os.path.lexists(file):
            distrust = _distrust(file, environ)
            yield SettingsFile(file, of_project=True, distrust=distrust)
            if not distrust:
                return
        if folder == last or os.path.lexists(folder / ".git"):
            return


def _distrust(file: Path, environ: Mapping[str, str]) -> str:
    """Why a file is not trusted, or empty: the owner of it or of its folder controls its content."""
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH and folder.st_uid != os.geteuid():  # as in /tmp
        return "anyone can write to its folder"
    owners = [("its folder", folder.st_uid), ("it", file.lstat().st_uid)]
    with suppress(OSError):  # dangling or not accessible: reading it reports that
        owners.append(("the file it leads to", os.stat(file).st_uid))  # noqa: PTH116 - exists() raises for the latter
    trusted = _trusted(environ)
    return next((f"{what} belongs to another user (uid {uid})" for what, uid in owners if uid not in trusted), "")


def _trusted(environ: Mapping[str, str]) -> set[int]:
    """The users whose files are trusted: the user, root, and sudo's caller."""
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
    except ValueError as error:  # TOMLDecodeError, and int()'s for thousands of digits
        raise _unreadable(file, f"it is not TOML: {clean(str(error))}") from error


# TOML's complete strings and comments; marks that add depth; and an unmatched quotation mark.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|"(?!"")(?:\\.|[^"\\\n])*"'
    r"|'''.*?'{3,5}|'(?!'')[^'\n]*'"
    r"|#[^\n]*"
    r"|(?P<mark>[][{}.\n])"
    r"|(?P<open>[\"'])",
    re.DOTALL,
)


def _is_shallow(text: str) -> bool:
    """Whether keys have few parts, and arrays and tables little depth: a parser's memory grows with the square of the
    former, its stack with the latter."""
    depth = dots = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:  # an unterminated string, at which the parser stops
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
