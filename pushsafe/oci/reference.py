"""References: docker's grammar and normalization, every reason why a text is invalid, and a suggested repair."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple


class Implied(Enum):
    """A part that the user did not write and docker's normalization added."""

    REGISTRY = "registry"
    NAMESPACE = "namespace"
    TAG = "tag"


class Reference(NamedTuple):
    """One tag in one repository of one registry, after docker's normalization.

    `given` is what the user typed, for messages. `registry` is the domain as docker names it (`docker.io`,
    `localhost:5000`), `repository` the path below it (`library/alpine`).
    """

    given: str
    registry: str
    repository: str
    tag: str
    implied: frozenset[Implied] = frozenset()

    @property
    def name(self) -> str:
        """Registry and repository without the tag, e.g. `docker.io/library/alpine`."""
        return f"{self.registry}/{self.repository}"

    @property
    def tag_suffix(self) -> str:
        """`:TAG`; empty for the repository of `--all-tags`."""
        return f":{self.tag}" if self.tag else ""

    def __str__(self) -> str:
        return f"{self.name}{self.tag_suffix}"


class BadReference(NamedTuple):
    """A text that docker's grammar rejects: every reason, and the probable intention, if there is one."""

    given: str
    reasons: tuple[str, ...]
    repair: str = ""


DEFAULT_REGISTRY, HUB_SERVER, HUB_INDEX = "docker.io", "registry-1.docker.io", "index.docker.io"
"""Docker Hub, its API host, and its old name, which docker still accepts and stores the login under."""
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
MAX_TAG = 128
MAX_PATH = 255

_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN_NAME = rf"{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*"
_IPV6 = r"\[[a-fA-F0-9:]+\]"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_NAME}|{_IPV6})(?::[0-9]+)?", re.ASCII)
_PATH_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,{MAX_TAG - 1}}}", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")

_SEPARATOR = re.compile(r"[\s,;]+")
# placeholders that a shell or template should have replaced: `$ORG`, `${VERSION}`, `{{ tag }}`, `<none>`, `%VERSION%`
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_PLACEHOLDER = re.compile(r"\$\w+|\$?\{+[^}]*\}+|<[^>]*>|%\w+%")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_DIGEST = re.compile(r"@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:.*\Z")
# before an @; it may contain a slash only after a colon that starts no port: `user:pass/word@host`
_USERINFO = re.compile(r"(?:[^/:@]+:(?![0-9]+/).*|[^/]*)@")


def parse(text: str) -> Reference | BadReference:
    """Parse one reference as `docker push` does; the tag defaults to `latest`."""
    return _several(text, with_tag=True) or _Reading(text).result(with_tag=True)


def parse_repository(text: str) -> Reference | BadReference:
    """Parse the argument of `--all-tags`: a repository without a tag; the result's `tag` is empty."""
    return _several(text, with_tag=False) or _Reading(text).result(with_tag=False)


def _several(text: str, *, with_tag: bool) -> BadReference | None:
    """Several references in one word: a quoted list, or one separated by commas."""
    parts = [part for part in _SEPARATOR.split(text) if part]
    if len(parts) < 2 or not all("/" in part for part in parts):
        return None
    if any(isinstance(_Reading(part).result(with_tag=with_tag), BadReference) for part in parts):
        return None
    shown = " ".join(parts)
    return BadReference(shown, (f"it holds {len(parts)} references; each is an argument of its own",), shown)


_QUOTED = 5
"""The most path components named in a message."""


