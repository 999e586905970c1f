"""PS103 fires where `latest` was not written."""

from __future__ import annotations

from pushsafe.model.facts import LocalImage, Upcoming
from pushsafe.rules.ps103_implicit_tag import RULE
from tests.unit.rules.facts import facts, fires, only, repository, silent
from tests.values import ARM64


def test_fires() -> None:
    for given in ("registry.test/my-api", "localhost:5000/my-api", "docker.io/myorg/my-api"):
        problem = only(RULE, facts(given))
        assert problem.message == f"{given!r} has no tag, so 'latest' is pushed", given
        assert problem.fix == f"docker pushsafe {given}:latest", given


def test_the_fix_is_of_the_command_that_was_run() -> None:
    from_files = Upcoming((), place="oci:my image")
    index = facts("a.test/a", image=LocalImage("sha256:1", ()))._replace(staged="a:1")
    fires(
        RULE,
        (facts("a.test/a", image=Upcoming(())), "", "-t a.test/a:latest"),
        (index, "", "-t a.test/a:latest"),
        (facts("a.test/a", image=from_files), "", "docker pushsafe --from 'oci:my image' a.test/a:latest"),
        (facts("a.test/a", platforms=(ARM64,)), "", "docker pushsafe --platform linux/arm64 a.test/a:latest"),
    )


def test_is_silent() -> None:
    silent(RULE, "registry.test/my-api:1", "registry.test/my-api:latest", repository("registry.test/my-api"))
