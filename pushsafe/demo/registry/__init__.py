"""A registry of our own on the loopback interface, for those who have none at hand."""

from __future__ import annotations

from pushsafe.demo.registry.server import Account, EmbeddedRegistry

__all__ = ["Account", "EmbeddedRegistry"]
