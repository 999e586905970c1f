"""What is said of a refusal, and the command to run next."""

from __future__ import annotations

from pushsafe import known_registries
from pushsafe.denial.messages import is_too_large, meaning
from pushsafe.denial.refusal import Refusal
from pushsafe.denial.tls_advice import speaks_plain_http, tls_advice
from pushsafe.known_registries import creation_command, known, near_miss, own_namespace
from pushsafe.model.credentials import SourceKind
from pushsafe.model.evidence import Stage
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind
from pushsafe.oci.reference import hostname

_KINDS = {
    DenialReason.NOT_LOGGED_IN: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_REJECTED: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_EXPIRED: DenialKind.NO_AUTHENTICATION,
    DenialReason.CREDENTIAL_NOT_SENT: DenialKind.NO_AUTHENTICATION,
    DenialReason.NO_WRITE_PERMISSION: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.NO_READ_PERMISSION: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.NAMESPACE_NOT_YOURS: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.TOKEN_SCOPE_TOO_SMALL: DenialKind.INSUFFICIENT_PERMISSION,
    DenialReason.UNCLEAR: DenialKind.UNCLEAR,
}


def denial(refusal: Refusal, reason: DenialReason) -> Denial:
    """A denial for this reason, said in full."""
    summary, commands = _SAYINGS[reason](refusal)
    return Denial(_KINDS[reason], reason, summary, refusal.evidence, commands)


def of_reading(refusal: Refusal, verdict: Denial | None) -> Denial:
    """A denial of reading, by what was found out of the login as if of a push; `None` where nothing decided."""
    if verdict is None:
        said = (
            f"{refusal.reference.registry} does not let {_who(refusal)} read {refusal.reference.repository}, and would "
            "not say why; a login that fails now points to the credential, one that succeeds to the right to read"
        )
        return Denial(DenialKind.UNCLEAR, DenialReason.UNCLEAR, said, refusal.evidence, _login(refusal))
    if verdict.kind is DenialKind.NO_AUTHENTICATION:
        return verdict
    return denial(refusal, DenialReason.NO_READ_PERMISSION)


def failure(refusal: Refusal, kind: FailureKind) -> Failure:
    """A failure of this kind. The message is that of the evidence which says so: the engine's own, or the registry's
    answer to us."""
    push = refusal.of(Stage.PUSH)
    message = push.message if push else ""
    if push is None or meaning(push.message) is not kind:
        told = next((item for item in refusal.evidence if meaning(f"{item.code}: {item.message}") is kind), None)
        if told is not None and told is not push:
            said = told.message or told.code
            message = f"{message} ({said})" if message else said
    return Failure(kind, message or "the push failed", refusal.evidence, _failure_commands(refusal, kind))


def astray(refusal: Refusal, led: str) -> Failure:
    """A failure of a registry that leads to another address than its own, by the sentence that says so."""
    return Failure(FailureKind.REGISTRY_ERROR, led, refusal.evidence, own_address(refusal))


def own_address(tag: Facts | Refusal) -> tuple[str, ...]:
    """What to do about a registry that names another address than its own."""
    registry = tag.reference.registry
    return (
        f"let the proxy in front of {registry} pass Host and X-Forwarded-Proto on, or give the registry its own "
        "address in its settings",
        f"docker pushsafe diagnose {tag.reference}   (to see what address it names then)",
    )


def trust(registry: str, said: str, *, no_tls: bool = False) -> str:
    """What to do about a registry whose certificate is not trusted for what is `said`, or that has none."""
    if no_tls:
        return f"give {registry} a certificate, or add it to insecure-registries in the engine's daemon.json"
    return tls_advice(said, registry).next


def without_proxy(registry: str) -> str:
    """What to do about a registry in whose place a proxy answers, or somebody behind it."""
    return f'export NO_PROXY="$NO_PROXY,{hostname(registry)}"   (if {registry} is reached without the proxy)'


def _who(refusal: Refusal) -> str:
    user = refusal.credential.username
    return f"the account {user!r}" if user else "the credential"


def _whose(refusal: Refusal) -> str:
    return f" of {_who(refusal)}" if refusal.credential.username else ""


def _login(refusal: Refusal) -> tuple[str, ...]:
    return (known_registries.login(refusal.credential, refusal.credential.username),)


def _other_login(refusal: Refusal) -> tuple[str, ...]:
    """Without a name docker would log in the same account again."""
    command = known_registries.login(refusal.credential)
    takes_a_name = command.startswith("docker login ") and " -u " not in command
    return (f"{command} -u ACCOUNT" if takes_a_name else command,)


