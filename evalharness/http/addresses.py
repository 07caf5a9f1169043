"""From a host name to a connected socket: the name's addresses, tried a moment apart (RFC 8305).

The event loops try one address after the other, each until it fails: a host whose IPv6 leads
nowhere would use up the whole time limit.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

# How long an address is tried alone, in seconds.
_HEAD_START_S = 0.25

AddressInfo = tuple[socket.AddressFamily, int, int, str, Any]


class Addresses:
    """The addresses of one host and port; lookups at the same time are one lookup."""

    def __init__(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._host, self._port = host, port
        self._lookup: asyncio.Task[list[AddressInfo]] | None = None

    async def connect(self) -> socket.socket:
        """A connected socket, to the address that answers first.

        Raises:
            OSError: the name is not known (``socket.gaierror``), or no address answers.
            ValueError: a name that cannot be looked up.
        """
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._look_up())
            self._lookup.add_done_callback(self._forget)
        return await connect_first(_interleave(await asyncio.shield(self._lookup)))

    def close(self) -> None:
        """Give up a lookup that is under way."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up(self) -> list[AddressInfo]:
        infos = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return [(socket.AddressFamily(info[0]), *info[1:]) for info in infos]

    def _forget(self, lookup: asyncio.Task[list[AddressInfo]]) -> None:
        if not lookup.cancelled():
            lookup.exception()  # those who wait for it are told; perhaps nobody waits any more
        self._lookup = None


def _interleave(infos: list[AddressInfo]) -> list[AddressInfo]:
    """The first family first, then in turns."""
    families: dict[int, list[AddressInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    rounds = itertools.zip_longest(*families.values())
    return [info for turn in rounds for info in turn if info is not None]


async def connect_first(infos: list[AddressInfo]) -> socket.socket:
    """The socket that is connected first; the others are closed."""
    if len(infos) == 1:
        return await _connect(infos[0])
    running: set[asyncio.Task[socket.socket]] = set()
    waiting, error = list(infos), OSError("the name has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect(waiting.pop(0))))
            pause = _HEAD_START_S if waiting else None
            done, running = await asyncio.wait(
                running, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    running |= done - {task}
                    return task.result()
                error = failure if isinstance(failure, OSError) else error
        raise error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close a socket that nobody needs any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect(info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    connected = socket.socket(family, kind, protocol)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, address)
    except BaseException:
        connected.close()
        raise
    return connected
