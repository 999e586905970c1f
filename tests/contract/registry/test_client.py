"""What the registry client asks, with which credential, and what it makes of the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import NO_MANIFEST, Access, Evidence, Stage
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.oci.manifest import ImageConfig, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.registry import auth
from pushsafe.registry.client import CONFIG_LIMIT
from tests.contract.registry.asking import NAME, NOBODY, OPAQUE, PASSWORD, at, new, somebody
from tests.fakes.registry import (
    DENIED,
    HTML_ERROR,
    MANIFEST_UNKNOWN,
    OCI_INDEX,
    OCI_MANIFEST,
    TOO_MANY,
    Answer,
    FakeRegistry,
    Manifest,
    Rule,
    basic_header,
    basic_registry,
    bearer_registry,
    guarded,
    image,
    index,
    jwt,
    manifests,
    on,
    open_registry,
    ping,
    redirect,
    token_server,
    wants_basic,
    wants_bearer,
)

# --------------------------------------------------------------------------- ping

PINGS = {
    "open": (open_registry(), Access.OPEN, "/v2/ answers 200 without a login"),
    "Basic": (basic_registry(), Access.LOGIN_WANTED, "/v2/ answers 401 without one"),
    "Bearer": (bearer_registry(), Access.LOGIN_WANTED, "/v2/ answers 401 without one"),
    "denied": ([ping(DENIED)], Access.UNKNOWN, "http://{host}/v2/ answers 403"),
    "no registry": ([ping(Answer(404))], Access.UNKNOWN, "http://{host}/v2/ answers 404"),
    "broken": ([ping(HTML_ERROR)], Access.UNKNOWN, "http://{host}/v2/ answers 502"),
    "rate limited": ([ping(TOO_MANY)], Access.UNKNOWN, "http://{host}/v2/ answers 429"),
}


@pytest.mark.parametrize(("rules", "access", "detail"), PINGS.values(), ids=PINGS)
def test_ping(rules: Sequence[Rule], access: Access, detail: str) -> None:
    with FakeRegistry(rules) as registry:
        found = new().ping(registry.host)
        assert (found.access, found.detail) == (access, detail.format(host=registry.host))
        assert registry.requests[0].authorization == ""


def test_ping_of_nothing_never_raises() -> None:
    with FakeRegistry() as registry:
        host = registry.host
    found = new().ping(host)
    assert (found.access, found.detail) == (Access.UNKNOWN, f"http://{host}: connection refused")


# --------------------------------------------------------------------------- manifests

ONE = image("1", size=100)
TWO = image("2", size=200)
BOTH = index({"linux/amd64": ONE, "linux/arm64": TWO})
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
WITH_ATTESTATION = Manifest(
    {
        "manifests": [
            {"digest": ONE.digest, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            {"digest": TWO.digest, "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": BOTH.digest},
            "nonsense",
        ]
    },
    OCI_INDEX,
)


@dataclass(frozen=True)
class Look:
    """One manifest in a store, and what is made of it: the answer, and the methods that it took."""

    manifest: Manifest
    expected: ManifestInfo
    methods: str
    whole: bool = False


LOOKS = {
    "image": Look(ONE, ManifestInfo(ONE.digest, OCI_MANIFEST), "HEAD"),
    "image read whole": Look(
        ONE, ManifestInfo(ONE.digest, OCI_MANIFEST, layers=(("sha256:" + "1" * 64, 100),)), "GET", whole=True
    ),
    "image without the header": Look(
        image("1", size=100, header=""),
        ManifestInfo(ONE.digest, OCI_MANIFEST, layers=(("sha256:" + "1" * 64, 100),)),
        "HEAD GET",
    ),
    "index": Look(BOTH, ManifestInfo(BOTH.digest, OCI_INDEX, (AMD64, ARM64), (ONE.digest, TWO.digest)), "HEAD GET"),
    "index with a lying header": Look(
        Manifest(BOTH.content, OCI_INDEX, header="sha256:" + "e" * 64),
        ManifestInfo(BOTH.digest, OCI_INDEX, (AMD64, ARM64), (ONE.digest, TWO.digest)),
        "HEAD GET",
    ),
    "index of attestations and more": Look(
        WITH_ATTESTATION,
        ManifestInfo(
            WITH_ATTESTATION.digest, OCI_INDEX, (Platform("linux", "arm", "v7"),), (ONE.digest, TWO.digest, BOTH.digest)
        ),
        "HEAD GET",
    ),
    "index that holds nothing": Look(
        Manifest({"manifests": None}, OCI_INDEX),
        ManifestInfo(Manifest({"manifests": None}).digest, OCI_INDEX),
        "HEAD GET",
    ),
    "media type with a parameter": Look(
        image("1", media_type=f"{OCI_MANIFEST}; charset=utf-8"), ManifestInfo(ONE.digest, OCI_MANIFEST), "HEAD"
    ),
    "a media type to be seen": Look(
        image("1", size=100, media_type="text/\x1b[2Jplain"),
        ManifestInfo(ONE.digest, "text/ [2Jplain", layers=(("sha256:" + "1" * 64, 100),)),
        "HEAD GET",
    ),
    "index of another type": Look(
        Manifest({"mediaType": OCI_INDEX, "manifests": [{"digest": ONE.digest}]}, "application/json"),
        ManifestInfo(
            Manifest({"mediaType": OCI_INDEX, "manifests": [{"digest": ONE.digest}]}).digest,
            OCI_INDEX,
            children=(ONE.digest,),
        ),
        "HEAD GET",
    ),
    "a digest to be seen": Look(
        image("1", header="sha256:\x1b[2J\x9b1m"), ManifestInfo("sha256: [2J 1m", OCI_MANIFEST), "HEAD"
    ),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_manifest(look: Look) -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": look.manifest}))) as registry:
        assert new().manifest(at(registry), NOBODY, whole=look.whole) == look.expected
        asked = [one for one in registry.requests if one.path != "/v2/"]
        assert [one.method for one in asked] == look.methods.split()
        assert all(OCI_INDEX in one.headers["accept"] and OCI_MANIFEST in one.headers["accept"] for one in asked)


def test_manifest_by_digest() -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": BOTH}, [ONE]))) as registry:
        found = new().manifest(at(registry), NOBODY, ONE.digest)
        assert isinstance(found, ManifestInfo)
        assert found.digest == ONE.digest
        missing = new().manifest(at(registry), NOBODY, TWO.digest)
        assert isinstance(missing, Evidence)
        assert missing.status == 404


def test_sha512() -> None:
    digest = f"sha512:{hashlib.sha512(ONE.body).hexdigest()}"
    wrong = image("1", header="sha512:" + "0" * 128)
    with FakeRegistry(open_registry(manifests(NAME, {"1": wrong}))) as registry:
        found = new().manifest(at(registry), NOBODY, whole=True)
        assert isinstance(found, ManifestInfo)
        assert found.digest == digest


LONG = f"sha512:{hashlib.sha512(ONE.body).hexdigest()}"
EXPECTED = {
    # what the registry calls it, what it should be, what it then is, and what that takes
    "the same": (ONE.digest, ONE.digest, ONE.digest, "HEAD"),
    "another": (ONE.digest, TWO.digest, ONE.digest, "HEAD"),
    "by another algorithm": (ONE.digest, LONG, LONG, "HEAD GET"),
    "by a longer one": (LONG, ONE.digest, ONE.digest, "HEAD GET"),
    "another by another": (ONE.digest, f"sha512:{'0' * 128}", LONG, "HEAD GET"),
    "by none": ("", LONG, LONG, "HEAD GET"),
}


@pytest.mark.parametrize(("header", "expected", "digest", "methods"), EXPECTED.values(), ids=EXPECTED)
def test_a_digest_is_compared_by_its_own_algorithm(header: str, expected: str, digest: str, methods: str) -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": image("1", header=header)}))) as registry:
        found = new().manifest(at(registry), NOBODY, expected=expected)
        assert isinstance(found, ManifestInfo)
        assert found.digest == digest
        assert [one.method for one in registry.requests if one.path != "/v2/"] == methods.split()


def test_a_tag_that_comes_late() -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": image("1", look=5)}))) as registry:
        asked = new()
        found = [asked.manifest(at(registry), NOBODY) for _ in range(3)]
        assert [type(one).__name__ for one in found] == ["Evidence", "Evidence", "ManifestInfo"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 500, 501, 503])
@pytest.mark.parametrize("digest", ["", ONE.digest], ids=["a tag", "a digest"])
def test_get_decides_where_head_is_refused(status: int, digest: str) -> None:
    store = manifests(NAME, {"1": ONE, "2": BOTH}, [ONE])
    with FakeRegistry(open_registry([on("HEAD", "/v2/.+/manifests/.+", Answer(status)), *store])) as registry:
        asked = new()
        found = [asked.manifest(at(registry, tag), NOBODY, digest) for tag in ("1", "2")]
        assert [one.digest for one in found if isinstance(one, ManifestInfo)] == [ONE.digest, digest or BOTH.digest]
        methods = [one.method for one in registry.requests if one.path != "/v2/"]
        assert methods == ["HEAD", "GET", "GET"], "one question shows it"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 500, 501, 503])
def test_what_head_and_get_refuse_alike_is_refused(status: int) -> None:
    rules = [on("HEAD", "/v2/.+", Answer(status)), on("GET", "/v2/.+/manifests/.+", DENIED)]
    with FakeRegistry(open_registry(rules)) as registry:
        found = [new().manifest(at(registry), NOBODY) for _ in range(2)]
        said = "requested access to the resource is denied"
        assert found == [Evidence(Stage.VERIFY, said, status=403, code="DENIED", sent=False)] * 2
        assert [one.method for one in registry.requests if one.path != "/v2/"] == ["HEAD", "GET"] * 2


def test_who_gets_too_many_questions_gets_no_other_one() -> None:
    with FakeRegistry(open_registry([on("HEAD", "/v2/.+", TOO_MANY)])) as registry:
        found = new().manifest(at(registry), NOBODY)
        assert isinstance(found, Evidence)
        assert found.status == 429


@pytest.mark.parametrize("size", [5 * 1024 * 1024, CONFIG_LIMIT - 1000])
def test_a_large_config_is_read(size: int) -> None:
    body = json.dumps({"os": "linux", "architecture": "arm64", "config": {"Labels": {"l": "x" * size}}}).encode()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    with FakeRegistry(open_registry([on("GET", f"/v2/{NAME}/blobs/{digest}", Answer(200, body))])) as registry:
        assert new().image_config(at(registry), NOBODY, digest) == ImageConfig(ARM64)


def test_a_config_without_end_is_not() -> None:
    with FakeRegistry(open_registry([on("GET", ".*/blobs/.+", Answer(200, b" " * (CONFIG_LIMIT + 1)))])) as registry:
        with pytest.raises(RegistryUnreachable) as caught:
            new().image_config(at(registry), NOBODY, "sha256:" + "1" * 64)
        assert f"more than {CONFIG_LIMIT} bytes" in caught.value.message


def typed(body: bytes, media_type: str) -> Answer:
    return Answer(200, body).having(Content_Type=media_type)


NO_MANIFESTS: dict[str, tuple[Answer, str]] = {
    "a page": (typed(b"<!DOCTYPE html><title>Sign in</title>", "text/html"), "a web page (text/html)"),
    "a page of no type": (typed(b"\n<html lang=en>", ""), "a web page"),
    "a page of another type": (typed(b"<HTML>", "text/plain"), "a web page (text/plain)"),
    "a page of XHTML": (typed(b"<?xml version='1.0'?>", "application/xhtml+xml"), "a web page"),
    "a page that calls itself a manifest": (typed(b"<html>", OCI_MANIFEST), f"a web page ({OCI_MANIFEST})"),
    "nothing": (typed(b"", "text/plain"), "something else (text/plain)"),
    "a text": (typed(b"ok", "text/plain"), "something else (text/plain)"),
    "other JSON": (typed(b'{"status": "ok"}', "application/json"), "something else (application/json)"),
    "a list": (typed(b"[1]", OCI_MANIFEST), "something else"),
    "an empty object": (typed(b"{}", OCI_MANIFEST), "something else"),
    "a number": (typed(b'{"schemaVersion": "2"}', "application/json"), "something else"),
}


@pytest.mark.parametrize(("answer", "what"), NO_MANIFESTS.values(), ids=NO_MANIFESTS)
@pytest.mark.parametrize("how", ["looked at", "read whole", "byte for byte"])
def test_a_yes_without_a_manifest_is_none(answer: Answer, what: str, how: str) -> None:
    with FakeRegistry(open_registry([on("HEAD|GET", "/v2/.+/manifests/.+", answer)])) as registry:
        asked, reference = new(), at(registry)
        if how == "byte for byte":
            found: object = asked.content(reference, NOBODY)
        else:
            found = asked.manifest(reference, NOBODY, whole=how == "read whole")
    assert isinstance(found, Evidence)
    assert (found.status, found.code) == (200, NO_MANIFEST)
    assert found.message.startswith(what)
    assert found.message.endswith(" in place of a manifest")


def test_a_ping_tells_of_a_web_page() -> None:
    with FakeRegistry(ping(typed(b"<!doctype html>", "text/html; charset=utf-8"))) as site:
        assert new().ping(site.host).page == "a web page (text/html)"
    with FakeRegistry(open_registry()) as registry:
        assert new().ping(registry.host).page == ""


REFUSALS = {
    "missing": (MANIFEST_UNKNOWN, 404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "denied": (DENIED, 403, "DENIED", "requested access to the resource is denied"),
    "broken": (HTML_ERROR, 502, "", ""),
    "rate limited": (TOO_MANY, 429, "TOOMANYREQUESTS", "too many requests"),
}


@pytest.mark.parametrize(("answer", "status", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_manifest_refused(answer: Answer, status: int, code: str, message: str) -> None:
    rules = open_registry([on("HEAD|GET", "/v2/.+/manifests/.+", answer)])
    with FakeRegistry(rules) as registry:
        expected = Evidence(Stage.VERIFY, message, status=status, code=code, sent=False)
        assert new().manifest(at(registry), NOBODY, whole=True) == expected


def test_a_manifest_elsewhere_is_fetched_there_without_the_credential() -> None:
    with FakeRegistry(on("GET", "/stored", ONE.answer)) as storage:
        moved = [on("GET", "/v2/.+/manifests/.+", redirect(f"{storage.base}/stored"))]
        with FakeRegistry(basic_registry(moved)) as registry:
            found = new().manifest(at(registry), somebody(), whole=True)
            assert isinstance(found, ManifestInfo)
            assert found.digest == ONE.digest
            assert registry.requests[-1].authorization
        assert storage.requests[0].authorization == ""


# --------------------------------------------------------------------------- configs and tags

CONFIG = {"os": "linux", "architecture": "arm64", "variant": "v8", "config": {"Labels": {}}}
VERSION = "org.opencontainers.image.version"


def labelled(labels: Any) -> dict[str, Any]:
    return {**CONFIG, "config": {"Labels": labels}}


ARM64_V8 = Platform("linux", "arm64", "v8")
CONFIGS: dict[str, tuple[Any, ImageConfig]] = {
    "no version": (CONFIG, ImageConfig(ARM64_V8)),
    "a version": (labelled({VERSION: "1.4.2"}), ImageConfig(ARM64_V8, "1.4.2")),
    "a version to be seen": (labelled({VERSION: "1\x1b[2J"}), ImageConfig(ARM64_V8, "1 [2J")),
    "a version that is no text": (labelled({VERSION: 1}), ImageConfig(ARM64_V8)),
    "labels that are none": (labelled(["1"]), ImageConfig(ARM64_V8)),
    "no labels": (labelled(None), ImageConfig(ARM64_V8)),
    "no config in it": ({"os": "linux", "architecture": "amd64"}, ImageConfig(AMD64)),
    "another artifact's": ({}, ImageConfig()),
    "a list": ([], ImageConfig()),
    "no JSON": ("<html>", ImageConfig()),
}


@pytest.mark.parametrize(("body", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_image_config(body: Any, expected: ImageConfig) -> None:
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob = on("GET", f"/v2/{NAME}/blobs/{digest}", Answer(200, content))
    with FakeRegistry(basic_registry([blob])) as registry:
        assert new().image_config(at(registry), somebody(), digest) == expected


def test_a_config_that_is_another() -> None:
    digest, content = f"sha256:{'c' * 64}", json.dumps(CONFIG).encode()
    with FakeRegistry(basic_registry([on("GET", f"/v2/{NAME}/blobs/{digest}", Answer(200, content))])) as registry:
        found = new().image_config(at(registry), somebody(), digest)
    said = f"asked for {digest}, it sent sha256:{hashlib.sha256(content).hexdigest()}"
    assert found == Evidence(Stage.VERIFY, said, status=200, code="DIGEST_MISMATCH", sent=True)


def test_a_config_is_asked_for_again(pauses: list[float]) -> None:
    content = json.dumps(CONFIG).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob = on("GET", f"/v2/{NAME}/blobs/{digest}", Answer(503), Answer(200, content))
    with FakeRegistry(basic_registry([blob])) as registry:
        assert new().image_config(at(registry), somebody(), digest, RetryPolicy(1)) == ImageConfig(ARM64_V8)
    assert len(pauses) == 1


TAGS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "some": ({"name": NAME, "tags": ["1", "latest"]}, ("1", "latest")),
    "none": ({"tags": []}, ()),
    "null": ({"tags": None}, ()),
    "what is no text": ({"tags": ["1", 2, None]}, ("1",)),
    "to be seen": ({"tags": ["1\x1b[2J"]}, ("1 [2J",)),
    "no JSON": ("<html>", ()),
}


@pytest.mark.parametrize(("body", "expected"), TAGS.values(), ids=TAGS)
def test_tags(body: Any, expected: tuple[str, ...]) -> None:
    with FakeRegistry(basic_registry([on("GET", f"/v2/{NAME}/tags/list", Answer(200, body))])) as registry:
        assert new().tags(at(registry), somebody()) == expected
        assert registry.requests[-1].query == {"n": "1000"}


@pytest.mark.parametrize("answer", [DENIED, HTML_ERROR, TOO_MANY])
def test_configs_and_tags_refused(answer: Answer) -> None:
    with FakeRegistry(open_registry([on("GET", "/v2/.+", answer)])) as registry:
        for found in (new().tags(at(registry), NOBODY), new().image_config(at(registry), NOBODY, "sha256:c0")):
            assert isinstance(found, Evidence)
            assert (found.stage, found.status, found.sent) == (Stage.VERIFY, answer.status, False)


def test_a_registry_that_is_away_says_nothing() -> None:
    with FakeRegistry() as registry:
        gone = at(registry)
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        new().manifest(gone, NOBODY)
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        new().tags(gone, NOBODY)


# --------------------------------------------------------------------------- whose manifest requests go out as what

STORE = manifests(NAME, {"1": ONE})
AUTHORIZED: dict[str, tuple[Sequence[Rule], Credential, str]] = {
    "nobody at an open one": (open_registry(STORE), NOBODY, ""),
    "somebody at an open one": (open_registry(STORE), somebody(), ""),
    "Basic": (basic_registry(STORE), somebody(), basic_header("ada", PASSWORD)),
    "Bearer with a JWT": (bearer_registry(STORE, token=jwt(NAME, "pull")), somebody(), f"Bearer {jwt(NAME, 'pull')}"),
    "Bearer with an opaque token": (bearer_registry(STORE, token=OPAQUE), somebody(), f"Bearer {OPAQUE}"),
    "Bearer for everybody": (bearer_registry(STORE), NOBODY, f"Bearer {jwt()}"),
    "a registry token": (
        bearer_registry(STORE, tokens=[]),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        "Bearer as-it-is",
    ),
    "an identity token": (
        bearer_registry(STORE, tokens=[on("POST", "/token", Answer(200, {"access_token": OPAQUE}))]),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        f"Bearer {OPAQUE}",
    ),
    "open but for this": ([ping(), *guarded(wants_basic(), STORE)], somebody(), basic_header("ada", PASSWORD)),
    "open but for this, with a token": (
        [ping(), *guarded(wants_bearer(), STORE), *token_server(OPAQUE)],
        somebody(),
        f"Bearer {OPAQUE}",
    ),
}


@pytest.mark.parametrize(("rules", "credential", "header"), AUTHORIZED.values(), ids=AUTHORIZED)
def test_authorization(rules: Sequence[Rule], credential: Credential, header: str) -> None:
    with FakeRegistry(rules) as registry:
        assert new().manifest(at(registry), credential) == ManifestInfo(ONE.digest, OCI_MANIFEST)
        assert registry.requests[-1].authorization == header


UNAUTHORIZED_LOOKS: dict[str, tuple[Sequence[Rule], Credential]] = {
    "nobody at Basic": (basic_registry(STORE), NOBODY),
    "wrong password": (basic_registry(STORE), somebody(secret="wrong")),
    "wrong password for a token": (bearer_registry(STORE), somebody(secret="wrong")),
    "an identity token has no password": (
        basic_registry(STORE),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
    ),
}


@pytest.mark.parametrize(("rules", "credential"), UNAUTHORIZED_LOOKS.values(), ids=UNAUTHORIZED_LOOKS)
def test_unauthorized(rules: Sequence[Rule], credential: Credential) -> None:
    with FakeRegistry(rules) as registry:
        found = new().manifest(at(registry), credential)
        assert isinstance(found, Evidence)
        assert found.status == 401
        assert len(registry.find("HEAD", ".*")) <= 2
        assert basic_header("", "identity") not in [one.authorization for one in registry.requests]


def test_one_token_serves_many_requests_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry(bearer_registry(manifests(NAME, {"1": BOTH}, [ONE, TWO]))) as registry:
        asked = new()
        for digest in ("", ONE.digest, TWO.digest):
            asked.manifest(at(registry), somebody(), digest)
        assert len(registry.find("GET", "/token")) == 1
        monkeypatch.setattr(auth, "_LIFE", -1.0)
        asked.manifest(at(registry), somebody(), ONE.digest)
        assert len(registry.find("GET", "/token")) == 2


def test_verification_reuses_the_connection_of_the_ping() -> None:
    with FakeRegistry(bearer_registry(manifests(NAME, {"1": BOTH}, [ONE, TWO]))) as registry:
        asked = new()
        asked.ping(registry.host)
        for digest in ("", ONE.digest, TWO.digest):
            asked.manifest(at(registry), somebody(), digest)
        assert len(registry.requests) == 6
        assert len({one.connection for one in registry.requests}) == 1
