"""Reasons of denials and kinds of failures: the sentence for each, and the commands to run next."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pushsafe import known_registries
from pushsafe.denial.messages import Meaning, Undecided, is_too_large, meaning
from pushsafe.denial.refusal import Refusal
from pushsafe.denial.tls_advice import speaks_plain_http, tls_advice
from pushsafe.known_registries import creation_command, known, near_miss, own_namespace, reach_command
from pushsafe.model.credentials import SourceKind
from pushsafe.model.evidence import Stage
from pushsafe.model.facts import Facts
from pushsafe.model.inquiry import UNCLEAR
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind
from pushsafe.oci.reference import hostname

_ASK, _LOG_IN = ("docker pushsafe diagnose {reference}",), ("{login}",)
_INVALID = "invalid-authentication"


class Reason(NamedTuple):
    """A reason of denials: the sentence on a refused push, and the commands to run next, both in `_WORDS`.

    `pasted` and `pasted_next` are those for a pasted text, in the words of `explain`: no sentence if words alone cannot
    tell, no commands if they are the same. `cause` is that of a pasted text, if it is not the kind.
    """

    kind: DenialKind
    said: str
    next: tuple[str, ...]
    pasted: str = ""
    pasted_next: tuple[str, ...] = ()
    cause: str = ""


class Kind(NamedTuple):
    """A kind of failure; its sentence is the engine's or registry's message, the rest is as for a reason."""

    next: tuple[str, ...]
    pasted: str = ""
    pasted_next: tuple[str, ...] = ()


REASONS: dict[DenialReason, Reason] = {
    DenialReason.NOT_LOGGED_IN: Reason(
        DenialKind.NO_AUTHENTICATION,
        "not logged in to {registry}{broken}{near}",
        _LOG_IN,
        "No credential for {registry} was sent: not logged in.",
    ),
    DenialReason.CREDENTIAL_REJECTED: Reason(
        DenialKind.NO_AUTHENTICATION,
        "{registry} does not accept the credential{whose} ({source})",
        _LOG_IN,
        "{registry} does not accept the credential: it is wrong, revoked, or not of the kind that is wanted.",
        cause=_INVALID,
    ),
    DenialReason.CREDENTIAL_EXPIRED: Reason(
        DenialKind.NO_AUTHENTICATION,
        "the token for {registry} in {source} has expired",
        _LOG_IN,
        "The credential has expired: log in again.",
        cause=_INVALID,
    ),
    DenialReason.CREDENTIAL_NOT_SENT: Reason(
        DenialKind.NO_AUTHENTICATION,
        "the engine {sends} the credential{whose}: {registry} answers /v2/ without asking for a login, and the classic "
        "image store then sends none",
        ("docker info --format '{{{{.DriverStatus}}}}'   (the containerd image store answers a later challenge)",),
    ),
    DenialReason.NO_WRITE_PERMISSION: Reason(
        DenialKind.INSUFFICIENT_PERMISSION,
        "{who} is logged in to {registry} and may not push to {repository}; that needs {right}",
        ("{other_login}",),
        "{registry} knows the account, and the account may not do this; that needs {right}.",
        _ASK,
    ),
    DenialReason.NO_READ_PERMISSION: Reason(
        DenialKind.INSUFFICIENT_PERMISSION,
        "{who} is logged in to {registry} and may not read {repository}; that needs the right to pull",
        ("{other_login}",),
    ),
    DenialReason.NAMESPACE_NOT_YOURS: Reason(
        DenialKind.INSUFFICIENT_PERMISSION,
        "the namespace {namespace!r} is not that of {who}, and {product} gives that account no right to push there; "
        "that needs {right}",
        ("{renamed}", "{other_login}"),
    ),
    DenialReason.TOKEN_SCOPE_TOO_SMALL: Reason(
        DenialKind.INSUFFICIENT_PERMISSION,
        "the token of {who} may not push to {repository}, which is in that account's own namespace; that needs {right}",
        _LOG_IN,
        "The scopes of the token do not suffice for a push; that needs {right}.",
    ),
    DenialReason.UNCLEAR: Reason(
        DenialKind.UNCLEAR,
        "{registry} {refused}",
        ("{login_to_compare}", *_ASK),
        "{registry} refused with a message that fits several causes: not logged in, a wrong or expired credential, an "
        "account that may not push there, or a missing repository. The message cannot decide; asking the registry can.",
        _ASK,
    ),
}

KINDS: dict[FailureKind, Kind] = {
    FailureKind.REPOSITORY_MISSING: Kind(
        ("{create}",), "{registry} has no such repository or project, and a push does not create it."
    ),
    FailureKind.POLICY: Kind(
        (),
        "A rule of the registry stands against it (a tag that may not change, a quota, a lock, a plan, an address): "
        "neither a login nor a right to write fixes that.",
        ("push under a new tag, make room, or ask the registry's owner about the rule that the message names",),
    ),
    FailureKind.RATE_LIMITED: Kind(
        ("{again}",),
        "Too many requests came in too short a time. The login and the rights are not the cause.",
        ("wait some minutes and push again; fewer pushes at a time, and being logged in, help",),
    ),
    FailureKind.NETWORK: Kind(
        ("{reach}",), "The way to the server is broken (name, address, port, proxy or firewall): no login was judged."
    ),
    FailureKind.TLS: Kind(("{trust}",), "{tls}"),
    FailureKind.REGISTRY_ERROR: Kind(
        ("{larger}",),
        "The registry, or a proxy before it, failed. The login and the rights are not the cause.",
        ("push again later; if it fails again, show the message to the registry's administrator",),
    ),
    FailureKind.BAD_REQUEST: Kind(
        (), "The name, tag or digest is not one that can be pushed to.", ("docker pushsafe lint {reference}",)
    ),
    FailureKind.LOCAL: Kind(
        ("docker image ls",),
        "The cause is on this machine: the engine, the image or the credential helper. The registry is not involved.",
        ("docker version", "docker image ls"),
    ),
    FailureKind.REDUCED: Kind(()),
}


class Pasted(NamedTuple):
    """The sentence for a pasted text, in the words of `explain`."""

    cause: str
    said: str
    next: tuple[str, ...]


def pasted(found: Meaning) -> Pasted:
    """The sentence for a text of this meaning."""
    if found is Undecided.UNKNOWN:
        return Pasted(UNCLEAR, "These words have no known meaning, so no cause is claimed.", _ASK)
    if isinstance(found, FailureKind):
        kind = KINDS[found]
        return Pasted(found.value, kind.pasted, kind.pasted_next or kind.next)
    row = REASONS[found if isinstance(found, DenialReason) else DenialReason.UNCLEAR]
    return Pasted(row.cause or row.kind.value, row.pasted, row.pasted_next or row.next)


def denial(refusal: Refusal, reason: DenialReason) -> Denial:
    """A denial for this reason."""
    row, words = REASONS[reason], _Words(refusal)
    return Denial(row.kind, reason, row.said.format_map(words), refusal.evidence, words.commands(row.next))


def of_reading(refusal: Refusal, verdict: Denial | None) -> Denial:
    """A denial of reading, classified by the login alone; `None` if that does not decide."""
    if verdict is None:
        said = (
            f"{refusal.reference.registry} does not let {_who(refusal)} read {refusal.reference.repository}, and would "
            "not say why; a login that fails now points to the credential, one that succeeds to the right to read"
        )
        return Denial(DenialKind.UNCLEAR, DenialReason.UNCLEAR, said, refusal.evidence, (_login(refusal),))
    if verdict.kind is DenialKind.NO_AUTHENTICATION:
        return verdict
    return denial(refusal, DenialReason.NO_READ_PERMISSION)


def failure(refusal: Refusal, kind: FailureKind) -> Failure:
    """A failure of this kind; its message is the evidence's: the engine's own, or the registry's answer."""
    push = refusal.of(Stage.PUSH)
    message = push.message if push else ""
    if push is None or meaning(push.message) is not kind:
        told = next((item for item in refusal.evidence if meaning(f"{item.code}: {item.message}") is kind), None)
        if told is not None and told is not push:
            said = told.message or told.code
            message = f"{message} ({said})" if message else said
    return Failure(kind, message or "the push failed", refusal.evidence, _Words(refusal).commands(KINDS[kind].next))


