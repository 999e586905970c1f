"""The engine gateway against a scripted engine: what it reads, what it sends, and how it words what goes wrong."""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker.transport.unixconn
import pytest
import requests
from requests.utils import select_proxy

from pushsafe.engine import api as engine_module
from pushsafe.engine import payloads as answers
from pushsafe.engine.api import Engine
from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.engine.payloads import Names
from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind
from pushsafe.model.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import EngineKind, ImageMissing, LocalImage
from pushsafe.model.outcomes import EngineAccepted, EngineReduced, EngineRefused, LayerEvent, Layers, LayerState
from pushsafe.model.request import EngineAddress
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from tests.fakes.capture import Drop, FakeEngine, FakeImage, PushScript, Refusal
from tests.fakes.registry import HTML_ERROR, Answer, FakeRegistry, certificate, on
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, logged_in, nobody, ref, sha

APP = ref("registry.test/acme/app:1")
DIGEST = sha("d")
UNREPORTED = Layers(reported=False)


def to(engine: FakeEngine | str, origin: str = "DOCKER_HOST") -> Engine:
    return Engine(EngineAddress(engine if isinstance(engine, str) else engine.host, origin))


def push(engine: FakeEngine, credential: Credential | None = None, platform: Platform | None = None) -> Any:
    return to(engine).push(APP, credential or nobody(), platform, lambda _event: None)


# --------------------------------------------------------------------------- what it is


@pytest.mark.parametrize(
    ("options", "store", "platform"),
    [
        ({}, CLASSIC, AMD64),
        ({"store": "containerd"}, CONTAINERD, AMD64),
        ({"architecture": "arm64"}, CLASSIC, ARM64),
        ({"os": "windows"}, CLASSIC, Platform("windows", "amd64")),
        ({"info": {"DriverStatus": None}}, CLASSIC, AMD64),
        ({"info": {"DriverStatus": [["driver-type"], []]}}, CLASSIC, AMD64),
        ({"info": {"Architecture": "armv7l"}}, CLASSIC, Platform("linux", "arm")),
        ({"info": {"Architecture": "riscv64"}}, CLASSIC, Platform("linux", "riscv64")),
        ({"info": {"OSType": "", "Architecture": None}}, CLASSIC, Platform("linux", "")),
    ],
)
def test_info(options: dict[str, Any], store: EngineKind, platform: Platform) -> None:
    with FakeEngine(**options) as engine:
        info = to(engine).info()
    assert (info.version, info.api_version, info.kind, info.platform) == ("28.5.2", "1.51", store, platform)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, ("127.0.0.0/8", "registry.test:5000")),
        ({}, ()),
        ({"InsecureRegistryCIDRs": None, "IndexConfigs": None}, ()),
        ({"InsecureRegistryCIDRs": ["10.0.0.0/8"], "IndexConfigs": {"a": None, "b": {}, "c": {"Secure": False}}},
         ("10.0.0.0/8", "c")),
    ],
)  # fmt: skip
def test_insecure_registries(config: Mapping[str, Any] | None, expected: tuple[str, ...]) -> None:
    info = {} if config is None else {"RegistryConfig": config}
    with FakeEngine(insecure_registries=("127.0.0.0/8", "registry.test:5000"), info=info) as engine:
        assert to(engine).info().insecure_registries == expected


PODMAN = [{"Name": "Podman Engine", "Version": "5.4.2"}, {"Name": "Conmon"}]
DOCKERS = [{"Name": "Engine", "Version": "28.5.2"}, {"Name": "containerd"}]


@pytest.mark.parametrize(
    ("version", "components", "shown", "asked"),
    [
        ("28.5.2", PODMAN, "docker 28.5.2, classic image store", False),
        ("20.10.24+dfsg1", PODMAN, "docker 20.10.24+dfsg1, classic image store", False),
        ("17.03.0-ce", PODMAN, "docker 17.03.0-ce, classic image store", False),
        ("1.13.1", PODMAN, "docker 1.13.1, classic image store", False),
        ("dev", PODMAN, "docker dev, classic image store", False),
        ("", PODMAN, "docker , classic image store", False),
        ("5.4.2", PODMAN, "Podman Engine 5.4.2", True),
        ("16.0.0", PODMAN, "Podman Engine 16.0.0", True),
        ("5.4.2", DOCKERS, "docker 5.4.2, classic image store", True),
        ("5.4.2", None, "docker 5.4.2, classic image store", True),
        ("5.4.2", [], "docker 5.4.2, classic image store", True),
        ("5.4.2", Refusal(404, "page not found"), "docker 5.4.2, classic image store", True),
    ],
)
def test_an_engine_is_called_what_it_is(version: str, components: Any, shown: str, asked: bool) -> None:
    """What it costs, one question more, is paid by those alone whose version docker never had."""

    class Other(FakeEngine):
        def _version_answer(self) -> Any:
            return components if isinstance(components, Refusal) else {"Components": components}

    with Other(version=version) as engine:
        assert str(to(engine).info()) == shown
        assert ("/version" in [one.path for one in engine.requests]) is asked


