"""Whatever comes from outside: one line, no escapes, no secrets, not too long."""

from __future__ import annotations

import base64
import html
import json
import re
import time
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from pushsafe.model.credentials import Secret, secrets_of
from pushsafe.runtime import redact
from pushsafe.runtime.redact import LIMIT, clean, forget, remember
from tests.values import broken, logged_in, nobody

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    forget()
    yield
    forget()


def test_one_line_that_a_terminal_shows_as_text() -> None:
    for text, shown in (
        ("", ""),
        ("denied: no", "denied: no"),
        ("  a \t b\r\n c  ", "a b c"),
        ("a\x1b[31mred\x1b[0m", "a [31mred [0m"),
        ("a\x1b]0;title\x07b", "a ]0;title b"),
        ("a\x00b\x7fc\x9bd", "a b c d"),
        ("a\u202eb\u2066c", "abc"),
        ("a\u200bb\ufeffc\xadd", "abcd"),
        ("a\u2028b\u2029c\u00a0d", "a b c d"),
        ("a\ud800b", "ab"),
        ("a\ue000b", "ab"),
        ("größer 日本 🐳", "größer 日本 🐳"),
    ):
        assert clean(text) == shown, text


def test_no_character_of_all_unicode_reaches_a_terminal_as_a_command() -> None:
    everything = "".join(map(chr, range(0x110000)))
    shown = clean(everything, limit=len(everything))
    assert {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} == set()
    assert len(shown) > 100_000


def test_the_length_is_capped() -> None:
    for size in (LIMIT - 1, LIMIT, LIMIT + 1, 100 * LIMIT):
        shown = clean("x" * size)
        assert len(shown) == min(size, LIMIT), size
        assert shown.endswith("…") == (size > LIMIT), size
        assert len(clean("x" * size, limit=10)) == 10, size


def test_what_looks_like_a_credential_is_masked() -> None:
    for echo in (
        "Basic YWRhOmh1bnRlcjIh",
        "basic\tYWRhOmh1bnRlcjIh",
        "Authorization: Bearer abcdefgh12345678",
        f"token={JWT}",
        f'{{"token":"{JWT}"}}',
        f"Bearer {JWT}",
    ):
        shown = clean(f"denied for {echo}, sorry")
        assert "***" in shown, echo
        assert shown.startswith("denied for "), echo
        assert shown.endswith(", sorry"), echo
        assert not any(part in shown for part in ("YWRh", "abcdefgh", "eyJ")), echo


def test_words_are_not_taken_for_credentials() -> None:
    for text in (
        "basic auth is wanted",
        "no basic auth credentials",
        "a bearer token",
        "Bearer realm",
        "eyJ is a start",
    ):
        assert clean(text) == text, text


SECRET = "pa ss/w0rd+ü"
SPELLINGS = (
    SECRET,
    base64.b64encode(f"ada:{SECRET}".encode()).decode(),
    base64.urlsafe_b64encode(f"ada:{SECRET}".encode()).decode(),
    base64.b64encode(SECRET.encode()).decode(),
    base64.b64encode(f"ada:{SECRET}".encode()).decode().rstrip("="),
    "pa%20ss%2Fw0rd%2B%C3%BC",
    "pa+ss%2Fw0rd%2B%C3%BC",
    "pa ss/w0rd+\\u00fc",
)


def test_every_spelling_of_a_secret_is_masked() -> None:
    for spelling in SPELLINGS:
        secrets = secrets_of(logged_in(secret=SECRET))
        assert clean(f"you sent {spelling}!", secrets) == "you sent ***!", spelling


STRONG = 'Pl4nt&ed/Pa%ss"wörd\\<x>'
IN_HEADER = base64.b64encode(f"ada:{STRONG * 4}".encode()).decode().rstrip("=")


def every(text: str, between: str, step: int = 9) -> str:
    return between.join(text[at : at + step] for at in range(0, len(text), step))


def in_json(text: str, *, ascii_only: bool = True) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


SEPARATORS = [
    *("\n", "\r\n", "\r", "\t", "\0", " ", "  \n  ", "\v", "\f", "\x1b[0m", "\x85", "\xa0", "\xad", "\u2028", "\u3000"),
    *("\u200b", "\u200d", "\u2060", "\ufeff", "\u034f", "\u0301", "\ufe0f", "\u115f", "\u3164", "\u2800", "\U000e0041"),
    *(
        "\ud800",
        "\ufffd",
        "\\n",
        "\\r\\n",
        "\\t",
        "\\u200b",
        "\\u0000",
        "\\\\n",
        "&#10;",
        "&nbsp;",
        "%0A",
        "%0d%0a",
        "%250A",
    ),
    *("&#x200b;", "&zwnj;", "-", "_", "|", ", ", "; ", '" + "', "=\n", "<br>", "<br/>\n", "...", "\\x0a", "\\0"),
]


def test_a_secret_with_anything_in_it_is_masked() -> None:
    for step in (1, 9):
        for secret in ("Pl4ntedPass-w0rd", IN_HEADER, JWT[9:]):
            for between in SEPARATORS:
                shown = clean(f"bad {every(secret, between, step)}, sorry", (secret,))
                assert (shown[:7], shown[-5:]) == ("bad ***", "sorry"), between
                assert len(shown) < 20, between


