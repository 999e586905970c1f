"""What tests of HTTP share: certificates, and host names that stand for loopback."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from pushsafe.registry.http import retry
from tests.fakes.registry import Certificate, certificate

Names = Callable[..., None]


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), "registry.test", "other.test", "localhost")


@pytest.fixture
def trusted(signed: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The same certificate, its authority being one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(signed.authority))
    return signed


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Lets host names stand for this machine's loopback; every other name is unknown, and of `later.test` nobody
    knows now."""
    real = socket.getaddrinfo

    def give(*known: str) -> None:
        def look_up(host: Any, *args: Any, **options: Any) -> Any:
            if host in ("127.0.0.1", "localhost"):
                return real("127.0.0.1", *args, **options)
            if host in known:
                return real("127.0.0.1", *args, **options)
            if host == "later.test":
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return give


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every pause between two tries, none of which takes any time."""
    asked: list[float] = []
    monkeypatch.setattr(retry, "sleep", asked.append)
    monkeypatch.setattr(retry, "spread", lambda: 0.0)
    return asked


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default contexts as Python 3.13 makes them, on any Python: its own, and those that urllib3 makes unasked."""
    own, unasked = ssl.create_default_context, create_urllib3_context
    monkeypatch.setattr(ssl, "create_default_context", lambda *args, **more: as_strict(own(*args, **more)))
    name = "urllib3.connection.create_urllib3_context"
    monkeypatch.setattr(name, lambda *args, **more: as_strict(unasked(*args, **more)))


def as_strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
