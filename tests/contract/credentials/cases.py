"""What docker's configuration may look like, and what docker then sends: one table for us and for the real CLI."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushsafe.model.credentials import SourceKind

# Nothing listens there: a program that asks the registry too gets its answer at once.
REGISTRY = "127.0.0.1:9"
HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"


def b64(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def helper(answer: str, status: int = 0) -> str:
    """A credential helper that answers `get` with a text, in which `$key` is the server it was asked for."""
    quoted = answer.replace('"', '\\"')
    return f'#!/bin/sh\nread -r key\n[ "$1" = get ] || exit 9\nprintf \'%s\\n\' "{quoted}"\nexit {status}\n'


GOOD = helper('{"ServerURL":"$key","Username":"helped","Secret":"by-helper"}')
TOKEN = helper('{"ServerURL":"$key","Username":"<token>","Secret":"a-token"}')
NOT_FOUND = "credentials not found in native keychain"
NOTHING = helper(NOT_FOUND, 1)
FAILING = helper("the keychain is locked", 1)

# Values of `Case.config` that are no text.
DIRECTORY, LOOP = object(), object()

AUTH = {"auth": b64("user:by-file")}
SENT = {"username": "user", "password": "by-file", "serveraddress": REGISTRY}
HELPED = {"username": "helped", "password": "by-helper", "serveraddress": REGISTRY}
FROM_ENV = {"username": "env", "password": "by-env", "serveraddress": REGISTRY}


@dataclass(frozen=True)
class Case:
    """`sent` is the decoded X-Registry-Auth of docker 28.5; None if we push nothing.

    `docker_pushes`: docker only warns, and pushes without the credential or with a wrong one; we do not.
    `older_differs`: docker before 28.5 does something else.
    """

    name: str
    config: object
    sent: Mapping[str, str] | None
    source: SourceKind
    registry: str = REGISTRY
    environ: Mapping[str, str] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    docker_pushes: bool = False
    older_differs: bool = False

    def prepare(self, directory: Path) -> tuple[Path, dict[str, str]]:
        """Writes the configuration below `directory`; its folder, and an environment with no other helper in PATH."""
        config_dir, programs = directory / "config", directory / "bin"
        config_dir.mkdir()
        programs.mkdir()
        for name, script in self.helpers.items():
            program = programs / name
            program.write_text(script)
            program.chmod(0o755)
        file = config_dir / "config.json"
        if self.config is DIRECTORY:
            file.mkdir()
        elif self.config is LOOP:
            file.symlink_to(file)
        elif self.config is not None:
            config = self.config if isinstance(self.config, str | bytes) else json.dumps(self.config)
            file.write_bytes(config.encode() if isinstance(config, str) else config)
        return config_dir, {"PATH": str(programs), "HOME": str(directory), **self.environ}


def _env(value: Any) -> dict[str, str]:
    return {"DOCKER_AUTH_CONFIG": value if isinstance(value, str) else json.dumps(value)}


def _store(script: str, name: str = "fake") -> dict[str, str]:
    return {f"docker-credential-{name}": script}


def _entry(name: str, entry: Any, sent: Mapping[str, str], source: SourceKind = SourceKind.FILE) -> Case:
    return Case(name, {"auths": {REGISTRY: entry}}, sent, source)


def _asked(
    name: str, script: str, sent: Mapping[str, str], source: SourceKind = SourceKind.HELPER, **more: Any
) -> Case:
    """A helper that answers by a script, for every registry or as `more` configures it."""
    return Case(name, more or {"credsStore": "fake"}, sent, source, helpers=_store(script))


_NONE, _FILE, _HELPER = SourceKind.NONE, SourceKind.FILE, SourceKind.HELPER
_ENVIRONMENT, _BROKEN = SourceKind.ENVIRONMENT, SourceKind.BROKEN
_GUID = "00000000-0000-0000-0000-000000000000"
_ENV_AUTHS = {"auths": {REGISTRY: {"auth": b64("env:by-env")}}}

_NOBODY = {"serveraddress": REGISTRY}
_TOKEN = {"registrytoken": "a-token"}
_LEGACY = f"https://{REGISTRY}/v1/"

IN_THE_FILE = (
    Case("no file", None, {}, _NONE),
    Case("empty file", "", {}, _NONE),
    Case("only space", " \n", {}, _NONE),
    Case("null", "null", {}, _NONE),
    _entry("auths", AUTH, SENT),
    Case("another registry", {"auths": {"other.example": AUTH}}, {}, _NONE),
    Case("another port", {"auths": {"127.0.0.1": AUTH}}, {}, _NONE),
    _entry("entry without content", {}, _NOBODY, _NONE),
    _entry("entry null", None, _NOBODY, _NONE),
    _entry("colons", {"auth": b64("user:a:b:")}, {**SENT, "password": "a:b:"}),
    _entry("NUL", {"auth": b64(b"user:\0pa\0ss\0\0")}, {**SENT, "password": "pa\0ss"}),
    _entry("no password", {"auth": b64("user:")}, {**SENT, "password": ""}),
    _entry("line ends", {"auth": "dXNlc\njpieS1\r\nmaWxl\n"}, SENT),
    _entry("not UTF-8", {"auth": b64(b"user:p\xe4\xff w<&>")}, {**SENT, "password": "p\ufffd\ufffd w<&>"}),
    _entry("plain user and password", {"username": "user", "password": "by-file"}, SENT),
    _entry("auth wins over plain", {**AUTH, "username": "x", "password": "y"}, SENT),
    Case("names in any case", {"Auths": {REGISTRY: {"AUTH": AUTH["auth"]}}}, SENT, _FILE),
    Case("unknown fields", {"new": {"x": 1}, "auths": {REGISTRY: {**AUTH, "x": 1}}}, SENT, _FILE),
    Case("nulls", {"credsStore": None, "credHelpers": None, "auths": {REGISTRY: AUTH}}, SENT, _FILE),
)

# Keys of entries that older clients wrote: what stands around the host does not count.
OLD_KEYS = (
    *(_LEGACY, f"https://{REGISTRY}", f"http://{REGISTRY}/v2/", f"HTTPS://{REGISTRY}/?x"),
    *(f"https://someone@{REGISTRY}/", f"{REGISTRY}/path"),
)
LEGACY_KEYS = (
    *(Case(f"key {key}", {"auths": {key: AUTH}}, {**SENT, "serveraddress": key}, _FILE) for key in OLD_KEYS),
    Case("exact key first", {"auths": {_LEGACY: {"auth": b64("x:y")}, REGISTRY: AUTH}}, SENT, _FILE),
    Case("exact key without content first", {"auths": {_LEGACY: AUTH, REGISTRY: {}}}, _NOBODY, _NONE),
)

_HUB_NAMES = dict.fromkeys(("docker.io", "index.docker.io", "https://index.docker.io"), AUTH)
_HUB_HELPED = {**HELPED, "serveraddress": HUB_KEY}
_BY_KEY, _BY_NAME = {"credHelpers": {HUB_KEY: "fake"}}, {"credHelpers": {"docker.io": "fake"}}

DOCKER_HUB = (
    Case("Hub key", {"auths": {HUB_KEY: AUTH}}, {**SENT, "serveraddress": HUB_KEY}, _FILE, HUB),
    Case("other names of Hub", {"auths": _HUB_NAMES}, {}, _NONE, HUB),
    Case("credHelpers with the Hub key", _BY_KEY, _HUB_HELPED, _HELPER, HUB, helpers=_store(GOOD)),
    Case("credHelpers with another name", _BY_NAME, {}, _NONE, HUB, helpers=_store(GOOD)),
)

_EMAIL = {"auths": {REGISTRY: {**AUTH, "email": "a@b.c"}}}
_TWO_TOKENS = {"identitytoken": "one", "registrytoken": "two"}

TOKENS = (
    _entry(
        "identitytoken",
        {"auth": b64(f"{_GUID}:"), "identitytoken": "a-token"},
        {"username": _GUID, "serveraddress": REGISTRY, "identitytoken": "a-token"},
    ),
    _entry("identitytoken and password", {**AUTH, "identitytoken": "a-token"}, {**SENT, "identitytoken": "a-token"}),
    _entry("registrytoken", _TOKEN, {**_NOBODY, **_TOKEN}),
    _entry("everything", {**AUTH, **_TWO_TOKENS, "serveraddress": "x"}, {**SENT, **_TWO_TOKENS}),
    Case("email is not sent", _EMAIL, SENT, _FILE, older_differs=True),
)

_BOTH = {REGISTRY: {**AUTH, **_TOKEN}}

HELPERS = (
    _asked("credsStore", GOOD, HELPED, credsStore="fake", auths={REGISTRY: {}}),
    _asked("credsStore with <token>", TOKEN, {**_NOBODY, "identitytoken": "a-token"}),
    _asked("store has nothing", NOTHING, {}, _NONE, credsStore="fake", auths={REGISTRY: AUTH}),
    _asked("store has nothing, file has a registrytoken", NOTHING, _TOKEN, _FILE, credsStore="fake", auths=_BOTH),
    _asked(
        "store and registrytoken of a legacy key",
        GOOD,
        {**HELPED, **_TOKEN},
        credsStore="fake",
        auths={_LEGACY: {**AUTH, **_TOKEN}},
    ),
    _asked(
        "credHelpers before credsStore",
        GOOD,
        HELPED,
        credHelpers={REGISTRY: "fake"},
        credsStore="absent",
        auths={REGISTRY: AUTH},
    ),
    Case("credHelpers of others", {"credHelpers": {"x": "fake"}, "auths": {REGISTRY: AUTH}}, SENT, _FILE),
    _asked("credHelpers knows no legacy keys", GOOD, {}, _NONE, credHelpers={f"https://{REGISTRY}": "fake"}),
    Case(
        "credHelpers with an empty name is the file",
        {"credHelpers": {REGISTRY: ""}, "credsStore": "absent", "auths": {REGISTRY: AUTH}},
        SENT,
        _FILE,
    ),
    _asked("helper answers {}", helper("{}"), _NOBODY, _NONE),
    _asked("helper writes names its own way", helper('{"username":"helped","SECRET":"by-helper"}'), HELPED),
    _asked("helper without user name", helper('{"Username":null,"Secret":"only"}'), {**_NOBODY, "password": "only"}),
)

_NATIVE = _store(GOOD, "secretservice")

NATIVE_STORES = (
    Case("secretservice unasked", None, HELPED, _HELPER, helpers=_NATIVE),
    Case("secretservice, empty auths", {"auths": {}}, HELPED, _HELPER, helpers=_NATIVE),
    Case("not with auths", {"auths": {"x": {}}}, {}, _NONE, helpers=_NATIVE),
    Case("not with credHelpers", {"credHelpers": {"x": "y"}}, {}, _NONE, helpers=_NATIVE),
    Case("pass unasked", None, HELPED, _HELPER, helpers={**_store(GOOD, "pass"), "pass": NOTHING}),
    Case("pass without its helper", None, {}, _NONE, helpers={**_NATIVE, "pass": NOTHING}),
    Case("the helper of pass without pass", None, {}, _NONE, helpers=_store(GOOD, "pass")),
)

BROKEN_HELPERS = tuple(
    Case(name, {"credsStore": "fake", "auths": {REGISTRY: AUTH}}, None, _BROKEN, helpers=scripts, older_differs=True)
    for name, scripts in (
        ("helper fails", _store(FAILING)),
        ("helper is not installed", {}),
        ("helper says nothing", _store("#!/bin/sh\nexit 0\n")),
        ("helper says no JSON", _store(helper("hello"))),
        ("helper says a list", _store(helper("[]"))),
        ("helper says a number as secret", _store(helper('{"Username":"helped","Secret":1}'))),
        ("helper says not found on the wrong stream", _store(f"#!/bin/sh\necho '{NOT_FOUND}' >&2\nexit 1\n")),
        ("helper cannot be started", _store("#!/no/such/program\n")),
    )
)

IN_THE_ENVIRONMENT = (
    Case("environment", {"auths": {REGISTRY: AUTH}}, FROM_ENV, _ENVIRONMENT, environ=_env(_ENV_AUTHS)),
    Case(
        "before a failing helper",
        {"credsStore": "fake"},
        FROM_ENV,
        _ENVIRONMENT,
        REGISTRY,
        _env(_ENV_AUTHS),
        _store(FAILING),
    ),
    Case("before a malformed file", "{", FROM_ENV, _ENVIRONMENT, environ=_env(_ENV_AUTHS)),
    Case("of another host", {"auths": {REGISTRY: AUTH}}, SENT, _FILE, environ=_env({"auths": {"x": AUTH}})),
    Case("legacy keys do not count", None, {}, _NONE, environ=_env({"auths": {_LEGACY: AUTH}})),
    Case("empty", {"auths": {REGISTRY: AUTH}}, SENT, _FILE, environ=_env("")),
    *(
        Case(f"ignored: {name}", {"auths": {REGISTRY: AUTH}}, SENT, _FILE, environ=_env(value))
        for name, value in (
            ("malformed", "{"),
            ("not an object", "[]"),
            ("two objects", json.dumps(_ENV_AUTHS) + "{}"),
            ("another key", {**_ENV_AUTHS, "credsStore": "x"}),
            ("another key in an entry", {"auths": {REGISTRY: {"auth": b64("env:by-env"), "email": ""}}}),
            ("an entry without auth", {"auths": {**_ENV_AUTHS["auths"], "x": {}}}),
            ("auth undecodable", {"auths": {**_ENV_AUTHS["auths"], "x": {"auth": "%"}}}),
            ("auth of the wrong type", {"auths": {REGISTRY: {"auth": 1}}}),
        )
    ),
)

_SPOILT = {"credsStore": "fake", "auths": {REGISTRY: {"auth": "%"}}}

UNUSABLE = (
    *(
        Case(name, config, None, _BROKEN, docker_pushes=True)
        for name, config in (
            ("file is a directory", DIRECTORY),
            ("file is a loop of links", LOOP),
            ("file ends early", '{"auths": {'),
            ("file is no object", "[]"),
            ("a field of the wrong type", {"psFormat": 5, "auths": {REGISTRY: AUTH}}),
            ("an inner field of the wrong type", {"plugins": {"x": {"y": True}}, "auths": {REGISTRY: AUTH}}),
            ("auths of the wrong type", {"auths": [REGISTRY]}),
            ("auth is no base64", {"auths": {REGISTRY: {"auth": "%%%"}}}),
            ("auth without padding", {"auths": {REGISTRY: {"auth": b64("user:pw").rstrip("=")}}}),
            ("auth without colon", {"auths": {REGISTRY: {"auth": b64("user")}}}),
            ("auth without user", {"auths": {REGISTRY: {"auth": b64(":by-file")}}}),
            ("auth of another entry undecodable", {"auths": {REGISTRY: AUTH, "x": {"auth": "%"}}}),
        )
    ),
    Case("auth undecodable beside a store", _SPOILT, None, _BROKEN, helpers=_store(GOOD), docker_pushes=True),
    Case("malformed file beside a native store", "{", None, _BROKEN, helpers=_NATIVE, docker_pushes=True),
    Case("malformed environment and nothing else", None, None, _BROKEN, environ=_env("{"), docker_pushes=True),
)

GROUPS = {
    "in the file": IN_THE_FILE,
    "legacy keys": LEGACY_KEYS,
    "Docker Hub": DOCKER_HUB,
    "tokens": TOKENS,
    "helpers": HELPERS,
    "native stores": NATIVE_STORES,
    "broken helpers": BROKEN_HELPERS,
    "in the environment": IN_THE_ENVIRONMENT,
    "unusable": UNUSABLE,
}
CASES = tuple(case for group in GROUPS.values() for case in group)
