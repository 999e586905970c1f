"""Classifies a denial from evidence; the server's words count last."""

from __future__ import annotations

from pushsafe.denial.messages import Undecided, is_dropped, meaning
from pushsafe.denial.reasons import astray, denial, failure
from pushsafe.denial.refusal import Refusal, grants_push, led_astray
from pushsafe.known_registries import own_namespace
from pushsafe.model.evidence import NO_TOKEN, REFUSED, Evidence, Stage
from pushsafe.model.verdicts import Denial, DenialReason, Failure, FailureKind

# messages of registries and engines that fit any cause of a refusal
_REGISTRIES_WORDS = (
    "requested access to the resource is denied",
    "authentication required",
    "no basic auth credentials",
    "missing username or secret",
    "insufficient_scope",
    "failed to fetch anonymous token",
    "unauthenticated request",
)
_GITLAB_KNOWS_YOU = "access forbidden"
"""GitLab's token endpoint to a credential that may not use the registry; a wrong credential gets 401 (gitlab-org/gitlab
`container_registry_authentication_service.rb`, `jwt_controller.rb`)."""
_STOPS = (FailureKind.REPOSITORY_MISSING, FailureKind.POLICY)
"""Failures that a preflight can show: asking again, or through the engine, changes nothing."""


def needs_investigation(message: str) -> bool:
    """Whether to ask the registry about a refused push: not if the message already names another cause."""
    return not isinstance(meaning(message), FailureKind)


def classify(refusal: Refusal) -> Denial | Failure:
    """Decide the cause of a refused push.

    In this order: whether there was a credential; how the registry treated it (challenge, login, grant, probe); then
    the message. If none decides, the denial is UNCLEAR, and its sentence says what would help to decide.
    """
    push = refusal.of(Stage.PUSH)
    said = push.message if push else ""
    if led := led_astray(refusal):
        return astray(refusal, led)
    words = meaning(said)
    if isinstance(words, FailureKind):
        return failure(refusal, words)
    verdict = _by_evidence(refusal)
    if verdict is None and isinstance(words, DenialReason):
        verdict = words
    if verdict is None and words is Undecided.UNKNOWN:
        # a registry, or a proxy in front of it, may drop a connection for any reason: as an answer to the preflight it
        # names none
        verdict = FailureKind.NETWORK if is_dropped(said) else FailureKind.REGISTRY_ERROR
    if isinstance(verdict, FailureKind):
        return failure(refusal, verdict)
    return denial(refusal, verdict or DenialReason.UNCLEAR)


def foresee(refusal: Refusal) -> Denial | Failure | None:
    """Decide before the push why it would be refused; `None` if nothing indicates that.

    Odd answers, unreachable and busy registries may be different for the engine a moment later, and never count.
    """
    if led := led_astray(refusal):
        return astray(refusal, led)
    verdict = _by_evidence(refusal)
    if isinstance(verdict, FailureKind):
        return failure(refusal, verdict) if verdict in _STOPS else None
    return denial(refusal, verdict) if verdict else None


def _by_evidence(refusal: Refusal) -> DenialReason | FailureKind | None:
    """The verdict of the registry's answers; `None` if they do not decide."""
    if not refusal.credential.present:
        return _anonymous(refusal)
    token = refusal.of(Stage.TOKEN, sent=True)
    probe = refusal.probe
    login = token or refusal.of(Stage.ENGINE_AUTH)
    answers = tuple(item for item in (login, probe) if item is not None)
    told = next((found for item in answers if (found := _told(item)) is not None), None)
    if refusal.expired and (told is DenialReason.CREDENTIAL_REJECTED or any(item.refused for item in answers)):
        return DenialReason.CREDENTIAL_EXPIRED
    if told is not None:
        return told
    again = refusal.of(Stage.LOGIN, sent=True)
    if any(item is not None and item.status == 401 for item in (login, again)):
        return DenialReason.CREDENTIAL_REJECTED
    if token is not None and token.status == 403:
        if token.message == _GITLAB_KNOWS_YOU or (again and again.accepted):
            return _missing_right(refusal, None)
        return DenialReason.CREDENTIAL_REJECTED if again and again.refused else None
    if token is not None and token.granted is not None and not grants_push(token.granted):
        # a probe that succeeds contradicts the grant: then neither decides
        return None if probe and probe.accepted else _missing_right(refusal, token.granted)
    if probe is not None:
        return _by_probe(refusal, probe, login)
    if login is not None and login.stage is Stage.ENGINE_AUTH and login.accepted and refusal.by_words:
        return _missing_right(refusal, None)
    return None