def _not_logged_in(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    source = refusal.credential.source
    why = f": the credential cannot be read ({source})" if source.kind is SourceKind.BROKEN else ""
    near = near_miss(refusal.credential)
    return f"nobody is logged in to {refusal.reference.registry}{why}{f'; {near}' if near else ''}", _login(refusal)


def _rejected(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    said = f"{refusal.reference.registry} does not accept the credential{_whose(refusal)} ({refusal.credential.source})"
    return said, _login(refusal)


def _expired_token(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    return f"the token for {refusal.reference.registry} in {refusal.credential.source} has expired", _login(refusal)


def _not_sent(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    sends = "did not send" if refusal.of(Stage.PUSH) else "will not send"
    said = (
        f"the engine {sends} the credential{_whose(refusal)}: {refusal.reference.registry} answers /v2/ without "
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


def _no_right_to_read(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference = refusal.reference
    said = (
        f"{_who(refusal)} is logged in to {reference.registry} and may not read {reference.repository}; that needs the "
        "right to pull"
    )
    return said, _other_login(refusal)


def _foreign_namespace(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference, row = refusal.reference, known(refusal.reference.registry)
    namespace, _, name = reference.repository.partition("/")
    own = own_namespace(reference.registry, refusal.credential.username).lower()
    said = (
        f"the namespace {namespace!r} is not that of {_who(refusal)}, and {row.name} gives that account no right to "
        f"push there; that needs {row.right}"
    )
    better = f"{reference.registry}/{own}/{name}"
    if refusal.command and refusal.by_name:
        renamed = f"docker tag {reference} {better}:{reference.tag}"
    else:
        named = f"{refusal.command} {better}:{reference.tag}"
        renamed = named if refusal.command else again_with(f"-t {better}:TAG")
    return said, (renamed, *_other_login(refusal))


def _small_scope(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    reference = refusal.reference
    said = (
        f"the token of {_who(refusal)} may not push to {reference.repository}, which is in that account's own "
        f"namespace; that needs {known(reference.registry).right}"
    )
    return said, _login(refusal)


def _unclear(refusal: Refusal) -> tuple[str, tuple[str, ...]]:
    registry = refusal.reference.registry
    probe = refusal.of(Stage.PROBE)
    if probe is not None and probe.accepted:
        login = (
            f"lets {_who(refusal)} start an upload now, so it is not the login"
            if probe.sent
            else "lets anybody start an upload now"
        )
        # Only that the tag exists makes any of these likelier than the rest.
        perhaps = " (perhaps a right to replace a tag, an immutable tag, or a quota)" if refusal.replaces else ""
        said = (
            f"{registry} refused the push, and {login}; the cause is not known{perhaps}: the registry's log or its "
            "administrator may know it"
        )
        return said, (f"docker pushsafe diagnose {refusal.reference}",)
    said = (
        f"{registry} refused, in words that fit a wrong credential and a missing right alike, and would not say which "
        "when asked; a login that fails now points to the credential, one that succeeds to the right"
    )
    return said, (*_login(refusal), f"docker pushsafe diagnose {refusal.reference}")


_SAYINGS = {
    DenialReason.NOT_LOGGED_IN: _not_logged_in,
    DenialReason.CREDENTIAL_REJECTED: _rejected,
    DenialReason.CREDENTIAL_EXPIRED: _expired_token,
    DenialReason.CREDENTIAL_NOT_SENT: _not_sent,
    DenialReason.NO_WRITE_PERMISSION: _no_right,
    DenialReason.NO_READ_PERMISSION: _no_right_to_read,
    DenialReason.NAMESPACE_NOT_YOURS: _foreign_namespace,
    DenialReason.TOKEN_SCOPE_TOO_SMALL: _small_scope,
    DenialReason.UNCLEAR: _unclear,
}


def again(tag: Facts | Refusal) -> str:
    """What to run for a tag whose registry is busy."""
    return f"{tag.command} {tag.reference}   (again, in a while)" if tag.command else again_with("", "in a while")


def again_with(words: str, aside: str = "") -> str:
    """What to run where the reference alone is no command: the command that was run, with other words."""
    return f"the same again{f' with {words}' if words else ''}{f', {aside}' if aside else ''}"


def _failure_commands(refusal: Refusal, kind: FailureKind) -> tuple[str, ...]:
    reference, registry = refusal.reference, refusal.reference.registry
    told = " ".join(item.message for item in refusal.evidence)
    match kind:
        case FailureKind.NETWORK | FailureKind.TLS if speaks_plain_http(told):
            return (tls_advice(told, registry).next,)
        case FailureKind.NETWORK:
            host = "registry-1.docker.io" if registry == "docker.io" else registry
            scheme = "http" if hostname(registry) == "localhost" or registry.startswith("127.") else "https"
            return (f"curl -sSi {scheme}://{host}/v2/",)
        case FailureKind.TLS:
            return (trust(registry, told),)
        case FailureKind.REPOSITORY_MISSING:
            command = creation_command(registry, reference.repository)
            return (command,) if command else ()
        case FailureKind.LOCAL:
            return ("docker image ls",)
        case FailureKind.RATE_LIMITED:
            return (again(refusal),)
        case FailureKind.REGISTRY_ERROR if any(is_too_large(item.message) for item in refusal.evidence):
            return (f"allow larger requests at the proxy in front of {registry}   (nginx: client_max_body_size 0;)",)
        case _:
            return ()
