"""PS102 fires for a namespace without a registry and a host that only capitals make, naming the probable registry."""

from __future__ import annotations

from pushsafe.model.facts import ConfiguredRegistry, Upcoming
from pushsafe.rules.ps102_implicit_docker_hub import RULE
from tests.unit.rules.facts import facts, only, problems, repository


def known(*hosts: str) -> tuple[ConfiguredRegistry, ...]:
    return tuple(ConfiguredRegistry(host, "you are logged in there") for host in hosts)


def test_fires() -> None:
    for listed, said, fix in (
        (facts("myorg/my-api:1"), "If you mean Docker Hub, write it out", "docker pushsafe docker.io/myorg/my-api:1"),
        (facts("myorg/my-api"), "names no registry", "docker pushsafe docker.io/myorg/my-api:latest"),
        (repository("myorg/my-api"), "names no registry", "docker pushsafe --all-tags docker.io/myorg/my-api"),
        (
            facts("myorg/my-api:1", configured=known("registry.test:5000")),
            "registry.test:5000 may be meant (you are logged in there)",
            "docker tag myorg/my-api:1 registry.test:5000/myorg/my-api:1",
        ),
        (
            facts("myorg/my-api:1", configured=known("registry.test", "ghcr.io")),
            "If you mean Docker Hub, write it out",
            "docker pushsafe docker.io/myorg/my-api:1",
        ),
        (
            facts("registry/my-api:1", configured=known("ghcr.io", "registry:5000")),
            "is read as a namespace, because it has neither a dot nor a port. registry:5000 is probably meant",
            "docker tag registry/my-api:1 registry:5000/my-api:1",
        ),
        (
            facts("harbor/team/my-api:1", configured=known("harbor.corp.test")),
            "harbor.corp.test is probably meant",
            "docker tag harbor/team/my-api:1 harbor.corp.test/team/my-api:1",
        ),
        (
            facts("docker-registry/my-api:1"),
            "If it is a registry's host, write it with its port or domain",
            "docker tag docker-registry/my-api:1 docker-registry:443/my-api:1",
        ),
        (
            facts("build-host/team/my-api:1"),
            "If it is a registry's host",
            "docker tag build-host/team/my-api:1 build-host:443/team/my-api:1",
        ),
        (
            facts("MyOrg/my-api:1"),
            "reads as the host of a registry because of its capitals",
            "docker tag MyOrg/my-api:1 docker.io/myorg/my-api:1",
        ),
        (repository("MyOrg/my-api"), "because of its capitals", "docker tag MyOrg/my-api docker.io/myorg/my-api"),
    ):
        problem = only(RULE, listed)
        assert said in problem.message, said
        assert repr(listed.reference.given) in problem.message, said
        assert problem.fix == fix, said


def test_does_not_fire() -> None:
    for given in (
        "my-api:1",
        "docker.io/myorg/my-api:1",
        "docker.io/my-api:1",
        "index.docker.io/myorg/my-api:1",
        "registry:5000/my-api:1",
        "registry.test/my-api:1",
        "localhost/my-api:1",
        "[::1]/my-api:1",
        "Registry.test/my-api:1",
    ):
        assert problems(RULE, facts(given)) == [], given


def test_a_build_that_means_docker_hub_says_so() -> None:
    problem = only(RULE, facts("myorg/my-api:1", image=Upcoming(())))
    assert problem.fix == "-t docker.io/myorg/my-api:1   (in place of -t myorg/my-api:1)"
