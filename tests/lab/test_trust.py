"""An engine that says what is not so is found out: the registry is asked, and what it holds decides."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import uuid

import pytest

from tests import lab
from tests.fakes.capture import FakeEngine
from tests.lab import Lab
from tests.lab.plugin import User
from tests.terminal import read_all


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


CLAIMED = "sha256:" + "d" * 64


def test_a_tag_that_names_something_else_is_a_mismatch(user: User, the_lab: Lab) -> None:
    real, registry = the_lab.engines["classic-new"], the_lab.registries["open"]
    reference = f"{registry.host}/team/moved-{uuid.uuid4().hex[:8]}:1"
    lab.load_image(real, reference, layers=[uuid.uuid4().bytes])
    assert user.pushsafe(real.host, "-q", reference).status == 0
    with FakeEngine(images=[reference]) as liar:  # it answers that it pushed CLAIMED
        done = user.push_json(liar.host, reference)
    assert done.status == 8
    assert (done.results[0]["outcome"], done.results[0]["verification"]) == ("pushed", "mismatch")
    assert done.results[0]["digest"] == CLAIMED
    assert "the registry names sha256:" in done.results[0]["verification_detail"]


def test_a_tag_that_never_arrived_is_missing(user: User, the_lab: Lab) -> None:
    reference = f"{the_lab.registries['open'].host}/team/never-{uuid.uuid4().hex[:8]}:1"
    with FakeEngine(images=[reference]) as liar:
        done = user.pushsafe(liar.host, reference)
    assert done.status == 8
    assert "pushed, but the registry does not show it" in done.stdout
    assert "0 of 1 pushed and verified" in done.stdout


@pytest.mark.parametrize("name", ["classic-new", "containerd-new"])
def test_layers_are_shown_live_on_a_terminal(user: User, the_lab: Lab, name: str) -> None:
    engine, registry = the_lab.engines[name], the_lab.registries["open"]
    repository = f"{registry.host}/team/live-{uuid.uuid4().hex[:8]}"
    lab.load_image(engine, f"{repository}:1", layers=[os.urandom(100_000_000)])
    user.pushsafe(engine.host, "--version")  # links the plugin
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        ["docker", "pushsafe", f"{repository}:1"],
        env=user.environ(engine.host) | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    text = read_all(controller).decode()
    assert process.stdout is not None
    results = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait() == 0
    os.close(controller)
    assert f"pushing {repository}:1" in text
    assert re.search(r"[0-9a-f]{12} pushing .* \d+(\.\d+)?/\d+\.\d MB.* \d+(\.\d+)? [kM]?B/s", plain(text))
    assert f"✓ {repository}:1 pushed and verified" in results
    assert "pushed and verified" not in text  # one tag: the result says it
