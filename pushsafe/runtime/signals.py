"""What ends a run early: signals, docker's order to stop, and the end of its time (`--timeout`)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socket import socket


class TimedOut(KeyboardInterrupt):
    """The time is over: it ends a run wherever that is, as an interruption does."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[Callable[[], float | None]]:
    """Raise TimedOut in the main thread after so many seconds; yields how many are left (`None`: no end).

    Elsewhere than in the main thread nothing is raised, and only those who ask how much is left come to an end.
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
    """Raise nothing any more, though the time goes on; for what is short and comes at the end."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_number: int, _frame: object) -> None:
    raise TimedOut


SOCKET_VARIABLE = "DOCKER_CLI_PLUGIN_SOCKET"
INTERRUPTED = 130


# --------------------------------------------------------------------------- stop


def interrupt() -> None:
    """Unwind the main thread."""
    raise KeyboardInterrupt


class StopWatch:
    """While entered, turns SIGINT, SIGTERM, SIGHUP (a terminal that is closed, a lost ssh) and docker's closed socket
    into one call of `on_stop` in the main thread.

    A second signal ends the process at once with status 130. The socket never counts as a second one: where stdout is
    no terminal, one Ctrl-C reaches us both as a signal and through docker. Nor does SIGHUP: a terminal that is closed
    sends it, and so does the shell in it, to its jobs. An `on_stop` that raises unwinds what the
    main thread is doing, even a blocking system call. Enter and leave it in the main thread.
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

    def ease(self) -> None:
        """Call nobody any more: what is left is short, and ends by itself. A second signal ends the process as ever."""
        self._eased = True

    @property
    def requested(self) -> bool:
        """Whether anyone has asked us to stop; any thread may ask."""
        return self._requested

    def __enter__(self) -> StopWatch:
        handlers = {signal.SIGINT: self._signalled, signal.SIGTERM: self._signalled, signal.SIGHUP: self._hung_up}
        for number, handler in handlers.items():
            # `nohup` and background jobs of a script start us with signals ignored: they stay so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, handler)
        if self._address:
            self._previous[signal.SIGURG] = signal.signal(signal.SIGURG, lambda *_: self._stop())
            self._listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._left = True
        if self._socket is not None:
            self._socket.close()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _listen(self) -> None:
        """Connect to docker's socket, if it is there, and wait for its end in a thread."""
        import socket

        # Go writes the name of an abstract socket with an @ in place of the NUL.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
        except OSError:
            # The variable was inherited from a docker that has gone, as docker's own plugins see it too.
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
        main = threading.main_thread().ident
        if main is not None and not self._left:
            # A signal, because nothing else wakes a main thread out of a system call; SIGURG, because it is harmless
            # should it come when the handler has just been taken away.
            signal.pthread_kill(main, signal.SIGURG)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            _end_at_once()
        self._stop()

    def _hung_up(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        if not self._requested:
            self._requested = True
            if not self._eased:
                self._on_stop()


def install_stop(environ: Mapping[str, str], on_stop: Callable[[], None] = interrupt) -> StopWatch:
    """A context manager that calls `on_stop` once when the user or docker wants us to stop (see StopWatch).

    docker closes the socket of DOCKER_CLI_PLUGIN_SOCKET at its first SIGINT or SIGTERM unless stdout is a terminal,
    whose signals reach us themselves; at its third it kills us (docker/cli `cmd/docker/docker.go`).
    """
    return StopWatch(environ, on_stop)


def _end_at_once() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        # A progress bar may have hidden the cursor.
        with suppress(OSError):  # the terminal may have gone
            os.write(2, b"\x1b[?25h\n")
    os._exit(INTERRUPTED)
