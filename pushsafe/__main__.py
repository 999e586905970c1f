"""`python -m pushsafe`, and what the launcher runs."""

from __future__ import annotations

import gc
import os
import sys

# A start is one burst of imports that leaves no garbage; looking for some on the way costs a twentieth of it.
gc.set_threshold(100_000, 50, 50)

from pushsafe.cli.main import main  # noqa: E402
from pushsafe.runtime import streams  # noqa: E402

if __name__ == "__main__":
    status = main(sys.argv[1:])
    streams.finish()
    # A thread may still wait for a server's or a helper's answer; nobody waits for the thread any more. What has to be
    # closed, main has closed.
    os._exit(status)
