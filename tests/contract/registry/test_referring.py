"""Manifests about other manifests: what is asked where a registry lists them, and where it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pushsafe.demo.registry import EmbeddedRegistry
from pushsafe.model.credentials import Repository
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.content import Referrer
from pushsafe.oci.manifest import ManifestContent
from pushsafe.oci.reference import Reference
from pushsafe.registry import manifests
from pushsafe.registry.http.transport import BODY_LIMIT
from tests.contract.registry.asking import NAME, NOBODY, new, somebody
from tests.fakes.lying import Lying
from tests.fakes.registry import (
    DENIED,
    HTML_ERROR,
    MANIFEST_UNKNOWN,
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    FakeRegistry,
    Manifest,
    Rule,
    basic_registry,
    image,
    index,
    on,
    open_registry,
    ping,
)
from tests.fakes.storing import Storing

SUBJECT = image("1")
TAG = SUBJECT.digest.replace(":", "-")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = Lying(b"{}")
CONFIG = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY.blob.digest, "size": 2}
DONE = Evidence(Stage.PUSH, "", status=201, sent=False)


def about(subject: Manifest, **more: Any) -> Referrer:
    """A manifest that refers to another one."""
    named = {"mediaType": OCI_MANIFEST, "digest": subject.digest, "size": len(subject.body)}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [], "subject": named, **more}
    manifest = Manifest(document)
    return Referrer(ManifestContent(manifest.digest, OCI_MANIFEST, manifest.body), subject.digest)


SIGNATURE = about(SUBJECT, artifactType=BUNDLE)
DIGEST = SIGNATURE.content.digest


def described(referrer: Referrer, **more: Any) -> dict[str, Any]:
    content = referrer.content
    return {"mediaType": OCI_MANIFEST, "digest": content.digest, "size": len(content.body), **more}


ENTRY = described(SIGNATURE, artifactType=BUNDLE)


def target(registry: FakeRegistry) -> Repository:
    return Repository(Reference("given", registry.host, NAME, "1"), NOBODY)


def refer(registry: FakeRegistry, referrer: Referrer = SIGNATURE, retries: int = 0) -> Evidence:
    return new().refer(referrer, target(registry), RetryPolicy(retries))


def listing(listed: Answer, *put: Answer, created: Answer | None = None) -> list[Rule]:
    """A registry that takes the manifest, and says so of the tag that lists it."""
    return [
        ping(),
        on("PUT", f"/v2/{NAME}/manifests/sha256:.+", created or Answer(201)),
        on("GET", f"/v2/{NAME}/manifests/{TAG}", listed),
        *([on("PUT", f"/v2/{NAME}/manifests/{TAG}", *put)] if put else []),
    ]


def requests_of(registry: FakeRegistry) -> list[str]:
    short = ((f"/v2/{NAME}/manifests/", ""), (DIGEST, "DIGEST"), (TAG, "TAG"))
    found = [str(one) for one in registry.requests[1:]]
    for long, instead in short:
        found = [one.replace(long, instead) for one in found]
    return found


# ---------------------------------------------------------------------- who keeps the list


YES = [200, 201, 202, 204]


@pytest.mark.parametrize("status", YES)
def test_a_registry_that_lists_by_itself(status: int) -> None:
    created = Answer(status).having(OCI_Subject=SUBJECT.digest, Docker_Content_Digest=DIGEST)
    with FakeRegistry(ping(), on("PUT", f"/v2/{NAME}/manifests/{DIGEST}", created)) as registry:
        assert refer(registry) == DONE._replace(status=status)
        assert requests_of(registry) == ["PUT DIGEST"]
        put = registry.requests[-1]
    assert (put.body, put.headers["content-type"]) == (SIGNATURE.content.body, OCI_MANIFEST)


OTHER = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "5" * 64, "size": 7, "data": "e30=", "x-unknown": [1]}
LISTS: dict[str, tuple[Answer, list[Any] | None]] = {
    # what the tag names, and what it lists then, None where that stays as it is
    "nothing": (MANIFEST_UNKNOWN, [ENTRY]),
    "an empty list": (Manifest({"schemaVersion": 2, "manifests": []}, OCI_INDEX).answer, [ENTRY]),
    "others": (Manifest({"schemaVersion": 2, "manifests": [OTHER]}, OCI_INDEX).answer, [OTHER, ENTRY]),
    "itself": (Manifest({"schemaVersion": 2, "manifests": [OTHER, ENTRY]}, OCI_INDEX).answer, None),
    "itself, described otherwise": (
        Manifest({"schemaVersion": 2, "manifests": [{**ENTRY, "annotations": {"a": "b"}}]}, OCI_INDEX).answer,
        None,
    ),
}


@pytest.mark.parametrize(("listed", "entries"), LISTS.values(), ids=LISTS)
def test_the_list_of_a_registry_that_keeps_none(listed: Answer, entries: list[Any] | None) -> None:
    with FakeRegistry(listing(listed, *([Answer(201)] if entries else []))) as registry:
        assert refer(registry) == DONE
        assert requests_of(registry) == ["PUT DIGEST", "GET TAG", *(["PUT TAG"] if entries else [])]
        put = registry.requests[-1]
    if entries:
        assert put.headers["content-type"] == OCI_INDEX
        assert json.loads(put.body)["schemaVersion"] == 2
        assert json.loads(put.body)["manifests"] == entries


@pytest.mark.parametrize("status", YES)
def test_whatever_its_yes_is_a_registry_that_keeps_no_list_gets_one(status: int) -> None:
    with FakeRegistry(listing(MANIFEST_UNKNOWN, Answer(status), created=Answer(status))) as registry:
        assert refer(registry) == DONE._replace(status=status)
        assert requests_of(registry) == ["PUT DIGEST", "GET TAG", "PUT TAG"]


def test_all_else_that_the_list_says_is_kept() -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"kept": "1"}, "x": 1}
    with FakeRegistry(listing(Manifest(document, OCI_INDEX).answer, Answer(201))) as registry:
        assert refer(registry) == DONE
        assert json.loads(registry.requests[-1].body) == {**document, "manifests": [ENTRY]}


ENTRIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "its own kind": ({"artifactType": BUNDLE}, {"artifactType": BUNDLE}),
    "the kind of its config": ({}, {"artifactType": CONFIG["mediaType"]}),
    "no kind": ({"config": None}, {}),
    "annotations": (
        {"artifactType": BUNDLE, "annotations": {"a": "b"}},
        {"artifactType": BUNDLE, "annotations": {"a": "b"}},
    ),
}


@pytest.mark.parametrize(("says", "entry"), ENTRIES.values(), ids=ENTRIES)
def test_how_it_is_described(says: dict[str, Any], entry: dict[str, Any]) -> None:
    referrer = about(SUBJECT, **says)
    with FakeRegistry(listing(MANIFEST_UNKNOWN, Answer(201))) as registry:
        assert refer(registry, referrer) == DONE
        assert json.loads(registry.requests[-1].body)["manifests"] == [described(referrer, **entry)]


TAGS = {
    "sha256:" + "a" * 64: "sha256-" + "a" * 64,
    "sha512:" + "ab" * 64: "sha512-" + "ab" * 32,
    "sha256+b64u:LCa0a2j_xo": "sha256-b64u-LCa0a2j_xo",
    "x" * 40 + ":b": "x" * 32 + "-b",
}


@pytest.mark.parametrize(("digest", "tag"), TAGS.items())
def test_the_tag_of_a_list(digest: str, tag: str) -> None:
    assert manifests.tag_of(digest) == tag


# ---------------------------------------------------------------------- what is refused

MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
NO_LISTS: dict[str, Answer] = {
    "an image": image("2").answer,
    "a list of docker's": replace(index({"linux/amd64": image("2")}), media_type=MANIFEST_LIST).answer,
    "another type": Manifest({"schemaVersion": 2, "mediaType": MANIFEST_LIST, "manifests": []}, OCI_INDEX).answer,
    "no entries": Manifest({"schemaVersion": 2, "manifests": {}}, OCI_INDEX).answer,
    "no document": Manifest({}, OCI_INDEX, sent=b"[]").answer,
    "no JSON": Manifest({}, OCI_INDEX, sent=b"<html>").answer,
}


@pytest.mark.parametrize("listed", NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_is_never_overwritten(listed: Answer) -> None:
    said = f"the tag {TAG} has to list what refers to {SUBJECT.digest}, and what it names is no OCI index"
    with FakeRegistry(listing(listed)) as registry:
        assert refer(registry) == Evidence(Stage.PUSH, said, status=200, code="NO_REFERRERS_LIST", sent=False)


REFUSALS: dict[str, tuple[list[Rule], list[str], int]] = {
    "the manifest": (listing(MANIFEST_UNKNOWN, created=DENIED), ["PUT DIGEST"], 403),
    "to show the list": (listing(DENIED), ["PUT DIGEST", "GET TAG"], 403),
    "an odd answer": (listing(HTML_ERROR), ["PUT DIGEST", "GET TAG"], 502),
    "the list": (listing(MANIFEST_UNKNOWN, DENIED), ["PUT DIGEST", "GET TAG", "PUT TAG"], 403),
}


@pytest.mark.parametrize(("rules", "requests", "status"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal(rules: Sequence[Rule], requests: list[str], status: int) -> None:
    with FakeRegistry(rules) as registry:
        found = refer(registry)
        assert requests_of(registry) == requests
    assert (found.stage, found.status) == (Stage.PUSH, status)


@pytest.mark.parametrize("status", YES)
def test_another_digest_is_kept(status: int) -> None:
    created = Answer(status).having(Docker_Content_Digest=SUBJECT.digest)
    with FakeRegistry(listing(MANIFEST_UNKNOWN, created=created)) as registry:
        assert refer(registry).code == "DIGEST_MISMATCH"
        assert requests_of(registry) == ["PUT DIGEST"]


def test_a_list_without_end() -> None:
    one = {**OTHER, "pad": "x" * 4000}
    many = Manifest(
        {"schemaVersion": 2, "manifests": [one] * ((BODY_LIMIT - 50_000) // len(json.dumps(one)))}, OCI_INDEX
    )
    with FakeRegistry(listing(many.answer)) as registry:
        found = refer(registry, about(SUBJECT, annotations={"a": "b" * 100_000}))
    assert (found.status, found.code) == (200, "NO_REFERRERS_LIST")
    assert found.message.endswith("and what it names would get too large")


def test_who_is_logged_in_is_told(pauses: list[float]) -> None:
    """And a busy registry is asked again, as for every manifest."""
    store = [
        on("PUT", f"/v2/{NAME}/manifests/{DIGEST}", Answer(503), Answer(201)),
        on("GET", f"/v2/{NAME}/manifests/{TAG}", Answer(503), MANIFEST_UNKNOWN),
        on("PUT", f"/v2/{NAME}/manifests/{TAG}", Answer(503), Answer(201)),
    ]
    with FakeRegistry(basic_registry(store)) as registry:
        repository = Repository(target(registry).reference, somebody())
        assert new().refer(SIGNATURE, repository, RetryPolicy(1)) == DONE._replace(sent=True)
    assert len(pauses) == 3


# ---------------------------------------------------------------------- several at once


def test_several_at_once() -> None:
    """Nobody's entry is lost, of none of the subjects."""
    store = Storing()
    store.blobs[EMPTY.blob.digest] = EMPTY.content
    subjects = [SUBJECT, image("2"), image("3")]
    referrers = [about(subject, annotations={"number": str(number)}) for number in range(8) for subject in subjects]
    with FakeRegistry(open_registry(), store.rules()) as registry:
        asked = new()
        with ThreadPoolExecutor(len(referrers)) as pool:
            said = list(pool.map(lambda one: asked.refer(one, target(registry), NO_RETRIES), referrers))
    assert said == [DONE] * len(referrers)
    for subject in subjects:
        named = store.tags[NAME, manifests.tag_of(subject.digest)]
        listed = {one["digest"] for one in json.loads(store.manifests[named].body)["manifests"]}
        assert listed == {one.content.digest for one in referrers if one.subject == subject.digest}


def test_a_registry_that_really_lists_by_itself(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        repository = Repository(Reference("given", registry.host, NAME, "1"), NOBODY)
        asked = new()
        assert asked.send(EMPTY, repository, "", lambda _size: None, NO_RETRIES) is LayerState.SENT
        assert asked.refer(SIGNATURE, repository, NO_RETRIES) == DONE
        with urlopen(f"http://{registry.host}/v2/{NAME}/referrers/{SUBJECT.digest}") as answer:
            assert json.load(answer)["manifests"] == [ENTRY]
        assert asked.tags(repository.reference, NOBODY) == ()
        asked.close()
