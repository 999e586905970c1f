"""Colours, and numbers as a person reads them."""

from __future__ import annotations

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"


class Ink:
    """Colours a text, or leaves it as it is."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._color and codes else text


def size(count: int) -> str:
    """Bytes as docker writes them: decimal units, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.4g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1000
    raise AssertionError("unreachable")


def layers_line(reused: int, mounted: int, sent: int, bytes_sent: int, *, least: bool = False) -> str:
    """Layers by what became of them; with `least` more bytes were sent than are known of."""
    parts = [
        f"{number} {what}" for number, what in ((reused, "reused"), (mounted, "mounted"), (sent, "sent")) if number
    ]
    total = reused + mounted + sent
    how_much = f" ({'at least ' if least else ''}{size(bytes_sent)})" if bytes_sent else ""
    return f"{total} layer{'' if total == 1 else 's'}: {', '.join(parts) or 'none'}{how_much}"
