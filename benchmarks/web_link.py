"""A slow link between a browser and the benchmark's server: what a page waits for where the network is the bottleneck.

A relay on 127.0.0.1. All connections share one line, a few packets each in turn; every byte is under way for half the
round trip, a new connection waits for one more, and each begins with TCP's window of ten segments, which grows by
what is acknowledged. Chromium's own emulation holds up each read of a response, and counts no time in which none is
under way: one large file takes a fifth longer than the line needs, and several side by side do not.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

SEGMENT = 1460
FIRST_WINDOW, MOST_WINDOW = 10 * SEGMENT, 1 << 20
TURN = 4 * SEGMENT
WAITING = 1 << 18
"""Bytes that a connection holds before the line: a socket's buffer."""
LEAD_S = 0.015
"""How far ahead of the clock the line is filled: sleeps are not exact."""


@dataclass
class Flow:
    """What the server has sent on one connection, and has not reached the browser."""

    writer: asyncio.StreamWriter
    waiting: deque[bytes] = field(default_factory=deque)
    held: int = 0
    window: int = FIRST_WINDOW
    under_way: int = 0
    ended: bool = False
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def ready(self) -> bool:
        return bool(self.waiting) and self.under_way < self.window


class Link:
    """``url`` is the server at ``port``, seen through a line of so many Mbit/s with a round trip of so many ms."""

    def __init__(self, port: int, megabits: float, round_trip_ms: float) -> None:
        self._port, self._rate, self._trip = port, megabits * 1e6 / 8, round_trip_ms / 1e3
        self._flows: list[Flow] = []
        self._loop = asyncio.new_event_loop()
        self._work = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _start(self) -> int:
        self._keep(self._line())
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        flow = Flow(writer)
        self._flows.append(flow)
        self._keep(self._up(reader, to_server))
        self._keep(self._down(from_server, flow))

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests: late, and the first of a connection by the round trip that opens it."""
        await asyncio.sleep(self._trip)
        while data := await _read(reader):
            self._loop.call_later(self._trip / 2, writer.write, data)
        self._loop.call_later(self._trip / 2, writer.close)

    async def _down(self, reader: asyncio.StreamReader, flow: Flow) -> None:
        while data := await _read(reader):
            flow.waiting.extend(data[at : at + TURN] for at in range(0, len(data), TURN))
            flow.held += len(data)
            self._work.set()
            while flow.held > WAITING:
                flow.room.clear()
                await flow.room.wait()
        flow.ended = True
        self._work.set()

    async def _line(self) -> None:
        """Takes what waits of each connection in turn, as fast as the line goes."""
        free_at = self._loop.time()
        while True:
            self._work.clear()
            for flow in [flow for flow in self._flows if flow.ended and not flow.waiting]:
                self._flows.remove(flow)
                self._loop.call_later(self._trip / 2 + LEAD_S, flow.writer.close)
            for flow in [flow for flow in self._flows if flow.ready()]:
                part = flow.waiting.popleft()
                flow.held -= len(part)
                flow.under_way += len(part)
                flow.room.set()
                free_at = max(free_at, self._loop.time()) + len(part) / self._rate
                self._loop.call_at(free_at + self._trip / 2, self._arrived, flow, part)
                if (early := free_at - self._loop.time() - LEAD_S) > 0:
                    await asyncio.sleep(early)
            if not any(flow.ready() for flow in self._flows):
                await self._work.wait()

    def _arrived(self, flow: Flow, part: bytes) -> None:
        if not flow.writer.is_closing():
            flow.writer.write(part)
        self._loop.call_later(self._trip / 2, self._acknowledged, flow, len(part))

    def _acknowledged(self, flow: Flow, size: int) -> None:
        flow.under_way -= size
        flow.window = min(flow.window + size, MOST_WINDOW)
        self._work.set()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What has come in; empty at the end, and where the other side broke off."""
    try:
        return await reader.read(WAITING)
    except ConnectionError:
        return b""
