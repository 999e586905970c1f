"""The whole program on real engines and real registries: every engine and store, every kind of login."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

from tests import lab
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import User
from tests.sshd import program, serve

ENGINES = ("classic-20", "classic-new", "containerd-new", "isolated-classic", "isolated-containerd")
REGISTRIES = ("open", "htpasswd", "token", "basic-roles")
LAYERS = (b"first" * 1000, b"second" * 5000, b"third")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


def registry_of(the_lab: Lab, engine: LabEngine, name: str) -> LabRegistry:
    return the_lab.registries[f"isolated-{name}" if engine.isolated else name]


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest, the_lab: Lab, engine: LabEngine) -> LabRegistry:
    return registry_of(the_lab, engine, request.param)


@pytest.fixture
def repository(registry: LabRegistry) -> str:
    return f"{registry.host}/team/app-{uuid.uuid4().hex[:8]}"


def load(engine: LabEngine, *references: str, content: bytes | None = None) -> None:
    """An image that no registry has seen, under every reference."""
    unique = content or uuid.uuid4().bytes
    for reference in references:
        lab.load_image(engine, reference, layers=[*LAYERS, unique])


def as_writer(user: User, registry: LabRegistry) -> None:
    user.log_in({registry.host: ("writer", registry.users["writer"])} if registry.users else {})


def held(registry: LabRegistry, repository: str, tag: str) -> str:
    """The digest of what a host-network registry holds under a tag, by its content, asked without our code."""
    path = repository.partition("/")[2]
    types = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
    headers = {"Accept": ", ".join(types)}
    request = urllib.request.Request(f"http://{registry.host}/v2/{path}/manifests/{tag}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


# ---------------------------------------------------------------------- pushes that succeed


@pytest.mark.every_engine
def test_several_tags_and_the_second_push_is_reused(
    user: User, engine: LabEngine, registry: LabRegistry, repository: str, tmp_path: Path
) -> None:
    as_writer(user, registry)
    references = [f"{repository}:{tag}" for tag in ("1.4.2", "1.4", "latest")]
    load(engine, *references)
    digests = tmp_path / "digests"

    first = user.push_json(engine.host, "--digest-file", str(digests), *references)
    assert first.status == 0, first.stdout + first.stderr
    assert [result["reference"] for result in first.results] == references
    # What only the engine reaches, only the engine can push.
    further = "pushed" if engine.isolated else "tagged"
    assert [result["outcome"] for result in first.results] == ["pushed", further, further]
    assert {result["verification"] for result in first.results} == {"verified"}
    assert {result["verified_via"] for result in first.results} == {"engine" if engine.isolated else "registry"}
    assert {tuple(result["platforms"]) for result in first.results} == {("linux/amd64",)}
    layers = first.results[0]["layers"]
    assert layers["sent"] >= 1
    assert layers["reused"] + layers["mounted"] + layers["sent"] == len(LAYERS) + 1
    if not engine.isolated or engine.store == "classic":
        assert layers["bytes_sent"] > 0
    assert len({result["digest"] for result in first.results}) == 1
    assert digests.read_text().splitlines() == [f"{name}@{first.results[0]['digest']}" for name in references]

    second = user.push_json(engine.host, *references)
    assert second.status == 0
    assert {result["outcome"] for result in second.results} == {"already-there"}
    assert {result["verification"] for result in second.results} == {"verified"}
    each = user.push_json(engine.host, "--push-each", *references)
    assert each.status == 0
    for result in each.results:
        assert result["layers"] == {"reused": len(LAYERS) + 1, "mounted": 0, "sent": 0, "bytes_sent": 0}
    assert {result["digest"] for done in (first, second, each) for result in done.results} == {
        first.results[0]["digest"]
    }


def test_layers_of_a_neighbouring_repository_are_mounted(user: User, engine: LabEngine, the_lab: Lab) -> None:
    registry = registry_of(the_lab, engine, "open")
    first, second = (f"{registry.host}/team/{name}-{uuid.uuid4().hex[:8]}:1" for name in ("from", "to"))
    content = uuid.uuid4().bytes
    load(engine, first, second, content=content)
    assert user.push_json(engine.host, first).status == 0
    layers = user.push_json(engine.host, second).results[0]["layers"]
    assert layers["mounted"] >= 1
    assert layers["mounted"] + layers["reused"] + layers["sent"] == len(LAYERS) + 1


@pytest.mark.parametrize("name", ["classic-20", "classic-new", "containerd-new"])
def test_what_is_called_verified_is_in_the_registry(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    repository = f"{registry.host}/team/held-{uuid.uuid4().hex[:8]}"
    load(engine, f"{repository}:1")
    done = user.push_json(engine.host, f"{repository}:1")
    assert done.results[0]["digest"] == held(registry, repository, "1")


def test_human_output_and_quiet(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    repository = f"{registry.host}/team/human-{uuid.uuid4().hex[:8]}"
    load(engine, f"{repository}:1", f"{repository}:2")
    done = user.pushsafe(engine.host, f"{repository}:1", f"{repository}:2")
    assert done.status == 0
    assert f"✓ {repository}:1 pushed and verified" in done.stdout
    assert f"✓ {repository}:2 tagged and verified" in done.stdout
    assert "2 of 2 in place and verified" in done.stdout
    assert "1 pushed, 1 tagged; 4 layers: " in done.stdout
    told = [line.partition(" ") for line in done.stderr.splitlines()]  # which tag is read back first is not said
    assert [count for count, _, _ in told] == ["[1/2]", "[2/2]"]
    assert {line for _, _, line in told} == {
        f"{repository}:1 pushed and verified",
        f"{repository}:2 tagged and verified",
    }

    quiet = user.pushsafe(engine.host, "-q", f"{repository}:1", f"{repository}:2")
    assert (quiet.status, quiet.stdout, quiet.stderr) == (0, f"{repository}:1\n{repository}:2\n", "")


def test_all_tags_and_references_from_a_file(user: User, the_lab: Lab, engine: LabEngine, tmp_path: Path) -> None:
    registry = registry_of(the_lab, engine, "open")
    repository = f"{registry.host}/team/all-{uuid.uuid4().hex[:8]}"
    load(engine, *(f"{repository}:{tag}" for tag in ("a", "b", "c")))

    everything = user.push_json(engine.host, "-a", repository)
    assert everything.status == 0
    assert [result["reference"] for result in everything.results] == [f"{repository}:{tag}" for tag in ("a", "b", "c")]

    listed = tmp_path / "references"
    listed.write_text(f"# the release\n{repository}:a\n\n  {repository}:b  \n")
    from_file = user.push_json(engine.host, "-f", str(listed))
    assert [result["reference"] for result in from_file.results] == [f"{repository}:a", f"{repository}:b"]
    from_stdin = user.pushsafe(engine.host, "-q", "-f", "-", stdin=f"{repository}:c\n")
    assert (from_stdin.status, from_stdin.stdout) == (0, f"{repository}:c\n")


@pytest.mark.parametrize("name", ["containerd-new", "isolated-containerd"])
def test_an_index_is_verified_with_its_children(user: User, the_lab: Lab, name: str) -> None:
    engine = the_lab.engines[name]
    registry = registry_of(the_lab, engine, "open")
    reference = f"{registry.host}/team/index-{uuid.uuid4().hex[:8]}:1"
    lab.build_index(engine, reference, ("linux/amd64", "linux/arm64"), attestation=True)
    done = user.push_json(engine.host, reference)
    assert done.status == 0, done.stdout
    assert done.results[0]["verified_via"] == ("engine" if engine.isolated else "registry")
    assert done.results[0]["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_push_that_the_engine_reduced_to_one_platform_is_a_failure(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    reference = f"{registry.host}/team/reduced-{uuid.uuid4().hex[:8]}:1"
    lab.build_index(engine, reference, ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    lab.drop_platform(engine, reference, "linux/arm64")
    environ = user.environ(engine.host)
    plain = subprocess.run(["docker", "push", "-q", reference], env=environ, capture_output=True, check=False)
    assert plain.returncode == 0, "docker push itself no longer reduces in silence"

    refused = user.push_json(engine.host, reference)
    assert (refused.status, "PS204" in refused.codes) == (1, True)
    assert "the engine has no content for linux/arm64" in refused.report["findings"][0]["message"]

    done = user.push_json(engine.host, "--allow", "PS204", reference)
    assert done.status == 7, done.stdout
    assert done.results[0]["failure"]["kind"] == "reduced-to-one-platform"
    assert "linux/amd64" in done.results[0]["failure"]["message"]

    one = user.push_json(engine.host, "--platform", "linux/amd64", "--allow", "PS206", reference)
    assert (one.status, one.results[0]["platforms"]) == (0, ["linux/amd64"]), one.stdout


def test_platform(user: User, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    reference = f"{registry.host}/team/platform-{uuid.uuid4().hex[:8]}:1"
    newer, older = the_lab.engines["containerd-new"], the_lab.engines["classic-20"]
    lab.build_index(newer, reference, ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    done = user.push_json(newer.host, "--platform", "linux/arm64", reference)
    assert done.status == 0, done.stdout
    assert done.results[0]["platforms"] == ["linux/arm64"]

    load(older, reference)
    refused = user.pushsafe(older.host, "--platform", "linux/amd64", reference)
    assert refused.status == 2
    assert "needs an engine with API 1.46" in refused.stderr

    several = user.push_json(the_lab.engines["classic-new"].host, "--platform", "linux/amd64,linux/arm64", reference)
    assert (several.status, "PS203" in several.codes) == (1, True)


def test_an_image_pulled_from_an_index_is_refused_on_the_classic_store(user: User, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    source = f"{registry.host}/team/source-{uuid.uuid4().hex[:8]}:1"
    target = f"{registry.host}/team/target-{uuid.uuid4().hex[:8]}:1"
    builder, classic = the_lab.engines["containerd-new"], the_lab.engines["classic-new"]
    lab.build_index(builder, source, ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    assert user.pushsafe(builder.host, "-q", source).status == 0
    environ = user.environ(classic.host)
    for words in (["pull", "-q", source], ["tag", source, target]):
        subprocess.run(["docker", *words], env=environ, check=True, capture_output=True)

    done = user.push_json(classic.host, target)
    assert (done.status, done.codes) == (1, ["PS203"])
    # This user has no buildx, and the copy needs none.
    fix = done.report["findings"][0]["fix"]
    assert fix.startswith(f"docker pushsafe index -t {target} {source.rpartition(':')[0]}@sha256:")
    copied = subprocess.run(fix.split(), env=environ, capture_output=True, text=True, check=False)
    assert copied.returncode == 0, copied.stderr
    assert "linux/amd64, linux/arm64" in copied.stdout

    allowed = user.push_json(classic.host, "--allow", "PS203", "--allow", "PS205", target)
    assert (allowed.status, allowed.results[0]["platforms"]) == (0, ["linux/amd64"])


# ---------------------------------------------------------------------- denials


CASES = [
    # registry, who, exit code, kind, reason
    ("htpasswd", "nobody", 4, "no-authentication", "not-logged-in"),
    ("htpasswd", "wrong", 4, "no-authentication", "credential-rejected"),
    ("token", "nobody", 4, "no-authentication", "not-logged-in"),
    ("token", "wrong", 4, "no-authentication", "credential-rejected"),
    ("token", "reader", 5, "insufficient-permission", "no-write-permission"),
    ("basic-roles", "nobody", 4, "no-authentication", "not-logged-in"),
    ("basic-roles", "wrong", 4, "no-authentication", "credential-rejected"),
    ("basic-roles", "reader", 5, "insufficient-permission", "no-write-permission"),
]


@pytest.mark.parametrize(
    ("name", "who", "status", "kind", "reason"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_denials_are_told_apart(
    user: User, the_lab: Lab, engine: LabEngine, name: str, who: str, status: int, kind: str, reason: str
) -> None:
    registry = registry_of(the_lab, engine, name)
    logins = {
        "nobody": {},
        "wrong": {registry.host: ("writer", "not-the-password-of-writer")},
        "reader": {registry.host: ("reader", registry.users.get("reader", ""))},
    }
    user.log_in(logins[who])
    references = [f"{registry.host}/team/denied-{uuid.uuid4().hex[:8]}:{tag}" for tag in ("1", "2")]
    load(engine, *references)

    done = user.push_json(engine.host, "--no-preflight", "--allow", "PS301", *references)
    assert done.status == status, done.stdout + done.stderr
    for result in done.results:
        assert result["outcome"] == "denied"
        assert (result["denial"]["kind"], result["denial"]["reason"]) == (kind, reason)
        assert result["denial"]["stage"] == "push"
        stages = [item["stage"] for item in result["denial"]["evidence"]]
        assert stages[:2] == ["credential", "push"]
        assert result["denial"]["next"][0].startswith(f"docker login {registry.host}")
        if not engine.isolated:
            assert "ping" in stages
    assert not any(password in done.stdout + done.stderr for password in registry.users.values())
    assert "not-the-password-of-writer" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["htpasswd", "token", "basic-roles"])
def test_nobody_logged_in_is_refused_before_the_push(user: User, the_lab: Lab, engine: LabEngine, name: str) -> None:
    registry = registry_of(the_lab, engine, name)
    reference = f"{registry.host}/team/lint-{uuid.uuid4().hex[:8]}:1"
    load(engine, reference)
    done = user.push_json(engine.host, reference)
    unasked = user.push_json(engine.host, "--no-preflight", reference)
    assert (done.status, done.codes, unasked.codes) == (4, ["PS301"], ["PS301"])
    if engine.isolated:
        # The registry cannot be asked from here, so the finding is a warning and the push finds out.
        assert done.report["findings"][0]["severity"] == "warning"
        assert done.results[0]["denial"]["stage"] == "push"
        assert unasked.status == 4
    else:
        assert done.results[0]["denial"]["stage"] == "probe"
        assert done.report["findings"][0]["fix"] == f"docker login {registry.host}"
        assert (unasked.status, unasked.results[0]["outcome"]) == (1, "not-pushed")


def test_the_human_report_of_a_denial(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["token"]
    user.log_in({registry.host: ("reader", registry.users["reader"])})
    reference = f"{registry.host}/team/human-{uuid.uuid4().hex[:8]}:1"
    load(engine, reference)
    done = user.pushsafe(engine.host, reference)
    assert done.status == 5
    lines = done.stdout.splitlines()
    assert lines[0] == f"✗ {reference} denied: insufficient-permission (no-write-permission)"
    assert "the account 'reader' is logged in" in lines[1]
    assert any(line.strip().startswith("token") and "grants pull" in line for line in lines)
    assert any(line.strip() == f"next: docker login {registry.host} -u ACCOUNT" for line in lines)


def test_docker_login_is_what_the_next_command_says(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["token"]
    reference = f"{registry.host}/team/login-{uuid.uuid4().hex[:8]}:1"
    load(engine, reference)
    refused = user.push_json(engine.host, reference)
    command = refused.report["findings"][0]["fix"].split()
    subprocess.run(
        [*command, "-u", "writer", "--password-stdin"],
        input=registry.users["writer"].encode(),
        env=user.environ(engine.host),
        check=True,
        capture_output=True,
    )
    assert user.push_json(engine.host, reference).status == 0


# ---------------------------------------------------------------------- what is missing or down


def test_missing_image_stops_all(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = registry_of(the_lab, engine, "open")
    repository = f"{registry.host}/team/missing-{uuid.uuid4().hex[:8]}"
    load(engine, f"{repository}:1.4.2")
    done = user.push_json(engine.host, f"{repository}:1.4.2", f"{repository}:1.4.3")
    assert done.status == 1
    assert "PS201" in done.codes
    assert [result["outcome"] for result in done.results] == ["not-pushed", "not-pushed"]
    finding = next(item for item in done.report["findings"] if item["code"] == "PS201")
    assert f"{repository}:1.4.2" in finding["message"]
    if not engine.isolated:
        with pytest.raises(urllib.error.HTTPError):
            held(registry, repository, "1.4.2")


def test_registry_down(user: User, engine: LabEngine) -> None:
    reference = f"127.0.0.1:{lab.closed_port()}/team/app:1"
    load(engine, reference)
    done = user.push_json(engine.host, reference)
    assert done.status == 3, done.stdout
    assert done.results[0]["failure"]["kind"] == "network"
    assert "connection refused" in done.results[0]["failure"]["message"]


def test_a_registry_that_goes_down_does_not_hide_the_others_result(user: User, the_lab: Lab) -> None:
    engine, alive = the_lab.engines["classic-new"], the_lab.registries["open"]
    references = [f"127.0.0.1:{lab.closed_port()}/team/app:1", f"{alive.host}/team/alive-{uuid.uuid4().hex[:8]}:1"]
    load(engine, *references)
    done = user.push_json(engine.host, *references)
    assert done.status == 3
    assert [result["outcome"] for result in done.results] == ["failed", "pushed"]
    assert done.results[1]["verification"] == "verified"


@pytest.mark.parametrize(
    ("host", "said"),
    [("unix:///nowhere/docker.sock", "no such file or directory"), ("tcp://127.0.0.1:{port}", "connection refused")],
)
def test_engine_down(user: User, host: str, said: str) -> None:
    host = host.format(port=lab.closed_port())
    done = user.pushsafe(host, "registry.example.com/myorg/my-api:1.4.2")
    assert done.status == 3
    assert f"no engine answers at {host} (DOCKER_HOST): {said}" in done.stderr
    document = user.push_json(host, "registry.example.com/myorg/my-api:1.4.2").report
    assert document["errors"][0]["kind"] == "unreachable"
    assert document["results"][0]["outcome"] == "not-pushed"


def test_a_bare_name_is_refused_without_an_engine(user: User) -> None:
    done = user.push_json("unix:///nowhere/docker.sock", "my-api:1.4.2", "myorg/my-api:1.4.2")
    assert (done.status, done.codes) == (1, ["PS101", "PS102"])


# ---------------------------------------------------------------------- the engine is docker's


def test_an_engine_behind_ssh(user: User, the_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    reference = f"{registry.host}/team/ssh-{uuid.uuid4().hex[:8]}:1"
    load(engine, reference)
    docker = shutil.which("docker")
    program(tmp_path / "remote", "docker", f'#!/bin/sh\nexec {docker} -H {engine.host} "$@"\n')
    with serve(tmp_path) as (url, path):
        monkeypatch.setenv("PATH", path)
        done = user.push_json(url, reference)
        (tmp_path / "known").write_text("")
        unknown = user.pushsafe(url, reference)
    assert done.status == 0, done.stdout + done.stderr
    # 127.0.0.1 is the far machine's for that engine, so only the engine is asked.
    assert (done.results[0]["verification"], done.results[0]["verified_via"]) == ("verified", "engine")
    assert unknown.status == 3
    assert "Host key verification failed" in unknown.stderr
    assert "docker version" in unknown.stderr


def test_context_flag_before_the_name(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    reference = f"{registry.host}/team/context-{uuid.uuid4().hex[:8]}:1"
    load(engine, reference)
    user.pushsafe(engine.host, "--version")  # links the plugin
    environ = {key: value for key, value in user.environ("").items() if key != "DOCKER_HOST"}

    def docker(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *words], env=environ, capture_output=True, text=True, check=False)

    assert docker("context", "create", "lab", "--docker", f"host={engine.host}").returncode == 0
    done = docker("--context", "lab", "pushsafe", "--format", "json", reference)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["results"][0]["verification"] == "verified"
    elsewhere = docker("pushsafe", reference)
    assert (elsewhere.returncode, "unix:///var/run/docker.sock" in elsewhere.stderr) == (3, True)
