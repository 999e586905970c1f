"""The table of commands, which are imported when they are run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import click


class Entry(NamedTuple):
    """A command: its place (`MODULE:NAME`), its arguments, and its meaning."""

    place: str
    arguments: str
    meaning: str

    def load(self) -> click.Command:
        module, _, name = self.place.partition(":")
        return cast("click.Command", getattr(import_module(f"{__name__}.{module}"), name))


COMMANDS = {
    "buildx": Entry("buildx:buildx", "BUILD-ARGS", "Build with docker buildx, checked and verified like a push."),
    "index": Entry("index:index", "-t REF SRC...", "Assemble a multi-platform index from single-platform images."),
    "lint": Entry("push:lint", "REF...", "Run all checks, and push nothing."),
    "diagnose": Entry("diagnose:diagnose", "REF", "Show step by step what a push would encounter."),
    "explain-error": Entry("explain_error:explain_error", "[TEXT]", "Explain an error message of a push."),
    "rules": Entry("rules:rules", "", "List the lint rules."),
    "explain": Entry("rules:explain", "CODE", "Explain one rule."),
    "try": Entry("try_:try_", "", "See it work: six real runs against a temporary registry."),
}
"""Commands by name; as the first word they take precedence over a reference, as a bare word cannot be pushed."""


def command_list() -> str:
    """A line for each command, for the program's help."""
    lines = {f"{name} {entry.arguments}".strip(): entry.meaning for name, entry in COMMANDS.items()}
    width = max(map(len, lines))
    return "\n".join(f"  {written:<{width}}  {meaning}" for written, meaning in lines.items())
