"""`python -m pushsafe`, and what the launcher runs."""

from __future__ import annotations

import os
import sys

from pushsafe.cli import main
from pushsafe.exitcodes import ExitCode

if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status == ExitCode.INTERRUPTED:
        # A thread may still wait for a server's answer; nobody waits for the thread any more.
        os._exit(status)
    sys.exit(status)
