"""What a worker says to its coordinator, as calls of the coordinator's methods."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from evalharness.distributed.limits.budget_server import Granted
from evalharness.distributed.limits.slot_messages import Word
from evalharness.distributed.limits.slot_server import Answer, Ask
from evalharness.distributed.messages import Counted, News, Pulled
from evalharness.distributed.shard_board import Shard
from evalharness.runner.run_summary import Stop
from evalharness.store.parts.seal import Sealed


class Call(Protocol):
    """Calls a method of the coordinator."""

    async def __call__(self, name: str, *args: Any) -> Any:
        """What it answers."""
        ...


class Talk:
    """Calls to the coordinator; see :class:`.worker.Office`.

    Args:
        worker: who calls.
        call: calls one of the coordinator's methods, by name; a connection that fails is
            :class:`.messages.CoordinatorLostError`.
    """

    def __init__(self, worker: str, call: Call) -> None:
        self._worker = worker
        self._call = call

    def desk(self, endpoint: str) -> _Desk:
        """Where leave for requests to an endpoint comes from."""
        return _Desk(self, endpoint)

    async def ask(self, endpoint: str, ask: Ask, words: Sequence[Word]) -> Answer:
        """Tell ``words``, then ask for leave at an endpoint."""
        return await self._call("ask", self._worker, endpoint, ask, words)

    async def join(self) -> None:
        """Begin to hear news."""
        await self._call("join", self._worker)

    async def news(self) -> list[News]:
        """Wait for news."""
        return await self._call("news", self._worker)

    async def stop(self, decision: Stop) -> None:
        """Stop everybody."""
        await self._call("stop", decision)

    async def counted(self, counted: Counted) -> None:
        """Tell what was done since the last time."""
        await self._call("counted", self._worker, counted)

    async def take(self) -> Pulled:
        """Take the next shard."""
        return await self._call("take", self._worker)

    async def more(self, need: Decimal, gone: Decimal, unused: Decimal) -> Granted:
        """Ask for room for ``need`` more."""
        return await self._call("more", self._worker, need, gone, unused)

    async def told(self, gone: Decimal, unused: Decimal) -> bool:
        """Tell what became of the allowance; whether others need what is unused."""
        return await self._call("told", self._worker, gone, unused)

    async def give_back(self, amount: Decimal) -> Decimal:
        """Lower the allowance; returns the new one."""
        return await self._call("give_back", self._worker, amount)

    async def part_number(self) -> int:
        """A number that no other part has."""
        return await self._call("part_number")

    async def sealed(self, sealed: Sealed) -> str | None:
        """Wait until the manifest lists these parts; why it cannot, None when it does."""
        return await self._call("sealed", self._worker, sealed)

    async def finished(self, shards: list[Shard]) -> None:
        """Every trial of these shards is in a part."""
        await self._call("finished", self._worker, shards)


class _Desk:
    def __init__(self, talk: Talk, endpoint: str) -> None:
        self._talk, self._endpoint = talk, endpoint

    async def ask(self, ask: Ask, words: Sequence[Word]) -> Answer:
        return await self._talk.ask(self._endpoint, ask, words)
