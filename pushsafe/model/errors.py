"""The few ways in which a run ends before it has a report: what, why, and what to do."""

from __future__ import annotations


class PushsafeError(Exception):
    """Something the user can mend. `message` says what and why, `hint` the command or change that mends it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PushsafeError):
    """The command line, a settings file or an environment variable cannot mean anything (exit 2)."""


class EngineUnreachable(PushsafeError):
    """No engine answers where docker's own rules say it is (exit 3)."""


class EngineFailed(PushsafeError):
    """The engine answers, but not with what was asked for (exit 7)."""


class RegistryUnreachable(PushsafeError):
    """No registry answers from this machine; an engine elsewhere may still reach it."""


class OutOfTime(PushsafeError):
    """The time for the whole run was over before it began (exit 3)."""


class TlsFailed(RegistryUnreachable):
    """A registry's certificate is not trusted, or what answers speaks no TLS at all (`no_tls`); no login and no waiting
    changes that."""

    def __init__(self, message: str, *, no_tls: bool = False) -> None:
        super().__init__(message)
        self.no_tls = no_tls


class RegistryFailed(RegistryUnreachable):
    """A registry or its token server answers, and nothing can go on from that; waiting and logging in are no help."""


class RegistryAstray(RegistryFailed):
    """A registry leads to where nothing may be sent, or where nobody is."""


class ProxyAnswers(RegistryUnreachable):
    """What came is not the registry's answer, but that of a proxy on this machine's way there, or of one behind it."""


class UnsafeRealm(RegistryUnreachable):
    """A registry wants the credential sent to a token server in clear, beyond this machine: `realm` is its host."""

    def __init__(self, message: str, realm: str) -> None:
        super().__init__(message)
        self.realm = realm


class ContentBroken(PushsafeError):
    """What is read from a file is not, or no longer, what it has to be; the message names the file."""


def reason(error: OSError) -> str:
    """What the system says of a file, for the end of a sentence."""
    return (error.strerror or type(error).__name__).lower()
