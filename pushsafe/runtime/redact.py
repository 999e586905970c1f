"""Text from servers and engines made fit to show: capped, without control characters, without secrets.

A secret comes back in any form: quoted for a URL, for HTML or JSON (or for two of them), wrapped, or with characters in
it that nobody sees. So a text is compared three times: as it is, as it will be seen, and without all of that.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

LIMIT = 500

# Whatever a server echoes of an Authorization header or a token is masked, even if we never knew its value.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# `eyJ` is base64 of `{"`: a JWT, or an X-Registry-Auth header.
_JWT = re.compile(r"\beyJ(?:[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_+/-]{20,}={0,2})")
# Masking one or two characters wherever they occur would garble every message, and so tell the secret.
_SHORTEST_SECRET = 3
# Shorter ones are found by chance where white space is left out ("not in" holds "tin"), or all but letters and digits.
_SHORTEST_STREWN = 6
_SHORTEST_PUNCTUATED = 12

# What URLs, HTML, JSON and programs' own quotations write for a character; a UTF-8 sequence in a URL is one of them.
_ESCAPE = re.compile(
    r"(?P<percent>%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])+)"
    r"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?)"
    r"|(?P<utf16>\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})"
    r"|\\(?:x(?P<byte>[0-9A-Fa-f]{2})|U(?P<code>000[0-9A-Fa-f]{5}|0010[0-9A-Fa-f]{4}))"
    r"|\\(?P<control>[abefnrtv0])|\\(?P<itself>[\"'\\/])"
)
_ROUNDS = 3
"""How often a text is read so: JSON in JSON, or a query in a URL that is quoted itself."""
# White space, controls and what a terminal does at them, and all that Unicode has to be unseen or to stand on another.
_UNSEEN = re.compile(
    "(?:\x1b\\[[0-?]*[ -/]*[@-~]|[\x00-\x20\x7f-\xa0\xad\u0300-\u036f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u1680"
    "\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u2000-\u200f\u2028-\u202f\u205f-\u206f\u20d0-\u20ff\u2800\u3000"
    "\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff])+"
)
_PUNCTUATION = re.compile(r"(?:<[^<>]{1,64}>|[\W_])+")


class _Secrets(NamedTuple):
    """What is masked, the longest first. Made once, as every text needs it.

    As it is; as it looks on one line; without what is quoted or unseen; and of that the letters and digits alone.
    """

    as_they_are: tuple[str, ...] = ()
    on_one_line: tuple[str, ...] = ()
    strewn: tuple[str, ...] = ()
    punctuated: tuple[str, ...] = ()

    def with_more(self, secrets: Iterable[str]) -> _Secrets:
        new = {one for one in secrets if len(one) >= _SHORTEST_SECRET}.difference(self.as_they_are)
        if not new:
            return self
        bare = [_bare(_View.of(one)) for one in new]
        return _Secrets(
            _longest_first((*self.as_they_are, *new)),
            _longest_first((*self.on_one_line, *map(_one_line, new))),
            _longest_first((*self.strewn, *(one.text for one in bare)), _SHORTEST_STREWN),
            _longest_first((*self.punctuated, *(_without_punctuation(one).text for one in bare)), _SHORTEST_PUNCTUATED),
        )


class _View(NamedTuple):
    """A text in another form; each of its characters comes `start` to `end` from where the text began."""

    text: str
    start: Sequence[int]
    end: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _View:
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def replaced(self, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str]) -> _View:
        """The same with every match replaced."""
        parts: list[str] = []
        start: list[int] = []
        end: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            begin, stop = match.span()
            made = new(match)
            parts += (self.text[done:begin], made)
            start += (*self.start[done:begin], *(self.start[begin],) * len(made))
            end += (*self.end[done:begin], *(self.end[stop - 1],) * len(made))
            done = stop
        if not parts:
            return self
        return _View("".join((*parts, self.text[done:])), (*start, *self.start[done:]), (*end, *self.end[done:]))

    def places(self, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Where in the text each of these is."""
        for secret in secrets:
            at = self.text.find(secret)
            while at >= 0:
                yield self.start[at], self.end[at + len(secret) - 1]
                at = self.text.find(secret, at + len(secret))


_remembered = _Secrets()
_lock = threading.Lock()


def remember(secrets: Iterable[str]) -> None:
    """From now on `clean` masks these in whatever text, wherever in this program it comes from."""
    global _remembered
    with _lock:
        _remembered = _remembered.with_more(secrets)


