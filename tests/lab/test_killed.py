"""A push that is killed at any moment: no tag names what is not there, and the next run sends what is missing only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from pushsafe.demo.registry import EmbeddedRegistry
from tests.fakes.archives import Making, digest_of
from tests.lab import Lab
from tests.lab.plugin import ROOT, Run, auth, token
from tests.values import OCI_INDEX, OCI_MANIFEST

MIB = 1024 * 1024
TAGS = ("1.4.2", "1.4", "latest")
MOMENTS = [
    *(("open", "answers", share) for share in (0.1, 0.4, 0.6, 0.75, 0.9, 1.0)),
    *(("token", "answers", share) for share in (0.3, 0.55, 0.7, 0.85, 0.95)),
    *(("embedded", "answers", share) for share in (0.5, 0.65, 0.8, 0.97)),
    *(("open", "bytes", share) for share in (0.2, 0.7)),
    *(("token", "bytes", share) for share in (0.5, 0.97)),
    ("embedded", "bytes", 0.9),
]
"""A registry, and a share of all answers, or of all bytes on their way there, that a push takes which is let alone."""


# ---------------------------------------------------------------------- an image


@dataclass(frozen=True)
class Image:
    """Two platforms, each with an attestation, and a signature of the whole."""

    making: Making
    digest: str
    signature: str

    @property
    def layers(self) -> set[str]:
        documents = [json.loads(content) for content in self.making.files.values() if content.startswith(b"{")]
        return {layer["digest"] for document in documents for layer in document.get("layers", [])}


def layer(size: int) -> bytes:
    """It is no document, whatever follows."""
    return b"\x1f" + os.urandom(size)


def image() -> Image:
    """Layers that no registry has seen, large ones among them."""
    making, shared = Making(), layer(2 * MIB)
    entries = []
    for platform in ("linux/amd64", "linux/arm64"):
        entry = making.image(platform, shared, layer(MIB), *(layer(1000) for _ in range(3)))
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": entry["digest"]}
        attestation = making.image("unknown/unknown", layer(500), media_type="application/vnd.in-toto+json")
        entries += [entry, {**attestation, "annotations": about}]
    index = making.index(*entries)
    signature = making.about(index, uuid.uuid4().hex)
    making.tagged(index, TAGS[0]).tagged(signature, "signature")
    return Image(making, index["digest"], signature["digest"])


# ---------------------------------------------------------------------- a registry, asked without our code


@dataclass(frozen=True)
class Store:
    """A repository of a registry, and what it wants to hear."""

    host: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None

    def ask(self, method: str, path: str) -> bytes | None:
        """None where it has no such thing."""
        headers = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}", **self.headers}
        request = urllib.request.Request(f"http://{self.host}/v2/{self.name}/{path}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def tags(self) -> list[str]:
        found = self.ask("GET", "tags/list")
        return (json.loads(found)["tags"] or []) if found else []

    def lacks(self, name: str) -> list[str]:
        """What a manifest leads to and the repository does not have; the manifest itself if it is not there."""
        found = self.ask("GET", f"manifests/{name}")
        if found is None:
            return [name]
        document = json.loads(found)
        blobs = [one["digest"] for one in (document.get("config"), *document.get("layers", [])) if one]
        missing = [digest for digest in blobs if self.ask("HEAD", f"blobs/{digest}") is None]
        return missing + [one for child in document.get("manifests", []) for one in self.lacks(child["digest"])]

    def digest(self, name: str) -> str:
        return digest_of(self.ask("GET", f"manifests/{name}") or b"")

    def referrers(self, subject: str) -> list[str]:
        """By its own list, or by that under the tag of older ones."""
        found = self.ask("GET", f"referrers/{subject}") or self.ask("GET", f"manifests/{subject.replace(':', '-')}")
        return [one["digest"] for one in json.loads(found or b"{}").get("manifests", [])]


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def new_store(kind: str, the_lab: Lab, embedded: EmbeddedRegistry) -> Store:
    name = f"team/killed-{uuid.uuid4().hex[:8]}"
    if kind == "embedded":
        return Store(embedded.host, name)
    registry = the_lab.registries[kind]
    if not registry.users:
        return Store(registry.host, name)
    held = token(the_lab, name, "writer", "access")
    login = ("writer", registry.users["writer"])
    return Store(registry.host, name, {"Authorization": f"Bearer {held}"}, login)


# ---------------------------------------------------------------------- a push that is watched


class Watch:
    """A proxy before a registry that counts, and kills `victim` before an answer, or bytes, would go on.

    After `with`, whatever the registry was asked is over: its ends of the connections are closed.
    """

    def __init__(self, host: str, **until: int) -> None:
        self.counts = {"answers": 0, "bytes": 0}
        self.victim: subprocess.Popen[str] | None = None
        self._target = int(host.rpartition(":")[2])
        self._until = until
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._start(self._carry, near, far, "bytes")
                self._start(self._carry, far, near, "answers")

    def _carry(self, source: socket.socket, sink: socket.socket, what: str) -> None:
        with suppress(OSError):
            while chunk := source.recv(16384):
                if self._dies(what, len(chunk) if what == "bytes" else chunk.startswith(b"HTTP/")):
                    continue
                with suppress(OSError):
                    sink.sendall(chunk)
        # Only the one direction: the registry closes the other when it is done.
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if what == "answers":
            source.close()
            sink.close()

    def _dies(self, what: str, more: int) -> bool:
        with self._lock:
            self.counts[what] += more
            dies = self.counts[what] >= self._until.get(what, sys.maxsize)
            if dies and self.victim:
                self.victim.kill()
            return dies


@dataclass(frozen=True)
class Pusher:
    """The program as a child process, with a HOME and an image of its own."""

    home: Path
    image: Image

    def start(self, store: Store, host: str) -> subprocess.Popen[str]:
        layout = self.home / "image"
        self.image.making.folder(layout)
        config = {"auths": {host: auth(*store.login)}} if store.login else {}
        (self.home / "config.json").write_text(json.dumps(config))
        return subprocess.Popen(
            (
                *(sys.executable, "-m", "pushsafe", "--format", "json"),
                *("--from", f"oci:{layout}:{TAGS[0]}"),
                *(f"{host}/{store.name}:{tag}" for tag in TAGS),
            ),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "DOCKER_CONFIG": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def push(self, store: Store, watch: Watch | None = None) -> Run:
        running = self.start(store, watch.host if watch else store.host)
        if watch:
            watch.victim = running
        stdout, stderr = running.communicate(timeout=60)
        return Run(running.returncode, stdout, stderr)


@pytest.fixture
def pusher(tmp_path: Path) -> Pusher:
    return Pusher(tmp_path, image())


@pytest.fixture(scope="module")
def whole(
    kind: str, the_lab: Lab, embedded: EmbeddedRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, int]:
    """How many answers and bytes a push takes that is let alone."""
    store = new_store(kind, the_lab, embedded)
    with Watch(store.host) as watch:
        done = Pusher(tmp_path_factory.mktemp("whole"), image()).push(store, watch)
    assert done.status == 0, done.stdout + done.stderr
    return watch.counts


@pytest.mark.parametrize(("kind", "what", "share"), MOMENTS, indirect=["kind"])
def test_a_push_that_is_killed(
    kind: str,
    what: str,
    share: float,
    whole: Mapping[str, int],
    pusher: Pusher,
    the_lab: Lab,
    embedded: EmbeddedRegistry,
) -> None:
    store = new_store(kind, the_lab, embedded)
    with Watch(store.host, **{what: int(whole[what] * share)}) as watch:
        killed = pusher.push(store, watch)
    assert killed.status == -9, killed

    tags = store.tags()
    assert {tag: store.lacks(tag) for tag in tags} == {tag: [] for tag in tags}
    missing = {digest for digest in pusher.image.layers if store.ask("HEAD", f"blobs/{digest}") is None}
    print(f"{what} {share}: tags {tags}, {len(missing)} of {len(pusher.image.layers)} layers missing")

    done = pusher.push(store)
    assert done.status == 0, done.stdout + done.stderr
    assert {result["verification"] for result in done.results} == {"verified"}
    assert done.report["summary"]["layers"]["sent"] == len(missing)
    assert {tag: store.digest(tag) for tag in TAGS} == dict.fromkeys(TAGS, pusher.image.digest)
    assert [store.lacks(tag) for tag in TAGS] == [[], [], []]
    assert store.referrers(pusher.image.digest) == [pusher.image.signature]
    assert store.lacks(pusher.image.signature) == []
