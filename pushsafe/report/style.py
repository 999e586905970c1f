"""Colours, and words and numbers as a person reads them."""

from __future__ import annotations

from pushsafe.model.outcomes import Layers

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"


class Ink:
    """Colours a text, or leaves it as it is."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._color and codes else text


def plain(text: str) -> str:
    """A text that no terminal takes for an order, and that stays on its line."""
    return "".join(character if character.isprintable() else " " for character in text)


def many(number: int, what: str) -> str:
    """The noun, in the plural unless there is one."""
    return what if number == 1 else f"{what}s"


def size(count: int) -> str:
    """Bytes as docker writes them: decimal units, three digits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.4g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1000
    raise AssertionError("unreachable")


def layers_line(layers: Layers) -> str:
    """Layers by what became of them, and the bytes that were sent, as far as they are known."""
    if not layers.reported:
        return "layers: not reported by the engine"
    counted = ((layers.reused, "reused"), (layers.mounted, "mounted"), (layers.sent, "sent"))
    parts = [f"{number} {what}" for number, what in counted if number]
    total = layers.reused + layers.mounted + layers.sent
    least = "at least " if layers.unsized else ""
    sent = f" ({least}{size(layers.bytes_sent)})" if layers.bytes_sent else ""
    return f"{total} {many(total, 'layer')}: {', '.join(parts) or 'none'}{sent}"
