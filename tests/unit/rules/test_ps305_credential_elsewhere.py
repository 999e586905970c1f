"""PS305 fires where a credential lies under a name that a person may take for this registry's."""

from __future__ import annotations

from pushsafe.rules.ps305_credential_elsewhere import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, only, problems
from tests.values import broken, logged_in, nobody

ECR = "123456789012.dkr.ecr.{}.amazonaws.com"


def test_fires() -> None:
    for registry, elsewhere, why in (
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
    ):
        credential = nobody(registry, "unrelated.test", elsewhere, "also-unrelated.test")
        problem = only(RULE, facts(f"{registry}/o/my-api:1", credential=credential, ping=LOGIN_WANTED))
        assert (
            f"there is a credential for {elsewhere}, and docker does not use it for {registry}: " in problem.message
        ), registry
        assert why in problem.message, registry
        assert problem.fix.startswith(("docker login", "aws", "az", "gcloud")), registry


def test_fires_for_the_login_of_the_user_who_called_sudo() -> None:
    for folder, quoted in (
        ("/home/ada/.docker", "/home/ada/.docker"),
        ("/home/ada b/.docker", "'/home/ada b/.docker'"),
    ):
        credential = nobody("registry.test", "registry.test:5000")._replace(callers_config=f"{folder}/config.json")
        problem = only(RULE, facts("registry.test/my-api:1", credential=credential, ping=LOGIN_WANTED))
        assert f"{folder}/config.json has a login for registry.test" in problem.message, folder
        assert problem.fix == (
            f"docker --config {quoted} pushsafe registry.test/my-api:1   (or the same without sudo)"
        ), folder


def test_whom_the_registry_lets_in_needs_no_login() -> None:
    for status, fires in ((401, True), (202, False)):
        credential = nobody("registry.test", "registry.test:5000")
        listed = facts(
            "registry.test/my-api:1", credential=credential, ping=LOGIN_WANTED, preflight=asked((status, False))
        )
        assert bool(problems(RULE, listed)) is fires, status


def test_fires_where_the_registry_could_not_be_asked() -> None:
    for ping in (None, UNKNOWN):
        only(RULE, facts("registry.test/my-api:1", credential=nobody("registry.test", "registry.test:5000"), ping=ping))


def test_does_not_fire() -> None:
    for credential, ping in (
        (None, LOGIN_WANTED),
        (nobody(), LOGIN_WANTED),
        (nobody("registry.test", "registry.test"), LOGIN_WANTED),
        (nobody("registry.test", "ghcr.io", "other.test", "notregistry.test"), LOGIN_WANTED),
        (nobody("registry.test", "registry.test:5000"), OPEN),
        (nobody("registry.test", "https://index.docker.io/v1/"), LOGIN_WANTED),
        (logged_in()._replace(elsewhere=("registry.test:5000",)), LOGIN_WANTED),
        (broken()._replace(elsewhere=("registry.test:5000",)), LOGIN_WANTED),
    ):
        assert problems(RULE, facts("registry.test/my-api:1", credential=credential, ping=ping)) == [], credential
