"""From docker's configuration to the credential docker would send, without docker."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import docker.auth
import pytest

from pushsafe.credentials import helper as credential_helper
from pushsafe.credentials.config_file import MalformedError, hostname, parse_environment, parse_file
from pushsafe.credentials.store import CredentialStore, auth_config
from pushsafe.model.credentials import Credential, CredentialKind, SourceKind
from pushsafe.model.errors import UsageError
from tests.contract.credentials.cases import AUTH, GOOD, GROUPS, HUB_KEY, NOTHING, REGISTRY, Case, b64, helper
from tests.contract.credentials.forms import FORM_GROUPS
from tests.fakes.serving import RecordedRequest

ROOT = Path(__file__).parents[3]
HERE = {"auths": {REGISTRY: AUTH}}
SECRETS = ("by-file", "by-helper", "by-env", "a-token", AUTH["auth"])


def store(directory: Path, config: object, **more: Mapping[str, str]) -> CredentialStore:
    case = Case("", config, None, SourceKind.NONE, environ=more.get("environ", {}), helpers=more.get("helpers", {}))
    return CredentialStore(*case.prepare(directory))


def fake(script: str) -> dict[str, str]:
    return {"docker-credential-fake": script}


# ------------------------------------------------------------------- the table


@pytest.mark.parametrize("cases", [*GROUPS.values(), *FORM_GROUPS.values()], ids=[*GROUPS, *FORM_GROUPS])
def test_source_and_header(cases: tuple[Case, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, case in enumerate(cases):
        directory = tmp_path / str(number)
        directory.mkdir()
        store = CredentialStore(*case.prepare(directory))
        credential = store.lookup(case.registry)
        source = credential.source
        assert source.kind is case.source, case.name
        assert credential.present == (case.source not in (SourceKind.NONE, SourceKind.BROKEN)), case.name
        expected = {name: value for name, value in (case.sent or {}).items() if value}
        assert auth_config(credential) == expected, case.name
        # As it goes out, by way of docker-py.
        header = docker.auth.encode_header(auth_config(credential)).decode()
        assert RecordedRequest("POST", "/", {}, {"x-registry-auth": header}, b"").auth == expected, case.name

        shown = f"{credential!r} {credential} {source} {store!r} {store.warnings}".replace(str(tmp_path), "")
        assert [secret for secret in SECRETS if secret in shown + capfd.readouterr().out] == [], case.name
        if case.source is SourceKind.BROKEN:
            files = (str(directory / "config/config.json"), "docker-credential-fake", "DOCKER_AUTH_CONFIG")
            assert source.name in files, case.name
            assert source.problem, case.name


def test_a_link_and_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    config_dir, environ = Case("", HERE, None, SourceKind.FILE).prepare(tmp_path)
    file = config_dir / "config.json"
    for mode in (0o400, 0o600, 0o644):
        file.chmod(mode)
        assert CredentialStore(config_dir, environ).lookup(REGISTRY).secret.reveal() == "by-file", mode
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to("../elsewhere.json")
    assert CredentialStore(config_dir, environ).lookup(REGISTRY).secret.reveal() == "by-file"


# ------------------------------------------------------------- the credential


@pytest.mark.parametrize(
    ("entry", "kind", "username", "secret"),
    [
        (AUTH, CredentialKind.BASIC, "user", "by-file"),
        ({"auth": b64("0000:"), "identitytoken": "t"}, CredentialKind.IDENTITY_TOKEN, "0000", "t"),
        ({"registrytoken": "t"}, CredentialKind.REGISTRY_TOKEN, "", "t"),
        ({**AUTH, "identitytoken": "t"}, CredentialKind.IDENTITY_TOKEN, "user", "t"),
        ({**AUTH, "identitytoken": "t", "registrytoken": "r"}, CredentialKind.REGISTRY_TOKEN, "user", "r"),
    ],
)
def test_kind(entry: object, kind: CredentialKind, username: str, secret: str, tmp_path: Path) -> None:
    found = store(tmp_path, {"auths": {REGISTRY: entry}}).lookup(REGISTRY)
    assert (found.kind, found.username, found.secret.reveal()) == (kind, username, secret)


@pytest.mark.parametrize(
    ("registry", "auths", "key"),
    [
        ("docker.io", {}, HUB_KEY),
        ("index.docker.io", {}, HUB_KEY),
        ("registry-1.docker.io", {}, "registry-1.docker.io"),
        ("ghcr.io", {"ghcr.io": AUTH}, "ghcr.io"),
        ("ghcr.io", {"https://ghcr.io/v1/": AUTH}, "https://ghcr.io/v1/"),
    ],
)
def test_key(registry: str, auths: object, key: str, tmp_path: Path) -> None:
    assert store(tmp_path, {"auths": auths}).lookup(registry).key == key


def test_expiry_comes_from_the_secret(tmp_path: Path) -> None:
    token = f"e30.{b64(json.dumps({'exp': 1_800_000_000})).rstrip('=')}.x"
    found = store(tmp_path, {"auths": {REGISTRY: {"auth": b64(f"0000:{token}")}}}).lookup(REGISTRY)
    assert found.expires == 1_800_000_000


# ------------------------------------------------------------------- elsewhere

LISTING = """#!/bin/sh
case $1 in
get) echo 'credentials not found in native keychain'; exit 1;;
list) echo '{"https://index.docker.io/v1/": "u", "https://index.docker.io/v1/access-token": "u", "ghcr.io": "u"}';;
esac
"""


@pytest.mark.parametrize(
    ("config", "more", "elsewhere"),
    [
        (None, {}, ()),
        ({"auths": {"ghcr.io": AUTH, "quay.io": {}, REGISTRY: AUTH}}, {}, ("ghcr.io",)),
        ({"auths": {"https://me:pw@ghcr.io/v1/": AUTH}}, {}, ("ghcr.io",)),
        ({"credHelpers": {"ecr.example": "absent"}}, {}, ("ecr.example",)),
        (None, {"environ": {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"ghcr.io": AUTH}})}}, ("ghcr.io",)),
        ({"credsStore": "fake"}, {"helpers": fake(LISTING)}, (HUB_KEY, "ghcr.io")),
        ({"credsStore": "fake"}, {"helpers": fake(LISTING.replace("echo '{", "echo '["))}, ()),
        ({"credsStore": "fake"}, {"helpers": fake(NOTHING)}, ()),
    ],
)
def test_elsewhere(config: object, more: dict[str, dict[str, str]], elsewhere: tuple[str, ...], tmp_path: Path) -> None:
    assert store(tmp_path, config, **more).lookup(REGISTRY).elsewhere == elsewhere


def test_a_store_is_not_listed_for_a_credential_that_was_found(tmp_path: Path) -> None:
    script = GOOD.replace("read -r key", 'read -r key; echo "$1" >>"$HOME/calls"')
    assert store(tmp_path, {"credsStore": "fake"}, helpers=fake(script)).lookup(REGISTRY).elsewhere == ()
    assert (tmp_path / "calls").read_text() == "get\n"


@pytest.mark.parametrize(
    ("theirs", "user", "found"),
    [
        (HERE, "ada", True),
        ({"auths": {REGISTRY: {}}, "credsStore": "fake"}, "ada", True),
        ({"auths": {f"https://{REGISTRY}/v1/": AUTH}}, "ada", True),
        ({"credHelpers": {REGISTRY: "fake"}}, "ada", True),
        ({"auths": {"other.example": AUTH}, "credsStore": "fake"}, "ada", False),
        ({"auths": {f"{REGISTRY}0": AUTH}}, "ada", False),
        ({}, "ada", False),
        (None, "ada", False),
        ('{"auths": ', "ada", False),
        (json.dumps(HERE) + " " * (1 << 20), "ada", False),
        (HERE, "", False),
        (HERE, "root", False),
        (HERE, "stranger", False),
    ],
)
def test_the_config_of_the_user_who_called_sudo(theirs: object, user: str, found: bool, tmp_path: Path) -> None:
    file = tmp_path / "ada" / ".docker" / "config.json"
    file.parent.mkdir(parents=True)
    if theirs is not None:
        file.write_text(theirs if isinstance(theirs, str) else json.dumps(theirs))
    homes = dict.fromkeys(("ada", "root", ""), f"{tmp_path}/ada")
    called = '#!/bin/sh\necho called >"$HOME/called"\n'
    case = Case("", None, None, SourceKind.NONE, environ={"SUDO_USER": user}, helpers=fake(called))
    credential = CredentialStore(*case.prepare(tmp_path), home_of=homes.__getitem__).lookup(REGISTRY)
    assert credential.callers_config == (str(file) if found else "")
    assert (credential.present, credential.secret.reveal(), credential.elsewhere) == (False, "", ())
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("own", [None, {}, HERE], ids=["the-same-file", "nothing-here", "logged-in-here"])
def test_what_docker_reads_itself_is_not_the_callers(own: object, tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    config_dir, environ = Case("", own, None, SourceKind.NONE, environ={"SUDO_USER": "ada"}).prepare(tmp_path)
    (tmp_path / "ada" / ".docker").mkdir()
    theirs = tmp_path / "ada" / ".docker" / "config.json"
    theirs.write_text(json.dumps({"auths": {REGISTRY: {}}}))
    if own is None:
        (config_dir / "config.json").symlink_to(theirs)
    credential = CredentialStore(config_dir, environ, home_of=lambda _: f"{tmp_path}/ada").lookup(REGISTRY)
    assert credential.callers_config == (str(theirs) if own == {} else "")


def test_a_caller_who_cannot_be_looked_up_is_none(tmp_path: Path) -> None:
    where = Case("", None, None, SourceKind.NONE, environ={"SUDO_USER": "ada"}).prepare(tmp_path)
    for error in (ImportError("no pwd"), KeyError("ada"), PermissionError(13, "denied")):
        store = CredentialStore(*where, home_of=Mock(side_effect=error))
        assert store.lookup(REGISTRY).callers_config == "", error


def test_a_config_of_the_callers_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "ada" / ".docker").mkdir(parents=True)
    os.mkfifo(tmp_path / "ada" / ".docker" / "config.json")
    case = Case("", None, None, SourceKind.NONE, environ={"SUDO_USER": "ada"})
    store = CredentialStore(*case.prepare(tmp_path), home_of=lambda _: f"{tmp_path}/ada")
    assert store.lookup(REGISTRY).callers_config == ""


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pipe", "cannot be read: it is a pipe, not a regular file"),
        ("device", "cannot be read: it is a device, not a regular file"),
        ("folder", "cannot be read: Is a directory"),
        ("large", "cannot be read: it is larger than 1024 KiB"),
        ("deep", "cannot be read: its JSON is nested too deep"),
        ("null", ""),
    ],
)
def test_a_config_that_is_no_small_file(kind: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device" | "null":
            file.symlink_to("/dev/zero" if kind == "device" else "/dev/null")
        case "folder":
            file.mkdir()
        case "large":
            file.write_text(f'{{"auths": {{}}, "x": "{"x" * (1 << 20)}"}}')
        case "deep":
            file.write_text(f'{{"x": {"[" * 200_000}}}')
    source = CredentialStore(tmp_path, {"PATH": ""}).lookup(REGISTRY).source
    assert (source.kind, source.problem) == (SourceKind.BROKEN if why else SourceKind.NONE, why)


@pytest.mark.parametrize(
    ("config", "servers"),
    [
        (None, ()),
        ({"auths": {HUB_KEY: AUTH, "https://ghcr.io/v1/": AUTH, "quay.io": {}}}, ("docker.io", "ghcr.io")),
        ({"auths": {"quay.io": {}}, "credsStore": "absent"}, ("quay.io",)),
        ({"credHelpers": {"a.example": "absent"}}, ("a.example",)),
    ],
)
def test_servers(config: object, servers: tuple[str, ...], tmp_path: Path) -> None:
    assert store(tmp_path, config).servers() == servers


# --------------------------------------------------------------------- helpers


def test_a_helper_is_asked_once_by_many_threads(tmp_path: Path) -> None:
    script = GOOD.replace("read -r key", 'read -r key; echo "$key" >>"$HOME/calls"')
    credentials = store(tmp_path, {"credsStore": "fake"}, helpers=fake(script))
    found: list[Credential] = []
    threads = [
        threading.Thread(target=lambda name: found.append(credentials.lookup(name)), args=(name,))
        for name in ("a.example", "b.example") * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert sorted((tmp_path / "calls").read_text().split()) == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (helper("the keychain is locked", 1), "ended with status 1, saying: the keychain is locked"),
        (helper("\\033[31mred", 3), "ended with status 3, saying: "),
        (helper('{"Username":"u","Secret":"geheim"}', 1), "ended with status 1 and said nothing more"),
        (helper("bad token ghp_geheim0123456789abcdef", 1), "saying: bad token ***"),
        ("#!/bin/sh\nkill -9 $$\n", "was killed by signal 9"),
        ("#!/bin/sh\n", "its answer is of no use: it is empty"),
        (helper("geheim"), "its answer is of no use: it is not JSON"),
        (helper('{"Username":"u","Secret":["geheim"]}'), "its answer is of no use: it is not an object with"),
        ("#!/no/such/program\n", "cannot be started: "),
    ],
)
def test_a_broken_helper(script: str, problem: str, tmp_path: Path) -> None:
    source = store(tmp_path, {"credsStore": "fake"}, helpers=fake(script)).lookup(REGISTRY).source
    assert (source.kind, source.name) == (SourceKind.BROKEN, "docker-credential-fake")
    assert problem in source.problem
    assert "geheim" not in source.problem
    assert source.problem.isprintable()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("absent", "not installed"), ("../evil", "not the name of a helper"), ("a\0b", "not the name of a helper")],
)
def test_a_helper_that_is_not_there(name: str, problem: str, tmp_path: Path) -> None:
    source = store(tmp_path, {"credHelpers": {REGISTRY: name}}).lookup(REGISTRY).source
    assert source.kind is SourceKind.BROKEN
    assert problem in source.problem


def test_relative_directories_in_path_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Case("", None, None, SourceKind.NONE, helpers=fake(GOOD)).prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert credential_helper.find("docker-credential-fake", {"PATH": "bin"}) is None
    assert credential_helper.find("docker-credential-fake", {"PATH": str(tmp_path / "bin")}) is not None
    assert credential_helper.find("docker-credential-fake", {}) is None


def test_a_helper_gets_the_whole_environment(tmp_path: Path) -> None:
    script = helper('{"Username":"$AWS_PROFILE","Secret":"s"}')
    credentials = store(tmp_path, {"credsStore": "fake"}, helpers=fake(script), environ={"AWS_PROFILE": "work"})
    assert credentials.lookup(REGISTRY).username == "work"


def test_a_helper_that_does_not_read(tmp_path: Path) -> None:
    script = '#!/bin/sh\nexec <&-\necho \'{"Username":"u","Secret":"s"}\'\n'
    assert store(tmp_path, {"credsStore": "fake"}, helpers=fake(script)).lookup("a" * 200_000).username == "u"


@pytest.mark.parametrize(
    ("script", "limit", "problem"),
    [
        ("#!/bin/sh\nexec sleep 30\n", 0.05, "no answer within 0.05 seconds"),
        ("#!/bin/sh\nsleep 30\n", 0.05, "no answer within 0.05 seconds"),
        ("#!/bin/sh\nexec >&-\nsleep 30\n", 0.3, "no answer within 0.3 seconds"),
        ("#!/bin/sh\nexec yes\n", 20, "its answer has no end"),
    ],
)
def test_a_helper_without_end(script: str, limit: float, problem: str, tmp_path: Path) -> None:
    _, environ = Case("", None, None, SourceKind.NONE, helpers=fake(script)).prepare(tmp_path)
    for tool in ("sleep", "yes"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    began = time.monotonic()
    assert credential_helper.get("fake", REGISTRY, environ, limit) == credential_helper.Broken(problem)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("config", [{"credHelpers": {REGISTRY: "fake"}}, {"credsStore": "fake"}], ids=["one", "all"])
@pytest.mark.parametrize("stdout", ["", ">&-"], ids=["silent", "closed"])
def test_closing_ends_a_helper_that_hangs(config: object, stdout: str, tmp_path: Path) -> None:
    script = f"#!/bin/sh\necho $$ >{tmp_path}/number\nexec sleep 600 {stdout}\n"
    credentials = store(tmp_path, config, helpers=fake(script))
    (tmp_path / "bin" / "sleep").symlink_to(shutil.which("sleep") or "sleep")
    os.mkfifo(tmp_path / "number")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(credentials.lookup, REGISTRY)
        process = int((tmp_path / "number").read_text())
        credentials.close()
        assert "killed by signal 9" in asked.result(30).source.problem
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_helper_that_is_started_when_all_is_closed_ends_too(tmp_path: Path) -> None:
    credentials = store(tmp_path, {"credsStore": "fake"}, helpers=fake("#!/bin/sh\nexec sleep 600\n"))
    (tmp_path / "bin" / "sleep").symlink_to(shutil.which("sleep") or "sleep")
    credentials.close()
    assert "killed by signal 9" in credentials.lookup(REGISTRY).source.problem


def test_without_a_helper_closing_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {REGISTRY: AUTH}}))
    script = (
        "import sys\nfrom pathlib import Path\nfrom pushsafe.credentials.store import CredentialStore\n"
        f"store = CredentialStore(Path({str(tmp_path)!r}), {{}})\nprint(store.lookup({REGISTRY!r}).source.kind.value)\n"
        "store.close()\nprint('pushsafe.credentials.helper' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["config-file", "False"]


# ----------------------------------------------------------------------- files


def test_an_unusable_environment_is_warned_of(tmp_path: Path) -> None:
    credentials = store(tmp_path, {"auths": {REGISTRY: AUTH}}, environ={"DOCKER_AUTH_CONFIG": '{"geheim": 1}'})
    assert credentials.lookup(REGISTRY).source.kind is SourceKind.FILE
    assert [warning.partition(":")[0] for warning in credentials.warnings] == [
        "DOCKER_AUTH_CONFIG is ignored, as docker ignores it"
    ]
    assert "geheim" not in credentials.warnings[0]


@pytest.mark.parametrize(
    "text", ['{"auths": {"x": "geheim"', '{"geheim', '"geheim"', '{"auths":{"x":{"auth":"geheim"}}}']
)
@pytest.mark.parametrize("parse", [parse_file, parse_environment])
def test_an_error_carries_nothing_of_the_text(text: str, parse: object) -> None:
    assert callable(parse)
    with pytest.raises(MalformedError) as raised:
        parse(text)
    assert raised.value.__context__ is None
    assert b"geheim" not in pickle.dumps(raised.value.args)


def test_odd_json_never_raises_anything_else() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 5_000 + "}", '"\ud800"'):
        problem = ""
        try:
            parse_file(text)
        except MalformedError as error:
            problem = str(error)
        assert len(problem) < 200, text[:20]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(HERE) + " garbage", "it is not JSON (Extra data, line 1)"),
        (json.dumps(HERE, indent=1) + "\n{}", "it is not JSON (Extra data, line 8)"),
        (json.dumps(HERE) + "\0\0", "it is UTF-16 or not text, and docker reads UTF-8"),
        ('{"x": "a\\ud800b"}', "its JSON has a text or a number that cannot be read"),
        (f'{{"x": {"9" * 5_000}}}', "its JSON has a text or a number that cannot be read"),
    ],
)
def test_odd_json_is_reported_also_where_docker_reads_it(text: str, why: str, tmp_path: Path) -> None:
    source = store(tmp_path, text).lookup(REGISTRY).source
    assert (source.kind, source.problem) == (SourceKind.BROKEN, f"cannot be read: {why}")


def test_a_surrogate_pair_is_one_character() -> None:
    config = parse_file('{"auths": {"x": {"username": "b\\ud83d\\ude00", "password": "p"}}}')
    assert config.entry("x").username == "b\U0001f600"


HOSTNAMES = {  # docker/cli `file_store_test.go`, TestConvertToHostname, names the same pairs
    "127.0.0.1": "127.0.0.1",
    "::1": "::1",
    "[::1]": "[::1]",
    "example.com": "example.com",
    "http://example.com": "example.com",
    "https://example.com/": "example.com",
    "ftp://example.com": "example.com",
    "https://example.com/v2/": "example.com",
    "unix:///var/run/docker.sock": "unix:",
    "127.0.0.1:6556": "127.0.0.1:6556",
    "[::1]:6556": "[::1]:6556",
    "https://[::1]:6555/v2/": "[::1]:6555",
    "https://[::1]/v2/": "::1",
    "https://user:pw@example.com:6555/v2/?a#b": "example.com:6555",
    "https://example.com:": "example.com",
    "https://example.com:port/": "https:",
    "example.com/path": "example.com",
    "": "",
}


def test_hostname() -> None:
    assert {address: hostname(address) for address in HOSTNAMES} == HOSTNAMES


# ------------------------------------------------------------------- HttpHeaders


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        (None, {}),
        ({}, {}),
        ({"HttpHeaders": {"X-Team": "a", "X-Empty": ""}}, {"X-Team": "a", "X-Empty": ""}),
        ({"httpheaders": {"X-Team": None}}, {"X-Team": ""}),
        ({"HttpHeaders": None}, {}),
        ({"HttpHeaders": {"X-Team": 1}}, {}),  # docker cannot read such a file, and goes on without it
    ],
)
def test_http_headers(config: object, headers: Mapping[str, str], tmp_path: Path) -> None:
    assert store(tmp_path, config).http_headers == headers


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {"X-Team": "a"}),
        ('one=1,"two=2,b", three = c ,four=,one=x=y', {"one": "x=y", "two": "2,b", "three": " c ", "four": ""}),
        ("a=1\nb=2", {"a": "1"}),
    ],
)
def test_headers_of_the_environment_replace_those_of_the_file(
    text: str, headers: Mapping[str, str], tmp_path: Path
) -> None:
    """The example is that of docker/cli `cli/command/cli_options.go`."""
    environ = {"DOCKER_CUSTOM_HEADERS": text}
    assert store(tmp_path, {"HttpHeaders": {"X-Team": "a"}}, environ=environ).http_headers == headers


@pytest.mark.parametrize("text", ["s3cret", "=s3cret", "a=1,", " =s3cret", '"a=s3cret', "\n"])
def test_headers_of_the_environment_that_docker_refuses(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="DOCKER_CUSTOM_HEADERS cannot be used: it is not a comma") as caught:
        _ = store(tmp_path, {}, environ={"DOCKER_CUSTOM_HEADERS": text}).http_headers
    assert "s3cret" not in str(caught.value)
