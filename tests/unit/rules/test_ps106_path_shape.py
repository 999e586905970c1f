"""PS106 fires for paths that a known registry cannot hold, and stays silent where the shape is free."""

from __future__ import annotations

from pushsafe.known_registries import KNOWN, known
from pushsafe.rules.ps106_path_shape import RULE
from tests.unit.rules.facts import fires, repository, silent
from tests.values import ref


def test_fires() -> None:
    for given, said, fix in (
        ("docker.io/my-api:1", "has no namespace", "docker.io/NAMESPACE/my-api:1"),
        ("docker.io/myorg/team/my-api:1", "takes exactly 2 path components", "docker.io/myorg/my-api:1"),
        ("myorg/team/my-api:1", "takes exactly 2 path components", "docker.io/myorg/my-api:1"),
        ("registry-1.docker.io/my-api:1", "takes exactly 2 path components", "registry-1.docker.io/NAMESPACE/my-api:1"),
        ("ghcr.io/my-api:1", "takes at least 2 path components", "ghcr.io/OWNER/my-api:1"),
        ("europe-docker.pkg.dev/p/my-api:1", "takes at least 3", "europe-docker.pkg.dev/p/REPOSITORY/my-api:1"),
        ("quay.io/my-api:1", "takes at least 2", "quay.io/NAMESPACE/my-api:1"),
        ("public.ecr.aws/my-api:1", "takes at least 2", "public.ecr.aws/ALIAS/my-api:1"),
        ("de.icr.io/my-api:1", "takes at least 2", "de.icr.io/NAMESPACE/my-api:1"),
    ):
        fires(RULE, (given, said, f"docker tag {given} {fix}"))
    fires(RULE, (repository("ghcr.io/my-api"), "", "docker tag ghcr.io/my-api ghcr.io/OWNER/my-api"))


def test_is_silent() -> None:
    silent(RULE, "my-api:1", "myorg/my-api:1", "docker.io/myorg/my-api:1", "docker.io/library/my-api:1")
    silent(RULE, "ghcr.io/myorg/my-api:1", "ghcr.io/myorg/team/my-api:1", "europe-docker.pkg.dev/p/r/my-api:1")
    silent(RULE, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/my-api:1", "myname.azurecr.io/my-api:1")
    silent(RULE, "localhost:5000/my-api:1", "registry.test/a/b/c/d/e:1")


def test_the_example_of_every_known_registry_is_a_path_it_can_hold() -> None:
    for row in KNOWN:
        host, _, path = row.example.partition("/")
        host = host.replace("ACCOUNT", "1" * 12).replace("REGION.icr", "de.icr").replace("REGION", "eu-west-1").lower()
        given = f"{host}/{path.lower()}:1"
        assert known(ref(given).registry) is row, row
        silent(RULE, given)
