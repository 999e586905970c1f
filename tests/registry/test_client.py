"""What the registry client asks, with which credential, and what it makes of the answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pushsafe.errors import RegistryUnreachable
from pushsafe.model import (
    Access,
    Credential,
    CredentialKind,
    CredentialSource,
    Evidence,
    ManifestInfo,
    Platform,
    Reference,
    Secret,
    SourceKind,
    Stage,
)
from pushsafe.registry import client
from pushsafe.registry.client import Registry
from pushsafe.registry.transport import Transport
from tests.fakes.registry import (
    BASE,
    DENIED,
    HTML_ERROR,
    MANIFEST_UNKNOWN,
    NAME_UNKNOWN,
    OCI_INDEX,
    OCI_MANIFEST,
    OK,
    SERVER_ERROR,
    TOO_MANY,
    UNAUTHORIZED,
    WRONG_LOGIN,
    Answer,
    FakeRegistry,
    Manifest,
    Request,
    Rule,
    basic_header,
    basic_registry,
    bearer_registry,
    guarded,
    half_open_registry,
    image,
    index,
    jwt,
    manifests,
    on,
    open_registry,
    ping,
    redirect,
    token_server,
    uploads,
    wants_basic,
    wants_bearer,
)

NAME = "acme/app"
PASSWORD = "hunter2!"
PULL_PUSH = ("pull", "push")


def somebody(kind: CredentialKind = CredentialKind.BASIC, secret: str = PASSWORD, user: str = "ada") -> Credential:
    source = CredentialSource(SourceKind.FILE, "config.json")
    return Credential("r", "r", source, kind, user, Secret(secret))


NOBODY = Credential("r", "r", CredentialSource(SourceKind.NONE))


def at(registry: FakeRegistry, tag: str = "1") -> Reference:
    return Reference("given", registry.host, NAME, tag)


def new() -> Registry:
    return Registry(Transport())


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
            WITH_ATTESTATION.digest,
            OCI_INDEX,
            (Platform("linux", "arm", "v7"),),
            (ONE.digest, TWO.digest, BOTH.digest),
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
        image("1", media_type="text/\x1b[2Jplain"), ManifestInfo(ONE.digest, "text/ [2Jplain"), "HEAD"
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


def test_a_tag_that_comes_late() -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": image("1", look=3)}))) as registry:
        asked = new()
        found = [asked.manifest(at(registry), NOBODY) for _ in range(3)]
        assert [type(one).__name__ for one in found] == ["Evidence", "Evidence", "ManifestInfo"]


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


# --------------------------------------------------------------------------- whose manifest requests go out as what

STORE = manifests(NAME, {"1": ONE})
OPAQUE = "djE6b3BhcXVlLXRva2Vu"
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
    "open but for this": (
        [ping(), *guarded(wants_basic(), STORE)],
        somebody(),
        basic_header("ada", PASSWORD),
    ),
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
    "a token that is none": (bearer_registry(STORE, tokens=[on("GET", "/token", Answer(200, {}))]), somebody()),
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
        monkeypatch.setattr(client, "_TOKEN_LIFE", -1.0)
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


# --------------------------------------------------------------------------- the investigation


@dataclass(frozen=True)
class Case:
    """What a registry says to an investigation: stage, status, code, sent and grant of each piece of evidence."""

    rules: Sequence[Rule]
    credential: Credential
    expected: Sequence[tuple[Any, ...]]


def pinged(status: int) -> tuple[Any, ...]:
    return Stage.PING, status, "", False, None


def unasked(request: Request) -> Answer | None:
    """Wants a login, and does not say so."""
    return None if request.authorization == basic_header("ada", PASSWORD) else DENIED


CASES = {
    "open, nobody": Case(open_registry(), NOBODY, [pinged(200), (Stage.PROBE, 202, "", False, None)]),
    "open, somebody": Case(open_registry(), somebody(), [pinged(200), (Stage.PROBE, 202, "", False, None)]),
    "open, repository missing": Case(
        open_registry(upload=NAME_UNKNOWN), somebody(), [pinged(200), (Stage.PROBE, 404, "NAME_UNKNOWN", False, None)]
    ),
    "Basic, nobody": Case(basic_registry(), NOBODY, [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)]),
    "Basic, somebody": Case(
        basic_registry(),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 202, "", True, None)],
    ),
    "Basic, wrong password": Case(
        basic_registry(), somebody(secret="wrong"), [pinged(401), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)]
    ),
    "Basic, no right (Gitea)": Case(
        basic_registry(upload=UNAUTHORIZED),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 401, "UNAUTHORIZED", True, None)],
    ),
    "Basic, no right (403)": Case(
        basic_registry(upload=DENIED),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "Basic, an identity token": Case(
        basic_registry(),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)],
    ),
    "Bearer, nobody": Case(
        bearer_registry(upload=DENIED),
        NOBODY,
        [pinged(401), (Stage.TOKEN, 200, "", False, ()), (Stage.PROBE, 403, "DENIED", False, None)],
    ),
    "Bearer, somebody": Case(
        bearer_registry(),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, PULL_PUSH), (Stage.PROBE, 202, "", True, None)],
    ),
    "Bearer, an empty grant": Case(
        bearer_registry(upload=DENIED, token=jwt()),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, ()), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "Bearer, an opaque token": Case(
        bearer_registry(upload=DENIED, token=OPAQUE),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "Bearer, wrong password": Case(
        bearer_registry(), somebody(secret="wrong"), [pinged(401), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)]
    ),
    "Bearer, no token in the answer": Case(
        bearer_registry(tokens=[on("GET", "/token", Answer(200, {}))]),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None)],
    ),
    "Bearer, token server rate limited": Case(
        bearer_registry(tokens=[on("GET", "/token", TOO_MANY)]),
        somebody(),
        [pinged(401), (Stage.TOKEN, 429, "TOOMANYREQUESTS", True, None)],
    ),
    "a registry token": Case(
        bearer_registry(tokens=[], upload=DENIED),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        [pinged(401), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "half open, nobody": Case(
        half_open_registry(), NOBODY, [pinged(200), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)]
    ),
    "half open, somebody": Case(
        half_open_registry(),
        somebody(),
        [pinged(200), (Stage.PROBE, 401, "UNAUTHORIZED", False, None), (Stage.PROBE, 202, "", True, None)],
    ),
    # Its /v2/ says 200 to whatever password: that is no accepted login.
    "half open, wrong password": Case(
        half_open_registry(),
        somebody(secret="wrong"),
        [
            pinged(200),
            (Stage.PROBE, 401, "UNAUTHORIZED", False, None),
            (Stage.PROBE, 401, "UNAUTHORIZED", True, None),
        ],
    ),
    "half open with tokens": Case(
        [ping(), *guarded(wants_bearer(), uploads()), *token_server(jwt(NAME, *PULL_PUSH))],
        somebody(),
        [
            pinged(200),
            (Stage.PROBE, 401, "UNAUTHORIZED", False, None),
            (Stage.TOKEN, 200, "", True, PULL_PUSH),
            (Stage.PROBE, 202, "", True, None),
        ],
    ),
    # Nobody asks for the credential, as a proxy or a token-in-the-name registry may not; ours is tried all the same.
    "open, 403 without a challenge, nobody": Case(
        open_registry(upload=DENIED), NOBODY, [pinged(200), (Stage.PROBE, 403, "DENIED", False, None)]
    ),
    "open, 403 without a challenge, somebody": Case(
        [ping(), *guarded(unasked, uploads())],
        somebody(),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 202, "", True, None)],
    ),
    "open, 403 without a challenge, no right": Case(
        open_registry(upload=DENIED),
        somebody(),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "open, 403 without a challenge, wrong password": Case(
        [ping(lambda request: WRONG_LOGIN if request.authorization else OK), *uploads(DENIED)],
        somebody(secret="wrong"),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.TOKEN, 401, "UNAUTHORIZED", True, None)],
    ),
    "open, 403 without a challenge, an identity token": Case(
        open_registry(upload=DENIED),
        somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None)],
    ),
    "open, 403 without a challenge, a registry token": Case(
        open_registry(upload=DENIED),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        [pinged(200), (Stage.PROBE, 403, "DENIED", False, None), (Stage.PROBE, 403, "DENIED", True, None)],
    ),
    "a server error": Case(
        basic_registry(upload=SERVER_ERROR),
        somebody(),
        [pinged(401), (Stage.TOKEN, 200, "", True, None), (Stage.PROBE, 500, "UNKNOWN", True, None)],
    ),
    "401 without a challenge": Case(
        [ping(Answer(401)), on("POST", ".*", WRONG_LOGIN)],
        NOBODY,
        [pinged(401), (Stage.PROBE, 401, "UNAUTHORIZED", False, None)],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_investigation(case: Case) -> None:
    with FakeRegistry(case.rules) as registry:
        found = new().investigate(at(registry), case.credential)
        assert [(one.stage, one.status, one.code, one.sent, one.granted) for one in found] == list(case.expected)
        # Nobody's token is no credential.
        carried = {one.method for one in registry.requests if one.authorization and case.credential.present}
        assert ("POST" in carried) is any(one.stage is Stage.PROBE and one.sent for one in found)
        assert bool(carried) is any(one.sent for one in found)
        started = [one for one in found if one.stage is Stage.PROBE and one.status == 202]
        assert len(registry.find("DELETE", r"/v2/acme/app/blobs/uploads/4a1f")) == len(started)


def test_a_credential_that_nobody_asked_for_goes_to_the_registry_alone() -> None:
    with FakeRegistry() as other:
        away = redirect(f"{other.base}/v2/")
        elsewhere = ping(lambda request: away if request.authorization else OK)
        with FakeRegistry(elsewhere, *uploads(DENIED)) as registry:
            found = new().investigate(at(registry), somebody())
    assert [(one.stage, one.status, one.sent) for one in found] == [
        (Stage.PING, 200, False),
        (Stage.PROBE, 403, False),
        (Stage.TOKEN, 307, True),
        (Stage.PROBE, 403, True),
    ]
    assert other.requests == []


def test_what_the_evidence_of_a_ping_says() -> None:
    with FakeRegistry(bearer_registry()) as registry:
        (first, *_) = new().investigate(at(registry), NOBODY)
        assert first.message == f"GET {registry.base}/v2/ without a credential"
        assert first.challenge == f'Bearer realm="{registry.base}/token"'


def test_a_push_is_what_a_token_is_asked_for() -> None:
    with FakeRegistry(bearer_registry()) as registry:
        new().investigate(at(registry), somebody())
        assert registry.find("GET", "/token")[0].query["scope"] == "repository:acme/app:pull,push"


def test_a_foreign_plain_token_server_hears_nothing() -> None:
    with FakeRegistry() as elsewhere:
        realm = f"http://auth.test:{elsewhere.port}/token"
        with FakeRegistry(bearer_registry(realm=realm, tokens=[])) as registry:
            with pytest.raises(RegistryUnreachable, match="over plain HTTP"):
                new().investigate(at(registry), somebody())
            assert registry.seen() == ["GET /v2/"]


# --------------------------------------------------------------------------- the probe's end


def started(location: str) -> Answer:
    return Answer(202).having(Location=location)


@pytest.mark.parametrize(
    "location",
    [
        "/v2/acme/app/blobs/uploads/u1?_state=x%2Fy",
        f"{BASE}/v2/acme/app/blobs/uploads/u1?_state=x%2Fy",
        "u1?_state=x%2Fy",
    ],
)
def test_an_upload_is_cancelled_where_it_is(location: str) -> None:
    with FakeRegistry(basic_registry(upload=started(location))) as registry:
        new().investigate(at(registry), somebody())
        (cancel,) = registry.find("DELETE", "/v2/acme/app/blobs/uploads/u1")
        assert (cancel.authorization, cancel.query["_state"]) == (basic_header("ada", PASSWORD), "x/y")
        assert registry.find("POST", ".*")[0].headers["content-length"] == "0"


ELSEWHERE = [
    "http://127.0.0.1:{port}/v2/x",
    "//127.0.0.1:{port}/v2/x",
    "https://{own}/v2/x",
    "http://localhost:{own_port}/v2/x",
    "http://{own}@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}\\@{own}/x",
    "http://[::1/x",
    "ftp://{own}/x",
    "",
]


@pytest.mark.parametrize("location", ELSEWHERE)
def test_an_upload_elsewhere_is_left_alone(location: str) -> None:
    """A DELETE at an address of the registry's choice would be anybody's; the upload ends by itself."""
    with FakeRegistry() as elsewhere, FakeRegistry() as registry:
        to = location.format(port=elsewhere.port, own=registry.host, own_port=registry.port)
        registry.rules += basic_registry(upload=started(to))
        found = new().investigate(at(registry), somebody())
        assert found[-1].status == 202
        assert elsewhere.requests == []
        assert registry.find("DELETE", ".*") == []


@pytest.mark.parametrize("answer", [Answer(drop=True), SERVER_ERROR, UNAUTHORIZED, Answer(404)])
def test_a_cancelling_that_fails_changes_nothing(answer: Answer) -> None:
    rules = [on("DELETE", ".*", answer), *basic_registry()]
    with FakeRegistry(rules) as registry:
        found = new().investigate(at(registry), somebody())
        assert (found[-1].stage, found[-1].status) == (Stage.PROBE, 202)


def test_only_an_accepted_upload_is_cancelled() -> None:
    with FakeRegistry(open_registry(upload=DENIED.having(Location="/v2/acme/app/blobs/uploads/u1"))) as registry:
        new().investigate(at(registry), NOBODY)
        assert registry.seen() == ["GET /v2/", "POST /v2/acme/app/blobs/uploads/"]
