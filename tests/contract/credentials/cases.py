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


_NONE, _FILE, _HELPER = SourceKind.NONE, SourceKind.FILE, SourceKind.HELPER
_ENVIRONMENT, _BROKEN = SourceKind.ENVIRONMENT, SourceKind.BROKEN
_GUID = "00000000-0000-0000-0000-000000000000"
_ENV_AUTHS = {"auths": {REGISTRY: {"auth": b64("env:by-env")}}}

IN_THE_FILE = (
    Case("no file", None, {}, _NONE),
    Case("empty file", "", {}, _NONE),
    Case("only space", " \n", {}, _NONE),
    Case("null", "null", {}, _NONE),
    Case("auths", {"auths": {REGISTRY: AUTH}}, SENT, _FILE),
    Case("another registry", {"auths": {"other.example": AUTH}}, {}, _NONE),
    Case("another port", {"auths": {"127.0.0.1": AUTH}}, {}, _NONE),
    Case("entry without content", {"auths": {REGISTRY: {}}}, {"serveraddress": REGISTRY}, _NONE),
    Case("entry null", {"auths": {REGISTRY: None}}, {"serveraddress": REGISTRY}, _NONE),
    Case("colons", {"auths": {REGISTRY: {"auth": b64("user:a:b:")}}}, {**SENT, "password": "a:b:"}, _FILE),
    Case("NUL", {"auths": {REGISTRY: {"auth": b64(b"user:\0pa\0ss\0\0")}}}, {**SENT, "password": "pa\0ss"}, _FILE),
    Case("no password", {"auths": {REGISTRY: {"auth": b64("user:")}}}, {**SENT, "password": ""}, _FILE),
    Case("line ends", {"auths": {REGISTRY: {"auth": "dXNlc\njpieS1\r\nmaWxl\n"}}}, SENT, _FILE),
    Case(
        "not UTF-8",
        {"auths": {REGISTRY: {"auth": b64(b"user:p\xe4\xff w<&>")}}},
        {**SENT, "password": "p\ufffd\ufffd w<&>"},
        _FILE,
    ),
    Case("plain user and password", {"auths": {REGISTRY: {"username": "user", "password": "by-file"}}}, SENT, _FILE),
    Case("auth wins over plain", {"auths": {REGISTRY: {**AUTH, "username": "x", "password": "y"}}}, SENT, _FILE),
    Case("names in any case", {"Auths": {REGISTRY: {"AUTH": AUTH["auth"]}}}, SENT, _FILE),
    Case("unknown fields", {"new": {"x": 1}, "auths": {REGISTRY: {**AUTH, "x": 1}}}, SENT, _FILE),
    Case("nulls", {"credsStore": None, "credHelpers": None, "auths": {REGISTRY: AUTH}}, SENT, _FILE),
)

LEGACY_KEYS = (
    *(
        Case(f"key {key}", {"auths": {key: AUTH}}, {**SENT, "serveraddress": key}, _FILE)
        for key in (
            f"https://{REGISTRY}/v1/",
            f"https://{REGISTRY}",
            f"http://{REGISTRY}/v2/",
            f"HTTPS://{REGISTRY}/?x",
            f"https://someone@{REGISTRY}/",
            f"{REGISTRY}/path",
        )
    ),
    Case("exact key first", {"auths": {f"https://{REGISTRY}/v1/": {"auth": b64("x:y")}, REGISTRY: AUTH}}, SENT, _FILE),
    Case(
        "exact key without content first",
        {"auths": {f"https://{REGISTRY}/v1/": AUTH, REGISTRY: {}}},
        {"serveraddress": REGISTRY},
        _NONE,
    ),
)

DOCKER_HUB = (
    Case("Hub key", {"auths": {HUB_KEY: AUTH}}, {**SENT, "serveraddress": HUB_KEY}, _FILE, HUB),
    Case(
        "other names of Hub",
        {"auths": dict.fromkeys(("docker.io", "index.docker.io", "https://index.docker.io"), AUTH)},
        {},
        _NONE,
        HUB,
    ),
    Case(
        "credHelpers with the Hub key",
        {"credHelpers": {HUB_KEY: "fake"}},
        {**HELPED, "serveraddress": HUB_KEY},
        _HELPER,
        HUB,
        helpers=_store(GOOD),
    ),
    Case("credHelpers with another name", {"credHelpers": {"docker.io": "fake"}}, {}, _NONE, HUB, helpers=_store(GOOD)),
)

TOKENS = (
    Case(
        "identitytoken",
        {"auths": {REGISTRY: {"auth": b64(f"{_GUID}:"), "identitytoken": "a-token"}}},
        {"username": _GUID, "serveraddress": REGISTRY, "identitytoken": "a-token"},
        _FILE,
    ),
    Case(
        "identitytoken and password",
        {"auths": {REGISTRY: {**AUTH, "identitytoken": "a-token"}}},
        {**SENT, "identitytoken": "a-token"},
        _FILE,
    ),
    Case(
        "registrytoken",
        {"auths": {REGISTRY: {"registrytoken": "a-token"}}},
        {"serveraddress": REGISTRY, "registrytoken": "a-token"},
        _FILE,
    ),
    Case(
        "everything",
        {"auths": {REGISTRY: {**AUTH, "identitytoken": "one", "registrytoken": "two", "serveraddress": "x"}}},
        {**SENT, "identitytoken": "one", "registrytoken": "two"},
        _FILE,
    ),
    Case("email is not sent", {"auths": {REGISTRY: {**AUTH, "email": "a@b.c"}}}, SENT, _FILE, older_differs=True),
)

