"""The settings: what counts over what, where files are looked for, and that nothing wrong passes."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from pushsafe.cli.options import SETTINGS, Setting, Settings
from pushsafe.cli.settings import load, setting_table
from pushsafe.cli.settings_file import PROJECT_FILE, USER_FILE
from pushsafe.cli.values import seconds
from pushsafe.model.errors import UsageError
from pushsafe.model.request import PushRequest, TagPolicy

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

# root without what lets it read everything, so that closed files are closed to it too.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

WITHOUT_FILES = "PUSHSAFE_CONFIG=FILE reads another settings file, an empty PUSHSAFE_CONFIG none"
A_TIME = "neither a time such as 90s, 5m, 1h30m nor a number of seconds"
A_RANGE = "out of range: more than 0 seconds, at most 24 hours"
A_SET = "its [, ] or ! is no part of a set such as [0-9] or [!0-9]"
VARIABLES = (
    "PUSHSAFE_PREFLIGHT, PUSHSAFE_TIMEOUT, PUSHSAFE_RETRIES, PUSHSAFE_VERIFY_TIMEOUT, PUSHSAFE_MOVING_TAGS, "
    "PUSHSAFE_IMMUTABLE_TAGS, "
    "PUSHSAFE_CONFIG"
)


NOTHING: Mapping[str, str] = MappingProxyType({})


class Place(NamedTuple):
    """A home with a project in it; nothing above the home is looked at."""

    home: Path

    @property
    def project(self) -> Path:
        return self.home / "project"

    def write(self, layer: str, text: str) -> Path:
        file = self.home / {"user": f".config/{USER_FILE}", "project": f"project/{PROJECT_FILE}"}[layer]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def load(self, environ: Mapping[str, str] = NOTHING, given: Mapping[str, object] = NOTHING) -> Settings:
        return load({"HOME": str(self.home), **environ}, self.project, given)

    def refusal(self, environ: Mapping[str, str] = NOTHING, given: Mapping[str, object] = NOTHING) -> tuple[str, str]:
        """Message and hint, with `~` for the home."""
        with pytest.raises(UsageError) as caught:
            self.load(environ, given)
        return caught.value.message.replace(str(self.home), "~"), caught.value.hint


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "home" / "project").mkdir(parents=True)
    return Place(tmp_path / "home")


def value(settings: Settings, name: str) -> object:
    found: object = getattr(settings, name.replace("-", "_"))
    return found


# ---------------------------------------------------------------------- what counts over what

LAYERS = ("user", "project", "environment", "given")
USERS = tuple(layer for layer in LAYERS if layer != "project")
"""Whatever the user says; a project's file adds to it."""


class Said(NamedTuple):
    """One value as a file, a variable and the command line say it."""

    file: str
    text: str
    given: object
    means: object


TWO: dict[str, tuple[Said, Said]] = {
    "preflight": (Said("true", "1", True, True), Said("false", "off", False, False)),
    "timeout": (Said("90", "1m30s", "90s", 90.0), Said('"5m"', "300", 300, 300.0)),
    "retries": (Said("0", "0", 0, 0), Said("7", "07", 7, 7)),
    "verify-timeout": (Said("0", "0s", 0, 0.0), Said('"1m"', "60", "60s", 60.0)),
    "moving-tags": (Said('["a", "b*"]', "a,b*", ("a", "b*"), ("a", "b*")), Said("[]", "", [], ())),
    "immutable-tags": (Said('["v1"]', "v1", ["v1"], ("v1",)), Said('["v?"]', " v? ", ["v?"], ("v?",))),
}


def loaded(place: Place, name: str, said: Mapping[str, Said]) -> Settings:
    """The settings where each of these layers says something of one setting."""
    for layer in ("user", "project"):
        if layer in said:
            place.write(layer, f"{name} = {said[layer].file}\n")
    variable = "PUSHSAFE_" + name.upper().replace("-", "_")
    environ = {variable: said["environment"].text} if "environment" in said else {}
    return place.load(environ, {name: said["given"].given if "given" in said else None})


def test_nothing_said_is_the_default(place: Place) -> None:
    assert place.load() == Settings(
        preflight=True, timeout=None, retries=3, moving_tags=TagPolicy().moving, immutable_tags=()
    )
    assert place.load().request == PushRequest(())
    assert {setting.name: setting.default for setting in SETTINGS} == {name: value(Settings(), name) for name in TWO}


