"""What to do about a credential: never a login that docker would refuse, undo, or not look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pushsafe.credentials.store import CredentialStore
from pushsafe.known_registries import login
from tests.contract.credentials.cases import AUTH, REGISTRY, b64

STORED = {"auths": {REGISTRY: AUTH}}
VARIABLE = json.dumps({"auths": {REGISTRY: {"auth": b64("reader:pw")}}})
ANEW = "(docker login would rewrite it without your other logins)"
BOM = "\ufeff"


def helper(folder: Path, name: str, script: str, mode: int = 0o755) -> None:
    file = folder / f"docker-credential-{name}"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(mode)


@pytest.mark.parametrize(
    ("config", "variable", "problem", "command"),
    [
        # the file
        (STORED, None, "", "docker login {registry} -u {user}"),
        ("{", None, "it is not JSON", "correct {file} first   " + ANEW),
        ('{"auths": []}', None, "'auths' is not of the kind", "correct {file} first   " + ANEW),
        (BOM + json.dumps(STORED), None, "it begins with a byte order mark", "correct {file} first   " + ANEW),
        ({"auths": {REGISTRY: {"auth": "%"}}}, None, "not the base64 form", "correct {file} first   " + ANEW),
        # the variable
        ({}, VARIABLE, "", "put another login for {registry} into DOCKER_AUTH_CONFIG, or unset it and log in"),
        (STORED, VARIABLE, "", "unset DOCKER_AUTH_CONFIG   ({file} has another login for {registry})"),
        ("{", VARIABLE, "", "put another login for {registry} into DOCKER_AUTH_CONFIG, or unset it and log in"),
        ({}, "{", "it is not JSON", "unset DOCKER_AUTH_CONFIG, or correct its value"),
        # stores and helpers
        (
            {"credsStore": "absent"},
            None,
            "docker-credential-absent, which credsStore in {file} names, not installed",
            "install docker-credential-absent, or take credsStore out of {file} and log in again",
        ),
        (
            {"credHelpers": {REGISTRY: "absent"}, "credsStore": "works"},
            None,
            "docker-credential-absent, which credHelpers.{registry} in {file} names, not installed",
            "install docker-credential-absent, or take credHelpers.{registry} out of {file} and log in again",
        ),
        (
            {"credsStore": "closed"},
            None,
            "cannot be executed: {bin}/docker-credential-closed is not marked executable (chmod +x)",
            "docker-credential-closed list   (it has to work first; or take credsStore out of {file})",
        ),
        (
            {"credsStore": "fails"},
            None,
            "ended with status 1",
            "docker-credential-fails list   (it has to work first; or take credsStore out of {file})",
        ),
        (
            {"credsStore": "../x"},
            None,
            "this is not the name of a helper",
            "correct credsStore in {file}, or take it out and log in again",
        ),
        ({"credsStore": "works"}, None, "", "docker login {registry} -u ada"),
        ({"credsStore": "empty"}, None, "", "docker login {registry}"),
        # helpers that hand on what another program has stored
        ({"credsStore": "gcloud"}, None, "ended with status 1", "gcloud auth login"),
        ({"credHelpers": {REGISTRY: "acr-login"}}, None, "", "az login"),
        ({"credHelpers": {REGISTRY: "gcr"}}, None, "", "docker-credential-gcr gcr-login"),
    ],
)
def test_what_to_run(config: object, variable: str | None, problem: str, command: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    works = f'echo \'{{"ServerURL": "{REGISTRY}", "Username": "ada", "Secret": "pw"}}\''
    empty = "echo credentials not found in native keychain; exit 1"
    for name, script in (("works", works), ("acr-login", works), ("empty", empty), ("gcr", empty)):
        helper(programs, name, script)
    for name in ("fails", "gcloud"):
        helper(programs, name, "echo no key; exit 1")
    helper(programs, "closed", works, 0o644)
    file = tmp_path / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    environ = {"PATH": f"{programs}:/usr/bin:/bin"}
    found = CredentialStore(tmp_path, environ | ({"DOCKER_AUTH_CONFIG": variable} if variable else {})).lookup(REGISTRY)
    words = {"file": file, "registry": REGISTRY, "bin": programs, "user": found.username}
    assert problem.format_map(words) in str(found.source)
    assert login(found, found.username) == command.format_map(words)


@pytest.mark.parametrize(
    "config",
    [
        {"credsStore": "\x1b[31m"},
        {"credHelpers": {REGISTRY: "\x1b[31m\u202e"}},
        {"auths": {REGISTRY: {"auth": b64("\x1b[31m\x9b:pw")}}},
        {"auths": {f"https://{REGISTRY.upper()}/\x1b[31m": AUTH}},
        {"credHelpers": {f"{REGISTRY.upper()}\x1b[31m": "x"}},
    ],
)
def test_what_a_config_holds_does_not_write_on_the_terminal(config: object, tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    found = CredentialStore(folder, {"PATH": ""}).lookup(REGISTRY)
    texts = (str(found.source), login(found, found.username), found.overridden, *found.elsewhere)
    assert all(text.isprintable() for text in texts)
