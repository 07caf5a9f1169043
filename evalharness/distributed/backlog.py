"""A backlog that pulls shards of the plan as it needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from evalharness.distributed.messages import Pulled
from evalharness.distributed.shard_board import Shard
from evalharness.records import AttemptResult, Outcome, Trial
from evalharness.runner.queue import Backlog, Job
from evalharness.store.journal.crash_recovery import Unfinished

# All shards are taken, and one may yet come back from a worker that dies.
ASK_AGAIN_S = 0.25


class PullShards(Protocol):
    """Where shards come from; raises what the connection raises."""

    async def take(self) -> Pulled:
        """Take the next shard."""
        ...


class PulledBacklog(Backlog):
    """Hands out jobs of the shards it holds, and pulls the next before they run out.

    Args:
        providers: names of the endpoints.
        source: where shards come from.
        open_shard: the trials of a shard that are still to be sent, in order.
        unfinished: attempts made by an earlier process, by trial_id.
        earlier: those of them that are in no part; they go into this worker's journal with
            ``carry`` before another attempt does.
        completed: called with a shard whose every trial has its record.
        idle: awaited when no shard is to be had and none is being worked on.
        most_waiting, held: as in :class:`~evalharness.runner.queue.Backlog`.
    """

    def __init__(
        self,
        providers: Iterable[str],
        source: PullShards,
        open_shard: Callable[[Pulled], list[Trial]],
        unfinished: Mapping[str, Unfinished],
        *,
        earlier: dict[str, list[AttemptResult]],
        carry: Callable[[AttemptResult], None],
        completed: Callable[[Shard], None],
        idle: Callable[[], Awaitable[None]],
        most_waiting: int,
        held: Callable[[str], float],
    ) -> None:
        self._known = dict(unfinished)
        none = {name: iter(()) for name in providers}
        super().__init__(none, self._known, most_waiting=most_waiting, held=held)
        self._source = source
        self._open_shard = open_shard
        self._earlier = earlier
        self._carry = carry
        self._completed = completed
        self._idle = idle
        self._shard_of: dict[int, Shard] = {}
        self._left: dict[Shard, int] = {}
        self._fresh = self._ahead = 0
        self._over = False
        self._pulling: asyncio.Task[None] | None = None
        self.on_lost: Callable[[Exception], None] = lambda _: None

    def take(self, now: float) -> tuple[Job | Trial, float] | None:
        """The next job (see :meth:`Backlog.take`); None also while the next shard is awaited."""
        taken = super().take(now)
        if taken is not None and isinstance(taken[0], Trial):
            self._fresh -= 1
        if self._fresh <= self._ahead and not self._over:
            self._pull()
        return taken

    async def more(self) -> bool:
        """Wait until there may be something to take; False when there never will be again."""
        if self._fresh or self._pulling is None:
            return not self._over
        await asyncio.shield(self._pulling)
        return True

    def close(self) -> None:
        """Pull no more."""
        self._over = True
        if self._pulling is not None:
            self._pulling.cancel()

    def adopt(self, trial: Trial, body: bytes, scheduled_at_ns: int) -> Job:
        """See :meth:`Backlog.adopt`; attempts of other processes go into this one's journal."""
        for result in self._earlier.pop(trial.trial_id, ()):
            self._carry(result)
        return super().adopt(trial, body, scheduled_at_ns)

    def finished(self, trial: Trial) -> None:
        """A trial got its record: perhaps the last of its shard."""
        shard = self._shard_of.pop(trial.position)
        self._left[shard] -= 1
        if not self._left[shard]:
            del self._left[shard]
            self._completed(shard)

    def _pull(self) -> None:
        if self._pulling is None:
            self._pulling = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            pulled = await self._source.take()
            if pulled.shard is not None:
                self._open(pulled.shard, pulled)
            elif pulled.over:
                self._over = True
            else:
                if not self._left:
                    await self._idle()
                await asyncio.sleep(ASK_AGAIN_S)
        except Exception as error:  # nobody gives out work any more
            self._over = True
            self.on_lost(error)
        finally:
            self._pulling = None

    def _open(self, shard: Shard, pulled: Pulled) -> None:
        if pulled.again is not None:
            for trial_id, tried in pulled.again.tried.items():
                self._known[trial_id] = tried
                self._earlier.pop(trial_id, None)  # they are in that part, too
            for trial_id, results in pulled.again.earlier.items():
                mine = self._earlier.setdefault(trial_id, [])
                have = {result.intent.attempt for result in mine}
                mine += [result for result in results if result.intent.attempt not in have]
                self._known[trial_id] = counted_over(mine, self._known.get(trial_id))
        trials = self._open_shard(pulled)
        self._ahead = (shard.stop - shard.start) // 4
        self._fresh += len(trials)
        if not trials:
            self._completed(shard)
            return
        self._left[shard] = len(trials)
        self._shard_of.update(dict.fromkeys((t.position for t in trials), shard))
        for name, queue in self._queues.items():
            queue.extend(iter([t for t in trials if t.setting.provider == name]))


def counted_over(results: list[AttemptResult], known: Unfinished | None) -> Unfinished:
    """Counts of attempts that other workers made, over those of earlier sessions."""
    found = Unfinished() if known is None else replace(known)
    for result in results:
        if result.intent.attempt > found.attempts:
            found.attempts = result.intent.attempt
            found.sent += result.reply.outcome is not Outcome.NOT_SENT
            found.in_doubt += result.reply.outcome is Outcome.IN_DOUBT
    return found
