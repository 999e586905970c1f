"""The credential that docker would send to a registry, and its source.

As in docker CLI 28.5 (docker/cli `cli/config/`, `cli/command/registry.go`): DOCKER_AUTH_CONFIG, then the helper of
`credHelpers`, `credsStore` or the platform's default, then `auths`. Where docker warns of an unreadable configuration
and pushes without a credential, ours is BROKEN.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from pushsafe.credentials.config_file import Entry, MalformedError, hostname, parse_environment, parse_headers, read
from pushsafe.model.credentials import (
    HUB_KEY,
    Credential,
    CredentialKind,
    CredentialSource,
    Secret,
    SourceKind,
    Trouble,
    key_of,
    secrets_of,
)
from pushsafe.model.errors import UsageError
from pushsafe.oci.reference import DEFAULT_REGISTRY
from pushsafe.runtime.redact import clean, remember

if TYPE_CHECKING:
    from pushsafe.credentials.helper import Running


ENVIRONMENT_VARIABLE = "DOCKER_AUTH_CONFIG"
HEADERS_VARIABLE = "DOCKER_CUSTOM_HEADERS"
# `docker login` stores these beside a Docker Hub login (docker/cli `internal/oauth/manager`); they are no servers.
_OWN_TOKENS = (HUB_KEY + "access-token", HUB_KEY + "refresh-token")


def auth_config(credential: Credential) -> dict[str, str]:
    """The fields of `X-Registry-Auth`, which is base64url of their JSON; `{}` for no or a broken credential.

    Names are those of moby `api/types/registry/authconfig.go`; empty fields are left out, as in docker. With this as
    `auth_config`, docker-py looks for no other credential. Only `credential.source` shows whether one is broken.
    """
    if credential.sent:
        return {name: value.reveal() for name, value in credential.sent}
    source = credential.source
    if source.kind is SourceKind.BROKEN or (source.kind is SourceKind.NONE and not source.name):
        return {}
    field = {
        CredentialKind.BASIC: "password",
        CredentialKind.IDENTITY_TOKEN: "identitytoken",
        CredentialKind.REGISTRY_TOKEN: "registrytoken",
    }[credential.kind]
    values = {"username": credential.username, "serveraddress": credential.key, field: credential.secret.reveal()}
    return {name: value for name, value in values.items() if value}


def _home_of(user: str) -> str:
    """A user's home folder. Raises KeyError, or ImportError on a system without passwd."""
    import pwd

    return pwd.getpwnam(user).pw_dir


