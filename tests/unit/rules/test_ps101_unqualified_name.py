"""PS101 fires for a name with neither registry nor namespace, and for nothing else."""

from __future__ import annotations

from pushsafe.model.facts import ConfiguredRegistry, Upcoming
from pushsafe.rules.ps101_unqualified_name import RULE
from tests.unit.rules.facts import facts, only, problems, repository

COMPANY = ConfiguredRegistry("registry.test:5000", "you are logged in there")
OTHER = ConfiguredRegistry("ghcr.io", "you are logged in there")


def test_fires() -> None:
    for listed, fix in (
        (facts("my-api:1.4.2"), "docker tag my-api:1.4.2 REGISTRY/NAMESPACE/my-api:1.4.2"),
        (facts("my-api"), "docker tag my-api REGISTRY/NAMESPACE/my-api:latest"),
        (facts("localhost:5000"), "docker tag localhost:5000 REGISTRY/NAMESPACE/localhost:5000"),
        (repository("my-api"), "docker tag my-api REGISTRY/NAMESPACE/my-api"),
        (facts("my-api:1", configured=(COMPANY,)), "docker tag my-api:1 registry.test:5000/NAMESPACE/my-api:1"),
        (facts("my-api:1", configured=(COMPANY, OTHER)), "docker tag my-api:1 REGISTRY/NAMESPACE/my-api:1"),
    ):
        problem = only(RULE, listed)
        assert f"docker.io/library/{listed.reference.repository.removeprefix('library/')}" in problem.message, fix
        assert problem.fix == fix, fix


def test_does_not_fire() -> None:
    for given in ("myorg/my-api:1", "library/my-api:1", "docker.io/my-api:1", "localhost/my-api:1", "ghcr.io/my-api:1"):
        assert problems(RULE, facts(given)) == [], given


def test_what_is_not_made_yet_gets_its_name_from_the_start() -> None:
    problem = only(RULE, facts("my-api:1", image=Upcoming(())))
    assert problem.fix == "-t REGISTRY/NAMESPACE/my-api:1   (in place of -t my-api:1)"