@pytest.mark.parametrize("components", [1, [1], ["Podman"]])
def test_components_of_no_engine(components: Any) -> None:
    class Other(FakeEngine):
        def _version_answer(self) -> Any:
            return {"Components": components}

    with Other(version="5.4.2") as engine, pytest.raises(EngineFailed, match="answers GET /version with what no"):
        to(engine).info()


@pytest.mark.parametrize(("api", "fits"), [("1.41", False), ("1.45", False), ("1.46", True), ("1.51", True)])
def test_the_platform_option_needs_an_api(api: str, fits: bool) -> None:
    with FakeEngine(api_version=api) as engine:
        assert to(engine).info().push_takes_platform is fits


# --------------------------------------------------------------------------- images


def test_an_image() -> None:
    image = FakeImage(repo_digests=("registry.test/acme/app@" + DIGEST,), variant="v8", architecture="arm64", size=7)
    with FakeEngine({str(APP): image}) as engine:
        found = to(engine).image(APP)
    arm = Platform("linux", "arm64", "v8")
    digests = ("registry.test/acme/app@" + DIGEST,)
    assert found == LocalImage(sha("a"), (arm,), (), digests, 7, names=(str(APP),))


@pytest.mark.parametrize(
    "given",
    ["alpine:3", "acme/app:1", "localhost/app:1", "Host/app:1", "registry.test/app:1", "host:5000/app:1", "a/b/c:1"],
)
def test_what_the_engine_calls_an_image_is_written_out_as_a_reference(given: str) -> None:
    assert answers.image({"RepoTags": [given, "<none>:<none>"]}).names == (str(ref(given)),)


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({"Labels": {"org.opencontainers.image.version": "1.4.2", "version": "2"}}, "1.4.2"),
        ({"Labels": {"org.opencontainers.image.version": "1.4\x1b[2J"}}, "1.4 [2J"),
        ({"Labels": {"org.opencontainers.image.version": 7}}, ""),
        ({"Labels": {"version": "2"}}, ""),
        ({"Labels": None}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_version_of_an_image_is_its_label(config: object, version: str) -> None:
    with FakeEngine({str(APP): FakeImage(inspect={"Config": config})}) as engine:
        found = to(engine).image(APP)
    assert isinstance(found, LocalImage)
    assert found.version == version


NEAR = [
    # listed, wanted, near
    ([], ()),
    (["registry.test/acme/app:2"], ("registry.test/acme/app:2",)),
    (["app:1"], ("app:1",)),
    (["other.test/acme/app:1", "app:2", "app:1"], ("other.test/acme/app:1", "app:1", "app:2")),
    (["registry.test/acme/apq:1"], ("registry.test/acme/apq:1",)),
    (["something/else:1"], ()),
    (["<none>:<none>"], ()),
    (["a/app:1", "b/app:1", "c/app:1", "d/app:1"], ("a/app:1", "b/app:1", "c/app:1")),
    (["evil\x1b[2J/app:1"], ("evil [2J/app:1",)),
]


@pytest.mark.parametrize(("listed", "near"), NEAR)
def test_near_misses(listed: list[str], near: tuple[str, ...]) -> None:
    with FakeEngine({name: FakeImage(id=sha(str(place))) for place, name in enumerate(listed)}) as engine:
        found = to(engine).image(APP)
    assert isinstance(found, ImageMissing)
    assert sorted(found.near) == sorted(near)


def kind(platform: str, available: bool, kind: str = "image") -> dict[str, Any]:
    system, architecture = platform.split("/")
    return {
        "Kind": kind,
        "Available": available,
        "ImageData": {"Platform": {"os": system, "architecture": architecture}},
    }


INDEXED = {"Descriptor": {"mediaType": OCI_INDEX}}
MANIFESTS = [
    # inspect answer, present, missing
    (INDEXED | {"Manifests": [kind("linux/amd64", True), kind("linux/arm64", True)]}, (AMD64, ARM64), ()),
    (INDEXED | {"Manifests": [kind("linux/amd64", True), kind("linux/arm64", False)]}, (AMD64,), (ARM64,)),
    (INDEXED | {"Manifests": [kind("linux/amd64", True), kind("unknown/unknown", True, "attestation")]}, (AMD64,), ()),
    (INDEXED | {"Manifests": None}, (AMD64,), ()),
    ({"Descriptor": {"mediaType": OCI_MANIFEST}, "Manifests": [kind("linux/arm64", True)]}, (AMD64,), ()),
    (
        INDEXED
        | {"Manifests": [{"Kind": "image", "Descriptor": {"platform": {"os": "linux", "architecture": "arm64"}}}]},
        (),
        (ARM64,),
    ),
]


@pytest.mark.parametrize(("inspect", "present", "missing"), MANIFESTS)
def test_platforms_of_an_index(
    inspect: dict[str, Any], present: tuple[Platform, ...], missing: tuple[Platform, ...]
) -> None:
    with FakeEngine({str(APP): FakeImage(inspect=inspect)}, "containerd") as engine:
        asked = to(engine)
        asked.info()
        found = asked.image(APP)
        assert isinstance(found, LocalImage)
        assert (found.platforms, found.missing) == (present, missing)
        assert found.attestations == ("'attestation'" in str(inspect))
        assert engine.requests[-1].query == {"manifests": "1"}


def test_near_names_are_looked_for_where_they_are_wanted() -> None:
    with FakeEngine(["acme/apq:1"]) as engine:
        assert to(engine).image(APP, near=False) == ImageMissing()
        assert not any(one.path == "/images/json" for one in engine.requests)


def test_an_image_gets_a_name_and_loses_it() -> None:
    with FakeEngine([str(APP)]) as engine:
        asked = to(engine)
        asked.tag(sha("a"), APP)
        asked.untag(APP)
        said = [(one.method, one.path, dict(one.query)) for one in engine.requests[1:]]
    assert said == [
        ("POST", f"/images/{sha('a')}/tag", {"repo": "registry.test/acme/app", "tag": "1"}),
        ("DELETE", "/images/registry.test/acme/app:1", {"noprune": "1"}),
    ]


def test_an_archive_is_loaded_as_it_is() -> None:
    with FakeEngine() as engine:
        to(engine).load(b"an archive")
        (request,) = [one for one in engine.requests if one.path == "/images/load"]
        assert (request.method, request.body) == ("POST", b"an archive")


@pytest.mark.parametrize(
    "options",
    [
        {
            "load": [
                {"stream": "Loading"},
                {"errorDetail": {"message": "disk \x1b[2Jfull"}, "error": "disk \x1b[2Jfull"},
            ]
        },
        {"errors": {"POST /images/load": Refusal(500, "disk \x1b[2Jfull")}},
    ],
    ids=["in the stream", "at once"],
)
def test_an_archive_that_is_not_loaded_is_a_failure(options: dict[str, Any]) -> None:
    with FakeEngine(**options) as engine, pytest.raises(EngineFailed, match=r"disk \[2Jfull"):
        to(engine).load(b"an archive")


def test_a_name_that_the_engine_does_not_give() -> None:
    path = f"/images/{sha('a')}/tag"
    refusing = FakeEngine([str(APP)], errors={f"POST {path}": Refusal(404, "No such image")})
    said = f"the engine answers 404 to POST {path}: No such image"
    with refusing as engine, pytest.raises(EngineFailed, match=said):
        to(engine).tag(sha("a"), APP)


def test_the_images_are_listed_once_for_all_that_is_missing() -> None:
    wanted = [ref(f"registry.test/acme/service-{number}:1.{number}") for number in range(200)]
    listed = {f"registry.test/acme/servise-{number}:1.{number % 7}": FakeImage(id=sha("b")) for number in range(300)}
    with FakeEngine(listed) as engine:
        asked = to(engine)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(asked.image, wanted))
        assert sum(one.path == "/images/json" for one in engine.requests) == 1
    for number, missing in enumerate(found):
        assert isinstance(missing, ImageMissing)
        assert missing.near[0] == f"registry.test/acme/servise-{number}:1.{number % 7}"


