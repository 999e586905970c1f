"""PS104 fires for hosts that serve pages, and names the registry that belongs to them."""

from __future__ import annotations

from pushsafe.known_registries import WEB_SITES
from pushsafe.rules.ps104_not_a_registry import RULE
from tests.unit.rules.facts import facts, only, problems, repository


def test_fires() -> None:
    for given, fix in (
        ("hub.docker.com/myorg/my-api:1", "docker tag hub.docker.com/myorg/my-api:1 docker.io/myorg/my-api:1"),
        ("hub.docker.com/r/myorg/my-api:1", "docker tag hub.docker.com/r/myorg/my-api:1 docker.io/myorg/my-api:1"),
        (
            "hub.docker.com/repository/docker/myorg/my-api:1",
            "docker tag hub.docker.com/repository/docker/myorg/my-api:1 docker.io/myorg/my-api:1",
        ),
        ("hub.docker.com:443/myorg/my-api:1", "docker tag hub.docker.com:443/myorg/my-api:1 docker.io/myorg/my-api:1"),
        ("Hub.Docker.com/myorg/my-api:1", "docker tag Hub.Docker.com/myorg/my-api:1 docker.io/myorg/my-api:1"),
        ("github.com/myorg/my-api:1", "docker tag github.com/myorg/my-api:1 ghcr.io/myorg/my-api:1"),
        ("gitlab.com/g/r/my-api:1", "docker tag gitlab.com/g/r/my-api:1 registry.gitlab.com/g/r/my-api:1"),
        ("bitbucket.org/myorg/my-api:1", ""),
    ):
        problem = only(RULE, facts(given))
        assert "is a web site, not a registry" in problem.message, given
        assert problem.fix == fix, given


def test_fires_for_every_site_of_the_table() -> None:
    for host in WEB_SITES:
        problem = only(RULE, facts(f"{host}/myorg/my-api:1"))
        assert (WEB_SITES[host].registry or WEB_SITES[host].note) in problem.message, host


def test_fires_for_all_tags() -> None:
    problem = only(RULE, repository("github.com/myorg/my-api"))
    assert problem.fix == "docker tag github.com/myorg/my-api ghcr.io/myorg/my-api"


def test_does_not_fire() -> None:
    for given in (
        "docker.io/myorg/my-api:1",
        "ghcr.io/myorg/my-api:1",
        "registry.gitlab.com/g/p:1",
        "git.corp.test/myorg/my-api:1",
        "myorg/github.com:1",
        "docker.pkg.github.com/myorg/r/my-api:1",
    ):
        assert problems(RULE, facts(given)) == [], given
