"""Ends a run early: signals, docker's stop request, and the deadline (`--timeout`)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socket import socket


class TimedOut(KeyboardInterrupt):
    """The deadline has passed; it ends a run like an interruption."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[Callable[[], float | None]]:
    """Raise TimedOut in the main thread after so many seconds; yields a function for those left (`None`: no limit).

    In another thread nothing is raised, and the seconds left are the only limit.
    """
    if seconds is None:
        yield lambda: None
        return
    end = time.monotonic() + seconds
    if threading.current_thread() is not threading.main_thread():
        yield lambda: end - time.monotonic()
        return
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield lambda: end - time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def silence() -> None:
    """Stop raising TimedOut, for the short work at the end of a run."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: object) -> None:
    raise TimedOut


SOCKET_VARIABLE = "DOCKER_CLI_PLUGIN_SOCKET"
INTERRUPTED = 130


_AGAIN = 0.05
"""Seconds until an exception that Python dropped is raised again."""


def interrupt() -> None:
    """Unwind the main thread."""
    raise KeyboardInterrupt


class StopWatch:
    """While entered, turns SIGINT, SIGTERM, SIGHUP (a closed terminal, a lost ssh) and the closing of docker's socket
    into one call of `on_stop` in the main thread.

    A second signal ends the process at once with status 130. The socket does not count as one: if stdout is no
    terminal, one Ctrl-C comes both as a signal and through docker. Nor does SIGHUP: a closed terminal and its shell
    both send it. An `on_stop` that raises unwinds the main thread, even from a blocking system call; where Python drops
    its exception (in a finalizer, or the callback of a weak reference: every import runs one), it is raised again, as
    is TimedOut. Enter and leave this in the main thread.
    """

    def __init__(self, environ: Mapping[str, str], on_stop: Callable[[], None]) -> None:
        self._address = environ.get(SOCKET_VARIABLE, "")
        self._on_stop = on_stop
        self._requested = False
        self._signals = 0
        self._eased = False
        self._left = False
        self._previous: dict[int, Any] = {}
        self._socket: socket | None = None
        self._dropped: type[BaseException] | None = None

    def ease(self) -> None:
        """Stop calling `on_stop`, for the short rest of a run; a second signal still ends the process."""
        self._eased = True

    @property
    def requested(self) -> bool:
        """Whether a stop was requested. Thread-safe."""
        return self._requested

    def __enter__(self) -> StopWatch:
        self._report_unraisable = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        handlers = {
            signal.SIGINT: self._signalled,
            signal.SIGTERM: self._signalled,
            signal.SIGHUP: self._stop,
            signal.SIGURG: self._urged,
        }
        for number, handler in handlers.items():
            # Signals that were ignored at our start, by `nohup` or for a script's background job, stay ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, handler)
        if self._address:
            self._listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._left = True
        sys.unraisablehook = self._report_unraisable
        if self._socket is not None:
            self._socket.close()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _listen(self) -> None:
        """Connect to docker's socket, if it exists, and wait for its end in a thread."""
        import socket

        # Go writes the name of an abstract socket with an @ in place of the NUL.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
        except OSError:
            # The variable is from a docker that has ended, as it can be for docker's own plugins.
            connection.close()
            return
        self._socket = connection
        threading.Thread(target=self._wait, args=(connection,), name="docker-stop", daemon=True).start()

    def _wait(self, connection: socket) -> None:
        try:
            while connection.recv(64):
                pass
        except OSError:
            return
        self._urge()

    def _unraisable(self, dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            self._report_unraisable(dropped)
            return
        self._dropped = dropped.exc_type
        timer = threading.Timer(_AGAIN, self._urge)
        timer.daemon = True
        timer.start()

    def _urge(self) -> None:
        """Wake the main thread: only a signal does, and SIGURG is harmless if our handler has just been removed."""
        main = threading.main_thread().ident
        if main is not None and not self._left:
            signal.pthread_kill(main, signal.SIGURG)

    def _urged(self, *_signal: object) -> None:
        """docker's socket was closed, or an exception that ends the run was dropped."""
        dropped, self._dropped = self._dropped, None
        if dropped is None:
            self._stop()
        elif not self._eased:
            raise dropped

    def _signalled(self, *_signal: object) -> None:
        self._signals += 1
        if self._signals > 1:
            _end_at_once()
        self._stop()

    def _stop(self, *_signal: object) -> None:
        if not self._requested:
            self._requested = True
            if not self._eased:
                self._on_stop()


def install_stop(environ: Mapping[str, str], on_stop: Callable[[], None] = interrupt) -> StopWatch:
    """A context manager that calls `on_stop` once when the user or docker requests a stop (see StopWatch).

    docker closes the socket of DOCKER_CLI_PLUGIN_SOCKET at its first SIGINT or SIGTERM unless stdout is a terminal,
    whose signals reach us directly; at its third it kills us (docker/cli `cmd/docker/docker.go`).
    """
    return StopWatch(environ, on_stop)


def _end_at_once() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        with suppress(OSError):  # the terminal may be closed
            os.write(2, b"\x1b[?25h\n")  # a progress bar may have hidden the cursor
    os._exit(INTERRUPTED)