def astray(refusal: Refusal, led: str) -> Failure:
    """The failure of a registry that redirects to a foreign address, by the sentence that says so."""
    return Failure(FailureKind.REGISTRY_ERROR, led, refusal.evidence, own_address(refusal))


def own_address(tag: Facts | Refusal) -> tuple[str, ...]:
    """The fix for a registry that redirects to a foreign address."""
    registry = tag.reference.registry
    return (
        f"let the proxy in front of {registry} pass Host and X-Forwarded-Proto on, or give the registry its own "
        "address in its settings",
        f"docker pushsafe diagnose {tag.reference}   (to see what address it names then)",
    )


def trust(registry: str, said: str, *, no_tls: bool = False) -> str:
    """The fix for a registry whose certificate is not trusted (`said` is the error), or that has none."""
    if no_tls:
        return f"give {registry} a certificate, or add it to insecure-registries in the engine's daemon.json"
    return tls_advice(said, registry).next


def without_proxy(registry: str) -> str:
    """The fix if a proxy answers instead of the registry."""
    return f'export NO_PROXY="$NO_PROXY,{hostname(registry)}"   (if {registry} is reached without the proxy)'


def too_large(registry: str) -> str:
    """The fix for a request too large for a registry, or for a proxy in front of it."""
    return f"allow larger requests at the proxy in front of {registry}   (nginx: client_max_body_size 0;)"


