"""Secrets that say when they end, and secrets that do not."""

from __future__ import annotations

import base64
import json

import jwt

from pushsafe.credentials.expiry import expires
from pushsafe.model.credentials import Secret


def b64(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def token(payload: object) -> str:
    return ".".join(part.rstrip("=").replace("+", "-").replace("/", "_") for part in (b64({}), b64(payload), "c2ln"))


ECR = {"payload": "x" * 900, "datakey": "y" * 300, "version": "2", "type": "DATA_KEY", "expiration": 1_700_000_000}


def test_expiry() -> None:
    for secret, expected in (
        (jwt.encode({"exp": 1_700_000_000}, "k" * 32), 1_700_000_000),
        (
            jwt.encode({"exp": 1_700_000_000, "grant_type": "refresh_token", "aud": "x.azurecr.io"}, "k" * 32),
            1_700_000_000,
        ),
        (token({"exp": 1_700_000_000.5}), 1_700_000_000.5),
        (token({"exp": 1_700_000_000, "name": "???>>>ü"}), 1_700_000_000),
        (b64(ECR), 1_700_000_000),
        (b64(ECR).rstrip("="), 1_700_000_000),
        (jwt.encode({"sub": "x"}, "k" * 32), None),
        (token({"exp": "soon"}), None),
        (token({"exp": True}), None),
        (token({"exp": None}), None),
        (token({"exp": -1}), None),
        (token({"exp": 10**400}), None),
        (token({"exp": float("nan")}), None),
        (token([1]), None),
        ("a.b.c", None),
        ("a.!.c", None),
        (b64({"expiration": "x"}), None),
        (b64({"exp": 1_700_000_000}), None),
        ("eyJ", None),
        ("eyJ\u00fc", None),
        ("", None),
        ("ghp_0123456789", None),
        ("hunter2", None),
        (f"a.{'b' * 70_000}.c", None),
        (token({"exp": 1_700_000_000, "deep": [[[[1]]]]}), 1_700_000_000),
    ):
        assert expires(Secret(secret)) == expected, secret
