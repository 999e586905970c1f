"""Colors, and words and numbers for people."""

from __future__ import annotations

from pushsafe.model.outcomes import Layers

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"


class Ink:
    """Colors a text, or leaves it as it is."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._color and codes else text


def plain(text: str) -> str:
    """A text without control characters, on one line."""
    return "".join(character if character.isprintable() else " " for character in text)


def many(number: int, what: str) -> str:
    """The noun, in the plural unless the count is one."""
    return what if number == 1 else f"{what}s"


def size(count: int) -> str:
    """Bytes as docker formats them: decimal units, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.4g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1000
    raise AssertionError("unreachable")


def layers_line(layers: Layers) -> str:
    """Layers by outcome, and the bytes sent, as far as known."""
    if not layers.reported:
        return "layers: not reported by the engine"
    counted = ((layers.reused, "reused"), (layers.mounted, "mounted"), (layers.sent, "sent"))
    parts = [f"{number} {what}" for number, what in counted if number]
    total = layers.reused + layers.mounted + layers.sent
    least = "at least " if layers.unsized else ""
    sent = f" ({least}{size(layers.bytes_sent)})" if layers.bytes_sent else ""
    return f"{total} {many(total, 'layer')}: {', '.join(parts) or 'none'}{sent}"
