"""A call that is carried out, and whose connection is reset before the answer."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from evalharness.emulator.delivery.connection import (
    Connections,
    reset_connection,
    wait_until_flushed,
)


class LostAnswer(Response):
    """Sends nothing and resets the connection."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset, and wait until the server has noticed."""
        transport = self._connections.transport(scope)
        if transport is not None:
            await wait_until_flushed(transport)
            reset_connection(transport)
        while (await receive())["type"] != "http.disconnect":
            pass
