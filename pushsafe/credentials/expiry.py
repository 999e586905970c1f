"""When a credential ends, as far as the secret itself says so."""

from __future__ import annotations

import binascii
import json
import math
import re

from pushsafe.model.credentials import Secret

_LONGEST = 65_536
_JWT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)


def expires(secret: Secret) -> float | None:
    """Seconds since the epoch, or None where the secret does not say.

    A JWT says it in its `exp` (RFC 7519 4.1.4; the refresh tokens of Azure Container Registry are JWTs too), the
    password of Amazon ECR is base64 of a JSON object with `expiration`. No signature is checked: this is for a
    message to the one who holds the secret, and only the registry decides.
    """
    text = secret.reveal()
    if len(text) > _LONGEST:
        return None
    if found := _JWT.fullmatch(text):
        return _moment(found.group(1), "exp")
    # An ECR password always begins so: base64 of `{"`.
    return _moment(text, "expiration") if text.startswith("eyJ") else None


def _moment(encoded: str, name: str) -> float | None:
    """The number called `name` in the JSON object that `encoded` is the base64 or base64url form of."""
    plain = encoded.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        value = json.loads(binascii.a2b_base64(plain + "=" * (-len(plain) % 4)))
    except (ValueError, RecursionError):
        return None
    moment = value.get(name) if isinstance(value, dict) else None
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return None
    try:
        seconds = float(moment)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
