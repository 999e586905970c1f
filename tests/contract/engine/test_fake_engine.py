"""The fake engine does what tests rely on: it records, streams, refuses, and fails the test at a surprise."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest

from tests.fakes.capture import Drop, FakeEngine, FakeImage, PushScript, Refusal


class Connection(http.client.HTTPConnection):
    def __init__(self, engine: FakeEngine) -> None:
        super().__init__("engine")
        self._path = engine.host.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def ask(engine: FakeEngine, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = Connection(engine)
    connection.request(method, path, body, {"X-Registry-Auth": "e30="}, encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def test_a_surprise_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="POST /containers/create"), FakeEngine() as engine:
        assert ask(engine, "POST", "/v1.51/containers/create?name=x", b"{}")[0] == 500


def test_a_failure_inside_the_test_is_not_hidden_by_a_surprise() -> None:
    def fail() -> None:
        with FakeEngine() as engine:
            ask(engine, "GET", "/nothing")
            raise RuntimeError("own")

    with pytest.raises(RuntimeError, match="own"):
        fail()


def test_ping_names_the_api_version() -> None:
    with FakeEngine(api_version="1.41") as engine:
        connection = Connection(engine)
        connection.request("HEAD", "/_ping")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("api-version"), answer.read()) == (200, "1.41", b"")
        connection.request("GET", "/v1.41/version")  # on the same connection
        assert json.loads(connection.getresponse().read())["ApiVersion"] == "1.41"
        connection.close()
    assert [(one.method, one.path, one.api_version) for one in engine.requests] == [
        ("HEAD", "/_ping", ""),
        ("GET", "/version", "1.41"),
    ]


@pytest.mark.parametrize("store", ["classic", "containerd"])
def test_a_push_of_either_store(store: Any) -> None:
    with FakeEngine({"acme/app:1": FakeImage(digest="sha256:d")}, store) as engine:
        assert ask(engine, "GET", "/distribution/acme/app:1/json")[0] == 404
        status, body = ask(engine, "POST", "/v1.51/images/docker.io/acme/app/push?tag=1", iter([b"some", b"thing"]))
        assert ask(engine, "GET", "/distribution/acme/app:1/json")[0] == 200
    assert status == 200
    assert [line["aux"]["Digest"] for line in lines(body) if "aux" in line] == ["sha256:d"] * (store == "classic")
    assert {"status": "1: digest: sha256:d size: 1234"} in lines(body)
    [push] = engine.pushes
    assert (push.auth, push.body, engine.pushed()) == ({}, b"something", ["docker.io/acme/app:1"])


def test_scripts() -> None:
    push: dict[str, PushScript] = {
        "a/b:1": [{"status": "x"}, 0.01, "{}\r\n", b"[]"],
        "a/b:2": Refusal(404, "no"),
        "a/b:3": [{}, Drop()],
    }
    with FakeEngine(push=push) as engine:
        assert ask(engine, "POST", "/images/a/b/push?tag=1") == (200, b'{"status": "x"}\r\n{}\r\n[]')
        assert ask(engine, "POST", "/images/a/b/push?tag=2") == (404, b'{"message": "no"}')
        with pytest.raises(http.client.IncompleteRead):
            ask(engine, "POST", "/images/a/b/push?tag=3")
        assert "An image does not exist locally" in str(ask(engine, "POST", "/images/a/b/push?tag=4"))


def test_a_script_that_cannot_be_sent_fails_the_test() -> None:
    with (
        pytest.raises(AssertionError, match="the fake engine failed"),
        FakeEngine(push={"a/b:1": [{"x": {1}}]}) as engine,
        pytest.raises(http.client.HTTPException),
    ):
        ask(engine, "POST", "/images/a/b/push?tag=1")


def test_errors_come_first() -> None:
    with FakeEngine(["a/b:1"], errors={"GET /info": Refusal(503, "busy")}) as engine:
        assert ask(engine, "GET", "/v1.51/info") == (503, b'{"message": "busy"}')


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("a/b:1", 200),
        ("docker.io/a/b:1", 200),
        ("sha256:" + "a" * 64, 200),
        ("a" * 12, 200),
        ("a/b:2", 404),
        ("aa", 404),
    ],
)
def test_inspect(name: str, status: int) -> None:
    with FakeEngine(["a/b:1"]) as engine:
        assert ask(engine, "GET", f"/images/{name}/json")[0] == status


@pytest.mark.parametrize(("wanted", "tags"), [(None, 3), (["a/b"], 2), (["a/b:1"], 1), (["x"], 0)])
def test_list(wanted: list[str] | None, tags: int) -> None:
    images = {f"a/{name}": FakeImage(id=f"sha256:{name}") for name in ("b:1", "b:2", "c:1")}
    query = f"?filters={json.dumps({'reference': wanted})}".replace(" ", "") if wanted else ""
    with FakeEngine(images) as engine:
        assert sum(len(one["RepoTags"]) for one in json.loads(ask(engine, "GET", f"/images/json{query}")[1])) == tags
