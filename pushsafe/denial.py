"""Why a push was refused: a pure decision over evidence, in which the words of the server come last."""

from __future__ import annotations

from typing import NamedTuple

from pushsafe.model import (
    Credential,
    Denial,
    DenialKind,
    DenialReason,
    Evidence,
    Failure,
    FailureKind,
    Reference,
    SourceKind,
    Stage,
    StoreKind,
)
from pushsafe.registry.known import creation_command, hostname, known, login_command
from pushsafe.words import Undecided, meaning

_KINDS = {
    DenialReason.NOT_LOGGED_IN: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_REJECTED: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_EXPIRED: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_NOT_SENT: DenialKind.NO_AUTHENTICATION,
    DenialReason.NO_WRITE_PERMISSION: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.NAMESPACE_NOT_YOURS: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.TOKEN_SCOPE_TOO_SMALL: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.UNCLEAR: DenialKind.UNCLEAR,
}
_PUSH_ACTIONS = {"push", "*"}
_REFUSED = (401, 403)
# What registries and engines say to nobody in particular; a denial in other words may have any other cause.
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
"""GitLab's token endpoint to a credential that may not use the registry; to a wrong one it answers 401
(gitlab-org/gitlab `container_registry_authentication_service.rb`, `jwt_controller.rb`)."""


class Refusal(NamedTuple):
    """One refused push: the reference, the credential that docker would send, and all that was learnt since.

    `now` is seconds since the epoch. `store` is the engine's, which decides whether it sends a credential to a registry
    that does not ask for one. The first evidence of stage PUSH is the engine's own message.
    """

    reference: Reference
    credential: Credential
    evidence: tuple[Evidence, ...]
    now: float
    store: StoreKind | None = None

    @property
    def by_words(self) -> bool:
        """Whether the engine's words say at all that somebody refused; other words have other causes."""
        push = self.of(Stage.PUSH)
        found = meaning(push.message if push else "")
        return found is Undecided.REFUSAL or isinstance(found, DenialReason)

    def of(self, stage: Stage) -> Evidence | None:
        """The last evidence of a stage: later answers know more."""
        return next((item for item in reversed(self.evidence) if item.stage is stage), None)


def needs_investigation(message: str) -> bool:
    """Whether a refused push is worth asking the registry about: its words do not name another cause already."""
    return not isinstance(meaning(message), FailureKind)


def credential_evidence(credential: Credential) -> Evidence:
    """What this machine knows of the credential, as the first piece of evidence."""
    match credential.source.kind:
        case SourceKind.NONE:
            return Evidence(Stage.CREDENTIAL, f"none was found for {credential.registry}, so none was sent", sent=False)
        case SourceKind.BROKEN:
            return Evidence(Stage.CREDENTIAL, f"unreadable: {credential.source}; none was sent", sent=False)
        case _:
            user = f", user {credential.username}" if credential.username else ""
            return Evidence(Stage.CREDENTIAL, f"found in {credential.source}{user}", sent=True)


def classify(refusal: Refusal) -> Denial | Failure:
    """Decide the cause of a refused push.

    In this order: was there a credential; what did the registry say to it (challenge, login, grant, probe); only then
    the words. Where neither decides, the denial is of the kind UNCLEAR, and says what would tell.
    """
    push = refusal.of(Stage.PUSH)
    words = meaning(push.message if push else "")
    if isinstance(words, FailureKind):
        return _failure(refusal, words)
    verdict = _by_evidence(refusal)
    if verdict is None and isinstance(words, DenialReason):
        verdict = words
    if verdict is None and words is Undecided.UNKNOWN:
        verdict = FailureKind.REGISTRY_ERROR
    if isinstance(verdict, FailureKind):
        return _failure(refusal, verdict)
    return _denial(refusal, verdict or DenialReason.UNCLEAR)


# ---------------------------------------------------------------------- evidence


def _by_evidence(refusal: Refusal) -> DenialReason | FailureKind | None:
    """The verdict of what was asked after the push; `None` where nothing that was learnt decides."""
    if not refusal.credential.present:
        return _anonymous(refusal)
    token, probe = refusal.of(Stage.TOKEN), refusal.of(Stage.PROBE)
    login = token or refusal.of(Stage.ENGINE_AUTH)
    answers = tuple(item for item in (login, probe) if item is not None)
    told = next((found for item in answers if (found := _told(item)) is not None), None)
    rejected = told is DenialReason.CREDENTIAL_REJECTED or any(item.status in _REFUSED for item in answers)
    if rejected and _expired(refusal):
        return DenialReason.CREDENTIAL_EXPIRED
    if told is not None:
        return told
    if login is not None and login.status == 401:
        return DenialReason.CREDENTIAL_REJECTED
    if token is not None and token.status == 403 and token.message == _GITLAB_KNOWS_YOU:
        return _missing_right(refusal, None)
    if token is not None and token.granted is not None and not _PUSH_ACTIONS & set(token.granted):
        # A probe that succeeds all the same contradicts the grant: then neither decides.
        return None if probe is not None and _accepted(probe) else _missing_right(refusal, token.granted)
    if probe is not None:
        return _by_probe(refusal, probe, login)
    if login is not None and login.stage is Stage.ENGINE_AUTH and _accepted(login) and refusal.by_words:
        return _missing_right(refusal, None)
    return None


