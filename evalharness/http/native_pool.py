"""The connections to one address: never more than requests may be in flight."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from evalharness.config.models import LimitsConfig
from evalharness.http.addresses import Addresses
from evalharness.http.exchange import IDLE_SECONDS, Exchange
from evalharness.http.native_connection import Connection
from evalharness.http.tls_stream import TlsStream
from evalharness.process.fair_wakeup import BatchedWakeups
from evalharness.process.pauses import TimeLimit


class Place(NamedTuple):
    """Where connections lead.

    Attributes:
        scheme: ``http``, ``https`` or ``unix``.
        host: name or address; the path of a Unix socket.
        port: 0 for a Unix socket.
    """

    scheme: str
    host: str
    port: int


class Pool:
    """The connections to one place.

    Args:
        place: where they lead.
        limits: ``concurrency`` and the time limits.
        wakeups: delivers the exchanges.
        context: makes the TLS context when the first connection needs it.
    """

    def __init__(
        self,
        place: Place,
        limits: LimitsConfig,
        wakeups: BatchedWakeups[Exchange],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._place, self._limits, self._wakeups = place, limits, wakeups
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._addresses = Addresses(place.host, place.port)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_enter(self) -> bool:
        """Count one more active request; False where as many as allowed are active."""
        if self._active >= self._limits.concurrency:
            return False
        self._active += 1
        return True

    async def wait(self, total_at: float) -> None:
        """Wait until :meth:`try_enter` would succeed, and enter.

        Raises:
            TimeoutError: that took too long.
        """
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with TimeLimit(self._connect_limit(total_at)):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was resolved at the same moment: pass it on
            raise

    def leave(self) -> None:
        """A request has ended: the first waiter takes its place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._active -= 1

    def take_idle(self) -> Connection | None:
        """Take the idle connection that was used last; None where there is none."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < IDLE_SECONDS and connection.usable():
                return connection
            connection.close()
        return None

    async def connect(self, total_at: float) -> Connection:
        """A new connection.

        Raises:
            TimeoutError: that took too long, the TLS handshake included.
            OSError: it was refused, the name is not known, or the handshake failed
                (``ssl.SSLError``).
            ValueError: a host name that cannot be looked up.
            ConfigError: a file of certificates cannot be used.
        """
        connection = Connection(self._limits, self._wakeups, self._idle.append, self._remove)
        self._open.add(connection)
        try:
            async with TimeLimit(self._connect_limit(total_at)):
                if self._place.scheme == "https":
                    await self._connect_tls(connection)
                else:
                    await self._connect_socket(connection)
        except BaseException:
            # `connection_lost` is only called for a connection that was made.
            self._open.discard(connection)
            raise
        return connection

    async def _connect_tls(self, connection: Connection) -> None:
        name = self._place.host.rstrip(".")
        stream = TlsStream(self._context(), name, connection)
        try:
            await self._connect_socket(stream)
            await stream.ready
        except BaseException:
            stream.abort()
            raise

    async def _connect_socket(self, protocol: asyncio.Protocol) -> None:
        scheme, host, port = self._place
        if scheme == "unix":
            await self._loop.create_unix_connection(lambda: protocol, host)
        elif _is_address(host):
            await self._loop.create_connection(lambda: protocol, host, port)
        else:
            connected = await self._addresses.connect()
            try:
                await self._loop.create_connection(lambda: protocol, sock=connected)
            except BaseException:
                connected.close()
                raise

    def close(self) -> None:
        """End all connections."""
        self._addresses.close()
        for connection in list(self._open):
            connection.close()

    def _connect_limit(self, total_at: float) -> float:
        return min(total_at - self._loop.time(), self._limits.timeout_connect_s)

    def _remove(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
