"""PS101 fires for a name with neither registry nor namespace, and for nothing else."""

from __future__ import annotations

from pushsafe.model.facts import ConfiguredRegistry, Upcoming
from pushsafe.rules.ps101_unqualified_name import RULE
from tests.unit.rules.facts import facts, fires, repository, silent

COMPANY = ConfiguredRegistry("registry.test:5000", "you are logged in there")
OTHER = ConfiguredRegistry("ghcr.io", "you are logged in there")
HUB = "docker.io/library/my-api"


def test_fires() -> None:
    fires(
        RULE,
        ("my-api:1.4.2", HUB, "docker tag my-api:1.4.2 REGISTRY/NAMESPACE/my-api:1.4.2"),
        ("my-api", HUB, "docker tag my-api REGISTRY/NAMESPACE/my-api:latest"),
        ("localhost:5000", "library/localhost", "docker tag localhost:5000 REGISTRY/NAMESPACE/localhost:5000"),
        (repository("my-api"), HUB, "docker tag my-api REGISTRY/NAMESPACE/my-api"),
        (facts("app:1", configured=(COMPANY,)), "", "docker tag app:1 registry.test:5000/NAMESPACE/app:1"),
        (facts("app:1", configured=(COMPANY, OTHER)), "", "docker tag app:1 REGISTRY/NAMESPACE/app:1"),
        (facts("app:1", image=Upcoming(())), "", "-t REGISTRY/NAMESPACE/app:1   (in place of -t app:1)"),
    )


def test_is_silent() -> None:
    silent(RULE, "myorg/my-api:1", "library/my-api:1", "docker.io/my-api:1", "localhost/my-api:1", "ghcr.io/my-api:1")
