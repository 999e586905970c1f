"""Plain HTTP through a proxy: whose word an answer is, after the first one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pushsafe.model.credentials import Repository
from pushsafe.model.errors import ProxyAnswers, RegistryUnreachable
from pushsafe.model.plan import Wait
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import Blob, ManifestContent
from pushsafe.oci.reference import Reference
from pushsafe.registry.client import Registry
from pushsafe.registry.http import retry
from pushsafe.registry.http.transport import Endpoint, Response, Transport
from pushsafe.registry.responses import of_registry
from tests.contract.registry.asking import NAME, NOBODY
from tests.contract.registry.conftest import Names
from tests.fakes.lying import Lying
from tests.fakes.registry import HTML_ERROR, Answer, FakeRegistry, on, ping

HOST = "registry.test"
PROXY = "http://proxy.test:3128"
HTML = {"content-type": "text/html; charset=utf-8"}
PAGE = b"<html><body>Bad Gateway</body></html>"
ERRORS = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
VERSION = {"docker-distribution-api-version": "registry/2.0"}


def said(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, elsewhere: bool = False) -> Response:
    return Response(status, headers or {}, body, elsewhere)


def through(monkeypatch: pytest.MonkeyPatch, base: str = f"http://{HOST}") -> Endpoint:
    monkeypatch.setenv("HTTP_PROXY", PROXY.replace("//", "//user:hidden@"))
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    return Endpoint(HOST, base, False, said(200))


PROXYS: dict[str, tuple[str, Response, str]] = {
    # the method, the answer, and how it is called
    **{f"{n}, a page": ("GET", said(n, PAGE, HTML), f"a web page with status {n}") for n in (200, 401, 403, 404, 502)},
    **{f"{n}, nothing": ("GET", said(n), f"status {n}") for n in (403, 404, 405, 407, 500, 501, 502, 503, 504)},
    **{f"{n} to HEAD": ("HEAD", said(n), f"status {n}") for n in (407, 502, 503, 504)},
    **{f"{n} to HEAD, a page": ("HEAD", said(n, b"", HTML), f"a web page with status {n}") for n in (200, 404)},
    "words": ("PUT", said(503, b"no such host", {"content-type": "text/plain"}), "status 503"),
    "a page without its type": ("POST", said(404, b"\n<!DOCTYPE html>"), "a web page with status 404"),
    "a list": ("GET", said(404, b"[]"), "status 404"),
}


@pytest.mark.parametrize(("method", "answer", "called"), PROXYS.values(), ids=PROXYS)
def test_what_no_registry_answers(method: str, answer: Response, called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProxyAnswers) as caught:
        of_registry(through(monkeypatch), method, answer)
    sends = f"what answers through the proxy {PROXY} sends {called}"
    assert caught.value.message == f"http://{HOST}: {sends}, which is not how a registry answers"


@pytest.mark.parametrize(("method", "answer", "called"), PROXYS.values(), ids=PROXYS)
def test_by_tls_or_without_a_proxy_whatever_comes_is_the_registrys(
    method: str, answer: Response, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of_registry(through(monkeypatch, f"https://{HOST}"), method, answer) is answer
    assert of_registry(through(monkeypatch, "http://127.0.0.1:5000"), method, answer) is answer
    monkeypatch.setenv("NO_PROXY", HOST)
    assert of_registry(through(monkeypatch), method, answer) is answer


REGISTRYS: dict[str, tuple[str, Response]] = {
    **{f"{n}, an error": ("GET", said(n, ERRORS)) for n in (400, 401, 403, 404, 429, 500, 503)},
    **{f"{n} to HEAD": ("HEAD", said(n)) for n in (200, 401, 403, 404, 405, 429, 500, 501)},
    **{f"{n}, nothing": ("POST", said(n)) for n in (200, 201, 202, 307, 401, 413, 429)},
    **{f"{n}, a page": ("PUT", said(n, PAGE, HTML)) for n in (413, 429)},
    "a challenge before a page": ("GET", said(401, PAGE, {**HTML, "www-authenticate": "Basic realm=r"})),
    "its own words": ("GET", said(502, b'{"message": "the storage is away"}')),
    "busy": ("GET", said(503, b"", VERSION)),
    "its own page": ("GET", said(502, PAGE, {**HTML, **VERSION})),
    "a storage's": ("GET", said(403, b"<Error>AccessDenied</Error>", elsewhere=True)),
}


@pytest.mark.parametrize(("method", "answer"), REGISTRYS.values(), ids=REGISTRYS)
def test_what_a_registry_may_answer(method: str, answer: Response, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_registry(through(monkeypatch), method, answer) is answer


REFERENCE = Reference("given", HOST, NAME, "1")
BLOB = Blob(f"sha256:{'0' * 64}", 1)
CONTENT = ManifestContent(BLOB.digest, "application/vnd.oci.image.manifest.v1+json", b"{}")
WAYS: dict[str, Callable[[Registry], object]] = {
    "look": lambda asked: asked.manifest(REFERENCE, NOBODY),
    "read": lambda asked: asked.content(REFERENCE, NOBODY),
    "config": lambda asked: asked.image_config(REFERENCE, NOBODY, BLOB.digest),
    "list": lambda asked: asked.tags(REFERENCE, NOBODY),
    "put": lambda asked: asked.put(REFERENCE, NOBODY, CONTENT),
}


@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_whatever_is_asked(ask: Callable[[Registry], object], names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names()
    with FakeRegistry(ping(), [on(method, "/v2/.+", HTML_ERROR) for method in ("HEAD", "GET", "PUT")]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        with pytest.raises(ProxyAnswers):
            ask(Registry(Transport(lambda: (HOST,))))


@pytest.mark.parametrize("answer", [HTML_ERROR, Answer(403), Answer(503)], ids=["a page", "403", "503"])
def test_a_preflight_leaves_it_open(answer: Answer, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a proxy refuses is no refusal of the registry's."""
    names()
    with FakeRegistry(ping(), on("POST", "/v2/.+", answer)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        found = Registry(Transport(lambda: (HOST,))).investigate(REFERENCE, NOBODY)
    assert f"what answers through the proxy {proxy.base} sends " in found.problem
    assert [one.status for one in found.evidence] == [200]


@pytest.mark.parametrize("answer", [HTML_ERROR, Answer(403), Answer(404)], ids=["a page", "403", "404"])
def test_what_becomes_of_content(answer: Answer, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses a blob has not spoken for the registry."""
    names()
    content = Lying(b"layer")
    opened = Answer(202).having(Location=f"http://{HOST}/v2/{NAME}/blobs/uploads/1")
    uploads = [on("POST", "/v2/.+", opened), on("PUT", "/v2/.+", answer), on("DELETE", "/v2/.+", Answer(204))]
    with FakeRegistry(ping(), on("HEAD", "/v2/.+", Answer(404)), uploads) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        registry = Registry(Transport(lambda: (HOST,)))
        target = Repository(REFERENCE, NOBODY)
        with pytest.raises(ProxyAnswers, match=f"what answers through the proxy {proxy.base} sends "):
            registry.send(content, target, "", lambda _size: None, NO_RETRIES)
        registry.close()


def test_who_is_busy_may_be_the_proxy(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    names()
    monkeypatch.setattr(retry, "sleep", lambda _seconds: None)
    waits: list[Wait] = []
    with FakeRegistry(on("GET", "/busy", Answer(503))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        Transport().send("GET", f"http://{HOST}/busy", retry_policy=RetryPolicy(1, waits.append))
    assert [(one.who, one.why) for one in waits] == [(f"{HOST} (or the proxy {proxy.base})", "answers 503")]


@pytest.mark.parametrize("url", ["http://[", "http://registry.test:99999999/"])
def test_behind_a_proxy_too_what_is_no_url_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    with pytest.raises(RegistryUnreachable):
        Transport().send("GET", url)
