"""docker pushsafe: push container images only where, as what and as whom you meant to."""

__version__ = "0.1.0"
