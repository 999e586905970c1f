"""Logins that a person may take for another registry's."""

from __future__ import annotations

from pushsafe.known_registries import near_miss, neighbour
from tests.values import nobody

HUB = "https://index.docker.io/v1/"
ECR = "123456789012.dkr.ecr.{}.amazonaws.com"
PORT, HOST, LETTER = "another port is another registry", "another host is another registry", "one letter is another"
CAPITALS, ADDRESSES, HUB_KEY = "capitals too", "names, not addresses", "Docker Hub's login under"


def test_neighbours() -> None:
    for registry, key, why in (
        ("registry.test:5000", "registry.test", PORT),
        ("registry.test", "https://registry.test:5000/v1/", PORT),
        ("registry.test", "Registry.test:443", "docker compares names, with and without :443"),
        ("registry.test:443", "https://registry.test/v1/", "docker compares names, with and without :443"),
        ("registry.test:443", "registry.test:444", PORT),
        ("registry.test", "Registry.test", CAPITALS),
        ("registry.test", "www.registry.test", HOST),
        ("registry.corp.test", "corp.test", HOST),
        ("localhost:5000", "127.0.0.1:5000", ADDRESSES),
        ("[::1]:5000", "localhost:5000", ADDRESSES),
        ("docker.io", "docker.io", HUB_KEY),
        ("docker.io", "https://hub.docker.com", HUB_KEY),
        ("index.docker.io", "registry-1.docker.io", HUB_KEY),
        ("registry-1.docker.io", HUB, HUB_KEY),
        (ECR.format("eu-west-1"), ECR.format("us-east-1"), "each Amazon ECR host"),
        ("europe-docker.pkg.dev", "us-docker.pkg.dev", "each Google Artifact Registry host"),
        ("registry.exmaple.com", "registry.example.com", LETTER),
        ("registry.exampel.com", "registry.example.com", LETTER),
        ("registry.exmple.com", "registry.example.com:5000", LETTER),
        ("registry.examplee.com", "https://registry.example.com", LETTER),
        ("registry.exbmple.com", "REGISTRY.example.com", LETTER),
        ("my-registry.test", "myregistry.test", LETTER),
    ):
        assert why in neighbour(registry, key), registry


def test_strangers() -> None:
    for registry, key in (
        ("registry.test", "registry.test"),
        ("registry.test", "https://registry.test/v2/"),
        ("docker.io", HUB),
        ("index.docker.io", HUB),
        ("registry-1.docker.io", "registry-1.docker.io"),
        ("registry.test", HUB),
        ("registry.test", "ghcr.io"),
        ("registry.test", "notregistry.test"),
        ("registry1.example.com", "registry2.example.com"),
        ("registry12.example.com", "registry21.example.com"),
        ("registry.example.com", "registry1.example.com"),
        ("10.20.30.40:5000", "10.20.30.4:5000"),
        ("ghcr.io", "gcr.io"),
        ("reg.test", "rek.test"),
        ("registry.exmlape.com", "registry.example.com"),
        ("registry.example.com", "registry.exbmplf.com"),
    ):
        assert neighbour(registry, key) == "", registry


def test_near_miss() -> None:
    for elsewhere, callers, said in (
        ((), "", ""),
        (("ghcr.io", "other.test"), "", ""),
        (
            ("ghcr.io", "registry.test:5000", "registry.tset"),
            "",
            "there is a credential for registry.test:5000, and docker does not use it for registry.test: "
            "another port is another registry",
        ),
        (
            ("registry.test:5000",),
            "/home/ada/.docker/config.json",
            "/home/ada/.docker/config.json has a login for registry.test, and docker does not read it: "
            "sudo changed the home folder",
        ),
    ):
        assert near_miss(nobody("registry.test", *elsewhere)._replace(callers_config=callers)) == said, callers
