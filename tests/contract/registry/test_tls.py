"""Whom TLS trusts, and what the engine's certs.d folder adds for one registry."""

from __future__ import annotations

import errno
import os
import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization

from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.registry.auth import fetch_token
from pushsafe.registry.http import tls, transport
from pushsafe.registry.http.tls import NO_CERTIFICATES, Certificates, certificates, certs_d
from pushsafe.registry.http.transport import Transport
from pushsafe.registry.responses import Challenge
from tests.contract.registry.conftest import Names, as_strict
from tests.fakes.registry import Answer, Certificate, FakeRegistry, certificate, on, ping, redirect

pytestmark = pytest.mark.usefixtures("no_proxy")


# --------------------------------------------------------------------------- the system's authorities


@pytest.mark.parametrize("strict", [True, False], ids=["with key identifiers", "without"])
def test_the_certificates_of_these_tests(
    strict: bool, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 takes the one and refuses the other: what the tests below rely on."""
    files = certificate(tmp_path, "registry.test", strict=strict)
    context = as_strict(ssl.create_default_context(cafile=str(files.authority)))
    names("registry.test")
    with FakeRegistry(ping(), certificate=files) as registry:
        pool = urllib3.PoolManager(ssl_context=context, retries=False)
        if strict:
            assert pool.request("GET", f"https://registry.test:{registry.port}/v2/").status == 200
        else:
            with pytest.raises(urllib3.exceptions.SSLError, match=r"(?i)key identifier"):
                pool.request("GET", f"https://registry.test:{registry.port}/v2/")


@pytest.mark.usefixtures("strict_python")
@pytest.mark.parametrize("redirected", [False, True], ids=["straight", "redirected from plain HTTP"])
def test_an_authority_that_docker_takes_is_taken(
    redirected: bool, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "registry.test", strict=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    names("registry.test")
    with FakeRegistry(ping(), certificate=files) as registry:
        url = f"https://registry.test:{registry.port}/v2/"
        with FakeRegistry(on("GET", "/", redirect(url))) as plain:
            if redirected:
                assert Transport().send("GET", f"{plain.base}/", follow=True).status == 200
            assert Transport().send("GET", url).status == 200


def test_plain_http_reads_no_authorities(monkeypatch: pytest.MonkeyPatch, signed: Certificate) -> None:
    made: list[bool] = []
    real = tls.context

    def make(*, verify: bool, certificates: Certificates) -> ssl.SSLContext:
        made.append(verify)
        return real(verify=verify, certificates=certificates)

    monkeypatch.setattr(tls, "context", make)
    with FakeRegistry(ping()) as plain, FakeRegistry(ping(), certificate=signed) as secure:
        spoken = Transport(certificate_folders=())
        spoken.endpoint(plain.host)
        assert made == []
        for host in (secure.host, secure.host, f"localhost:{secure.port}"):
            spoken.send("GET", f"https://{host}/v2/", verify=False)
        assert made == [False]  # one for all hosts


@pytest.mark.parametrize(
    ("variable", "fits"), [("SSL_CERT_FILE", True), ("SSL_CERT_DIR", True), ("SSL_CERT_OTHER", False)]
)
def test_authorities_of_the_environment(
    variable: str, fits: bool, signed: Certificate, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's files need no hash for a name, and those that are no certificates do not matter, as for Go."""
    names("registry.test")
    (tmp_path / "a.txt").write_text("not a certificate")
    shutil.copy(signed.authority, tmp_path / "ours.pem")
    folders = f"/no/such/folder:{tmp_path}"
    monkeypatch.setenv(variable, folders if variable.endswith("DIR") else str(signed.authority))
    with FakeRegistry(ping(), certificate=signed) as registry:
        name = f"registry.test:{registry.port}"
        if fits:
            assert Transport().endpoint(name).verify
        else:
            with pytest.raises(RegistryUnreachable, match=r"the certificate (is self-signed|comes from an authority)"):
                Transport().endpoint(name)


# --------------------------------------------------------------------------- what certs.d holds

HELD = {
    "nothing": ([], ([], [])),
    "an authority": (["ca.crt"], (["ca.crt"], [])),
    "several": (["b.crt", "a.crt"], (["a.crt", "b.crt"], [])),
    "a client": (["c.cert", "c.key"], ([], ["c.cert"])),
    "everything": (["ca.crt", "b.key", "b.cert", "a.key", "a.cert"], (["ca.crt"], ["a.cert", "b.cert"])),
    "other files": (["README", "ca.pem", "crt", "cert", "hosts.toml"], ([], [])),
}
HALVES = {
    "no key": (["ca.crt", "c.cert"], "missing key c.key for client certificate c.cert (an authority's is *.crt)"),
    "no certificate": (["c.key"], "missing client certificate c.cert for key c.key"),
    "two stems": (["c.key", "c.cert", "d.key"], "missing client certificate d.cert for key d.key"),
    "an authority is no client": (["c.crt", "c.key"], "missing client certificate c.cert for key c.key"),
}


def folder(root: Path, registry: str, *files: str) -> Path:
    made = root / registry
    made.mkdir(parents=True)
    for file in files:
        (made / file).touch()
    return made


@pytest.mark.parametrize(("files", "expected"), HELD.values(), ids=HELD)
def test_what_a_folder_holds(files: list[str], expected: tuple[list[str], list[str]], tmp_path: Path) -> None:
    folder(tmp_path, "registry.test:5000", *files)
    found = certificates("registry.test:5000", [tmp_path])
    assert [file.name for file in found.authorities] == expected[0]
    assert [certificate.name for certificate, _ in found.clients] == expected[1]
    assert all(certificate.with_suffix(".key") == key for certificate, key in found.clients)


@pytest.mark.parametrize(("files", "said"), HALVES.values(), ids=HALVES)
def test_half_a_pair_is_named(files: list[str], said: str, tmp_path: Path) -> None:
    here = folder(tmp_path, "registry.test", *files)
    with pytest.raises(RegistryUnreachable) as caught:
        certificates("registry.test", [tmp_path])
    assert caught.value.message == f"{here}: {said}"


@pytest.mark.parametrize("name", ["registry.test", "registry.test:5001", "other.test:5000"])
def test_a_folder_is_of_one_name_and_port(name: str, tmp_path: Path) -> None:
    folder(tmp_path, "registry.test:5000", "ca.crt", "half.key")
    assert certificates(name, [tmp_path]) == NO_CERTIFICATES


def test_the_first_folder_that_knows_a_registry_counts(tmp_path: Path) -> None:
    rootless, rootful = tmp_path / "home", tmp_path / "etc"
    folder(rootful, "registry.test", "etc.crt")
    folder(rootful, "other.test", "etc.crt")
    folder(rootless, "registry.test", "home.crt")
    found = [certificates(name, [rootless, rootful]).authorities for name in ("registry.test", "other.test")]
    assert found == [(rootless / "registry.test/home.crt",), (rootful / "other.test/etc.crt",)]


@pytest.mark.parametrize(
    ("config", "rootless"), [("/conf", "/conf/docker/certs.d"), ("", "/home/ada/.config/docker/certs.d")]
)
def test_where_engines_look(config: str, rootless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert certs_d({"XDG_CONFIG_HOME": config}) == (Path(rootless), Path("/etc/docker/certs.d"))


# --------------------------------------------------------------------------- what certs.d does


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("client"), subject="ada's machine")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("stranger"), subject="another machine")


Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Makes the folder of a registry, of files by name."""

    def make(registry: str, **files: Path) -> Path:
        here = tmp_path / registry
        here.mkdir()
        for name, file in files.items():
            shutil.copy(file, here / name.replace("_", "."))
        return here

    return make


@pytest.mark.parametrize("held", ["authority", "chain"])
def test_what_a_folder_holds_is_trusted(
    held: str, signed: Certificate, names: Names, fill: Fill, tmp_path: Path
) -> None:
    """The authority, or the registry's own certificate alone, which Go takes for one."""
    names("registry.test", "other.test")
    with FakeRegistry(ping(), certificate=signed) as registry:
        fill(f"registry.test:{registry.port}", ca_crt=getattr(signed, held))
        spoken = Transport(certificate_folders=[tmp_path])
        assert spoken.endpoint(f"registry.test:{registry.port}").verify
        with pytest.raises(RegistryUnreachable, match=r"the certificate (is self-signed|comes from an authority)"):
            spoken.endpoint(f"other.test:{registry.port}")


