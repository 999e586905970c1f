"""A TCP proxy on loopback through which every connection is as slow to answer as a far one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65536


class Latency:
    """Stands before `target`, a port of the loopback; started by `with`, it listens on `port`.

    A connection takes one round trip of `rtt` seconds, and each chunk half a one in either direction. Nothing is
    throttled: chunks are on their way side by side.
    """

    def __init__(self, target: int, rtt: float = 0.04) -> None:
        self.target, self.rtt = target, rtt
        self.port = 0
        self._listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.add(asyncio.create_task(self._connect(reader, writer)))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._listening.set()
        await self._end.wait()
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The kernel has accepted already, so what comes at once is held back for as long as a far host would take.
        opened = self._loop.time() + self.rtt
        with contextlib.closing(writer), contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            with contextlib.closing(far_writer):
                await asyncio.gather(self._carry(reader, far_writer, opened), self._carry(far_reader, writer, opened))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, opened: float) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            chunk = b" "
            while chunk:
                due, chunk = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                sink.write(chunk) if chunk else sink.write_eof()
                await sink.drain()

        async def collect() -> None:
            chunk = b" "
            while chunk:
                chunk = await source.read(_CHUNK)
                under_way.put_nowait((max(self._loop.time(), opened) + self.rtt / 2, chunk))

        await asyncio.gather(collect(), deliver())
