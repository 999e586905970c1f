"""Renderers: a report in, a text out; no decision in them."""

from __future__ import annotations
