"""PS103 fires where `latest` was not written."""

from __future__ import annotations

from pushsafe.model.facts import LocalImage, Upcoming
from pushsafe.oci.platform import Platform
from pushsafe.rules.ps103_implicit_tag import RULE
from tests.unit.rules.facts import facts, only, problems, repository

ARM = Platform("linux", "arm64")


def test_fires() -> None:
    for given in ("registry.test/my-api", "localhost:5000/my-api", "docker.io/myorg/my-api"):
        problem = only(RULE, facts(given))
        assert problem.message == f"{given!r} has no tag, so 'latest' is pushed", given
        assert problem.fix == f"docker pushsafe {given}:latest", given


def test_the_fix_is_of_the_command_that_was_run() -> None:
    for change, fix in (
        ({"image": Upcoming(())}, "-t registry.test/a:latest"),
        ({"image": LocalImage("sha256:1", ()), "staged": "a:1"}, "-t registry.test/a:latest"),
        ({"image": Upcoming((), place="oci:my image")}, "docker pushsafe --from 'oci:my image' registry.test/a:latest"),
        ({"platforms": (ARM,)}, "docker pushsafe --platform linux/arm64 registry.test/a:latest"),
    ):
        assert only(RULE, facts("registry.test/a")._replace(**change)).fix == fix, fix


def test_does_not_fire() -> None:
    for listed in (
        facts("registry.test/my-api:1"),
        facts("registry.test/my-api:latest"),
        repository("registry.test/my-api"),
    ):
        assert problems(RULE, listed) == [], listed
