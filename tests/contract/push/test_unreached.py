"""What it comes to where a registry cannot be used from here, and what to do then."""

from __future__ import annotations

import pytest

from pushsafe.model.errors import ProxyAnswers, RegistryAstray, RegistryFailed, RegistryUnreachable, TlsFailed
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import FailureKind
from pushsafe.push.preflight import unreached
from tests.values import ref

# The error, what kind of failure it is, and what the first thing to do says.
ERRORS: dict[str, tuple[RegistryUnreachable, FailureKind, str]] = {
    "away": (RegistryUnreachable("connection refused"), FailureKind.NETWORK, "again, in a while"),
    "a proxy": (
        ProxyAnswers("what answers through the proxy sends 502"),
        FailureKind.NETWORK,
        'export NO_PROXY="$NO_PROXY,registry.test"',
    ),
    "an odd token server": (
        RegistryFailed("it holds no token"),
        FailureKind.REGISTRY_ERROR,
        "docker pushsafe diagnose",
    ),
    "another address": (
        RegistryAstray("it sends uploads to x"),
        FailureKind.REGISTRY_ERROR,
        "Host and X-Forwarded-Proto",
    ),
    "an authority": (
        TlsFailed("the certificate comes from an authority that this machine does not trust"),
        FailureKind.TLS,
        "/etc/docker/certs.d/registry.test/",
    ),
    "a certificate": (TlsFailed("it has expired"), FailureKind.TLS, "-dates"),
    "no certificate": (TlsFailed("plain HTTP", no_tls=True), FailureKind.TLS, "insecure-registries"),
}


@pytest.mark.parametrize(("error", "kind", "todo"), ERRORS.values(), ids=ERRORS)
def test_what_it_comes_to(error: RegistryUnreachable, kind: FailureKind, todo: str) -> None:
    found = unreached(Facts(ref("registry.test/team/app:1")), error)
    assert (found.kind, found.message) == (kind, error.message)
    assert todo in found.next[0]
    assert "docker login" not in "".join(found.next)
    assert ("in a while" in "".join(found.next)) is (type(error) is RegistryUnreachable)