def again(tag: Facts | Refusal) -> str:
    """The next command for a tag whose registry is busy."""
    return f"{tag.command} {tag.reference}   (again, in a while)" if tag.command else again_with("", "in a while")


def again_with(words: str, aside: str = "") -> str:
    """The next command if a reference alone makes no command: the command that was run, in words."""
    return f"the same again{f' with {words}' if words else ''}{f', {aside}' if aside else ''}"


class _Words:
    """The fields of sentences and commands, each computed when used."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def __getitem__(self, name: str) -> str:
        return _WORDS[name](self._refusal)

    def commands(self, templates: tuple[str, ...]) -> tuple[str, ...]:
        """The fields that have a value."""
        return tuple(filter(None, (template.format_map(self) for template in templates)))


def _who(refusal: Refusal) -> str:
    user = refusal.credential.username
    return f"the account {user!r}" if user else "the credential"


def _broken(refusal: Refusal) -> str:
    source = refusal.credential.source
    return f": the credential cannot be read ({source})" if source.kind is SourceKind.BROKEN else ""


def _near(refusal: Refusal) -> str:
    near = near_miss(refusal.credential)
    return f"; {near}" if near else ""


def _refused(refusal: Refusal) -> str:
    probe = refusal.of(Stage.PROBE)
    if probe is None or not probe.accepted:
        return (
            "refused, in words that fit a wrong credential and a missing right alike, and would not say which when "
            "asked; a login that fails now points to the credential, one that succeeds to the right"
        )
    login = (
        f"lets {_who(refusal)} start an upload now, so it is not the login"
        if probe.sent
        else "lets anyone start an upload now"
    )
    # only an existing tag makes any of these likelier
    perhaps = " (perhaps a right to replace a tag, an immutable tag, or a quota)" if refusal.replaces else ""
    return (
        f"refused the push, and {login}; the cause is not known{perhaps}: the registry's log or its administrator may "
        "know it"
    )


def _login(refusal: Refusal) -> str:
    return known_registries.login(refusal.credential, refusal.credential.username)


def _other_login(refusal: Refusal) -> str:
    """Without a name docker would log in the same account again."""
    command = known_registries.login(refusal.credential)
    takes_a_name = command.startswith("docker login ") and " -u " not in command
    return f"{command} -u ACCOUNT" if takes_a_name else command


def _renamed(refusal: Refusal) -> str:
    reference = refusal.reference
    own = own_namespace(reference.registry, refusal.credential.username).lower()
    better = f"{reference.registry}/{own}/{reference.repository.partition('/')[2]}"
    if refusal.command and refusal.by_name:
        return f"docker tag {reference} {better}:{reference.tag}"
    return f"{refusal.command} {better}:{reference.tag}" if refusal.command else again_with(f"-t {better}:TAG")


def _told(refusal: Refusal) -> str:
    return " ".join(item.message for item in refusal.evidence)


def _trust(refusal: Refusal) -> str:
    return tls_advice(_told(refusal), refusal.reference.registry).next


def _reach(refusal: Refusal) -> str:
    return _trust(refusal) if speaks_plain_http(_told(refusal)) else reach_command(refusal.reference.registry)


def _larger(refusal: Refusal) -> str:
    large = any(is_too_large(item.message) for item in refusal.evidence)
    return too_large(refusal.reference.registry) if large else ""


_WORDS: dict[str, Callable[[Refusal], str]] = {
    "registry": lambda refusal: refusal.reference.registry,
    "repository": lambda refusal: refusal.reference.repository,
    "reference": lambda refusal: str(refusal.reference),
    "namespace": lambda refusal: refusal.reference.repository.partition("/")[0],
    "product": lambda refusal: known(refusal.reference.registry).name,
    "right": lambda refusal: known(refusal.reference.registry).right,
    "who": _who,
    "whose": lambda refusal: f" of {_who(refusal)}" if refusal.credential.username else "",
    "source": lambda refusal: str(refusal.credential.source),
    "broken": _broken,
    "near": _near,
    "sends": lambda refusal: "did not send" if refusal.of(Stage.PUSH) else "will not send",
    "refused": _refused,
    "login": _login,
    "other_login": _other_login,
    "login_to_compare": lambda refusal: "" if refusal.accepted(Stage.PROBE) else _login(refusal),
    "renamed": _renamed,
    "create": lambda refusal: creation_command(refusal.reference.registry, refusal.reference.repository),
    "again": again,
    "trust": _trust,
    "reach": _reach,
    "larger": _larger,
}