def test_a_missing_image_is_compared_with_few_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """800 missing references took 9 s, nearly all of it in difflib."""
    ratio, compared = difflib.SequenceMatcher.ratio, []

    def counted(self: difflib.SequenceMatcher[str]) -> float:
        compared.append(1)
        return ratio(self)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted)
    held = Names([*(f"team{n}/app:{n}" for n in range(3000)), *(f"registry.test/acme/app:{n}" for n in range(3000))])
    near = held.near(ref("registry.test/acme/app:1999x"))
    assert near == tuple(f"registry.test/acme/app:{tag}" for tag in (1999, 999, 1799))
    assert len(compared) < 200


class Globbing(FakeEngine):
    """An engine whose `reference` filter is a glob for familiar names, as in moby (`reference.FamiliarMatch`)."""

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> Any:
        if path != "/images/json":
            return super().answer(method, path, query)
        (pattern,) = json.loads(query["filters"])["reference"]
        parts = re.findall(r"\\(.)|(\[[^]]*\])|([*?])|(.)", pattern)
        wanted = re.compile("".join(re.escape(a or d) or b or f"[^/]{c}".replace("?", "") for a, b, c, d in parts))
        return [{"RepoTags": [name]} for name in self.images if wanted.fullmatch(name.rpartition(":")[0])]