def _anonymous(refusal: Refusal) -> DenialReason | None:
    """Nobody was logged in. That explains a refusal where the registry asks for a login; where nobody could ask the
    registry, in the words that registries have for it."""
    probe, ping, push = refusal.of(Stage.PROBE), refusal.of(Stage.PING), refusal.of(Stage.PUSH)
    if probe is not None and _accepted(probe):
        return None
    if ping is not None and ping.status is not None:
        asked = any(
            item is not None and (item.status == 401 or item.challenge)
            for item in (probe, refusal.of(Stage.TOKEN), ping)
        )
        return DenialReason.NOT_LOGGED_IN if asked else None
    said = push.message.lower() if push else ""
    return DenialReason.NOT_LOGGED_IN if any(words in said for words in _REGISTRIES_WORDS) else None


def _by_probe(refusal: Refusal, probe: Evidence, login: Evidence | None) -> DenialReason | FailureKind | None:
    if _accepted(probe):
        # With the credential the registry lets us write. The engine's push went without it where `/v2/` is open.
        # (moby registry/auth.go; the containerd store answers the later challenge.)
        ping = refusal.of(Stage.PING)
        open_registry = ping is not None and _accepted(ping)
        if open_registry and probe.sent and refusal.store is StoreKind.CLASSIC and refusal.by_words:
            return DenialReason.CREDENTIAL_NOT_SENT
        return None
    if probe.status == 401 and _proves_nothing(refusal, probe, login):
        return None
    if probe.status in _REFUSED and probe.sent and login is not None and _accepted(login):
        return _missing_right(refusal, login.granted)
    if probe.status == 403 and probe.sent:
        return _missing_right(refusal, None)
    if probe.status == 404:
        return FailureKind.REPOSITORY_MISSING
    if probe.status == 429:
        return FailureKind.RATE_LIMITED
    if probe.status is not None and probe.status >= 500:
        return FailureKind.REGISTRY_ERROR
    return None


def _proves_nothing(refusal: Refusal, probe: Evidence, login: Evidence | None) -> bool:
    """Whether a token server's token may have been given to anybody: opaque, and then refused without a reason."""
    ping = refusal.of(Stage.PING)
    bearer = any(item is not None and item.challenge.startswith("Bearer") for item in (ping, probe))
    return bearer and login is not None and login.granted is None and "insufficient_scope" not in probe.challenge


def _told(item: Evidence) -> DenialReason | FailureKind | None:
    """A cause that the registry itself names in an answer to us, where its words mean one thing only."""
    if _accepted(item):
        return None
    found = meaning(f"{item.code}: {item.message}")
    return None if isinstance(found, Undecided) or found is DenialReason.NOT_LOGGED_IN else found


def _missing_right(refusal: Refusal, granted: tuple[str, ...] | None) -> DenialReason:
    """Which right is missing, where names tell: a namespace of Docker Hub is a user's or an organisation's."""
    row = known(refusal.reference.registry)
    user = refusal.credential.username
    if row.namespace_is_user and user:
        namespace = refusal.reference.repository.partition("/")[0]
        if user.lower() != namespace.lower():
            return DenialReason.NAMESPACE_NOT_YOURS
        if granted is not None:
            return DenialReason.TOKEN_SCOPE_TOO_SMALL
    return DenialReason.NO_WRITE_PERMISSION


def _accepted(item: Evidence) -> bool:
    return item.status is not None and 200 <= item.status < 300


def _expired(refusal: Refusal) -> bool:
    return refusal.credential.expires is not None and refusal.credential.expires <= refusal.now


# ---------------------------------------------------------------------- verdicts


def _denial(refusal: Refusal, reason: DenialReason) -> Denial:
    summary, commands = _SAYINGS[reason](refusal)
    return Denial(_KINDS[reason], reason, summary, refusal.evidence, commands)


def _who(refusal: Refusal) -> str:
    user = refusal.credential.username
    return f"the account {user!r}" if user else "the credential"


def _whose(refusal: Refusal) -> str:
    return f" of {_who(refusal)}" if refusal.credential.username else ""


def _login(refusal: Refusal) -> tuple[str, ...]:
    return (login_command(refusal.reference.registry, refusal.credential.username),)


