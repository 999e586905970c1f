"""Whole questions to a registry that answers anything: an answer in the end, or that it cannot be reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.evidence import Evidence
from pushsafe.model.retry_policy import NO_RETRIES
from pushsafe.oci.manifest import ManifestContent, ManifestInfo
from pushsafe.oci.reference import Reference
from pushsafe.registry.client import Registry
from tests.contract.fuzz.strategies import TELLING, assert_fit, near, quick, written
from tests.contract.fuzz.test_registry_answers import DIGEST, INDEX, MANIFEST
from tests.contract.registry.asking import NAME, at, new, somebody
from tests.fakes.lying import Lying
from tests.fakes.registry import BASE, Answer, FakeRegistry, on
from tests.values import OCI_INDEX, OCI_MANIFEST


class Anything:
    """Answers in their order, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def __call__(self, _request: object) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def anything() -> Anything:
    return Anything()


@pytest.fixture(scope="module")
def registry(anything: Anything) -> Iterator[FakeRegistry]:
    with FakeRegistry(on("GET|HEAD|POST|PUT|PATCH|DELETE", ".*", anything)) as running:
        yield running


LATIN = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)
VALUES: dict[str, list[str]] = {
    "Content-Type": [OCI_MANIFEST, OCI_INDEX, "text/html", "application/json"],
    "Docker-Content-Digest": [DIGEST, f"sha512:{'0' * 128}"],
    "WWW-Authenticate": [
        f'Bearer realm="{BASE}/token",service="s",scope="x"',
        'Basic realm="x"',
        'Bearer realm="http://["',
        "Bearer",
    ],
    "Location": ["/v2/x", f"{BASE}/x?a=b", "http://[", "//", "?", "https://127.0.0.1:1/x", "#"],
    "Range": ["0-5", "bytes=0-3", "5-0", "0-99999999999999999999"],
    "Retry-After": ["0", "1e9", "-1", "x"],
    "OCI-Tag": ["1", "1, 2"],
    "OCI-Subject": [DIGEST],
    "OCI-Chunk-Min-Length": ["5", "-1", "99999999999999999999"],
    "Link": ["</v2/x>; rel=next"],
}
HEADERS = st.fixed_dictionaries(
    {}, optional={name: st.one_of(st.sampled_from(values), LATIN) for name, values in VALUES.items()}
)
TOKENS = st.fixed_dictionaries({"token": st.one_of(st.sampled_from(["opaque", "a b", "a\nb", "ü", "\u20ac"]), TELLING)})
BODIES = written(st.one_of(st.sampled_from([MANIFEST, INDEX]).flatmap(near), TOKENS))
STATUS = st.sampled_from([200, 201, 202, 204, 206, 301, 307, 400, 401, 401, 403, 404, 405, 416, 429, 500, 503, 999])
ANSWERS = st.lists(st.builds(Answer, STATUS, BODIES, HEADERS), min_size=1, max_size=8)
CONTENT = ManifestContent(DIGEST, OCI_MANIFEST, json.dumps(MANIFEST).encode())

Ask = Callable[[Registry, Reference], object]
QUESTIONS: dict[str, Ask] = {
    "what a tag names": lambda asked, tag: asked.manifest(tag, somebody()),
    "read whole": lambda asked, tag: asked.manifest(tag, somebody(), whole=True),
    "a manifest": lambda asked, tag: asked.content(tag, somebody(), DIGEST),
    "a config": lambda asked, tag: asked.image_config(tag, somebody(), DIGEST),
    "its tags": lambda asked, tag: asked.tags(tag, somebody()),
    "what a push meets": lambda asked, tag: asked.investigate(tag, somebody()),
    "a manifest put": lambda asked, tag: asked.put(tag, somebody(), CONTENT),
    "a blob sent": lambda asked, tag: asked.send(
        Lying(b"some content"), Repository(tag, somebody()), f"{NAME}-other", lambda _: None, NO_RETRIES
    ),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
@settings(max_examples=settings().max_examples // 5)  # each takes several connections
@given(answers=ANSWERS)
def test_any_answers(registry: FakeRegistry, anything: Anything, ask: Ask, answers: list[Answer]) -> None:
    anything.answers = [Answer(200), *answers]  # the first is that of `/v2/`
    asked = new()
    with quick():
        try:
            found = ask(asked, at(registry))
        except RegistryUnreachable as error:
            assert_fit(error.message)
            return
        finally:
            asked.close()
    match found:
        case Evidence(message=message, code=code):
            assert_fit(message, code)
        case ManifestInfo(digest=digest, media_type=media_type):
            assert_fit(digest, media_type)
    assert_fit(str(found) if isinstance(found, Evidence) else "")