def test_a_secret_in_any_quotation_is_masked() -> None:
    for write in (
        html.escape,
        lambda text: html.escape(html.escape(text)),
        lambda text: "".join(f"&#{ord(one)};" for one in text),
        lambda text: "".join(f"&#x{ord(one):x};" for one in text),
        lambda text: "".join(f"&#X{ord(one):06X}" for one in text),
        quote,
        lambda text: re.sub("%..", lambda escape: escape.group().lower(), quote(text, safe="")),
        lambda text: re.sub("%..", lambda escape: escape.group().lower(), quote_plus(text)),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: quote(quote(text, safe=""), safe=""),
        in_json,
        lambda text: in_json(text, ascii_only=False),
        lambda text: in_json(in_json(text)),
        lambda text: in_json(in_json(text, ascii_only=False), ascii_only=False),
        lambda text: in_json(text).replace("/", "\\/"),
        lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
        lambda text: "".join(f"\\x{ord(one):02x}" for one in text),
        lambda text: "".join(f"\\U{ord(one):08X}" for one in text),
        lambda text: repr(text)[1:-1],
        lambda text: every(in_json(html.escape(text)), "\u200b", 1000),
        lambda text: every(base64.encodebytes(f"ada:{text}".encode()).decode().strip(), "\r", 77),
    ):
        known = secrets_of(logged_in(secret=STRONG))
        assert clean(f"bad <{write(STRONG)}>, sorry", known) == "bad <***>, sorry", write


def test_words_are_not_taken_for_a_short_secret() -> None:
    for secret in ("tin", "here", "count", "an account may"):
        said = "at Internet: th&#101;re is no acc-ount, nor a n\nacc\tount\u200b. m&nbsp;ay"
        shown = clean(said, (secret,))
        assert ("***" in shown) == (secret == "an account may"), secret


def test_a_strewn_secret_across_the_cut_is_not_shown_in_part() -> None:
    """Of so much white space nothing is seen, so the end of what is kept is."""
    for length in (LIMIT * 8 - 7, LIMIT * 8 - 3, LIMIT * 8):
        shown = clean(" " * (length - 11) + every("Pl4ntedPass-w0rd", "\n", 4), ("Pl4ntedPass-w0rd",))
        assert "Pl4nted" not in shown.replace(" ", ""), length


def test_no_text_takes_long() -> None:
    for text in (
        "a" * 200_000,
        "%" * 200_000,
        "&a" * 100_000,
        "\\" * 200_000,
        "<" * 200_000,
        "\x1b[" * 100_000,
        "%25" * 70_000,
    ):
        secrets = tuple(text[:50] + str(number) for number in range(20))
        begin = time.process_time()
        clean(text, secrets)
        assert time.process_time() - begin < 2, text


def test_a_secret_that_invisible_characters_are_strewn_into_is_masked() -> None:
    assert clean("you sent hun\u200bter\x002!", ("hunter2!", "hunter 2!")) == "you sent ***"


def test_a_longer_secret_is_masked_before_its_beginning() -> None:
    assert clean("abcdef abc", ("abc", "abcdef")) == "*** ***"


def test_a_secret_across_the_limit_is_masked_before_the_cut() -> None:
    shown = clean("x" * (LIMIT - 4) + "hunter2!", ("hunter2!",))
    assert "hun" not in shown


def test_a_very_short_secret_does_not_garble_every_message() -> None:
    for secret in ("", "a", "no"):
        assert clean("denied: no account", (secret,)) == "denied: no account", secret


def test_what_is_remembered_is_masked_everywhere() -> None:
    assert clean("it is hunter2!") == "it is hunter2!"
    remember(("hunter2!",))
    assert clean("it is hunter2!") == "it is ***"
    forget()
    assert clean("it is hunter2!") == "it is hunter2!"


def test_who_has_no_credential_has_no_secret() -> None:
    assert secrets_of(None) == secrets_of(nobody()) == secrets_of(broken()) == ()


def test_a_password_beside_a_token_is_a_secret_and_a_name_is_none() -> None:
    beside = (("password", Secret("beside")), ("username", Secret("somebody")))
    found = secrets_of(logged_in()._replace(sent=beside))
    assert clean("hunter2! beside somebody", found) == "*** *** somebody"


def test_a_secret_never_shows_itself() -> None:
    credential = logged_in(secret=SECRET)
    assert SECRET not in f"{credential} {credential!r} {credential.secret} {credential.secret!r}"
    assert credential.secret.reveal() == SECRET


def test_what_is_masked_is_prepared_once_however_many_texts_are_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of many repositories has a token for each, and cleans thousands of texts."""
    lines: list[str] = []
    one_line = redact._one_line

    def counted(text: str) -> str:
        lines.append(text)
        return one_line(text)

    tokens = [f"token-{number}" for number in range(100)]
    monkeypatch.setattr(redact, "_one_line", counted)
    redact.remember(tokens)
    assert len(lines) == len(tokens)
    redact.remember(tokens[:50])
    assert [redact.clean(f"said {token}") for token in tokens] == ["said ***"] * len(tokens)
    assert len(lines) == 2 * len(tokens)
