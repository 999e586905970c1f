"""Many tags in one run of the installed plugin, on real engines: how each gets there, and what a failure leaves."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pushsafe.push.engine_pusher import PAUSE
from tests import lab
from tests.fakes.latency import Latency
from tests.fakes.registry import Answer, FakeRegistry, Request, Rule, guarded, jwt, on, ping, wants_basic, wants_bearer
from tests.fakes.storing import Storing
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import User

ENGINES = ("classic-20", "classic-new", "containerd-new")
OURS = "docker-pushsafe/"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


def load(engine: LabEngine, *references: str, layers: Sequence[bytes] = (b"one", b"two")) -> None:
    """An image that no registry has seen, under every reference."""
    lab.load_image(engine, references[0], layers=[*layers, uuid.uuid4().bytes])
    script = "".join(f"docker tag {references[0]} {name}\n" for name in references[1:])
    subprocess.run(["sh", "-ec", script], env=plain(engine), check=True, capture_output=True)


def plain(engine: LabEngine) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "DOCKER_HOST": engine.host}


def new(host: str, *tags: str) -> list[str]:
    name = f"{host}/team/tags-{uuid.uuid4().hex[:8]}"
    return [f"{name}:{tag}" for tag in tags]


def as_writer(user: User, registry: LabRegistry) -> None:
    user.log_in({registry.host: ("writer", registry.users["writer"])} if registry.users else {})


def tags_on_disk(registry: LabRegistry, reference: str) -> dict[str, str]:
    """The tags of a repository, and the digests that they name, as distribution has them on its disk."""
    name = reference.partition("/")[2].rpartition(":")[0]
    found = {}
    for link in (registry.repositories / name).glob("_manifests/tags/*/current/link"):
        found[link.parent.parent.name] = link.read_text()
    return found


def outcomes(report: dict[str, object]) -> list[str]:
    results = report["results"]
    assert isinstance(results, list)
    return [result["outcome"] for result in results]


# ---------------------------------------------------------------------- the content once


@pytest.mark.parametrize("name", ["open", "htpasswd", "token", "basic-roles"])
def test_twelve_tags_are_one_push(user: User, the_lab: Lab, engine: LabEngine, name: str) -> None:
    registry = the_lab.registries[name]
    as_writer(user, registry)
    listed = new(registry.host, "latest", *(f"1.{number}" for number in range(11)))
    load(engine, *listed)
    done = user.push_json(engine.host, *listed)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["tagged", "pushed", *["tagged"] * 10]
    digest = done.results[0]["digest"]
    assert tags_on_disk(registry, listed[0]) == {reference.rpartition(":")[2]: digest for reference in listed}
    assert done.report["summary"]["tagged"] == 11
    assert done.report["summary"]["layers"] == done.results[1]["layers"]

    again = user.push_json(engine.host, *listed)
    assert set(outcomes(again.report)) == {"already-there"}
    assert "push" not in again.report["timings"]


@pytest.mark.parametrize("attestation", [False, True], ids=["plain", "with-attestations"])
def test_the_tags_of_an_index_name_the_whole_index(user: User, the_lab: Lab, attestation: bool) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    listed = new(registry.host, "1", "2", "latest")
    content = uuid.uuid4().bytes
    for reference in listed:  # the builder's output is the same index each time
        lab.build_index(engine, reference, ("linux/amd64", "linux/arm64"), content=content, attestation=attestation)
    if attestation:  # which holds the time of its making
        for reference in listed[1:]:
            subprocess.run(["docker", "tag", listed[0], reference], env=plain(engine), check=True)
    done = user.push_json(engine.host, *listed)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["pushed", "tagged", "tagged"]
    assert {tuple(result["platforms"]) for result in done.results} == {("linux/amd64", "linux/arm64")}
    assert set(tags_on_disk(registry, listed[0]).values()) == {done.results[0]["digest"]}


def test_one_platform_under_several_tags(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["containerd-new"], the_lab.registries["open"]
    listed = new(registry.host, "1", "2")
    lab.build_index(engine, listed[0], ("linux/amd64", "linux/arm64"), content=uuid.uuid4().bytes)
    subprocess.run(["docker", "tag", *listed], env=plain(engine), check=True)
    for expected in (["pushed", "tagged"], ["already-there", "already-there"]):
        done = user.push_json(engine.host, "--platform", "linux/arm64", *listed)
        assert done.status == 0, done.stdout + done.stderr
        assert outcomes(done.report) == expected
        assert {tuple(result["platforms"]) for result in done.results} == {("linux/arm64",)}


def test_a_second_repository_has_its_layers_mounted(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = the_lab.registries["token"]
    as_writer(user, registry)
    listed = [*new(registry.host, "1", "2"), *new(registry.host, "1", "2")]
    load(engine, *listed, layers=(uuid.uuid4().bytes, uuid.uuid4().bytes))  # held by no other repository
    done = user.push_json(engine.host, *listed)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["pushed", "tagged", "pushed", "tagged"]
    assert done.results[2]["layers"]["mounted"] >= 1
    assert done.results[2]["layers"]["sent"] == 0


def test_images_that_differ_are_each_pushed(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = the_lab.registries["open"]
    listed = new(registry.host, "a", "b", "a2", "b2")
    load(engine, listed[0], listed[2])
    load(engine, listed[1], listed[3])
    done = user.push_json(engine.host, "--allow", "PS202", *listed)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["pushed", "pushed", "tagged", "tagged"]
    held = tags_on_disk(registry, listed[0])
    assert held["a"] == held["a2"] != held["b"] == held["b2"]


# ---------------------------------------------------------------------- the plan, and no push


def test_a_dry_run_shows_the_plan_and_pushes_nothing(user: User, the_lab: Lab, engine: LabEngine) -> None:
    registry = the_lab.registries["open"]
    listed = new(registry.host, "1", "2", "latest")
    load(engine, *listed)
    done = user.push_json(engine.host, "--dry-run", *listed)
    assert (done.status, set(outcomes(done.report))) == (0, {"ready"}), done.stdout + done.stderr
    steps = [(step["reference"], step["how"], step["source"], step["last"]) for step in done.report["plan"]]
    assert steps == [
        (listed[0], "pushed", None, False),
        (listed[1], "tagged", listed[0], False),
        (listed[2], "tagged", listed[0], True),
    ]
    assert tags_on_disk(registry, listed[0]) == {}

    human = user.pushsafe(engine.host, "--dry-run", *listed)
    assert human.status == 0
    assert "the plan:" in human.stdout
    assert "last, and only when all of that is in place:" in human.stdout

    assert user.push_json(engine.host, listed[1]).status == 0
    planned = {
        step["reference"]: step["how"] for step in user.push_json(engine.host, "--dry-run", *listed).report["plan"]
    }
    assert planned[listed[1]] == "already-there"
    assert planned[listed[0]] == "tagged"


@pytest.mark.parametrize("words", [["--quiet"], ["--digest-file", "digests"]])
def test_a_dry_run_has_nothing_to_say_to_some_options(user: User, tmp_path: Path, words: list[str]) -> None:
    done = user.pushsafe("unix:///nowhere", "--dry-run", *words, "registry.example.com/myorg/my-api:1")
    assert done.status == 2
    assert "--dry-run" in done.stderr
    assert not (tmp_path / "digests").exists()


def test_timings(user: User, the_lab: Lab) -> None:
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    listed = new(registry.host, "1", "2")
    load(engine, *listed)
    done = user.pushsafe(engine.host, "--timings", *listed)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("time: gather ")
    assert all(f"{phase} " in last for phase in ("push", "tag", "verify", "total"))


# ---------------------------------------------------------------------- what it costs


def bearer(store: Storing) -> list[Rule]:
    token = jwt("team/app", "pull", "push")
    behind = guarded(wants_bearer(token), ping(), store.rules())
    return [*behind, on("GET|POST", "/token", Answer(200, {"token": token, "access_token": token, "expires_in": 300}))]


COSTS: dict[str, Callable[[Storing], list[Rule]]] = {
    "open": lambda store: [ping(), *store.rules()],
    "Basic": lambda store: guarded(wants_basic(), ping(), store.rules()),
    "Bearer": bearer,
}
"""Registries by what they ask for."""


@pytest.mark.parametrize("name", COSTS)
def test_one_tag_takes_eight_round_trips_more_than_docker_push(user: User, the_lab: Lab, name: str) -> None:
    """Each request of ours, one after the other, and each connection that is opened for one."""
    engine = the_lab.engines["containerd-new"]
    with FakeRegistry(COSTS[name](Storing())) as registry:
        user.log_in({registry.host: ("ada", "hunter2!")} if name != "open" else {})
        reference = f"{registry.host}/team/app:1"
        load(engine, reference)
        done = user.push_json(engine.host, reference)
        assert done.status == 0, done.stdout + done.stderr
        ours = [one for one in registry.requests if one.headers.get("user-agent", "").startswith(OURS)]
    assert len(ours) + len({one.connection for one in ours}) <= 8, [f"{one} {one.connection}" for one in ours]
    # What is beside the push is waited for by nobody.
    assert [str(one).partition(" ")[0] for one in ours].count("DELETE") == 1


# ---------------------------------------------------------------------- where the direct way is closed


def test_the_engine_pushes_what_a_registry_lets_nobody_put_directly(
    user: User, the_lab: Lab, engine: LabEngine
) -> None:
    store = Storing()

    def refuse(request: Request) -> Answer:
        ours = request.headers.get("user-agent", "").startswith(OURS)
        return Answer(403, {"errors": [{"code": "DENIED", "message": "not you"}]}) if ours else store.answer(request)

    with FakeRegistry(ping(), on("PUT", r"/v2/.+/manifests/[^/]+", refuse), store.rules()) as registry:
        listed = [f"{registry.host}/team/app:{tag}" for tag in ("1", "2", "latest")]
        load(engine, *listed)
        done = user.push_json(engine.host, *listed)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["pushed", "pushed", "pushed"]
    assert [result["why"] for result in done.results] == [
        "",
        *["the registry answers 403; DENIED; not you to the manifest"] * 2,
    ]


# ---------------------------------------------------------------------- once more

BUSY = Answer(503, "busy")
DROP = Answer(drop=True)


@pytest.mark.parametrize("answer", [BUSY, Answer(429, "slow down"), DROP], ids=["503", "429", "dropped"])
def test_a_push_that_met_a_busy_registry_is_made_again(
    user: User, the_lab: Lab, engine: LabEngine, answer: Answer
) -> None:
    store, met = Storing(), list[float]()

    def trouble(request: Request) -> Answer:
        """It passes in the pause before the next push: the containerd store tries again at once, several times."""
        now = time.monotonic()
        if met and now - met[-1] > PAUSE * 0.9:
            return store.answer(request)
        met.append(now)
        return answer

    with FakeRegistry(ping(), on("PUT", r"/v2/.+/manifests/1", trouble), store.rules()) as registry:
        reference = f"{registry.host}/team/app:1"
        load(engine, reference)
        done = user.push_json(engine.host, reference)
    assert done.status == 0, done.stdout + done.stderr
    assert outcomes(done.report) == ["pushed"]
    assert done.stderr.startswith("waiting ")
    assert met


@pytest.mark.parametrize(
    "answer", [BUSY, Answer(429, "slow down").having(Retry_After="1"), DROP], ids=["503", "429", "dropped"]
)
def test_a_tag_that_met_a_busy_registry_is_put_again(user: User, the_lab: Lab, answer: Answer) -> None:
    engine, store = the_lab.engines["classic-new"], Storing()
    rules = [on("PUT", r"/v2/.+/manifests/2", answer, times=2), *store.rules()]
    with FakeRegistry(ping(), rules) as registry:
        listed = [f"{registry.host}/team/app:{tag}" for tag in ("1", "2")]
        load(engine, *listed)
        done = user.pushsafe(engine.host, *listed)
        puts = registry.find("PUT", ".*/manifests/2")
    assert done.status == 0, done.stdout + done.stderr
    assert f"✓ {listed[1]} tagged and verified" in done.stdout
    assert len(puts) == 3
    assert "waiting " in done.stderr
    assert ("answers 429 (too many requests)" in done.stderr) is (answer.status == 429)


def test_no_retries(user: User, the_lab: Lab) -> None:
    engine, store = the_lab.engines["classic-new"], Storing()
    with FakeRegistry(ping(), [on("PUT", r"/v2/.+/manifests/1", BUSY, times=1), *store.rules()]) as registry:
        reference = f"{registry.host}/team/app:1"
        load(engine, reference)
        done = user.push_json(engine.host, "--retries", "0", reference)
    assert (done.status, outcomes(done.report)) == (7, ["failed"])
    assert done.results[0]["failure"]["kind"] == "registry-error"


# ---------------------------------------------------------------------- a registry that dies in the middle


@contextmanager
def mortal(registry: LabRegistry, until: Callable[[], bool]) -> Iterator[str]:
    """A way to a registry that closes for ever, with every connection, as soon as something is so; the host of it."""
    proxy, over = Latency(int(registry.host.rpartition(":")[2]), 0.004), threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            if until():
                proxy.__exit__(None, None, None)
                return

    proxy.__enter__()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield f"127.0.0.1:{proxy.port}"
    finally:
        over.set()
        watching.join()


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
@pytest.mark.parametrize("dies_at", [1, 12], ids=["at-once", "in-the-second"])
def test_a_hundred_tags_of_which_one_registry_dies(user: User, the_lab: Lab, name: str, dies_at: int) -> None:
    """Ten repositories at two registries, `latest` among the tags of each."""
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    run = uuid.uuid4().hex[:8]
    names = {side: [f"team/{side}-{run}-{number}" for number in range(5)] for side in ("mortal", "alive")}
    tags = [*(f"t{number}" for number in range(9)), "latest"]

    def on_disk(repositories: Sequence[str]) -> dict[str, str]:
        return {
            f"{repository}:{tag}": digest
            for repository in repositories
            for tag, digest in tags_on_disk(registry, f"{registry.host}/{repository}:x").items()
        }

    # What `latest` names before: another image.
    old = f"{registry.host}/{names['alive'][0]}:latest"
    load(engine, old, layers=(b"old",))
    assert user.push_json(engine.host, old).status == 0
    before = on_disk(names["alive"])

    with mortal(registry, lambda: len(on_disk(names["mortal"])) >= dies_at) as host:
        hosts = {"mortal": host, "alive": registry.host}
        listed = [f"{hosts[side]}/{repository}:{tag}" for side in hosts for repository in names[side] for tag in tags]
        assert len(listed) == 100
        load(engine, *listed)
        started = time.monotonic()
        done = user.push_json(engine.host, *listed)
        took = time.monotonic() - started

    assert done.status == 3, done.stdout[-2000:] + done.stderr[-2000:]
    results = {result["reference"]: result for result in done.results}
    assert list(results) == listed
    held = {side: on_disk(repositories) for side, repositories in names.items()}
    for reference, result in results.items():
        host, _, path = reference.partition("/")
        side = "mortal" if host == hosts["mortal"] else "alive"
        if reference.endswith(":latest"):
            assert result["outcome"] == "not-pushed", result
            assert "every other tag is in place" in result["why"]
            continue
        if side == "alive":
            assert (result["outcome"], result["verification"]) in (("pushed", "verified"), ("tagged", "verified"))
        if result["verification"] == "verified":
            assert held[side][path] == result["digest"]
        else:
            assert side == "mortal"
            # What was put, and not read back any more, may be there; what never got there fails for the network.
            assert result["outcome"] in ("pushed", "tagged") or result["failure"]["kind"] == "network", result
    assert {key: value for key, value in held["alive"].items() if key.endswith(":latest")} == before
    assert not any(key.endswith(":latest") for key in held["mortal"])
    lost = [result for result in results.values() if result["outcome"] == "failed"]
    assert lost
    assert took < 150  # no tag waits out a time limit of its own
