"""PS105 fires for hosts that were shut down or renamed, and names the successor and its owner's page."""

from __future__ import annotations

from pushsafe.rules.ps105_retired_registry import RULE
from tests.unit.rules.facts import facts, fires, only, repository, silent


def test_fires() -> None:
    for given, successor in (
        ("docker.pkg.github.com/myorg/r/my-api:1", "ghcr.io/myorg/r/my-api:1"),
        ("gcr.io/project/my-api:1", "LOCATION-docker.pkg.dev/project/my-api:1"),
        ("eu.gcr.io/project/my-api:1", "LOCATION-docker.pkg.dev/project/my-api:1"),
        ("k8s.gcr.io/my-api:1", "registry.k8s.io/my-api:1"),
        ("registry.ng.bluemix.net/ns/my-api:1", "REGION.icr.io/ns/my-api:1"),
        ("registry.bluemix.net/ns/my-api:1", "REGION.icr.io/ns/my-api:1"),
        ("registry.hub.docker.com/myorg/my-api:1", "docker.io/myorg/my-api:1"),
        ("GCR.io/project/my-api:1", "LOCATION-docker.pkg.dev/project/my-api:1"),
        ("gcr.io:443/project/my-api:1", "LOCATION-docker.pkg.dev/project/my-api:1"),
    ):
        fires(RULE, (given, "(https://", f"docker tag {given} {successor}"))
        assert only(RULE, facts(given)).message.endswith(")"), given
    fires(RULE, (repository("gcr.io/p/app"), "", "docker tag gcr.io/p/app LOCATION-docker.pkg.dev/p/app"))


def test_is_silent() -> None:
    silent(RULE, "ghcr.io/myorg/my-api:1", "europe-docker.pkg.dev/project/repo/my-api:1", "xgcr.io/my-api:1")
    silent(RULE, "mirror.gcr.io/library/my-api:1", "gcr.io.corp.test/my-api:1", "docker.io/myorg/gcr.io:1")
