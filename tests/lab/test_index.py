"""`docker pushsafe index` on real engines and registries: what is put together, from where, and what is refused."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from pushsafe.oci.manifest import DOCKER_MANIFEST, INDEX_TYPES
from tests import lab
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import Run, User

ENGINES = ("classic-20", "classic-new", "containerd-new")
REGISTRIES = ("open", "htpasswd", "token", "basic-roles")
NO_ENGINE = "unix:///nonexistent/docker.sock"
OCI_INDEX, DOCKER_LIST = INDEX_TYPES
BOTH = ["linux/amd64", "linux/arm64"]
ATTESTS = "vnd.docker.reference.digest"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest, the_lab: Lab) -> LabRegistry:
    return the_lab.registries[request.param]


def new(registry: LabRegistry) -> str:
    """A repository that nobody has pushed to."""
    return f"{registry.host}/team/index-{uuid.uuid4().hex[:8]}"


def load(engine: LabEngine, platform: str, reference: str = "", layer: bytes = b"") -> str:
    """An image that no registry has seen; its name in the engine."""
    name = reference or f"my-api-{uuid.uuid4().hex[:8]}:{platform.replace('/', '-')}"
    lab.load_image(engine, name, layers=[layer or b"a layer" * 1000, uuid.uuid4().bytes], platform=platform)
    return name


def push(user: User, engine: LabEngine, *references: str) -> None:
    """As a CI job on a native runner leaves it behind."""
    done = user.pushsafe(engine.host, "-q", *references)
    assert done.status == 0, done.stdout + done.stderr


def pushed(
    user: User, engine: LabEngine, repository: str, platforms: Sequence[str] = BOTH, layer: bytes = b""
) -> list[str]:
    """A tag for each platform, in the registry."""
    tags = [load(engine, one, f"{repository}:{one.replace('/', '-')}", layer) for one in platforms]
    push(user, engine, *tags)
    subprocess.run(["docker", "rmi", "-f", *tags], env=user.environ(engine.host), check=True, capture_output=True)
    return tags


def index(user: User, host: str, *words: str) -> Run:
    return user.pushsafe(host, "index", "--format", "json", *words)


def outcomes(done: Run) -> dict[str, str]:
    return {result["reference"]: result["outcome"] for result in done.results}


# ---------------------------------------------------------------------- what distribution has on its disk


def tags_on_disk(registry: LabRegistry, repository: str) -> dict[str, str]:
    """The digests that tags name."""
    folder = registry.repositories / repository.partition("/")[2]
    links = folder.glob("_manifests/tags/*/current/link")
    return {link.parent.parent.name: link.read_text() for link in links}


def document(registry: LabRegistry, digest: str) -> dict[str, Any]:
    algorithm, _, digits = digest.partition(":")
    file = registry.repositories.parent / "blobs" / algorithm / digits[:2] / digits / "data"
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def on_disk(registry: LabRegistry, reference: str) -> dict[str, Any]:
    """The index that a tag names; every child and every blob of one is in the repository."""
    repository, _, tag = reference.rpartition(":")
    folder = registry.repositories / repository.partition("/")[2]
    found = document(registry, tags_on_disk(registry, repository)[tag])
    for child in found["manifests"]:
        assert (folder / "_manifests/revisions" / child["digest"].replace(":", "/")).is_dir()
        manifest = document(registry, child["digest"])
        for blob in (manifest["config"], *manifest["layers"]):
            assert (folder / "_layers" / blob["digest"].replace(":", "/")).is_dir()
    assert list(folder.glob("_uploads/*/startedat")) == []  # no upload is unfinished
    return found


def platforms_of(found: dict[str, Any]) -> list[str]:
    named = [entry["platform"] for entry in found["manifests"]]
    return ["/".join(filter(None, (one["os"], one["architecture"], one.get("variant")))) for one in named]


# ---------------------------------------------------------------------- from this engine


def test_two_images_of_the_engine(user: User, engine: LabEngine, registry: LabRegistry) -> None:
    """One has a name of its own, the other one of the repository; the second time all of it is there."""
    user.log_in_to(registry)
    repository = new(registry)
    targets = [f"{repository}:1.4.2", f"{repository}:latest"]
    sources = [load(engine, "linux/amd64"), load(engine, "linux/arm64", f"{repository}:arm64")]
    words = [*(word for target in targets for word in ("-t", target)), *sources]
    done = index(user, engine.host, *words)
    assert done.status == 0, done.stdout + done.stderr
    staging = [f"{repository}:1.4.2-linux-amd64", f"{repository}:arm64"]
    assert outcomes(done) == {**dict.fromkeys(targets, "tagged"), **dict.fromkeys(staging, "pushed")}
    assert {result["verification"] for result in done.results} == {"verified"}
    assert [result["platforms"] for result in done.results[:2]] == [BOTH, BOTH]
    for target in targets:
        found = on_disk(registry, target)
        assert platforms_of(found) == BOTH
        types = {child["mediaType"] for child in found["manifests"]}
        assert found["mediaType"] == (DOCKER_LIST if types == {DOCKER_MANIFEST} else OCI_INDEX)
    # The engine has none of the names that were lent to it.
    left = user.run(engine.host, "images", "-q", f"{repository}:1.4.2-linux-amd64")
    assert (left.status, left.stdout) == (0, "")

    before = tags_on_disk(registry, repository)
    again = index(user, engine.host, *words)
    assert again.status == 0, again.stdout + again.stderr
    assert outcomes(again) == dict.fromkeys(targets, "already-there")
    assert again.codes == []
    assert tags_on_disk(registry, repository) == before


def test_variants_of_one_architecture(user: User, engine: LabEngine, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    target = f"{new(registry)}:1"
    wanted = ["linux/arm/v6", "linux/arm/v7", "linux/amd64"]
    done = index(user, engine.host, "-t", target, *(load(engine, one) for one in wanted))
    assert done.status == 0, done.stdout + done.stderr
    assert done.results[0]["platforms"] == wanted
    assert platforms_of(on_disk(registry, target)) == wanted
    assert set(tags_on_disk(registry, target.rpartition(":")[0])) == {
        "1",
        "1-linux-arm-v6",
        "1-linux-arm-v7",
        "1-linux-amd64",
    }


def test_attestations_are_kept(user: User, the_lab: Lab) -> None:
    """Of two images that buildx made, each with provenance, and then of the index in another repository."""
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["token"]
    user.log_in_to(registry)
    targets = [f"{new(registry)}:1", f"{new(registry)}:1"]
    sources = [f"attested-{uuid.uuid4().hex[:8]}:{name}" for name in ("a", "b")]
    for source, platform in zip(sources, BOTH, strict=True):
        lab.build_index(engine, source, (platform,), content=uuid.uuid4().bytes, attestation=True)
    for target, given in ((targets[0], sources), (targets[1], targets[:1])):
        done = index(user, engine.host, "-t", target, *given)
        assert done.status == 0, done.stdout + done.stderr
        assert done.results[0]["platforms"] == BOTH
        found = on_disk(registry, target)
        assert found["mediaType"] == OCI_INDEX
        first, its, second, others = found["manifests"]
        assert platforms_of(found) == ["linux/amd64", "unknown/unknown", "linux/arm64", "unknown/unknown"]
        assert [its["annotations"][ATTESTS], others["annotations"][ATTESTS]] == [first["digest"], second["digest"]]
    assert len(set(tags_on_disk(registry, targets[0].rpartition(":")[0]).values()) & {done.results[0]["digest"]}) == 1
    shown = user.run(engine.host, "pull", "-q", "--platform", "linux/arm64", targets[1])
    assert shown.status == 0, shown.stderr


@pytest.mark.parametrize(
    ("kinds", "media_type"),
    [(("docker", "docker"), DOCKER_LIST), (("oci", "oci"), OCI_INDEX), (("docker", "oci"), OCI_INDEX)],
    ids=["docker", "oci", "mixed"],
)
def test_the_index_is_of_the_types_of_its_children(
    user: User, the_lab: Lab, kinds: tuple[str, str], media_type: str
) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    repository = new(registry)
    sources = [f"{repository}:{name}" for name in ("amd64", "arm64")]
    for kind, source, platform in zip(kinds, sources, BOTH, strict=True):
        # buildx writes OCI types where it adds provenance.
        lab.build_index(engine, source, (platform,), content=uuid.uuid4().bytes, attestation=kind == "oci")
        push(user, engine, source)
    done = index(user, NO_ENGINE, "-t", f"{repository}:1", *sources)
    assert done.status == 0, done.stdout + done.stderr
    found = on_disk(registry, f"{repository}:1")
    assert found["mediaType"] == media_type
    assert [one for one in platforms_of(found) if one != "unknown/unknown"] == BOTH


# ---------------------------------------------------------------------- from registries


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_two_tags_of_the_repository_and_no_engine(user: User, the_lab: Lab, registry: LabRegistry, name: str) -> None:
    user.log_in_to(registry)
    repository = new(registry)
    sources = pushed(user, the_lab.engines[name], repository)
    targets = [f"{repository}:1", f"{repository}:latest"]
    words = ["-t", targets[0], "-t", targets[1], *sources]
    done = index(user, NO_ENGINE, *words)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done) == dict.fromkeys(targets, "tagged")
    assert [result["layers"] for result in done.results] == [None, None]  # all of it was there
    assert platforms_of(on_disk(registry, targets[0])) == BOTH
    assert outcomes(index(user, NO_ENGINE, *words)) == dict.fromkeys(targets, "already-there")


def test_the_layers_of_another_repository_are_mounted(user: User, the_lab: Lab, registry: LabRegistry) -> None:
    """At the token registry that takes a token for both repositories."""
    user.log_in_to(registry)
    sources = pushed(user, the_lab.engines["classic-new"], new(registry), layer=uuid.uuid4().bytes * 1000)
    target = f"{new(registry)}:1"
    done = index(user, NO_ENGINE, "-t", target, *sources)
    assert done.status == 0, done.stdout + done.stderr
    # One that both share, and one of each.
    assert done.results[0]["layers"] == {"reused": 0, "mounted": 3, "sent": 0, "bytes_sent": 0}
    assert platforms_of(on_disk(registry, target)) == BOTH


def test_what_is_at_another_registry_is_copied(user: User, the_lab: Lab, registry: LabRegistry) -> None:
    source = the_lab.registries["token" if registry.name != "token" else "basic-roles"]
    user.log_in_to(source, registry)
    large = bytes(range(256)) * 4 * 1024 * 6 + uuid.uuid4().bytes  # more than an answer may have
    sources = pushed(user, the_lab.engines["containerd-new"], new(source), layer=large)
    repository = new(registry)
    targets = [f"{repository}:1", f"{repository}:2"]
    done = index(user, NO_ENGINE, "-t", targets[0], "-t", targets[1], *sources)
    assert done.status == 0, done.stdout + done.stderr
    layers = done.results[0]["layers"]
    assert (layers["sent"], layers["mounted"], done.results[1]["layers"]) == (3, 0, None)
    for target in targets:
        assert platforms_of(on_disk(registry, target)) == BOTH
    pulled = user.run(the_lab.engines["classic-new"].host, "pull", "-q", "--platform", "linux/arm64", targets[0])
    assert pulled.status == 0, pulled.stderr


def test_an_image_of_the_engine_and_one_of_another_registry(user: User, the_lab: Lab, engine: LabEngine) -> None:
    """Under tags of two registries: what the engine has goes there once, and on from there."""
    one, other = the_lab.registries["open"], the_lab.registries["htpasswd"]
    user.log_in_to(one, other)
    remote = pushed(user, engine, new(other), ["linux/arm64"])
    targets = [f"{new(one)}:1", f"{new(other)}:1"]
    done = index(user, engine.host, "-t", targets[0], "-t", targets[1], load(engine, "linux/amd64"), *remote)
    assert done.status == 0, done.stdout + done.stderr
    assert [outcomes(done)[target] for target in targets] == ["tagged", "tagged"]
    assert list(outcomes(done).values()).count("pushed") == 1
    for registry, target in zip((one, other), targets, strict=True):
        assert platforms_of(on_disk(registry, target)) == BOTH


def test_by_digest(user: User, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    repository = new(registry)
    sources = pushed(user, the_lab.engines["classic-new"], repository)
    digests = tags_on_disk(registry, repository)
    named = [f"{repository}@{digests[source.rpartition(':')[2]]}" for source in sources]
    done = index(user, NO_ENGINE, "-t", f"{repository}:1", *named)
    assert done.status == 0, done.stdout + done.stderr
    assert platforms_of(on_disk(registry, f"{repository}:1")) == BOTH


# ---------------------------------------------------------------------- what is refused, before anything is written


def test_two_images_of_one_platform(user: User, engine: LabEngine, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    repository = new(registry)
    sources = [load(engine, "linux/amd64"), load(engine, "linux/arm64"), load(engine, "linux/amd64")]
    done = index(user, engine.host, "-t", f"{repository}:1", *sources)
    assert done.status == 2
    said = done.report["errors"][0]["message"]
    assert said.startswith(f"{sources[0]} and {sources[2]} are both for linux/amd64")
    assert tags_on_disk(registry, repository) == {}


@pytest.mark.parametrize("name", ["token", "basic-roles"])
@pytest.mark.parametrize("where", ["engine", "registry"])
def test_a_reader_and_nobody(user: User, the_lab: Lab, name: str, where: str) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries[name]
    user.log_in_to(registry)
    sources = pushed(user, engine, new(registry)) if where == "registry" else [load(engine, one) for one in BOTH]
    repository = new(registry)
    for account, status, kind in (("reader", 5, "insufficient-permission"), ("nobody", 4, "no-authentication")):
        user.log_in_to(registry, account=account)
        done = index(user, engine.host, "-t", f"{repository}:1", *sources)
        assert done.status == status, done.stdout + done.stderr
        assert {result["outcome"] for result in done.results} == {"denied"}
        assert done.results[0]["denial"]["kind"] == kind
        assert done.results[0]["denial"]["stage"] == "probe"
        assert done.results[0]["denial"]["next"][0].startswith(f"docker login {registry.host}")
        assert tags_on_disk(registry, repository) == {}
        assert not any(password in done.stdout + done.stderr for password in registry.users.values())


def test_the_tags_are_linted(user: User, the_lab: Lab) -> None:
    engine = the_lab.engines["classic-new"]
    done = index(user, engine.host, "-t", "my-api:1.4.2", load(engine, "linux/amd64"), load(engine, "linux/arm64"))
    assert (done.status, done.codes) == (1, ["PS101"])


def test_a_tag_that_would_lose_a_platform(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    repository = new(registry)
    sources = pushed(user, engine, repository)
    assert index(user, engine.host, "-t", f"{repository}:1", *sources).status == 0
    before = tags_on_disk(registry, repository)
    done = index(user, engine.host, "-t", f"{repository}:1", sources[0])
    assert (done.status, "PS205" in done.codes) == (1, True), done.stdout
    assert tags_on_disk(registry, repository) == before
    allowed = index(user, engine.host, "--allow", "PS205", "-t", f"{repository}:1", sources[0])
    assert allowed.status == 0
    assert allowed.results[0]["platforms"] == ["linux/amd64"]


def test_an_index_that_is_not_whole(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    repository = new(registry)
    source = f"part-{uuid.uuid4().hex[:8]}:1"
    lab.build_index(engine, source, ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    lab.drop_platform(engine, source, "linux/arm64")
    done = index(user, engine.host, "-t", f"{repository}:1", source)
    assert (done.status, "PS204" in done.codes) == (1, True), done.stdout
    assert tags_on_disk(registry, repository) == {}


def test_a_name_of_two_images(user: User, the_lab: Lab, engine: LabEngine) -> None:
    """The engine's and the registry's differ: the user says which is meant."""
    registry = the_lab.registries["open"]
    repository = new(registry)
    name = load(engine, "linux/amd64", f"{repository}:amd64")
    push(user, engine, name)
    theirs = tags_on_disk(registry, repository)["amd64"]
    load(engine, "linux/amd64", name)
    done = index(user, engine.host, "-t", f"{repository}:1", name)
    assert done.status == 2
    assert f"docker-daemon:{name}, or docker://{name}" in done.report["errors"][0]["hint"]
    assert set(tags_on_disk(registry, repository)) == {"amd64"}
    remote = index(user, engine.host, "-t", f"{repository}:1", f"docker://{name}")
    assert remote.status == 0, remote.stdout
    assert on_disk(registry, f"{repository}:1")["manifests"][0]["digest"] == theirs
    local = index(user, engine.host, "-t", f"{repository}:2", f"docker-daemon:{name}")
    assert local.status == 0, local.stdout
    assert on_disk(registry, f"{repository}:2")["manifests"][0]["digest"] != theirs
    # What the registry had under that name is there still.
    assert tags_on_disk(registry, repository)["amd64"] == theirs
    assert set(tags_on_disk(registry, repository)) == {"amd64", "1", "2", "2-linux-amd64"}


def test_what_nobody_has(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    repository = new(registry)
    load(engine, "linux/amd64", "my-api-near:amd64")
    missing = index(user, engine.host, "-t", f"{repository}:1", "my-api-near:amd65")
    assert missing.status == 2
    assert "the engine has my-api-near:amd64" in missing.report["errors"][0]["message"]
    nowhere = index(user, engine.host, "-t", f"{repository}:1", f"{repository}:amd64")
    assert nowhere.status == 2
    assert f"{registry.host} does not hold it" in nowhere.report["errors"][0]["message"]
    alone = index(user, NO_ENGINE, "-t", f"{repository}:1", "my-api-near:amd64")
    assert alone.status == 3
    assert "so that my-api-near:amd64 cannot be found" in alone.report["errors"][0]["message"]


def test_a_dry_run_shows_the_plan(user: User, engine: LabEngine, the_lab: Lab) -> None:
    registry = the_lab.registries["open"]
    repository = new(registry)
    sources = [load(engine, one) for one in BOTH]
    done = user.pushsafe(engine.host, "index", "--dry-run", "-t", f"{repository}:1", *sources)
    assert done.status == 0, done.stdout + done.stderr
    path = repository.partition("/")[2]
    assert f"tag   {path}:1  " in done.stdout
    assert "the index, put directly" in done.stdout
    assert tags_on_disk(registry, repository) == {}
    assert user.run(engine.host, "images", "-q", repository).stdout == ""
