"""Handing an answer to the connection: in time, in pieces, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from starlette.types import Receive, Scope, Send

from evalharness.emulator.delivery.connection import Connections, flushed, reset
from evalharness.emulator.delivery.faults import Fault
from evalharness.emulator.validation.error_bodies import Headers

Piece = tuple[float, bytes]  # due, in seconds since generation began; and what is sent then


class Delivery:
    """One request's way out.

    ``settle`` is called just before the last bytes are handed over, so that whoever has read them
    finds the ledger complete.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        connections: Connections,
        settle: Callable[[], None],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connections = connections
        self._settle = settle
        self._loop = asyncio.get_running_loop()

    async def simple(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole response at once."""
        await self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        self._settle()
        await self._write(body, more=False)

    async def whole(self, headers: Headers, body: bytes, fault: Fault | None) -> None:
        """A body of known length with status 200, as the fault would have it."""
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        half = len(body) // 2
        pieces = [(0.0, body)] if fault is None else [(0.0, body[:half]), (0.0, body[half:])]
        await self._pieces(headers, pieces, self._loop.time(), fault)

    async def stream(
        self, headers: Headers, pieces: Sequence[Piece], began: float, fault: Fault | None
    ) -> None:
        """Pieces of a body of unknown length, each when it is due."""
        joined = _joined(pieces) if fault is None else pieces
        await self._pieces(headers, joined, began, fault)

    async def endless(self, headers: Headers, pieces: Iterator[bytes]) -> None:
        """Pieces made as they are sent, as fast as the client reads them."""
        await self._start(200, headers)
        for piece in pieces:
            if self._transport() is None:
                break
            await self._write(piece, more=True)
            await asyncio.sleep(0)  # others get their turn between two pieces
        self._settle()
        await self._write(b"", more=False)

    async def reset(self) -> None:
        """Reset the connection now."""
        self._settle()
        transport = self._transport()
        if transport is not None:
            await flushed(transport)
            reset(transport)
        await self._gone()

    async def close(self) -> None:
        """Close the connection in good order now, whatever was promised."""
        self._settle()
        transport = self._transport()
        if transport is not None:
            transport.close()
        await self._gone()

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that has left."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone()
        except TimeoutError:
            return

    async def until(self, due: float) -> None:
        """Wait until the loop's clock says ``due``."""
        wait = due - self._loop.time()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _pieces(
        self, headers: Headers, pieces: Sequence[Piece], began: float, fault: Fault | None
    ) -> None:
        name = "" if fault is None else fault.name
        if name == "delay" and fault is not None:
            await self.pause(fault.number)
        await self._start(200, headers)
        if name == "reset_headers":
            await self.reset()
            return
        middle = max(1, len(pieces) // 2)
        for i, (due, data) in enumerate(pieces):
            if i == middle and fault is not None:
                if name == "reset_body":
                    await self.reset()
                    return
                if name == "cut":
                    await self.close()
                    return
                if name == "stall":
                    await self.pause(fault.number)
            await self.until(began + due)
            last = i == len(pieces) - 1
            if name in ("drip", "split") and fault is not None:
                await self._crumbs(data, fault)
                data = b""
            if last:
                self._settle()
            await self._write(data, more=not last)

    async def _crumbs(self, data: bytes, fault: Fault) -> None:
        """Small writes that each leave on their own."""
        size = 1 if fault.name == "drip" else max(1, int(fault.number))
        for at in range(0, len(data), size):
            transport = self._transport()
            if transport is None:
                return
            await self._write(data[at : at + size], more=True)
            if fault.name == "drip":
                await self.pause(fault.number)
            else:
                await flushed(transport)

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _transport(self) -> asyncio.Transport | None:
        return self._connections.transport(self._scope)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours that are due together as one write."""
    joined: list[tuple[float, list[bytes]]] = []
    for due, data in pieces:
        if joined and joined[-1][0] == due:
            joined[-1][1].append(data)
        else:
            joined.append((due, [data]))
    return [(due, b"".join(parts)) for due, parts in joined]
