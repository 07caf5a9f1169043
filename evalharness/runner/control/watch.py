"""Watches a run folder for requests, and hands them to what controls the run.

A look is one system call, four times a second. What is slower (the manifest, an answer) is written
by another thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from evalharness.runner.control.changes import now_iso_ms
from evalharness.store.folder.control import (
    ControlAnswer,
    ControlLog,
    ControlRequest,
    RunStatus,
    append_to_log,
    is_watched,
    remove_status,
    write_status,
)

_LOOK_EVERY_S = 0.25
_STATUS_EVERY_LOOKS = 4


class Controlled(Protocol):
    """A run that can be asked for something."""

    async def handle(self, request: ControlRequest) -> ControlAnswer:
        """Do what is asked, or say why not; when this returns it is in force."""
        ...

    def status(self) -> RunStatus:
        """What it does now, as far as its process knows."""
        ...


class ControlWatch:
    """Looks for requests of this session.

    Args:
        root: the run folder.

    Requests that were written before it was made were meant for an earlier session.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._log = ControlLog(root)
        self._since_ns = time.time_ns()
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def serving(self, controlled: Controlled) -> AsyncGenerator[None]:
        """Inside, requests are handled; what has begun is ended before it is left."""
        task = asyncio.create_task(self._serve(controlled))
        try:
            yield
        finally:
            self._closing.set()
            await task

    async def _serve(self, controlled: Controlled) -> None:
        looks = 0
        try:
            while not self._closing.is_set():
                for request in self._new_requests():
                    await self._answer(await self._handle(controlled, request))
                looks += 1
                if looks % _STATUS_EVERY_LOOKS == 0 and is_watched(self._root):
                    await self._publish(controlled.status())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _LOOK_EVERY_S)
            for request in self._new_requests():
                await self._answer(_refused(request, "the run has just ended"))
        finally:
            remove_status(self._root)

    def _new_requests(self) -> list[ControlRequest]:
        return [
            entry
            for entry in self._log.read_new()
            if isinstance(entry, ControlRequest) and entry.at_ns >= self._since_ns
        ]

    async def _handle(self, controlled: Controlled, request: ControlRequest) -> ControlAnswer:
        if time.time_ns() > request.expires_ns:
            return _refused(request, "the request is too old; who asked does not wait any more")
        return await controlled.handle(request)

    async def _answer(self, answer: ControlAnswer) -> None:
        # Without it who asked waits in vain, and says so; the run itself goes on.
        with suppress(OSError):
            await asyncio.to_thread(append_to_log, self._root, answer)

    async def _publish(self, status: RunStatus) -> None:
        with suppress(OSError):
            await asyncio.to_thread(write_status, self._root, status)


def _refused(request: ControlRequest, reason: str) -> ControlAnswer:
    return ControlAnswer(id=request.id, applied=False, message=reason)


class UncontrolledRun:
    """A run that refuses every change, for a reason.

    Args:
        reason: why, as a sentence.
        hint: what to do instead.
    """

    def __init__(self, reason: str, hint: str) -> None:
        self._reason, self._hint = reason, hint

    async def handle(self, request: ControlRequest) -> ControlAnswer:
        """Refuse it."""
        return ControlAnswer(id=request.id, applied=False, message=self._reason, hint=self._hint)

    def status(self) -> RunStatus:
        """That it takes no changes; its counts are left to who asks, not to disturb it."""
        return RunStatus(at=now_iso_ms(), refuses=self._reason, hint=self._hint)