@pytest.mark.parametrize("layer", USERS)
@pytest.mark.parametrize("name", TWO)
def test_each_place_counts_over_the_default_and_leaves_the_rest(name: str, layer: str, place: Place) -> None:
    said = next(one for one in TWO[name] if one.means != value(Settings(), name))
    settings = loaded(place, name, {layer: said})
    assert {other: value(settings, other) for other in TWO} == {
        other: said.means if other == name else value(Settings(), other) for other in TWO
    }


@pytest.mark.parametrize(("weak", "strong"), [pair for pair in combinations(LAYERS, 2) if pair[1] != "project"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", TWO)
def test_a_later_place_counts_over_an_earlier_one(
    name: str, turned: bool, weak: str, strong: str, place: Place
) -> None:
    first, second = TWO[name][::-1] if turned else TWO[name]
    assert value(loaded(place, name, {weak: first, strong: second}), name) == second.means


def test_places_are_mixed_setting_by_setting(place: Place) -> None:
    place.write("user", 'timeout = "1h"\nimmutable-tags = ["v*"]\n')
    place.write("project", "timeout = 60\npreflight = false\n")
    settings = place.load({"PUSHSAFE_MOVING_TAGS": "edge, rc[0-9]*"}, {"preflight": None})
    assert {name: value(settings, name) for name in TWO} == {
        "preflight": True,
        "timeout": 60.0,
        "retries": 3,
        "verify-timeout": 15.0,
        "moving-tags": ("edge", "rc[0-9]*"),
        "immutable-tags": ("v*",),
    }


@pytest.mark.parametrize("layer", ["user", "project"])
def test_what_is_overridden_is_checked_too(layer: str, place: Place) -> None:
    place.write(layer, "timeout = 0")
    above = {"PUSHSAFE_TIMEOUT": "5"}
    assert place.refusal(above, {"timeout": 5})[0].endswith(f".toml: timeout: 0 is {A_RANGE}")
    place.write(layer, "timeout = 1")
    assert place.refusal({"PUSHSAFE_TIMEOUT": "0"}, {"timeout": 5})[0] == f"PUSHSAFE_TIMEOUT: 0.0 is {A_RANGE}"
    assert place.load(above, {"timeout": 6}).timeout == 6


# ---------------------------------------------------------------------- where files are looked for


@pytest.mark.parametrize(
    ("there", "cwd", "found"),
    [
        ("a/b/.pushsafe.toml", "a/b", "a/b"),
        ("a/.pushsafe.toml", "a/b", "a"),
        ("a/.pushsafe.toml a/b/.pushsafe.toml", "a/b", "a/b"),
        ("a/b/.pushsafe.toml", "a", ""),
        ("a/.pushsafe.toml a/.git/HEAD", "a/b", "a"),
        ("a/.pushsafe.toml a/b/.git/HEAD", "a/b", ""),
        ("a/.pushsafe.toml a/b/.git", "a/b", ""),  # a work tree's .git is a file
        (".pushsafe.toml", "a/b", "."),
        ("../.pushsafe.toml", "a/b", ""),  # beyond the home
        ("../.pushsafe.toml", "../beside", ".."),
        ("a/.pushsafe.toml", "a/gone/deeper", "a"),
        ("a/.pushsafe.toml", "a/../b", ""),
    ],
)
def test_the_projects_file(there: str, cwd: str, found: str, place: Place) -> None:
    files = {name: place.home / name for name in there.split()}
    for number, (name, file) in enumerate(files.items(), start=1):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"timeout = {number}" if name.endswith(".toml") else "")
    (place.home / "a" / "b").mkdir(parents=True, exist_ok=True)
    (place.home.parent / ".git").mkdir()  # so that this machine's own folders do not count
    expected = list(files).index(os.path.normpath(f"{found}/{PROJECT_FILE}")) + 1 if found else None
    assert load({"HOME": str(place.home)}, place.home / cwd).timeout == expected


def test_a_home_that_is_a_link_ends_the_search_too(tmp_path: Path) -> None:
    (tmp_path / "disk" / "project").mkdir(parents=True)
    (tmp_path / "home").symlink_to("disk")
    (tmp_path / PROJECT_FILE).write_text("timeout = 1")
    assert load({"HOME": str(tmp_path / "home")}, tmp_path / "disk" / "project").timeout is None
    assert load({"HOME": str(tmp_path / "other")}, tmp_path / "disk" / "project").timeout == 1


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"HOME": "{}"}, 1),
        ({"HOME": "{}", "XDG_CONFIG_HOME": ""}, 1),
        ({"HOME": "{}", "XDG_CONFIG_HOME": "xdg"}, 1),  # a relative one does not count
        ({"HOME": "{}", "XDG_CONFIG_HOME": "{}/xdg"}, 2),
        ({"XDG_CONFIG_HOME": "{}/xdg"}, 2),
        ({"HOME": "{}", "XDG_CONFIG_HOME": "{}/empty"}, None),
        ({"HOME": ""}, None),
        ({"HOME": "."}, None),
        ({}, None),
    ],
)
def test_the_users_file(
    environ: dict[str, str], found: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, folder in enumerate((".config", "xdg"), start=1):
        (tmp_path / folder / USER_FILE).parent.mkdir(parents=True)
        (tmp_path / folder / USER_FILE).write_text(f"timeout = {number}")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = load({name: text.format(tmp_path) for name, text in environ.items()}, tmp_path)
    assert settings.timeout == found


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("other.toml", Settings(timeout=3)),
        ("{}/other.toml", Settings(timeout=3)),
        ("", Settings()),
        (None, Settings(retries=1, timeout=2)),
    ],
)
def test_the_variable_names_the_only_file(variable: str | None, expected: Settings, place: Place) -> None:
    place.write("user", "retries = 1\ntimeout = 5")
    place.write("project", "timeout = 2")
    (place.project / "other.toml").write_text("timeout = 3")
    environ = {} if variable is None else {"PUSHSAFE_CONFIG": variable.format(place.project)}
    assert place.load(environ) == expected


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(gone)
    (gone / PROJECT_FILE).write_text("timeout = 1")
    assert load({}, Path()).timeout == 1
    (gone / PROJECT_FILE).unlink()
    gone.rmdir()
    assert load({}, Path()) == load({}, gone) == Settings()


