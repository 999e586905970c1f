"""The commands: each by its name, with what its help says, and imported when it is run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import click


class Entry(NamedTuple):
    """A command: where it is (`MODULE:NAME`), what follows its name, and what it does."""

    place: str
    arguments: str
    meaning: str

    def load(self) -> click.Command:
        module, _, name = self.place.partition(":")
        return cast("click.Command", getattr(import_module(f"{__name__}.{module}"), name))


COMMANDS = {
    "buildx": Entry("buildx:buildx", "BUILD-ARGS", "Build with docker buildx, guarded and verified like a push."),
    "index": Entry("index:index", "-t REF SRC...", "Put one index together from images of one platform each."),
    "lint": Entry("push:lint", "REF...", "Check all of it, and push nothing."),
    "diagnose": Entry("diagnose:diagnose", "REF", "Tell step by step what a push would meet."),
    "explain-error": Entry("explain_error:explain_error", "[TEXT]", "Tell what an error message of a push means."),
    "rules": Entry("rules:rules", "", "List the lint rules."),
    "explain": Entry("rules:explain", "CODE", "Explain one of them."),
    "try": Entry("try_:try_", "", "See it work: six real runs against a registry made for them."),
}
"""What the first word may be in place of a reference: it wins, since a bare word can never be pushed anyway."""


def command_list() -> str:
    """A line for each command, as the program's help shows them."""
    lines = {f"{name} {entry.arguments}".strip(): entry.meaning for name, entry in COMMANDS.items()}
    width = max(map(len, lines))
    return "\n".join(f"  {written:<{width}}  {meaning}" for written, meaning in lines.items())
