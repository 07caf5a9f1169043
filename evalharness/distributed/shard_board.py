"""Which worker has which shard of the plan.

A shard is a range of positions in the plan's seeded order. So every shard holds all settings, and
drift over time is not mistaken for an effect of a setting. Workers take shards; a fast one takes
more.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Shard(NamedTuple):
    """Positions ``start`` ≤ p < ``stop`` of the plan's order."""

    start: int
    stop: int


class ShardBoard:
    """The shards of a plan, and the workers that have them.

    Args:
        planned: trials of the plan, recorded ones included.
        size: trials a shard.
    """

    def __init__(self, planned: int, size: int) -> None:
        self._next = 0
        self._planned = planned
        self._size = size
        self._requeued: deque[Shard] = deque()
        self._assigned: dict[str, list[Shard]] = {}

    def take(self, worker: str) -> Shard | None:
        """A shard for a worker; None when all are taken, which :meth:`requeue` may change."""
        if self._requeued:
            shard = self._requeued.popleft()
        elif self._next < self._planned:
            shard = Shard(self._next, min(self._next + self._size, self._planned))
            self._next = shard.stop
        else:
            return None
        self._assigned.setdefault(worker, []).append(shard)
        return shard

    def finish(self, worker: str, shard: Shard) -> None:
        """Every trial of a shard has its record in a part."""
        self._assigned[worker].remove(shard)

    def shards_of(self, worker: str) -> list[Shard]:
        """The shards a worker has, in the order in which it took them."""
        return list(self._assigned.get(worker, []))

    def requeue(self, worker: str) -> list[Shard]:
        """A worker is dead: its shards are the next to be taken. Returns them."""
        shards = self._assigned.pop(worker, [])
        self._requeued.extendleft(reversed(shards))
        return shards

    @property
    def done(self) -> bool:
        """Whether every shard was taken and finished."""
        return (
            self._next >= self._planned and not self._requeued and not any(self._assigned.values())
        )