def _anonymous(refusal: Refusal) -> DenialReason | FailureKind | None:
    """No credential was sent. That explains a refusal if the registry requires a login; if it could not be asked, the
    message decides."""
    probe, ping, push = refusal.of(Stage.PROBE), refusal.of(Stage.PING), refusal.of(Stage.PUSH)
    token = refusal.of(Stage.TOKEN)
    if probe and probe.accepted:
        return None
    for item in (token, probe):
        if item is not None and isinstance(told := _told(item), FailureKind):
            return told
    if ping is not None and ping.status is not None:
        asked = any(item is not None and (item.status == 401 or item.challenge) for item in (probe, token, ping))
        answer = probe or token
        known = push is not None or (answer is not None and answer.refused)
        return DenialReason.NOT_LOGGED_IN if asked and known else None
    said = push.message.lower() if push else ""
    return DenialReason.NOT_LOGGED_IN if any(words in said for words in _REGISTRIES_WORDS) else None


def _by_probe(refusal: Refusal, probe: Evidence, login: Evidence | None) -> DenialReason | FailureKind | None:
    if probe.accepted:
        return _not_sent(refusal, probe)
    if probe.status in REFUSED and probe.sent:
        return _by_refused_probe(refusal, probe, login)
    if probe.status == 429:
        return FailureKind.RATE_LIMITED
    if probe.status is not None and probe.status >= 500:
        return FailureKind.REGISTRY_ERROR
    return None


def _not_sent(refusal: Refusal, probe: Evidence) -> DenialReason | None:
    """The registry accepts the credential. The engine does not send it if `/v2/` is open.

    moby `registry/auth.go`; the containerd store answers the later challenge.
    """
    nobodys = refusal.of(Stage.PROBE, sent=False)
    because = refusal.by_words if refusal.of(Stage.PUSH) else nobodys is not None and nobodys.refused
    withheld = refusal.engine is not None and not refusal.engine.answers_late_challenge
    if refusal.accepted(Stage.PING) and probe.sent and withheld and because:
        return DenialReason.CREDENTIAL_NOT_SENT
    return None


def _by_refused_probe(refusal: Refusal, probe: Evidence, login: Evidence | None) -> DenialReason | None:
    granted = login.granted if login is not None else None
    if _may_be_anybodys(refusal, probe, login):
        # 403 is for a known account, unless anonymous requests get the same
        compared = any(refusal.of(stage, sent=False) for stage in (Stage.TOKEN, Stage.PROBE))
        known = _differs_from_nobody(refusal, probe) or (probe.status == 403 and not compared)
        return _missing_right(refusal, None) if known else None
    if login is None and "invalid_token" in probe.challenge:  # RFC 6750; a token from docker's configuration
        return DenialReason.CREDENTIAL_REJECTED
    if grants_push(granted) and not (probe.status == 403 and probe.code):
        return None  # the registry, or a proxy in front of it, rejects its own token server's token
    if probe.status == 403 or (login and login.accepted) or "insufficient_scope" in probe.challenge:
        return _missing_right(refusal, granted)
    return None


def _may_be_anybodys(refusal: Refusal, probe: Evidence, login: Evidence | None) -> bool:
    """Whether the token server may give such a token to anyone: opaque, and then refused without a reason."""
    bearer = any(item is not None and item.challenge.startswith("Bearer") for item in (refusal.of(Stage.PING), probe))
    return bearer and login is not None and login.granted is None and "insufficient_scope" not in probe.challenge


def _differs_from_nobody(refusal: Refusal, probe: Evidence) -> bool:
    """Whether registry or token server treat the credential differently from no credential: then they know it."""
    if refusal.refused(Stage.TOKEN, sent=False):
        return True
    if refusal.accepted(Stage.LOGIN, sent=True) and refusal.refused(Stage.LOGIN, sent=False):
        return True
    nobodys = refusal.of(Stage.PROBE, sent=False)
    return nobodys is not None and nobodys.refused and nobodys.status != probe.status


def _told(item: Evidence) -> DenialReason | FailureKind | None:
    """The cause that the registry itself names, if its words have a single meaning."""
    if item.accepted and item.code != NO_TOKEN:
        return None
    found = meaning(f"{item.code}: {item.message}")
    return None if isinstance(found, Undecided) or found is DenialReason.NOT_LOGGED_IN else found


def _missing_right(refusal: Refusal, granted: tuple[str, ...] | None) -> DenialReason:
    """The missing right, if names imply it: some accounts can own only the namespace of their name."""
    own = own_namespace(refusal.reference.registry, refusal.credential.username)
    if own:
        if own.lower() != refusal.reference.repository.partition("/")[0].lower():
            return DenialReason.NAMESPACE_NOT_YOURS
        if granted is not None and not grants_push(granted):
            return DenialReason.TOKEN_SCOPE_TOO_SMALL
    return DenialReason.NO_WRITE_PERMISSION
