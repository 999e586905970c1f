"""Logins of the embedded registry, and the tokens that say what they may."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pushsafe.demo.registry.http import Refused


@dataclass(frozen=True)
class Account:
    """Who may log in, and which of the actions pull, push and delete are then allowed, in every repository."""

    name: str
    password: str = field(repr=False)
    actions: Collection[str]


class Tokens:
    """Logins, and the tokens that say what they may: JWTs signed with a key that lives as long as the registry."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self._key = secrets.token_bytes(32)

    def account(self, login: bytes) -> Account:
        """The account of `name:password`."""
        for account in self._accounts:
            if hmac.compare_digest(f"{account.name}:{account.password}".encode(), login):
                return account
        raise Refused(401, "UNAUTHORIZED", "incorrect username or password")

    def refreshed(self, token: str) -> Account:
        """The account that a refresh token was given to."""
        claims = self.claims(token, "refresh") or {}
        for account in self._accounts:
            if account.name == claims.get("sub"):
                return account
        raise Refused(401, "UNAUTHORIZED", "refresh token invalid or expired")

    def signed(self, audience: str, subject: str, lifetime: int, **claims: object) -> str:
        now = int(time.time())
        known = {"iss": "pushsafe", "sub": subject, "aud": audience, "iat": now, "exp": now + lifetime}
        parts = ({"alg": "HS256", "typ": "JWT"}, {**known, "jti": uuid.uuid4().hex, **claims})
        text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        return f"{text}.{self._signature(text)}"

    def claims(self, token: str, audience: str) -> dict[str, Any] | None:
        """What a token of ours says; None if it is not one, is over, or is for something else."""
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode()):
            return None
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text.partition(".")[2] + "=="))
        return claims if claims["aud"] == audience and claims["exp"] > time.time() else None

    def _signature(self, text: str) -> str:
        return _base64url(hmac.digest(self._key, text.encode(), "sha256"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def granted(account: Account | None, scopes: Sequence[str]) -> list[dict[str, Any]]:
    """The `access` claim: of what was asked, what the account may."""
    access: list[dict[str, Any]] = []
    for scope in " ".join(scopes).split():
        kind, _, rest = scope.partition(":")
        name, _, asked = rest.rpartition(":")
        wanted = ("pull", "push", "delete") if asked == "*" else asked.split(",")
        actions = [action for action in wanted if account and action in account.actions]
        if kind == "repository" and actions:
            access.append({"type": kind, "name": name, "actions": actions})
    return access


def basic_login(header: str) -> bytes:
    """`name:password` of a Basic header; nothing where it is not one."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