# ---------------------------------------------------------------------- files that cannot be read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        # What follows the colon are tomllib's and int()'s own words, which change with Python's version.
        (b"timeout = 5m", "it is not TOML: "),
        (b"timeout = 5\ntimeout = 6", "it is not TOML: "),
        (b"timeout = " + b"9" * 5000, "it is not TOML: "),
        (b"x = " + b"[" * 5000, "it is nested too deep"),
        (b"x = " + b"{a=" * 5000, "it is nested too deep"),
        (b"a." * 30000 + b"a = 1", "it is nested too deep"),
        (b"a . " * 15000 + b"a = 1", "it is nested too deep"),
        (b'"a".' * 12000 + b"a = 1", "it is nested too deep"),
        (b"'a'." * 12000 + b"a = 1", "it is nested too deep"),
        (b"[" + b"a." * 30000 + b"a]", "it is nested too deep"),
        (b"[[" + b"a." * 30000 + b"a]]", "it is nested too deep"),
        (b'x = {a = """\n""", "b" . ' + b"c." * 20000 + b'c = 1} # "', "it is nested too deep"),
        (b"timeout = \xff", "it is not UTF-8 (byte 11)"),
        (b"#" * 65537, "it is larger than 64 KiB"),
    ],
)
@pytest.mark.parametrize("layer", ["user", "project", "PUSHSAFE_CONFIG"])
def test_a_file_that_says_nothing(layer: str, content: bytes, reason: str, place: Place) -> None:
    file = place.project / "chosen" if layer == "PUSHSAFE_CONFIG" else place.write(layer, "")
    file.write_bytes(content)
    message, hint = place.refusal({layer: "chosen"} if layer == "PUSHSAFE_CONFIG" else {})
    start = f"cannot read the settings of {file}: {reason}".replace(str(place.home), "~")
    assert message[: len(start)] == start
    assert reason.endswith(": ") == (len(message) > len(start))
    assert hint == WITHOUT_FILES


def test_the_largest_file(place: Place) -> None:
    place.write("project", "timeout = 5\n" + "#" * (64 * 1024 - 12))
    assert place.load().timeout == 5


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("folder", "Is a directory"),
        ("nowhere", "No such file or directory"),
        (PROJECT_FILE, "Too many levels of symbolic links"),
        ("/dev/zero", "it is a device, not a regular file"),
        ("/dev/tty", "it is a device, not a regular file"),
        ("pipe", "it is a pipe, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
    ],
)
def test_a_file_that_is_a_link(target: str, reason: str, place: Place) -> None:
    (place.project / "folder").mkdir()
    os.mkfifo(place.project / "pipe")
    _socket(place.project / "socket")
    (place.project / PROJECT_FILE).symlink_to(target)
    message = f"cannot read the settings of ~/project/.pushsafe.toml: {reason}"
    assert place.refusal() == (message, WITHOUT_FILES)