def test_the_systems_authorities_stay(
    trusted: Certificate, client: Certificate, names: Names, fill: Fill, tmp_path: Path
) -> None:
    names("registry.test")
    with FakeRegistry(ping(), certificate=trusted) as registry:
        fill(f"registry.test:{registry.port}", another_crt=client.authority)
        assert Transport(certificate_folders=[tmp_path]).endpoint(f"registry.test:{registry.port}").verify


def test_the_folder_is_the_engines_machines(signed: Certificate, names: Names, fill: Fill, tmp_path: Path) -> None:
    names("registry.test")
    with FakeRegistry(certificate=signed) as registry:
        fill(f"registry.test:{registry.port}", ca_crt=signed.authority, half_key=signed.key)
        with pytest.raises(RegistryUnreachable, match=r"the certificate (is self-signed|comes from an authority)"):
            Transport(engine_is_local=lambda: False, certificate_folders=[tmp_path]).endpoint(
                f"registry.test:{registry.port}"
            )


def test_the_hub_has_the_folder_of_its_name(tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.01)
    here = fill("docker.io", half_key=Path("/dev/null"))
    for url, registry in [("https://registry-1.docker.io/v2/", ""), ("https://auth.test/token", "docker.io")]:
        with pytest.raises(RegistryUnreachable, match=re.escape(f"{here}: missing client certificate")):
            Transport(certificate_folders=[tmp_path]).send("GET", url, registry=registry)


