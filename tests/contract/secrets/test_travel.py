"""Where a credential goes: to the registry it is for and its token server, and never along with a redirect."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from pushsafe.model.credentials import CredentialKind
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.oci.manifest import ManifestContent
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Transport
from tests.fakes.capture import FakeEngine, FakeImage, Refusal
from tests.fakes.registry import (
    OCI_MANIFEST,
    Answer,
    FakeRegistry,
    Request,
    basic_registry,
    bearer_registry,
    image,
    manifests,
    on,
    open_registry,
    redirect,
    token_server,
)
from tests.program import Done, Program
from tests.values import logged_in, ref

SECRET = "hunter2!"
TOKEN = "a-t0ken-0f-the-registry"
CONFIG = "sha256:" + "e" * 64
ONE = image()
LURE = Answer(401).having(WWW_Authenticate='Basic realm="give it to me"')

# --------------------------------------------------------------------------- redirects


class Kind(NamedTuple):
    """A request that the registry sends elsewhere; `follows` tells whether one goes there at all."""

    method: str
    path: str
    scheme: str
    follows: bool
    sent: bool = True


KINDS = {
    "ping": Kind("GET", "/v2/", "Basic", follows=True, sent=False),
    "login": Kind("GET", "/v2/", "Basic", follows=False),
    "token": Kind("GET", "/token", "Bearer", follows=True),
    "token for an identity token": Kind("POST", "/token", "identity token", follows=False),
    "upload": Kind("POST", "/v2/.+/uploads/", "Basic", follows=False),
    "upload with a token": Kind("POST", "/v2/.+/uploads/", "Bearer", follows=False),
    "cancel": Kind("DELETE", "/v2/.+/uploads/.+", "Basic", follows=False),
    "cancel with a token": Kind("DELETE", "/v2/.+/uploads/.+", "Bearer", follows=False),
    "what a tag names": Kind("HEAD", "/v2/.+/manifests/1", "Basic", follows=True),
    "what a tag names, with a token": Kind("HEAD", "/v2/.+/manifests/1", "Bearer", follows=True),
    "manifest": Kind("GET", "/v2/.+/manifests/.+", "Basic", follows=True),
    "manifest with a token": Kind("GET", "/v2/.+/manifests/.+", "Bearer", follows=True),
    "manifest put": Kind("PUT", "/v2/.+/manifests/1", "Basic", follows=False),
    "manifest put with a token": Kind("PUT", "/v2/.+/manifests/1", "Bearer", follows=False),
    "config": Kind("GET", "/v2/.+/blobs/sha256:.+", "Basic", follows=True),
    "config with a token": Kind("GET", "/v2/.+/blobs/sha256:.+", "Bearer", follows=True),
    "tags": Kind("GET", "/v2/.+/tags/list", "Basic", follows=True),
    "tags with a token": Kind("GET", "/v2/.+/tags/list", "Bearer", follows=True),
}


def ask_everything(registry: FakeRegistry, kind: CredentialKind) -> None:
    """All that a run may ask a registry, one after the other."""
    asked = Registry(Transport())
    reference, credential = ref(f"{registry.host}/acme/app:1"), logged_in(registry.host)._replace(kind=kind)
    asked.ping(registry.host)
    asked.investigate(reference, credential)
    asked.tidy()
    for question in (
        lambda: asked.manifest(reference, credential),
        lambda: asked.manifest(reference, credential, ONE.digest, whole=True),
        lambda: asked.image_config(reference, credential, CONFIG),
        lambda: asked.tags(reference, credential),
        lambda: asked.content(reference, credential, ONE.digest),
        lambda: asked.put(reference, credential, ManifestContent(ONE.digest, OCI_MANIFEST, ONE.body)),
    ):
        with suppress(RegistryUnreachable):
            question()
    asked.close()


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_redirect_carries_a_credential_along(kind: Kind, status: int) -> None:
    for elsewhere in ("another port", "another name"):
        moved, asked = redirected(kind, elsewhere, status)
        assert moved, elsewhere
        assert bool(asked) is kind.follows, elsewhere
        carried = [one for one in asked if one.authorization or SECRET in f"{one}{one.query}{one.body!r}"]
        assert [str(one) for one in carried] == [], elsewhere


def redirected(kind: Kind, to: str, status: int) -> tuple[list[Request], list[Request]]:
    """The requests that were sent elsewhere, and what was asked there."""
    moved: list[Request] = []

    def answer(request: Request) -> Answer:
        if request.headers["host"] != registry.host:
            return LURE
        if bool(request.authorization or request.body) is not kind.sent:
            return LURE
        moved.append(request)
        place = f"127.0.0.1:{other.port}" if to == "another port" else f"localhost:{registry.port}"
        return redirect(f"http://{place}{request.path}", status)

    store = [
        *manifests("acme/app", {"1": ONE}),
        on("GET", "/v2/.+/blobs/.+", Answer(200, {})),
        on("GET", "/v2/.+/tags/list", Answer(200, {"tags": ["1"]})),
        on("PUT", "/v2/.+/manifests/1", Answer(201)),
    ]
    tokens = [*token_server(TOKEN), on("POST", "/token", Answer(200, {"token": TOKEN}))]
    usual = basic_registry(store) if kind.scheme == "Basic" else bearer_registry(store, tokens=tokens)
    identity = CredentialKind.IDENTITY_TOKEN if kind.scheme == "identity token" else CredentialKind.BASIC
    with (
        FakeRegistry(on("GET|HEAD|POST|PUT|PATCH|DELETE", ".*", LURE)) as other,
        FakeRegistry(on(kind.method, kind.path, answer), *usual) as registry,
    ):
        ask_everything(registry, identity)
        elsewhere = [*other.requests, *(one for one in registry.requests if one.headers["host"] != registry.host)]
    return moved, elsewhere


# --------------------------------------------------------------------------- token servers

COMMANDS = ((), ("--no-preflight",), ("lint",), ("diagnose",))
FOREIGN = "http://tokens.example.com/token"


def run(home: Path, engine: FakeEngine, *words: str, auth: str | None, proxy: str = "", path: str = "") -> Done:
    """The program for the image that `words` ends with; what goes elsewhere in clear goes to the proxy.

    `auth` is the login for its registry; docker's configuration is left as it is where that is `None`.
    """
    host = words[-1].partition("/")[0]
    if auth is not None:
        (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}} if auth else {}}))
    environ = {"DOCKER_CONFIG": str(home), "HTTP_PROXY": proxy, "PATH": f"{path}:{os.environ['PATH']}"}
    return Program(home, engine.host)(*words, environ=environ)


LOGIN = "YWRhOmh1bnRlcjIh"  # ada:hunter2!


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words) or "preflight" for words in COMMANDS])
def test_a_realm_in_clear_elsewhere_gets_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    with FakeRegistry() as way, FakeRegistry(bearer_registry(tokens=(), realm=FOREIGN)) as registry:
        name = f"{registry.host}/acme/app:1"
        denied = [{"error": "denied: no", "errorDetail": {"message": "denied: no"}}]
        with FakeEngine([name], push={name: denied}, distribution={name: Refusal(403, "no")}) as engine:
            done = run(tmp_path, engine, *words, name, auth=LOGIN, proxy=way.base)
            assert engine.pushed() == ([name] if words == ("--no-preflight",) else [])
        assert way.requests == []
        assert [request.authorization for request in registry.requests] == [""] * len(registry.requests)
    if words != ("--no-preflight",):
        assert (done.returncode, "error PS304" in done.stdout) == (1, True), done.stdout
        assert (
            f"{name.partition('/')[0]} wants the credential sent to tokens.example.com over plain HTTP" in done.stdout
        )


def test_nobody_has_nothing_to_lose_there(tmp_path: Path) -> None:
    """And so the proxy would have seen what the others sent."""
    there = [on("GET", "http://tokens.example.com/token|/token", Answer(401))]
    with FakeRegistry(there) as way, FakeRegistry(bearer_registry(tokens=(), realm=FOREIGN)) as registry:
        name = f"{registry.host}/acme/app:1"
        with FakeEngine([name]) as engine:
            run(tmp_path, engine, "lint", name, auth="", proxy=way.base)
        assert [request.headers["host"] for request in way.requests] == ["tokens.example.com"]


def test_a_realm_on_loopback_beside_the_registry_is_fine(tmp_path: Path) -> None:
    with (
        FakeRegistry(token_server(TOKEN)) as tokens,
        FakeRegistry(bearer_registry(manifests("acme/app", {}), tokens=(), realm=f"{tokens.base}/token")) as registry,
        FakeRegistry() as way,
    ):
        name = f"{registry.host}/acme/app:1"
        with FakeEngine([name]) as engine:
            done = run(tmp_path, engine, "lint", name, auth=LOGIN, proxy=way.base)
        assert {request.authorization for request in tokens.requests} == {f"Basic {LOGIN}"}
        assert {request.authorization for request in registry.requests} == {"", f"Bearer {TOKEN}"}
    assert done.returncode == 0, done.stdout


def test_a_credential_goes_to_its_own_registry_only(tmp_path: Path) -> None:
    """Two registries in one run, and a login for one of them."""
    store = manifests("acme/app", {})
    with FakeRegistry(basic_registry(store)) as ours, FakeRegistry(basic_registry(store)) as theirs:
        names = [f"{one.host}/acme/app:1" for one in (theirs, ours)]
        with FakeEngine(names) as engine:
            done = run(tmp_path, engine, "lint", *names, auth=LOGIN)
        assert {request.authorization for request in theirs.requests} == {""}
        assert f"Basic {LOGIN}" in {request.authorization for request in ours.requests}
    assert f"{names[0]} denied: no-authentication (not-logged-in)" in done.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words) or "push" for words in COMMANDS])
def test_where_an_image_was_pulled_from_gets_no_credential(words: tuple[str, ...], tmp_path: Path) -> None:
    """What came from one registry, for which there is a login, goes to another, for which there is none."""
    helper = tmp_path / "docker-credential-noting"
    helper.write_text(f"#!/bin/sh\ncat >>{tmp_path}/asked\necho no\nexit 1\n")
    helper.chmod(0o755)
    with FakeRegistry(basic_registry(manifests("acme/app", {}))) as theirs:
        config = {"auths": {theirs.host: {"auth": LOGIN}}, "credHelpers": {"mirror.test": "noting"}}
        with FakeRegistry(open_registry(manifests("acme/app", {"1": ONE}))) as ours:
            name = f"{ours.host}/acme/app:1"
            origins = (f"{theirs.host}/acme/app@{ONE.digest}", f"mirror.test/acme/app@{ONE.digest}")
            with FakeEngine({name: FakeImage(digest=ONE.digest, repo_digests=origins)}) as engine:
                (tmp_path / "config.json").write_text(json.dumps(config))
                done = run(tmp_path, engine, *words, name, auth=None, path=str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert {request.authorization for request in theirs.requests} <= {""}
        assert bool(theirs.requests) is (words != ("--no-preflight",))
    assert not (tmp_path / "asked").exists()


def test_a_broken_store_says_so_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The native store that docker takes unasked, found but not to be started, and an image of many registries."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("pass", ""), ("docker-credential-pass", "echo cannot open shared object file >&2; exit 127")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "config.json").write_text("{}")
    with FakeRegistry(open_registry(manifests("acme/app", {}))) as registry:
        names = [f"{registry.host}/acme/app:{tag}" for tag in (1, 2)]
        origins = tuple(f"r{number}.invalid/acme/app@{ONE.digest}" for number in range(9))
        with FakeEngine(dict.fromkeys(names, FakeImage(repo_digests=origins))) as engine:
            done = run(tmp_path, engine, *names, auth=None, path=str(folder))
    assert "error PS303" in done.stdout
    assert capfd.readouterr().err.count("cannot open shared object file") == 1