def forget() -> None:
    """Forget what was remembered: for tests, which are many runs in one process."""
    global _remembered
    with _lock:
        _remembered = _Secrets()


def clean(text: str, secrets: Iterable[str] = (), limit: int = LIMIT) -> str:
    """One line of at most `limit` characters that a terminal shows as text.

    Control, format (bidirectional overrides, zero-width) and surrogate characters become spaces or go; each of
    `secrets`, of those remembered, and anything that looks like a bearer token becomes `***`. A secret of fewer than
    3 characters is not masked by itself, only in its encodings.
    """
    if not text:
        return ""
    known = _remembered.with_more(secrets)
    line = _masked(_one_line(_hidden(text, known, limit * 8)), known.on_one_line)
    line = _JWT.sub("***", _AUTHORIZATION.sub(r"\1 ***", line))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean_line(text: str, limit: int = LIMIT * 8) -> str:
    """A line of a program's own output with its indentation, made fit to show as `clean` does."""
    known = _remembered
    line = _masked(_fitting(_hidden(text, known, limit * 8)), known.on_one_line).rstrip()
    line = _JWT.sub("***", _AUTHORIZATION.sub(r"\1 ***", line))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def seen(text: str) -> str:
    """One line of what a text shows, for whoever looks for patterns in it: with all its secrets, and of any length."""
    return _one_line(text)


def _longest_first(secrets: Iterable[str], shortest: int = _SHORTEST_SECRET) -> tuple[str, ...]:
    """So that none is masked in part only, because another is its beginning."""
    return tuple(sorted({one for one in secrets if len(one) >= shortest}, key=len, reverse=True))


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _hidden(text: str, known: _Secrets, most: int) -> str:
    """At most so many characters of a text, its secrets masked, however they are written and whatever is in them."""
    text = _masked(text, known.as_they_are)
    is_cut = len(text) > most
    text = text[:most]
    if not (known.strewn and (is_cut or _holds_any(text, known))):
        return text
    bare = _bare(_View.of(text))
    places = [*bare.places(known.strewn), *_without_punctuation(bare).places(known.punctuated)]
    if is_cut:
        places += ((bare.start[at], most) for at in _cut_off(bare.text, known.strewn))
    parts, done = [], 0
    for start, end in sorted(places):
        if end <= done:
            continue
        parts += [text[done:start], "***"] if start >= done else []
        done = end
    return "".join((*parts, text[done:]))


def _holds_any(text: str, known: _Secrets) -> bool:
    """Whether there is a secret in it at all, which costs less than to know where: most texts hold none."""
    for _ in range(_ROUNDS):
        text = _ESCAPE.sub(_unescaped, text)
    text = _UNSEEN.sub("", text)
    letters = _PUNCTUATION.sub("", text)
    return any(one in text for one in known.strewn) or any(one in letters for one in known.punctuated)


def _cut_off(text: str, secrets: Iterable[str]) -> Iterator[int]:
    """Where a text ends in the beginning of one of these."""
    for secret in secrets:
        at = text.find(secret[:_SHORTEST_STREWN], max(0, len(text) - len(secret)))
        while at >= 0:
            if secret.startswith(text[at:]):
                yield at
                break
            at = text.find(secret[:_SHORTEST_STREWN], at + 1)


def _bare(view: _View) -> _View:
    """Without what is unseen, and with each character for what it is quoted as."""
    for _ in range(_ROUNDS):
        before = view
        view = view.replaced(_ESCAPE, _unescaped)
        if view is before:
            break
    return view.replaced(_UNSEEN, lambda _: "")


def _without_punctuation(view: _View) -> _View:
    return view.replaced(_PUNCTUATION, lambda _: "")


def _unescaped(match: re.Match[str]) -> str:
    found = match.group()
    match match.lastgroup:
        case "percent":
            return bytes.fromhex(found.replace("%", "")).decode("utf-8", "replace")
        case "html":
            from html import unescape  # a table of 2,000 names

            return unescape(found)
        case "utf16":
            return bytes.fromhex(found.replace("\\u", "")).decode("utf-16-be", "replace")
        case "byte" | "code":
            return chr(int(found[2:], 16))
        case "control":
            return " "
        case _:
            return found[1:]


def _one_line(text: str) -> str:
    return " ".join(_fitting(text).split())


def _fitting(text: str) -> str:
    return text if text.isprintable() else "".join(map(_fit, text))


def _fit(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc" or category.startswith("Z"):
        return " "
    return "" if category in ("Cf", "Cs", "Co", "Cn") else character
