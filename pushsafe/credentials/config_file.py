"""The credentials part of docker's config.json and of DOCKER_AUTH_CONFIG, decoded as docker itself decodes them.

What docker accepts is what Go's `encoding/json` and `encoding/base64` accept (docker/cli
`cli/config/configfile/file.go`, 28.5): field names in any case, the first JSON value of a file and no more, `null`
for anything, and a value of the wrong type anywhere spoils the whole file.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pushsafe.model.credentials import Secret
from pushsafe.runtime.redact import clean

NO_SECRET = Secret("")
LARGEST = 1 << 20
"""Bytes of a config.json that is read at all; docker has no limit, and a parser needs fifty times as many."""
_SPACE = " \t\r\n"
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""What Go's decoder takes, line ends aside: Python's strictest one lets padding pass that nothing needs."""
_TEXT = "text"
_MAP: dict[str, object] = {"*": _TEXT}

# What each field must be; a wrong one is an error to docker even where we have no use for the field.
_ENTRY: dict[str, object] = dict.fromkeys(
    ("username", "password", "auth", "email", "serveraddress", "identitytoken", "registrytoken"), _TEXT
)
_PROXY: dict[str, object] = dict.fromkeys(("httpproxy", "httpsproxy", "noproxy", "ftpproxy", "allproxy"), _TEXT)
_FILE: dict[str, object] = {
    **dict.fromkeys(("psformat", "imagesformat", "networksformat", "pluginsformat", "volumesformat"), _TEXT),
    **dict.fromkeys(("statsformat", "serviceinspectformat", "servicesformat", "tasksformat"), _TEXT),
    **dict.fromkeys(("secretformat", "configformat", "nodesformat", "detachkeys", "credsstore"), _TEXT),
    **dict.fromkeys(("currentcontext", "experimental"), _TEXT),
    **dict.fromkeys(("httpheaders", "credhelpers", "aliases", "features"), _MAP),
    "prunefilters": [_TEXT],
    "clipluginsextradirs": [_TEXT],
    "auths": {"*": _ENTRY},
    "proxies": {"*": _PROXY},
    "plugins": {"*": _MAP},
}
_ANSWER: dict[str, object] = dict.fromkeys(("serverurl", "username", "secret"), _TEXT)
_ENVIRONMENT: dict[str, object] = {"auths": {"*": {"auth": _TEXT}}}


class MalformedError(ValueError):
    """The text cannot be used; the message says why, without quoting more of it than a server's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What docker knows of one server (`types.AuthConfig`); `server_address` is empty if nothing was found."""

    server_address: str = ""
    username: str = ""
    password: Secret = NO_SECRET
    identity_token: Secret = NO_SECRET
    registry_token: Secret = NO_SECRET

    @property
    def has_content(self) -> bool:
        """Whether there is more than an address: `docker login` with a store leaves entries without content."""
        return bool(self.username or self.password or self.identity_token or self.registry_token)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The fields of config.json that we use, most of them for credentials; mappings in the order of the file."""

    auths: Mapping[str, Entry] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    http_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def names_credentials(self) -> bool:
        """If not, docker looks for a native store of its own accord."""
        return bool(self.auths or self.helpers or self.store)

    def entry(self, key: str) -> Entry:
        """The entry of `auths` under `key`, else one whose address has `key` as host, else an empty one.

        docker takes any one of several that fit; we take the first, and rather one with content.
        """
        if key in self.auths:
            return self.auths[key]
        fitting = [entry for address, entry in self.auths.items() if hostname(address) == key]
        return next((entry for entry in fitting if entry.has_content), fitting[0] if fitting else Entry())


def parse_file(text: str) -> DockerConfig:
    """The text of a config.json; an empty one is an empty configuration. Raises MalformedError."""
    value, _ = _decode(text)
    auths: dict[str, Entry] = {}
    helpers: dict[str, str] = {}
    http_headers: dict[str, str] = {}
    store = ""
    for name, inner in _members(value):
        lowered = name.lower()
        if not _fits(inner, _FILE.get(lowered)):
            raise MalformedError(f"the value of {clean(name)!r} is not of the kind that docker wants there")
        match lowered:
            case "auths":
                auths.update((_text(address), _entry(_text(address), one)) for address, one in _members(inner))
            case "credhelpers":
                helpers.update((_text(key), _text(helper)) for key, helper in _members(inner))
            case "httpheaders":
                http_headers.update((_text(header), _text(one)) for header, one in _members(inner))
            case "credsstore" if inner is not None:
                store = _text(inner)
    return DockerConfig(auths, helpers, store, http_headers)


def parse_environment(text: str) -> Mapping[str, Entry]:
    """The value of DOCKER_AUTH_CONFIG: `{"auths": {"host": {"auth": "base64"}}}`, and nothing else in it.

    Raises MalformedError for what docker 28.5 refuses (`parseEnvConfig`).
    """
    value, rest = _decode(text)
    if rest and rest[0] not in "]}":  # so that is what Go's Decoder.More() calls more
        raise MalformedError("there is more than one JSON value")
    entries: dict[str, Entry] = {}
    for name, auths in _members(value):
        if name.lower() != "auths":
            raise MalformedError("there is a key other than `auths`")
        if not _fits(auths, _ENVIRONMENT["auths"]):
            raise MalformedError("`auths` is not of the kind that docker wants there")
        for address, members in _members(auths):
            if any(key.lower() != "auth" for key, _ in _members(members)):
                raise MalformedError(f"the entry of {_shown(address)} has a key other than `auth`")
            entry = _entry(_text(address), members)
            if not entry.username:
                raise MalformedError(f"the entry of {_shown(address)} has no `auth`")
            entries[_text(address)] = entry
    return entries


def hostname(address: str) -> str:
    """Host and port of a key of `auths`, which old docker versions wrote as URLs (`ConvertToHostname`)."""
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
    if not text.strip(_SPACE):
        raise MalformedError("it is empty")
    value, _ = _decode(text)
    if not _fits(value, _ANSWER):
        raise MalformedError("it is not an object with `Username` and `Secret`")
    fields = {name.lower(): _text(inner) for name, inner in _members(value) if inner is not None}
    return fields.get("username", ""), fields.get("secret", "")


def parse_listing(text: str) -> tuple[str, ...]:
    """The servers in a credential helper's answer to `list`. Raises MalformedError."""
    return tuple(_text(address) for address, _ in _members(_decode(text)[0]))


