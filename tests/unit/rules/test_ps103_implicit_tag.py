"""PS103 fires where `latest` was not written."""

from __future__ import annotations

from typing import Any

import pytest

from pushsafe.model.facts import Facts, LocalImage, Upcoming
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps103_implicit_tag import RULE
from tests.unit.rules.facts import facts, only, problems, repository

ARM = Platform("linux", "arm64")


@pytest.mark.parametrize("given", ["registry.test/my-api", "localhost:5000/my-api", "docker.io/myorg/my-api"])
def test_fires(given: str) -> None:
    problem = only(RULE, facts(given))
    assert problem.message == f"{given!r} has no tag, so 'latest' is pushed"
    assert problem.fix == f"docker pushsafe {given}:latest"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"image": Upcoming(())}, "-t registry.test/a:latest"),
        ({"image": LocalImage("sha256:1", ()), "staged": "a:1"}, "-t registry.test/a:latest"),
        (
            {"image": Upcoming((), place="oci:my image")},
            "docker pushsafe --from 'oci:my image' registry.test/a:latest",
        ),
        ({"platforms": (ARM,)}, "docker pushsafe --platform linux/arm64 registry.test/a:latest"),
    ],
    ids=["build", "index", "files", "platform"],
)
def test_the_fix_is_of_the_command_that_was_run(change: dict[str, Any], fix: str) -> None:
    assert only(RULE, facts("registry.test/a")._replace(**change)).fix == fix


@pytest.mark.parametrize(
    "listed",
    [facts("registry.test/my-api:1"), facts("registry.test/my-api:latest"), repository("registry.test/my-api")],
    ids=["tag", "latest", "all-tags"],
)
def test_does_not_fire(listed: Facts) -> None:
    assert problems(RULE, listed) == []