@pytest.mark.parametrize(
    ("listed", "name", "tags"),
    [
        (["acme/app:1", "acme/app:2", "acme/apple:3"], "docker.io/acme/app", ("1", "2")),
        (["alpine:3"], "docker.io/library/alpine", ("3",)),
        (["registry.test:5000/acme/app:1", "acme/app:2"], "registry.test:5000/acme/app", ("1",)),
        (["[::1]:5000/x:1", ":5000/x:2", "1:5000/x:3"], "[::1]:5000/x", ("1",)),
        ([], "registry.test/acme/app", ()),
        (["acme/app:b", "acme/app:a", "acme/app:<none>"], "docker.io/acme/app", ("a", "b")),
        (["acme/app:1\x1b[2J", "acme/app:-x", "acme/app:" + "x" * 129, "acme/app:ok"], "docker.io/acme/app", ("ok",)),
    ],
)
def test_tags(listed: list[str], name: str, tags: tuple[str, ...]) -> None:
    with Globbing({one: FakeImage(id=sha(str(place))) for place, one in enumerate(listed)}) as engine:
        assert to(engine).tags(name) == tags


# --------------------------------------------------------------------------- the push: what is sent


@pytest.mark.parametrize(
    ("platform", "query"),
    [
        (None, {"tag": "1"}),
        (ARM64, {"tag": "1", "platform": '{"os": "linux", "architecture": "arm64"}'}),
        (
            Platform("linux", "arm", "v7"),
            {"tag": "1", "platform": '{"os": "linux", "architecture": "arm", "variant": "v7"}'},
        ),
    ],
)
def test_push_parameters(platform: Platform | None, query: dict[str, str]) -> None:
    with FakeEngine([str(APP)]) as engine:
        push(engine, platform=platform)
        assert engine.pushes[0].query == query
        assert engine.pushed() == ["registry.test/acme/app:1"]


def of(kind: CredentialKind, user: str = "") -> Credential:
    return Credential("r", "registry.test", CredentialSource(SourceKind.HELPER, "h"), kind, user, Secret("s3cret"))


HEADERS = [
    (nobody("registry.test"), {}),
    (logged_in("registry.test"), {"username": "ada", "password": "hunter2!", "serveraddress": "registry.test"}),
    (of(CredentialKind.IDENTITY_TOKEN), {"identitytoken": "s3cret", "serveraddress": "registry.test"}),
    (of(CredentialKind.REGISTRY_TOKEN), {"registrytoken": "s3cret", "serveraddress": "registry.test"}),
]


@pytest.mark.parametrize(("credential", "expected"), HEADERS)
def test_the_credential_header_is_always_there(credential: Credential, expected: dict[str, str]) -> None:
    """Engine 20.10 answers 400 to a push without the header, whose content may be `{}`."""
    with FakeEngine([str(APP)]) as engine:
        push(engine, credential)
        to(engine).distribution(APP, credential)
        assert [one.auth for one in engine.requests if one.auth_header is not None] == [expected] * 2


# --------------------------------------------------------------------------- the push: what comes back

DONE = {"status": f"1: digest: {DIGEST} size: 7"}
DENIED = {"errorDetail": {"message": "denied: no"}, "error": "denied: no"}
LAYERS: list[dict[str, Any]] = [
    {"status": "Preparing", "id": "aaa"},
    {"status": "Layer already exists", "id": "aaa"},
    {"status": "Mounted from acme/base", "id": "bbb"},
    {"status": "Pushing", "id": "ccc", "progressDetail": {"current": 1, "total": 9}},
    {"status": "Pushed", "id": "ccc"},
]
REDUCED = {
    "manifestPushedInsteadOfIndex": True,
    "originalIndex": {"digest": sha("1")},
    "selectedManifest": {"digest": sha("2"), "platform": {"os": "linux", "architecture": "amd64"}},
}


def refused(message: str) -> EngineRefused:
    return EngineRefused(Evidence(Stage.PUSH, message))


