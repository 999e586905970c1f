"""Short ways to write the values that tests are made of."""

from __future__ import annotations

from pushsafe.model.credentials import Credential, CredentialSource, Secret, SourceKind
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference, parse

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def ref(text: str) -> Reference:
    found = parse(text)
    assert isinstance(found, Reference), found
    return found


def sha(digit: str) -> str:
    """A digest made of one hexadecimal digit."""
    return f"sha256:{digit * 64}"


def logged_in(
    registry: str = "registry.test", user: str = "ada", secret: str = "hunter2!", expires: float | None = None
) -> Credential:
    source = CredentialSource(SourceKind.FILE, "/home/ada/.docker/config.json")
    return Credential(registry, registry, source, username=user, secret=Secret(secret), expires=expires)


def nobody(registry: str = "registry.test", *elsewhere: str) -> Credential:
    """No credential for this registry; `elsewhere` are the servers for which there is one."""
    return Credential(registry, registry, CredentialSource(SourceKind.NONE), elsewhere=elsewhere)


def broken(registry: str = "registry.test") -> Credential:
    source = CredentialSource(SourceKind.BROKEN, "docker-credential-desktop", "not found in PATH")
    return Credential(registry, registry, source)


def said(message: str) -> Evidence:
    """The engine's own words at the end of a refused push."""
    return Evidence(Stage.PUSH, message)
