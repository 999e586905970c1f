"""Files and variables that configure: docker's config.json, DOCKER_AUTH_CONFIG, helpers' answers, .pushsafe.toml."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsafe.cli import settings as config
from pushsafe.credentials import config_file
from pushsafe.credentials.expiry import expires
from pushsafe.credentials.store import CredentialStore
from pushsafe.model.credentials import Secret
from pushsafe.model.errors import UsageError
from tests.contract.fuzz.strategies import TELLING, TEXTS, assert_fit, near, quick, written

LOGIN = {"auth": base64.b64encode(b"ada:s3cret-pw").decode()}
FILE = {
    "auths": {"registry.test": {**LOGIN, "identitytoken": "t", "email": ""}, "https://index.docker.io/v1/": {}},
    "credHelpers": {"other.test": "none-such"},
    "credsStore": "",
    "HttpHeaders": {"X-Meta": "1"},
    "plugins": {},
}
TEXT_OF = st.one_of(written(near(FILE)), written(near({"auths": {"registry.test": LOGIN}})))

PARSERS: dict[str, Callable[[str], object]] = {
    "config.json": config_file.parse_file,
    "DOCKER_AUTH_CONFIG": config_file.parse_environment,
    "DOCKER_CUSTOM_HEADERS": config_file.parse_headers,
    "a helper's answer": config_file.parse_answer,
    "a helper's list": config_file.parse_listing,
}


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
@given(text=st.one_of(TEXT_OF.map(lambda body: body.decode("utf-8", "replace")), TEXTS, TELLING))
def test_parsers(parse: Callable[[str], object], text: str) -> None:
    with quick():
        try:
            parse(text)
        except config_file.MalformedError as error:
            assert_fit(str(error).replace("s3cret-pw", "\n"))  # and does not show it


@given(TEXT_OF, st.one_of(TEXT_OF, st.just(b"")))
def test_credentials(content: bytes, environment: bytes) -> None:
    """What cannot be read is a credential that is broken, and says why."""
    environ = {"PATH": "/nowhere"}
    if environment:
        environ["DOCKER_AUTH_CONFIG"] = environment.decode("utf-8", "replace").replace("\0", "")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, quick():
        Path(folder, "config.json").write_bytes(content)
        store = CredentialStore(Path(folder), environ)
        found = [store.lookup(registry) for registry in ("registry.test", "docker.io", "other.test")]
        servers = store.servers()
        store.close()
    assert_fit(*store.warnings)
    for credential in found:
        assert_fit(str(credential.source))
        assert "s3cret-pw" not in repr(credential)
    assert all(isinstance(one, str) for one in servers)


@given(st.one_of(TEXTS, TELLING, written(near({"exp": 1, "expiration": 5, "payload": "x"}))))
def test_expiry(secret: str | bytes) -> None:
    text = secret if isinstance(secret, str) else f"e30.{base64.urlsafe_b64encode(secret).decode().rstrip('=')}.c2ln"
    with quick():
        found = expires(Secret(text))
    assert found is None or found == found  # never NaN


TOML = st.sampled_from(
    [
        "preflight = false\n",
        "retries = 3\n",
        'timeout = "5m"\n',
        "timeout = 1e400\n",
        'moving-tags = ["latest", "v*"]\n',
        'immutable-tags = "[!a"\n',
        "[a.b.c]\n",
        "a.b = {c = 1}\n",
        "= ",
        '"""',
        "\0",
        "[" * 200,
        "1979-05-27T07:32:00Z",
    ]
)


@given(st.one_of(st.lists(st.one_of(TOML, TEXTS), max_size=6).map("".join).map(str.encode), st.binary(max_size=60)))
def test_settings(content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, quick():
        Path(folder, ".pushsafe.toml").write_bytes(content)
        try:
            found = config.load({"HOME": folder, "XDG_CONFIG_HOME": folder}, Path(folder))
        except UsageError as error:
            assert_fit(error.message, error.hint)
        else:
            assert found.timeout is None or 0 < found.timeout <= 24 * 3600
            assert_fit(*found.warnings)


VARIABLES = st.sampled_from(["PUSHSAFE_TIMEOUT", "PUSHSAFE_RETRIES", "PUSHSAFE_MOVING_TAGS", "PUSHSAFE_PREFLIGHT"])


@given(st.dictionaries(VARIABLES, st.one_of(TEXTS, st.sampled_from(["1h30m", "9" * 5000, "٣", "-1", "off"]))))
def test_variables(environ: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, quick():
        try:
            config.load({**environ, "HOME": folder}, Path(folder))
        except UsageError as error:
            assert_fit(error.message, error.hint, limit=6000)
