"""Blobs from files, and manifests about others, as real registries take them, over links that break as well."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Repository, Secret, SourceKind
from pushsafe.model.evidence import Evidence
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.content import Referrer
from pushsafe.oci.manifest import ManifestContent
from pushsafe.oci.reference import Reference
from pushsafe.registry import blob_upload
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Transport
from tests.fakes.cutting import Cutting
from tests.fakes.lying import Lying
from tests.fakes.registry import OCI_INDEX, OCI_MANIFEST
from tests.lab import Lab, LabRegistry

MIB = 1024 * 1024
CONFIG = Lying(b"{}")


@pytest.fixture(params=["open", "htpasswd", "token", "basic-roles"])
def registry(request: pytest.FixtureRequest, the_lab: Lab) -> LabRegistry:
    return the_lab.registries[request.param]


def content(size: int = 8 * MIB) -> Lying:
    """Bytes that no registry has seen."""
    piece = hashlib.sha512(uuid.uuid4().bytes).digest()
    return Lying(piece * (size // len(piece)), part=MIB)


def target(registry: LabRegistry, name: str = "", host: str = "", account: str = "writer") -> Repository:
    known = account in registry.users
    source = CredentialSource(SourceKind.FILE if known else SourceKind.NONE, "config.json")
    kind = CredentialKind.BASIC
    login = Credential("r", "r", source, kind, account, Secret(registry.users[account])) if known else None
    name = name or f"team/sent-{uuid.uuid4().hex[:8]}"
    return Repository(Reference("given", host or registry.host, name, "1"), login or Credential("r", "r", source))


def send(one: Lying, to: Repository, mount_from: str = "", retries: int = 0) -> LayerState | Evidence:
    asked = Registry(Transport())
    try:
        return asked.send(one, to, mount_from, lambda _size: None, RetryPolicy(retries))
    finally:
        asked.close()


def on_disk(registry: LabRegistry, one: Lying) -> Path:
    """Where distribution keeps a blob, whatever the repository."""
    algorithm, _, value = one.blob.digest.partition(":")
    return registry.repositories.parent / "blobs" / algorithm / value[:2] / value / "data"


def uploads_on_disk(registry: LabRegistry, to: Repository) -> list[Path]:
    return list((registry.repositories / to.reference.repository / "_uploads").glob("*/startedat"))


def test_a_blob_is_sent_and_mounted(registry: LabRegistry) -> None:
    first, second, one = target(registry), target(registry), content()
    asked = Registry(Transport())
    assert asked.holds(one.blob, first, NO_RETRIES) is False
    assert send(one, first) is LayerState.SENT
    assert on_disk(registry, one).read_bytes() == one.content
    assert asked.holds(one.blob, first, NO_RETRIES) is True
    assert asked.holds(one.blob, second, NO_RETRIES) is False
    assert send(one, second, first.reference.repository) is LayerState.MOUNTED
    assert asked.holds(one.blob, second, NO_RETRIES) is True
    missing = target(registry).reference.repository
    assert send(content(MIB), second, missing) is LayerState.SENT
    assert uploads_on_disk(registry, second) == []
    asked.close()


def test_a_reader_is_refused(the_lab: Lab) -> None:
    found = send(content(), target(the_lab.registries["token"], account="reader"))
    assert isinstance(found, Evidence)
    assert found.status == 401


@pytest.mark.parametrize("after", [1 * MIB, 5 * MIB, 8 * MIB])
def test_a_link_that_breaks(registry: LabRegistry, after: int) -> None:
    """distribution goes on with nothing that broke off within a request, so it is begun anew; nor can that be
    cancelled, and is left for its own purging."""
    one = content()
    with Cutting(registry.port, after, after) as link:
        assert send(one, target(registry, host=link.host), retries=3) is LayerState.SENT
        assert link.cuts == 2
    assert on_disk(registry, one).read_bytes() == one.content


# ---------------------------------------------------------------------- behind a proxy

NGINX = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {setting}
        location / {{
            proxy_pass http://{registry};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, registry: LabRegistry, setting: str = "") -> Iterator[int]:
    """Its port, before a registry; nginx holds a request back until it has all of it, and takes 1 MiB, unless told."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, registry=registry.host, setting=setting))
    running = subprocess.Popen(["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")])
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield port
    finally:
        running.terminate()
        running.wait(10)


def test_a_proxy_that_limits_bodies(the_lab: Lab, tmp_path: Path) -> None:
    """nginx answers 413 at once, and closes the connection in the middle of the body."""
    registry, one = the_lab.registries["open"], content(32 * MIB)
    with nginx(tmp_path, registry) as port:
        to = target(registry, host=f"127.0.0.1:{port}")
        assert send(one, to) is LayerState.SENT
    assert on_disk(registry, one).read_bytes() == one.content
    assert uploads_on_disk(registry, to) == []


def test_a_link_that_breaks_all_the_time(the_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind such a proxy distribution has all pieces that came whole, and it is gone on with after the last one."""
    monkeypatch.setattr(blob_upload, "PIECES", (2 * MIB,))
    registry, one = the_lab.registries["open"], content(16 * MIB)
    with nginx(tmp_path, registry, "client_max_body_size 0;") as port, Cutting(port, 5 * MIB, for_ever=True) as link:
        to = target(registry, host=link.host)
        assert send(one, to, retries=2) is LayerState.SENT
        assert link.cuts >= 3
    assert on_disk(registry, one).read_bytes() == one.content
    assert uploads_on_disk(registry, to) == []


# ---------------------------------------------------------------------- about other manifests


def test_what_refers_to_an_image_is_listed(registry: LabRegistry) -> None:
    """By a tag, for distribution 2.8 keeps no list."""
    to, asked = target(registry), Registry(Transport())
    assert send(CONFIG, to) is LayerState.SENT
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": CONFIG.blob.digest, "size": 2}
    subject = f"sha256:{uuid.uuid4().hex * 2}"
    digests = []
    for number in range(2):
        about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [], "subject": about}
        body = json.dumps({**document, "annotations": {"number": str(number)}}).encode()
        digests.append(f"sha256:{hashlib.sha256(body).hexdigest()}")
        said = asked.refer(Referrer(ManifestContent(digests[-1], OCI_MANIFEST, body), subject), to, NO_RETRIES)
        assert (said.status, said.code) == (201, "")
    tag = to.reference._replace(tag=subject.replace(":", "-"))
    listed = asked.content(tag, to.credential)
    assert isinstance(listed, ManifestContent)
    assert listed.media_type == OCI_INDEX
    assert [one["digest"] for one in json.loads(listed.body)["manifests"]] == digests
    assert {one["artifactType"] for one in json.loads(listed.body)["manifests"]} == {config["mediaType"]}
    asked.close()
