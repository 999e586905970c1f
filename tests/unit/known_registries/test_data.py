"""The table of registries: which row a host gets, and the commands that are made of it."""

from __future__ import annotations

import re

from pushsafe.known_registries import KNOWN, RETIRED, creation_command, known, login_command, retired
from pushsafe.oci.reference import hostname

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def test_the_host_of_a_registry() -> None:
    for registry, host in (
        ("registry.test", "registry.test"),
        ("registry.test:5000", "registry.test"),
        ("[::1]", "[::1]"),
        ("[::1]:5000", "[::1]"),
        ("localhost", "localhost"),
        ("5000", "5000"),
        ("", ""),
    ):
        assert hostname(registry) == host, registry


def test_the_row_of_a_host() -> None:
    for registry, name in (
        ("docker.io", "Docker Hub"),
        ("registry-1.docker.io", "Docker Hub"),
        ("ghcr.io", "GitHub Container Registry"),
        ("GHCR.io:443", "GitHub Container Registry"),
        ("registry.gitlab.com", "GitLab container registry"),
        ("public.ecr.aws", "Amazon ECR Public"),
        (ECR, "Amazon ECR"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "Amazon ECR"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "Amazon ECR"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "Amazon ECR"),
        ("europe-west1-docker.pkg.dev", "Google Artifact Registry"),
        ("mycompany.azurecr.io", "Azure Container Registry"),
        ("quay.io", "Quay"),
        ("registry.digitalocean.com", "DigitalOcean container registry"),
        ("fra.ocir.io", "Oracle Cloud container registry"),
        ("ocir.eu-frankfurt-1.oci.oraclecloud.com", "Oracle Cloud container registry"),
        ("de.icr.io", "IBM Cloud container registry"),
        ("icr.io", "IBM Cloud container registry"),
        ("registry.test", "registry"),
        ("ghcr.io.evil.test", "registry"),
        ("notghcr.io", "registry"),
        ("docker.io.corp.test:5000", "registry"),
    ):
        assert known(registry).name == name, registry


def test_the_command_that_logs_in() -> None:
    for registry, user, command in (
        ("registry.test:5000", "", "docker login registry.test:5000"),
        ("registry.test", "ada", "docker login registry.test -u ada"),
        ("registry.test", "ada; rm -rf /", "docker login registry.test -u 'ada; rm -rf /'"),
        ("docker.io", "", "docker login -u YOUR-DOCKER-ID"),
        ("docker.io", "ada", "docker login -u ada"),
        ("ghcr.io", "$(id)", "docker login ghcr.io -u '$(id)'"),
        ("ghcr.io", r"a\1b", r"docker login ghcr.io -u 'a\1b'"),
        ("registry.gitlab.com", "ada", "docker login registry.gitlab.com -u ada"),
        ("quay.io", "ns+robot", "docker login -u 'NAMESPACE+ROBOT' quay.io"),
        (ECR, "AWS", f"aws ecr get-login-password --region eu-west-1 | docker login -u AWS --password-stdin {ECR}"),
        ("mycompany.azurecr.io", "00000000", "az acr login -n mycompany"),
        ("europe-docker.pkg.dev", "_json_key", "gcloud auth configure-docker europe-docker.pkg.dev"),
        ("de.icr.io", "iamapikey", "docker login -u iamapikey de.icr.io"),
    ):
        assert login_command(registry, user) == command, registry


def test_the_command_that_makes_a_repository() -> None:
    for registry, repository, command in (
        (ECR, "team/app", "aws ecr create-repository --region eu-west-1 --repository-name team/app"),
        (
            "public.ecr.aws",
            "alias/team/app",
            "aws ecr-public create-repository --region us-east-1 --repository-name team/app",
        ),
        (
            "us-docker.pkg.dev",
            "project/repo/team/app",
            "gcloud artifacts repositories create repo --repository-format=docker --location=us --project=project",
        ),
        ("de.icr.io", "team/app", "ibmcloud cr namespace-add team"),
        ("registry.gitlab.com", "group/app", "create the project in GitLab first"),
        ("docker.io", "ada/app", ""),
        ("registry.test", "app", ""),
    ):
        assert creation_command(registry, repository) == command, registry


def test_a_command_can_be_made_for_a_repository_of_one_component() -> None:
    for registry in (
        ECR,
        "public.ecr.aws",
        "us-docker.pkg.dev",
        "de.icr.io",
        "myname.azurecr.io",
        "fra.ocir.io",
        "x.test",
    ):
        assert "{" not in creation_command(registry, "app") + login_command(registry), registry


def test_every_row_names_its_source_and_a_shape() -> None:
    for row in KNOWN:
        found = next(one for one in KNOWN if one is row)
        assert found.source.startswith("https://"), row
        assert found.example.count("/") >= found.depth[0], row
        assert re.compile(found.hosts), row


def test_every_retired_registry_names_its_owners_page() -> None:
    assert all(row.source.startswith("https://") and row.successor and row.since for row in RETIRED)
    assert retired("registry.test") is None
