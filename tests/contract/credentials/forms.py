"""Every form in which a login stands in a config.json, and what docker makes of it: more rows for the same tables."""

from __future__ import annotations

import json

from pushsafe.model.credentials import SourceKind
from tests.contract.credentials.cases import AUTH, HUB, HUB_KEY, REGISTRY, SENT, Case, b64

_FILE, _NONE, _BROKEN = SourceKind.FILE, SourceKind.NONE, SourceKind.BROKEN
_NOBODY = {"serveraddress": REGISTRY}
_HERE = json.dumps({"auths": {REGISTRY: AUTH}})
_NO_TEXT: tuple[object, ...] = ([], 5, True)
_ODD = b64(b"user:\xff\xfe\xfb??>>")


def _entry(name: str, entry: object, sent: dict[str, str] | None, source: SourceKind) -> Case:
    return Case(f"entry: {name}", {"auths": {REGISTRY: entry}}, sent, source, docker_pushes=sent is None)


def _auth(name: str, auth: object, password: str | None = None) -> Case:
    """An `auth` of the user `user`, or, without a password, one that spoils the file."""
    sent = None if password is None else {**SENT, "password": password}
    return _entry(name, {"auth": auth}, sent, _BROKEN if sent is None else _FILE)


def _file(name: str, config: object, *, read: bool) -> Case:
    sent, source = (SENT, _FILE) if read else (None, _BROKEN)
    return Case(f"file: {name}", config, sent, source, docker_pushes=not read)


_SAME = (
    *(f"http://{REGISTRY}", f"https://{REGISTRY}/", f"https://{REGISTRY}/v1", f"https://{REGISTRY}/v2/"),
    *(f"https://{REGISTRY}//v1//", f"https://{REGISTRY}/acme/app", f"https://{REGISTRY}#x", f"https://{REGISTRY}?x"),
    *(f"{REGISTRY}/", f"{REGISTRY}/v1/", f"hTTps://{REGISTRY}/", f"ftp://{REGISTRY}"),
)
_OTHER = (
    *("", "/", "*", f"//{REGISTRY}", f"https:/{REGISTRY}", f"https//{REGISTRY}", f"https:// {REGISTRY}"),
    *(f"https://https://{REGISTRY}", f"{REGISTRY}?x=1", f" {REGISTRY}", f"{REGISTRY} ", f"user:pw@{REGISTRY}"),
    *(f"{REGISTRY}:9", "127.0.0.1:09", "127.0.0.*:9"),
)
_NOT_HUB = (
    *(HUB_KEY.removesuffix("/"), f"{HUB_KEY}/", HUB_KEY.upper(), HUB_KEY.replace("https", "http")),
    *(HUB_KEY.replace("v1", "v2"), "index.docker.io/v1/", "https://docker.io/v1/", "registry-1.docker.io"),
    *("https://registry-1.docker.io/v2/", "hub.docker.com"),
)

KEYS = (
    *(Case(f"key {key!r}", {"auths": {key: AUTH}}, {**SENT, "serveraddress": key}, _FILE) for key in _SAME),
    *(Case(f"key {key!r} is of none", {"auths": {key: AUTH}}, {}, _NONE) for key in _OTHER),
    *(Case(f"key {key!r} is not Docker Hub's", {"auths": {key: AUTH}}, {}, _NONE, HUB) for key in _NOT_HUB),
)

ENTRIES = (
    _entry("auth null", {"auth": None}, _NOBODY, _NONE),
    _entry("auth empty", {"auth": ""}, _NOBODY, _NONE),
    _entry("auth null beside a password", {"auth": None, "username": "user", "password": "by-file"}, SENT, _FILE),
    _entry("a user and no password", {"username": "user"}, {**_NOBODY, "username": "user"}, _FILE),
    _entry("a password and no user", {"password": "by-file"}, {**_NOBODY, "password": "by-file"}, _FILE),
    _entry("identitytoken null", {**AUTH, "identitytoken": None}, SENT, _FILE),
    _entry("identitytoken empty", {**AUTH, "identitytoken": ""}, SENT, _FILE),
    *(_entry(f"it is {one!r}", one, None, _BROKEN) for one in ("x", *_NO_TEXT)),
    *(_entry(f"auth is {one!r}", {"auth": one}, None, _BROKEN) for one in _NO_TEXT),
    *(_entry(f"identitytoken is {one!r}", {**AUTH, "identitytoken": one}, None, _BROKEN) for one in _NO_TEXT),
)

