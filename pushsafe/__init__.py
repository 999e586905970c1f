"""docker pushsafe: push container images only where, as what and as whom you meant to."""

from __future__ import annotations

__version__ = "0.1.0"
