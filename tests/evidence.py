"""Short ways to write what was learnt of a refusal."""

from __future__ import annotations

from pushsafe.model.evidence import WRONG_ADDRESS, Evidence, Stage
from pushsafe.model.verdicts import DenialReason


def ping(status: int, challenge: str = 'Bearer realm="https://auth.test/token"') -> Evidence:
    return Evidence(Stage.PING, "GET /v2/", status=status, challenge=challenge if status == 401 else "", sent=False)


def token(
    status: int, granted: tuple[str, ...] | None = None, message: str = "", code: str = "", *, sent: bool = True
) -> Evidence:
    return Evidence(Stage.TOKEN, message, status=status, code=code, sent=sent, granted=granted)


def login(status: int, *, sent: bool = True) -> Evidence:
    """What `docker login` asks."""
    return Evidence(Stage.LOGIN, "", status=status, sent=sent)


def probe(status: int, message: str = "", code: str = "", *, sent: bool = True) -> Evidence:
    return Evidence(Stage.PROBE, message, status=status, code=code, sent=sent)


def led(stage: Stage, message: str, *, sent: bool = True) -> Evidence:
    """A registry, or its token server, leads to where nothing may be sent."""
    return Evidence(stage, message, code=WRONG_ADDRESS, sent=sent)


def engine_login(status: int | None, message: str) -> Evidence:
    return Evidence(Stage.ENGINE_AUTH, message, status=status, sent=True)


BASIC = ping(401, 'Basic realm="registry"')
BEARER = ping(401)
OPEN = ping(200)
AWAY = Evidence(Stage.PING, "not reachable from here: connection refused")

NOT_LOGGED_IN = DenialReason.NOT_LOGGED_IN
REJECTED = DenialReason.CREDENTIAL_REJECTED
EXPIRED = DenialReason.CREDENTIAL_EXPIRED
NOT_SENT = DenialReason.CREDENTIAL_NOT_SENT
NO_RIGHT = DenialReason.NO_WRITE_PERMISSION
FOREIGN = DenialReason.NAMESPACE_NOT_YOURS
SMALL_SCOPE = DenialReason.TOKEN_SCOPE_TOO_SMALL
