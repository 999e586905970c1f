"""The installed plugin asks first: what it asks, what it leaves behind, and what it then does, on real registries."""

from __future__ import annotations

import socket
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests import lab
from tests.fakes.registry import FakeRegistry, certificate, ping
from tests.fakes.storing import Storing
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import User, token


def load(engine: LabEngine, *references: str, platform: str = "linux/amd64") -> None:
    """An image that no registry has seen, under every reference."""
    unique = uuid.uuid4().bytes
    for reference in references:
        lab.load_image(engine, reference, layers=[unique], platform=platform)


def new(registry: LabRegistry | FakeRegistry, tag: str = "1") -> str:
    return f"{registry.host}/team/preflight-{uuid.uuid4().hex[:8]}:{tag}"


def kept(registry: LabRegistry, reference: str, what: str) -> list[str]:
    """What distribution has on disk of a repository, by a pattern, as paths in the repository's folder."""
    folder = registry.repositories / reference.partition("/")[2].rpartition(":")[0]
    return sorted(str(path.relative_to(folder)) for path in folder.glob(what))


TAGS = "_manifests/tags/*"
UNFINISHED = "_uploads/*/startedat"
"""Of a cancelled upload distribution leaves folders and the state of its hash; when it began, and its data, go."""


def as_writer(user: User, registry: LabRegistry) -> None:
    user.log_in({registry.host: ("writer", registry.users["writer"])} if registry.users else {})


# ---------------------------------------------------------------------- a refusal stops all


