"""`explain-error`, `diagnose` and `lint` of the installed plugin, beside what real engines and registries say."""

from __future__ import annotations

import json
import uuid

import pytest

from tests import lab
from tests.fakes.registry import FakeRegistry
from tests.lab import Lab, LabEngine, LabRegistry
from tests.lab.plugin import User

ENGINES = ("classic-20", "classic-new", "containerd-new", "isolated-classic", "isolated-containerd")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


def registry_of(the_lab: Lab, engine: LabEngine, name: str) -> LabRegistry:
    return the_lab.registries[f"isolated-{name}" if engine.isolated else name]


def new(engine: LabEngine, host: str) -> str:
    reference = f"{host}/team/commands-{uuid.uuid4().hex[:8]}:1"
    lab.load_image(engine, reference, layers=[uuid.uuid4().bytes])
    return reference


def log_in(user: User, registry: LabRegistry, who: str) -> None:
    password = registry.users.get(who, "not-the-password-of-writer")
    user.log_in({} if who == "nobody" else {registry.host: ("writer" if who == "wrong" else who, password)})


# ---------------------------------------------------------------------- explain-error

UNCLEAR = "unclear"
EXPLAINED = [
    # registry, who, the causes that a text may have for it: each engine has words of its own
    ("token", "nobody", {"no-authentication", UNCLEAR}),
    ("token", "reader", {"insufficient-permission", UNCLEAR}),
    ("token", "wrong", {"invalid-authentication"}),
    ("htpasswd", "nobody", {"no-authentication"}),
    ("htpasswd", "wrong", {"invalid-authentication", UNCLEAR}),
    ("basic-roles", "reader", {"insufficient-permission", UNCLEAR}),
]


@pytest.mark.parametrize(("name", "who", "causes"), EXPLAINED, ids=[f"{case[0]}-{case[1]}" for case in EXPLAINED])
def test_what_docker_push_says_is_explained(
    user: User, the_lab: Lab, engine: LabEngine, name: str, who: str, causes: set[str]
) -> None:
    registry = registry_of(the_lab, engine, name)
    log_in(user, registry, who)
    reference = new(engine, registry.host)
    pushed = user.run(engine.host, "push", reference)
    assert pushed.status != 0
    words = pushed.stdout + pushed.stderr
    done = user.pushsafe(engine.host, "explain-error", "--format", "json", "-", stdin=words)
    told = json.loads(done.stdout)
    assert (done.status, told["cause"] in causes) == (0, True), (told, words)
    assert told["repository"] in ("", reference.rpartition(":")[0])
    assert told["next"]
    if told["cause"] == UNCLEAR:
        assert told["next"][0].startswith("docker pushsafe diagnose")
    assert user.pushsafe(engine.host, "explain-error", "-", stdin=words).stdout.startswith(told["cause"])


def test_a_closed_port_is_explained(user: User, engine: LabEngine) -> None:
    reference = new(engine, f"127.0.0.1:{lab.closed_port()}")
    pushed = user.run(engine.host, "push", reference)
    words = pushed.stdout + pushed.stderr
    done = user.pushsafe(engine.host, "explain-error", "--format", "json", "-", stdin=words)
    assert (pushed.status, done.status, json.loads(done.stdout)["cause"]) == (1, 0, "network"), words


def test_a_push_that_succeeded_is_no_error(user: User, the_lab: Lab, engine: LabEngine) -> None:
    reference = new(engine, registry_of(the_lab, engine, "open").host)
    pushed = user.run(engine.host, "push", reference)
    done = user.pushsafe(engine.host, "explain-error", "--format", "json", "-", stdin=pushed.stdout + pushed.stderr)
    told = json.loads(done.stdout)
    assert (pushed.status, told["cause"], told["next"]) == (0, UNCLEAR, [])
    assert "success" in told["summary"]


# ---------------------------------------------------------------------- diagnose

DIAGNOSED = [
    # registry, who, exit code
    ("open", "nobody", 0),
    ("htpasswd", "writer", 0),
    ("token", "writer", 0),
    ("basic-roles", "writer", 0),
    ("htpasswd", "nobody", 4),
    ("htpasswd", "wrong", 4),
    ("token", "nobody", 4),
    ("token", "wrong", 4),
    ("token", "reader", 5),
    ("basic-roles", "nobody", 4),
    ("basic-roles", "wrong", 4),
    ("basic-roles", "reader", 5),
]
STEPS = ["reference", "engine", "image", "credential", "registry"]


@pytest.mark.parametrize("engine_name", ["classic-20", "classic-new", "containerd-new"])
@pytest.mark.parametrize(("name", "who", "status"), DIAGNOSED, ids=[f"{case[0]}-{case[1]}" for case in DIAGNOSED])
def test_diagnose(user: User, the_lab: Lab, engine_name: str, name: str, who: str, status: int) -> None:
    engine, registry = the_lab.engines[engine_name], the_lab.registries[name]
    log_in(user, registry, who)
    reference = new(engine, registry.host)
    done = user.pushsafe(engine.host, "diagnose", "--format", "json", reference)
    told = json.loads(done.stdout)
    steps = {step["name"]: step["status"] for step in told["steps"]}
    assert (done.status, told["exit_code"]) == (status, status), done.stdout + done.stderr
    assert [step["name"] for step in told["steps"]][:5] == STEPS
    assert {steps[step] for step in STEPS if step != "credential"} == {"ok"}
    if status:
        assert "failed" in steps.values()
        assert told["denial"]["next"]
    else:
        assert (told["denial"], told["failure"], steps["push probe"]) == (None, None, "ok")
        assert {*steps.values()} <= {"ok", "skipped"}
    assert user.push_json(engine.host, reference).status == status
    assert not any(password in done.stdout + done.stderr for password in registry.users.values())


@pytest.mark.parametrize(("who", "status", "state"), [("wrong", 4, "failed"), ("writer", 0, "ok")])
def test_diagnose_through_the_engine(user: User, the_lab: Lab, who: str, status: int, state: str) -> None:
    engine, registry = the_lab.engines["isolated-containerd"], the_lab.registries["isolated-token"]
    log_in(user, registry, who)
    reference = new(engine, registry.host)
    done = user.pushsafe(engine.host, "diagnose", "--format", "json", reference)
    steps = {step["name"]: step["status"] for step in json.loads(done.stdout)["steps"]}
    assert done.status == status, done.stdout + done.stderr
    assert (steps["registry"], steps["login (engine)"], steps["push probe"]) == ("unknown", state, "skipped")


def test_diagnose_without_an_engine(user: User, the_lab: Lab) -> None:
    done = user.pushsafe(
        "unix:///nowhere/docker.sock", "diagnose", f"{the_lab.registries['open'].host}/team/diagnosed:1"
    )
    assert done.status == 3
    assert any(line.startswith("✗ engine") for line in done.stdout.splitlines())
    assert any(line.startswith("✓ push probe") for line in done.stdout.splitlines())


# ---------------------------------------------------------------------- lint


def test_lint_offline_asks_no_registry(user: User, the_lab: Lab) -> None:
    engine = the_lab.engines["classic-new"]
    with FakeRegistry() as registry:  # whose every request would be a surprise
        reference = new(engine, registry.host)
        done = user.pushsafe(engine.host, "lint", "--offline", "--format", "json", reference)
        missing = user.pushsafe(engine.host, "lint", "--offline", "--format", "json", f"{reference}.2")
        assert registry.seen() == []
    assert (done.status, done.codes, done.results[0]["outcome"]) == (0, [], "ready")
    assert (missing.status, missing.codes) == (1, ["PS201"])
