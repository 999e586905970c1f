"""Reads docker's JSON files and variables: config.json (here only), DOCKER_AUTH_CONFIG, and the like.

As in docker (docker/cli `cli/config/configfile/file.go`, 28.5) field names match in any case, `null` fits any type, and
one value of a wrong type makes the whole file invalid.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pushsafe.model.credentials import Secret, Trouble
from pushsafe.runtime import small_file
from pushsafe.runtime.redact import clean

NO_SECRET = Secret("")
LARGEST = 1 << 20
"""Most bytes of a config.json; docker has no limit, but parsing takes fifty times as much memory."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""Go's base64 without line ends; Python's strictest decoder still accepts needless padding."""
_MAP: dict[str, object] = {"*": str}

# The type of each field; docker refuses a wrong one even in fields that we do not use.
_ENTRY: dict[str, object] = dict.fromkeys(
    ("username", "password", "auth", "email", "serveraddress", "identitytoken", "registrytoken"), str
)
_PROXY: dict[str, object] = dict.fromkeys(("httpproxy", "httpsproxy", "noproxy", "ftpproxy", "allproxy"), str)
_FILE: dict[str, object] = {
    **dict.fromkeys(("psformat", "imagesformat", "networksformat", "pluginsformat", "volumesformat"), str),
    **dict.fromkeys(("statsformat", "serviceinspectformat", "servicesformat", "tasksformat"), str),
    **dict.fromkeys(("secretformat", "configformat", "nodesformat", "detachkeys", "credsstore"), str),
    **dict.fromkeys(("currentcontext", "experimental"), str),
    **dict.fromkeys(("httpheaders", "credhelpers", "aliases", "features"), _MAP),
    "prunefilters": [str],
    "clipluginsextradirs": [str],
    "auths": {"*": _ENTRY},
    "proxies": {"*": _PROXY},
    "plugins": {"*": _MAP},
}
_ANSWER: dict[str, object] = dict.fromkeys(("serverurl", "username", "secret"), str)
_ENVIRONMENT: dict[str, object] = {"auths": {"*": {"auth": str}}}


class MalformedError(ValueError):
    """An unusable text; the message quotes no more of it than a server's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """docker's entry for a server (`types.AuthConfig`); `server_address` is empty if there is none."""

    server_address: str = ""
    username: str = ""
    password: Secret = NO_SECRET
    identity_token: Secret = NO_SECRET
    registry_token: Secret = NO_SECRET

    @property
    def has_content(self) -> bool:
        """Whether it has more than an address: `docker login` with a store leaves empty entries."""
        return bool(self.username or self.password or self.identity_token or self.registry_token)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The fields of config.json that we use; mappings in the order of the file.

    If the file cannot be used, only `problem`, the reason, and `trouble`, its kind, are set.
    """

    auths: Mapping[str, Entry] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    http_headers: Mapping[str, str] = field(default_factory=dict)
    current_context: str = ""
    problem: str = ""
    trouble: Trouble | None = None

    @property
    def names_credentials(self) -> bool:
        """Whether any credential setting exists; without one, docker looks for a native store."""
        return bool(self.auths or self.helpers or self.store)

    def entry(self, key: str) -> Entry:
        """The entry of `auths` under `key`, else one whose address has `key` as host, else an empty one.

        Of several, docker takes any; we take the first one with content.
        """
        if key in self.auths:
            return self.auths[key]
        fitting = [entry for address, entry in self.auths.items() if hostname(address) == key]
        return next((entry for entry in fitting if entry.has_content), fitting[0] if fitting else Entry())


def read(file: Path) -> DockerConfig:
    """Read a config.json; a missing file is an empty configuration. Never raises."""
    try:
        return parse_file(_read(file))
    except FileNotFoundError:
        return DockerConfig()
    except MalformedError as error:
        return DockerConfig(problem=f"cannot be read: {error}", trouble=Trouble.FILE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        return DockerConfig(problem=f"cannot be read: {why}", trouble=Trouble.UNREADABLE)


def load(file: Path) -> Mapping[str, object]:
    """Read the fields of another JSON file. Raises OSError and MalformedError."""
    return fields(_decode(_read(file)))


def fields(value: object) -> Mapping[str, object]:
    """The members of a JSON object by lower-case name; none for `null`. Raises MalformedError."""
    return {name.lower(): inner for name, inner in _members(value).items()}


def parse_file(text: str) -> DockerConfig:
    """Parse a config.json; an empty text is an empty configuration. Raises MalformedError."""
    value = _decode(text)
    for name, inner in _members(value).items():
        if not _fits(inner, _FILE.get(name.lower())):
            raise MalformedError(f"the value of {clean(name)!r} is not of the kind that docker wants there")
    found = fields(value)
    return DockerConfig(
        auths={address: _entry(address, one) for address, one in _members(found.get("auths")).items()},
        helpers=_texts(found.get("credhelpers")),
        store=_text(found.get("credsstore")),
        http_headers=_texts(found.get("httpheaders")),
        current_context=_text(found.get("currentcontext")),
    )


def parse_environment(text: str) -> Mapping[str, Entry]:
    """Parse DOCKER_AUTH_CONFIG: `{"auths": {"host": {"auth": "base64"}}}`.

    Raises MalformedError for anything else, as docker 28.5 does (`parseEnvConfig`).
    """
    found = fields(_decode(text))
    if set(found) - {"auths"}:
        raise MalformedError("there is a key other than `auths`")
    if not _fits(found, _ENVIRONMENT):
        raise MalformedError("`auths` is not of the kind that docker wants there")
    return {address: _only_auth(address, one) for address, one in _members(found.get("auths")).items()}


def _only_auth(address: str, value: object) -> Entry:
    if set(fields(value)) - {"auth"}:
        raise MalformedError(f"the entry of {_shown(address)} has a key other than `auth`")
    entry = _entry(address, value)
    if not entry.username:
        raise MalformedError(f"the entry of {_shown(address)} has no `auth`")
    return entry


def hostname(address: str) -> str:
    """Host and port of a key of `auths`, a URL in old docker versions (`ConvertToHostname`)."""
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", address)
    authority = url.group(1).rpartition("@")[2] if url else ""
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]*))?", authority)
    if found is None:
        return address.partition("/")[0]
    host, port = found.group(1) or found.group(2), found.group(3)
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_answer(text: str) -> tuple[str, str]:
    """User name and secret in a credential helper's answer to `get`. Raises MalformedError."""
    value = _decode(text)
    if value is None:
        raise MalformedError("it is empty")
    if not _fits(value, _ANSWER):
        raise MalformedError("it is not an object with `Username` and `Secret`")
    found = fields(value)
    return _text(found.get("username")), _text(found.get("secret"))


