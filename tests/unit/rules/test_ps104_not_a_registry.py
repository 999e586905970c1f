"""PS104 fires for hosts that serve pages, and names the registry that belongs to them."""

from __future__ import annotations

from pushsafe.known_registries import WEB_SITES
from pushsafe.rules.ps104_not_a_registry import RULE
from tests.unit.rules.facts import facts, fires, only, repository, silent

SITE = "is a web site, not a registry"


def test_fires() -> None:
    for given in ("hub.docker.com/o/app:1", "hub.docker.com/r/o/app:1", "hub.docker.com/repository/docker/o/app:1"):
        fires(RULE, (given, SITE, f"docker tag {given} docker.io/o/app:1"))
    fires(
        RULE,
        ("hub.docker.com:443/o/app:1", SITE, "docker tag hub.docker.com:443/o/app:1 docker.io/o/app:1"),
        ("Hub.Docker.com/o/app:1", SITE, "docker tag Hub.Docker.com/o/app:1 docker.io/o/app:1"),
        ("github.com/o/app:1", SITE, "docker tag github.com/o/app:1 ghcr.io/o/app:1"),
        ("gitlab.com/g/r/app:1", SITE, "docker tag gitlab.com/g/r/app:1 registry.gitlab.com/g/r/app:1"),
        ("bitbucket.org/o/app:1", SITE, ""),
        (repository("github.com/o/app"), SITE, "docker tag github.com/o/app ghcr.io/o/app"),
    )


def test_fires_for_every_site_of_the_table() -> None:
    for host, site in WEB_SITES.items():
        assert (site.registry or site.note) in only(RULE, facts(f"{host}/myorg/my-api:1")).message, host


def test_is_silent() -> None:
    silent(RULE, "docker.io/myorg/my-api:1", "ghcr.io/myorg/my-api:1", "registry.gitlab.com/g/p:1")
    silent(RULE, "git.corp.test/myorg/my-api:1", "myorg/github.com:1", "docker.pkg.github.com/myorg/r/my-api:1")
