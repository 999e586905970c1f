"""The scripted registries do to real engines what their table says, and really take what is pushed to them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from pushsafe.model.verdicts import DenialKind, DenialReason, FailureKind
from tests import lab
from tests.fakes.quirks import ACCEPTED, NAME, QUIRKS, WRITER, Cause, Meets, Quirk, kind_of
from tests.fakes.registry import HOST, Answer, FakeRegistry, Request, ping
from tests.fakes.storing import Storing
from tests.lab import Lab, LabEngine, engine_api

IMAGE = f"quirks.test/image-{uuid.uuid4().hex[:8]}:1"  # a name for each worker: it is deleted at the end
SEVERAL = 4
"""How many push to one engine at the same time."""


# --------------------------------------------------------------------------- the table


def test_every_name_and_every_login_is_there_once() -> None:
    names = [quirk.name for quirk in QUIRKS]
    assert len(names) == len(set(names))
    for quirk in QUIRKS:
        logins = [meets.login for meets in quirk.meets]
        assert len(logins) == len(set(logins)) > 0, quirk.name


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ACCEPTED, None),
        (FailureKind.POLICY, None),
        (DenialReason.CREDENTIAL_NOT_SENT, DenialKind.NO_AUTHENTICATION),
        (DenialReason.NO_WRITE_PERMISSION, DenialKind.INSUFFICIENT_PERMISSION),
        (DenialReason.UNCLEAR, DenialKind.UNCLEAR),
    ],
)
def test_kind(cause: Cause, kind: DenialKind | None) -> None:
    assert kind_of(cause) is kind


# --------------------------------------------------------------------------- real engines push to them


@pytest.fixture(scope="module", params=["classic-20", "classic-new", "containerd-new"])
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> Iterator[LabEngine]:
    engine = the_lab.engines[request.param]
    lab.load_image(engine, IMAGE, layers=[b"first", b"second"])
    yield engine
    engine_api.request(engine.socket, "DELETE", f"/images/{IMAGE}")


def push(engine: LabEngine, registry: FakeRegistry, meets: Meets, home: Path) -> tuple[int, str]:
    """`docker push`; its exit code, and what it said last."""
    repository = f"{registry.host}/{NAME}"
    login = {registry.host: {"auth": base64.b64encode(":".join(meets.login).encode()).decode()}} if meets.login else {}
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"auths": login}))
    named = f"/images/{IMAGE}/tag?repo={quote(repository, safe='')}&tag=1"
    engine_api.request(engine.socket, "POST", named)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(home)}
    done = subprocess.run(
        ["docker", "-H", engine.host, "push", "-q", f"{repository}:1"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    engine_api.request(engine.socket, "DELETE", f"/images/{repository}:1")
    return done.returncode, done.stderr.strip()


def like(pattern: str, host: str) -> str:
    """As a regular expression."""
    return re.escape(pattern.replace(HOST, host)).replace(r"\*", r"(?s:.*)")


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: str(quirk.name))
def test_what_an_engine_meets(quirk: Quirk, engine: LabEngine, tmp_path: Path) -> None:
    def meet(number: int, meets: Meets) -> None:
        cause, words = meets.by(engine.store)
        if engine.name == "classic-20":
            words = meets.older or words
        store = Storing()
        with FakeRegistry(quirk.rules(store)) as registry:
            held = store.digest(NAME, "1")
            status, said = push(engine, registry, meets, tmp_path / str(number))
            pushed = store.digest(NAME, "1") not in ("", held)
            assert (status == 0, pushed) == (cause == ACCEPTED, cause == ACCEPTED), (meets.login, said)
            assert re.fullmatch(like(words, registry.host), said), (meets.login, said)

    # A classic engine that tries for a minute was looked at once, when the table was written.
    rows = [row for row in quirk.meets if not (row.lasting and engine.store == "classic")]
    with ThreadPoolExecutor(SEVERAL) as several:
        list(several.map(meet, range(len(rows)), rows))


def test_what_an_engine_pushed_is_there(engine: LabEngine, tmp_path: Path) -> None:
    store = Storing()
    with FakeRegistry(ping(), store.rules()) as registry:
        assert push(engine, registry, Meets(WRITER, ACCEPTED), tmp_path / "home") == (0, "")
    manifest = store.manifests[store.digest(NAME, "1")]
    wanted = [manifest.content["config"], *manifest.content["layers"]]
    assert len(wanted) == 3
    assert {one["digest"]: one["size"] for one in wanted} == {
        f"sha256:{hashlib.sha256(blob).hexdigest()}": len(blob) for blob in store.blobs.values()
    }


# --------------------------------------------------------------------------- the store by itself


def ask(store: Storing, method: str, path: str, body: bytes = b"", **query: str) -> Answer:
    return store.answer(Request(method, f"/v2/{NAME}{path}", query, {"content-type": "application/json"}, body))


BLOB = b"content"
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
MANIFEST = json.dumps({"config": {"digest": DIGEST}, "layers": []}).encode()


def test_an_upload_in_parts() -> None:
    store = Storing()
    place = ask(store, "POST", "/blobs/uploads/").headers["Location"].removeprefix(f"/v2/{NAME}")
    assert ask(store, "PATCH", place, BLOB[:3]).headers["Range"] == "0-2"
    assert ask(store, "PUT", place, BLOB[3:], digest=DIGEST).status == 201
    assert ask(store, "GET", f"/blobs/{DIGEST}").body == BLOB
    assert ask(store, "PUT", place, b"", digest=DIGEST).status == 404


@pytest.mark.parametrize(("digest", "status"), [(DIGEST, 201), (DIGEST[:-1], 400)])
def test_an_upload_at_once(digest: str, status: int) -> None:
    store = Storing()
    assert ask(store, "POST", "/blobs/uploads/", BLOB, digest=digest).status == status
    assert bool(store.blobs) is (status == 201)


def test_a_mount_is_an_upload_and_can_be_cancelled() -> None:
    store = Storing()
    answer = ask(store, "POST", "/blobs/uploads/", mount=DIGEST)
    place = answer.headers["Location"].removeprefix(f"/v2/{NAME}")
    assert [answer.status, *(ask(store, "DELETE", place).status for _ in range(2))] == [202, 204, 404]


def test_tags() -> None:
    store = Storing()
    assert ask(store, "PUT", "/manifests/1", MANIFEST).status == 400  # its config is not there
    assert ask(store, "POST", "/blobs/uploads/", BLOB, digest=DIGEST).status == 201
    digest = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert ask(store, "HEAD", f"/manifests/{digest}").status == 404
    assert ask(store, "PUT", "/manifests/1", MANIFEST).headers["Docker-Content-Digest"] == digest
    assert ask(store, "PUT", f"/manifests/{DIGEST}", MANIFEST).status == 400
    assert {ask(store, "GET", f"/manifests/{name}").body for name in ("1", digest)} == {MANIFEST}
    assert ask(store, "GET", "/tags/list").body == {"name": NAME, "tags": ["1"]}