STREAMS: dict[str, tuple[PushScript, Any]] = {
    "classic": ([*LAYERS, DONE, {"aux": {"Tag": "1", "Digest": DIGEST}}], EngineAccepted(DIGEST, Layers(1, 1, 1, 9))),
    "containerd": ([*LAYERS, DONE], EngineAccepted(DIGEST, Layers(1, 1, 1, 9))),
    "no layers": ([DONE], EngineAccepted(DIGEST, UNREPORTED)),
    "denied": ([*LAYERS, DENIED], refused("denied: no")),
    "denied after the digest": ([DONE, DENIED], refused("denied: no")),
    "only the error": ([{"error": "denied: no"}], refused("denied: no")),
    "reduced": ([DONE, {"aux": REDUCED}], EngineReduced(sha("1"), sha("2"), "linux/amd64")),
    "another tag's digest": (
        [{"status": f"2: digest: {DIGEST} size: 7"}],
        refused("the engine ended the push without naming a digest"),
    ),
    "no digest": (LAYERS, refused("the engine ended the push without naming a digest")),
    "nothing": ([], refused("the engine ended the push without naming a digest")),
    "not UTF-8": ([b'{"error": "\xff\xfe"}\r\n'], refused("\ufffd\ufffd")),
    "blank lines": (["\r\n\r\n", DONE, "\r\n"], EngineAccepted(DIGEST, UNREPORTED)),
    "a line in pieces": (
        ['{"status": "1: dig', 0.01, f'est: {DIGEST} size: 7"}}\r\n'], EngineAccepted(DIGEST, UNREPORTED)
    ),
    "no such image": (Refusal(404, "An image does not exist"), refused("An image does not exist")),
    "a server error": (Refusal(500, "disk \x1b[2Jfull"), refused("disk [2Jfull")),
    "old engine without the header": (Refusal(400, "Bad parameters and missing X-Registry-Auth: EOF"),
                                      refused("Bad parameters and missing X-Registry-Auth: EOF")),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), STREAMS.values(), ids=STREAMS)
def test_push_answers(script: PushScript, expected: Any) -> None:
    with FakeEngine([str(APP)], push={str(APP): script}) as engine:
        assert push(engine) == expected


def test_layers_are_told_as_they_change() -> None:
    told: list[LayerEvent] = []
    with FakeEngine([str(APP)], push={str(APP): [*LAYERS, DONE]}) as engine:
        to(engine).push(APP, nobody(), None, told.append)
    states = [(one.layer, one.state, one.current) for one in told]
    assert states == [
        ("aaa", LayerState.WAITING, 0),
        ("aaa", LayerState.REUSED, 0),
        ("bbb", LayerState.MOUNTED, 0),
        ("ccc", LayerState.PUSHING, 1),
        ("ccc", LayerState.SENT, 9),
    ]


CUT = {
    "at once": [Drop()],
    "after some layers": [*LAYERS, Drop()],
    "after the digest": [*LAYERS, DONE, {"aux": {"Tag": "1", "Digest": DIGEST}}, Drop()],
    "in a line": ['{"status": "1: digest: ', Drop()],
}


@pytest.mark.parametrize("script", CUT.values(), ids=CUT)
def test_a_push_that_is_cut_off_is_no_success(script: list[Any]) -> None:
    with FakeEngine([str(APP)], push={str(APP): script}) as engine:
        with pytest.raises(EngineUnreachable) as caught:
            push(engine)
        where = f"the engine at {engine.host} (DOCKER_HOST) broke off the push of {APP}: "
        assert caught.value.message.startswith(where)
        assert caught.value.hint


def test_an_engine_that_dies_before_it_answers_the_push() -> None:
    with FakeEngine([str(APP)]) as engine:
        asked = to(engine)
        asked.close()
    with pytest.raises(EngineUnreachable, match="no engine answers at"):
        asked.push(APP, nobody(), None, lambda _event: None)


def test_a_push_may_be_silent_for_longer_than_any_other_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "TIMEOUT", 0.2)
    with FakeEngine([str(APP)], push={str(APP): [0.5, LAYERS[0], 0.5, DONE]}) as engine:
        assert push(engine) == EngineAccepted(DIGEST, Layers())


# --------------------------------------------------------------------------- the registry, through the engine


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {"Descriptor": {"digest": DIGEST, "mediaType": OCI_INDEX},
             "Platforms": [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}]},
            ManifestInfo(DIGEST, OCI_INDEX, (AMD64, ARM64)),
        ),
        ({"Descriptor": {"digest": DIGEST, "mediaType": OCI_MANIFEST}, "Platforms": None},
         ManifestInfo(DIGEST, OCI_MANIFEST)),
        ({"Descriptor": {"digest": f"{DIGEST}\x1b[2J"}}, ManifestInfo(f"{DIGEST} [2J", "")),
        ({"Descriptor": None}, Evidence(Stage.VERIFY, "the engine names no digest", status=200)),
        (Refusal(404, "manifest unknown"), Evidence(Stage.VERIFY, "manifest unknown", status=404, sent=True)),
        (Refusal(403, "denied \x1b[31m"), Evidence(Stage.VERIFY, "denied [31m", status=403, sent=True)),
    ],
)  # fmt: skip
def test_distribution(answer: Any, expected: ManifestInfo | Evidence) -> None:
    with FakeEngine(distribution={str(APP): answer}) as engine:
        assert to(engine).distribution(APP, logged_in()) == expected


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ({"Status": "Login Succeeded", "IdentityToken": "secret-identity"}, 200, "login succeeded"),
        (Refusal(401, "incorrect username or password"), 401, "incorrect username or password"),
        (Refusal(401, "who is hunter2!?"), 401, "who is ***?"),
        (Refusal(500, "dial tcp: connection refused"), 500, "dial tcp: connection refused"),
    ],
)
def test_check_login(answer: Any, status: int, message: str) -> None:
    with FakeEngine(auth=answer) as engine:
        expected = Evidence(Stage.ENGINE_AUTH, message, status=status, sent=True)
        assert to(engine).check_login(logged_in("registry.test")) == expected
        body = {"username": "ada", "password": "hunter2!", "serveraddress": "registry.test"}
        assert json.loads(engine.requests[-1].body) == body