class _Reading:
    """One pass over a text that strips what is wrong, collects the reasons, and ends with the parts."""

    def __init__(self, text: str) -> None:
        self.text = self.given = text
        self.reasons: list[str] = []
        self.repairable = True

    def result(self, *, with_tag: bool) -> Reference | BadReference:
        rest = self._strip_foreign(self.text)
        name, tag = self._split_tag(rest, with_tag=with_tag)
        registry, path, implied = _normalise(name)
        fixed_registry = self._check_registry(registry)
        fixed_path = self._check_path(path, is_identifier=tag is None and bool(_IDENTIFIER.fullmatch(name)))
        if tag is None:
            tag = DEFAULT_TAG if with_tag else ""
            implied |= {Implied.TAG} if with_tag else set()
        if not self.reasons:
            return Reference(self.given, registry, path, tag, frozenset(implied))
        repair = self._repair(fixed_registry, fixed_path, tag, implied) if self.repairable else ""
        if repair and isinstance(_Reading(repair).result(with_tag=with_tag), BadReference):
            repair = ""
        return BadReference(self.given, tuple(self.reasons), repair)

    def _strip_foreign(self, text: str) -> str:
        """Remove scheme, credentials, digest, white space and stray slashes, with a reason for each."""
        if not text.strip():
            self.repairable = False
            self.reasons.append("it is empty")
            return "x"
        if any(not character.isprintable() or character.isspace() for character in text):
            self.given = "".join(c if c.isprintable() else "?" for c in text)
            self.reasons.append("it contains white space or control characters")
            text = "".join(c for c in text if c.isprintable() and not c.isspace())
        if (bare := text.strip(_QUOTES)) != text:
            self.reasons.append("it stands in quotes")
            text = bare
        if placeholder := _PLACEHOLDER.search(text):
            self.reasons.append(f"{_short(placeholder.group())} stands where a value should")
            self.repairable = False
        if scheme := _SCHEME.match(text):
            self.reasons.append(
                f"it starts with a URL scheme ({_short(scheme.group())}), which a reference does not have"
            )
            text = text[scheme.end() :]
        text = self._strip_digest_and_userinfo(text)
        if text.startswith("/"):
            self.reasons.append("it starts with a slash")
            text = text.lstrip("/")
        if text.endswith("/"):
            self.reasons.append("it ends with a slash")
            text = text.rstrip("/")
        if "//" in text:
            self.reasons.append("it contains an empty path component (//)")
            text = re.sub("/+", "/", text)
        if not text:
            self.repairable = False
        return text or "x"

    def _strip_digest_and_userinfo(self, text: str) -> str:
        if digest := _DIGEST.search(text.rpartition("/")[2]):
            self.reasons.append("it names a digest: content decides a digest, so only a tag can be pushed to")
            text = text[: len(text) - len(digest.group())]
        if userinfo := _USERINFO.match(text):
            # the text may hold a password: it is not shown from here on
            self.reasons.append("it contains a user name or password; credentials are stored by docker login")
            text = text[userinfo.end() :]
            self.given = f"***@{text}"
        elif "@" in text:
            self.reasons.append("it contains an @ that is not followed by a digest")
            self.repairable = False
        return text

    def _split_tag(self, text: str, *, with_tag: bool) -> tuple[str, str | None]:
        """The tag follows a colon after the last slash; a colon before that starts a port."""
        directory, slash, last = text.rpartition("/")
        base, colon, tag = last.partition(":")
        if not colon:
            # a branch name as tag: the colon in `host/name:feature/x` starts no port
            first, between, rest = text.partition("/")
            base, colon, tag = rest.partition(":")
            if not colon:
                return text, None
            directory, slash = first, between
        name = f"{directory}{slash}{base}"
        if not base:
            self.reasons.append("there is no repository name before the tag")
            self.repairable = False
            return name + "x", tag
        if not with_tag:
            self.reasons.append(f"it has a tag ({_short(tag)}), and --all-tags takes a repository without one")
            return name, None
        return name, self._check_tag(tag)

    def _check_tag(self, tag: str) -> str | None:
        if not tag:
            self.reasons.append("the tag after the colon is empty")
            return None
        if len(tag) > MAX_TAG:
            self.reasons.append(f"the tag has {len(tag)} characters, and {MAX_TAG} is the limit")
        fixed = tag[:MAX_TAG]
        if not _TAG.fullmatch(fixed):
            bad = "".join(sorted({c for c in fixed if not re.fullmatch(r"[a-zA-Z0-9_.-]", c)}))
            why = f"contains {bad!r}" if bad else f"starts with {fixed[0]!r}"
            self.reasons.append(f"the tag {why}: letters, digits, _ . - are allowed, and it starts with none of . -")
            fixed = re.sub(r"[^a-zA-Z0-9_.-]", "-", fixed).lstrip(".-")
            self.repairable &= bool(fixed)
        return fixed

    def _check_registry(self, registry: str) -> str:
        if _DOMAIN.fullmatch(registry):
            return registry
        host, colon, port = registry.rpartition(":")
        if colon and not registry.endswith("]") and not port.isdigit():
            what = f"has {_short(port)!r} for a port" if port else "has an empty port"
            self.reasons.append(f"the registry {_short(registry)!r} {what}")
            if _DOMAIN.fullmatch(host):
                return host
        else:
            # docker takes such a name for a path without a registry. Engine 28.5, classic store: it then asks
            # `https:/v2/`, and fails because that has no host.
            named = "_" in registry and not colon and _PATH_COMPONENT.fullmatch(registry)
            taken = (
                ": docker accepts the underscore, but its classic image store finds no host in that name"
                if named
                else ""
            )
            self.reasons.append(f"the registry {_short(registry)!r} is not a valid host name{taken}")
        self.repairable = False
        return registry

    def _check_path(self, path: str, *, is_identifier: bool) -> str:
        if len(path) > MAX_PATH:
            self.reasons.append(f"the repository has {len(path)} characters, and {MAX_PATH} is the limit")
            self.repairable = False
        if is_identifier:
            self.reasons.append("64 hexadecimal digits name an image by its id, not a repository")
            self.repairable = False
        if path != path.lower():
            self.reasons.append("the repository contains capitals, and must be lower case")
        fixed = path.lower()
        components = fixed.split("/")
        bad = [component for component in components if not _PATH_COMPONENT.fullmatch(component)]
        if bad:
            quoted = ", ".join(repr(_short(component)) for component in bad[:_QUOTED])
            self.reasons.append(
                f"the path component {quoted} is not valid: lower-case letters and digits, "
                "with single . or _, __ or dashes between them"
            )
            fixed = "/".join(_mend_component(component) for component in components)
            self.repairable &= all(fixed.split("/"))
        return fixed

    def _repair(self, registry: str, path: str, tag: str, implied: set[Implied]) -> str:
        """The repaired reference, as short as the user wrote it."""
        if Implied.NAMESPACE in implied:
            path = path.removeprefix(f"{DEFAULT_NAMESPACE}/")
        name = path if Implied.REGISTRY in implied else f"{registry}/{path}"
        return f"{name}:{tag}" if tag and Implied.TAG not in implied else name