@pytest.mark.parametrize("name", ["classic-20", "classic-new", "containerd-new"])
def test_one_repository_that_is_not_writable_keeps_the_other_one_as_it_is(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["token"]
    first = new(registry)
    listed = [first, f"{first}.2", new(registry)]
    load(engine, *listed)
    mine = token(the_lab, first.partition("/")[2].rpartition(":")[0], "writer", "access")
    user.configure({"auths": {registry.host: {"registrytoken": mine}}})  # a token for the first repository alone

    done = user.push_json(engine.host, *listed)
    assert done.status == 5, done.stdout + done.stderr
    assert [result["outcome"] for result in done.results] == ["not-pushed", "not-pushed", "denied"]
    assert (done.results[2]["denial"]["reason"], done.results[2]["denial"]["stage"]) == ("no-write-permission", "probe")
    assert [check["verdict"] for check in done.report["preflight"]] == ["accepted", "refused"]
    assert [kept(registry, reference, TAGS) for reference in listed] == [[], [], []]

    assert user.push_json(engine.host, *listed[:2]).status == 0
    assert len(kept(registry, first, TAGS)) == 2


# Distribution wants the action `delete` of a token that cancels an upload; the lab's writer may have it.
@pytest.mark.parametrize("name", ["open", "htpasswd", "token", "basic-roles"])
def test_the_upload_of_the_probe_is_cancelled(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries[name]
    as_writer(user, registry)
    reference = new(registry)
    load(engine, reference)
    done = user.pushsafe(engine.host, "lint", "--format", "json", reference)
    assert done.status == 0, done.stdout + done.stderr
    assert [result["outcome"] for result in done.results] == ["ready"]
    (check,) = done.report["preflight"]
    assert (check["verdict"], check["evidence"][-1]["stage"], check["evidence"][-1]["status"]) == (
        "accepted",
        "probe",
        202,
    )
    assert kept(registry, reference, "_uploads/*") != []
    assert kept(registry, reference, UNFINISHED) == []
    assert kept(registry, reference, TAGS) == []


def test_what_an_unfinished_upload_leaves(the_lab: Lab) -> None:
    """What the test above relies on."""
    registry = the_lab.registries["open"]
    reference = new(registry)
    url = f"http://{registry.host}/v2/{reference.partition('/')[2].rpartition(':')[0]}/blobs/uploads/"
    with urllib.request.urlopen(urllib.request.Request(url, b"", method="POST"), timeout=10) as answer:
        upload = answer.headers["Location"]
    assert len(kept(registry, reference, UNFINISHED)) == 1
    urllib.request.urlopen(urllib.request.Request(upload, method="DELETE"), timeout=10).close()
    assert kept(registry, reference, UNFINISHED) == []


# ---------------------------------------------------------------------- what it costs


@pytest.mark.parametrize("tags", [1, 3])
def test_questions_and_connections_of_a_push(user: User, the_lab: Lab, tags: int) -> None:
    engine, store = the_lab.engines["classic-new"], Storing()
    with FakeRegistry(ping(), store.rules()) as registry:
        listed = [f"{registry.host}/team/app:{number}" for number in range(1, tags + 1)]
        load(engine, *listed)
        done = user.push_json(engine.host, *listed)
        assert done.status == 0, done.stdout + done.stderr
        ours = [one for one in registry.requests if one.headers["user-agent"].startswith("docker-pushsafe/")]
    asked = [str(one).replace("/v2/team/app", "") for one in ours]
    assert asked[:2] == ["GET /v2/", "POST /blobs/uploads/"]
    (cancelled,) = (one for one in asked if one.startswith("DELETE /blobs/uploads/"))
    asked.remove(cancelled)
    looks = [f"HEAD /manifests/{number}" for number in range(1, tags + 1)]
    absent = [f"GET /manifests/{number}" for number in range(1, tags + 1)]  # which HEAD alone does not prove
    digest = done.results[0]["digest"]
    put = [f"GET /manifests/{digest}", *(f"PUT /manifests/{number}" for number in range(2, tags + 1))]
    assert sorted(asked[2:]) == sorted([*looks, *absent, *looks, *(put if tags > 1 else [])])  # before, after, between
    if tags == 1:
        assert len({one.connection for one in ours}) == 1


# ---------------------------------------------------------------------- what cannot be told


@pytest.mark.parametrize("name", ["isolated-classic", "isolated-containerd"])
def test_a_registry_that_only_the_engine_reaches(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["isolated-token"]
    as_writer(user, registry)
    reference = new(registry)
    load(engine, reference)
    done = user.pushsafe(engine.host, reference)
    assert done.status == 0, done.stdout + done.stderr
    repository = reference.rpartition(":")[0]
    assert any(line.startswith(f"? {repository}") and "could not check" in line for line in done.stdout.splitlines())
    assert f"✓ {reference} pushed and verified (through the engine)" in done.stdout


@pytest.fixture
def silent() -> Iterator[str]:
    """A registry that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("words", [["--format", "json"], ["lint", "--format", "json"]], ids=["push", "lint"])
def test_timeout(user: User, the_lab: Lab, silent: str, words: Sequence[str]) -> None:
    engine = the_lab.engines["classic-new"]
    listed = [f"{silent}/team/app:1", f"{silent}/team/app:2", new(the_lab.registries["open"])]
    load(engine, *listed)
    done = user.pushsafe(engine.host, *words, "--timeout", "1", *listed)
    assert done.status == 3, done.stdout + done.stderr
    assert [(result["reference"], result["outcome"]) for result in done.results] == [
        (reference, "not-pushed") for reference in listed
    ]
    assert "time for the whole run" in done.report["errors"][0]["message"]
    assert done.report["timings"]["total"] < 10  # a single read may take 30


def test_no_preflight_asks_nothing_beforehand(user: User, the_lab: Lab) -> None:
    engine, store = the_lab.engines["classic-new"], Storing()
    with FakeRegistry(ping(), store.rules()) as registry:
        reference = f"{registry.host}/team/app:1"
        load(engine, reference)
        done = user.push_json(engine.host, "--no-preflight", reference)
        assert done.status == 0, done.stdout + done.stderr
        ours = [one for one in registry.requests if one.headers["user-agent"].startswith("docker-pushsafe/")]
    assert done.report["preflight"] == []
    assert [str(one) for one in ours] == ["GET /v2/", "HEAD /v2/team/app/manifests/1"]


# ---------------------------------------------------------------------- what the tag names now


def severities(done: dict[str, object], *codes: str) -> dict[str, str]:
    """Of the findings of these rules, the levels."""
    findings = done["findings"]
    assert isinstance(findings, list)
    return {finding["code"]: finding["severity"] for finding in findings if finding["code"] in codes}


@pytest.mark.parametrize("name", ["classic-20", "classic-new", "containerd-new"])
def test_another_image_under_a_tag_that_exists(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    reference = new(registry, "1.4.2")
    load(engine, reference)
    careful = replace(user, variables={"PUSHSAFE_IMMUTABLE_TAGS": "1.*"})
    released = careful.push_json(engine.host, reference)
    assert (released.status, released.codes) == (0, [])
    again = careful.push_json(engine.host, reference)
    assert (again.status, again.codes) == (0, [])
    assert again.results[0]["digest"] == released.results[0]["digest"]

    load(engine, reference)
    refused = careful.push_json(engine.host, reference)
    assert (refused.status, severities(refused.report, "PS401")) == (1, {"PS401": "error"})
    assert refused.results[0]["before"]["digest"] == released.results[0]["digest"]
    pushed = user.push_json(engine.host, reference)
    assert (pushed.status, severities(pushed.report, "PS401")) == (0, {"PS401": "warning"})
    assert pushed.results[0]["digest"] != released.results[0]["digest"]


@pytest.mark.parametrize("name", ["classic-20", "classic-new", "containerd-new"])
def test_an_index_and_a_single_platform_in_its_place(user: User, the_lab: Lab, name: str) -> None:
    builder, engine, registry = the_lab.engines["containerd-new"], the_lab.engines[name], the_lab.registries["open"]
    reference = new(registry)
    lab.build_index(builder, reference, ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    released = user.push_json(builder.host, reference)
    assert released.status == 0, released.stdout
    again = user.push_json(builder.host, reference)
    assert (again.status, again.codes) == (0, [])

    load(engine, reference)
    refused = user.push_json(engine.host, reference)
    assert (refused.status, severities(refused.report, "PS205")) == (1, {"PS205": "error"})
    assert refused.results[0]["before"]["platforms"] == ["linux/amd64", "linux/arm64"]
    allowed = user.push_json(engine.host, "--allow", "PS205", reference)
    assert allowed.status == 0, allowed.stdout


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_an_image_of_another_platform_in_its_place(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    reference = new(registry)
    for platform, expected in (("linux/amd64", {}), ("linux/amd64", {}), ("linux/arm64", {"PS206": "warning"})):
        load(engine, reference, platform=platform)
        done = user.push_json(engine.host, reference)
        assert (done.status, severities(done.report, "PS206")) == (0, expected), platform


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_latest_goes_back(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    repository = new(registry).rpartition(":")[0]
    for version, expected in (("1.9.4", {}), ("2.0.0", {}), ("1.9.5", {"PS402": "warning"})):
        listed = [f"{repository}:{version}", f"{repository}:latest"]
        load(engine, *listed)
        done = user.push_json(engine.host, *listed)
        assert (done.status, severities(done.report, "PS402")) == (0, expected), version


# ---------------------------------------------------------------------- TLS as the engine's certs.d says


@pytest.mark.parametrize("shown", [True, False], ids=["certs.d", "none"])
def test_a_client_certificate_from_certs_d(user: User, the_lab: Lab, shown: bool, tmp_path: Path) -> None:
    engine, store = the_lab.engines["classic-new"], Storing()
    for folder in ("server", "client"):
        (tmp_path / folder).mkdir()
    server, client = certificate(tmp_path / "server"), certificate(tmp_path / "client", subject="ada")
    with FakeRegistry(ping(), store.rules(), certificate=server, clients=client.authority) as registry:
        here = user.home / ".config" / "docker" / "certs.d" / registry.host
        here.mkdir(parents=True)
        files = (("ca.crt", server.authority), ("ada.cert", client.chain), ("ada.key", client.key))
        for file, source in files if shown else ():
            (here / file).symlink_to(source)
        reference = f"{registry.host}/team/app:1"
        load(engine, reference)
        done = user.push_json(engine.host, reference)
        assert done.status == 0, done.stdout + done.stderr
        ours = [one for one in registry.requests if one.headers.get("user-agent", "").startswith("docker-pushsafe/")]
    assert {one.client for one in ours} == {"ada" if shown else ""}
