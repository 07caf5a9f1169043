"""Writing an answer to its connection: when it is due, in pieces, or with a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from starlette.types import Receive, Scope, Send

from evalharness.emulator.delivery.connection import (
    Connections,
    reset_connection,
    wait_until_flushed,
)
from evalharness.emulator.faults import Fault
from evalharness.emulator.validation.error_bodies import Headers

Piece = tuple[float, bytes]  # due, in seconds since generation began; and what is sent then


class ResponseWriter:
    """Writes the response to one request.

    ``close_entry`` is called just before the last bytes are written, so that a client that has
    read them finds the ledger complete.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        connections: Connections,
        close_entry: Callable[[], None],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connections = connections
        self._close_entry = close_entry
        self._loop = asyncio.get_running_loop()

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole response at once."""
        await self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        self._close_entry()
        await self._write(body, more=False)

    async def send_body(self, headers: Headers, body: bytes, fault: Fault | None) -> None:
        """Send a body of known length with status 200, changed by a fault."""
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        half = len(body) // 2
        pieces = [(0.0, body)] if fault is None else [(0.0, body[:half]), (0.0, body[half:])]
        await self._send_pieces(headers, pieces, self._loop.time(), fault)

    async def send_stream(
        self, headers: Headers, pieces: Sequence[Piece], began: float, fault: Fault | None
    ) -> None:
        """Send the pieces of a body of unknown length, each when it is due."""
        merged = _merge_pieces(pieces) if fault is None else pieces
        await self._send_pieces(headers, merged, began, fault)

    async def send_endless(self, headers: Headers, pieces: Iterator[bytes]) -> None:
        """Send pieces as they are generated, as fast as the client reads them."""
        await self._start(200, headers)
        for piece in pieces:
            if self._transport() is None:
                break
            await self._write(piece, more=True)
            await asyncio.sleep(0)  # other requests run between two pieces
        self._close_entry()
        await self._write(b"", more=False)

    async def reset(self) -> None:
        """Reset the connection now."""
        self._close_entry()
        transport = self._transport()
        if transport is not None:
            await wait_until_flushed(transport)
            reset_connection(transport)
        await self._wait_disconnect()

    async def close(self) -> None:
        """Close the connection in good order now, whatever length was announced."""
        self._close_entry()
        transport = self._transport()
        if transport is not None:
            transport.close()
        await self._wait_disconnect()

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until the client leaves."""
        try:
            async with asyncio.timeout(seconds):
                await self._wait_disconnect()
        except TimeoutError:
            return

    async def wait_until(self, due: float) -> None:
        """Wait until the loop's clock says ``due``."""
        wait = due - self._loop.time()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _send_pieces(
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
            await self.wait_until(began + due)
            last = i == len(pieces) - 1
            if name in ("drip", "split") and fault is not None:
                await self._write_fragments(data, fault)
                data = b""
            if last:
                self._close_entry()
            await self._write(data, more=not last)

    async def _write_fragments(self, data: bytes, fault: Fault) -> None:
        """Write the data in small parts, each in a packet of its own."""
        size = 1 if fault.name == "drip" else max(1, int(fault.number))
        for at in range(0, len(data), size):
            transport = self._transport()
            if transport is None:
                return
            await self._write(data[at : at + size], more=True)
            if fault.name == "drip":
                await self.pause(fault.number)
            else:
                await wait_until_flushed(transport)

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _transport(self) -> asyncio.Transport | None:
        return self._connections.transport(self._scope)

    async def _wait_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _merge_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Consecutive pieces that are due at the same moment, as one write."""
    merged: list[tuple[float, list[bytes]]] = []
    for due, data in pieces:
        if merged and merged[-1][0] == due:
            merged[-1][1].append(data)
        else:
            merged.append((due, [data]))
    return [(due, b"".join(parts)) for due, parts in merged]