HELPERS = (
    Case("credsStore", {"credsStore": "fake", "auths": {REGISTRY: {}}}, HELPED, _HELPER, helpers=_store(GOOD)),
    Case(
        "credsStore with <token>",
        {"credsStore": "fake"},
        {"serveraddress": REGISTRY, "identitytoken": "a-token"},
        _HELPER,
        helpers=_store(TOKEN),
    ),
    Case("store has nothing", {"credsStore": "fake", "auths": {REGISTRY: AUTH}}, {}, _NONE, helpers=_store(NOTHING)),
    Case(
        "store has nothing, file has a registrytoken",
        {"credsStore": "fake", "auths": {REGISTRY: {**AUTH, "registrytoken": "a-token"}}},
        {"registrytoken": "a-token"},
        _FILE,
        helpers=_store(NOTHING),
    ),
    Case(
        "store and registrytoken of a legacy key",
        {"credsStore": "fake", "auths": {f"https://{REGISTRY}/v1/": {**AUTH, "registrytoken": "a-token"}}},
        {**HELPED, "registrytoken": "a-token"},
        _HELPER,
        helpers=_store(GOOD),
    ),
    Case(
        "credHelpers before credsStore",
        {"credHelpers": {REGISTRY: "fake"}, "credsStore": "absent", "auths": {REGISTRY: AUTH}},
        HELPED,
        _HELPER,
        helpers=_store(GOOD),
    ),
    Case("credHelpers of others", {"credHelpers": {"x": "fake"}, "auths": {REGISTRY: AUTH}}, SENT, _FILE),
    Case(
        "credHelpers knows no legacy keys",
        {"credHelpers": {f"https://{REGISTRY}": "fake"}},
        {},
        _NONE,
        helpers=_store(GOOD),
    ),
    Case(
        "credHelpers with an empty name is the file",
        {"credHelpers": {REGISTRY: ""}, "credsStore": "absent", "auths": {REGISTRY: AUTH}},
        SENT,
        _FILE,
    ),
    Case("helper answers {}", {"credsStore": "fake"}, {"serveraddress": REGISTRY}, _NONE, helpers=_store(helper("{}"))),
    Case(
        "helper writes names its own way",
        {"credsStore": "fake"},
        HELPED,
        _HELPER,
        helpers=_store(helper('{"username":"helped","SECRET":"by-helper"}')),
    ),
    Case(
        "helper without user name",
        {"credsStore": "fake"},
        {"password": "only", "serveraddress": REGISTRY},
        _HELPER,
        helpers=_store(helper('{"Username":null,"Secret":"only"}')),
    ),
)

NATIVE_STORES = (
    Case("secretservice unasked", None, HELPED, _HELPER, helpers=_store(GOOD, "secretservice")),
    Case("secretservice, empty auths", {"auths": {}}, HELPED, _HELPER, helpers=_store(GOOD, "secretservice")),
    Case("not with auths", {"auths": {"x": {}}}, {}, _NONE, helpers=_store(GOOD, "secretservice")),
    Case("not with credHelpers", {"credHelpers": {"x": "y"}}, {}, _NONE, helpers=_store(GOOD, "secretservice")),
    Case("pass unasked", None, HELPED, _HELPER, helpers={**_store(GOOD, "pass"), "pass": NOTHING}),
    Case("pass without its helper", None, {}, _NONE, helpers={**_store(GOOD, "secretservice"), "pass": NOTHING}),
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
        environ=_env(_ENV_AUTHS),
        helpers=_store(FAILING),
    ),
    Case("before a malformed file", "{", FROM_ENV, _ENVIRONMENT, environ=_env(_ENV_AUTHS)),
    Case(
        "of another host",
        {"auths": {REGISTRY: AUTH}},
        SENT,
        _FILE,
        environ=_env({"auths": {"x": {"auth": AUTH["auth"]}}}),
    ),
    Case(
        "legacy keys do not count",
        None,
        {},
        _NONE,
        environ=_env({"auths": {f"https://{REGISTRY}/v1/": {"auth": AUTH["auth"]}}}),
    ),
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
    Case(
        "auth undecodable beside a store",
        {"credsStore": "fake", "auths": {REGISTRY: {"auth": "%"}}},
        None,
        _BROKEN,
        helpers=_store(GOOD),
        docker_pushes=True,
    ),
    Case(
        "malformed file beside a native store",
        "{",
        None,
        _BROKEN,
        helpers=_store(GOOD, "secretservice"),
        docker_pushes=True,
    ),
    Case("malformed environment and nothing else", None, None, _BROKEN, environ=_env("{"), docker_pushes=True),
)

CASES = (
    *IN_THE_FILE,
    *LEGACY_KEYS,
    *DOCKER_HUB,
    *TOKENS,
    *HELPERS,
    *NATIVE_STORES,
    *BROKEN_HELPERS,
    *IN_THE_ENVIRONMENT,
    *UNUSABLE,
)
