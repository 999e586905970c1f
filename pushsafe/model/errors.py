"""Errors that end a run before it has a report."""

from __future__ import annotations


class PushsafeError(Exception):
    """An error the user can fix. `message` is what failed and why, `hint` the command or change that fixes it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PushsafeError):
    """An invalid command line, settings file or environment variable (exit 2)."""


class EngineUnreachable(PushsafeError):
    """No engine answers at the address docker would use (exit 3)."""


class EngineFailed(PushsafeError):
    """The engine's answer is an error or unusable (exit 7)."""


class RegistryUnreachable(PushsafeError):
    """The registry does not answer this machine; an engine elsewhere may still reach it."""


class OutOfTime(PushsafeError):
    """The time limit for the whole run was over before it began (exit 3)."""


class TlsFailed(RegistryUnreachable):
    """TLS failed: an untrusted certificate, or a server that speaks no TLS (`no_tls`). Retries and logins do not
    help."""

    def __init__(self, message: str, *, no_tls: bool = False) -> None:
        super().__init__(message)
        self.no_tls = no_tls


class RegistryFailed(RegistryUnreachable):
    """The registry or its token server answers with something unusable. Retries and logins do not help."""


class RegistryAstray(RegistryFailed):
    """The registry redirects to an address that must not be contacted, or that does not answer."""


class ProxyAnswers(RegistryUnreachable):
    """The answer comes from a proxy on the way to the registry, or in front of it."""


class UnsafeRealm(RegistryUnreachable):
    """The token server `realm` is reached over plain HTTP beyond this machine; the credential is not sent there."""

    def __init__(self, message: str, realm: str) -> None:
        super().__init__(message)
        self.realm = realm


class ContentBroken(PushsafeError):
    """A file's content is not what it should be, or changed meanwhile; the message names the file."""


def reason(error: OSError) -> str:
    """The operating system's text for an error, fit for the end of a sentence."""
    return (error.strerror or type(error).__name__).lower()
