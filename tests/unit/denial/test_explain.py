"""Pasted errors: which line decides, what it means, which repository it is about, and that no secret comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pushsafe.denial.explain import LIMIT, explain
from pushsafe.denial.messages import TABLE, Undecided
from pushsafe.denial.reasons import KINDS, REASONS, pasted
from pushsafe.model.inquiry import Explanation
from pushsafe.model.verdicts import DenialKind, DenialReason, FailureKind
from pushsafe.report.human import render_explanation as render
from pushsafe.report.json import render_explanation as render_json
from tests.unit.denial.test_messages import TEXTS

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "explanation.schema.json").read_text(encoding="utf-8"))
REFUSED = "denied: requested access to the resource is denied"
PUSH = "The push refers to repository [registry.example.com:5000/team/app]\n5ef23ebecc6b: Preparing\n"
DIGEST = "sha256:" + "0123456789abcdef" * 4

# ---------------------------------------------------------------------- real texts


def test_a_real_text_has_its_cause_or_none() -> None:
    for text in TEXTS:
        cause = "unclear" if text.ambiguous_by_text else text.cause
        assert explain(text.message).cause == cause, text.source


def test_what_stands_around_a_text_changes_nothing() -> None:
    for frame in (
        PUSH + "{}\nexit status 1\n",
        "2026-04-13T20:18:22.236Z \x1b[31m{}\x1b[0m\r\n2026-04-13T20:18:22Z ##[error]docker failed with return code: 1",
        "#15 pushing layers 0.8s done\n#15 ERROR: {0}\n------\n > exporting:\n------\nERROR: failed to solve: {0}",
    ):
        told = {text.message: explain(frame.format(text.message)).cause for text in TEXTS}
        assert told == {text.message: "unclear" if text.ambiguous_by_text else text.cause for text in TEXTS}, frame


# ---------------------------------------------------------------------- the line that decides

SEVERAL: tuple[tuple[str, str, str], ...] = (
    (PUSH + REFUSED, "unclear", REFUSED),
    # one thing beats a refusal, whichever comes first
    (f"{PUSH}unauthorized: incorrect username or password\n{REFUSED}", "invalid-authentication", "incorrect username"),
    (f"{PUSH}{REFUSED}\nunauthorized: incorrect username or password", "invalid-authentication", "incorrect username"),
    # of two that mean one thing, the later
    (f"{PUSH}toomanyrequests: Rate exceeded\ntag invalid: x is immutable", "policy", "immutable"),
    # layers, attempts and wrappers say nothing
    (f"{PUSH}c85de82f7789: Retrying in 5 seconds\n{REFUSED}\nc85de82f7789: Layer already exists", "unclear", REFUSED),
    (
        f"{PUSH}Upload failed, retrying: received unexpected HTTP status: 503 Service Unavailable\n{REFUSED}\n",
        "unclear",
        REFUSED,
    ),
    (f"{PUSH}{REFUSED}\nmake: *** [push] Error 1\nERROR: Job failed: exit code 1", "unclear", REFUSED),
    # but an attempt that is all there is does
    ("Upload failed, retrying: received unexpected HTTP status: 503 Service Unavailable", "registry-error", "503"),
    # what a build prints is not about the push, a failed login before it is
    (f"npm error connect: connection refused\n{PUSH}{REFUSED}", "unclear", REFUSED),
    (f"x509: certificate signed by unknown authority\n{PUSH}c: Pushed\nname unknown: x", "repository-missing", "name"),
    (f"unauthorized: incorrect username or password\n{PUSH}{REFUSED}", "invalid-authentication", "incorrect username"),
    (f"test_login: invalid username or password ... ok\n{PUSH}{REFUSED}", "unclear", REFUSED),
    (f"connect: connection refused\n#9 exporting to image\n#9 ERROR: {REFUSED}", "unclear", REFUSED),
    (f"connect: connection refused\n{PUSH}received unexpected HTTP status: 500 Internal", "unclear", "500 Internal"),
    # and it is all there is where the push tells nothing
    (f"toomanyrequests: Rate exceeded\n{PUSH}", "rate-limited", "Rate exceeded"),
    # a message over several lines
    (
        f"{PUSH}denied: permission_denied: Error from intermediary with HTTP status code 403 - with-body: {{\n"
        '  "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."\n}',
        "rate-limited",
        "secondary rate limit",
    ),
    # words that nobody knows: the line that tells of an error, not what stands around it
    (f"{PUSH}c: Pushed\nreceived unexpected HTTP status: 500 Internal\nexit status 1", "unclear", "500 Internal"),
    ("the moon is in the wrong phase", "unclear", "the moon"),
    # a first attempt that failed, a second that succeeded
    (f"{PUSH}{REFUSED}\n{PUSH}latest: digest: {DIGEST} size: 1234\n", "unclear", "latest: digest"),
    (f"{PUSH}latest: digest: {DIGEST} size: 1234\n{PUSH}no basic auth credentials", "no-authentication", "no basic"),
)


def test_the_line_that_decides() -> None:
    for text, cause, line in SEVERAL:
        explanation = explain(text)
        assert (explanation.cause, line in explanation.message) == (cause, True), explanation.message


def test_unclear_says_why() -> None:
    for text, says, commands in (
        (REFUSED, "The message cannot decide", ("docker pushsafe diagnose REF",)),
        ("the moon is in the wrong phase", "no known meaning", ("docker pushsafe diagnose REF",)),
        ("", "no text", ("docker pushsafe diagnose REF",)),
        (" \n\x1b[0m\r\n", "no text", ("docker pushsafe diagnose REF",)),
        ("hello\nworld", "No line of this reports an error", ("docker pushsafe diagnose REF",)),
        (f"{PUSH}1.0: digest: {DIGEST} size: 12", "success", ()),
        ("Login Succeeded", "success", ()),
        ("Pushed: r.test/charts/x:0.1.0\nDigest: " + DIGEST, "success", ()),
        ("Copying config 1234 done\nWriting manifest to image destination", "success", ()),
    ):
        explanation = explain(text)
        assert explanation.cause == "unclear", text
        assert says in explanation.summary, text
        assert explanation.next == commands, text


def test_the_end_of_a_long_text_counts() -> None:
    noise = "no basic auth credentials\n" + "building\n" * (LIMIT // 9)
    assert explain(noise + REFUSED).message == REFUSED
    assert explain("building\n" * (LIMIT // 9) + "no basic auth credentials").cause == "no-authentication"


def test_both_ends_of_a_long_line_count() -> None:
    assert explain("x" * 10_000 + " no basic auth credentials").cause == "no-authentication"
    assert explain("no basic auth credentials " + "x" * 10_000).cause == "no-authentication"


# ---------------------------------------------------------------------- where it was pushed to

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PLACES: tuple[tuple[str, str, str], ...] = (
    ("The push refers to repository [docker.io/library/my-api]\n{}", "docker.io/library/my-api", ""),
    ("The push refers to a repository [10.0.0.7:5000/centos] (len: 1)\n{}", "10.0.0.7:5000/centos", ""),
    ("ERROR: failed to push ghcr.io/me/app:1.0: {}", "ghcr.io/me/app", "1.0"),
    (" > pushing ghcr.io/me/app:1.0 with docker:\n{}", "ghcr.io/me/app", "1.0"),
    ("#15 pushing manifest for ghcr.io/me/app:1.0@sha256:ab\n{}", "ghcr.io/me/app", "1.0"),
    ("#3 [auth] me/app:pull,push token for r.example.com\n{}", "r.example.com/me/app", ""),
    ("+ docker push -q team/app:2\n{}", "docker.io/team/app", "2"),
    ("$ podman push app\n{}", "docker.io/library/app", ""),
    ("push access denied for team/app, repository does not exist or {}", "docker.io/team/app", ""),
    ('checking push permission for "index.docker.io/x/y:v0.2": {}', "docker.io/x/y", "v0.2"),
    ("failed to push to destination r.example.com/x/y:1: {}", "r.example.com/x/y", "1"),
    ("skopeo copy docker://quay.io/a/b:1 docker://r.test:5000/c/d:2\n{}", "r.test:5000/c/d", "2"),
    ("initiating layer upload to /v2/a/b/c/blobs/uploads/ in quay.io: {}", "quay.io/a/b/c", ""),
    ("uploading manifest latest to localhost:5000/foo: {}", "localhost:5000/foo", ""),
    ("POST https://index.docker.io/v2/library/nginx/blobs/uploads/: {}", "docker.io/library/nginx", ""),
    ('Head "https://me:pw@r.test/v2/a/b/manifests/1": {}', "r.test/a/b", ""),
    (
        "GET https://auth.docker.io/token?scope=repository%3Aa%2Fb%3Apull%2Cpush&service=registry.docker.io: {}",
        "docker.io/a/b",
        "",
    ),
    ("https://auth.test/token?service=r.test:5000&scope=repository:a/b:push: {}", "r.test:5000/a/b", ""),
    # the push's own words beat what else is named, and the line that decides beats the others
    ("FROM docker://quay.io/base/image\nThe push refers to repository [r.test/a]\n{}", "r.test/a", ""),
    ("The push refers to repository [r.test/a]\nfailed to push r.test/b:1: {}", "r.test/b", "1"),
    # what is no name is none
    ("failed to push ***.dkr.ecr.eu-west-1.amazonaws.com/app: {}", "", ""),
    ("failed to push <registry>/<image>:<tag>: {}", "", ""),
    ("{}", "", ""),
)


def test_the_repository_is_found() -> None:
    for text, repository, tag in PLACES:
        explanation = explain(text.format(REFUSED))
        assert explanation.repository == repository, text
        assert explanation.next == (f"docker pushsafe diagnose {repository or 'REF'}{tag and ':' + tag}",), text


def test_the_next_command() -> None:
    for text, command in (
        (
            f"[{ECR}/app]\nno basic auth credentials",
            "aws ecr get-login-password --region eu-west-1 | docker login -u AWS",
        ),
        ("[docker.io/me/app]\nno basic auth credentials", "docker login -u YOUR-DOCKER-ID"),
        ("[r.test:5000/me/app]\nno basic auth credentials", "docker login r.test:5000"),
        ("[x.azurecr.io/app]\nunauthorized: Invalid clientid or client secret.", "az acr login -n x"),
        (f"[{ECR}/a/b]\nname unknown: gone", "aws ecr create-repository --region eu-west-1 --repository-name a/b"),
        ("[r.test/a/b]\nname unknown: gone", "create the repository, or its project, at the registry"),
        ("[r.test:5000/a]\nx509: certificate signed by unknown authority", "sudo ls /etc/docker/certs.d/r.test:5000/"),
        ("[docker.io/a/b]\ndial tcp: no such host", "curl -sSi https://registry-1.docker.io/v2/"),
        ("[localhost:5000/a]\ndial tcp: connection refused", "curl -sSi http://localhost:5000/v2/"),
        ("[r.test/a]\ndenied: permission_denied: write_package", "docker pushsafe diagnose r.test/a"),
        ("[r.test/a]\nname invalid: x", "docker pushsafe lint r.test/a"),
        ("[r.test/a]\nAn image does not exist locally with the tag: r.test/a", "docker version"),
        ("[r.test/a]\ntoomanyrequests: Rate exceeded", "wait some minutes"),
        ("[r.test/a]\ntag invalid: it is immutable", "push under a new tag"),
        ("[r.test/a]\n502 Bad Gateway", "push again later"),
    ):
        assert explain(f"The push refers to repository {text}").next[0].startswith(command), text


def test_a_host_alone_is_enough_for_a_login() -> None:
    for text, command in (
        ('Get "https://r.test:5000/v2/": no basic auth credentials', "docker login r.test:5000"),
        ("pinging container registry x.azurecr.io: unauthorized: token is expired", "az acr login -n x"),
        ("no basic auth credentials", "docker login REGISTRY"),
    ):
        explanation = explain(text)
        assert (explanation.repository, explanation.next) == ("", (command,)), text


# ---------------------------------------------------------------------- secrets

SECRET = "hunter22hunter22"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"


def test_no_secret_comes_back() -> None:
    for place in ("{} denied", "denied {}", "The push refers to repository [{}/x]\ndenied"):
        for text, secret in (
            (f"Authorization: Basic {SECRET}", SECRET),
            (f'"Authorization": ["Custom {SECRET}"]', SECRET),
            (f"Authorization:[Bearer {SECRET}]", SECRET),
            (f"x-registry-auth={SECRET}", SECRET),
            (f"Set-Cookie: session={SECRET}; Path=/", SECRET),
            (f"PRIVATE-TOKEN: {SECRET}", SECRET),
            (f"bearer {SECRET}", SECRET),
            (f"https://me:{SECRET}@r.test/v2/", SECRET),
            (f"https://{SECRET}@r.test/v2/", SECRET),
            (f"me:{SECRET}@r.test", SECRET),
            (f"docker login -u me -p {SECRET} r.test", SECRET),
            (f"docker login --password={SECRET} r.test", SECRET),
            (f"skopeo copy --dest-creds me:{SECRET} x", SECRET),
            (f"REGISTRY_PASSWORD={SECRET}", SECRET),
            (f"https://r.test/token?refresh_token={SECRET}&x=1", SECRET),
            (f"https://s3.test/x?X-Amz-Signature={SECRET}", SECRET),
            (f'{{"password":"{SECRET}","identitytoken": "{SECRET}"}}', SECRET),
            (f'{{\\"auth\\":\\"{SECRET}\\"}}', SECRET),
            ("token " + JWT, "eyJhbGciOiJSUzI1NiJ9"),
            ("token " + JWT, "c2lnbmF0dXJl"),
            *(
                (f"used {token}", token)
                for token in (
                    "ghp_" + "a1B2" * 9,
                    "github_pat_" + "11AAAA_b2" * 4,
                    "ghs_" + "a1B2" * 9,
                    "glpat-" + "xY3-zW4_vU5" * 2,
                    "gldt-" + "xY3-zW4_vU5" * 2,
                    "dckr_pat_" + "aBc-dEf_1" * 3,
                    "dckr_oat_" + "aBc-dEf_1" * 3,
                    "AKIA" + "ABCDEFGH12345678",
                    "ya29." + "a0AfH6SMB-x" * 3,
                    "AKCp" + "8xY2zW4vU6tS",
                    "QUAY" + "ABCDEFGHIJ1234567890" * 3,
                    "aB3" * 20,
                )
            ),
        ):
            explanation = explain(place.format(text))
            assert secret not in render(explanation) + render_json(explanation), text
            assert "***" in explanation.message or "The push" in place, text


def test_what_is_no_secret_stays() -> None:
    for text in (
        f"denied: r.test/team/app:1.0@{DIGEST}",
        "failed to fetch anonymous token: unexpected status: 403 Forbidden",
        "authorization server did not include a token in the response",
        "unable to retrieve auth token: invalid username/password: unauthorized: x",
        'unauthorized: Bearer realm="https://auth.test/token"',
        "denied: token exchange failed for project 'x'",
        "denied: User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized to perform: ecr:PutImage",
        'unexpected status from POST request to "https://r.test/v2/a/b/blobs/uploads/6fe984-30b0-4cfd-ba84-88392c86366d"',
    ):
        assert explain(text).message == text, text


# ---------------------------------------------------------------------- shapes


def test_whatever_is_pasted_is_answered_in_one_clean_line() -> None:
    for text in (
        "a\n" * (LIMIT // 2),
        "\0" * LIMIT,
        "denied\n" * (LIMIT // 7),
        "-a" * (LIMIT // 2),
        "\x1b[" * (LIMIT // 2),
        "\ud800denied",
        "denied \u202eevil\u200b",
        "{registry} {} %s denied",
        REFUSED * 5000,
    ):
        explanation = explain(text)
        assert len(explanation.message) <= 500, text
        assert explanation.message.isprintable(), text
        jsonschema.validate(json.loads(render_json(explanation)), SCHEMA)


def test_json_has_the_explanation_and_fits_its_schema() -> None:
    for text in ("", REFUSED, PUSH + "no basic auth credentials", f"{PUSH}1: digest: {DIGEST} size: 2"):
        explanation = explain(text)
        document = json.loads(render_json(explanation))
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert document["schema"] == 1, text
        assert (
            Explanation(**{name: document[name] for name in Explanation._fields})._replace(next=tuple(document["next"]))
            == explanation
        ), text


def test_the_schema_is_strict_and_names_every_cause() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(render_json(explain(REFUSED)))
    for wrong in (document | {"cause": "denied"}, document | {"more": 1}, {**document, "next": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA)
    assert set(SCHEMA["properties"]["cause"]["enum"]) == {text.cause for text in TEXTS} | {"unclear"}


def test_a_person_reads_cause_meaning_line_and_next() -> None:
    text = render(explain(PUSH + "no basic auth credentials"))
    assert text == (
        "no-authentication (registry.example.com:5000/team/app)\n"
        "  No credential for registry.example.com:5000 was sent: not logged in.\n"
        "  line: no basic auth credentials\n"
        "  next: docker login registry.example.com:5000\n"
    )


def test_colour_is_all_that_colour_adds() -> None:
    explanation = explain(PUSH + REFUSED)
    coloured = render(explanation, color=True)
    assert "\x1b[" in coloured
    assert "\x1b" not in render(explanation)
    for code in ("33;1", "1", "2", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == render(explanation)


def test_every_meaning_of_words_has_a_saying() -> None:
    assert all(pasted(row.meaning).said and pasted(row.meaning).next for row in TABLE)
    assert not any(pasted(meaning).said for meaning in (DenialReason.CREDENTIAL_NOT_SENT, FailureKind.REDUCED))


def test_every_reason_and_kind_has_a_row() -> None:
    assert (list(REASONS), list(KINDS)) == (list(DenialReason), list(FailureKind))


def test_the_schemas_name_every_reason_kind_and_cause() -> None:
    report = json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))["$defs"]
    denial, failure = report["denial"]["properties"], report["failure"]["properties"]
    assert denial["kind"]["enum"] == [kind.value for kind in DenialKind]
    assert denial["reason"]["enum"] == [reason.value for reason in DenialReason]
    assert failure["kind"]["enum"] == [kind.value for kind in FailureKind]
    told = {pasted(meaning).cause for meaning in (*REASONS, *KINDS, *Undecided) if pasted(meaning).said}
    assert set(SCHEMA["properties"]["cause"]["enum"]) == told


PINNED = f"denied: https://registry.test:5000/app@sha256:{'a' * 64}"


def test_a_password_in_an_address_is_masked() -> None:
    for text, shown in (
        ("denied: https://ada:pa/ss@registry.test/v2/", "denied: https://***@registry.test/v2/"),
        ("denied: https://ada:secret@registry.test/v2/", "denied: https://***@registry.test/v2/"),
        (
            f"denied: https://registry.test:5000/app@sha256:{'a' * 64}",
            f"denied: https://registry.test:5000/app@sha256:{'a' * 64}",
        ),
    ):
        assert explain(text).message == shown, text


def test_too_large_a_body_has_the_same_next_step_as_in_a_report() -> None:
    found = explain("unexpected status from PUT request to https://r.test/v2/a/b/blobs/1: 413 Request Entity Too Large")
    larger = "allow larger requests at the proxy in front of r.test   (nginx: client_max_body_size 0;)"
    assert (found.cause, found.next) == ("registry-error", (larger,))


GET = 'Get "https://r.test:5000/v2/": '


def test_each_failure_of_tls_has_its_own_cause() -> None:
    for text, says, command in (
        (f"{GET}http: server gave HTTP response to HTTPS client", "plain HTTP", '"r.test:5000" to insecure-registries'),
        (f"{GET}tls: first record does not look like a TLS handshake", "plain HTTP", "insecure-registries"),
        (f"{GET}Client sent an HTTP request to an HTTPS server.", "speaks TLS", "out of insecure-registries"),
        (
            f"{GET}x509: certificate has expired or is not yet valid: current time 2026",
            "has expired or is not valid yet",
            "-dates",
        ),
        (
            f"{GET}x509: certificate relies on legacy Common Name field, use SANs instead",
            "Common Name",
            "with r.test among",
        ),
        (
            f"{GET}x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
            "Common",
            "reissue",
        ),
        (f"{GET}x509: certificate is valid for other.test, not r.test", "is for another host.", "-ext subjectAltName"),
        (f"{GET}x509: certificate is not valid for any names, but wanted to match r.test", "Common Name", "reissue"),
        (f"{GET}remote error: tls: certificate required", "a client certificate", "client.cert"),
        (
            f"{GET}x509: certificate signed by unknown authority",
            "authority that is not trusted",
            "certs.d/r.test:5000/",
        ),
        (
            f"{GET}remote error: tls: internal error",
            "The TLS connection failed",
            "openssl s_client -connect r.test:5000",
        ),
    ):
        found = explain(text)
        assert found.cause == "tls", text
        assert says in found.summary, text
        (told,) = found.next
        assert command in told, text
        assert ("certs.d" in told) == (says in ("a client certificate", "authority that is not trusted")), text


def test_a_closed_file_is_this_machines() -> None:
    for text, command in (
        ("dial unix /var/run/docker.sock: connect: permission denied", "ls -l /var/run/docker.sock"),
        (
            "permission denied while trying to connect to the docker API at unix:///run/user/1/docker.sock",
            "ls -l /run/user/1/docker.sock",
        ),
        ("mkdir /home/ci/.docker: permission denied", "ls -ld /home/ci/.docker; id"),
        ("open /builds/app/Dockerfile: permission denied", "ls -ld /builds/app/Dockerfile; id"),
        ("rename /home/ci/.docker/config.json1 /home/ci/.docker/config.json: operation not permitted", "ls -ld "),
        ("bash: /usr/local/bin/docker: Permission denied", "ls -ld /usr/local/bin/docker; id"),
        ("PermissionError: [Errno 13] Permission denied: '/var/lib/x'", "docker version"),
        ("open /var/lib/docker/tmp/x: no space left on device", "docker version"),
    ):
        found = explain(text)
        assert (found.cause, "is not involved" in found.summary) == ("local", True), text
        assert found.next[0].startswith(command), text


def test_a_connection_that_broke_off_has_a_meaning() -> None:
    for text in (
        f"{GET}EOF",
        f"{GET}read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer",
        "write tcp 10.0.0.1:1->10.0.0.2:443: write: broken pipe",
        "unexpected EOF",
        "#9 pushing layers\nhttp2: server sent GOAWAY and closed the connection\nmake: *** [push] Error 1",
    ):
        found = explain(text)
        assert "broke off on the way" in found.summary, text
        assert [one.split()[0] for one in found.next] == ["push", "curl"], text


def test_a_wrapped_token_is_masked() -> None:
    shown = explain("denied: token ghp_0123456789\u200babcdefghijABCDEFGHIJ").message
    assert "ghp_" not in shown
    assert "ABCDEF" not in shown


def test_a_long_line_of_paths_takes_no_time() -> None:
    """A second was the time of 10 kB, and four of 20: it would not end."""
    for line in ("/a" * 30_000, "dial unix /a " * 5_000):
        assert explain(f"permission denied {line}"), line