class CredentialStore:
    """The credentials of one configuration directory and environment. Thread-safe.

    `warnings` are docker's warnings on standard error, one sentence each.
    """

    def __init__(
        self, config_dir: Path, environ: Mapping[str, str], *, home_of: Callable[[str], str] = _home_of
    ) -> None:
        """Read the configuration; never raises. `config_dir` is `~/.docker`, DOCKER_CONFIG or `--config`."""
        self._environ = dict(environ)
        self._home_of = home_of
        self._file = str(config_dir / "config.json")
        self._shown_file = clean(self._file)
        self._config = read(config_dir / "config.json")
        self._from_environment, self._environment_problem = _read_environment(environ)
        self._found: dict[str, Credential] = {}
        self._listed: tuple[str, ...] | None = None
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._helpers: Running | None = None
        self._closed = False
        self._closing = threading.Lock()

    def close(self) -> None:
        """Kill helpers that still run after an interrupted run."""
        with self._closing:
            self._closed = True
            if self._helpers is not None:
                self._helpers.close()

    def _running(self) -> Running:
        """Made with the first helper: most runs do not need its module."""
        from pushsafe.credentials.helper import Running

        with self._closing:
            if self._helpers is None:
                self._helpers = Running()
                if self._closed:
                    self._helpers.close()
            return self._helpers

    @cached_property
    def _store(self) -> str:
        """The current store; docker looks for a native one if the file names no credentials."""
        if self._config.problem or self._config.names_credentials:
            return self._config.store
        from pushsafe.credentials import helper as credential_helper

        return credential_helper.native_store(self._environ)

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self._environment_problem:
            return ()
        return (f"{ENVIRONMENT_VARIABLE} is ignored, as docker ignores it: {self._environment_problem}",)

    @property
    def http_headers(self) -> Mapping[str, str]:
        """docker's headers for the engine: DOCKER_CUSTOM_HEADERS, else HttpHeaders of config.json.

        Raises UsageError for a variable that docker refuses.
        """
        text = self._environ.get(HEADERS_VARIABLE, "")
        try:
            return parse_headers(text) if text else self._config.http_headers
        except MalformedError as error:
            raise UsageError(f"{HEADERS_VARIABLE} cannot be used: {error}", f"unset {HEADERS_VARIABLE}") from None

    def lookup(self, registry: str) -> Credential:
        """The credential for a registry by docker's name (`docker.io`, `localhost:5000`). Never raises.

        A helper is run once for a registry, for up to `credential_helper.TIME_LIMIT` seconds.
        """
        key = key_of(registry)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._found:
                self._found[key] = found = self._look(registry, key)
                remember(secrets_of(found))  # redacted in every message from here on
            return self._found[key]

    def servers(self) -> tuple[str, ...]:
        """The registries with a login, by docker's names, without running helpers.

        If a store keeps the secret, `docker login` leaves an empty entry in `auths`.
        """
        names = [name for name, entry in self._config.auths.items() if entry.has_content or self._config.store]
        names += [*self._config.helpers, *self._from_environment]
        hosts = (DEFAULT_REGISTRY if name in (HUB_KEY, *_OWN_TOKENS) else hostname(name) for name in names)
        return tuple(dict.fromkeys(hosts))

    def _look(self, registry: str, key: str) -> Credential:
        entry, source = self._resolve(key)
        if source.kind is SourceKind.NONE and self._environment_problem:
            # docker would push without a credential, but a user who sets the variable means to use one.
            problem = self._environment_problem
            source = CredentialSource(SourceKind.BROKEN, ENVIRONMENT_VARIABLE, problem, Trouble.VARIABLE)
        credential = _credential(registry, key, entry, source, self._elsewhere(key, entry, source))
        if source.kind is SourceKind.NONE:
            return credential._replace(callers_config=self._callers_config(key))
        if source.kind is SourceKind.ENVIRONMENT and self._config.entry(key).has_content:
            return credential._replace(overridden=self._shown_file)
        return credential

    def _resolve(self, key: str) -> tuple[Entry, CredentialSource]:
        if key in self._from_environment:
            return self._from_environment[key], CredentialSource(SourceKind.ENVIRONMENT, ENVIRONMENT_VARIABLE)
        if self._config.problem:
            problem, trouble = self._config.problem, self._config.trouble
            return Entry(), CredentialSource(SourceKind.BROKEN, self._shown_file, problem, trouble)
        entry = self._config.entry(key)
        # An empty name in credHelpers means the file, even if there is a credsStore.
        helper = self._config.helpers.get(key, self._store)
        if helper:
            return self._ask(helper, key, entry)
        if entry.has_content:
            return entry, CredentialSource(SourceKind.FILE, self._shown_file)
        return entry, CredentialSource(SourceKind.NONE, self._shown_file if entry.server_address else "")

    def _ask(self, helper: str, key: str, entry: Entry) -> tuple[Entry, CredentialSource]:
        """A helper's credential; docker adds the registry token of the file's entry."""
        from pushsafe.credentials import helper as credential_helper

        named = self._naming(helper, key)
        match credential_helper.get(helper, key, self._environ, running=self._running()):
            case credential_helper.Broken(problem, trouble):
                name = credential_helper.PREFIX + named.helper
                return Entry(), named._replace(kind=SourceKind.BROKEN, name=name, problem=problem, trouble=trouble)
            case credential_helper.NothingFound() if entry.registry_token:
                return Entry(registry_token=entry.registry_token), CredentialSource(SourceKind.FILE, self._shown_file)
            case credential_helper.NothingFound():
                return Entry(), named
            case credential_helper.Found(username, password, identity_token):
                found = Entry(key, username, password, identity_token, entry.registry_token)
                kind = SourceKind.HELPER if found.has_content else SourceKind.NONE
                return found, named._replace(kind=kind, name=named.helper)

    def _naming(self, helper: str, key: str) -> CredentialSource:
        """The source for a helper without a credential, with the setting that names it, cleaned for messages."""
        setting = f"credHelpers.{clean(key)}" if key in self._config.helpers else "credsStore"
        if not (key in self._config.helpers or self._config.store):
            return CredentialSource(SourceKind.NONE, helper=helper)
        return CredentialSource(SourceKind.NONE, helper=clean(helper), setting=setting, file=self._shown_file)

    def _elsewhere(self, key: str, entry: Entry, source: CredentialSource) -> tuple[str, ...]:
        names = [address for address, one in self._config.auths.items() if one.has_content]
        names += [*self._config.helpers, *self._from_environment]
        if source.kind is SourceKind.NONE:
            names += self._list()
        unwanted = {key, entry.server_address, *_OWN_TOKENS}
        return tuple(dict.fromkeys(_nameable(name) for name in names if name not in unwanted))

    def _list(self) -> Iterable[str]:
        """The store's servers, listed once, for a hint where there is no credential."""
        from pushsafe.credentials import helper as credential_helper

        with self._listing:
            if self._listed is None:
                store, environ = self._store, self._environ
                self._listed = credential_helper.servers(store, environ, running=self._running()) if store else ()
            return self._listed

    def _callers_config(self, key: str) -> str:
        """The config file of sudo's caller, if it differs from ours and has a login for `key`.

        Root reads another user's file here: its size is limited, and only its path is used.
        """
        user = self._environ.get("SUDO_USER", "")
        if user in ("", "root"):
            return ""
        try:
            file = Path(self._home_of(user), ".docker", "config.json")
            if not file.is_file() or realpath(file) == realpath(self._file):
                return ""
        except (ImportError, KeyError, OSError, ValueError):
            return ""
        config = read(file)
        return clean(str(file)) if config.entry(key).server_address or key in config.helpers else ""