# ------------------------------------------------------------------------- JSON


class _Pairs(list[tuple[str, object]]):
    """A JSON object with the order and the repetitions of its names."""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


# Digits are no concern of ours, and int() refuses very long ones.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=float, parse_float=float, parse_constant=_refuse_constant
)


def parse_headers(text: str) -> Mapping[str, str]:
    """The value of DOCKER_CUSTOM_HEADERS: one CSV record of `name=value` (`withCustomHeadersFromEnv`).

    Raises MalformedError for what docker refuses.
    """
    import csv  # only where the variable is set

    try:
        fields = next((record for record in csv.reader(text.splitlines(), strict=True) if record), None)
    except csv.Error:
        fields = None
    pairs = [one.partition("=") for one in fields or ("",)]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise MalformedError("it is not a comma-separated list of name=value")
    return {name.strip(): _text(value) for name, _, value in pairs}


def _decode(text: str) -> tuple[object, str]:
    """The first JSON value, and what follows it without leading space."""
    start = text.lstrip(_SPACE)
    if not start:
        return None, ""
    problem = ""
    try:
        value, end = _DECODER.raw_decode(start)
    except json.JSONDecodeError as error:
        line = error.lineno + text[: len(text) - len(start)].count("\n")
        problem = f"it is not JSON ({error.msg}, line {line})"
    except RecursionError:
        problem = "its JSON is nested too deep"
    except ValueError:
        problem = "it is not JSON"
    if problem and start.startswith("\ufeff"):
        problem = "it begins with a byte order mark, which docker does not accept: save it as UTF-8 without one"
    elif problem and "\0" in start:
        problem = "it is UTF-16 or not text, and docker reads UTF-8"
    if problem:  # outside of the handler: a JSONDecodeError carries the whole text along as its context
        raise MalformedError(problem)
    return value, start[end:].lstrip(_SPACE)


def _members(value: object) -> Iterator[tuple[str, object]]:
    if value is None:
        return iter(())
    if not isinstance(value, _Pairs):
        raise MalformedError("it is not a JSON object")
    return iter(value)


def _fits(value: object, shape: object) -> bool:
    """Whether Go would decode `value` into a field of this shape; no shape means an unknown field."""
    if value is None or shape is None:
        return True
    if isinstance(shape, dict):
        inner = ((one, shape.get("*") or shape.get(name.lower())) for name, one in _pairs(value))
        return isinstance(value, _Pairs) and all(_fits(one, wanted) for one, wanted in inner)
    if isinstance(shape, list):
        return isinstance(value, list) and not isinstance(value, _Pairs) and all(_fits(one, shape[0]) for one in value)
    return isinstance(value, str)


def _pairs(value: object) -> _Pairs:
    return value if isinstance(value, _Pairs) else _Pairs()


def _text(value: object) -> str:
    """A JSON text; half a surrogate pair becomes the replacement character, as in Go."""
    text = value if isinstance(value, str) else ""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


# ---------------------------------------------------------------------- entries


def _entry(address: str, value: object) -> Entry:
    found = {name.lower(): _text(inner) for name, inner in _members(value) if inner is not None}
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
    """User name and password of an `auth`, or None where docker's `decodeAuth` has an error."""
    auth = auth.translate({10: None, 13: None})
    if not _BASE64.fullmatch(auth):
        return None
    decoded = binascii.a2b_base64(auth)
    # Go replaces each byte that is no UTF-8 by itself; Python would replace several at once.
    text = _text(decoded.decode("utf-8", "surrogateescape"))
    username, colon, password = text.partition(":")
    return (username, password.strip("\0")) if colon and username else None


def _shown(address: str) -> str:
    """A server's name for a message: a URL may hold a password before its host."""
    return clean(hostname(address).rpartition("@")[2], limit=100)
