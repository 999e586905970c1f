"""The order to stop, obeyed only where nothing can be left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pushsafe.plugin import install_stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Whether anybody has told us to stop: Ctrl-C, SIGTERM, docker, or a terminal that was closed.

    To be told again changes nothing: what was made is being taken away, and whoever ends us at once leaves some of it.
    """

    def __init__(self) -> None:
        self._told = False
        self._here = False

    @contextmanager
    def listening(self, environ: Mapping[str, str]) -> Iterator[None]:
        try:
            with install_stop(environ, self._stop):
                for number in _SIGNALS:
                    if signal.getsignal(number) is not signal.SIG_IGN:
                        # In place of the handlers just installed, which end the process at a second signal.
                        signal.signal(number, lambda *_: self._stop())
                yield
        finally:
            if self._told:
                for number in _SIGNALS:
                    signal.signal(number, signal.SIG_IGN)  # until the end, which is near

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Within this, and nowhere else, the order raises KeyboardInterrupt; at once where it has come before."""
        self._here = True
        try:
            if self._told:
                raise KeyboardInterrupt
            yield
        finally:
            self._here = False

    def _stop(self) -> None:
        if not self._told:
            self._told = True
            if self._here:
                raise KeyboardInterrupt