def _credential(
    registry: str, key: str, entry: Entry, source: CredentialSource, elsewhere: tuple[str, ...]
) -> Credential:
    """docker's entry as a credential, of the kind that the engine prefers."""
    kind, secret = CredentialKind.BASIC, entry.password
    if entry.registry_token:
        kind, secret = CredentialKind.REGISTRY_TOKEN, entry.registry_token
    elif entry.identity_token:
        kind, secret = CredentialKind.IDENTITY_TOKEN, entry.identity_token
    from pushsafe.credentials.expiry import expires

    credential = Credential(
        registry=registry,
        key=entry.server_address or key,
        source=source,
        kind=kind,
        username=entry.username,
        secret=secret,
        expires=expires(secret),
        elsewhere=elsewhere,
    )
    sent = {
        "username": Secret(entry.username),
        "password": entry.password,
        "serveraddress": Secret(entry.server_address),
        "identitytoken": entry.identity_token,
        "registrytoken": entry.registry_token,
    }
    filled = {name: value for name, value in sent.items() if value}
    if {name: value.reveal() for name, value in filled.items()} == auth_config(credential):
        return credential
    return credential._replace(sent=tuple(filled.items()))


def _nameable(address: str) -> str:
    """A key, reduced to its host if it may hold a user name or password."""
    return clean(hostname(address) if "@" in address else address)


def _read_environment(environ: Mapping[str, str]) -> tuple[Mapping[str, Entry], str]:
    text = environ.get(ENVIRONMENT_VARIABLE, "")
    try:
        return parse_environment(text), ""
    except MalformedError as error:
        return {}, str(error)
