"""PS102 fires for a namespace without a registry and a host that only capitals make, naming the probable registry."""

from __future__ import annotations

from pushsafe.model.facts import ConfiguredRegistry, Facts, Upcoming
from pushsafe.rules.ps102_implicit_docker_hub import RULE
from tests.unit.rules.facts import facts, fires, only, repository, silent

HUB_MEANT = "If you mean Docker Hub, write it out"


def known(given: str, *hosts: str) -> Facts:
    return facts(given, configured=tuple(ConfiguredRegistry(host, "you are logged in there") for host in hosts))


def test_fires() -> None:
    no_host = "is read as a namespace, because it has neither a dot nor a port. registry:5000 is probably meant"
    a_host = "If it is a registry's host, write it with its port or domain"
    fires(
        RULE,
        ("myorg/app:1", HUB_MEANT, "docker pushsafe docker.io/myorg/app:1"),
        ("myorg/app", "'myorg/app' names no registry", "docker pushsafe docker.io/myorg/app:latest"),
        (repository("myorg/app"), "names no registry", "docker pushsafe --all-tags docker.io/myorg/app"),
        (
            known("myorg/app:1", "registry.test:5000"),
            "registry.test:5000 may be meant (you are logged in there)",
            "docker tag myorg/app:1 registry.test:5000/myorg/app:1",
        ),
        (known("myorg/app:1", "registry.test", "ghcr.io"), HUB_MEANT, "docker pushsafe docker.io/myorg/app:1"),
        (known("registry/a:1", "ghcr.io", "registry:5000"), no_host, "docker tag registry/a:1 registry:5000/a:1"),
        (
            known("harbor/team/app:1", "harbor.corp.test"),
            "harbor.corp.test is probably meant",
            "docker tag harbor/team/app:1 harbor.corp.test/team/app:1",
        ),
        ("docker-registry/app:1", a_host, "docker tag docker-registry/app:1 docker-registry:443/app:1"),
        ("build-host/team/app:1", a_host, "docker tag build-host/team/app:1 build-host:443/team/app:1"),
        (
            "MyOrg/a:1",
            "reads as the host of a registry because of its capitals",
            "docker tag MyOrg/a:1 docker.io/myorg/a:1",
        ),
        (repository("MyOrg/a"), "because of its capitals", "docker tag MyOrg/a docker.io/myorg/a"),
        (facts("o/a:1", image=Upcoming(())), HUB_MEANT, "-t docker.io/o/a:1   (in place of -t o/a:1)"),
    )


def test_quotes_the_reference_as_it_was_given() -> None:
    for given in ("myorg/app:1", "registry/app:1", "docker-registry/app:1", "MyOrg/app:1"):
        assert repr(given) in only(RULE, known(given, "registry:5000", "ghcr.io")).message, given
    assert "'myorg/app:1'" in only(RULE, known("myorg/app:1", "registry.test")).message
    assert "'harbor/app:1'" in only(RULE, known("harbor/app:1", "harbor.corp.test")).message


def test_is_silent() -> None:
    silent(RULE, "my-api:1", "docker.io/myorg/my-api:1", "docker.io/my-api:1", "index.docker.io/myorg/my-api:1")
    silent(RULE, "registry:5000/my-api:1", "registry.test/my-api:1", "localhost/my-api:1", "[::1]/my-api:1")
    silent(RULE, "Registry.test/my-api:1")
