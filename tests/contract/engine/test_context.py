"""The engine we find is the one that docker itself finds: by its own words, and by where it connects."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsafe.cli.plugin import split
from pushsafe.engine.context import config_dir, masked, parse_host, resolve
from pushsafe.model.errors import UsageError
from pushsafe.model.request import DockerFlags, EngineAddress
from tests.docker_client import needs_docker

SOCKET = "unix:///var/run/docker.sock"

# --------------------------------------------------------------------------- hosts

HOSTS = [
    ("", SOCKET),
    ("unix://", SOCKET),
    ("unix:///a b", "unix:///a b"),
    ("foo", "tcp://foo:2375"),
    ("foo:", "tcp://foo:2375"),
    ("foo/bar", "tcp://foo:2375/bar"),
    (":1234", "tcp://localhost:1234"),
    ("127.0.0.1:1234", "tcp://127.0.0.1:1234"),
    ("tcp://", "tcp://localhost:2375"),
    ("tcp://Foo", "tcp://Foo:2375"),
    (" tcp://x:1 ", "tcp://x:1"),
    ("tcp://x:1/p/q", "tcp://x:1/p/q"),
    ("tcp://x:1?q=1", "tcp://x:1"),
    ("tcp://u@x:1", "tcp://x:1"),
    ("tcp:///p", "tcp://localhost:2375/p"),
    ("tcp://[::1]:5", "tcp://[::1]:5"),
    ("tcp://[::1]:", "tcp://[::1]:2375"),
    ("::1", "tcp://[::1]:2375"),
    ("ssh://u@h:22/p", "ssh://u@h:22/p"),
]
BAD_HOSTS = [
    "tcp://[::1]",
    "tcp://x:abc",
    "tcp://x y:1",
    "tcp://unix://x",
    "unix://tcp://x",
    "TCP://x",
    "http://x",
    "udp://x",
    "://x",
]
# docker takes these here and fails when it connects.
BAD_LATER = ["tcp://x:0", "tcp://x:99999", "fd://", "npipe://", "npipe:////./pipe/docker_engine"]


@pytest.mark.parametrize(("given", "full"), HOSTS)
def test_host(given: str, full: str) -> None:
    assert parse_host(given) == full


def test_relative_socket_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_host("unix://x/s") == f"unix://{tmp_path}/x/s"


def test_default_with_tls() -> None:
    assert parse_host("", tls=True) == "tcp://localhost:2376"


@pytest.mark.parametrize("given", BAD_HOSTS + BAD_LATER)
def test_bad_host(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host(given)
    assert repr(given) in caught.value.message


def _docker(*words: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    keep = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["docker", *words], env=keep | environ, capture_output=True, text=True, timeout=20, check=False
    )


def _dockers_own(words: list[str], environ: dict[str, str]) -> dict[str, object] | None:
    """What docker says its default context is, or None where it refuses."""
    answer = _docker(*words, "context", "inspect", "default", environ=environ)
    if answer.returncode:
        return None
    (context,) = json.loads(answer.stdout)
    host = context["Endpoints"]["docker"]["Host"]
    return {
        "host": host,
        "skip": context["Endpoints"]["docker"]["SkipTLSVerify"],
        "files": sorted(context["TLSMaterial"].get("docker", [])),
    }


@needs_docker
@pytest.mark.parametrize("given", [given for given, _ in HOSTS] + BAD_HOSTS)
def test_host_as_docker_reads_it(given: str, tmp_path: Path) -> None:
    theirs = _dockers_own(["-H", given], {"HOME": str(tmp_path)})
    if theirs is None:
        with pytest.raises(UsageError):
            parse_host(given)
    else:
        assert parse_host(given) == theirs["host"]


# --------------------------------------------------------------------------- the default context and its TLS

TLS_CASES = [
    ("", {}),
    ("-H x", {}),
    ("--tls", {}),
    ("--tls -H x", {}),
    ("--tlsverify -H x", {}),
    ("--tlsverify=false -H x", {}),
    ("--tls=false -H x", {"DOCKER_TLS_VERIFY": "1"}),
    ("--tls=false -H x", {"DOCKER_TLS": "1"}),
    ("--tlsverify=false -H x", {"DOCKER_TLS_VERIFY": "1"}),
    ("-H x", {"DOCKER_TLS_VERIFY": "0"}),
    ("-H x", {"DOCKER_TLS_VERIFY": ""}),
    ("-H x", {"DOCKER_TLS": "1"}),
    ("", {"DOCKER_TLS": "1"}),
    ("", {"DOCKER_TLS": "1", "DOCKER_HOST": "y:1"}),
    ("--tls -H x", {"DOCKER_CERT_PATH": "{tmp}/all"}),
    ("--tls -H x", {"DOCKER_CERT_PATH": "{tmp}/ca-only"}),
    ("--tls -H x", {"DOCKER_CERT_PATH": "{tmp}/none"}),
    ("--tls -H x", {"DOCKER_CONFIG": "{tmp}/ca-only"}),
    # --config does not move the certificates.
    ("--tls -H x --config {tmp}/none", {}),
    ("--tls -H x --config {tmp}/all", {"DOCKER_CONFIG": "{tmp}/none"}),
    ("--tls -H x --tlscacert {tmp}/all/ca.pem", {"DOCKER_CERT_PATH": "{tmp}/none"}),
    ("--tls -H x --tlskey {tmp}/none/key.pem", {}),
    ("--tls -H x --tlscacert {tmp}/none/ca.pem", {}),
    ("--context default", {"DOCKER_HOST": "y:1"}),
    ("--context= -H x", {}),
    ("--config=", {"DOCKER_HOST": "y:1"}),
    ("-H=", {"DOCKER_HOST": "y:1"}),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder, names in {".docker": ("ca", "cert", "key"), "all": ("ca", "cert", "key"), "ca-only": ("ca",)}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.pem").write_text(f"{name} of {folder}")
    return tmp_path


@needs_docker
@pytest.mark.parametrize(("line", "environ"), TLS_CASES)
def test_default_context_as_docker_reads_it(line: str, environ: dict[str, str], home: Path) -> None:
    words = line.replace("{tmp}", str(home)).split()
    environ = {"HOME": str(home)} | {key: text.replace("{tmp}", str(home)) for key, text in environ.items()}
    theirs = _dockers_own(words, environ)
    flags = split(words, {}).flags
    if theirs is None:
        with pytest.raises(UsageError):
            resolve(flags, environ)
        return
    ours = resolve(flags, environ)
    assert ours.host == theirs["host"]
    if ours.host.startswith("tcp://"):
        files = [Path(file).name for file in (ours.ca_file, ours.cert_file, ours.key_file) if file]
        assert (ours.tls, not ours.tls_verify, sorted(files)) == (
            bool(theirs["files"]),
            theirs["skip"],
            theirs["files"],
        )


@pytest.mark.parametrize(
    ("line", "folder"), [("", "{home}/.docker"), ("--config x", "x"), ("--config=", "{home}/.docker")]
)
def test_config_dir(line: str, folder: str, tmp_path: Path) -> None:
    flags = split(line.split(), {}).flags
    assert config_dir(flags, {"HOME": str(tmp_path)}) == Path(folder.format(home=tmp_path))
    assert config_dir(flags, {"DOCKER_CONFIG": "/c"}) == (Path("x") if "x" in line else Path("/c"))


# --------------------------------------------------------------------------- precedence: who is really called


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Path, dict[str, int]]]:
    """A docker home with contexts `one` and `two` (the current one), and sockets that count who calls."""
    calls: dict[str, int] = {}
    servers = []
    for name in ("flag", "variable", "one", "two"):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / name))
        server.listen()
        servers.append(server)
        threading.Thread(target=_count, args=(server, name, calls), daemon=True).start()
    environ = {"HOME": str(tmp_path)}
    for name in ("one", "two"):
        _docker("context", "create", name, "--docker", f"host=unix://{tmp_path}/{name}", environ=environ)
    _docker("context", "use", "two", environ=environ)
    yield tmp_path, calls
    for server in servers:
        server.close()


def _count(server: socket.socket, name: str, calls: dict[str, int]) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return
        calls[name] = calls.get(name, 0) + 1


PRECEDENCE: list[tuple[str, dict[str, str], str, str]] = [
    ("", {}, "two", "the current context, two"),
    ("", {"DOCKER_CONTEXT": "one"}, "one", "DOCKER_CONTEXT=one"),
    ("", {"DOCKER_CONTEXT": ""}, "two", "the current context, two"),
    ("", {"DOCKER_CONTEXT": "one", "DOCKER_HOST": "unix://{home}/variable"}, "variable", "DOCKER_HOST"),
    ("--context default", {"DOCKER_HOST": "unix://{home}/variable"}, "variable", "DOCKER_HOST"),
    ("-c one", {"DOCKER_HOST": "unix://{home}/variable"}, "one", "--context one"),
    ("-H unix://{home}/flag", {"DOCKER_HOST": "unix://{home}/variable"}, "flag", "--host"),
    ("-H unix://{home}/flag", {"DOCKER_CONTEXT": "one"}, "flag", "--host"),
    ("--tls -H unix://{home}/flag --tlscacert {home}/.docker/config.json", {}, "flag", "--host"),
]


@needs_docker
@pytest.mark.parametrize(("line", "environ", "called", "origin"), PRECEDENCE)
def test_docker_calls_the_engine_that_we_name(
    line: str, environ: dict[str, str], called: str, origin: str, engines: tuple[Path, dict[str, int]]
) -> None:
    home, calls = engines
    words = line.replace("{home}", str(home)).split()
    environ = {"HOME": str(home)} | {key: text.replace("{home}", str(home)) for key, text in environ.items()}
    _docker(*words, "version", environ=environ)
    assert list(calls) == [called]
    address = resolve(split(words, {}).flags, environ)
    assert (address.host, address.origin) == (f"unix://{home}/{called}", origin)
    assert address.context == (called if called in ("one", "two") else None)
    assert not address.tls


@needs_docker
@pytest.mark.parametrize("line", ["-c one -H x", "-H x -H y", "-c missing", "-c ../one", "-c a"])
def test_both_refuse(line: str, engines: tuple[Path, dict[str, int]]) -> None:
    home, calls = engines
    environ = {"HOME": str(home)}
    assert _docker(*line.split(), "version", environ=environ).returncode != 0
    with pytest.raises(UsageError) as caught:
        resolve(split(line.split(), {}).flags, environ)
    assert caught.value.hint
    assert not calls


# --------------------------------------------------------------------------- stored contexts

NAME = "prod"


def _context(home: Path, meta: object, pem: tuple[str, ...] | None = None) -> Path:
    folder = hashlib.sha256(NAME.encode()).hexdigest()
    file = home / "contexts/meta" / folder / "meta.json"
    file.parent.mkdir(parents=True)
    file.write_text(meta if isinstance(meta, str) else json.dumps(meta))
    tls = home / "contexts/tls" / folder / "docker"
    if pem is not None:
        tls.mkdir(parents=True)
        for name in pem:
            (tls / f"{name}.pem").write_text(name)
    return tls


def _meta(**endpoint: object) -> dict[str, object]:
    return {"Name": NAME, "Metadata": {}, "Endpoints": {"docker": endpoint}}


@pytest.mark.parametrize(
    ("meta", "pem", "host", "tls", "verify", "files"),
    [
        (_meta(Host="tcp://h:2376"), ("ca", "cert", "key"), "tcp://h:2376", True, True, ("ca", "cert", "key")),
        (_meta(Host="tcp://h:2376"), ("ca",), "tcp://h:2376", True, True, ("ca",)),
        (_meta(Host="tcp://h:2376"), ("ca", "cert"), "tcp://h:2376", True, True, ("ca",)),
        (_meta(Host="tcp://h:2376", SkipTLSVerify=True), None, "tcp://h:2376", True, False, ()),
        (_meta(Host="tcp://h:2375", SkipTLSVerify=False), None, "tcp://h:2375", False, True, ()),
        (_meta(Host="tcp://h"), None, "tcp://h:80", False, True, ()),
        (_meta(Host="tcp://h"), ("ca",), "tcp://h:443", True, True, ("ca",)),
        (_meta(Host="unix:///s"), ("ca", "cert", "key"), "unix:///s", False, True, ()),
        (_meta(Host="ssh://u@h"), None, "ssh://u@h", False, True, ()),
        (_meta(), None, SOCKET, False, True, ()),
        ({"endpoints": {"docker": {"host": "unix:///s"}}}, None, "unix:///s", False, True, ()),
    ],
)
def test_stored_context(
    meta: object,
    pem: tuple[str, ...] | None,
    host: str,
    tls: bool,
    verify: bool,
    files: tuple[str, ...],
    tmp_path: Path,
) -> None:
    folder = _context(tmp_path, meta, pem)
    ca, cert, key = (str(folder / f"{name}.pem") if name in files else None for name in ("ca", "cert", "key"))
    found = resolve(DockerFlags(config=str(tmp_path), context=NAME), {})
    assert found == EngineAddress(host, f"--context {NAME}", NAME, tls, verify, ca, cert, key)


UNUSABLE: list[object] = ["", "{", "[]", {"Name": NAME}, {"Endpoints": {"kubernetes": {}}}]
UNUSABLE_HOSTS = [5, "h:2375", "npipe:////./pipe/dockerDesktopLinuxEngine", "fd://"]


@pytest.mark.parametrize("meta", [*UNUSABLE, *(_meta(Host=host) for host in UNUSABLE_HOSTS)])
def test_unusable_context(meta: object, tmp_path: Path) -> None:
    _context(tmp_path, meta)
    with pytest.raises(UsageError):
        resolve(DockerFlags(config=str(tmp_path), context=NAME), {})


@pytest.mark.parametrize("text", ["", "{}", '{"currentContext": ""}', '{"CURRENTcontext": null}'])
def test_no_current_context(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    assert resolve(DockerFlags(config=str(tmp_path)), {}) == EngineAddress(SOCKET, "docker's default")


CONFIGURATIONS: list[tuple[bytes, str | None]] = [
    (b"{", None),
    (b"[]x", None),
    (b"5", None),
    (b"[" * 100_000, None),
    (b"  \n", None),
    (b'{"currentContext": 5}', None),
    (b'{"currentContext": "one", "psFormat": "\xff"}', "one"),
    (b'{"CURRENTCONTEXT": "one"}', "one"),
]


@pytest.mark.parametrize(("data", "name"), CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
def test_current_context(data: bytes, name: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(data)
    flags = DockerFlags(config=str(tmp_path))
    if name is None:
        assert resolve(flags, {}).host == SOCKET
    else:
        with pytest.raises(UsageError, match=f"there is no docker context '{name}' \\(the current context, {name}"):
            resolve(flags, {})
    assert resolve(flags._replace(host=("x",)), {}).host == "tcp://x:2375"


@needs_docker
@pytest.mark.parametrize(("data", "name"), CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
def test_current_context_as_docker_reads_it(data: bytes, name: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(data)
    shown = _docker("--config", str(tmp_path), "context", "show", environ={"HOME": str(tmp_path)})
    assert shown.stdout.strip() == (name or "default")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON (Expecting property name enclosed in double quotes, line 1)"),
        ('{"currentContext": "one"} trailing', "it is not JSON (Extra data, line 1)"),
        ("[]", "it is not a JSON object"),
        ('{"currentContext": 5}', "the value of 'currentContext' is not of the kind that docker wants there"),
    ],
)
def test_a_file_that_is_not_read_is_named_with_the_engine(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    found = resolve(DockerFlags(config=str(tmp_path)), {})
    assert found.origin == f"docker's default, because {tmp_path}/config.json cannot be read: {why}"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pipe", "it is a pipe, not a regular file"),
        ("device", "it is a device, not a regular file"),
        ("large", "it is larger than 1024 KiB"),
    ],
)
def test_a_context_that_is_no_small_file(kind: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "contexts" / "meta" / hashlib.sha256(b"prod").hexdigest() / "meta.json"
    file.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "large":
            file.write_text(" " * (1 << 20) + "{}")
    with pytest.raises(UsageError) as caught:
        resolve(DockerFlags(config=str(tmp_path), context="prod"), {})
    assert caught.value.message == f"cannot read {file}: {why}"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_config_file_that_is_none_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    found = resolve(DockerFlags(config=str(tmp_path)), {})
    assert found.origin == f"docker's default, because {file} cannot be read: it is a {kind}, not a regular file"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("tcp://user:pw@host:1", "tcp://***@host:1"),
        ("https://token@host", "https://***@host"),
        ("ssh://user@host", "ssh://user@host"),
        ("ssh://user:p@w@host", "ssh://***@host"),
        ("user:p/w@host", "***@host"),
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
    ],
)
def test_a_password_is_masked(host: str, shown: str) -> None:
    assert masked(host) == shown
