"""What registries and token servers answer: manifests, lists, errors, tokens, places, pauses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci import manifest
from pushsafe.oci.document import Unusable
from pushsafe.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, ImageConfig, ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.registry import responses
from pushsafe.registry.auth import PUSH, Tokens, granted_actions
from pushsafe.registry.authorized import Requester
from pushsafe.registry.http.retry import Retries
from pushsafe.registry.http.transport import Endpoint, Response, Transport, place_of
from pushsafe.registry.responses import read_error
from pushsafe.registry.uploads import UploadSession
from tests.contract.fuzz.strategies import TELLING, TEXTS, assert_fit, near, quick, written
from tests.contract.registry.asking import NOBODY
from tests.fakes.archives import config_of
from tests.values import OCI_INDEX, OCI_MANIFEST

DIGEST = f"sha256:{'1' * 64}"
ENTRY = {
    "mediaType": OCI_MANIFEST,
    "digest": DIGEST,
    "size": 3,
    "platform": {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"},
    "annotations": {"vnd.docker.reference.digest": DIGEST},
    "urls": ["https://a.example"],
}
MANIFEST = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": ENTRY, "layers": [ENTRY], "subject": ENTRY}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ENTRY, {**ENTRY, "annotations": {}}]}
DOCUMENTS = st.sampled_from([MANIFEST, INDEX, json.loads(config_of()), {"tags": ["1", "latest"]}])
BODIES = written(DOCUMENTS.flatmap(near))
TYPES = st.one_of(st.sampled_from([*INDEX_TYPES, *MANIFEST_TYPES, "text/html"]), TELLING)
HEADERS = st.fixed_dictionaries({"content-type": TYPES, "docker-content-digest": st.one_of(TELLING, TEXTS)})


@given(BODIES, HEADERS)
def test_manifests(body: bytes, headers: dict[str, str]) -> None:
    response = Response(200, headers, body)
    with quick():
        found = responses.read_manifest(response)
        assert responses.putable_type(response) in ("", *INDEX_TYPES, *MANIFEST_TYPES)
        tags = responses.read_tags(response)
        config = responses.read_config(response)
    if isinstance(found, ManifestInfo):
        assert_fit(found.digest, found.media_type, *found.children, *map(str, found.platforms), found.config)
        assert all(size >= 0 for _, size in found.layers)
    assert_fit(*tags, config.version)


READERS: list[Callable[[ManifestContent], object]] = [
    manifest.descriptors,
    manifest.blobs,
    manifest.config_of,
    lambda content: manifest.index_of(manifest.descriptors(content)),
    lambda content: manifest.single(content, ImageConfig(Platform("linux", "amd64"))),
]


@given(BODIES, st.sampled_from(READERS), st.sampled_from([OCI_MANIFEST, OCI_INDEX]))
def test_documents_taken_apart(body: bytes, read: Callable[[ManifestContent], object], kind: str) -> None:
    with quick():
        try:
            read(ManifestContent(DIGEST, kind, body))
        except Unusable as error:
            assert_fit(str(error))


ERRORS = st.sampled_from(
    [
        {"errors": [{"code": "DENIED", "message": "no", "detail": {"name": "a"}}]},
        {"details": "incorrect username or password"},
        {"error": "invalid_grant", "error_description": "no", "message": "no"},
        [],
        "text",
    ]
)


@given(written(ERRORS.flatmap(near)))
def test_errors(body: bytes) -> None:
    with quick():
        found = read_error(Response(400, {}, body))
    assert_fit(*found, limit=300)


CLAIMS = {"access": [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}], "exp": 1}


@given(written(near(CLAIMS)), st.one_of(TEXTS, st.just("")))
def test_tokens(claims: bytes, noise: str) -> None:
    token = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}{noise}.c2ln"
    with quick():
        found = granted_actions(token, "team/app")
    assert_fit(*(found or ()), limit=40)


@given(st.one_of(TEXTS, st.sampled_from(["1e9", "-1", "9" * 5000, "Wed, 21 Oct 2015 07:28:00 GMT", "NaN", "٣"])))
def test_retry_after(header: str) -> None:
    """A pause that is asked for and too long is no pause: there are none in this test."""
    retries = Retries("registry.test", RetryPolicy(1), lambda: 0.0)
    with quick():
        assert not retries.after_answer(429, header)


PLACES = st.lists(
    st.one_of(st.sampled_from(["https:", "http:", "//", "/v2/", "?", "#", "[", "]", ":", "@", "..", "%", " "]), TEXTS),
    max_size=8,
).map("".join)


@given(PLACES)
def test_places_of_uploads(location: str) -> None:
    transport, url = Transport(), "https://registry.test/v2/team/app/blobs/uploads/"
    endpoint = Endpoint("registry.test", "https://registry.test", verify=True, ping=Response(200, {}, b""))
    who = Requester(Tokens(transport), endpoint, "team/app", NOBODY, PUSH, NO_RETRIES)
    upload = UploadSession(transport, who, url, location, {})
    with quick():
        place = upload.place()
    if place:
        scheme, host, _ = place_of(place)
        assert scheme
        assert host