@pytest.mark.parametrize("verify", [True, False], ids=["verified", "insecure"])
@pytest.mark.parametrize("files", [["c"], ["b", "c"], []], ids=["one", "the first of two", "none"])
def test_a_client_certificate_is_shown(
    files: list[str],
    verify: bool,
    signed: Certificate,
    client: Certificate,
    stranger: Certificate,
    names: Names,
    fill: Fill,
    tmp_path: Path,
) -> None:
    names("registry.test")
    owned = dict(zip(files, (client, stranger), strict=False))
    pairs = {f"{name}_{kind}": getattr(one, part) for name, one in owned.items()
             for kind, part in (("cert", "chain"), ("key", "key"))}  # fmt: skip
    with FakeRegistry(ping(), certificate=signed, clients=client.authority) as registry:
        name = f"registry.test:{registry.port}"
        fill(name, ca_crt=signed.authority, **pairs)
        Transport(certificate_folders=[tmp_path]).send("GET", f"https://{name}/v2/", verify=verify)
        assert [request.client for request in registry.requests] == ["ada's machine" if files else ""]


@pytest.mark.parametrize("way", ["token server", "redirect", "token server's redirect"])
@pytest.mark.parametrize("host", ["registry.test", "other.test"], ids=["another port", "another host"])
def test_another_host_is_trusted_alike_and_shown_no_client_certificate(
    way: str, host: str, signed: Certificate, client: Certificate, names: Names, fill: Fill, tmp_path: Path
) -> None:
    names("registry.test", "other.test")
    token = Answer(200, {"token": "opaque"})
    with (
        FakeRegistry(on("GET", "/end", token), certificate=signed, clients=client.authority) as other,
        FakeRegistry(
            ping(), on("GET", "/start", redirect(f"https://{host}:{other.port}/end")),
            certificate=signed, clients=client.authority,
        ) as registry,
    ):  # fmt: skip
        name = f"registry.test:{registry.port}"
        fill(name, ca_crt=signed.authority, c_cert=client.chain, c_key=client.key)
        spoken = Transport(certificate_folders=[tmp_path])
        endpoint = spoken.endpoint(name)
        if way == "redirect":
            assert spoken.send("GET", f"https://{name}/start", follow=True).status == 200
        else:
            realm = f"https://{host}:{other.port}/end" if way == "token server" else f"https://{name}/start"
            who = LOGIN if way == "token server" else None
            assert fetch_token(spoken, endpoint, Challenge("bearer", {"realm": realm}), ("s",), "a", who).value
        assert {request.client for request in registry.requests} == {"ada's machine"}
        assert [request.client for request in other.requests] == [""]


