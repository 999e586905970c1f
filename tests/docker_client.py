"""The docker client on this machine, for tests that hold us against it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

# The oldest release whose contract we claim to follow: earlier ones have no stop socket, or a different one, and run
# another ssh command.
OLDEST = 28


def _major() -> int:
    if shutil.which("docker") is None:
        return 0
    text = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.", text)
    return int(found[1]) if found else 0


MAJOR = _major()
needs_docker = pytest.mark.skipif(
    MAJOR < OLDEST, reason=f"no docker client {OLDEST} or newer here (found: {MAJOR or 'none'})"
)
