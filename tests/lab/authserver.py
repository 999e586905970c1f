"""The registries' other half: a token server (GET and OAuth2 POST), and the question nginx asks: may this user?

Runs by itself, started with the path of its configuration, and imports nothing of ours. Specification:
distribution docs/spec/auth/token.md and oauth.md.
"""

import base64
import binascii
import json
import secrets
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import load_pem_x509_certificate

LIFETIME_SECONDS = 300
READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Settings:
    """What the lab tells this server."""

    port: int
    issuer: str
    key: str
    certificate: str
    passwords: dict[str, str]
    actions: dict[str, list[str]]


class Refused(Exception):
    """The credential is wrong."""


class Authority:
    """Who may what, and the tokens that say so."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        lines = settings.certificate.splitlines()
        self._x5c = ["".join(line for line in lines if not line.startswith("-----"))]
        public = load_pem_x509_certificate(settings.certificate.encode()).public_key()
        assert isinstance(public, EllipticCurvePublicKey)
        self._public = public

    def user_of(self, authorization: str | None) -> str | None:
        """The user of a Basic header, None without one; raises Refused."""
        if not authorization:
            return None
        kind, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Refused from None
        if kind.lower() != "basic":
            raise Refused
        return self.checked(user, password)

    def checked(self, user: str, password: str) -> str:
        expected = self.settings.passwords.get(user)
        if expected is None or not secrets.compare_digest(expected.encode(), password.encode()):
            raise Refused
        return user

    def access(self, user: str | None, scopes: list[str]) -> list[dict[str, object]]:
        """The access claim: of what was asked, what the user may; nothing for nobody."""
        allowed = self.settings.actions.get(user or "", [])
        granted: list[dict[str, object]] = []
        for scope in (word for text in scopes for word in text.split()):
            kind, _, rest = scope.partition(":")
            name, _, wanted = rest.rpartition(":")  # a name may hold a host's port
            if "*" in wanted.split(","):
                actions = ["*"] if "delete" in allowed else []
            else:
                actions = [action for action in wanted.split(",") if action in allowed]
            if actions:
                granted.append({"type": kind, "name": name, "actions": actions})
        return granted

    def token(self, user: str | None, service: str, scopes: list[str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.settings.issuer,
            "sub": user or "",
            "aud": service,
            "exp": now + LIFETIME_SECONDS,
            "nbf": now - 10,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": self.access(user, scopes),
        }
        return jwt.encode(claims, self.settings.key, algorithm="ES256", headers={"x5c": self._x5c})

    def refresh_token(self, user: str) -> str:
        """Signed like a token, for another audience: it needs no memory, and no registry takes it."""
        claims = {"sub": user, "aud": "refresh", "iat": int(time.time())}
        return jwt.encode(claims, self.settings.key, algorithm="ES256", headers={"x5c": self._x5c})

    def refreshed(self, token: str) -> str:
        """The user a refresh token stands for; raises Refused."""
        try:
            claims = jwt.decode(token, self._public, algorithms=["ES256"], audience="refresh")
        except jwt.InvalidTokenError:
            raise Refused from None
        user = claims.get("sub")
        if user not in self.settings.passwords:
            raise Refused
        return str(user)


class Handler(BaseHTTPRequestHandler):
    """GET and POST /token for the token registry; GET /may for nginx's auth_request."""

    protocol_version = "HTTP/1.1"
    authority: Authority

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        try:
            user = self.authority.user_of(self.headers["Authorization"])
        except Refused:
            return self._refuse()
        if url.path == "/may":
            return self._may(user)
        if url.path != "/token":
            return self._answer(404, {})
        token = self.authority.token(user, _one(query, "service"), query.get("scope", []))
        body: dict[str, object] = {"token": token, "access_token": token, "expires_in": LIFETIME_SECONDS}
        if user and _one(query, "offline_token") == "true":
            body["refresh_token"] = self.authority.refresh_token(user)
        return self._answer(200, body)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())
        if urlsplit(self.path).path != "/token":
            return self._answer(404, {})
        grant = _one(form, "grant_type")
        try:
            if grant == "password":
                user = self.authority.checked(_one(form, "username"), _one(form, "password"))
            elif grant == "refresh_token":
                user = self.authority.refreshed(_one(form, "refresh_token"))
            else:
                return self._answer(400, {"error": "unsupported_grant_type"})
        except Refused:
            return self._refuse()
        scopes = form.get("scope", [])
        token = self.authority.token(user, _one(form, "service"), scopes)
        body: dict[str, object] = {"access_token": token, "expires_in": LIFETIME_SECONDS, "scope": " ".join(scopes)}
        if grant == "refresh_token" or _one(form, "access_type") == "offline":
            body["refresh_token"] = self.authority.refresh_token(user)
        return self._answer(200, body)

    def _may(self, user: str | None) -> None:
        if user is None:
            return self._answer(401, {})
        needed = "pull" if self.headers["X-Original-Method"] in READING else "push"
        return self._answer(200 if needed in self.authority.settings.actions[user] else 403, {})

    def _refuse(self) -> None:
        error = {"code": "UNAUTHORIZED", "message": "incorrect username or password"}
        self._answer(401, {"errors": [error]})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _one(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def main() -> None:
    settings = Settings(**json.loads(Path(sys.argv[1]).read_text()))
    Handler.authority = Authority(settings)
    ThreadingHTTPServer(("127.0.0.1", settings.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
