"""A backlog that pulls shards of the plan as it needs them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from evalharness.distributed.shards import Shard
from evalharness.records import Trial
from evalharness.runner.backlog import Backlog
from evalharness.store.recovery import Unfinished

# All shards are taken, and one may yet come back from a worker that dies.
ASK_AGAIN_S = 0.5


class Pulled(NamedTuple):
    """An answer to a worker that has room for more work.

    Attributes:
        shard: what it got; None when all are taken.
        over: every shard is finished: there will be no more.
        done: flags of the shard's positions, packed eight a byte (``numpy.packbits``): those
            that have their record already.
    """

    shard: Shard | None
    over: bool
    done: bytes = b""


class PullShards(Protocol):
    """Where shards come from; raises what the connection raises."""

    async def take(self) -> Pulled:
        """Take the next shard."""
        ...


class PulledBacklog(Backlog):
    """Hands out jobs of the shards it holds, and pulls the next before they run out.

    Args:
        source: where shards come from.
        open_shard: the trials of a shard that are still to be sent, in order.
        unfinished: attempts made by an earlier process, by trial_id.
        most_waiting: as in :class:`~evalharness.runner.backlog.Backlog`.
    """

    def __init__(
        self,
        source: PullShards,
        open_shard: Callable[[Pulled], Iterator[Trial]],
        unfinished: dict[str, Unfinished],
        *,
        most_waiting: int,
    ) -> None:
        super().__init__(iter(()), unfinished, most_waiting=most_waiting)
        self._source = source
        self._open_shard = open_shard
        self._ahead: deque[Iterator[Trial]] = deque()
        self._over = False
        self._pulling: asyncio.Task[None] | None = None

    async def more(self) -> bool:
        """Wait until there may be something to take; False when there never will be again."""
        if self._ahead:
            return True
        if self._over:
            return False
        if self._pulling is None:
            self._pull()
        assert self._pulling is not None
        await asyncio.shield(self._pulling)
        return True

    def close(self) -> None:
        """Pull no more."""
        if self._pulling is not None:
            self._pulling.cancel()

    def next_fresh(self) -> Trial | None:
        """The next trial of the shards at hand."""
        while (trial := super().next_fresh()) is None and self._ahead:
            self.fresh = self._ahead.popleft()
        if not self._ahead and not self._over and self._pulling is None:
            self._pull()
        return trial

    def _pull(self) -> None:
        self._pulling = asyncio.create_task(self._fetch())
        self._pulling.add_done_callback(self._fetched)

    async def _fetch(self) -> None:
        pulled = await self._source.take()
        if pulled.shard is not None:
            self._ahead.append(self._open_shard(pulled))
        elif pulled.over:
            self._over = True
        else:
            await asyncio.sleep(ASK_AGAIN_S)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._pulling = None
        if not task.cancelled() and task.exception() is not None:
            self._over = True  # nobody gives out work any more; whoever waited hears why
