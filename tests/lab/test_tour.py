"""The tour with the installed plugin on real engines: all of it is real there, and the engine is left as it was."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pushsafe.demo.environment import surroundings
from pushsafe.demo.runner import Interruption
from pushsafe.demo.sample_image import image
from pushsafe.demo.scenarios import EVERY_TAG, RUNS
from pushsafe.model.request import DockerFlags
from pushsafe.oci.platform import Platform
from tests.lab import Lab, LabEngine, engine_api
from tests.lab.plugin import Run, User

STATUSES = [1, 1, 4, 5, 0, 0]


@pytest.fixture(params=["classic-20", "classic-new", "containerd-new"])
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> LabEngine:
    return the_lab.engines[request.param]


def held(engine: LabEngine, host: str) -> list[str]:
    """What the engine still has of a tour whose registry was there: names, digests, the image itself."""
    images = json.loads(engine_api.request(engine.socket, "GET", "/images/json?all=1&digests=1"))
    names = [name for one in images for name in (*(one["RepoTags"] or ()), *(one["RepoDigests"] or ()))]
    return [name for name in names if name.startswith(host)] + [one["Id"] for one in images if _is_ours(one, host)]


def _is_ours(found: dict[str, Any], host: str) -> bool:
    """A classic store calls an image by its config; the containerd store by its manifest, which has had the names."""
    return bool(found["Id"] == f"sha256:{hashlib.sha256(image(host, Platform('linux', 'amd64')).config).hexdigest()}")


def shown(done: Run) -> str:
    """The registry of a tour that went well."""
    assert (done.status, done.stderr) == (0, ""), done.stdout + done.stderr
    assert [int(found) for found in re.findall(r"^exit code (\d+)$", done.stdout, re.MULTILINE)] == STATUSES
    for run in RUNS:
        assert [text for text in run.says if text not in done.stdout] == []
    found = re.search(r"^registry +(127\.0\.0\.1:\d+),", done.stdout, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_whole_tour(user: User, engine: LabEngine) -> None:
    user.configure({"credsStore": "nobody-has-this", "auths": {"https://index.docker.io/v1/": {}}})
    before = sorted(user.home.rglob("*"))
    done = user.pushsafe(engine.host, "try")
    host = shown(done)
    assert "in your engine" in done.stdout
    assert "--from" not in done.stdout
    assert held(engine, host) == []
    links = {user.config / "cli-plugins", user.config / "cli-plugins/docker-pushsafe"}
    assert set(user.home.rglob("*")) - set(before) == links


@pytest.mark.parametrize("flags", ["--host", "--context"])
def test_dockers_own_flags_reach_the_runs(user: User, the_lab: Lab, tmp_path: Path, flags: str) -> None:
    engine = the_lab.engines["containerd-new"]
    user.pushsafe(engine.host, "--version")
    nowhere = f"unix://{tmp_path}/nobody.sock"
    if flags == "--context":
        assert user.run("", "context", "create", "there", "--docker", f"host={engine.host}").status == 0
    done = user.run(nowhere, flags, engine.host if flags == "--host" else "there", "pushsafe", "try")
    host = shown(done)
    assert "your flags before `pushsafe` hold" in done.stdout
    assert held(engine, host) == []


@pytest.mark.parametrize("name", ["isolated-classic", "isolated-containerd"])
def test_an_engine_that_does_not_reach_us_is_left_alone(user: User, the_lab: Lab, name: str) -> None:
    engine = the_lab.engines[name]
    done = user.pushsafe(engine.host, "try")
    host = shown(done)
    assert "does not reach a registry on 127.0.0.1" in " ".join(done.stdout.split())
    assert "$ docker pushsafe --from oci:image my-api:1.4.2" in done.stdout
    assert held(engine, host) == []


def test_what_somebody_has_tagged_meanwhile_stays(user: User, engine: LabEngine, tmp_path: Path) -> None:
    flags = DockerFlags(host=(engine.host,))
    with surroundings(flags, {"HOME": str(tmp_path)}, Interruption()) as around:
        ours = [text.format(host=around.host) for text in EVERY_TAG]
        theirs = f"{around.host}/somebody/else:1"
        assert user.run(engine.host, "tag", ours[0], theirs).status == 0
    try:
        assert user.run(engine.host, "image", "inspect", theirs).status == 0
        assert [user.run(engine.host, "image", "inspect", name).status for name in ours] == [1, 1, 1]
    finally:
        assert user.run(engine.host, "image", "rm", theirs).status == 0
    assert held(engine, around.host) == []
