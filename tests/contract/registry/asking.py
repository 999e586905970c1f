"""Short ways to ask a scripted registry, and to tell what it was asked as whom."""

from __future__ import annotations

from pushsafe.model.credentials import Credential, CredentialKind, CredentialSource, Secret, SourceKind
from pushsafe.model.evidence import Preflight
from pushsafe.oci.reference import Reference
from pushsafe.registry.client import Registry
from pushsafe.registry.http.transport import Transport
from tests.fakes.registry import FakeRegistry, Request, basic_header, jwt

NAME = "acme/app"
PASSWORD = "hunter2!"
PULL_PUSH = ("pull", "push")
OPAQUE = "djE6b3BhcXVlLXRva2Vu"
OURS, NOBODYS = "b3BhcXVlLWFkYQ", "b3BhcXVlLW5vYm9keQ"
"""Opaque tokens."""


def somebody(kind: CredentialKind = CredentialKind.BASIC, secret: str = PASSWORD, user: str = "ada") -> Credential:
    source = CredentialSource(SourceKind.FILE, "config.json")
    return Credential("r", "r", source, kind, user, Secret(secret))


NOBODY = Credential("r", "r", CredentialSource(SourceKind.NONE))


def at(registry: FakeRegistry, tag: str = "1") -> Reference:
    return Reference("given", registry.host, NAME, tag)


def new() -> Registry:
    return Registry(Transport())


def investigate(registry: FakeRegistry, credential: Credential) -> Preflight:
    """What a push of the tag 1 meets; what that left unfinished is cancelled by then."""
    asked = new()
    found = asked.investigate(at(registry), credential)
    asked.close()
    return found


def who(request: Request) -> str:
    """As whom a request came."""
    known = {
        "": "",
        basic_header("ada", PASSWORD): " as ada",
        f"Bearer {OURS}": " as ada",
        f"Bearer {jwt(NAME, *PULL_PUSH)}": " as ada",
        f"Bearer {jwt(NAME, 'pull')}": " as ada",
        f"Bearer {NOBODYS}": " with nobody's token",
        f"Bearer {jwt()}": " with nobody's token",
        "Bearer as-it-is": " as it is",
    }
    if request.form.get("refresh_token"):
        return " as ada"
    return known.get(request.authorization, f" as {request.authorization!r}")


def questions(registry: FakeRegistry) -> list[str]:
    """Every request in short."""
    short = {"HEAD": "look", "GET": "read", "POST": "start", "DELETE": "cancel"}

    def name(request: Request) -> str:
        if request.path == "/token":
            return "token" if "scope" in {**request.query, **request.form} else "token of no scope"
        return "base" if request.path == "/v2/" else short[request.method]

    return [f"{name(one)}{who(one)}" for one in registry.requests]