LOGIN = Credential(
    "registry.test",
    "registry.test",
    CredentialSource(SourceKind.FILE, "f"),
    CredentialKind.BASIC,
    "ada",
    Secret("hunter2!"),
)


def locked(key: Path, to: Path) -> None:
    """The same key behind a password."""
    read = serialization.load_pem_private_key(key.read_bytes(), None)
    locking = serialization.BestAvailableEncryption(b"secret")
    to.write_bytes(read.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locking))


def unreadable(file: Path) -> None:
    """A link to itself: root reads what nobody may."""
    file.unlink()
    file.symlink_to(file)


LOOP = os.strerror(errno.ELOOP).lower()
UNUSABLE: dict[str, tuple[str, str]] = {
    "authority: text": ("ca.crt", "holds no certificate that can be read"),
    "authority: unreadable": ("ca.crt", LOOP),
    "certificate: text": ("c.cert", "no client certificate that c.key is the key of"),
    "certificate: unreadable": ("c.cert", LOOP),
    "key: text": ("c.key", "no client certificate that c.key is the key of"),
    "key: another's": ("c.key", "no client certificate that c.key is the key of"),
    "key: locked": ("c.key", "no client certificate that c.key is the key of"),
    "key: unreadable": ("c.key", LOOP),
    "authority: pipe": ("ca.crt", "it is a pipe, not a regular file"),
    "certificate: pipe": ("c.cert", "it is a pipe, not a regular file"),
    "key: pipe": ("c.key", "it is a pipe, not a regular file"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_file_that_cannot_be_used_is_named(
    case: str, signed: Certificate, client: Certificate, names: Names, fill: Fill, tmp_path: Path
) -> None:
    names("registry.test")
    file, said = UNUSABLE[case]
    with FakeRegistry(certificate=signed) as registry:
        name = f"registry.test:{registry.port}"
        here = fill(name, ca_crt=signed.authority, c_cert=client.chain, c_key=client.key)
        match case.partition(": ")[2]:
            case "text":
                (here / file).write_text("neither certificate nor key")
            case "another's":
                shutil.copy(signed.key, here / file)
            case "locked":
                locked(client.key, here / file)
            case "pipe":
                (here / file).unlink()
                os.mkfifo(here / file)
            case _:
                unreadable(here / file)
        with pytest.raises(RegistryUnreachable) as caught:
            Transport(certificate_folders=[tmp_path]).endpoint(name)
    named = "c.cert" if said.startswith("no client") else file
    assert caught.value.message == f"{here / named}: {said}"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_pipe_among_the_authorities_keeps_nobody_waiting(
    variable: str, signed: Certificate, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names("registry.test")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv(variable, str(tmp_path / "pipe" if variable == "SSL_CERT_FILE" else tmp_path))
    with FakeRegistry(certificate=signed) as registry, pytest.raises(RegistryUnreachable) as caught:
        Transport().endpoint(f"registry.test:{registry.port}")
    assert ("it is a pipe" in caught.value.message) == (variable == "SSL_CERT_FILE")


def test_plain_http_does_not_ask_the_folder(fill: Fill, tmp_path: Path) -> None:
    with FakeRegistry(ping()) as registry:
        fill(registry.host, half_key=Path("/dev/null"))
        assert Transport(certificate_folders=[tmp_path]).endpoint(registry.host).base == registry.base