def test_a_users_file_that_is_a_link_to_nowhere(place: Place) -> None:
    file = place.write("user", "")
    file.unlink()
    file.symlink_to("nowhere")
    message = f"cannot read the settings of ~/.config/{USER_FILE}: No such file or directory"
    assert place.refusal() == (message, WITHOUT_FILES)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("none.toml", "cannot read the settings of ~/project/none.toml: No such file or directory"),
        ("/dev/null/x", "cannot read the settings of /dev/null/x: Not a directory"),
        (".", "cannot read the settings of ~/project: Is a directory"),
    ],
)
def test_the_named_file_must_be_there(chosen: str, message: str, place: Place) -> None:
    assert place.refusal({"PUSHSAFE_CONFIG": chosen}) == (message, WITHOUT_FILES)


def _powerless(place: Place, **environ: str) -> str:
    script = (
        "import os\nfrom pathlib import Path\n"
        "from pushsafe.cli.settings import load\nfrom pushsafe.model.errors import UsageError\n"
        f"try: print(load(os.environ, Path({str(place.project)!r})).timeout)\n"
        "except UsageError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [*POWERLESS, sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(place.home), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().replace(str(place.home), "~")


@pytest.mark.parametrize(
    ("layer", "shown"), [("user", "~/.config/docker-pushsafe/config.toml"), ("project", "~/project/.pushsafe.toml")]
)
def test_a_closed_file_is_an_error_and_a_closed_folder_hides_it(layer: str, shown: str, place: Place) -> None:
    file = place.write(layer, "timeout = 7")
    assert _powerless(place) == "7.0"
    file.chmod(0)
    denied = f"cannot read the settings of {shown}: Permission denied"
    assert _powerless(place) == denied
    file.parent.chmod(0)
    try:
        assert _powerless(place) == "None"
        assert _powerless(place, PUSHSAFE_CONFIG=str(file)) == denied
    finally:
        file.parent.chmod(0o700)


def _socket(path: Path) -> None:
    """A socket's file, which outlives the socket; bound by a short name, as its address has room for 107 bytes."""
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(path.parent):
        listening.bind(path.name)


@pytest.mark.parametrize("layer", ["user", "project", "PUSHSAFE_CONFIG"])
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(layer: str, place: Place) -> None:
    file = place.project / "chosen" if layer == "PUSHSAFE_CONFIG" else place.write(layer, "")
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    message, hint = place.refusal({layer: "chosen"} if layer == "PUSHSAFE_CONFIG" else {})
    assert message.endswith(": it is a pipe, not a regular file")
    assert hint == WITHOUT_FILES


def test_no_device_but_an_empty_one_is_opened(place: Place) -> None:
    assert place.load({"PUSHSAFE_CONFIG": "/dev/null"}) == Settings()


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h0m1s", 3601),
        ("2h5s", 7205),
        ("0.25h", 900),
        ("24h", 86400),
        ("86400", 86400),
    ],
)
def test_times(text: str, expected: float, place: Place) -> None:
    assert seconds(text) == expected
    assert place.load({"PUSHSAFE_TIMEOUT": text}).timeout == expected


NO_TIMES = ["", " ", "5 m", " 5", "-5", "+5", "1e3", "1_000", ".5", "5.", "h", "5M", "5d", "5ms", "30m1h", "1h30"]


@pytest.mark.parametrize("text", [*NO_TIMES, "1m1m", "soon", "inf", "nan", "٣", "5\n"])
def test_no_times(text: str, place: Place) -> None:
    with pytest.raises(ValueError, match="neither a time"):
        seconds(text)
    message, hint = place.refusal({"PUSHSAFE_TIMEOUT": text})
    assert message.startswith("PUSHSAFE_TIMEOUT: ")
    assert message.endswith(A_TIME)
    assert hint == "PUSHSAFE_TIMEOUT=5m"


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "86401", "24h1s", "9" * 400, "1440.1m"])
def test_times_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((word, True) for word in ("1", "true", "TRUE", "True", "yes", "on")),
        *((word, False) for word in ("0", "false", "No", "no", "off")),
    ],
)
def test_words_for_true_and_false(text: str, expected: bool, place: Place) -> None:
    assert place.load({"PUSHSAFE_PREFLIGHT": text}).preflight is expected


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("latest", "latest"),
        ("*", "anything"),
        ("v[0-9]*.[!a-z]", "v12.0"),
        ("*-rc?", "1.0-rc1"),
        ("[a-zA-Z_.-]x", "_x"),
        ("_A.b-C", "_A.b-C"),
        ("?.?", "1.2"),
    ],
)
def test_patterns_that_match_a_tag(pattern: str, tag: str, place: Place) -> None:
    assert fnmatchcase(tag, pattern)
    assert place.load({"PUSHSAFE_MOVING_TAGS": pattern}).moving_tags == (pattern,)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "it is empty"),
        ("release/*", 'no tag contains "/"'),
        ("my-api:latest", 'no tag contains ":"'),
        ("a b", 'no tag contains " "'),
        ("^v\\d+$", 'no tag contains "^\\\\+$"'),
        ("{a,b}", 'no tag contains "{,}"'),
        ("größe", 'no tag contains "öß"'),
        (".x", "no tag starts with ."),
        ("-*", "no tag starts with -"),
        ("!latest", A_SET),
        ("v[0-9", A_SET),
        ("v0-9]", A_SET),
        ("v[]", A_SET),
        ("v[!]", A_SET),
    ],
)
@pytest.mark.parametrize("name", ["moving-tags", "immutable-tags"])
def test_patterns_that_match_no_tag(name: str, pattern: str, problem: str, place: Place) -> None:
    message, hint = place.refusal(given={name: ["latest", pattern]})
    assert message.startswith(f"--{name}: ")
    assert message.endswith(f" matches no tag: {problem}")
    assert hint.startswith(f"--{name} ")
    assert not any(fnmatchcase(tag, pattern) for tag in ("latest", "v1", "v0-9", "a", "b", "release", "x", "v"))


