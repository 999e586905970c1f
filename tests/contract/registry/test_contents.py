"""A manifest fetched byte for byte and put under another tag: what is asked, as whom, and what the answers mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.retry_policy import RetryPolicy
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestContent, ManifestInfo
from pushsafe.registry import auth
from tests.contract.registry.asking import NAME, NOBODY, OPAQUE, OURS, PASSWORD, PULL_PUSH, at, new, somebody
from tests.fakes.registry import (
    DENIED,
    HTML_ERROR,
    MANIFEST_UNKNOWN,
    OCI_INDEX,
    OCI_MANIFEST,
    TOO_MANY,
    UNAUTHORIZED,
    Answer,
    FakeRegistry,
    Guard,
    Manifest,
    Request,
    Rule,
    basic_header,
    basic_registry,
    bearer_challenge,
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
from tests.fakes.storing import Storing

ONE, TWO = image("1"), image("2")
BOTH = index({"linux/amd64": ONE, "linux/arm64": TWO})
CONTENT = ManifestContent(ONE.digest, OCI_MANIFEST, ONE.body)
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"


def store(manifest: Manifest, digest: str = "") -> list[Rule]:
    """What answers for a digest, be it that of the manifest or not."""
    return [on("GET", f"/v2/{NAME}/manifests/{digest or manifest.digest}", manifest.answer)]


# --------------------------------------------------------------------------- content

SAYS_ITSELF = Manifest({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST})
SAYS_ODDLY = Manifest({"schemaVersion": 1, "mediaType": SCHEMA_1})
BARE = Manifest({"schemaVersion": 2, "manifests": []}, "text/plain")
CONTENTS: dict[str, tuple[Manifest, str]] = {
    # what the registry holds, and the media type, empty for one that cannot be put again
    "image": (ONE, OCI_MANIFEST),
    "index": (BOTH, OCI_INDEX),
    "its very bytes": (image("1", sent=b' {"schemaVersion" : 2}\n'), OCI_MANIFEST),
    "with a parameter": (replace(ONE, media_type=f"{OCI_MANIFEST}; charset=utf-8"), OCI_MANIFEST),
    "the document says it": (replace(SAYS_ITSELF, media_type="application/json"), DOCKER_MANIFEST),
    "the header counts first": (replace(SAYS_ITSELF, media_type=OCI_MANIFEST), OCI_MANIFEST),
    "nothing but the document says it": (replace(SAYS_ITSELF, media_type=""), DOCKER_MANIFEST),
    "nobody says it": (BARE, ""),
    "a type that is no text": (Manifest({"schemaVersion": 2, "mediaType": [OCI_MANIFEST]}, "text/plain"), ""),
    "schema 1": (replace(ONE, media_type=SCHEMA_1), ""),
    "schema 1 in the document": (replace(SAYS_ODDLY, media_type="text/plain"), ""),
}


@pytest.mark.parametrize(("manifest", "media_type"), CONTENTS.values(), ids=CONTENTS)
def test_content(manifest: Manifest, media_type: str) -> None:
    with FakeRegistry(basic_registry(store(manifest))) as registry:
        found = new().content(at(registry), somebody(), manifest.digest)
        assert registry.requests[-1].headers["accept"].split(", ")[0] == OCI_INDEX
    if media_type:
        assert found == ManifestContent(manifest.digest, media_type, manifest.body)
        return
    assert isinstance(found, Evidence)
    named = manifest.media_type
    assert found.message == f"what {manifest.digest} names is not an image or index: its type is {named}"
    assert (found.stage, found.status, found.sent) == (Stage.VERIFY, 200, True)


def test_content_of_an_odd_type_is_shown_without_control_characters() -> None:
    odd = replace(ONE, media_type="text/\x1b[2Jplain")
    with FakeRegistry(open_registry(store(odd))) as registry:
        found = new().content(at(registry), NOBODY, ONE.digest)
    assert isinstance(found, Evidence)
    assert found.message.endswith("its type is text/ [2Jplain")


SHA512 = f"sha512:{hashlib.sha512(ONE.body).hexdigest()}"
DIGESTS: dict[str, tuple[str, str]] = {
    # what is asked for, and what comes in its place
    "sha256": (ONE.digest, ""),
    "sha512": (SHA512, ""),
    "another": ("sha256:" + "e" * 64, ONE.digest),
    "another of sha512": ("sha512:" + "e" * 128, SHA512),
    "in upper case": (ONE.digest.upper(), ONE.digest),
    "no digest": ("latest", ONE.digest),
    "another algorithm": ("sha384:" + "e" * 96, ONE.digest),
}


@pytest.mark.parametrize(("digest", "instead"), DIGESTS.values(), ids=DIGESTS)
def test_content_is_what_was_asked_for(digest: str, instead: str) -> None:
    claiming = replace(ONE, header=digest)
    with FakeRegistry(open_registry(store(claiming, digest))) as registry:
        found = new().content(at(registry), NOBODY, digest)
    if not instead:
        assert found == ManifestContent(digest, OCI_MANIFEST, ONE.body)
        return
    message = f"asked for {digest}, it sent {instead}"
    assert found == Evidence(Stage.VERIFY, message, status=200, code="DIGEST_MISMATCH", sent=False)


REFUSALS = {
    "missing": (MANIFEST_UNKNOWN, 404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "denied": (DENIED, 403, "DENIED", "requested access to the resource is denied"),
    "broken": (HTML_ERROR, 502, "", ""),
    "rate limited": (TOO_MANY, 429, "TOOMANYREQUESTS", "too many requests"),
    "elsewhere": (redirect("/moved", 300), 300, "", "moved"),
}


@pytest.mark.parametrize(("answer", "status", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_content_refused(answer: Answer, status: int, code: str, message: str) -> None:
    with FakeRegistry(open_registry([on("GET", "/v2/.+/manifests/.+", answer)])) as registry:
        expected = Evidence(Stage.VERIFY, message, status=status, code=code, sent=True)
        assert new().content(at(registry), somebody(), ONE.digest) == expected


def test_content_elsewhere_is_fetched_there_without_the_credential() -> None:
    with FakeRegistry(on("GET", "/stored", ONE.answer)) as storage:
        moved = [on("GET", "/v2/.+/manifests/.+", redirect(f"{storage.base}/stored"))]
        with FakeRegistry(basic_registry(moved)) as registry:
            assert new().content(at(registry), somebody(), ONE.digest) == CONTENT
        assert storage.requests[0].authorization == ""


def test_the_challenge_of_another_host_is_not_answered() -> None:
    """It names where to send the credential."""
    lure = Answer(401).having(WWW_Authenticate='Bearer realm="$BASE/token"')
    with FakeRegistry(on("GET", "/.*", lure)) as storage:
        moved = [on("GET", "/v2/.+/manifests/.+", redirect(f"{storage.base}/stored"))]
        with FakeRegistry(basic_registry(moved)) as registry:
            found = new().content(at(registry), somebody(), ONE.digest)
        assert storage.seen() == ["GET /stored"]
    assert isinstance(found, Evidence)
    assert found.status == 401


# --------------------------------------------------------------------------- put

CREATED = Answer(201).having(Docker_Content_Digest=ONE.digest)
DONE = Evidence(Stage.PUSH, "", status=201, sent=True)


def taking(*answers: Answer) -> list[Rule]:
    return [on("PUT", f"/v2/{NAME}/manifests/(?:1|sha512:.+)", *(answers or (CREATED,)))]


PUSHING, PULLING = jwt(NAME, *PULL_PUSH), jwt(NAME, "pull")
IDENTITY = bearer_registry(taking(), tokens=[on("POST", "/token", Answer(200, {"access_token": OPAQUE}))])
PUTS: dict[str, tuple[Sequence[Rule], Credential, list[str]]] = {
    # the registry, whose credential, and the authorizations of every PUT
    "nobody at an open one": (open_registry(taking()), NOBODY, [""]),
    "somebody at an open one": (open_registry(taking()), somebody(), [""]),
    "Basic": (basic_registry(taking()), somebody(), [basic_header("ada", PASSWORD)]),
    "Bearer with a JWT": (bearer_registry(taking()), somebody(), [f"Bearer {PUSHING}"]),
    "Bearer with an opaque token": (bearer_registry(taking(), token=OPAQUE), somebody(), [f"Bearer {OPAQUE}"]),
    "Bearer for everybody": (bearer_registry(taking()), NOBODY, [f"Bearer {jwt()}"]),
    "a registry token": (
        bearer_registry(taking(), tokens=[]),
        somebody(CredentialKind.REGISTRY_TOKEN, "as-it-is", ""),
        ["Bearer as-it-is"],
    ),
    "an identity token": (IDENTITY, somebody(CredentialKind.IDENTITY_TOKEN, "identity", ""), [f"Bearer {OPAQUE}"]),
    "open but for writing": (
        [ping(), *guarded(wants_basic(), taking())],
        somebody(),
        ["", basic_header("ada", PASSWORD)],
    ),
    "open but for writing, with a token": (
        [ping(), *guarded(wants_bearer(), taking()), *token_server(PUSHING)],
        somebody(),
        ["", f"Bearer {PUSHING}"],
    ),
}


@pytest.mark.parametrize(("rules", "credential", "authorized"), PUTS.values(), ids=PUTS)
def test_put(rules: Sequence[Rule], credential: Credential, authorized: list[str]) -> None:
    with FakeRegistry(rules) as registry:
        assert new().put(at(registry), credential, CONTENT) == DONE._replace(sent=credential.present)
        put = registry.find("PUT", ".*")
        assert [request.authorization for request in put] == authorized
        assert {request.body for request in put} == {ONE.body}
        assert {request.headers["content-type"] for request in put} == {OCI_MANIFEST}
        scopes = {{**one.query, **one.form}["scope"] for one in registry.requests if one.path == "/token"}
        assert scopes <= {f"repository:{NAME}:pull,push"}


def test_what_was_fetched_and_put_is_the_same_under_both_tags() -> None:
    held = Storing()
    held.hold(NAME, "1", BOTH)
    held.manifests |= {one.digest: one for one in (ONE, TWO)}
    with FakeRegistry(bearer_registry(held.rules())) as registry:
        asked = new()
        content = asked.content(at(registry), somebody(), BOTH.digest)
        assert isinstance(content, ManifestContent)
        assert asked.put(at(registry, "latest"), somebody(), content) == DONE
        named = [asked.manifest(at(registry, tag), somebody()) for tag in ("1", "latest")]
    assert named[0] == named[1]
    assert held.tags == {(NAME, "1"): BOTH.digest, (NAME, "latest"): BOTH.digest}


KEPT = f"it was sent {ONE.digest} and says that it holds {TWO.digest}"
ANSWERS: dict[str, tuple[Answer, Evidence]] = {
    "created": (CREATED, DONE),
    "created, without a digest": (Answer(201), DONE),
    "created, in words": (Answer(201, {"code": "OK", "message": "created"}), DONE),
    "another digest": (
        CREATED.having(Docker_Content_Digest=TWO.digest),
        DONE._replace(code="DIGEST_MISMATCH", message=KEPT),
    ),
    "a digest to be seen": (
        CREATED.having(Docker_Content_Digest="sha256:\x1b[2J"),
        DONE._replace(code="DIGEST_MISMATCH", message=f"it was sent {ONE.digest} and says that it holds sha256: [2J"),
    ),
    "the same by another algorithm": (CREATED.having(Docker_Content_Digest=SHA512), DONE),
    "denied": (DENIED, Evidence(Stage.PUSH, DENIED.body["errors"][0]["message"], 403, "DENIED", sent=True)),
    "unauthorized": (UNAUTHORIZED, Evidence(Stage.PUSH, "authentication required", 401, "UNAUTHORIZED", sent=True)),
    "a missing part": (
        Answer(404, {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}),
        Evidence(Stage.PUSH, "blob unknown", 404, "MANIFEST_BLOB_UNKNOWN", sent=True),
    ),
    "not allowed": (Answer(405), Evidence(Stage.PUSH, "", 405, sent=True)),
    "another yes": (Answer(200), DONE._replace(status=200)),
    "accepted": (Answer(202), DONE._replace(status=202)),
    "accepted, in words": (Answer(202, {"code": "OK", "message": "accepted"}), DONE._replace(status=202)),
    "accepted, and another digest": (
        Answer(202).having(Docker_Content_Digest=TWO.digest),
        Evidence(Stage.PUSH, KEPT, 202, "DIGEST_MISMATCH", sent=True),
    ),
    "broken": (HTML_ERROR, Evidence(Stage.PUSH, "", 502, sent=True)),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_the_answer_to_a_put_means(answer: Answer, expected: Evidence) -> None:
    with FakeRegistry(basic_registry(taking(answer))) as registry:
        assert new().put(at(registry), somebody(), CONTENT) == expected
        assert len(registry.find("PUT", ".*")) == 1


LONG = CONTENT._replace(digest=SHA512)
UNTAGGED = DONE._replace(
    code="NOT_TAGGED",
    message="the registry holds the manifest by its sha512 digest, but accepts no tag for it; to push it there, write "
    "the image with sha256 digests",
)
NO_DIGEST = {"errors": [{"code": "DIGEST_INVALID", "message": "did not match"}]}
LONG_ANSWERS: dict[str, tuple[Answer, Evidence]] = {
    "tagged": (Answer(201).having(OCI_Tag="1"), DONE),
    "tagged among others": (Answer(201).having(OCI_Tag="latest, 1,other"), DONE),
    "tagged, in a header each": (Answer(201).having(OCI_Tag="latest\n1"), DONE),
    "named by both": (Answer(201).having(OCI_Tag="1", Docker_Content_Digest=ONE.digest), DONE),
    "accepted": (Answer(202).having(OCI_Tag="1"), DONE._replace(status=202)),
    "not tagged": (Answer(201).having(Docker_Content_Digest=SHA512), UNTAGGED),
    "another tag": (Answer(201).having(OCI_Tag="latest"), UNTAGGED),
    "another digest": (
        Answer(201).having(OCI_Tag="1", Docker_Content_Digest=TWO.digest),
        DONE._replace(code="DIGEST_MISMATCH", message=f"it was sent {SHA512} and says that it holds {TWO.digest}"),
    ),
    "no such digests": (
        Answer(400, NO_DIGEST),
        Evidence(
            Stage.PUSH,
            "the registry accepts no sha512 digest for a manifest (did not match); to push it there, write the image "
            "with sha256 digests",
            400,
            "DIGEST_INVALID",
            sent=True,
        ),
    ),
    "denied": (DENIED, Evidence(Stage.PUSH, DENIED.body["errors"][0]["message"], 403, "DENIED", sent=True)),
}


@pytest.mark.parametrize(("answer", "expected"), LONG_ANSWERS.values(), ids=LONG_ANSWERS)
def test_a_digest_that_no_tag_would_give_is_put_with_the_tag_asked_for(answer: Answer, expected: Evidence) -> None:
    """Put under a tag it would be named by sha256, and the tag would be there though it is not what was pushed."""
    with FakeRegistry(basic_registry(taking(answer))) as registry:
        assert new().put(at(registry), somebody(), LONG) == expected
        [put] = registry.find("PUT", ".*")
        assert (put.path, put.query) == (f"/v2/{NAME}/manifests/{SHA512}", {"tag": "1"})


def test_a_digest_alone_needs_no_tag() -> None:
    with FakeRegistry(basic_registry(taking(Answer(201)))) as registry:
        assert new().put(at(registry), somebody(), LONG, tagged=False) == DONE
        [put] = registry.find("PUT", ".*")
        assert (put.path, put.query) == (f"/v2/{NAME}/manifests/{SHA512}", {})


@pytest.mark.parametrize("echoed", [PASSWORD, basic_header("ada", PASSWORD)])
def test_a_secret_that_is_echoed_is_masked(echoed: str) -> None:
    answers = (Answer(400, f"no {echoed} here"), CREATED.having(Docker_Content_Digest=echoed))
    with FakeRegistry(basic_registry(taking(*answers))) as registry:
        asked = new()
        for _ in answers:
            said = str(asked.put(at(registry), somebody(), CONTENT))
            assert "***" in said
            assert echoed not in said


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_put_follows_no_redirect(status: int) -> None:
    with FakeRegistry() as other:
        moved = taking(redirect(f"{other.base}/v2/{NAME}/manifests/1", status))
        with FakeRegistry(bearer_registry(moved)) as registry:
            assert new().put(at(registry), somebody(), CONTENT).status == status
            assert len(registry.find("PUT", ".*")) == 1
        assert other.requests == []


def test_a_put_is_sent_again_to_a_busy_registry(pauses: list[float]) -> None:
    answers = taking(Answer(503), Answer(drop=True), CREATED)
    with FakeRegistry(basic_registry(answers)) as registry:
        assert new().put(at(registry), somebody(), CONTENT, RetryPolicy(2)) == DONE
        assert [one.body for one in registry.find("PUT", ".*")] == [ONE.body] * 3
    assert len(pauses) == 2


# --------------------------------------------------------------------------- which token

WANTED = UNAUTHORIZED.having(WWW_Authenticate=bearer_challenge())


def takes(*values: str) -> Guard:
    """Lets these tokens pass only."""
    return lambda request: None if request.authorization in {f"Bearer {one}" for one in values} else WANTED


def given(*values: str) -> Rule:
    """Tokens one after the other, the last one for ever."""
    return on("GET", "/token", *(Answer(200, {"token": value}) for value in values))


def of_tokens(taken: Sequence[str], *tokens: str) -> list[Rule]:
    """A registry that takes some tokens, and whose server gives others."""
    return [ping(WANTED), *uploads(), *guarded(takes(*taken), taking()), given(*tokens)]


def test_the_token_of_the_questions_before_is_used_again() -> None:
    with FakeRegistry(of_tokens([OURS], OURS)) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        assert [asked.put(at(registry), somebody(), CONTENT).status for _ in range(3)] == [201] * 3
        assert len(registry.find("GET", "/token")) == 1


def test_a_token_for_reading_is_none_for_writing() -> None:
    def answer(request: Request) -> Answer:
        return Answer(200, {"token": PUSHING if request.query["scope"].endswith("push") else PULLING})

    rules = [ping(WANTED), *guarded(takes(PULLING), manifests(NAME, {"1": ONE})), *guarded(takes(PUSHING), taking())]
    with FakeRegistry(rules, on("GET", "/token", answer)) as registry:
        asked = new()
        assert isinstance(asked.manifest(at(registry), somebody()), ManifestInfo)
        assert asked.put(at(registry), somebody(), CONTENT) == DONE
        assert len(registry.find("PUT", ".*")) == 1


def test_an_old_token_is_not_used_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry(of_tokens([OPAQUE], OURS, OPAQUE)) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        monkeypatch.setattr(auth, "_LIFE", -1.0)
        assert asked.put(at(registry), somebody(), CONTENT) == DONE
        assert [one.authorization for one in registry.find("PUT", ".*")] == [f"Bearer {OPAQUE}"]


CHALLENGED: dict[str, tuple[Sequence[str], Sequence[str], int, int, int]] = {
    # tokens taken and given, then the status, the PUTs and the questions for a token
    "the next one is taken": ([OPAQUE], [OURS, OPAQUE], 201, 2, 2),
    "the next one is the same": ([], [OURS], 401, 1, 2),
    "the next one is not taken either": ([], [OURS, OPAQUE, PUSHING], 401, 2, 2),
}


@pytest.mark.parametrize(("taken", "values", "status", "puts", "asked"), CHALLENGED.values(), ids=CHALLENGED)
def test_a_401_is_answered_once(
    taken: Sequence[str], values: Sequence[str], status: int, puts: int, asked: int
) -> None:
    with FakeRegistry(of_tokens(taken, *values)) as registry:
        assert new().put(at(registry), somebody(), CONTENT).status == status
        assert len(registry.find("PUT", ".*")) == puts
        assert len(registry.find("GET", "/token")) == asked


def test_of_many_who_are_refused_at_once_one_fetches_the_next_token() -> None:
    many = 8
    with FakeRegistry(of_tokens([OPAQUE], OURS, OPAQUE, PUSHING)) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        with ThreadPoolExecutor(many) as pool:
            said = list(pool.map(lambda _: asked.put(at(registry), somebody(), CONTENT).status, range(many)))
        assert said == [201] * many
        assert len(registry.find("GET", "/token")) == 2


def test_a_login_that_the_token_server_refuses() -> None:
    with FakeRegistry(bearer_registry(taking())) as registry:
        assert new().put(at(registry), somebody(secret="wrong"), CONTENT).status == 401
        assert [one.authorization for one in registry.find("PUT", ".*")] == [""]


def test_a_half_open_registry_takes_the_login_after_its_401() -> None:
    with FakeRegistry(half_open_registry(), guarded(wants_basic(), taking())) as registry:
        asked = new()
        asked.investigate(at(registry), somebody())
        assert asked.put(at(registry), somebody(), CONTENT) == DONE


# --------------------------------------------------------------------------- what is known already

KNOWN = ManifestInfo(BOTH.digest, OCI_INDEX, children=(ONE.digest, TWO.digest), layers=(("sha256:" + "1" * 64, 100),))
LOOKS: dict[str, tuple[Manifest, ManifestInfo | None, bool, str]] = {
    # what the tag names, what is known, whether it is read whole, and the methods that it takes
    "an index": (BOTH, KNOWN, False, "HEAD"),
    "an index read whole": (BOTH, KNOWN, True, "HEAD"),
    "an image read whole": (ONE, KNOWN._replace(digest=ONE.digest), True, "HEAD"),
    "another index": (BOTH, KNOWN._replace(digest=ONE.digest), False, "HEAD GET"),
    "another image": (ONE, KNOWN, False, "HEAD"),
    "another image read whole": (ONE, KNOWN, True, "HEAD GET"),
    "no header": (replace(BOTH, header=""), KNOWN, False, "HEAD GET"),
    "nothing": (BOTH, None, False, "HEAD GET"),
    "nothing, read whole": (BOTH, None, True, "GET"),
}


@pytest.mark.parametrize(("manifest", "known", "whole", "methods"), LOOKS.values(), ids=LOOKS)
def test_what_is_known_is_not_fetched(manifest: Manifest, known: Any, whole: bool, methods: str) -> None:
    with FakeRegistry(open_registry(manifests(NAME, {"1": manifest}))) as registry:
        found = new().manifest(at(registry), NOBODY, whole=whole, known=known)
        assert isinstance(found, ManifestInfo)
        assert found.digest == manifest.digest
        assert (found is known) is (known is not None and methods == "HEAD" and known.digest == found.digest)
        assert [one.method for one in registry.requests if one.path != "/v2/"] == methods.split()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_is_none_of_what_is_known(status: int) -> None:
    refusal = Answer(status).having(Docker_Content_Digest=BOTH.digest)
    with FakeRegistry(open_registry([on("HEAD|GET", "/v2/.+/manifests/.+", refusal)])) as registry:
        found = new().manifest(at(registry), NOBODY, whole=True, known=KNOWN)
    assert isinstance(found, Evidence)
    assert found.status == status