def parse_listing(text: str) -> tuple[str, ...]:
    """The servers in a credential helper's answer to `list`. Raises MalformedError."""
    return tuple(_members(_decode(text)))


def parse_headers(text: str) -> Mapping[str, str]:
    """Parse DOCKER_CUSTOM_HEADERS: one CSV record of `name=value` (`withCustomHeadersFromEnv`).

    Raises MalformedError where docker has an error.
    """
    import csv  # only where the variable is set

    try:
        words = next((record for record in csv.reader(text.splitlines(), strict=True) if record), None)
    except csv.Error:
        words = None
    pairs = [one.partition("=") for one in words or ("",)]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise MalformedError("it is not a comma-separated list of name=value")
    return {name.strip(): value for name, _, value in pairs}


def _read(file: Path) -> str:
    return small_file.read(file, LARGEST).decode("utf-8", "replace")


def _decode(text: str) -> object:
    """A JSON value; None for an empty text. Raises MalformedError."""
    if not text.strip():
        return None
    try:
        value: object = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # JSON may hold half a surrogate pair
        return value
    except json.JSONDecodeError as error:
        problem = f"it is not JSON ({error.msg}, line {error.lineno})"
    except RecursionError:
        problem = "its JSON is nested too deep"
    except ValueError:
        problem = "its JSON has a text or a number that cannot be read"
    if text.startswith("\ufeff"):
        problem = "it begins with a byte order mark, which docker does not accept: save it as UTF-8 without one"
    elif "\0" in text:
        problem = "it is UTF-16 or not text, and docker reads UTF-8"
    raise MalformedError(problem)  # outside the handlers: a JSONDecodeError would keep the whole text as context


def _members(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError("it is not a JSON object")
    return value


def _fits(value: object, shape: object) -> bool:
    """Whether `value` has a shape: `str`, a list or object of shapes, or `None` for an unknown field."""
    if value is None or shape is None:
        return True
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            _fits(inner, shape.get("*", shape.get(name.lower()))) for name, inner in value.items()
        )
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(inner, shape[0]) for inner in value)
    return isinstance(value, str)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> Mapping[str, str]:
    return {name: _text(inner) for name, inner in _members(value).items()}


def _entry(address: str, value: object) -> Entry:
    found = _texts(fields(value))
    username, password = found.get("username", ""), found.get("password", "")
    if found.get("auth"):
        pair = _decode_auth(found["auth"])
        if pair is None:
            raise MalformedError(f"the `auth` of {_shown(address)} is not the base64 form of user:password")
        username, password = pair
    return Entry(
        server_address=address,
        username=username,
        password=Secret(password),
        identity_token=Secret(found.get("identitytoken", "")),
        registry_token=Secret(found.get("registrytoken", "")),
    )


def _decode_auth(auth: str) -> tuple[str, str] | None:
    """User name and password of an `auth`; None where docker's `decodeAuth` has an error."""
    auth = auth.translate({10: None, 13: None})
    if not _BASE64.fullmatch(auth):
        return None
    username, colon, password = binascii.a2b_base64(auth).decode("utf-8", "replace").partition(":")
    return (username, password.strip("\0")) if colon and username else None


def _shown(address: str) -> str:
    """A server's name for messages, without the password that a URL may hold."""
    return clean(hostname(address).rpartition("@")[2], limit=100)
