"""The table of words against real texts: what means one thing is told, what means several never is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pushsafe.denial.messages import TABLE, Meaning, Undecided, meaning
from pushsafe.model.verdicts import DenialReason, FailureKind

CASES = Path(__file__).parent / "cases"
FILES = {"words.jsonl": 143, "found.jsonl": 152}

CAUSES: dict[str, set[Meaning]] = {
    "no-authentication": {DenialReason.NOT_LOGGED_IN},
    "invalid-authentication": {DenialReason.CREDENTIAL_REJECTED, DenialReason.CREDENTIAL_EXPIRED},
    "insufficient-permission": {DenialReason.NO_WRITE_PERMISSION, DenialReason.TOKEN_SCOPE_TOO_SMALL},
    "repository-missing": {FailureKind.REPOSITORY_MISSING},
    "policy": {FailureKind.POLICY},
    "rate-limited": {FailureKind.RATE_LIMITED},
    "network": {FailureKind.NETWORK},
    "tls": {FailureKind.TLS},
    "registry-error": {FailureKind.REGISTRY_ERROR},
    "bad-request": {FailureKind.BAD_REQUEST},
    "local": {FailureKind.LOCAL},
}


@dataclass(frozen=True)
class Text:
    message: str
    cause: str
    ambiguous_by_text: bool
    registry: str
    engine: str
    source: str


WORDS: tuple[tuple[str, Meaning], ...] = (
    ("open /builds/app/Dockerfile: permission denied", FailureKind.LOCAL),
    ("PermissionError: [Errno 13] Permission denied: '/x'", FailureKind.LOCAL),
    ("denied: permission denied to open the repository a/b", Undecided.REFUSAL),
    # the same refusals in the words of the two image stores (FACTS 4)
    ("denied: requested access to the resource is denied", Undecided.REFUSAL),
    (
        "push access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed",
        Undecided.REFUSAL,
    ),
    ("unauthorized: incorrect username or password", DenialReason.CREDENTIAL_REJECTED),
    ("authentication required - incorrect username or password", DenialReason.CREDENTIAL_REJECTED),
    ("no basic auth credentials", DenialReason.NOT_LOGGED_IN),
    ("unauthorized: authentication required", Undecided.REFUSAL),
    ("unknown: unexpected status from HEAD request to https://r.test/v2/: 401 Unauthorized", Undecided.REFUSAL),
    ("denied: permission_denied: write_package", DenialReason.NO_WRITE_PERMISSION),
    ("error from registry: permission_denied: write_package", DenialReason.NO_WRITE_PERMISSION),
    ('Get "http://r.test:5000/v2/": dial tcp 10.0.0.7:5000: connect: connection refused', FailureKind.NETWORK),
    ('failed to do request: Head "https://r.test/v2/a/b/blobs/x": dial tcp: lookup r.test', FailureKind.NETWORK),
    ("failed to fetch anonymous token: unexpected status: 403 Forbidden", Undecided.REFUSAL),
    # the engine's own login
    ("login attempt to http://r.test:5000/v2/ failed with status: 401 Unauthorized", DenialReason.CREDENTIAL_REJECTED),
    ("login attempt to http://r.test:5000/v2/ failed with status: 403 Forbidden", Undecided.REFUSAL),
    # what the corpus has no text for
    ('Get "https://r.test/v2/": read tcp 10.0.0.1:1->10.0.0.2:443: i/o timeout', FailureKind.NETWORK),
    ('Patch "https://r.test/v2/a/blobs/uploads/x": write: broken pipe', FailureKind.NETWORK),
    ("unexpected EOF", FailureKind.NETWORK),
    ("dial udp 10.0.0.2:53: connect: network is unreachable", FailureKind.NETWORK),
    ("write tcp 10.0.0.1:1->10.0.0.2:443: use of closed network connection", FailureKind.NETWORK),
    ("PATCH https://r.test/v2/a/blobs/uploads/x: BLOB_UPLOAD_UNKNOWN: x", FailureKind.REGISTRY_ERROR),
    ("received unexpected HTTP status: 504 Gateway Time-out", FailureKind.REGISTRY_ERROR),
    ("denied: storage quota for the project exceeded", FailureKind.POLICY),
    # the same status, the same code, another cause: only more words tell them apart
    ("denied: permission_denied: create_package", DenialReason.NO_WRITE_PERMISSION),
    ("denied: permission_denied: The requested installation does not exist", Undecided.REFUSAL),
    ("denied: You have exceeded a secondary rate limit", Undecided.REFUSAL),
    ("You have exceeded a secondary rate limit. Please wait a few minutes", FailureKind.RATE_LIMITED),
    ("unauthorized: HTTP Basic: Access denied", Undecided.REFUSAL),
    ("denied: access forbidden", Undecided.REFUSAL),
    ("unable to retrieve auth token: invalid username/password: denied: access forbidden", Undecided.REFUSAL),
    ("tag invalid: manifest tag did not match URI", FailureKind.BAD_REQUEST),
    ("blob upload invalid", Undecided.UNKNOWN),
    ("blob upload unknown", FailureKind.REGISTRY_ERROR),
    ('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', FailureKind.RATE_LIMITED),
    ("denied: quota exceeded", FailureKind.POLICY),
    ("Quota exceeded for quota metric 'Requests per project per region'", FailureKind.RATE_LIMITED),
    ("Error response from daemon: login attempt failed with status: 403 Forbidden", Undecided.REFUSAL),
    ("error getting credentials - err: exit status 1, out: `dial tcp 10.0.0.7:443: i/o timeout`", FailureKind.NETWORK),
    ("error getting credentials - err: exit status 1, out: `not initialized`", FailureKind.LOCAL),
    ("error during connect: dial tcp: lookup docker: no such host", FailureKind.LOCAL),
    ("read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer", Undecided.UNKNOWN),
    # words that nobody knows
    ("", Undecided.UNKNOWN),
    ("the moon is in the wrong phase", Undecided.UNKNOWN),
    ("received unexpected HTTP status: 500 Internal Server Error", Undecided.UNKNOWN),
)

TEXTS = [Text(**json.loads(line)) for name in FILES for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


def _name(text: Text) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{text.cause}-{text.message.lower()}")[:70]


def test_what_means_one_thing_is_told_by_its_words() -> None:
    for text in [text for text in TEXTS if not text.ambiguous_by_text]:
        assert meaning(text.message) in CAUSES[text.cause], text.source


def test_what_means_several_things_is_never_told_by_its_words() -> None:
    for text in [text for text in TEXTS if text.ambiguous_by_text]:
        assert isinstance(meaning(text.message), Undecided), text.source


def test_the_texts_are_all_there() -> None:
    assert {path.name: len(path.read_text("utf-8").splitlines()) for path in CASES.glob("*.jsonl")} == FILES
    assert len({(text.message, text.cause, text.source) for text in TEXTS}) == len(TEXTS)
    assert {text.cause for text in TEXTS} == set(CAUSES)
    assert all(text.source for text in TEXTS)


def test_words() -> None:
    for message, means in WORDS:
        assert meaning(message) is means, message


def test_the_name_of_a_repository_is_no_cause() -> None:
    for message in (
        "unauthorized: unauthorized to access repository: {}/app, action: push: unauthorized to access repository",
        "unexpected status from HEAD request to https://r.test/v2/{}/app/manifests/1: 401 Unauthorized",
        "unexpected status from POST request to https://r.test:413/v2/{}/blobs/uploads/: 403 Forbidden",
        "push access denied for {}/app, repository does not exist or may require authorization: authorization failed",
    ):
        for name in (
            "quota",
            "team/quota",
            "413",
            "team/413",
            "429",
            "x509",
            "tls",
            "immutable",
            "name_unknown",
            "tag_invalid",
            "denied",
            "toomanyrequests",
            "too-many-requests",
            "rate-exceeded",
            "token-is-expired",
            "read-only",
            "is-immutable",
            "blob_upload_unknown",
            "http/429",
            "status/503",
            "write_package",
            "tls-handshake-timeout",
        ):
            assert meaning(message.format(name)) is Undecided.REFUSAL, name


def test_every_row_names_its_source_and_decides_some_text() -> None:
    messages = [*(text.message for text in TEXTS), *(message for message, _ in WORDS)]
    first = [next((row for row in TABLE if re.search(row.pattern, one, re.IGNORECASE)), None) for one in messages]
    assert [row.pattern for row in TABLE if not row.source or row not in first] == []


def test_case_does_not_matter() -> None:
    assert meaning("NO BASIC AUTH CREDENTIALS") is meaning("no basic auth credentials")