def _normalise(name: str) -> tuple[str, str, set[Implied]]:
    """Split a name into registry and path as docker's `splitDockerDomain` does, recording what is implied."""
    first, slash, rest = name.partition("/")
    host_like = slash and (first == "localhost" or any(c in first for c in ".:") or first != first.lower())
    if not host_like:
        implied = {Implied.REGISTRY}
        if slash:
            return DEFAULT_REGISTRY, name, implied
        return DEFAULT_REGISTRY, f"{DEFAULT_NAMESPACE}/{name}", implied | {Implied.NAMESPACE}
    registry = DEFAULT_REGISTRY if first == HUB_INDEX else first
    if registry == DEFAULT_REGISTRY and "/" not in rest:
        return registry, f"{DEFAULT_NAMESPACE}/{rest}", {Implied.NAMESPACE}
    return registry, rest, set()


def _short(text: str) -> str:
    """A text to quote, truncated if it is too long for any reference."""
    return text if len(text) <= MAX_PATH else f"{text[:MAX_PATH]}…"


def _mend_component(component: str) -> str:
    """The nearest valid path component: dashes for invalid characters, no loose separators."""
    dashed = re.sub(r"[^a-z0-9._-]+", "-", component)
    single = re.sub(r"[._-]*([._-])[._-]*", r"\1", dashed)
    return single.strip("._-")


def hostname(registry: str) -> str:
    """A registry's host without the port."""
    host, colon, port = registry.rpartition(":")
    return host if colon and port.isdigit() else registry


def server_of(registry: str) -> str:
    """The host to contact for a registry: its own, except for Docker Hub."""
    return HUB_SERVER if registry == DEFAULT_REGISTRY else registry
