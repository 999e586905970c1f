"""How much is tried: a minute's worth, the same every time; with `PUSHSAFE_FUZZ=long` for long, and at random."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Time is measured by `strategies.quick`, which does not count what other processes take of the machine.
_COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("pushsafe", _COMMON, max_examples=50, derandomize=True, database=None)
settings.register_profile("pushsafe-long", _COMMON, max_examples=5000, print_blob=True)
settings.load_profile("pushsafe-long" if os.environ.get("PUSHSAFE_FUZZ") == "long" else "pushsafe")
