"""When a credential expires, as far as the secret says."""

from __future__ import annotations

import binascii
import json
import math
import re

from pushsafe.model.credentials import Secret

_LONGEST = 65_536
_JWT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)


def expires(secret: Secret) -> float | None:
    """Seconds since the epoch; None if the secret does not say.

    A JWT has `exp` (RFC 7519 4.1.4; Azure Container Registry's refresh tokens are JWTs, too); Amazon ECR's password is
    base64 of a JSON object with `expiration`. No signature is checked: the time is only for a message to the owner.
    """
    text = secret.reveal()
    if len(text) > _LONGEST:
        return None
    if found := _JWT.fullmatch(text):
        return _moment(found.group(1), "exp")
    # An ECR password begins with `eyJ`, base64 of `{"`.
    return _moment(text, "expiration") if text.startswith("eyJ") else None


def _moment(encoded: str, name: str) -> float | None:
    """The number `name` in a JSON object in base64 or base64url."""
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
