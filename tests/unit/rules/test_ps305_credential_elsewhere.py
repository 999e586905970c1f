"""PS305 fires where a credential lies under a name that a person may take for this registry's."""

from __future__ import annotations

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import RegistryPing
from pushsafe.model.facts import Facts
from pushsafe.rules.ps305_credential_elsewhere import RULE
from tests.unit.rules.facts import LOGIN_WANTED, OPEN, UNKNOWN, asked, facts, fires, only, silent
from tests.values import broken, logged_in, nobody

GIVEN = "registry.test/my-api:1"
ECR = "123456789012.dkr.ecr.{}.amazonaws.com"
OTHER_PORT = nobody("registry.test", "registry.test:5000")


def known(credential: Credential | None, ping: RegistryPing | None = LOGIN_WANTED) -> Facts:
    return facts(GIVEN, credential=credential, ping=ping)


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
        assert f"there is a credential for {elsewhere}, and docker does not use it for {registry}: " in problem.message
        assert why in problem.message, problem
        assert problem.fix.startswith(("docker login", "aws", "az", "gcloud")), problem


def test_fires_for_the_login_of_the_user_who_called_sudo() -> None:
    for folder, quoted in (("/home/ada/.docker", "/home/ada/.docker"), ("/ada b/.docker", "'/ada b/.docker'")):
        fix = f"docker --config {quoted} pushsafe {GIVEN}   (or the same without sudo)"
        credential = OTHER_PORT._replace(callers_config=f"{folder}/config.json")
        fires(RULE, (known(credential), f"{folder}/config.json has a login for registry.test", fix))


def test_whom_the_registry_lets_in_needs_no_login() -> None:
    assert only(RULE, known(OTHER_PORT)._replace(preflight=asked((401, False))))
    silent(RULE, known(OTHER_PORT)._replace(preflight=asked((202, False))))


def test_fires_where_the_registry_could_not_be_asked() -> None:
    for ping in (None, UNKNOWN):
        assert only(RULE, known(OTHER_PORT, ping)), ping


def test_is_silent() -> None:
    strangers = nobody("registry.test", "ghcr.io", "other.test", "notregistry.test")
    silent(RULE, known(None), known(nobody()), known(nobody("registry.test", "registry.test")), known(strangers))
    silent(RULE, known(OTHER_PORT, OPEN), known(nobody("registry.test", "https://index.docker.io/v1/")))
    silent(RULE, *(known(one._replace(elsewhere=("registry.test:5000",))) for one in (logged_in(), broken())))