# --------------------------------------------------------------------------- engines that answer with errors

INSPECT = "/images/registry.test/acme/app:1/json"
FAILURES = [
    ("GET /info", lambda asked: asked.info(), "/info"),
    (f"GET {INSPECT}", lambda asked: asked.image(APP), INSPECT),
    ("GET /images/json", lambda asked: asked.tags("registry.test/acme/app"), "/images/json"),
    ("GET /images/json", lambda asked: asked.image(APP), "/images/json"),
]  # fmt: skip


@pytest.mark.parametrize("status", [400, 403, 500, 503])
@pytest.mark.parametrize(("request_line", "ask", "path"), FAILURES)
def test_an_engine_that_answers_an_error_is_not_called_silent(
    request_line: str, ask: Any, path: str, status: int
) -> None:
    with FakeEngine(errors={request_line: Refusal(status, "disk \x1b[31mfull")}) as engine:
        asked = to(engine)
        with pytest.raises(EngineFailed) as caught:
            ask(asked)
    assert caught.value.message == f"the engine answers {status} to GET {path}: disk [31mfull"


def test_404_means_a_missing_image_and_nothing_else() -> None:
    refusals = {f"GET /images/{APP}/json": Refusal(404, "No such image"), "GET /info": Refusal(404, "page not found")}
    with FakeEngine(errors=refusals) as engine:
        asked = to(engine)
        assert isinstance(asked.image(APP), ImageMissing)
        with pytest.raises(EngineFailed, match="answers 404 to GET /info"):
            asked.info()


def test_an_engine_whose_first_answer_is_an_error() -> None:
    with FakeEngine(errors={"GET /_ping": Refusal(500, "starting")}) as engine:
        with pytest.raises(EngineFailed) as caught:
            to(engine)
        where = f"what answers at {engine.host} (DOCKER_HOST)"
    assert caught.value.message == f"{where} answers 500 to GET /_ping: starting"


def test_something_else_that_answers() -> None:
    page = on("GET", "/_ping", HTML_ERROR)
    with FakeRegistry(page) as other, pytest.raises(EngineFailed, match=r"answers 502 to GET /_ping: <html>"):
        to(f"tcp://{other.host}")


def test_a_server_that_is_no_engine() -> None:
    page = on("GET", "/_ping", Answer(body="OK"))
    with FakeRegistry(page) as other, pytest.raises(EngineFailed, match="is no docker engine: it names no API version"):
        to(f"tcp://{other.host}")


@pytest.mark.parametrize("text", ["<html>", "", "[" * 99_999], ids=["HTML", "empty", "nested"])
def test_an_answer_that_is_not_json(text: str) -> None:
    class Odd(FakeEngine):
        def answer(self, method: str, path: str, query: Mapping[str, str]) -> Any:
            return text if path == "/info" else super().answer(method, path, query)

    with Odd() as engine, pytest.raises(EngineFailed, match="answers GET /info with what is not JSON"):
        to(engine).info()