def _other_login(refusal: Refusal) -> tuple[str, ...]:
    """Without a name docker would log in the same account again."""
    command = login_command(refusal.reference.registry)
    takes_a_name = command.startswith("docker login ") and " -u " not in command
    return (f"{command} -u ACCOUNT" if takes_a_name else command,)


def _not_logged_in(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    source = refusal.credential.source
    why = f": the credential cannot be read ({source})" if source.kind is SourceKind.BROKEN else ""
    return f"nobody is logged in to {refusal.reference.registry}{why}", _login(refusal)


def _rejected(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    said = f"{refusal.reference.registry} does not accept the credential{_whose(refusal)} ({refusal.credential.source})"
    return said, _login(refusal)


def _expired_token(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    return f"the token for {refusal.reference.registry} in {refusal.credential.source} has expired", _login(refusal)


def _not_sent(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    said = (
        f"the engine did not send the credential{_whose(refusal)}: {refusal.reference.registry} "
        "answers /v2/ without "
        "asking for a login, and the classic image store then sends none"
    )
    return said, ("docker info --format '{{.DriverStatus}}'   (the containerd image store answers a later challenge)",)


def _no_right(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference = refusal.reference
    said = (
        f"{_who(refusal)} is logged in to {reference.registry} and may not push to {reference.repository}; "
        f"that needs {known(reference.registry).right}"
    )
    return said, _other_login(refusal)


def _foreign_namespace(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference, user = refusal.reference, refusal.credential.username
    namespace, _, name = reference.repository.partition("/")
    said = (
        f"the namespace {namespace!r} is not that of {_who(refusal)}, and "
        f"{known(reference.registry).name} gives that "
        f"account no right to push there; that needs {known(reference.registry).right}"
    )
    return said, (
        f"docker tag {reference} {reference.registry}/{user.lower()}/{name}:{reference.tag}",
        *_other_login(refusal),
    )


def _small_scope(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference = refusal.reference
    said = (
        f"the token of {_who(refusal)} may not push to {reference.repository}, which is in that "
        "account's own namespace; "
        f"that needs {known(reference.registry).right}"
    )
    return said, _login(refusal)


def _unclear(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    registry = refusal.reference.registry
    probe = refusal.of(Stage.PROBE)
    if probe is not None and _accepted(probe):
        who = _who(refusal) if probe.sent else "anybody"
        said = (
            f"{registry} refused the push, and lets {who} start an upload now, so neither the login nor the right to "
            "write explains it; if it happens again, it is a rule of the registry's"
        )
        return said, (f"docker pushsafe {refusal.reference}",)
    said = (
        f"{registry} refused, in words that fit a wrong credential and a missing right alike, and "
        "it could not be asked "
        "which; a login that fails now means the credential, one that succeeds means the right"
    )
    return said, _login(refusal)


_SAYINGS = {
    DenialReason.NOT_LOGGED_IN: _not_logged_in,
    DenialReason.CREDENTIAL_REJECTED: _rejected,
    DenialReason.CREDENTIAL_EXPIRED: _expired_token,
    DenialReason.CREDENTIAL_NOT_SENT: _not_sent,
    DenialReason.NO_WRITE_PERMISSION: _no_right,
    DenialReason.NAMESPACE_NOT_YOURS: _foreign_namespace,
    DenialReason.TOKEN_SCOPE_TOO_SMALL: _small_scope,
    DenialReason.UNCLEAR: _unclear,
}


def _failure(refusal: Refusal, kind: FailureKind) -> Failure:
    """The message is that of the evidence which says so: the push's own, or the registry's answer to the probe."""
    push = refusal.of(Stage.PUSH)
    message = push.message if push else "the push failed"
    if push is None or meaning(push.message) is not kind:
        told = next((item for item in refusal.evidence if item.message and meaning(item.message) is kind), None)
        message = f"{message} ({told.message})" if told and told is not push else message
    return Failure(kind, message, refusal.evidence, _failure_commands(refusal.reference, kind))


def _failure_commands(reference: Reference, kind: FailureKind) -> tuple[str, ...]:
    registry = reference.registry
    match kind:
        case FailureKind.NETWORK:
            host = "registry-1.docker.io" if registry == "docker.io" else registry
            scheme = "http" if hostname(registry) == "localhost" or registry.startswith("127.") else "https"
            return (f"curl -sSi {scheme}://{host}/v2/",)
        case FailureKind.TLS:
            return (f"sudo ls /etc/docker/certs.d/{registry}/   (the CA that signed it belongs there, as ca.crt)",)
        case FailureKind.REPOSITORY_MISSING:
            command = creation_command(registry, reference.repository)
            return (command,) if command else ()
        case FailureKind.LOCAL:
            return ("docker image ls",)
        case _:
            return ()
