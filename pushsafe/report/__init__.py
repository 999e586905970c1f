"""Renderers: values in, text out; no decisions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from pushsafe.model.inquiry import Diagnosis, Explanation
    from pushsafe.model.report import Report


class Renderer(Protocol):
    """What the module of an output format provides."""

    def render(self, report: Report, *, color: bool = ..., timings: bool = ...) -> str: ...
    def render_diagnosis(self, found: Diagnosis, *, color: bool = ...) -> str: ...
    def render_explanation(self, explanation: Explanation, *, color: bool = ...) -> str: ...


class Format(NamedTuple):
    """An output format: the module that renders it, and whether it is for people, who also get messages on stderr."""

    module: str
    for_people: bool = False

    @property
    def renderer(self) -> Renderer:
        return cast(Renderer, import_module(f"{__name__}.{self.module}"))


FORMATS = {"human": Format("human", for_people=True), "json": Format("json")}
"""Every output format by name; the first is the default."""
DEFAULT_FORMAT = next(iter(FORMATS))
