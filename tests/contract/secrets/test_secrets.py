"""No secret and no control character leaves a run, whatever engines, registries, files and pasted texts echo."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from pushsafe.credentials.store import auth_config
from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind, secrets_of
from pushsafe.model.errors import RegistryUnreachable
from pushsafe.model.facts import Facts
from pushsafe.registry.auth import Token
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Response, Transport
from pushsafe.runtime.redact import clean
from tests.contract.secrets.cases import BASIC, HEADER, IDENTITY, JWT, OPAQUE, PASSWORD, SCENARIOS
from tests.contract.secrets.playing import PROCESSES, assert_nothing_leaks, leaked
from tests.fakes.registry import Answer, FakeRegistry, on
from tests.values import ref


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in PROCESSES])
def test_nothing_leaks(name: str, tmp_path: Path) -> None:
    for form in ("human", "json"):
        run = assert_nothing_leaks(name, form, tmp_path / form)
        if (name, form) == ("Bearer, JWT", "json"):
            assert "***" in run.stdout


# --------------------------------------------------------------------------- values and exceptions


def somebody(kind: CredentialKind = CredentialKind.BASIC, secret: str = PASSWORD, **more: Any) -> Credential:
    return Credential("r", "r", CredentialSource(SourceKind.FILE, "f"), kind, "ada", Secret(secret), **more)


CREDENTIALS = (
    somebody(),
    somebody(CredentialKind.IDENTITY_TOKEN, IDENTITY),
    somebody(CredentialKind.REGISTRY_TOKEN, JWT),
    somebody(sent=(("password", Secret(PASSWORD)), ("identitytoken", Secret(IDENTITY)))),
)
VALUES = (
    *CREDENTIALS,
    Secret(PASSWORD),
    Facts(ref("registry.test/acme/app:1"), credential=somebody()),
    Token(200, OPAQUE),
    Response(200, {"authorization": BASIC}, json.dumps({"token": OPAQUE}).encode()),
)


@pytest.mark.parametrize("value", VALUES)
def test_a_value_does_not_show_its_secret(value: object) -> None:
    for text in (repr(value), str(value), f"{value}", f"{value!r}", f"{[value]}", "%s" % (value,)):  # noqa: UP031
        assert leaked(text) == []


def test_every_secret_that_is_sent_has_its_spellings() -> None:
    for credential in CREDENTIALS:
        sent = {name: value for name, value in auth_config(credential).items() if name not in NO_SECRETS}
        assert sent
        assert set(sent.values()) <= set(secrets_of(credential)), credential


NO_SECRETS = ("username", "serveraddress")

REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "a header": ("http://127.0.0.1:1", {"Authorization": f"Bearer {OPAQUE}\n"}),
    "a query": (f"http://127.0.0.1:1/?t={OPAQUE}", {}),
    "a user": (f"http://ada:{IDENTITY.replace('/', '')}@127.0.0.1:1/", {}),
    "a user with a slash": (f"http://ada:{PASSWORD}@127.0.0.1:1/", {}),
    "no URL": (f"http://127.0.0.1:port/{PASSWORD}", {}),
    "no scheme": (f"ada:{PASSWORD}@127.0.0.1:1/", {}),
}


@pytest.mark.parametrize(("url", "headers"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.filterwarnings("ignore:URLs without a scheme")
def test_an_exception_does_not_show_a_secret(url: str, headers: dict[str, str]) -> None:
    with pytest.raises(RegistryUnreachable) as caught:
        Transport().send("GET", url, headers=headers)
    shown = str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))
    assert leaked("".join(shown)) == []


def test_a_registry_that_echoes_in_its_status_line_and_then_dies() -> None:
    wants = Answer(401, reason=HEADER).having(WWW_Authenticate="Basic")
    with FakeRegistry(on("GET", "/v2/", wants, Answer(drop=True))) as registry:
        found = Registry(Transport()).investigate(ref(f"{registry.host}/acme/app:1"), somebody())
        assert [request.authorization for request in registry.requests] == ["", BASIC]
    assert found.problem
    assert leaked(repr(found)) == []


def test_a_credential_is_masked_in_each_of_its_spellings() -> None:
    for secret, text, shown in [
        ("abc", "xabcx", "x***x"),
        ("ab", "an abbot", "an abbot"),  # too short: masked wherever it occurs it would only be told by the gaps
        ("ab", "YWRhOmFi", "***"),  # but not `ada:ab`, as Basic writes it
        ("a b", "a  b a b", "*** ***"),
        ("a\tbc", "a\tbc a bc", "*** ***"),
        ('q"uo\\te', r"q\"uo\\te", "***"),
        ("p&s+w/d", "x=p%26s%2Bw%2Fd", "x=***"),
        ("sec", "s\u200be\u202ec", "***"),
        ("secret", "sec" + "\x00" * 3 + "ret", "***"),
    ]:
        assert clean(text, secrets_of(somebody(secret=secret))) == shown, (secret, text)
