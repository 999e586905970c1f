"""No secret and no control character reaches a stream, a log or a file, whatever engines and registries answer.

The whole program runs, as a process of its own, against engines and registries that echo what they were sent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import traceback
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pushsafe.credentials.store import auth_config
from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind, secrets_of
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.facts import Facts
from pushsafe.registry.auth import Token
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Response, Transport
from pushsafe.runtime.redact import clean, remember
from tests.fakes.registry import Answer, FakeRegistry, on
from tests.system.secret_cases import (
    BASIC,
    FORBIDDEN,
    HEADER,
    IDENTITY,
    JWT,
    OPAQUE,
    PASSWORD,
    SAYS,
    SCENARIOS,
    Scenario,
)
from tests.values import ref

ROOT = Path(__file__).resolve().parents[2]
# --------------------------------------------------------------------------- running them


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str
    files: Mapping[str, str]

    @property
    def everything(self) -> str:
        return "\n".join((self.stdout, self.stderr, *self.files.values()))


FORMS: dict[str, tuple[str, ...]] = {
    "human": (),
    "json": ("--format", "json"),
    "quiet": ("--quiet",),
    "docker -D": (),
}


class Stage:
    """A home, an engine and a registry for one run of the program."""

    def __init__(self, scenario: Scenario, folder: Path, form: str) -> None:
        self.scenario, self.form = scenario, form
        self.home, self.config = folder / "home", folder / "docker"
        for part in (self.home, self.config, folder / "bin", self.home / "cwd", self.home / "tmp"):
            part.mkdir(parents=True)
        self.environ = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "DOCKER_CONFIG": str(self.config),
            "PYTHONPATH": f"{folder}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            **scenario.environ,
        }
        for file, text in scenario.files.items():
            (self.home / file).parent.mkdir(parents=True, exist_ok=True)
            (self.home / file).write_text(text)
        self.prelude = folder / "prelude.py"
        self.prelude.write_text(
            f"{scenario.prelude}\nimport runpy\nrunpy.run_module('pushsafe', run_name='__main__')\n"
        )

    @contextlib.contextmanager
    def set_up(self) -> Iterator[list[str]]:
        """Yields the command."""
        # Rules count their uses, so each run has its own.
        rules = [replace(rule) for rule in self.scenario.registry]
        with FakeRegistry(rules) as registry:
            name = f"{self.scenario.host or registry.host}/acme/app:{self.scenario.tag}"
            with self.scenario.engine(name) as engine:
                self._write_config(self.scenario.host or registry.host)
                self.environ["DOCKER_HOST"] = engine.host
                args = [*self.scenario.words[:1], *FORMS[self.form], *self.scenario.words[1:], *self.scenario.args]
                args += [] if self.scenario.paste else ["--", self._reference(name)]
                if self.form == "docker -D":
                    self.environ["DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"] = "docker"
                    args = ["-D", "--log-level", "debug", "pushsafe", *args]
                start = [str(self.prelude)] if self.scenario.prelude else ["-m", "pushsafe"]
                yield [sys.executable, *start, *args]

    def _reference(self, name: str) -> str:
        return name.rpartition(":")[0] if "--all-tags" in self.scenario.args else name

    def _write_config(self, host: str) -> None:
        entry = dict(self.scenario.auth)
        if "password" in entry:
            entry = {"auth": base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()}
        config: dict[str, Any] = {"auths": {host: entry}}
        if self.scenario.helper:
            config = {"credHelpers": {host: "evil"}}
            program = self.home.parent / "bin" / "docker-credential-evil"
            program.write_text(self.scenario.helper)
            program.chmod(0o755)
        (self.config / "config.json").write_text(json.dumps(config))

    def files(self) -> dict[str, str]:
        """Every file below the home, by name, with its content."""
        found = {str(path.relative_to(self.home)): path for path in self.home.rglob("*") if path.is_file()}
        ours = {name: path for name, path in found.items() if name not in self.scenario.files}
        return {name: path.read_text(errors="surrogateescape") for name, path in ours.items()}


def play(scenario: Scenario, folder: Path, form: str) -> Run:
    stage = Stage(scenario, folder, form)
    with stage.set_up() as command:
        done = subprocess.run(
            command,
            env=stage.environ,
            cwd=stage.home / "cwd",
            input=scenario.paste.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
    config = sorted(path.name for path in stage.config.iterdir())
    assert config == ["config.json"], config
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), stage.files())


MORE_FORMS = {"Bearer, opaque": ("quiet", "docker -D"), "verified": ("quiet",), "a bug": ("docker -D",)}
WRITES = {"verified": {"cwd/digests"}, "a bug": {".local/state/docker-pushsafe/bug-"}}
"""The beginnings of the names of files that a run writes; all others write none."""


def visible_controls(text: str) -> list[str]:
    return [f"{char!r}" for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")]


def leaked(text: str) -> list[str]:
    closed = "".join(text.split())
    return [part for part in FORBIDDEN if part in text or part in closed]


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_leaks(name: str, tmp_path: Path) -> None:
    for form in ("human", "json", *MORE_FORMS.get(name, ())):
        run = play(SCENARIOS[name], tmp_path / form, form)
        assert run.code == SCENARIOS[name].code, (form, run.everything)
        assert leaked(run.everything) == [], form
        assert visible_controls(run.everything) == [], form
        if form == "json" and run.stdout:
            assert_clean_json(json.loads(run.stdout))
        if form == "human":
            assert SAYS.get(name, "") in run.everything, "what was to be cleaned was not there"
            written = [next((one for one in WRITES.get(name, ()) if file.startswith(one)), file) for file in run.files]
            assert set(written) == WRITES.get(name, set())
        if (name, form) == ("a bug", "human"):
            assert "ValueError: bug ***" in "".join(run.files.values())
            assert "KeyError" in "".join(run.files.values())
        if (name, form) == ("Bearer, opaque", "human"):
            assert run.stdout.count("<***>") >= 6
            assert "denied: E [66;66H" in run.stdout
        if (name, form) == ("Bearer, JWT", "json"):
            assert "***" in run.stdout


def assert_clean_json(value: Any) -> None:
    """Escapes of JSON are undone by whoever reads it: what they stand for has to be clean too."""
    if isinstance(value, str):
        assert visible_controls(value) == []
        assert leaked(value) == []
    for part in value.items() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_clean_json(list(part) if isinstance(part, tuple) else part)


# --------------------------------------------------------------------------- on a terminal

RAW = ("\x1b]", "\x07", "\x9b", "\x08", "\u202e", "\u200b", "\u2066", "\ufeff", "\x7f", "66;66H\x9b", "\x1b[66")


@pytest.mark.parametrize("name", ["Bearer, opaque", "an engine's near misses", "pushed, and not to be read", "a bug"])
def test_a_terminal_gets_our_sequences_only(name: str, tmp_path: Path) -> None:
    stage = Stage(SCENARIOS[name], tmp_path, "human")
    ours, theirs = pty.openpty()
    with stage.set_up() as command:
        process = subprocess.Popen(
            command, env=stage.environ, cwd=stage.home / "cwd", stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        shown = read_all(ours, process)
    os.close(ours)
    assert process.returncode == SCENARIOS[name].code, shown
    assert leaked(shown) == []
    assert [raw for raw in RAW if raw in shown] == []
    assert "\x1b[" in shown  # it was a terminal, with colours of our own


def read_all(terminal: int, process: subprocess.Popen[bytes]) -> str:
    said = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end has closed
            break
        if not part:
            break
        said += part
    process.wait(10)
    return said.decode(errors="replace")


# --------------------------------------------------------------------------- values and exceptions


def somebody(kind: CredentialKind = CredentialKind.BASIC, secret: str = PASSWORD, **more: Any) -> Credential:
    return Credential("r", "r", CredentialSource(SourceKind.FILE, "f"), kind, "ada", Secret(secret), **more)


VALUES: dict[str, Any] = {
    "secret": Secret(PASSWORD),
    "password": somebody(),
    "identity token": somebody(CredentialKind.IDENTITY_TOKEN, IDENTITY),
    "registry token": somebody(CredentialKind.REGISTRY_TOKEN, JWT),
    "several": somebody(sent=(("password", Secret(PASSWORD)), ("identitytoken", Secret(IDENTITY)))),
    "facts": Facts(ref("registry.test/acme/app:1"), credential=somebody()),
    "token": Token(200, OPAQUE),
    "answer": Response(200, {"authorization": BASIC}, json.dumps({"token": OPAQUE}).encode()),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_does_not_show_its_secret(value: Any) -> None:
    for text in (repr(value), str(value), f"{value}", f"{value!r}", f"{[value]}", "%s" % (value,)):  # noqa: UP031
        assert leaked(text) == []


REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "a header": ("http://127.0.0.1:1", {"Authorization": f"Bearer {OPAQUE}\n"}),
    "a query": (f"http://127.0.0.1:1/?t={OPAQUE}", {}),
    "a user": (f"http://ada:{IDENTITY.replace('/', '')}@127.0.0.1:1/", {}),
    "a user with a slash": (f"http://ada:{PASSWORD}@127.0.0.1:1/", {}),
    "no URL": (f"http://127.0.0.1:port/{PASSWORD}", {}),
    "no scheme": (f"ada:{PASSWORD}@127.0.0.1:1/", {}),
}


@pytest.mark.parametrize(("url", "headers"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.filterwarnings("ignore:URLs without a scheme")
def test_an_exception_does_not_show_a_secret(url: str, headers: dict[str, str]) -> None:
    with pytest.raises(RegistryUnreachable) as caught:
        Transport().send("GET", url, headers=headers)
    shown = str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))
    assert leaked("".join(shown)) == []


def test_a_registry_that_echoes_in_its_status_line_and_then_dies() -> None:
    wants = Answer(401, reason=HEADER).having(WWW_Authenticate="Basic")
    with FakeRegistry(on("GET", "/v2/", wants, Answer(drop=True))) as registry:
        found = Registry(Transport()).investigate(ref(f"{registry.host}/acme/app:1"), somebody())
        assert [request.authorization for request in registry.requests] == ["", BASIC]
    assert found.problem
    assert leaked(repr(found)) == []


# --------------------------------------------------------------------------- the cleaning itself


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("abc", "xabcx", "x***x"),
        ("ab", "an abbot", "an abbot"),  # too short: masked wherever it occurs it would only be told by the gaps
        ("ab", "YWRhOmFi", "***"),  # but not `ada:ab`, as Basic writes it
        ("a b", "a  b a b", "*** ***"),
        ("a\tbc", "a\tbc a bc", "*** ***"),
        ('q"uo\\te', r"q\"uo\\te", "***"),
        ("p&s+w/d", "x=p%26s%2Bw%2Fd", "x=***"),
        ("sec", "s\u200be\u202ec", "***"),
        ("secret", "sec" + "\x00" * 3 + "ret", "***"),
    ],
)
def test_clean(secret: str, text: str, shown: str) -> None:
    assert clean(text, secrets_of(somebody(secret=secret))) == shown


def test_the_longer_secret_goes_first() -> None:
    assert clean("abcdef abc", ("abc", "abcdef")) == "*** ***"


def test_what_is_remembered_is_masked_everywhere() -> None:
    remember((OPAQUE,))
    assert clean(f"it is {OPAQUE}!") == "it is ***!"


@pytest.mark.parametrize("credential", [one for one in VALUES.values() if isinstance(one, Credential)], ids=repr)
def test_every_secret_that_is_sent_has_its_spellings(credential: Credential) -> None:
    known = secrets_of(credential)
    for name, value in auth_config(credential).items():
        assert name in ("username", "serveraddress") or value in known