PASSWORDS = (
    _auth("every character of base64", _ODD, "\ufffd\ufffd\ufffd??>>"),
    _auth("an alphabet for addresses", _ODD.replace("+", "-").replace("/", "_")),
    _auth("a line end behind it", f"{AUTH['auth']}\n", "by-file"),
    _auth("a space before it", f" {AUTH['auth']}"),
    _auth("a space behind it", f"{AUTH['auth']} "),
    _auth("a tab in it", f"{AUTH['auth'][:4]}\t{AUTH['auth'][4:]}"),
    _auth("more padding than it needs", f"{AUTH['auth']}="),
    _auth("a whole group of padding", f"{AUTH['auth']}===="),
    _auth("bits to spare", "dXNlcjpwdx==", "pw"),
    _auth("encoded twice", b64(AUTH["auth"])),
    _auth("a header's value", f"Basic {AUTH['auth']}"),
    _auth("not encoded", "user:by-file"),
    _auth("nothing but a colon", b64(":")),
    _auth("umlauts", b64("user:p\u00e4ss"), "p\u00e4ss"),
    _auth("umlauts of Latin-1", b64("user:p\u00e4ss".encode("latin-1")), "p\ufffdss"),
    _auth("a line end in the password", b64("user:by-file\n"), "by-file\n"),
    _auth("3 kB", b64("user:" + "x" * 3000), "x" * 3000),
    _auth("nothing but NUL", b64(b"user:\0"), ""),
)

_WRONG: tuple[tuple[str, object], ...] = (
    *(("credsStore", []), ("credsStore", 5), ("credHelpers", "x"), ("credHelpers", []), ("credHelpers", {REGISTRY: 5})),
    *(("HttpHeaders", {"a": 1}), ("proxies", {"default": {"httpProxy": 1}}), ("experimental", True)),
)

FILES = (
    Case("file: an empty object", {}, {}, _NONE),
    Case("file: auths null", {"auths": None}, {}, _NONE),
    Case("file: no auths, as long ago", {REGISTRY: AUTH}, {}, _NONE),
    _file("lines that end as on Windows", json.dumps(json.loads(_HERE), indent=1).replace("\n", "\r\n"), read=True),
    _file("Latin-1", f'{{"x": "\u00e4", {_HERE[1:]}'.encode("latin-1"), read=True),
    _file("numbers too large", f'{{"x": 1e999, {_HERE[1:]}', read=True),
    _file("an empty store", {"credsStore": "", **json.loads(_HERE)}, read=True),
    _file("a field of another name", {"creds_store": "absent", **json.loads(_HERE)}, read=True),
    _file("a byte order mark", f"\ufeff{_HERE}", read=False),
    _file("UTF-16", _HERE.encode("utf-16"), read=False),
    _file("UTF-16 without a mark", _HERE.encode("utf-16-le"), read=False),
    _file("NUL only", "\0" * 20, read=False),
    _file("a comment before it", f"// x\n{_HERE}", read=False),
    _file("a comment in it", f"{_HERE[:-1]} /* x */}}", read=False),
    _file("a comma too many", f"{_HERE[:-1]},}}", read=False),
    _file("single quotes", "{'auths': {}}", read=False),
    _file("a tab in a text", f'{{"x": "a\tb", {_HERE[1:]}', read=False),
    *(_file(f"it is {one!r}", json.dumps(one), read=False) for one in ("x", 5, True)),
    *(_file(f"auths is {one!r}", {"auths": one}, read=False) for one in ("x", 5, True)),
    *(_file(f"{field} is {one!r}", {field: one, **json.loads(_HERE)}, read=False) for field, one in _WRONG),
)

FORM_GROUPS = {"keys": KEYS, "entries": ENTRIES, "passwords": PASSWORDS, "files": FILES}
FORMS = (*KEYS, *ENTRIES, *PASSWORDS, *FILES)
