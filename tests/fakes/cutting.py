"""A TCP proxy on loopback whose connections break off when so many bytes have gone to the registry behind it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 65536


class Cutting:
    """Stands before `target`, a port of the loopback; started by `with`, it listens on `port`.

    The first connections break off after as many bytes as `after` says, one after the other, and with `for_ever` so do
    all others after the last number of them. `cuts` is how many did.
    """

    def __init__(self, target: int, *after: int, for_ever: bool = False, silently: bool = False) -> None:
        self.target = target
        self.cuts = 0
        self._after, self._for_ever, self._silently = after, for_ever, silently
        self._end = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @property
    def host(self) -> str:
        """The registry's name in references."""
        return f"127.0.0.1:{self.port}"

    def _accept(self) -> None:
        count = 0
        with suppress(OSError):  # the end
            while True:
                near, _ = self._listening.accept()
                known = count < len(self._after)
                room = self._after[min(count, len(self._after) - 1)] if known or self._for_ever else None
                count += 1
                far = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._carry, args=(near, far, room), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, None), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, room: int | None) -> None:
        """What is on its way when it breaks off still arrives, as with a link that fails."""
        with suppress(OSError):
            while chunk := source.recv(_CHUNK if room is None else min(_CHUNK, room)):
                sink.sendall(chunk)
                if room is None:
                    continue
                room -= len(chunk)
                if not room:
                    self.cuts += 1
                    if self._silently:
                        self._end.wait()
                    break
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
