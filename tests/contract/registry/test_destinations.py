"""Where a registry may lead: by what a URL says, and by where a connection gets to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from pushsafe.model.errors import RegistryAstray, RegistryUnreachable
from pushsafe.registry.auth import fetch_token
from pushsafe.registry.http import connection as connections
from pushsafe.registry.http.destinations import Destinations, Lead, Reach, reach_of, reach_of_peer, written
from pushsafe.registry.http.transport import Endpoint, Response, Transport
from pushsafe.registry.responses import Challenge
from tests.contract.registry.conftest import Names
from tests.fakes.registry import FakeRegistry, on, ping, redirect

pytestmark = pytest.mark.usefixtures("no_proxy")

ADDRESSES = {
    "8.8.8.8": Reach.ANYBODY,
    "2606:4700::1111": Reach.ANYBODY,
    "10.0.0.1": Reach.NETWORK,
    "172.17.0.2": Reach.NETWORK,
    "192.168.1.1": Reach.NETWORK,
    "100.64.0.1": Reach.NETWORK,  # a carrier's, RFC 6598
    "fd00::1": Reach.NETWORK,
    "224.0.0.1": Reach.NETWORK,
    "255.255.255.255": Reach.NETWORK,
    "127.0.0.1": Reach.MACHINE,
    "127.8.8.8": Reach.MACHINE,
    "0.0.0.0": Reach.MACHINE,
    "::1": Reach.MACHINE,
    "::": Reach.MACHINE,
    "169.254.169.254": Reach.LINK,
    "fe80::1": Reach.LINK,
    "fe80::1%eth0": Reach.LINK,
    "fd00:ec2::254": Reach.LINK,
    "100.100.100.200": Reach.LINK,
    "168.63.129.16": Reach.LINK,
    "::ffff:169.254.169.254": Reach.LINK,
    "::ffff:127.0.0.1": Reach.MACHINE,
    "64:ff9b::a9fe:a9fe": Reach.LINK,
    "64:ff9b::808:808": Reach.ANYBODY,
}


def test_a_connection_that_is_closed_already_is_a_dropped_one() -> None:
    with socket.socket() as never_connected, pytest.raises(ConnectionResetError, match="reset by peer"):
        reach_of_peer(never_connected)


@pytest.mark.parametrize(("address", "reach"), ADDRESSES.items())
def test_addresses(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


HOSTS = {
    "http://169.254.169.254/latest/": Reach.LINK,
    "https://[fe80::1%25eth0]:5000/": Reach.LINK,
    "https://[::ffff:a9fe:a9fe]/": Reach.LINK,
    "http://2852039166/": Reach.LINK,
    "http://0xa9.0376.43518/": Reach.LINK,
    "http://127.1:8080/": Reach.MACHINE,
    "http://0/": Reach.MACHINE,
    "http://LOCALHOST:80/": Reach.MACHINE,
    "http://localhost./": Reach.MACHINE,
    "http://db.localhost/": Reach.MACHINE,
    "http://user@10.1.2.3/": Reach.NETWORK,
    "https://storage.test/": None,
    "https://localhost.test/": None,
    "https://10.1.2.3.test/": None,
}


@pytest.mark.parametrize(("url", "reach"), HOSTS.items())
def test_hosts_as_they_are_written(url: str, reach: Reach | None) -> None:
    assert written(url) is reach


A, N, M, L = Reach.ANYBODY, Reach.NETWORK, Reach.MACHINE, Reach.LINK
LED = {(A, A), (N, A), (M, A), (L, A), (N, N), (M, N), (L, N), (M, M), (L, L)}


@pytest.mark.parametrize("server", Reach)
@pytest.mark.parametrize("target", Reach)
@pytest.mark.parametrize("url", ["https://storage.test/", "http://storage.test/"])
def test_nothing_leads_nearer_than_the_registry_is_itself(server: Reach, target: Reach, url: str) -> None:
    known = Destinations()
    known.met("registry.test:5000", server)
    known.met("registry.test:5000", Reach.LINK)  # where it is found the first time counts
    lead = Lead("registry.test:5000", f"{url[:-13]}registry.test:5000/v2/", "redirects to")
    if (server, target) in LED:
        known.require(lead, url, target)
        return
    with pytest.raises(RegistryAstray) as caught:
        known.require(lead, url, target)
    origin = url.removesuffix("/")
    assert caught.value.message == (
        f"{origin.replace('storage.test', 'registry.test:5000')} redirects to {origin}, which is not its own address: "
        f"it is {target.value}, where registry.test:5000 itself is not"
    )


@pytest.mark.parametrize(
    ("by", "url", "led"),
    [
        ("https://registry.test/v2/", "http://registry.test/v2/", False),
        ("HTTPS://registry.test/v2/", "HTTP://registry.test/v2/", False),
        ("https://registry.test/v2/", "https://registry.test/v2/", True),
        ("http://registry.test/v2/", "http://storage.test/", True),
        ("http://registry.test/v2/", "https://storage.test/", True),
    ],
)
def test_no_lead_from_https_into_the_clear(by: str, url: str, led: bool) -> None:
    known, lead = Destinations(), Lead("registry.test", by, "sends uploads to")
    known.met("registry.test", Reach.MACHINE)
    if led:
        known.require(lead, url)
    else:
        with pytest.raises(RegistryAstray, match="plain HTTP"):
            known.require(lead, url)


PROXIED = {
    "of a private network": (["10.0.0.1"], Reach.NETWORK, True),
    "of both": (["10.0.0.1", "8.8.8.8"], Reach.NETWORK, False),
    "public": (["8.8.8.8"], Reach.NETWORK, False),
    "that nobody knows here": ([], Reach.NETWORK, False),
    "of this machine": (["127.0.0.1"], Reach.LINK, False),
}


@pytest.mark.parametrize(("addresses", "target", "led"), PROXIED.values(), ids=PROXIED)
def test_a_registry_behind_a_proxy_is_where_its_name_says(
    addresses: list[str], target: Reach, led: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(_host: str, _port: None) -> list[tuple[Any, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    lead = Lead("registry.test:5000", "https://registry.test:5000/v2/", "redirects to")
    if led:
        Destinations().require(lead, "https://storage.test/", target)
    else:
        with pytest.raises(RegistryAstray):
            Destinations().require(lead, "https://storage.test/", target)


# ---------------------------------------------------------------------- by where a connection gets to

Placed = Callable[..., None]


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    """Lets ports of this machine be somewhere else."""

    def place(**reaches: Reach) -> None:
        def reach_of_peer(connection: socket.socket) -> Reach:
            return reaches[f"p{connection.getpeername()[1]}"]

        monkeypatch.setattr(connections, "reach_of_peer", reach_of_peer)

    return place


MET = {
    "a public registry's storage": (A, A, True),
    "a private registry's storage": (N, N, True),
    "a name that stands for this machine": (A, M, False),
    "a name that stands for a private address": (A, N, False),
    "a name that stands for a metadata service": (N, L, False),
}


@pytest.mark.parametrize(("server", "target", "led"), MET.values(), ids=MET)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_by_the_address_behind_a_name(
    server: Reach, target: Reach, led: bool, method: str, placed: Placed, names: Names
) -> None:
    names("registry.test", "storage.test")
    with FakeRegistry(on("GET|HEAD", "/there")) as storage:
        to = redirect(f"http://storage.test:{storage.port}/there")
        with FakeRegistry(on("GET|HEAD", "/here", to)) as registry:
            placed(**{f"p{registry.port}": server, f"p{storage.port}": target})
            here = f"http://registry.test:{registry.port}/here"
            if led:
                assert Transport().send(method, here, follow=True).status == 200
                return
            with pytest.raises(RegistryAstray, match=f"redirects to http://storage.test:{storage.port}, .* itself is"):
                Transport().send(method, here, follow=True)
        assert storage.requests == []


def test_a_connection_that_was_kept_is_looked_at_again(placed: Placed, names: Names) -> None:
    """The storage is a registry of the run itself: who named it may speak to it; another one may not lead there."""
    names("registry.test", "storage.test")
    with FakeRegistry(ping(), on("GET", "/there")) as storage:
        to = redirect(f"http://storage.test:{storage.port}/there")
        with FakeRegistry(on("GET", "/here", to)) as registry:
            placed(**{f"p{registry.port}": A, f"p{storage.port}": N})
            spoken = Transport()
            assert spoken.send("GET", f"http://storage.test:{storage.port}/v2/").status == 200
            with pytest.raises(RegistryAstray):
                spoken.send("GET", f"http://registry.test:{registry.port}/here", follow=True)
            assert spoken.send("GET", f"http://storage.test:{storage.port}/v2/").status == 200
        assert storage.seen() == ["GET /v2/", "GET /v2/"]


def test_a_token_server_by_the_address_behind_its_name(placed: Placed, names: Names) -> None:
    """Asked as nobody, too: what it answers would be sent to the registry as a token."""
    names("registry.test", "tokens.test")
    with FakeRegistry() as tokens, FakeRegistry(ping()) as registry:
        placed(**{f"p{registry.port}": A, f"p{tokens.port}": L})
        spoken, base = Transport(), f"http://registry.test:{registry.port}"
        assert spoken.send("GET", f"{base}/v2/").status == 200
        place = Endpoint(f"registry.test:{registry.port}", base, True, Response(401, {}, b""))
        challenge = Challenge("bearer", {"realm": f"http://tokens.test:{tokens.port}/token"})
        with pytest.raises(RegistryAstray, match=f"names the token server http://tokens.test:{tokens.port}, "):
            fetch_token(spoken, place, challenge, ("s",), "acme/app", None)
        assert tokens.requests == []


def test_a_written_address_is_not_even_connected_to(names: Names) -> None:
    to = redirect("http://169.254.169.254/latest/meta-data/")
    with (
        FakeRegistry(on("GET", "/", to)) as registry,
        pytest.raises(RegistryAstray, match=r"http://169\.254\.169\.254, "),
    ):
        Transport().send("GET", f"{registry.base}/", follow=True)


@pytest.mark.parametrize(
    ("ours", "peer", "reach"),
    [
        ("192.168.1.5", "192.168.1.6", Reach.NETWORK),
        ("192.168.1.5", "192.168.1.5", Reach.MACHINE),
        ("203.0.114.5", "203.0.114.5", Reach.MACHINE),
        ("127.0.0.1", "127.0.0.2", Reach.MACHINE),
        ("169.254.1.1", "169.254.1.1", Reach.LINK),
    ],
)
def test_a_connection_to_an_own_address_stays_on_this_machine(ours: str, peer: str, reach: Reach) -> None:
    class Connection:
        def getsockname(self) -> tuple[str, int]:
            return ours, 40000

        def getpeername(self) -> tuple[str, int]:
            return peer, 443

    assert reach_of_peer(cast(socket.socket, Connection())) is reach


# ---------------------------------------------------------------------- knocking


@pytest.mark.parametrize("method", ["dead", "alive"])
def test_a_knock_sends_nothing(method: str) -> None:
    with FakeRegistry(ping()) as registry, FakeRegistry() as other:
        spoken = Transport()
        spoken.endpoint(registry.host)
        port = 9 if method == "dead" else other.port
        lead = Lead(registry.host, f"{registry.base}/v2/", "sends uploads to")
        if method == "alive":
            spoken.knock(f"http://127.0.0.1:{port}/u", registry=registry.host, lead=lead)
        else:
            with pytest.raises(RegistryUnreachable, match="connection refused"):
                spoken.knock(f"http://127.0.0.1:{port}/u", registry=registry.host, lead=lead)
        assert other.requests == []