# ---------------------------------------------------------------------- failures and what they say


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("timeot = 5", 'there is no setting "timeot"', "timeout"),
        ("moving_tags = []", 'there is no setting "moving_tags"', "moving-tags"),
        ("PREFLIGHT = true", 'there is no setting "PREFLIGHT"', "preflight"),
        ("[immutable]\ntags = []", 'there is no setting "immutable"', "immutable-tags"),
        (
            "colour = 1",
            'there is no setting "colour"',
            "one of preflight, timeout, retries, verify-timeout, moving-tags, immutable-tags",
        ),
        ('preflight = "yes"', 'preflight: "yes" is neither true nor false', "preflight = true"),
        ("preflight = 1", "preflight: 1 is neither true nor false", "preflight = true"),
        ("[preflight]\nx = 1", 'preflight: {"x": 1} is neither true nor false', "preflight = true"),
        ("retries = -1", "retries: -1 is out of range: 0 to 100", "retries = 5"),
        ("retries = 101", "retries: 101 is out of range: 0 to 100", "retries = 5"),
        ("retries = 1.5", "retries: 1.5 is no whole number", "retries = 5"),
        ('retries = "5"', 'retries: "5" is no whole number', "retries = 5"),
        ("retries = true", "retries: true is no whole number", "retries = 5"),
        ("timeout = true", f"timeout: true is {A_TIME}", 'timeout = "5m"'),
        ("timeout = [5]", f"timeout: [5] is {A_TIME}", 'timeout = "5m"'),
        ("timeout = 07:32:00", f'timeout: "07:32:00" is {A_TIME}', 'timeout = "5m"'),
        ('timeout = "soon"', f'timeout: "soon" is {A_TIME}', 'timeout = "5m"'),
        ("timeout = -1", f"timeout: -1 is {A_RANGE}", 'timeout = "5m"'),
        ("timeout = 86400.5", f"timeout: 86400.5 is {A_RANGE}", 'timeout = "5m"'),
        ("timeout = inf", f"timeout: Infinity is {A_RANGE}", 'timeout = "5m"'),
        ("timeout = nan", f"timeout: NaN is {A_RANGE}", 'timeout = "5m"'),
        ('moving-tags = "a"', 'moving-tags: "a" is no list of patterns', 'moving-tags = ["latest", "stable"]'),
        ("immutable-tags = [1]", "immutable-tags: [1] is no list of patterns", 'immutable-tags = ["v*"]'),
        (
            'immutable-tags = ["a/b"]',
            'immutable-tags: "a/b" matches no tag: no tag contains "/"',
            'immutable-tags = ["v*"]',
        ),
    ],
)
@pytest.mark.parametrize("layer", ["user", "project"])
def test_what_a_file_cannot_say(layer: str, text: str, message: str, hint: str, place: Place) -> None:
    shown = str(place.write(layer, text)).replace(str(place.home), "~")
    assert place.refusal() == (f"{shown}: {message}", hint)


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("PREFLIGHT", "maybe", 'PUSHSAFE_PREFLIGHT: "maybe" is neither true nor false', "PUSHSAFE_PREFLIGHT=true"),
        ("PREFLIGHT", "", 'PUSHSAFE_PREFLIGHT: "" is neither true nor false', "PUSHSAFE_PREFLIGHT=true"),
        ("TIMEOUT", "0", f"PUSHSAFE_TIMEOUT: 0.0 is {A_RANGE}", "PUSHSAFE_TIMEOUT=5m"),
        (
            "MOVING_TAGS",
            "a,,b",
            'PUSHSAFE_MOVING_TAGS: "" matches no tag: it is empty',
            "PUSHSAFE_MOVING_TAGS=latest,stable",
        ),
        (
            "IMMUTABLE_TAGS",
            "a,",
            'PUSHSAFE_IMMUTABLE_TAGS: "" matches no tag: it is empty',
            "PUSHSAFE_IMMUTABLE_TAGS=v*",
        ),
        (
            "IMMUTABLE_TAGS",
            " ",
            'PUSHSAFE_IMMUTABLE_TAGS: "" matches no tag: it is empty',
            "PUSHSAFE_IMMUTABLE_TAGS=v*",
        ),
        ("RETRIES", "-1", "PUSHSAFE_RETRIES: -1 is out of range: 0 to 100", "PUSHSAFE_RETRIES=5"),
        ("RETRIES", "many", 'PUSHSAFE_RETRIES: "many" is no whole number', "PUSHSAFE_RETRIES=5"),
        ("RETRIES", "", 'PUSHSAFE_RETRIES: "" is no whole number', "PUSHSAFE_RETRIES=5"),
        ("TIMOUT", "5", 'there is no setting "PUSHSAFE_TIMOUT"', "PUSHSAFE_TIMEOUT"),
        ("timeout", "5", 'there is no setting "PUSHSAFE_timeout"', "PUSHSAFE_TIMEOUT"),
        ("MOVING-TAGS", "a", 'there is no setting "PUSHSAFE_MOVING-TAGS"', "PUSHSAFE_MOVING_TAGS"),
        ("CONFIGS", "", 'there is no setting "PUSHSAFE_CONFIGS"', "PUSHSAFE_CONFIG"),
        ("DRY_RUN", "1", 'there is no setting "PUSHSAFE_DRY_RUN"', f"one of {VARIABLES}"),
        ("", "1", 'there is no setting "PUSHSAFE_"', f"one of {VARIABLES}"),
    ],
)
def test_what_a_variable_cannot_say(name: str, text: str, message: str, hint: str, place: Place) -> None:
    assert place.refusal({f"PUSHSAFE_{name}": text}) == (message, hint)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"timeout": "soon"}, f'--timeout: "soon" is {A_TIME}', "--timeout 5m"),
        ({"timeout": 0}, f"--timeout: 0 is {A_RANGE}", "--timeout 5m"),
        ({"retries": "many"}, '--retries: "many" is no whole number', "--retries 5"),
        ({"timeot": 5}, 'there is no setting "--timeot"', "--timeout"),
    ],
)
def test_what_the_command_line_cannot_say(given: dict[str, object], message: str, hint: str, place: Place) -> None:
    assert place.refusal(given=given) == (message, hint)


