"""Large images are pushed from files in little memory, however large a layer is, and however many there are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fakes.archives import LAYER, Making, config_of, digest_of
from tests.lab.plugin import ROOT
from tests.values import OCI_MANIFEST

MIB = 1024 * 1024
MOST = 150
"""MiB."""
MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(status)
"""
"""What the kernel says of a child counts its parent's memory until it is another program: so the parent is small."""


# ---------------------------------------------------------------------- a registry that keeps no blob


class Sink(ThreadingHTTPServer):
    """It takes every blob at once, and keeps manifests only; `received` counts the bytes of each upload."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Swallowing)
        self.manifests: dict[str, bytes] = {}
        self.received: list[int] = []


class Swallowing(BaseHTTPRequestHandler):
    server: Sink
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        found = self.server.manifests.get(self.path)
        if self.path == "/v2/":
            self._answer(200, b"{}")
        elif found is None:
            self._answer(404, b'{"errors": []}')
        else:
            kind = str(json.loads(found)["mediaType"])
            self._answer(200, found, Content_Type=kind, Docker_Content_Digest=digest_of(found))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._answer(202, Location=f"{self.path}one")

    def do_DELETE(self) -> None:
        self._answer(204)

    def do_PUT(self) -> None:
        left = size = int(self.headers["Content-Length"])
        if "/manifests/" in self.path:
            self.server.manifests[self.path] = self.rfile.read(size)
        else:
            buffer = memoryview(bytearray(min(size, MIB)))
            while left:
                left -= self.rfile.readinto(buffer[:left])
            self.server.received.append(size)
        self._answer(201)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


# ---------------------------------------------------------------------- images with holes in place of content


def digest_of_zeros(beginning: bytes, size: int) -> str:
    """Of so many bytes, zeros but for the beginning."""
    seen, zeros = hashlib.sha256(beginning), memoryview(bytes(MIB))
    for at in range(len(beginning), size, MIB):
        seen.update(zeros[: size - at])
    return f"sha256:{seen.hexdigest()}"


def oci(folder: Path, layers: Sequence[int]) -> str:
    """A layout whose layers have these sizes, and need no place on the disk."""
    making, entries = Making(), []
    for number, size in enumerate(layers):
        beginning = str(number).encode()
        entries.append({"mediaType": LAYER, "digest": digest_of_zeros(beginning, size), "size": size})
        file = folder / "blobs" / "sha256" / str(entries[-1]["digest"]).partition(":")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(beginning)
        os.truncate(file, size)
    config = making.keep(config_of(), "application/vnd.oci.image.config.v1+json")
    making.tagged(making.document({"config": config, "layers": entries}, OCI_MANIFEST), "1").folder(folder)
    return f"oci:{folder}"


def docker_archive(folder: Path, layers: Sequence[int]) -> str:
    """What `docker save` writes of layers of these sizes, not compressed."""
    diff_ids, names = [], []
    with (folder / "image.tar").open("wb") as archive:

        def add(name: str, size: int, content: bytes) -> None:
            archive.write(header(name, size))
            archive.write(content)
            archive.seek(-size % tarfile.BLOCKSIZE + size - len(content), os.SEEK_CUR)

        for number, size in enumerate(layers):
            beginning = header(str(number), size - 3 * tarfile.BLOCKSIZE)
            diff_ids.append(digest_of_zeros(beginning, size))
            names.append(f"{number}/layer.tar")
            add(names[-1], size, beginning)
        config = json.dumps({**json.loads(config_of()), "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps([{"Config": name, "RepoTags": ["my-api:1"], "Layers": names}]).encode()
        add(name, len(config), config)
        add("manifest.json", len(manifest), manifest)
        archive.write(bytes(2 * tarfile.BLOCKSIZE))
    return f"docker-archive:{folder / 'image.tar'}"


def header(name: str, size: int) -> bytes:
    found = tarfile.TarInfo(name)
    found.size = size
    return found.tobuf(tarfile.USTAR_FORMAT)


# ---------------------------------------------------------------------- the push


@pytest.mark.parametrize("layers", [[2048 * MIB], [32 * MIB] * 12], ids=["one-of-2-GiB", "twelve-of-32-MiB"])
@pytest.mark.parametrize("make", [oci, pytest.param(docker_archive, marks=pytest.mark.full)])
def test_a_large_image_takes_little_memory(
    make: Callable[[Path, Sequence[int]], str], layers: list[int], sink: Sink, tmp_path: Path
) -> None:
    place = make(tmp_path, layers)
    host = f"127.0.0.1:{sink.server_address[1]}"
    done = subprocess.run(
        (
            *(sys.executable, "-c", MEASURED),
            *(sys.executable, "-m", "pushsafe", "--format", "json", "--from", place, f"{host}/team/large:1"),
        ),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)["summary"]["layers"]
    assert counted["sent"] == len(layers)
    assert counted["bytes_sent"] == sum(sorted(sink.received)[-len(layers) :])
    if make is oci:
        assert counted["bytes_sent"] == sum(layers)
    peak = re.search(r"(\d+)\n\Z", done.stderr)
    assert peak
    print(peak[1], "MiB")
    assert int(peak[1]) < MOST
