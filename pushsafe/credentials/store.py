"""The credential that docker itself would send for a registry, where it came from, and nothing that shows it.

The rules are those of docker CLI 28.5 (docker/cli `cli/config/`, `cli/command/registry.go`): DOCKER_AUTH_CONFIG,
then the helper that `credHelpers` or `credsStore` name or that is installed as the platform's own store, then
`auths`. Where docker warns of a configuration it cannot read and pushes without a credential, we say BROKEN.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from pushsafe.credentials.config_file import (
    Entry,
    MalformedError,
    hostname,
    parse_environment,
    parse_headers,
    read,
)
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
# What `docker login` itself keeps beside a Docker Hub login (docker/cli `internal/oauth/manager`): no servers.
_OWN_TOKENS = (HUB_KEY + "access-token", HUB_KEY + "refresh-token")


def auth_config(credential: Credential) -> dict[str, str]:
    """What docker puts into `X-Registry-Auth`: base64url of the JSON of exactly these fields, `{}` for none.

    Field names are those of moby `api/types/registry/authconfig.go`; empty ones are left out, as docker does. To be
    handed to docker-py as `auth_config`, which then looks nowhere else. A broken credential is none here: whoever
    must not push with it asks `credential.source`.
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
    """A user's home folder as the system knows it. Raises KeyError; ImportError where the system has no such list."""
    import pwd

    return pwd.getpwnam(user).pw_dir


class CredentialStore:
    """Credentials by registry, for one configuration directory and one environment; for any number of threads.

    `warnings` are what docker would have said on standard error although it goes on: one sentence each.
    """

    def __init__(
        self, config_dir: Path, environ: Mapping[str, str], *, home_of: Callable[[str], str] = _home_of
    ) -> None:
        """Reads the configuration; never raises. `config_dir` is `~/.docker`, DOCKER_CONFIG or `--config`."""
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
        """Kill the helpers that still run, of a run that ended early."""
        with self._closing:
            self._closed = True
            if self._helpers is not None:
                self._helpers.close()

    def _running(self) -> Running:
        """Made with the first helper: most runs need not even its module."""
        from pushsafe.credentials.helper import Running

        with self._closing:
            if self._helpers is None:
                self._helpers = Running()
                if self._closed:
                    self._helpers.close()
            return self._helpers

    @cached_property
    def _store(self) -> str:
        """The store in force: docker looks for a native one after reading the file, also where that named nothing."""
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
        """What docker sends with every request to the engine: DOCKER_CUSTOM_HEADERS, else HttpHeaders of config.json.

        Raises UsageError where docker refuses that variable.
        """
        text = self._environ.get(HEADERS_VARIABLE, "")
        try:
            return parse_headers(text) if text else self._config.http_headers
        except MalformedError as error:
            raise UsageError(f"{HEADERS_VARIABLE} cannot be used: {error}", f"unset {HEADERS_VARIABLE}") from None

    def lookup(self, registry: str) -> Credential:
        """The credential for a registry as docker names it (`docker.io`, `localhost:5000`). Never raises.

        A helper is asked once per registry, and at most `credential_helper.TIME_LIMIT` seconds.
        """
        key = key_of(registry)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._found:
                self._found[key] = found = self._look(registry, key)
                # From here on no message shows it, whoever echoes it first.
                remember(secrets_of(found))
            return self._found[key]

    def servers(self) -> tuple[str, ...]:
        """The registries that the user has logged in to, as docker names registries; no helper is asked.

        Where a store keeps the secret, `docker login` leaves an entry without content in `auths`.
        """
        names = [name for name, entry in self._config.auths.items() if entry.has_content or self._config.store]
        names += [*self._config.helpers, *self._from_environment]
        hosts = (DEFAULT_REGISTRY if name in (HUB_KEY, *_OWN_TOKENS) else hostname(name) for name in names)
        return tuple(dict.fromkeys(hosts))

    # ------------------------------------------------------------ resolution

    def _look(self, registry: str, key: str) -> Credential:
        entry, source = self._resolve(key)
        if source.kind is SourceKind.NONE and self._environment_problem:
            # docker would push without a credential; whoever sets the variable means to push with one.
            source = CredentialSource(
                SourceKind.BROKEN, ENVIRONMENT_VARIABLE, self._environment_problem, Trouble.VARIABLE
            )
        credential = _credential(registry, key, entry, source, self._elsewhere(key, entry, source))
        if source.kind is SourceKind.NONE:
            return credential._replace(callers_config=self._callers_config(key))
        if source.kind is SourceKind.ENVIRONMENT and self._config.entry(key).has_content:
            return credential._replace(overridden=self._shown_file)
        return credential

    def _resolve(self, key: str) -> tuple[Entry, CredentialSource]:
        if key in self._from_environment:
            entry = self._from_environment[key]
            return entry, CredentialSource(SourceKind.ENVIRONMENT, ENVIRONMENT_VARIABLE)
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
        """What a helper says. Of the file's entry docker keeps the registry token, whatever the helper has."""
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
        """A helper that has nothing, and what names it, as a message may show them."""
        setting = f"credHelpers.{clean(key)}" if key in self._config.helpers else "credsStore"
        if not (key in self._config.helpers or self._config.store):
            return CredentialSource(SourceKind.NONE, helper=helper)
        return CredentialSource(SourceKind.NONE, helper=clean(helper), setting=setting, file=self._shown_file)

    # ----------------------------------------------------------------- hints

    def _elsewhere(self, key: str, entry: Entry, source: CredentialSource) -> tuple[str, ...]:
        names = [address for address, one in self._config.auths.items() if one.has_content]
        names += [*self._config.helpers, *self._from_environment]
        if source.kind is SourceKind.NONE:
            names += self._list()
        unwanted = {key, entry.server_address, *_OWN_TOKENS}
        return tuple(dict.fromkeys(_nameable(name) for name in names if name not in unwanted))

    def _list(self) -> Iterable[str]:
        """Asked only for a hint, where there is no credential; once."""
        from pushsafe.credentials import helper as credential_helper

        with self._listing:
            if self._listed is None:
                store, environ = self._store, self._environ
                self._listed = credential_helper.servers(store, environ, running=self._running()) if store else ()
            return self._listed

    def _callers_config(self, key: str) -> str:
        """The config file of the user who called sudo, if it is another one and names a login for `key`.

        Root reads what another user wrote: only a file of sensible size, and nothing of it goes any further.
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
    """docker's entry as a credential of one kind: the one that the engine would use first."""
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
    """A key as it is, unless it is a URL with a user's name or password before the host."""
    return clean(hostname(address) if "@" in address else address)


# ---------------------------------------------------------------------- reading


def _read_environment(environ: Mapping[str, str]) -> tuple[Mapping[str, Entry], str]:
    text = environ.get(ENVIRONMENT_VARIABLE, "")
    try:
        return parse_environment(text), ""
    except MalformedError as error:
        return {}, str(error)