@pytest.mark.parametrize("text", ['"\\u001b[31m" = 1', 'timeout = "\\u001b[31m"', 'moving-tags = ["\\u009b\\u202e"]'])
def test_a_file_does_not_write_on_the_terminal(text: str, place: Place) -> None:
    place.write("project", text)
    assert "".join(place.refusal()).isprintable()


def test_a_folders_name_does_not_write_on_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "\x1b[31m" / PROJECT_FILE
    file.parent.mkdir()
    for text in ("x = 1", "x"):
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            load({}, file.parent)
        assert caught.value.message.isprintable()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_what_mends_it_is_valid(setting: Setting, place: Place) -> None:
    """The example of a refusal's hint, as each place writes it."""
    file = place.write("user", f"{setting.name} = {{}}")
    in_file = place.refusal()[1]
    file.write_text(in_file)
    expected = place.load()
    assert (expected == Settings()) == (setting.example == setting.default)
    file.unlink()
    named = "PUSHSAFE_" + setting.name.upper().replace("-", "_")
    variable, _, text = place.refusal({named: "-"})[1].partition("=")
    assert (variable, place.load({variable: text})) == (named, expected)


# ---------------------------------------------------------------------- whose folder it is


STRANGER = 4711
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.mark.parametrize(
    ("mode", "folders", "files", "me", "why"),
    [
        (0o755, 0, 0, 0, ""),
        (0o755, 1, 1, 1, ""),
        (0o755, 0, 0, 1, ""),  # what root has put there
        (0o755, 1, 0, 1, ""),
        (0o1777, 1, 1, 1, ""),
        (0o755, STRANGER, 1, 1, "its folder belongs to another user (uid 4711)"),
        (0o755, 1, STRANGER, 1, "it belongs to another user (uid 4711)"),
        (0o755, 0, STRANGER, 0, "it belongs to another user (uid 4711)"),
        (0o755, STRANGER, STRANGER, 0, "its folder belongs to another user (uid 4711)"),
        (0o1777, 0, STRANGER, 0, "it belongs to another user (uid 4711)"),  # root in a shared folder
        (0o1777, 0, 1, 1, "anyone can write to its folder"),
        (0o777, 0, 1, 1, "anyone can write to its folder"),
    ],
)
@pytest.mark.parametrize("below", ["", "sub/folder"])
@needs_root
def test_a_file_that_a_stranger_may_have_put_there(
    mode: int, folders: int, files: int, me: int, why: str, below: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place.write("project", "timeout = 5")
    (place.project / below).mkdir(parents=True, exist_ok=True)
    os.chown(file, files, -1)
    os.chown(place.project, folders, -1)
    place.project.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: me)
    settings = load({"HOME": str(place.home)}, place.project / below)
    said = f"{file} is ignored: {why}; PUSHSAFE_CONFIG={file} reads it anyway"
    assert settings == Settings(timeout=None if why else 5, warnings=(said,) if why else ())


