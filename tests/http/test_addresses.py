"""A host with several addresses."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from evalharness.http.addresses import Addresses, AddressInfo, connect_first


def _info(listener: socket.socket) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname())


def _listener(sockets: ExitStack, *, full: bool = False) -> socket.socket:
    """One that answers, or one that lets every connection wait."""
    listener = sockets.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0 if full else 10)
    for _ in range(4 if full else 0):
        waiting = sockets.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return listener


@pytest.mark.parametrize("bad", ["silent", "refused"])
async def test_an_address_that_leads_nowhere_does_not_use_up_the_time(bad: str) -> None:
    """The next one is tried a moment later, or at once where the first refuses."""
    with ExitStack() as sockets:
        first = _listener(sockets, full=bad == "silent")
        if bad == "refused":
            first_info = _info(first)
            first.close()
        else:
            first_info = _info(first)
        good = _listener(sockets)
        connected = await asyncio.wait_for(connect_first([first_info, _info(good)]), 10)
        with connected:
            assert connected.getpeername() == good.getsockname()


async def test_no_address_answers() -> None:
    """The failure is that of an address."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        info = _info(closed)
    with pytest.raises(ConnectionRefusedError):
        await connect_first([info, info])


async def test_lookups_at_the_same_time_are_one() -> None:
    """Who gives up does not take the lookup from the others."""
    with ExitStack() as sockets:
        listener = _listener(sockets)
        addresses = Addresses("localhost", listener.getsockname()[1])
        given_up, other = (asyncio.create_task(addresses.connect()) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        with await asyncio.wait_for(other, 10) as connected:
            assert connected.getpeername()[1] == listener.getsockname()[1]
        addresses.close()
