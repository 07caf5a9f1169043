"""Requests admitted beyond the limit: made durable while all slots are taken, sent as one is free.

A slot is a request on the wire. Were it taken before the request's intent is on disk, the server
would see fewer requests at a time than were asked for, by the share that syncing has of a cycle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from evalharness.throttle.gate import Permit

_SHARE = 8
_MOST = 128


def beyond(limit: int) -> int:
    """How many requests may be prepared beyond ``limit``: an eighth of it, 1 to 128.

    A process that is killed leaves so many more attempts in doubt.
    """
    return max(1, min(limit // _SHARE, _MOST))


class Entry(NamedTuple):
    """One that stands ready: its permit, what wakes it, and what it is going to send."""

    permit: Permit
    event: asyncio.Event
    cargo: Any


class Prepared:
    """Those without a slot yet.

    Attributes:
        count: how many there are, those whose intent is still being written included.
        line: those that are ready to go, in order, and what wakes them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.line: deque[Entry] = deque()

    def wake_all(self) -> None:
        """Let everybody look again: the gate was closed."""
        for entry in self.line:
            entry.event.set()

    def forget(self, permit: Permit) -> None:
        """Take one out that gave up waiting; no harm where it is not in line."""
        found = next((entry for entry in self.line if entry.permit is permit), None)
        if found is not None:
            self.line.remove(found)