@pytest.mark.parametrize(("caller", "taken"), [("4711", True), ("4712", False), ("x", False)])
@needs_root
def test_under_sudo_the_callers_file_counts(caller: str, taken: bool, place: Place) -> None:
    file = place.write("project", "timeout = 5")
    for path in (file, place.project):
        os.chown(path, STRANGER, -1)
    assert place.load({"SUDO_UID": caller}).timeout == (5 if taken else None)


def test_a_link_that_leads_to_where_nobody_can_look(place: Place) -> None:
    """As to a folder that is closed to this user, which a test that runs as root does not have."""
    (place.project / PROJECT_FILE).symlink_to("x" * 300)
    assert "cannot read the settings of ~/project/.pushsafe.toml" in place.refusal()[0]


@pytest.mark.parametrize(
    ("links", "targets", "why"),
    [
        (0, 0, ""),
        (STRANGER, 0, "it belongs to another user (uid 4711)"),
        (0, STRANGER, "the file it leads to belongs to another user (uid 4711)"),
    ],
)
@needs_root
def test_a_link_is_whose_it_is_and_leads_to(links: int, targets: int, why: str, place: Place) -> None:
    target = place.home / "elsewhere.toml"
    target.write_text("timeout = 5")
    file = place.project / PROJECT_FILE
    file.symlink_to(target)
    os.chown(target, targets, -1)
    os.lchown(file, links, -1)
    settings = place.load()
    assert (settings.timeout, len(settings.warnings)) == ((None, 1) if why else (5, 0))
    assert why in "".join(settings.warnings)


@needs_root
def test_what_the_user_names_is_taken_whoever_owns_it(place: Place) -> None:
    file = place.write("project", "timeout = 5")
    os.chown(file, STRANGER, -1)
    assert place.load({"PUSHSAFE_CONFIG": str(file)}) == Settings(timeout=5)


def test_the_search_goes_on_above_a_strangers_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place.write("project", "this is not even TOML")
    place.project.chmod(0o1777)
    (place.home / PROJECT_FILE).write_text("timeout = 5")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    monkeypatch.setattr("pushsafe.cli.settings_file._trusted", lambda environ: {0, me, me + 1})
    settings = place.load()
    assert settings.timeout == 5
    assert settings.warnings[0].startswith(f"{file} is ignored: anyone can write to its folder; ")


# ---------------------------------------------------------------------- what a project may do

ADDED = (*TagPolicy().moving, "rc")


@pytest.mark.parametrize(
    ("name", "user", "project", "holds", "ignored"),
    [
        ("preflight", "", "false", True, True),
        ("preflight", "true", "false", True, True),
        ("preflight", "false", "true", True, False),
        ("preflight", "", "true", True, False),
        ("timeout", "", "300", 300, False),
        ("timeout", "60", "300", 60, True),
        ("timeout", "300", "60", 60, False),
        ("retries", "0", "9", 9, False),
        ("retries", "9", "0", 0, False),
        ("moving-tags", "", "[]", TagPolicy().moving, True),
        ("moving-tags", "", '["latest"]', TagPolicy().moving, True),
        ("moving-tags", "", '["latest", "rc"]', ADDED, False),
        ("moving-tags", "[]", '["rc"]', ("rc",), False),
        ("immutable-tags", '["v*"]', "[]", ("v*",), True),
        ("immutable-tags", '["v*"]', '["r*"]', ("v*", "r*"), False),
        ("immutable-tags", "", '["r*"]', ("r*",), False),
    ],
)
def test_a_project_adds_to_the_guards_and_takes_none_away(
    name: str, user: str, project: str, holds: object, ignored: bool, place: Place
) -> None:
    if user:
        place.write("user", f"{name} = {user}")
    file = place.write("project", f"{name} = {project}")
    settings = place.load()
    assert value(settings, name) == holds
    (said,) = settings.warnings or ("",)
    assert bool(said) == ignored
    assert not said or (said.startswith(f"{name} = ") and f" in {file} changes nothing: a project's file " in said)