DISTRIBUTION = f"/distribution/{APP}/json"
ODD: list[tuple[str, Any, list[Any]]] = [
    # path, asked by, answers
    ("/info", Engine.info, [
        [], None, 1, {"DriverStatus": [1]}, {"DriverStatus": 1}, {"RegistryConfig": {"IndexConfigs": [1]}},
        {"RegistryConfig": [1]}, {"RegistryConfig": {"InsecureRegistryCIDRs": 1}},
    ]),
    (INSPECT, lambda asked: asked.image(APP), [
        [], None, "x", {"Size": "x"}, {"Size": [1]}, {"Size": float("inf")}, {"Manifests": [1]}, {"Manifests": 1},
        {"RepoDigests": 1}, {"Manifests": [{"Kind": "image"}], "Descriptor": 1},
    ]),
    ("/images/json", lambda asked: asked.tags("registry.test/acme/app"), [
        {}, None, [1], [None], [{"RepoTags": 1}], [{"RepoTags": [1]}],
    ]),
    ("/images/json", lambda asked: asked.image(ref("registry.test/acme/missing:1")), [{}, [1]]),
    (DISTRIBUTION, lambda asked: asked.distribution(APP, nobody()), [
        {"Descriptor": [1]}, {"Descriptor": 1}, {"Descriptor": {"digest": DIGEST}, "Platforms": [1]},
        {"Descriptor": {"digest": DIGEST}, "Platforms": 1},
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "ask", "answer"), [(path, ask, answer) for path, ask, odd in ODD for answer in odd])
def test_answers_of_types_that_no_engine_answers_with(path: str, ask: Any, answer: Any) -> None:
    class Odd(FakeEngine):
        def answer(self, method: str, asked: str, query: Mapping[str, str]) -> Any:
            return json.dumps(answer) if asked == path else super().answer(method, asked, query)

    with Odd([str(APP)]) as engine, pytest.raises(EngineFailed) as caught:
        ask(to(engine))
    assert caught.value.message == f"the engine answers GET {path} with what no docker engine answers"


# --------------------------------------------------------------------------- HttpHeaders


def test_http_headers_go_with_every_request() -> None:
    headers = {"X-Team": " caf\u00e9\u2615 ", "x-registry-auth": "e30=", "User-Agent": "mine", "host": "elsewhere",
               "Content-Length": "7", "content-type": "text/odd"}  # fmt: skip
    with FakeEngine([str(APP)], auth={}) as engine:
        asked = Engine(EngineAddress(engine.host, ""), headers=headers)
        asked.info()
        asked.image(APP)
        asked.check_login(logged_in())
        asked.distribution(APP, logged_in())
        asked.push(APP, logged_in(), None, lambda _event: None)
        sent = [one.headers for one in engine.requests]
        assert [one["x-team"].encode("latin-1").decode() for one in sent] == ["caf\u00e9\u2615"] * 6
        assert not {one["user-agent"] for one in sent} & {"mine"}
        assert not {one.get("host") for one in sent} & {"elsewhere"}
        assert [one.auth["username"] for one in engine.requests[-2:] if one.auth] == ["ada", "ada"]
        posts = [one.headers["content-type"] for one in engine.requests if one.method == "POST"]
        assert posts == ["application/json"] * 2


def test_a_header_of_the_environment_is_sent_byte_for_byte() -> None:
    with FakeEngine() as engine:
        Engine(EngineAddress(engine.host, ""), headers={"X-Team": os.fsdecode(b"caf\xe9")}).info()
        assert [one.headers["x-team"] for one in engine.requests] == ["caf\xe9"] * 2


@pytest.mark.parametrize(("name", "value"), [("X-Key", "s3cret\r\nX: y"), ("", "s3cret"), ("X Y", "s3cret")])
def test_http_headers_that_cannot_be_sent(name: str, value: str) -> None:
    with FakeEngine() as engine:
        with pytest.raises(UsageError, match="an HTTP header that cannot be sent") as caught:
            Engine(EngineAddress(engine.host, ""), headers={name: value})
        assert (repr(name) in caught.value.message, "s3cret" in str(caught.value), engine.requests) == (True, False, [])


# --------------------------------------------------------------------------- the environment


def test_the_environment_changes_neither_the_pinned_ca_nor_adds_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests would prefer REQUESTS_CA_BUNDLE to the CA of the context, and send what ~/.netrc has."""
    (tmp_path / "netrc").write_text("default login thief password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: dict[str, Any] = {}

    def send(_self: object, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        seen.update(settings, headers=request.headers)
        raise requests.ConnectionError("no")

    monkeypatch.setattr(requests.Session, "send", send)
    ca = tmp_path / "ca.pem"
    ca.touch()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "other.pem"))
    for verified, expected in ((True, str(ca)), (False, False)):
        address = EngineAddress("tcp://build.test:2376", "", tls=True, tls_verify=verified, ca_file=str(ca))
        with pytest.raises(EngineUnreachable):
            Engine(address)
        assert seen["verify"] == expected
        assert "authorization" not in seen["headers"]


def test_a_login_in_netrc_is_not_for_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login thief password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with FakeEngine() as engine:
        to(engine).info()
        assert ["authorization" in one.headers for one in engine.requests] == [False, False]


@pytest.mark.parametrize(
    ("ca", "verify", "fits"), [("own", True, True), ("other", True, False), ("other", False, True)]
)
def test_tls_of_an_engine(ca: str, verify: bool, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    own, other = (certificate(tmp_path / name) for name in ("own", "other"))
    page = on("GET", "/_ping", Answer(headers={"Api-Version": "1.51"}))
    authority = str((own if ca == "own" else other).authority)
    with FakeRegistry(page, certificate=own) as engine, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        address = EngineAddress(f"tcp://{engine.host}", "", tls=True, tls_verify=verify, ca_file=authority)
        for bundle in (own, other):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle.authority))
            if fits:
                assert Engine(address).api_version == "1.51"
            else:
                with pytest.raises(EngineUnreachable):
                    Engine(address)
    assert [str(one.message) for one in warned] == []


PROXY = "http://proxy.test:3128"
PROXIES = [
    # host, tls, environment, proxy
    ("tcp://build.test:2375", False, {}, None),
    ("tcp://build.test:2375", False, {"HTTP_PROXY": PROXY}, PROXY),
    ("tcp://build.test:2375", False, {"http_proxy": PROXY}, PROXY),
    ("tcp://build.test:2375", False, {"HTTP_PROXY": PROXY, "http_proxy": "http://other.test"}, PROXY),
    ("tcp://build.test:2375", False, {"HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
    ("tcp://build.test:2376", True, {"HTTPS_PROXY": PROXY}, PROXY),
    ("tcp://build.test:2376", True, {"HTTP_PROXY": PROXY}, None),
    *(
        ("tcp://build.test:2375", False, {"HTTP_PROXY": PROXY, "NO_PROXY": listed}, proxy)
        for listed, proxy in [
            ("*", None), ("build.test", None), ("test", None), (".test", None), ("*.test", None), (" x.y, test", None),
            (".build.test", PROXY), ("build.test:2375", None), ("build.test:1", PROXY), ("ild.test", PROXY),
            ("10.0.0.0/8", PROXY),
        ]
    ),
    ("tcp://10.1.2.3:2375", False, {"HTTP_PROXY": PROXY, "NO_PROXY": "x,10.0.0.0/8"}, None),
    ("tcp://10.1.2.3:2375", False, {"HTTP_PROXY": PROXY, "no_proxy": "10.1.2.3"}, None),
    ("tcp://10.1.2.3:2375", False, {"HTTP_PROXY": PROXY, "NO_PROXY": "11.0.0.0/8"}, PROXY),
    ("tcp://127.0.0.1:2375", False, {"HTTP_PROXY": PROXY}, None),
    ("unix:///no/such.sock", False, {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
]  # fmt: skip


@pytest.mark.parametrize(("host", "tls", "environ", "proxy"), PROXIES)
def test_the_proxy_is_the_one_that_docker_takes(
    host: str, tls: bool, environ: Mapping[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    taken: list[str | None] = []

    def send(_self: object, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        taken.append(select_proxy(str(request.url), settings["proxies"]))
        raise requests.ConnectionError("no")

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(EngineUnreachable):
        Engine(EngineAddress(host, "", tls=tls))
    assert taken == [proxy]


# --------------------------------------------------------------------------- engines that do not answer


def test_no_socket(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/no.sock"
    with pytest.raises(EngineUnreachable) as caught:
        to(host)
    assert caught.value.message == f"no engine answers at {host} (DOCKER_HOST): no such file or directory"
    assert caught.value.hint == f"check that the engine runs and DOCKER_HOST is right: docker -H {host} version"


def test_a_socket_that_nobody_serves(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{tmp_path}/s")
    with pytest.raises(EngineUnreachable, match="connection refused"):
        to(f"unix://{tmp_path}/s")


def test_a_port_that_nobody_serves() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{one.getsockname()[1]}"
    with pytest.raises(EngineUnreachable) as caught:
        to(host)
    assert caught.value.message == f"no engine answers at {host} (DOCKER_HOST): connection refused"


def test_a_socket_that_this_user_may_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(docker.transport.unixconn.UnixHTTPConnection, "connect", refuse)
    with pytest.raises(EngineUnreachable) as caught:
        to("unix:///var/run/docker.sock", "the default")
    message = "no engine answers at unix:///var/run/docker.sock (the default): permission denied"
    assert caught.value.message == message
    assert "usermod -aG docker" in caught.value.hint


def test_a_name_that_no_host_can_have() -> None:
    with pytest.raises(EngineUnreachable, match=r"label (empty or )?too long"):
        to(f"tcp://{'a' * 64}.test:2375")


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        (EngineAddress("unix:///nowhere", "--context", context="ci"), "docker context inspect ci"),
        (
            EngineAddress("unix:///nowhere", "-H"),
            "check that the engine runs and -H is right: docker -H unix:///nowhere version",
        ),
    ],
)  # fmt: skip
def test_what_to_do_next(address: EngineAddress, hint: str) -> None:
    with pytest.raises(EngineUnreachable) as caught:
        Engine(address)
    assert caught.value.hint == hint


@pytest.fixture
def mute() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_an_engine_that_says_nothing(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "TIMEOUT", 0.2)
    began = time.monotonic()
    with pytest.raises(EngineUnreachable, match=r"(?i)timed out"):
        to(mute)
    assert time.monotonic() - began < 2


def test_no_proxy_leads_to_an_engine_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would see X-Registry-Auth; docker goes straight, as Go's ProxyFromEnvironment does for loopback."""
    heard: list[bytes] = []
    with socket.socket() as server, FakeRegistry() as proxy:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.0 500 no\r\n\r\nno")

        listener = threading.Thread(target=answer, daemon=True)
        listener.start()
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(EngineFailed):
            to(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        listener.join(5)
    assert heard[0].startswith(b"GET /_ping ")
