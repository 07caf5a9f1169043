"""Who works on which stretch of the plan: stretches are pulled, finished, and taken over.

A shard is a stretch of positions in the plan's seeded order, so every shard holds all settings
and drift over time stays no effect of a setting. Workers pull; a fast one simply pulls more.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Shard(NamedTuple):
    """Positions ``start`` ≤ p < ``stop`` of the plan's order."""

    start: int
    stop: int


class Board:
    """The shards of a plan and who has them.

    Args:
        planned: trials of the plan, recorded ones included.
        size: trials a shard.
    """

    def __init__(self, planned: int, size: int) -> None:
        self._next = 0
        self._planned = planned
        self._size = size
        self._again: deque[Shard] = deque()
        self._taken: dict[str, list[Shard]] = {}

    def take(self, worker: str) -> Shard | None:
        """A shard for a worker; None when all are taken, which may change (see :meth:`lost`)."""
        if self._again:
            shard = self._again.popleft()
        elif self._next < self._planned:
            shard = Shard(self._next, min(self._next + self._size, self._planned))
            self._next = shard.stop
        else:
            return None
        self._taken.setdefault(worker, []).append(shard)
        return shard

    def finished(self, worker: str, shard: Shard) -> None:
        """Every trial of a shard has its record, sealed."""
        self._taken[worker].remove(shard)

    def held(self, worker: str) -> list[Shard]:
        """The shards a worker has, in the order in which it took them."""
        return list(self._taken.get(worker, []))

    def lost(self, worker: str) -> list[Shard]:
        """A worker is dead: its shards go to others, first of all. Returns them."""
        shards = self._taken.pop(worker, [])
        self._again.extendleft(reversed(shards))
        return shards

    @property
    def done(self) -> bool:
        """Whether every shard was taken and finished."""
        return self._next >= self._planned and not self._again and not any(self._taken.values())