def test_the_user_takes_away_what_a_project_adds(place: Place) -> None:
    place.write("project", 'preflight = true\ntimeout = 1\nimmutable-tags = ["v*"]\nmoving-tags = ["rc"]')
    variables = {"PUSHSAFE_IMMUTABLE_TAGS": "", "PUSHSAFE_MOVING_TAGS": "latest", "PUSHSAFE_PREFLIGHT": "off"}
    settings = place.load(variables, {"timeout": "5m"})
    assert settings == Settings(False, 300, moving_tags=("latest",), preflight_off="PUSHSAFE_PREFLIGHT")


@pytest.mark.parametrize(
    ("user", "environ", "given", "off"),
    [
        ("", {}, None, ""),
        ("preflight = false", {}, None, "preflight = false in {file}"),
        ("preflight = false", {"PUSHSAFE_PREFLIGHT": "0"}, None, "PUSHSAFE_PREFLIGHT"),
        ("preflight = false", {"PUSHSAFE_PREFLIGHT": "0"}, False, "--no-preflight"),
        ("preflight = false", {"PUSHSAFE_PREFLIGHT": "1"}, None, ""),
        ("", {"PUSHSAFE_PREFLIGHT": "0"}, True, ""),
    ],
)
def test_what_switched_the_preflight_off(
    user: str, environ: dict[str, str], given: bool | None, off: str, place: Place
) -> None:
    file = place.write("user", user)
    settings = place.load(environ, {"preflight": given})
    assert (settings.preflight_off, settings.preflight) == (off.format(file=file), not off)


# ---------------------------------------------------------------------- others' variables, and what a start pays for


def test_variables_that_others_read_are_left_alone(place: Place) -> None:
    tests = ROOT / "tests"
    readers = [ROOT / "docker-pushsafe", ROOT / "install.sh", *(tests / "lab").glob("[!t]*.py")]
    texts = [file.read_text(encoding="utf-8") for file in (*readers, tests / "unit/report/test_report.py")]
    names = set(re.findall(r"\bPUSHSAFE_[A-Z_]+", " ".join(texts)))
    assert len(names) >= 3
    assert place.load(dict.fromkeys(names, "x")) == Settings()


@pytest.mark.parametrize(("text", "lazy"), [(None, set()), ("", {"tomllib"}), ("timeot = 1", {"tomllib", "difflib"})])
def test_only_a_file_is_paid_for(text: str | None, lazy: set[str], place: Place) -> None:
    if text is not None:
        place.write("project", text)
    script = (
        "import sys\nfrom pathlib import Path\nfrom pushsafe.cli.settings import load\n"
        f"try: load({{'HOME': {str(place.home)!r}}}, Path({str(place.project)!r}))\nexcept Exception: pass\n"
        "print(*{'tomllib', 'difflib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == lazy


# ---------------------------------------------------------------------- the page


def test_the_pages_table_is_what_the_code_says() -> None:
    rows = [
        f"| `{name}` | `{variable}` | {kind} | `{default}` | {meaning} | {reach} |"
        for name, variable, kind, default, meaning, reach in setting_table()
    ]
    table = re.findall(r"<!-- begin settings -->\n(.*?)<!-- end settings -->", PAGE, re.DOTALL)
    assert [one.splitlines()[2:] for one in table] == [rows]
    assert len(rows) == len(set(Settings._fields) - {"preflight_off", "warnings", "signed"})


def test_the_pages_files_are_the_codes() -> None:
    assert f"`${{XDG_CONFIG_HOME:-~/.config}}/{USER_FILE}`" in PAGE
    assert f"`{PROJECT_FILE}`" in PAGE


def test_the_pages_examples_work(place: Place) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (line,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    place.write("project", toml)
    wanted = Settings(
        timeout=900, moving_tags=(*TagPolicy().moving, "[0-9]", "[0-9].[0-9]"), immutable_tags=("v*", "*-release")
    )
    assert place.load() == wanted
    environ = dict(re.findall(r"(PUSHSAFE_\w+)=(\S*)", line))
    assert place.load(environ) == wanted._replace(timeout=90, immutable_tags=())
