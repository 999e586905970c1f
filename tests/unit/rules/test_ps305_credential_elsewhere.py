"""PS305 fires where a credential lies under a name that a person may take for this registry's."""

from __future__ import annotations

import pytest

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import RegistryPing
from pushsafe.rules.ps305_credential_elsewhere import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, only, problems
from tests.values import broken, logged_in, nobody

ECR = "123456789012.dkr.ecr.{}.amazonaws.com"


@pytest.mark.parametrize(
    ("registry", "elsewhere", "why"),
    [
        ("registry.test:5000", "registry.test", "another port is another registry"),
        ("registry.test", "registry.test:5000", "another port is another registry"),
        ("registry.test", "https://registry.test:5000/v1/", "another port is another registry"),
        ("registry.test", "registry.test:443", "docker compares names, with and without :443"),
        ("registry.test", "www.registry.test", "another host is another registry"),
        ("registry.corp.test", "corp.test", "another host is another registry"),
        ("corp.test", "https://registry.corp.test", "another host is another registry"),
        ("localhost:5000", "127.0.0.1:5000", "docker compares names, not addresses"),
        ("docker.io", "https://hub.docker.com", "https://index.docker.io/v1/"),
        ("docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"),
        ("registry-1.docker.io", "https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        (ECR.format("eu-west-1"), ECR.format("us-east-1"), "each Amazon ECR host"),
        ("a.azurecr.io", "b.azurecr.io", "each Azure Container Registry host"),
        ("europe-docker.pkg.dev", "us-docker.pkg.dev", "each Google Artifact Registry host"),
    ],
)
def test_fires(registry: str, elsewhere: str, why: str) -> None:
    credential = nobody(registry, "unrelated.test", elsewhere, "also-unrelated.test")
    problem = only(RULE, facts(f"{registry}/o/my-api:1", credential=credential, ping=LOGIN_WANTED))
    assert f"there is a credential for {elsewhere}, and docker does not use it for {registry}: " in problem.message
    assert why in problem.message
    assert problem.fix.startswith(("docker login", "aws", "az", "gcloud"))


@pytest.mark.parametrize(
    ("folder", "quoted"),
    [("/home/ada/.docker", "/home/ada/.docker"), ("/home/ada b/.docker", "'/home/ada b/.docker'")],
)
def test_fires_for_the_login_of_the_user_who_called_sudo(folder: str, quoted: str) -> None:
    credential = nobody("registry.test", "registry.test:5000")._replace(callers_config=f"{folder}/config.json")
    problem = only(RULE, facts("registry.test/my-api:1", credential=credential, ping=LOGIN_WANTED))
    assert f"{folder}/config.json has a login for registry.test" in problem.message
    assert problem.fix == (f"docker --config {quoted} pushsafe registry.test/my-api:1   (or the same without sudo)")


@pytest.mark.parametrize(("status", "fires"), [(401, True), (202, False)])
def test_whom_the_registry_lets_in_needs_no_login(status: int, fires: bool) -> None:
    credential = nobody("registry.test", "registry.test:5000")
    listed = facts("registry.test/my-api:1", credential=credential, ping=LOGIN_WANTED, preflight=asked((status, False)))
    assert bool(problems(RULE, listed)) is fires


@pytest.mark.parametrize("ping", [None, UNKNOWN], ids=["not-asked", "unknown"])
def test_fires_where_the_registry_could_not_be_asked(ping: RegistryPing | None) -> None:
    only(RULE, facts("registry.test/my-api:1", credential=nobody("registry.test", "registry.test:5000"), ping=ping))


@pytest.mark.parametrize(
    ("credential", "ping"),
    [
        (None, LOGIN_WANTED),
        (nobody(), LOGIN_WANTED),
        (nobody("registry.test", "registry.test"), LOGIN_WANTED),
        (nobody("registry.test", "ghcr.io", "other.test", "notregistry.test"), LOGIN_WANTED),
        (nobody("registry.test", "registry.test:5000"), OPEN),
        (nobody("registry.test", "https://index.docker.io/v1/"), LOGIN_WANTED),
        (logged_in()._replace(elsewhere=("registry.test:5000",)), LOGIN_WANTED),
        (broken()._replace(elsewhere=("registry.test:5000",)), LOGIN_WANTED),
    ],
    ids=["not-asked", "none-anywhere", "the-same", "strangers", "no-login-wanted", "docker-hub", "logged-in", "broken"],
)
def test_does_not_fire(credential: Credential | None, ping: RegistryPing) -> None:
    assert problems(RULE, facts("registry.test/my-api:1", credential=credential, ping=ping)) == []
