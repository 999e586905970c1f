"""The reference grammar: what it accepts and means, and that docker itself accepts the same with the same meaning."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pushsafe.oci.reference import BadReference, Implied, Reference, parse, parse_repository
from tests.fakes.capture import FakeEngine

REGISTRY, NAMESPACE, TAG = Implied.REGISTRY, Implied.NAMESPACE, Implied.TAG
HEX = "f" * 64
DIGEST = "sha256:" + "a" * 64

# given, what docker makes of it, what was implied
ACCEPTED: tuple[tuple[str, str, set[Implied]], ...] = (
    # docker's own defaults
    ("app", "docker.io/library/app:latest", {REGISTRY, NAMESPACE, TAG}),
    ("app:1.4.2", "docker.io/library/app:1.4.2", {REGISTRY, NAMESPACE}),
    ("myorg/app", "docker.io/myorg/app:latest", {REGISTRY, TAG}),
    ("myorg/app:1", "docker.io/myorg/app:1", {REGISTRY}),
    ("myorg/team/app:1", "docker.io/myorg/team/app:1", {REGISTRY}),
    ("docker.io/app:1", "docker.io/library/app:1", {NAMESPACE}),
    ("docker.io/library/app:1", "docker.io/library/app:1", set()),
    ("docker.io/library/app/x:1", "docker.io/library/app/x:1", set()),
    ("index.docker.io/app:1", "docker.io/library/app:1", {NAMESPACE}),
    ("index.docker.io/myorg/app:1", "docker.io/myorg/app:1", set()),
    ("registry-1.docker.io/myorg/app:1", "registry-1.docker.io/myorg/app:1", set()),
    ("library/app:1", "docker.io/library/app:1", {REGISTRY}),
    # what makes a first component a host
    ("ghcr.io/myorg/app:1", "ghcr.io/myorg/app:1", set()),
    ("ghcr.io/app", "ghcr.io/app:latest", {TAG}),
    ("registry:5000/app:1", "registry:5000/app:1", set()),
    ("registry/app:1", "docker.io/registry/app:1", {REGISTRY}),
    ("localhost/app:1", "localhost/app:1", set()),
    ("localhost:5000/app:1", "localhost:5000/app:1", set()),
    ("localhost:5000", "docker.io/library/localhost:5000", {REGISTRY, NAMESPACE}),
    ("localhost", "docker.io/library/localhost:latest", {REGISTRY, NAMESPACE, TAG}),
    ("LOCALHOST/app:1", "LOCALHOST/app:1", set()),
    ("MYORG/app:1", "MYORG/app:1", set()),
    ("Docker.io/app:1", "Docker.io/app:1", set()),
    ("docker.io:443/app:1", "docker.io:443/app:1", set()),
    ("docker.io", "docker.io/library/docker.io:latest", {REGISTRY, NAMESPACE, TAG}),
    ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1", set()),
    ("10.0.0.7/app:1", "10.0.0.7/app:1", set()),
    ("[::1]/app:1", "[::1]/app:1", set()),
    ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000/app:1", set()),
    ("[2001:DB8::A]:5000/app:1", "[2001:DB8::A]:5000/app:1", set()),
    ("[0:0:0:0:0:0:0:1]:5000/app:1", "[0:0:0:0:0:0:0:1]:5000/app:1", set()),
    ("host.test:99999/app:1", "host.test:99999/app:1", set()),
    ("host.test:0/app:1", "host.test:0/app:1", set()),
    ("127.0.0.1:05000/app:1", "127.0.0.1:05000/app:1", set()),
    ("127.000.000.001:5000/app:1", "127.000.000.001:5000/app:1", set()),
    ("0.0.0.0:5000/app:1", "0.0.0.0:5000/app:1", set()),
    ("127.1:5000/app:1", "127.1:5000/app:1", set()),
    ("2130706433:5000/app:1", "2130706433:5000/app:1", set()),
    ("Localhost:5000/app:1", "Localhost:5000/app:1", set()),
    ("H.TEST:443/app:1", "H.TEST:443/app:1", set()),
    ("xn--rger-koa.test/app:1", "xn--rger-koa.test/app:1", set()),
    ("my_org/app:1", "docker.io/my_org/app:1", {REGISTRY}),
    # path components and tags
    ("h.test/a.b/c_d/e__f/g-h/i---j:1", "h.test/a.b/c_d/e__f/g-h/i---j:1", set()),
    ("h.test/library/app:1", "h.test/library/app:1", set()),
    ("h.test/0/1:2", "h.test/0/1:2", set()),
    ("app:_", "docker.io/library/app:_", {REGISTRY, NAMESPACE}),
    ("app:A.b-c_", "docker.io/library/app:A.b-c_", {REGISTRY, NAMESPACE}),
    ("app:" + "t" * 128, "docker.io/library/app:" + "t" * 128, {REGISTRY, NAMESPACE}),
    ("sha256:" + "a" * 64, "docker.io/library/sha256:" + "a" * 64, {REGISTRY, NAMESPACE}),
    # limits: the path counts with its implied namespace
    ("h.test/" + "p" * 255, "h.test/" + "p" * 255 + ":latest", {TAG}),
    ("p" * 247, "docker.io/library/" + "p" * 247 + ":latest", {REGISTRY, NAMESPACE, TAG}),
    # 64 hexadecimal digits are an id only where they stand alone
    (f"{HEX}:1", f"docker.io/library/{HEX}:1", {REGISTRY, NAMESPACE}),
    (f"library/{HEX}", f"docker.io/library/{HEX}:latest", {REGISTRY, TAG}),
    (f"h.test/{HEX}", f"h.test/{HEX}:latest", {TAG}),
)

# given, a part of a reason, the repair
REFUSED: tuple[tuple[str, str, str], ...] = (
    ("", "is empty", ""),
    (" ", "is empty", ""),
    (" app:1", "white space", "app:1"),
    ("app:1\n", "white space", "app:1"),
    ("app\x1b[31m:1", "control characters", "app-31m:1"),
    ("ap\x1bp:1", "control characters", "app:1"),
    ('"h.test/app:1"', "stands in quotes", "h.test/app:1"),
    ("'h.test/app:1'", "stands in quotes", "h.test/app:1"),
    ("\u201ch.test/app:1\u201d", "stands in quotes", "h.test/app:1"),
    ('h.test/app:1"', "stands in quotes", "h.test/app:1"),
    ('""', "stands in quotes", ""),
    ("https://h.test/app:1", "URL scheme (https://)", "h.test/app:1"),
    ("docker://h.test/app:1", "URL scheme (docker://)", "h.test/app:1"),
    ("/app:1", "starts with a slash", "app:1"),
    ("app/", "ends with a slash", "app"),
    ("h.test//app:1", "empty path component", "h.test/app:1"),
    ("/", "starts with a slash", ""),
    (f"h.test/app@{DIGEST}", "names a digest", "h.test/app"),
    (f"h.test/app:1@{DIGEST}", "names a digest", "h.test/app:1"),
    ("h.test/app@1", "@ that is not followed by a digest", ""),
    ("ada:pw@h.test/app:1", "user name or password", "h.test/app:1"),
    (":1", "no repository name before the tag", ""),
    ("h.test/:1", "no repository name before the tag", ""),
    ("app:", "tag after the colon is empty", "app"),
    ("localhost:5000/app:", "tag after the colon is empty", "localhost:5000/app"),
    ("app:-rc", "tag starts with '-'", "app:rc"),
    ("app:.1", "tag starts with '.'", "app:1"),
    ("app:1+build", "tag contains '+'", "app:1-build"),
    ("app:1:2", "tag contains ':'", "app:1-2"),
    ("app:é", "tag contains 'é'", ""),
    ("app:" + "t" * 129, "129 characters, and 128 is the limit", "app:" + "t" * 128),
    ("App:1", "contains capitals", "app:1"),
    ("myorg/App:1", "contains capitals", "myorg/app:1"),
    ("h.test/MyOrg/app:1", "contains capitals", "h.test/myorg/app:1"),
    ("app_:1", "path component 'app_'", "app:1"),
    ("-app:1", "path component '-app'", "app:1"),
    ("h.test/a..b:1", "path component 'a..b'", "h.test/a.b:1"),
    ("h.test/a___b:1", "path component 'a___b'", "h.test/a_b:1"),
    ("h.test/a._b:1", "path component 'a._b'", "h.test/a_b:1"),
    ("h.test/my app:1", "white space", "h.test/myapp:1"),
    ("h.test/a?b:1", "path component 'a?b'", "h.test/a-b:1"),
    ("%41", "path component '%41'", "41"),
    ("h.test/é:1", "path component 'é'", ""),
    ("h.test/app:1/x", "the tag contains '/'", "h.test/app:1-x"),
    ("h.test/a:1,h.test/b:2", "2 references", "h.test/a:1 h.test/b:2"),
    ("h.test/a:1 h.test/b:2\nh.test/c:3", "3 references", "h.test/a:1 h.test/b:2 h.test/c:3"),
    ("h.test/$ORG/app:1", "$ORG stands where a value should", ""),
    ("h.test/app:${VERSION}", "${VERSION} stands where", ""),
    ("<none>:<none>", "<none> stands where", ""),
    ("h.test/app:{{ tag }}", "stands where a value should", ""),
    ("h.test:/app:1", "empty port", "h.test/app:1"),
    ("h.test:http/app:1", "'http' for a port", "h.test/app:1"),
    ("h..test/app:1", "not a valid host name", ""),
    ("-h.test/app:1", "not a valid host name", ""),
    ("h-.test/app:1", "not a valid host name", ""),
    ("h.test./app:1", "not a valid host name", ""),
    ("localhost.:5000/app:1", "not a valid host name", ""),
    ("127.0.0.1.:5000/app:1", "not a valid host name", ""),
    ("h.test:-1/app:1", "'-1' for a port", "h.test/app:1"),
    ("[::1/app:1", "not a valid host name", ""),
    ("::1/app:1", "not a valid host name", ""),
    ("[::ffff:127.0.0.1]:5000/app:1", "not a valid host name", ""),
    ("[fe80::1%25eth0]:5000/app:1", "not a valid host name", ""),
    ("h.test/" + "p" * 256, "256 characters, and 255 is the limit", ""),
    ("p" * 248, "256 characters, and 255 is the limit", ""),
    (HEX, "name an image by its id", ""),
    (f"{HEX}_", f"path component '{HEX}_'", ""),
)

# docker takes such a host for part of the path of a repository in no registry at all, asks the engine to push
# that, and fails there: what the user wrote is a registry, and says so.
NO_HOST_FOR_DOCKER = ("my_host.test/app:1", "a__b.test/app")


def _names(cases: tuple[tuple[str, str, object], ...]) -> list[str]:
    return [repr(case[0])[:40] for case in cases]


def test_accepted() -> None:
    for given, means, implied in ACCEPTED:
        found = parse(given)
        assert isinstance(found, Reference), found
        assert (str(found), found.given, set(found.implied)) == (means, given, implied), given
        again = parse(means)
        assert isinstance(again, Reference), given
        assert str(again) == means, given


def test_refused_with_reason_and_repair() -> None:
    for given, reason, repair in REFUSED:
        found = parse(given)
        assert isinstance(found, BadReference), found
        assert any(reason in one for one in found.reasons), found.reasons
        assert found.repair == repair, given


def test_every_reason_is_named_at_once() -> None:
    found = parse("https://h.test//MyOrg/App_:1+2")
    assert isinstance(found, BadReference)
    assert len(found.reasons) == 5
    assert found.repair == "h.test/myorg/app:1-2"


def test_a_host_that_no_name_server_knows_is_refused() -> None:
    for given in NO_HOST_FOR_DOCKER:
        found = parse(given)
        assert isinstance(found, BadReference), given
        assert "not a valid host name: docker accepts the underscore" in found.reasons[0], given


def test_a_password_in_a_reference_is_never_shown() -> None:
    for given in (
        "ada:zq7wv9k4x@h.test/app:1",
        "https://ada:zq7wv9k4x@h.test/app:1",
        "https://ada:zq7@wv9k4x@h.test/app:1",
        "https://ada:zq7/wv9k4x@h.test/app:1",
        "https://ada:zq7/wv9@k4x@h.test/app:1",
        "ada:zq7 wv9k4x@h.test/app:1",
        "ada:zq7wv9k4x@H.test/App:1",
        f"ada:zq7wv9k4x@h.test/app@{DIGEST}",
        "zq7wv9k4x@h.test/app:1",
    ):
        found = parse(given)
        assert isinstance(found, BadReference), given
        shown = " ".join((found.given, *found.reasons, found.repair))
        assert not re.search("zq7|wv9|k4x", shown), given
        assert found.repair.lower() in ("h.test/app:1", "h.test/app"), given


def test_what_a_terminal_would_obey_is_never_shown() -> None:
    for given in ("app\x1b[2J:1", "app\u202e:1", "h.test/\x00app", "\udc80app"):
        found = parse(given)
        assert isinstance(found, BadReference), given
        assert all(text.isprintable() for text in (found.given, *found.reasons, found.repair)), given


def test_what_is_not_shown_leaves_a_mark() -> None:
    assert parse("ap\x1bp:1") == BadReference("ap?p:1", ("it contains white space or control characters",), "app:1")


def test_all_tags_takes_a_repository() -> None:
    for given, means in (
        ("app", "docker.io/library/app"),
        ("myorg/app", "docker.io/myorg/app"),
        ("localhost:5000/app", "localhost:5000/app"),
    ):
        found = parse_repository(given)
        assert isinstance(found, Reference), given
        assert (str(found), found.tag) == (means, ""), given
        assert TAG not in found.implied, given


def test_all_tags_refuses_a_tag() -> None:
    for given, repair in (("h.test/app:1", "h.test/app"), ("app:", "app"), ("h.test/App:1", "h.test/app")):
        found = parse_repository(given)
        assert isinstance(found, BadReference), given
        assert found.repair == repair, given


# ---------------------------------------------------------------------- properties

ATOMS = (
    *("a", "b", "B", "1", "app", "myorg", "latest", "library", "localhost", "docker.io", "index.docker.io", "h.test"),
    *(".", "_", "__", "-", "--", ":", ":1", ":443", "/", "/a", "//", "@", f"@{DIGEST}", HEX, "x" * 130, "[::1]"),
    *("é", " ", "\t", "%2f", "..", "http://", "~", "ada:pw@"),
)


def generated(count: int, seed: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(ATOMS, k=source.randint(1, 6))) for _ in range(count)]


def test_every_repair_can_itself_be_pushed_to() -> None:
    found = [(text, parse(text)) for text in (*generated(20_000, seed=7), *(row[0] for row in REFUSED))]
    repairs = [(text, one.repair) for text, one in found if isinstance(one, BadReference) and one.repair]
    assert len(repairs) > 2000
    assert [
        (text, repair)
        for text, repair in repairs
        if any(isinstance(parse(part), BadReference) for part in repair.split(" "))
    ] == []


def test_normalising_twice_changes_nothing() -> None:
    accepted = [one for text in generated(20_000, seed=8) if isinstance(one := parse(text), Reference)]
    assert len(accepted) > 1000
    for one in accepted:
        again = parse(str(one))
        assert isinstance(again, Reference)
        assert str(again) == str(one)


# ---------------------------------------------------------------------- docker itself

SAMPLE = sorted({text for text in generated(160, seed=9) if text.strip()})
TEXTS = [*(row[0] for row in ACCEPTED), *(row[0] for row in REFUSED), *NO_HOST_FOR_DOCKER, *SAMPLE]


@pytest.fixture(scope="module")
def docker_pushes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the installed docker asks an engine to push for each text; nothing where it refuses the text itself."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker client here")
    folder = str(tmp_path_factory.mktemp("docker"))

    def push(text: str) -> str:
        with FakeEngine() as engine:
            environ = {"HOME": folder, "DOCKER_CONFIG": folder, "DOCKER_HOST": engine.host, "PATH": os.environ["PATH"]}
            command = [docker, "push", "--", text]
            subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
            paths = [(one.path.removeprefix("/images/").removesuffix("/push"), one.query) for one in engine.pushes]
        return "".join(f"{name}:{query.get('tag', '')}" for name, query in paths)

    passable = [text for text in dict.fromkeys(TEXTS) if "\0" not in text]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(passable, pool.map(push, passable), strict=True))


def _differing(docker_pushes: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for text, pushed in docker_pushes.items():
        found = parse(text)
        ours = str(found) if isinstance(found, Reference) else ""
        if ours != pushed:
            yield text, pushed, ours


def test_docker_accepts_the_same_texts_with_the_same_meaning(docker_pushes: dict[str, str]) -> None:
    assert {text: (pushed, ours) for text, pushed, ours in _differing(docker_pushes)} == {
        "my_host.test/app:1": ("my_host.test/app:1", ""),
        "a__b.test/app": ("a__b.test/app:latest", ""),
    }
    assert sum(bool(pushed) for pushed in docker_pushes.values()) > len(ACCEPTED) + 5
