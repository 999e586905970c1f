"""Cleans text from servers and engines for display: length, control characters, secrets.

A secret may be quoted for a URL, for HTML or JSON (or twice), wrapped, or mixed with invisible characters. So a text is
compared in three forms: as it is, as it will be shown, and without all of that.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

LIMIT = 500

# An echoed Authorization header or token is masked even if its value is unknown.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# `eyJ` is base64 of `{"`: a JWT, or an X-Registry-Auth header.
_JWT = re.compile(r"\beyJ(?:[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_+/-]{20,}={0,2})")
# Masking one or two characters everywhere would garble every message, and so reveal the secret.
_SHORTEST_SECRET = 3
# Shorter ones occur by chance without white space ("not in" holds "tin"), or without punctuation.
_SHORTEST_STREWN = 6
_SHORTEST_PUNCTUATED = 12

# Escaped characters in URLs (a UTF-8 sequence counts as one), HTML, JSON and programs' quotations.
_ESCAPE = re.compile(
    r"(?P<percent>%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])+)"
    r"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?)"
    r"|(?P<utf16>\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})"
    r"|\\(?:x(?P<byte>[0-9A-Fa-f]{2})|U(?P<code>000[0-9A-Fa-f]{5}|0010[0-9A-Fa-f]{4}))"
    r"|\\(?P<control>[abefnrtv0])|\\(?P<itself>[\"'\\/])"
)
_ROUNDS = 3
"""Rounds of unescaping: JSON in JSON, or a query in a quoted URL."""
# White space, control characters and sequences, and Unicode's invisible and combining characters.
_UNSEEN = re.compile(
    "(?:\x1b\\[[0-?]*[ -/]*[@-~]|[\x00-\x20\x7f-\xa0\xad\u0300-\u036f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u1680"
    "\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u2000-\u200f\u2028-\u202f\u205f-\u206f\u20d0-\u20ff\u2800\u3000"
    "\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff])+"
)
_PUNCTUATION = re.compile(r"(?:<[^<>]{1,64}>|[\W_])+")


class _Secrets(NamedTuple):
    """The secrets to mask, the longest first, in forms prepared once for all texts.

    The forms: unchanged; on one line; unescaped and without invisible characters; of that, letters and digits only.
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
    """A text in another form; each character comes from `start` to `end` of the original."""

    text: str
    start: Sequence[int]
    end: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _View:
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def replaced(self, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str]) -> _View:
        """The view with every match replaced."""
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
        """The places of secrets in the original text."""
        for secret in secrets:
            at = self.text.find(secret)
            while at >= 0:
                yield self.start[at], self.end[at + len(secret) - 1]
                at = self.text.find(secret, at + len(secret))


_remembered = _Secrets()
_lock = threading.Lock()


def remember(secrets: Iterable[str]) -> None:
    """Mask these secrets in every text from now on."""
    global _remembered
    with _lock:
        _remembered = _remembered.with_more(secrets)


def forget() -> None:
    """Forget all secrets: for tests, which make many runs in one process."""
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
    """The secrets sorted so that one is masked before another that is its beginning."""
    return tuple(sorted({one for one in secrets if len(one) >= shortest}, key=len, reverse=True))


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _hidden(text: str, known: _Secrets, most: int) -> str:
    """The first `most` characters of a text, with secrets masked in every form."""
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
    """Whether a text holds a secret; cheaper than to find its place, and most texts hold none."""
    for _ in range(_ROUNDS):
        text = _ESCAPE.sub(_unescaped, text)
    text = _UNSEEN.sub("", text)
    letters = _PUNCTUATION.sub("", text)
    return any(one in text for one in known.strewn) or any(one in letters for one in known.punctuated)


def _cut_off(text: str, secrets: Iterable[str]) -> Iterator[int]:
    """Where the text ends with the beginning of a secret."""
    for secret in secrets:
        at = text.find(secret[:_SHORTEST_STREWN], max(0, len(text) - len(secret)))
        while at >= 0:
            if secret.startswith(text[at:]):
                yield at
                break
            at = text.find(secret[:_SHORTEST_STREWN], at + 1)


def _bare(view: _View) -> _View:
    """The view unescaped and without invisible characters."""
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
